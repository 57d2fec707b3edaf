"""YOLO label files: boxes, boxes with four key points (YOLO-pose), and four corners (YOLO-OBB, or a polygon of four).

A photograph `images/train/a.jpg` has the labels `labels/train/a.txt` (or, as Darknet keeps them, `a.txt` beside it); a
line is `class cx cy w h`, followed by `x y` or `x y visibility` of each key point, or `class x y x y x y x y`. All
coordinates are shares of the image's width and height. An image without labels is known to be empty. The names of the
classes stand in `data.yaml`, `classes.txt` or `obj.names`. Source: the data set pages of Ultralytics' documentation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from alpr.data.columns import ManifestError
from alpr.data.importers.labels import Imported, Labels, Wanted
from alpr.data.importers.outgoing import Outgoing, OutgoingScene, inside
from alpr.data.importers.places import (
    files_of,
    first_lines,
    image_size,
    images_by_stem,
    read_text,
    root_of,
    split_of_folders,
    tracked,
)
from alpr.images.prepare import UnreadableImage

BOX_CELLS, CORNER_CELLS, POSE_CELLS, POSE_VISIBLE_CELLS = 5, 9, 13, 17
_NO_LABELS = {"classes", "train", "val", "valid", "test", "readme", "notes", "license", "requirements", "obj"}


class _Object(NamedTuple):
    label: str
    box: list[float] | None
    corners: list[float] | None


def read_boxes(source: Path, wanted: Wanted) -> Imported:
    """The plates of YOLO box labels."""
    return _read(source, wanted, (BOX_CELLS,))


def read_pose(source: Path, wanted: Wanted) -> Imported:
    """The plates of YOLO-pose labels with four key points, with or without their visibility."""
    return _read(source, wanted, (POSE_CELLS, POSE_VISIBLE_CELLS))


def read_obb(source: Path, wanted: Wanted) -> Imported:
    """The plates of YOLO-OBB labels."""
    return _read(source, wanted, (CORNER_CELLS,))


def looks_like_boxes(source: Path) -> bool:
    """Whether the first label files hold YOLO boxes."""
    return _looks_like(source, (BOX_CELLS,))


def looks_like_pose(source: Path) -> bool:
    """Whether the first label files hold boxes with four key points."""
    return _looks_like(source, (POSE_CELLS, POSE_VISIBLE_CELLS))


def looks_like_obb(source: Path) -> bool:
    """Whether the first label files hold rows of four corners."""
    return _looks_like(source, (CORNER_CELLS,))


def _looks_like(source: Path, widths: tuple[int, ...]) -> bool:
    root = _root(source)
    lines = [line for path in _label_files(root, 40)[:20] for line in first_lines(path)]
    if not root.is_dir() or not lines:
        return False
    for line in lines:
        try:
            values = list(map(float, line.split()))
        except ValueError:
            return False
        if len(values) not in widths or values[0] != int(values[0]) or max(map(abs, values[1:])) > 2:
            return False
    return True


def _root(source: Path) -> Path:
    return source.parent if source.suffix in (".yaml", ".yml") else source


def _label_files(root: Path, limit: int | None = None) -> list[Path]:
    files = files_of(root, (".txt",), limit)
    below_labels = [path for path in files if "labels" in path.relative_to(root_of(root)).parts[:-1]]
    if root.name != "labels" and below_labels:
        return below_labels
    return [path for path in files if path.stem.lower() not in _NO_LABELS]


def _read(source: Path, wanted: Wanted, widths: tuple[int, ...]) -> Imported:
    root = _root(source)
    names = _class_names(root)
    files = _label_files(root)
    if root.name == "labels" and (root.parent / "images").is_dir():
        root = root.parent
    labels = Labels(root_of(root), wanted)
    labelled: dict[Path, set[str]] = {}
    for path in tracked(files, "Reading labels", "files"):
        folder = _image_folder(path.parent, root_of(root))
        image = labels.files.of_stem(path.stem, folder, path.parent)
        labelled.setdefault(folder, set()).add(path.stem)
        if image is None:
            labels.reject(path, 0, path.stem, f"no image of this name was found in {folder}; its size is needed")
            continue
        try:
            size = image_size(image)
        except UnreadableImage as error:
            labels.reject(path, 0, image, str(error).rstrip("."))
            continue
        _read_file(labels, path, image, size, names, widths)
    for folder, stems in labelled.items():
        for stem, name in images_by_stem(folder).items():
            if stem not in stems:
                labels.counts["{n} images have no label file, which says in YOLO that they hold no plate."] += 1
                labels.add_empty(folder, folder / name, split_of_folders(str((folder / name).relative_to(root))))
    return labels.finish()


def _read_file(
    labels: Labels,
    path: Path,
    image: Path,
    size: tuple[int, int],
    names: dict[int, str],
    widths: tuple[int, ...],
) -> None:
    split = split_of_folders(str(path.relative_to(labels.root) if path.is_relative_to(labels.root) else path))
    lines = read_text(path).splitlines()
    if not any(map(str.strip, lines)):
        labels.add_empty(path, image, split)
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if not cells:
            continue
        try:
            found = _object(cells, size, widths)
        except ValueError as error:
            labels.reject(path, number, image, str(error))
            continue
        if found.corners is None and widths[0] != BOX_CELLS:
            labels.counts["{n} boxes have not all four key points; they stand without corners."] += 1
        index = found.label
        label = index if index in labels.wanted.classes else names.get(int(index), index)
        labels.add(path, number, image, label=label, split=split, box=found.box, corners=found.corners)


def _object(cells: Sequence[str], size: tuple[int, int], widths: tuple[int, ...]) -> _Object:
    """The object of a line.

    Raises:
        ValueError: another number of cells, or cells that are no shares.
    """
    if len(cells) not in widths:
        raise ValueError(f"the line has {len(cells)} cells; expected {' or '.join(map(str, widths))}")
    try:
        index = int(float(cells[0]))
        values = list(map(float, cells[1:]))
    except (ValueError, OverflowError):
        raise ValueError(f"the line holds {' '.join(cells)!r}; expected numbers") from None
    if not all(abs(v) <= 2 for v in values):
        worst = next(v for v in values if not abs(v) <= 2)
        if not math.isfinite(worst):
            raise ValueError(f"the line holds {worst}; expected numbers")
        raise ValueError(f"the line holds {worst:g}; expected shares of the image's width and height")
    height, width = size
    if len(cells) == CORNER_CELLS:
        return _Object(str(index), None, [v * (height if i % 2 else width) for i, v in enumerate(values)])
    cx, cy, w, h = values[:4]
    box = [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height]
    step = 3 if len(cells) == POSE_VISIBLE_CELLS else 2
    points = values[4:]
    seen = all(v > 0 for v in points[2::3]) if step == 3 else any(points)
    if len(cells) == BOX_CELLS or not seen:
        return _Object(str(index), box, None)
    corners = [v for x, y in zip(points[::step], points[1::step], strict=True) for v in (x * width, y * height)]
    return _Object(str(index), box, corners)


def _image_folder(folder: Path, root: Path) -> Path:
    """Where the photographs of a folder of labels are: in place of its last part `labels`, `images`."""
    inner = folder.relative_to(root).parts if folder.is_relative_to(root) else folder.parts
    if "labels" not in inner:
        return folder
    at = len(inner) - 1 - inner[::-1].index("labels")
    return root.joinpath(*inner[:at], "images", *inner[at + 1 :])


def _class_names(root: Path) -> dict[int, str]:
    for path in sorted((*root.glob("*.yaml"), *root.glob("*.yml"))):
        try:
            names = (yaml.safe_load(read_text(path)) or {}).get("names")
        except (yaml.YAMLError, AttributeError) as error:
            raise ManifestError(f"{path} is no YAML with a table of settings: {error}.") from error
        if isinstance(names, list):
            return dict(enumerate(map(str, names)))
        if isinstance(names, dict):
            return {int(index): str(name) for index, name in names.items()}
    for path in (root / "classes.txt", root / "labels" / "classes.txt", root / "obj.names"):
        if path.is_file():
            return dict(enumerate(line.strip() for line in read_text(path).splitlines() if line.strip()))
    return {}


def write_boxes(out: Outgoing) -> None:
    """Writes YOLO box labels."""
    _write(out, BOX_CELLS)


def write_pose(out: Outgoing) -> None:
    """Writes YOLO-pose labels; a plate without corners has key points of visibility 0."""
    _write(out, POSE_VISIBLE_CELLS)


def write_obb(out: Outgoing) -> None:
    """Writes YOLO-OBB labels."""
    _write(out, CORNER_CELLS)


def _write(out: Outgoing, cells: int) -> None:
    scenes = out.scenes("corners" if cells == CORNER_CELLS else "box")
    for scene, size in out.sized(scenes):
        out.put_image(scene, inside(scene.split, "images", scene.name))
        lines = [_line(out, row, size, cells) + "\n" for row in scene.rows]
        out.put(inside(scene.split, "labels", f"{scene.stem}.txt"), "".join(lines))
    out.put("data.yaml", _settings(scenes, cells))


def _line(out: Outgoing, row: int, size: tuple[int, int], cells: int) -> str:
    height, width = size
    corners = [v / (height if i % 2 else width) for i, v in enumerate(out.corners[row])]
    x1, y1, x2, y2 = out.box[row]
    box = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
    if cells == CORNER_CELLS:
        return " ".join(("0", *(f"{v:.6f}" for v in corners)))
    line = " ".join(("0", *(f"{v:.6f}" for v in box)))
    if cells == BOX_CELLS:
        return line
    seen = out.has_corners[row]
    points = (f"{x:.6f} {y:.6f} 2" if seen else "0 0 0" for x, y in zip(corners[::2], corners[1::2], strict=True))
    return " ".join((line, *points))


def _settings(scenes: Sequence[OutgoingScene], cells: int) -> str:
    splits = list(dict.fromkeys(scene.split for scene in scenes))
    train = "train" if "train" in splits or not splits else splits[0]
    lines = [f"train: {inside(train, 'images', '').rstrip('/')}"]
    val = next((split for split in ("val", "test") if split in splits), train)
    lines.append(f"val: {inside(val, 'images', '').rstrip('/')}")
    lines += ["test: images/test"] if "test" in splits else []
    # A mirrored plate's left corners are the right ones.
    lines += ["kpt_shape: [4, 3]", "flip_idx: [1, 0, 3, 2]"] if cells == POSE_VISIBLE_CELLS else []
    return "\n".join((*lines, "names:", "  0: plate", ""))
