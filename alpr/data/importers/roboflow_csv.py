"""Roboflow's and TensorFlow's table of boxes: `filename,width,height,class,xmin,ymin,xmax,ymax` in pixels.

The file stands beside its photographs, in a folder of its split. An image without a row is not named, and so not known
to hold no plate. Source: Roboflow's export "Tensorflow Object Detection".
"""

from __future__ import annotations

from pathlib import Path

from alpr.data.importers.labels import Imported, Labels, Wanted, text_among
from alpr.data.importers.places import files_of, root_of, split_of_folders, split_of_name, tracked
from alpr.data.importers.text_files import header_of, read_rows

COLUMNS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
_SIDES = COLUMNS[4:]


def looks_like(source: Path) -> bool:
    """Whether a CSV file of the source has the columns."""
    return any(_is_boxes(path) for path in files_of(source, (".csv",), 20))


def _is_boxes(path: Path) -> bool:
    return set(header_of(path)) >= set(COLUMNS)


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every table of the source."""
    labels = Labels(root_of(source), wanted)
    for path in filter(_is_boxes, files_of(source, (".csv",))):
        split = split_of_folders(str(path.relative_to(labels.root))) or split_of_name(path.stem)
        for row in tracked(list(read_rows(path)), f"Reading {path.name}", "labels"):
            name, label = row.cells.get("filename", ""), row.cells.get("class", "")
            image = labels.located(name, path.parent, path.parent / "images") if name else ""
            if row.fault or not name:
                labels.reject(path, row.line, image, row.fault or "filename is empty")
                continue
            labels.declare(image, row.cells["width"], row.cells["height"])
            own = split or split_of_folders(name)
            try:
                box = [float(row.cells[side]) for side in _SIDES]
            except ValueError:
                reason = f"{', '.join(_SIDES)} are not four numbers"
                labels.add_fault(path, row.line, image, reason, label=label, split=own)
                continue
            labels.add(path, row.line, image, label=label, text=text_among(row.cells), split=own, box=box)
    return labels.finish()
