"""UFPR-ALPR and RodoSol-ALPR: a text of `name: value` lines beside each photograph of one Brazilian vehicle.

UFPR-ALPR gives `plate`, and `corners` as `x,y x,y x,y x,y` or (in its first edition) `position_plate` as `x y width
height`; its folders are training, validation and testing. RodoSol-ALPR gives `type`, `plate`, `layout` and `corners`;
its `split.txt` names the split of each image. A hyphen in a plate's text is taken out. Source: their READMEs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from alpr.data.importers.labels import Imported, Labels, Wanted
from alpr.data.importers.outgoing import Outgoing, OutgoingScene
from alpr.data.importers.places import files_of, root_of, split_of_folders, split_of_name, tracked
from alpr.data.importers.text_files import first_lines, read_text

_UFPR_KEPT = {"camera": "camera", "type": "vehicle"}
_RODOSOL_KEPT = {"type": "vehicle", "layout": "layout"}
_UFPR_FOLDERS = {"train": "training", "val": "validation", "test": "testing"}


def looks_like_ufpr(source: Path) -> bool:
    """Whether the first texts of the source name a plate and a camera, or a plate and its position."""
    return _looks_like(source, lambda found: "plate" in found and bool({"camera", "position_plate"} & found))


def looks_like_rodosol(source: Path) -> bool:
    """Whether the first texts of the source name a plate, its layout and its corners."""
    return _looks_like(source, lambda found: {"plate", "layout", "corners"} <= found)


def _looks_like(source: Path, has: Callable[[set[str]], bool]) -> bool:
    paths = [path for path in files_of(source, (".txt",), 12) if path.name != "split.txt"][:3]
    return bool(paths) and all(has(set(_values(first_lines(path, 30)))) for path in paths)


def read_ufpr(source: Path, wanted: Wanted) -> Imported:
    """The plates of UFPR-ALPR texts."""
    return _read(source, wanted, _UFPR_KEPT)


def read_rodosol(source: Path, wanted: Wanted) -> Imported:
    """The plates of RodoSol-ALPR texts."""
    return _read(source, wanted, _RODOSOL_KEPT)


def _values(lines: list[str]) -> dict[str, str]:
    pairs = (line.strip().partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}


def _read(source: Path, wanted: Wanted, kept: Mapping[str, str]) -> Imported:
    labels = Labels(root_of(source), wanted)
    splits = _listed_splits(labels.root)
    for path in tracked(files_of(source, (".txt",)), "Reading labels", "files"):
        if path.name == "split.txt":
            continue
        values = _values(read_text(path).splitlines())
        image = labels.files.of_stem(path.stem, path.parent) or labels.located(f"{path.stem}.jpg", path.parent)
        box = corners = None
        try:
            if "corners" in values:
                corners = [float(v) for v in values["corners"].replace(",", " ").split()]
                if len(corners) != 8:
                    raise ValueError
            if "position_plate" in values:
                x, y, w, h = map(float, values["position_plate"].split())
                box = (x, y, x + w, y + h)
        except ValueError:
            labels.reject(path, 0, image, "corners are not four points x,y, or position_plate is not x y width height")
            continue
        text = values.get("plate", "")
        if not text:
            labels.reject(path, 0, image, "the text has no line 'plate: ...'")
            continue
        labels.add(
            path,
            0,
            image,
            text=text.replace("-", ""),
            country="BR",
            split=splits.get(path.stem) or split_of_folders(str(path.relative_to(labels.root))),
            box=box,
            corners=corners,
            extra={column: values[name] for name, column in kept.items() if values.get(name)},
        )
    return labels.finish()


def _listed_splits(root: Path) -> dict[str, str]:
    """The splits of RodoSol's list, `./images/cars-br/img_000001.jpg;training` each line: {stem: split}."""
    path = root / "split.txt"
    if not path.is_file():
        return {}
    pairs = [line.strip().partition(";") for line in read_text(path).splitlines() if line.strip()]
    return {Path(name).stem: split_of_name(split) for name, _, split in pairs}


def write_ufpr(out: Outgoing) -> None:
    """Writes UFPR-ALPR texts below training, validation and testing."""
    cameras = out.manifest.extra.get("camera", [""] * out.manifest.rows)
    for scene in _of_one_plate(out):
        row = scene.rows[0]
        place = f"{_UFPR_FOLDERS.get(scene.split, scene.split or 'training')}/"
        out.put_image(scene, place + scene.name)
        # Its first edition's line is added: readers of it look for that, and it holds a plate without corners.
        x1, y1, x2, y2 = out.whole(out.box[row])
        lines = [f"camera: {cameras[row]}", f"plate: {out.manifest.text[row]}"]
        if out.has_corners[row]:
            lines.append(f"corners: {_points(out, row)}")
        lines.append(f"position_plate: {x1} {y1} {x2 - x1} {y2 - y1}")
        out.put(f"{place}{scene.stem}.txt", "\n".join(lines) + "\n")


def write_rodosol(out: Outgoing) -> None:
    """Writes RodoSol-ALPR texts in `images`, and `split.txt`."""
    extra = {name: out.manifest.extra.get(name, [""] * out.manifest.rows) for name in _RODOSOL_KEPT.values()}
    listed = []
    for scene in _of_one_plate(out, need_corners=True):
        row = scene.rows[0]
        out.put_image(scene, f"images/{scene.name}")
        lines = (
            f"type: {extra['vehicle'][row] or 'car'}",
            f"plate: {out.manifest.text[row]}",
            f"layout: {extra['layout'][row] or 'Brazilian'}",
            f"corners: {_points(out, row)}",
        )
        out.put(f"images/{scene.stem}.txt", "\n".join(lines) + "\n")
        listed.append(f"./images/{scene.name};{_UFPR_FOLDERS.get(scene.split, scene.split)}\n")
    out.put("split.txt", "".join(listed))


def _points(out: Outgoing, row: int) -> str:
    values = out.whole(out.corners[row])
    return " ".join(f"{x},{y}" for x, y in zip(values[::2], values[1::2], strict=True))


def _of_one_plate(out: Outgoing, need_corners: bool = False) -> list[OutgoingScene]:
    found = []
    for scene in out.scenes("corners" if need_corners else "box"):
        if len(scene.rows) != 1 or not out.manifest.text[scene.rows[0]]:
            out.counts["{n} images were left out: the format holds one plate with a text for each."] += 1
        else:
            found.append(scene)
    return found
