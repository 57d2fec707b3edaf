"""Open Images: a CSV file of boxes in shares of the image's size.

Columns among others: ImageID, LabelName, XMin, XMax, YMin, YMax, IsGroupOf. Plates are `/m/01jfm_`, "Vehicle
registration plate"; `class-descriptions*.csv` beside the file names the other classes. An image with only other classes
is not known to hold no plate and is left out; a group becomes a region to ignore. Other tools write sets of their own
in this form, with names for codes (`/m/...`) and the tables in a folder beside that of the images; there the class is
taken whose name says that it is plates. Source: the data format page of the Open Images web site.
"""

from __future__ import annotations

import csv
from pathlib import Path

from alpr.data.importers.labels import IGNORED, Imported, Labels, Wanted
from alpr.data.importers.outgoing import Outgoing, inside, of_split
from alpr.data.importers.places import files_of, image_size, root_of, split_of_name, tracked
from alpr.data.importers.text_files import first_lines, read_text
from alpr.images.prepare import UnreadableImage

PLATE = "/m/01jfm_"
_PLATE_NAME = "Vehicle registration plate"
COLUMNS = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax")
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
NEEDED = {"ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"}


def looks_like(source: Path) -> bool:
    """Whether a CSV file of the source has the columns."""
    return any(_is_boxes(path) for path in files_of(source, (".csv",), 20))


def _is_boxes(path: Path) -> bool:
    lines = first_lines(path, 1)
    return bool(lines) and set(lines[0].split(",")) >= NEEDED


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every file of boxes of the source."""
    tables = list(filter(_is_boxes, files_of(source, (".csv",))))
    rows_of = {path: list(csv.DictReader(read_text(path).splitlines())) for path in tables}
    own = any(not (row["LabelName"] or "/").startswith("/") for rows in rows_of.values() for row in rows)
    known = () if own else (_PLATE_NAME,)
    labels = Labels(root_of(source), wanted, others_mean_empty=False, known_plates=known)
    names = {PLATE: _PLATE_NAME}
    for path in sorted(labels.root.rglob("*class-descriptions*.csv")):
        names |= {cells[0]: cells[1] for cells in csv.reader(read_text(path).splitlines()) if len(cells) > 1}
    names[PLATE] = _PLATE_NAME  # "Plate" is a dish there
    for path, rows in rows_of.items():
        split = split_of_name(path.stem)
        parts = [part for part in (split, path.stem.split("-")[0], f"images/{split}", "images", "data") if part]
        near = [folder / part for folder in dict.fromkeys((path.parent, labels.root)) for part in parts]
        sizes: dict[str, tuple[Path, tuple[int, int]] | str] = {}
        asked = set(wanted.classes)
        for number, row in enumerate(tracked(rows, f"Reading {path.name}", "labels"), start=2):
            identity, code = row["ImageID"] or "", row["LabelName"] or ""
            label = code if code in asked else names.get(code, code)
            if not asked and not wanted.label_is_text and not own and code != PLATE:
                labels.add(path, number, identity, label=label)  # counted as left out; its image need not be there
                continue
            if identity not in sizes:
                sizes[identity] = _open(labels, identity, near)
            opened = sizes[identity]
            if isinstance(opened, str):
                labels.reject(path, number, identity, opened)
                continue
            image, (height, width) = opened
            try:
                x1, x2, y1, y2 = (float(row[side]) for side in ("XMin", "XMax", "YMin", "YMax"))
            except (TypeError, ValueError):
                labels.reject(path, number, image, "XMin, XMax, YMin, YMax are not four numbers")
                continue
            if not all(0 <= v <= 1 for v in (x1, x2, y1, y2)):
                labels.reject(path, number, image, f"the box holds {x1:g} {x2:g} {y1:g} {y2:g}; expected shares 0 to 1")
                continue
            box = (x1 * width, y1 * height, x2 * width, y2 * height)
            extra = {"kind": IGNORED} if row.get("IsGroupOf") == "1" else None
            labels.add(path, number, image, label=label, split=split, box=box, extra=extra)
    return labels.finish()


def _open(labels: Labels, identity: str, near: list[Path]) -> tuple[Path, tuple[int, int]] | str:
    image = labels.files.of_stem(identity, *near)
    if image is None:
        return "its image was not found; its size is needed"
    try:
        return image, image_size(image)
    except UnreadableImage as error:
        return str(error).rstrip(".")


def write(out: Outgoing) -> None:
    """Writes `<split>-annotations-bbox.csv` and the photographs in a folder of the split."""
    for split, scenes in of_split(out.scenes("box")).items():
        rows: list[list[object]] = [[*COLUMNS, *FLAGS]]
        for scene, (height, width) in out.sized(scenes):
            out.put_image(scene, inside(split, scene.name) if split else f"images/{scene.name}")
            for row in scene.rows:
                x1, y1, x2, y2 = out.box[row]
                shares = [f"{v:.6f}" for v in (x1 / width, x2 / width, y1 / height, y2 / height)]
                group = int(out.ignored[row])
                rows.append([scene.stem, "xclick", PLATE, 1, *shares, 0, 0, group, 0, 0])
        out.put_csv(f"{split + '-' if split else ''}annotations-bbox.csv", rows)
    out.put_csv("class-descriptions-boxable.csv", [[PLATE, "Vehicle registration plate"]])
