"""COCO instances: boxes, four key points, and segmentation polygons of four points.

`annotations/instances_train.json` holds `images`, `annotations` and `categories`; a box is x, y, width, height in
continuous pixels; key points are x, y, visibility (0 is not labelled). A plate's text and country stand in
`attributes`, as CVAT writes them, and there a `rotation` in degrees turns the box about its middle. `iscrowd` marks a
region to ignore. Source: the data format page of cocodataset.org.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alpr.data.columns import ManifestError
from alpr.data.importers.labels import (
    IGNORED,
    Imported,
    Labels,
    Wanted,
    country_among,
    text_among,
)
from alpr.data.importers.outgoing import Outgoing, inside, of_split, plain
from alpr.data.importers.places import files_of, root_of, split_of_folders, split_of_name, tracked
from alpr.data.importers.shapes import NOT_FOUR, corner_places, quad_or_hull, turned_box
from alpr.data.importers.text_files import json_of, read_json
from alpr.plates.geometry import signed_area

CORNER_NAMES = ("top_left", "top_right", "bottom_right", "bottom_left")


def looks_like(source: Path) -> bool:
    """Whether a JSON file of the source holds COCO's three lists."""
    return any(_is_coco(json_of(path)) for path in files_of(source, (".json",), 5))


def _is_coco(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and all(isinstance(content.get(k), list) for k in ("images", "categories"))
        and (isinstance(content.get("annotations"), list))
    )


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every COCO file of the source."""
    labels = Labels(root_of(source), wanted)
    if labels.root.name == "annotations":
        labels = Labels(labels.root.parent, wanted)
    paths = [path for path in files_of(source, (".json",)) if _is_coco(json_of(path))]
    if not paths:
        raise ManifestError(f"{source} holds no COCO file: no JSON with images, annotations and categories.")
    for path in paths:
        _read_file(labels, path)
    return labels.finish()


def _read_file(labels: Labels, path: Path) -> None:
    content = read_json(path)
    whole = split_of_name(path.stem) or split_of_folders(str(path.relative_to(labels.root)))
    near = [labels.root / part for part in (f"images/{whole}", "images", whole, path.stem.split("_")[-1]) if part]
    categories: dict[str, Mapping[str, Any]] = {
        _identity(c.get("id")): c for c in content["categories"] if isinstance(c, dict)
    }
    images: dict[str, tuple[str | Path, str]] = {}
    twice: set[str] = set()
    for entry in content["images"]:
        if not isinstance(entry, dict):
            labels.reject(path, 0, "", f"the image {entry!r} is no table of its id and file_name")
            continue
        name, identity = entry.get("file_name"), _identity(entry.get("id"))
        if not name or not isinstance(name, str):
            labels.reject(path, 0, "", f"the image {entry.get('id')} has no file_name")
            continue
        image = labels.located(name, path.parent, *near)
        if images.setdefault(identity, (image, whole or split_of_folders(name)))[0] != image:
            twice.add(identity)
            labels.reject(path, 0, image, f"its id {entry.get('id')} belongs to another image too")
        labels.declare(image, entry.get("width"), entry.get("height"))
    for identity in twice:
        labels.reject(path, 0, images[identity][0], f"its id {identity} belongs to another image too")
    unlabelled = dict(images)
    lost = 0
    for entry in tracked(content["annotations"], f"Reading {path.name}", "labels"):
        entry = entry if isinstance(entry, dict) else {}
        identity = _identity(entry.get("image_id"))
        image, split = images.get(identity, ("", ""))
        unlabelled.pop(identity, None)
        if not image:
            lost += 1
            labels.reject(path, 0, "", f"annotation {entry.get('id')}: no image {entry.get('image_id')!r}")
            continue
        _add(labels, path, image, split, entry, categories.get(_identity(entry.get("category_id"))))
    for image, split in unlabelled.values():
        if lost:
            reason = f"it has no label, and {lost:,} labels of the file belong to no image: it may hold a plate"
            labels.reject(path, 0, image, reason)
        else:
            labels.add_empty(path, image, split)


def _identity(value: Any) -> str:
    """An id in one spelling: 1, "1" and 1.0 are the same."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()


def _add(
    labels: Labels,
    path: Path,
    image: str | Path,
    split: str,
    entry: Mapping[str, Any],
    category: Mapping[str, Any] | None,
) -> None:
    if category is None:
        reason = f"annotation {entry.get('id')}: no category {entry.get('category_id')!r}"
        labels.add_fault(path, 0, image, reason, split=split)
        return
    label = str(category.get("name", category.get("id")))
    attributes = entry.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    try:
        box, corners = _place(labels, entry, attributes, category)
    except (ValueError, TypeError) as error:
        labels.add_fault(path, 0, image, f"annotation {entry.get('id')}: {error}", label=label, split=split)
        return
    labels.add(
        path,
        0,
        image,
        label=label,
        text=text_among(attributes) or text_among(entry),
        country=country_among(attributes),
        split=split,
        box=box,
        corners=corners,
        extra={"kind": IGNORED} if entry.get("iscrowd") or entry.get("ignore") else None,
    )


def _place(
    labels: Labels, entry: Mapping[str, Any], attributes: Mapping[str, Any], category: Mapping[str, Any]
) -> tuple[list[float] | None, list[float] | None]:
    """The (box, corners) of an annotation.

    Raises:
        ValueError, TypeError: coordinates that are no numbers, or another number of them.
    """
    given = entry.get("bbox")
    box: list[float] | None = None
    if given:
        if len(given) != 4:
            raise ValueError(f"bbox has {len(given)} numbers; expected x, y, width, height")
        x, y, w, h = map(float, given)
        box = [x, y, x + w, y + h]
    points = _key_points(labels, entry.get("keypoints") or [], category)
    if points is not None:
        return box, points
    corners: list[float] | None = None
    polygons = entry.get("segmentation")
    if isinstance(polygons, list) and len(polygons) == 1:
        around, corners = quad_or_hull(list(map(float, polygons[0])))
        box = box or around
        if corners is None:
            labels.counts[NOT_FOUR] += 1
    angle = float(attributes.get("rotation") or 0)
    if box and angle and corners is None:
        return None, turned_box(box, angle)
    return box, corners


def _key_points(labels: Labels, values: list[Any], category: Mapping[str, Any]) -> list[float] | None:
    """Four labelled key points as eight numbers, brought into our order where the category names them; or None."""
    if not values or not any(values):
        return None
    if len(values) != 12 or not all(values[2::3]):
        labels.counts["{n} sets of key points are not four that are all labelled; they were left out."] += 1
        return None
    order = corner_places(category.get("keypoints") or []) or range(4)
    return [float(values[3 * k + axis]) for k in order for axis in (0, 1)]


def write(out: Outgoing) -> None:
    """Writes one COCO file for each split, with boxes, key points and polygons of four points."""
    for split, scenes in of_split(out.scenes("box")).items():
        images, annotations = [], []
        for number, (scene, (height, width)) in enumerate(out.sized(scenes), start=1):
            out.put_image(scene, inside(split, "images", scene.name))
            images.append({"id": number, "file_name": scene.name, "height": height, "width": width})
            annotations += [_annotation(out, row, number) for row in scene.rows]
        for number, annotation in enumerate(annotations, start=1):
            annotation["id"] = number
        category = {"id": 1, "name": "plate", "supercategory": "vehicle", "keypoints": CORNER_NAMES}
        category["skeleton"] = [[1, 2], [2, 3], [3, 4], [4, 1]]
        out.put_json(
            f"annotations/instances_{split or 'default'}.json",
            {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": [category]},
        )


def _annotation(out: Outgoing, row: int, image: int) -> dict[str, Any]:
    x1, y1, x2, y2 = out.box[row]
    annotation: dict[str, Any] = {
        "id": 0,
        "image_id": image,
        "category_id": 1,
        "bbox": plain((x1, y1, x2 - x1, y2 - y1)),
        "area": (x2 - x1) * (y2 - y1),
        "iscrowd": int(out.ignored[row]),
        "attributes": {"text": out.manifest.text[row], "country": out.manifest.country[row]},
    }
    if out.has_corners[row]:
        corners = plain(out.corners[row])
        points = zip(corners[::2], corners[1::2], strict=True)
        annotation |= {
            "segmentation": [corners],
            "keypoints": [v for x, y in points for v in (x, y, 2)],
            "num_keypoints": 4,
            "area": signed_area(out.manifest.corners[row]),
        }
    return annotation
