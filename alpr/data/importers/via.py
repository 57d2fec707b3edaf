"""VGG Image Annotator (VIA) 1 and 2: one JSON file for all photographs, with rectangles and polygons.

An image's `regions` are a list (VIA 2) or a table with numbers as keys (VIA 1); a saved project holds the images under
`_via_img_metadata`. A region's text and class stand among its `region_attributes`; a choice of several is
{"plate": true}. Source: VIA's own exports.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alpr.data.columns import ManifestError
from alpr.data.importers.labels import Imported, Labels, Wanted, country_among, text_among
from alpr.data.importers.outgoing import Outgoing, of_split, plain
from alpr.data.importers.places import files_of, root_of, split_of_folders, split_of_name, tracked
from alpr.data.importers.shapes import NOT_FOUR, ellipse_box, quad_or_hull
from alpr.data.importers.text_files import json_of

_CLASS_NAMES = ("label", "class", "type", "name", "category", "object")


def looks_like(source: Path) -> bool:
    """Whether a JSON file of the source holds VIA's images."""
    return any(_images(json_of(path)) for path in files_of(source, (".json",), 5))


def _images(content: Any) -> dict[str, Any]:
    """The images of a VIA file or project; none where it is something else."""
    if isinstance(content, dict) and isinstance(content.get("_via_img_metadata"), dict):
        content = content["_via_img_metadata"]
    if not isinstance(content, dict) or not content:
        return {}
    held = all(isinstance(entry, dict) and {"filename", "regions"} <= entry.keys() for entry in content.values())
    return content if held else {}


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every VIA file of the source."""
    labels = Labels(root_of(source), wanted)
    paths = [path for path in files_of(source, (".json",)) if _images(json_of(path))]
    if not paths:
        raise ManifestError(f"{source} holds no VIA file: no JSON of images with filename and regions.")
    for path in paths:
        whole = split_of_folders(str(path.relative_to(labels.root))) or split_of_name(path.stem)
        for entry in tracked(list(_images(json_of(path)).values()), f"Reading {path.name}", "images"):
            name = str(entry["filename"])
            image = labels.located(name, path.parent)
            split = whole or split_of_folders(name)
            regions = entry["regions"]
            regions = list(regions.values()) if isinstance(regions, dict) else regions
            if not isinstance(regions, list):
                labels.reject(path, 0, image, f"its regions are {regions!r}; expected a list")
                continue
            for number, region in enumerate(regions, start=1):
                add_region(labels, path, 0, image, split, region, f"region {number}: ")
            if not regions:
                labels.counts["{n} images without a region were taken to hold no plate."] += 1
                labels.add_empty(path, image, split)
    return labels.finish()


def add_region(
    labels: Labels, path: Path, line: int, image: str | Path, split: str, region: Any, name: str = ""
) -> None:
    """Adds a region, {"shape_attributes": ..., "region_attributes": ...}, of a JSON file or a table of VIA."""
    attributes = region.get("region_attributes") if isinstance(region, dict) else None
    attributes = attributes if isinstance(attributes, dict) else {}
    label = _class_of(attributes)
    try:
        box, corners = _place(labels, region["shape_attributes"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        labels.add_fault(path, line, image, f"{name}{error}", label=label, split=split)
        return
    labels.add(
        path,
        line,
        image,
        label=label,
        text=text_among(attributes),
        country=country_among(attributes),
        split=split,
        box=box,
        corners=corners,
    )


def _place(labels: Labels, shape: Mapping[str, Any]) -> tuple[list[float] | None, list[float] | None]:
    if shape["name"] == "rect":
        x, y, w, h = (float(shape[name]) for name in ("x", "y", "width", "height"))
        return [x, y, x + w, y + h], None
    if shape["name"] == "circle":
        x, y, r = (float(shape[name]) for name in ("cx", "cy", "r"))
        return ellipse_box(x, y, r, r), None
    if shape["name"] == "ellipse":
        x, y, rx, ry = (float(shape[name]) for name in ("cx", "cy", "rx", "ry"))
        return ellipse_box(x, y, rx, ry, math.degrees(float(shape.get("theta") or 0))), None
    if shape["name"] not in ("polygon", "polyline"):
        raise ValueError(f"a shape {shape['name']!r}; expected rect, polygon, circle or ellipse")
    pairs = zip(shape["all_points_x"], shape["all_points_y"], strict=True)
    box, corners = quad_or_hull([float(v) for pair in pairs for v in pair])
    if corners is None:
        labels.counts[NOT_FOUR] += 1
    return box, corners


def _class_of(attributes: Mapping[str, Any]) -> str | None:
    for name in _CLASS_NAMES:
        value = attributes.get(name)
        if isinstance(value, dict):
            value = next((key for key, chosen in value.items() if chosen), None)
        if isinstance(value, str) and value:
            return value
    return None


def write(out: Outgoing) -> None:
    """Writes one VIA 2 file into the folder of each split, beside its photographs."""
    for split, scenes in of_split(out.scenes("box")).items():
        prefix = f"{split}/" if split else ""
        content = {}
        for scene in scenes:
            out.put_image(scene, prefix + scene.name)
            size = scene.source.stat().st_size if scene.source.is_file() else -1
            regions = [_region(out, row) for row in scene.rows]
            entry = {"filename": scene.name, "size": size, "regions": regions, "file_attributes": {}}
            content[f"{scene.name}{size}"] = entry
        out.put_json(f"{prefix}via_region_data.json", content)


def _region(out: Outgoing, row: int) -> dict[str, Any]:
    attributes = {"label": "plate", "text": out.manifest.text[row], "country": out.manifest.country[row]}
    if out.has_corners[row]:
        points = plain(out.corners[row])
        shape: dict[str, Any] = {"name": "polygon", "all_points_x": points[::2], "all_points_y": points[1::2]}
    else:
        x1, y1, x2, y2 = out.box[row]
        x, y, w, h = plain((x1, y1, x2 - x1, y2 - y1))
        shape = {"name": "rect", "x": x, "y": y, "width": w, "height": h}
    return {"shape_attributes": shape, "region_attributes": attributes}
