"""labelme: one JSON file beside each photograph, with shapes of points in continuous pixels.

A polygon of four points gives corners; a rectangle (two opposite points), a circle, a mask or another polygon a box.
A plate's text is read from the shape's `description`, from its `attributes`, or with `label_is_text` from its label.
Source: labelme's own files, versions 4 and 5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alpr.data.importers.labels import Imported, Labels, Wanted, country_among, text_among
from alpr.data.importers.outgoing import Outgoing, inside
from alpr.data.importers.places import files_of, root_of, split_of_folders, tracked
from alpr.data.importers.shapes import NOT_FOUR, hull, quad_or_hull
from alpr.data.importers.text_files import json_of

_POLYGONS = ("polygon", "linestrip", "rotation", "rotated_rectangle", "oriented_rectangle", "quadrilateral")


def looks_like(source: Path) -> bool:
    """Whether the first JSON files of the source are labelme's."""
    paths = files_of(source, (".json",), 3)
    return bool(paths) and all(_is_labelme(json_of(path)) for path in paths)


def _is_labelme(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every labelme file of the source."""
    labels = Labels(root_of(source), wanted)
    for path in tracked(files_of(source, (".json",)), "Reading labels", "files"):
        content = json_of(path)
        if not _is_labelme(content):
            labels.reject(path, 0, path.stem, "no labelme file: no JSON with shapes and imagePath")
            continue
        # labelme names the image relative to the JSON file, on Windows with backslashes.
        image = labels.files.of_stem(path.stem, path.parent) or labels.located(str(content["imagePath"]), path.parent)
        split = split_of_folders(str(path.relative_to(labels.root)))
        labels.declare(image, content.get("imageWidth"), content.get("imageHeight"))
        for number, shape in enumerate(content["shapes"], start=1):
            label = shape.get("label") if isinstance(shape, dict) else None
            try:
                _add(labels, path, image, split, shape)
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                reason = f"shape {number}: {error or 'no points'}"
                labels.add_fault(path, 0, image, reason, label=None if label is None else str(label), split=split)
        if not content["shapes"]:
            labels.add_empty(path, image, split)
    return labels.finish()


def _add(labels: Labels, path: Path, image: str | Path, split: str, shape: Mapping[str, Any]) -> None:
    points = [float(v) for point in shape["points"] for v in point[:2]]
    box: list[float] | None
    corners: list[float] | None
    kind = shape.get("shape_type") or "polygon"
    if kind in ("rectangle", "mask") and len(points) in (4, 8):
        box, corners = hull(points), None
    elif kind == "circle" and len(points) == 4:
        x, y, radius = points[0], points[1], math.dist(points[:2], points[2:])
        box, corners = [x - radius, y - radius, x + radius, y + radius], None
    elif kind in _POLYGONS and len(points) >= 6:
        box, corners = quad_or_hull(points)
        if corners is None:
            labels.counts[NOT_FOUR] += 1
    else:
        raise ValueError(f"a {kind} of {len(points) // 2} points; expected a rectangle or a polygon")
    attributes = shape.get("attributes") or {}
    text = text_among(attributes) or str(shape.get("description") or "")
    country = country_among(attributes)
    labels.add(
        path, 0, image, label=str(shape["label"]), text=text, country=country, split=split, box=box, corners=corners
    )


def write(out: Outgoing) -> None:
    """Writes a labelme file beside each photograph; texts become descriptions."""
    for scene, (height, width) in out.sized(out.scenes("box")):
        out.put_image(scene, inside(scene.split, scene.name))
        content: dict[str, Any] = {
            "version": "5.4.1",
            "flags": {},
            "shapes": [_shape(out, row) for row in scene.rows],
            "imagePath": scene.name,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        out.put_json(inside(scene.split, f"{scene.stem}.json"), content)


def _shape(out: Outgoing, row: int) -> dict[str, Any]:
    points = out.corners[row] if out.has_corners[row] else out.box[row]
    return {
        "label": "plate",
        "points": [[x, y] for x, y in zip(points[::2], points[1::2], strict=True)],
        "group_id": None,
        "description": out.manifest.text[row],
        "shape_type": "polygon" if out.has_corners[row] else "rectangle",
        "flags": {},
    }
