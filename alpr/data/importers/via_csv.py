"""VIA 2's table: a row for each region, whose shape and attributes are JSON in cells.

The columns: filename, file_size, file_attributes, region_count, region_id, region_shape_attributes, region_attributes.
A row with an empty shape names an image without a region. Source: VIA's own exports.
"""

from __future__ import annotations

import json
from pathlib import Path

from alpr.data.importers.labels import Imported, Labels, Wanted
from alpr.data.importers.places import files_of, root_of, split_of_folders, split_of_name, tracked
from alpr.data.importers.text_files import header_of, read_rows
from alpr.data.importers.via import add_region

_SHAPE, _ATTRIBUTES = "region_shape_attributes", "region_attributes"


def looks_like(source: Path) -> bool:
    """Whether a CSV file of the source is VIA's."""
    return any(_is_table(path) for path in files_of(source, (".csv",), 20))


def _is_table(path: Path) -> bool:
    # VIA wrote "#filename" at first
    return {name.lstrip("#") for name in header_of(path)} >= {"filename", _SHAPE, _ATTRIBUTES}


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every table of the source."""
    labels = Labels(root_of(source), wanted)
    for path in filter(_is_table, files_of(source, (".csv",))):
        whole = split_of_folders(str(path.relative_to(labels.root))) or split_of_name(path.stem)
        for row in tracked(list(read_rows(path)), f"Reading {path.name}", "regions"):
            name = row.cells.get("filename") or row.cells.get("#filename") or ""
            image = labels.located(name, path.parent) if name else ""
            if row.fault or not name:
                labels.reject(path, row.line, image, row.fault or "filename is empty")
                continue
            split = whole or split_of_folders(name)
            try:
                shape, attributes = (json.loads(row.cells[column] or "{}") for column in (_SHAPE, _ATTRIBUTES))
            except ValueError as error:
                labels.reject(path, row.line, image, f"{_SHAPE} or {_ATTRIBUTES} is no JSON: {error}")
                continue
            if shape:
                region = {"shape_attributes": shape, "region_attributes": attributes}
                add_region(labels, path, row.line, image, split, region)
            else:
                labels.counts["{n} images without a region were taken to hold no plate."] += 1
                labels.add_empty(path, image, split)
    return labels.finish()
