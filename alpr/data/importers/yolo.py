"""YOLO label files: boxes, boxes with four key points (YOLO-pose), four corners (YOLO-OBB) and polygons (YOLO-seg).

A photograph `images/train/a.jpg` has the labels `labels/train/a.txt` (or, as Darknet keeps them, `a.txt` beside it);
a line is `class cx cy w h`, followed by `x y` or `x y visibility` of each key point, or `class x y x y x y ...`. A
polygon of six points has as many cells as a box with four key points: key points lie in their box. Predictions have a
confidence behind the box, which is not read. All coordinates are shares of the image's width and height. An image
without labels is known to be empty. The names of the classes stand in `data.yaml`, `classes.txt` or `obj.names`.
Source: the data set pages of Ultralytics' documentation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import yaml

from alpr.data.columns import ManifestError
from alpr.data.importers.labels import Imported, Labels, Wanted
from alpr.data.importers.outgoing import Outgoing, OutgoingScene, inside
from alpr.data.importers.places import files_of, image_size, images_by_stem, root_of, split_of_folders, tracked
from alpr.data.importers.shapes import NOT_FOUR, hull, quad_or_hull
from alpr.data.importers.text_files import first_lines, read_text
from alpr.images.prepare import UnreadableImage

BOX_CELLS, SCORED_BOX_CELLS, CORNER_CELLS, POSE_CELLS, POSE_VISIBLE_CELLS = 5, 6, 9, 13, 17
_WIDTHS = {
    "yolo": {BOX_CELLS, SCORED_BOX_CELLS},
    "yolo-pose": {POSE_CELLS, POSE_VISIBLE_CELLS},
    "yolo-obb": {CORNER_CELLS},
    "yolo-seg": {BOX_CELLS, *range(7, 20_001, 2)},
}
_EXPECTED = {
    "yolo": "5, or 6 with a confidence",
    "yolo-pose": "13 or 17",
    "yolo-obb": "9",
    "yolo-seg": "1 and twice the number of points",
}
_NEARLY_ALL = 0.9
_NEAR = 0.005
"""How far a key point may lie from its box beside a tenth of the box, as a share of the image."""
_NO_CORNERS = "{n} boxes have not all four key points; they stand without corners."
_NO_LABELS = {"classes", "train", "val", "valid", "test", "readme", "notes", "license", "requirements", "obj"}


def read_boxes(source: Path, wanted: Wanted) -> Imported:
    """The plates of YOLO box labels."""
    return _read(source, wanted, "yolo")


def read_pose(source: Path, wanted: Wanted) -> Imported:
    """The plates of YOLO-pose labels with four key points, with or without their visibility."""
    return _read(source, wanted, "yolo-pose")


def read_obb(source: Path, wanted: Wanted) -> Imported:
    """The plates of YOLO-OBB labels."""
    return _read(source, wanted, "yolo-obb")


def read_polygons(source: Path, wanted: Wanted) -> Imported:
    """The plates of YOLO-seg labels: corners of polygons of four points, else the boxes around them."""
    return _read(source, wanted, "yolo-seg")


def looks_like_boxes(source: Path) -> bool:
    """Whether the first label files hold YOLO boxes."""
    return _kind(source) == "yolo"


def looks_like_pose(source: Path) -> bool:
    """Whether the first label files hold boxes with four key points in them."""
    return _kind(source) == "yolo-pose"


def looks_like_obb(source: Path) -> bool:
    """Whether the first label files hold rows of four corners."""
    return _kind(source) == "yolo-obb"


def looks_like_polygons(source: Path) -> bool:
    """Whether the first label files hold polygons."""
    return _kind(source) == "yolo-seg"


def _kind(source: Path) -> str:
    """Which of the four the first label files hold; "" where they hold something else."""
    root = _root(source)
    lines = [line.split() for path in _label_files(root, 40)[:20] for line in first_lines(path)]
    try:
        rows = [list(map(float, cells)) for cells in lines]
    except ValueError:
        return ""
    if not root.is_dir() or not rows or not all(map(_has_form, rows)):
        return ""
    widths = set(map(len, rows))
    if widths <= _WIDTHS["yolo-pose"] and _are_poses(rows):
        return "yolo-pose"
    unsure = [row for row in rows if len(row) in _WIDTHS["yolo-pose"]]
    if sum(map(_is_polygon, unsure)) < _NEARLY_ALL * len(unsure):
        return ""  # such as plates' corners in the boxes of cars
    return next((kind for kind in ("yolo", "yolo-obb", "yolo-seg") if widths <= _WIDTHS[kind]), "")


def _has_form(row: Sequence[float]) -> bool:
    return len(row) >= BOX_CELLS and row[0].is_integer() and not any(abs(v) > 2 for v in row[1:])


def has_cells(line: str, kind: str) -> bool:
    """Whether a line has the form of one of the four: `yolo`, `yolo-pose`, `yolo-obb` or `yolo-seg`."""
    try:
        row = list(map(float, line.split()))
    except ValueError:
        return False
    if not row or not _has_form(row) or len(row) not in _WIDTHS[kind]:
        return False
    return len(row) not in _WIDTHS["yolo-pose"] or (_in_box(row) if kind == "yolo-pose" else _is_polygon(row))


def _is_polygon(row: Sequence[float]) -> bool:
    """Whether the first two points of a row lie near the others, as they would not if they were a box."""
    if not all(-0.05 <= v <= 1.05 for v in row[1:]):
        return False
    x1, y1, x2, y2 = hull(row[5:])
    w, h = x2 - x1, y2 - y1
    return all(abs(x - (x1 + x2) / 2) <= 1.5 * w and abs(y - (y1 + y2) / 2) <= 1.5 * h for x, y in (row[1:3], row[3:5]))


def _are_poses(rows: Sequence[Sequence[float]]) -> bool:
    """Whether the key points of nearly all rows lie in their boxes."""
    return sum(map(_in_box, rows)) >= _NEARLY_ALL * len(rows)


def _in_box(row: Sequence[float]) -> bool:
    """Whether the labelled key points of a row of POSE_CELLS or POSE_VISIBLE_CELLS lie in or near the box they fill."""
    cx, cy, w, h = row[1:5]
    step = 3 if len(row) == POSE_VISIBLE_CELLS else 2
    points = row[5:]
    if step == 3 and not all(v in (0, 1, 2) for v in points[2::3]):
        return False  # the third number is no visibility
    seen = [k for k in range(0, len(points), step) if (points[k + 2] if step == 3 else any(points[k : k + 2]))]
    if not seen:
        return True
    across, down = [abs(points[k] - cx) for k in seen], [abs(points[k + 1] - cy) for k in seen]
    inside = max(across) <= 0.6 * w + _NEAR and max(down) <= 0.6 * h + _NEAR
    return inside and (len(seen) < 4 or (max(across) >= 0.35 * w and max(down) >= 0.35 * h))


def _root(source: Path) -> Path:
    return source.parent if source.suffix in (".yaml", ".yml") else source


def _label_files(root: Path, limit: int | None = None) -> list[Path]:
    files = files_of(root, (".txt",), limit)
    below_labels = [path for path in files if "labels" in path.relative_to(root_of(root)).parts[:-1]]
    if root.name != "labels" and below_labels:
        return below_labels
    return [path for path in files if path.stem.lower() not in _NO_LABELS]


def _read(source: Path, wanted: Wanted, kind: str) -> Imported:
    root = _root(source)
    names = _class_names(root)
    files = _label_files(root)
    if root.name == "labels" and (root.parent / "images").is_dir():
        root = root.parent
    labels = Labels(root_of(root), wanted)
    labelled: dict[Path, set[str]] = {}
    if kind == "yolo-pose":
        _check_poses(files)
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
        _read_file(labels, path, image, size, names, kind)
    for folder, stems in labelled.items():
        for stem, name in images_by_stem(folder).items():
            if stem not in stems:
                labels.counts["{n} images have no label file, which says in YOLO that they hold no plate."] += 1
                labels.add_empty(folder, folder / name, split_of_folders(str((folder / name).relative_to(root))))
    return labels.finish()


def _check_poses(files: Sequence[Path]) -> None:
    """Raises:
    ManifestError: rows whose key points lie elsewhere than in their boxes, which are polygons.
    """
    rows = []
    for path in files:
        for line in read_text(path).splitlines():
            try:
                row = list(map(float, line.split()))
            except ValueError:
                continue
            if len(row) in _WIDTHS["yolo-pose"]:
                rows.append(row)
    if rows and not _are_poses(rows):
        bad = sum(not _in_box(row) for row in rows)
        raise ManifestError(
            f"{files[0].parent} holds no YOLO-pose: in {bad:,} of {len(rows):,} rows the key points lie outside their "
            "box, as in rows of polygons; read those with --from yolo-seg."
        )


def _read_file(
    labels: Labels, path: Path, image: Path, size: tuple[int, int], names: dict[int, str], kind: str
) -> None:
    split = split_of_folders(str(path.relative_to(labels.root) if path.is_relative_to(labels.root) else path))
    lines = read_text(path).splitlines()
    if not any(map(str.strip, lines)):
        labels.add_empty(path, image, split)
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if not cells:
            continue
        index = cells[0].removesuffix(".0")
        label = index if index in labels.wanted.classes or not index.isdecimal() else names.get(int(index), index)
        try:
            box, corners = _place(cells, size, kind)
        except ValueError as error:
            known = label if index.isdecimal() else None
            labels.add_fault(path, number, image, str(error), label=known, split=split)
            continue
        if len(cells) == SCORED_BOX_CELLS:
            labels.counts["{n} boxes carry a confidence, as predictions do; it was not read."] += 1
        elif corners is None and len(cells) > BOX_CELLS:
            labels.counts[NOT_FOUR if kind == "yolo-seg" else _NO_CORNERS] += 1
        labels.add(path, number, image, label=label, split=split, box=box, corners=corners)


def _place(cells: Sequence[str], size: tuple[int, int], kind: str) -> tuple[list[float] | None, list[float] | None]:
    """The (box, corners) of a line.

    Raises:
        ValueError: another number of cells, cells that are no shares, or key points far from their box.
    """
    if len(cells) not in _WIDTHS[kind]:
        raise ValueError(f"the line has {len(cells)} cells; expected {_EXPECTED[kind]}")
    try:
        row = list(map(float, cells))
    except ValueError:
        raise ValueError(f"the line holds {' '.join(cells)!r}; expected numbers") from None
    values = row[1:]
    if not row[0].is_integer():
        raise ValueError(f"the line begins with {cells[0]}; expected the number of a class")
    if not all(abs(v) <= 2 for v in values):
        worst = next(v for v in values if not abs(v) <= 2)
        if not math.isfinite(worst):
            raise ValueError(f"the line holds {worst}; expected numbers")
        raise ValueError(f"the line holds {worst:g}; expected shares of the image's width and height")
    height, width = size
    if kind in ("yolo-obb", "yolo-seg") and len(cells) > BOX_CELLS:
        points = [v * (height if i % 2 else width) for i, v in enumerate(values)]
        return (None, points) if kind == "yolo-obb" else quad_or_hull(points)
    cx, cy, w, h = values[:4]
    box = [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height]
    if kind != "yolo-pose":
        return box, None
    if not _in_box(row):
        raise ValueError("the key points lie outside their box")
    step = 3 if len(cells) == POSE_VISIBLE_CELLS else 2
    points = values[4:]
    seen = all(v > 0 for v in points[2::3]) if step == 3 else any(points)
    if not seen:
        return box, None
    return box, [v for x, y in zip(points[::step], points[1::step], strict=True) for v in (x * width, y * height)]


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
