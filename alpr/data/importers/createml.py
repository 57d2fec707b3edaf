"""Apple's Create ML: a JSON list of images, each with boxes by their middle, width and height in pixels.

Source: the page on object detectors' data of Create ML's documentation; Roboflow writes `_annotations.createml.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alpr.data.importers.labels import Imported, Labels, Wanted, text_among
from alpr.data.importers.places import files_of, root_of, split_of_folders, split_of_name, tracked
from alpr.data.importers.text_files import json_of

_IMAGE_NAMES = ("image", "imagefilename", "filename")


def looks_like(source: Path) -> bool:
    """Whether a JSON file of the source is Create ML's."""
    return any(_is_list(json_of(path)) for path in files_of(source, (".json",), 5))


def _is_list(content: Any) -> bool:
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        return False
    boxes = [box for entry in content for box in _boxes(entry)]
    return bool(boxes) and all(map(_image_of, content)) and isinstance(boxes[0], dict) and "coordinates" in boxes[0]


def _image_of(entry: Mapping[str, Any]) -> str:
    return next((str(entry[k]) for k in _IMAGE_NAMES if entry.get(k)), "")


def _boxes(entry: Mapping[str, Any]) -> list[Any]:
    boxes = entry.get("annotations", entry.get("annotation"))
    return boxes if isinstance(boxes, list) else []


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every Create ML file of the source."""
    labels = Labels(root_of(source), wanted)
    for path in files_of(source, (".json",)):
        content = json_of(path)
        if not _is_list(content):
            continue
        whole = split_of_folders(str(path.relative_to(labels.root))) or split_of_name(path.stem)
        for entry in tracked(content, f"Reading {path.name}", "images"):
            name = _image_of(entry)
            image = labels.located(name, path.parent, path.parent / "images")
            split = whole or split_of_folders(name)
            for number, box in enumerate(_boxes(entry), start=1):
                _add(labels, path, image, split, number, box)
            if not _boxes(entry):
                labels.add_empty(path, image, split)
    return labels.finish()


def _add(labels: Labels, path: Path, image: str | Path, split: str, number: int, entry: Any) -> None:
    label = str(entry["label"]) if isinstance(entry, dict) and entry.get("label") is not None else None
    try:
        x, y, w, h = (float(entry["coordinates"][name]) for name in ("x", "y", "width", "height"))
    except (ValueError, TypeError, KeyError) as error:
        reason = f"box {number}: coordinates are not x, y, width and height: {error}"
        labels.add_fault(path, 0, image, reason, label=label, split=split)
        return
    box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    labels.add(path, 0, image, label=label, text=text_among(entry), split=split, box=box)
