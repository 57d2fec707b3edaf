"""CVAT for images 1.1: one XML file with boxes, polygons and points, and attributes for text and country.

A box may be turned by `rotation` degrees, clockwise about its middle; it then gives corners. `subset` names the split.
Source: the page on the XML annotation format of CVAT's documentation.
"""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from alpr.data.columns import ManifestError
from alpr.data.importers.labels import Imported, Labels, Wanted, country_among, quad_or_hull, text_among
from alpr.data.importers.outgoing import Outgoing, OutgoingScene, inside
from alpr.data.importers.places import (
    files_of,
    first_lines,
    read_text,
    root_of,
    split_of_folders,
    split_of_name,
    tracked,
)
from alpr.plates.geometry import box_corners

_SHAPES = ("polygon", "polyline", "points")


def looks_like(source: Path) -> bool:
    """Whether an XML file of the source is CVAT's."""
    return any("<annotations>" in "".join(first_lines(path, 3)) for path in files_of(source, (".xml",), 5))


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every CVAT file of the source."""
    labels = Labels(root_of(source), wanted)
    for path in files_of(source, (".xml",)):
        try:
            root = ElementTree.fromstring(read_text(path))
        except ElementTree.ParseError as error:
            raise ManifestError(f"{path} is no XML: {error}.") from error
        if root.find("track") is not None:
            raise ManifestError(f"{path} holds tracks of a video; export the task as 'CVAT for images'.")
        for element in tracked(root.findall("image"), f"Reading {path.name}", "images"):
            _read_image(labels, path, element)
    return labels.finish()


def _read_image(labels: Labels, path: Path, element: Element) -> None:
    name, subset = element.get("name") or "", element.get("subset") or ""
    near = [path.parent / "images" / subset, path.parent / "images", path.parent / subset]
    image = labels.located(name, *near)
    split = split_of_name(subset) or split_of_folders(name)
    shapes = [shape for shape in element if shape.tag == "box" or shape.tag in _SHAPES]
    for number, shape in enumerate(shapes, start=1):
        attributes = {a.get("name") or "": a.text or "" for a in shape.findall("attribute")}
        try:
            box, corners = _place(shape)
        except (ValueError, TypeError) as error:
            labels.reject(path, 0, image, f"{shape.tag} {number}: {error}")
            continue
        if corners is None and shape.tag != "box":
            labels.counts["{n} shapes have another number of points than four; the boxes around them stand."] += 1
        labels.add(
            path,
            0,
            image,
            label=shape.get("label") or "",
            text=text_among(attributes),
            country=country_among(attributes),
            split=split,
            box=box,
            corners=corners,
        )
    if not shapes:
        labels.add_empty(path, image, split)


def _place(shape: Element) -> tuple[list[float] | None, list[float] | None]:
    """The (box, corners) of a shape.

    Raises:
        ValueError, TypeError: coordinates that are missing or no numbers.
    """
    if shape.tag != "box":
        pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";")]
        return quad_or_hull([float(v) for x, y in pairs for v in (x, y)])
    given = [shape.get(side) for side in ("xtl", "ytl", "xbr", "ybr")]
    if None in given:
        raise ValueError("a box without one of xtl, ytl, xbr, ybr")
    box = [float(value or "") for value in given]
    angle = math.radians(float(shape.get("rotation") or 0))
    if not angle:
        return box, None
    corners = box_corners(np.array(box))
    middle = corners.mean(axis=0)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return None, ((corners - middle) @ turn + middle).reshape(8).tolist()


def write(out: Outgoing) -> None:
    """Writes `annotations.xml` and `images`: polygons where there are corners, else boxes."""
    root = Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    for number, (scene, size) in enumerate(out.sized(out.scenes("box"))):
        out.put_image(scene, inside(scene.split, "images", scene.name))
        root.append(_image(out, scene, size, number))
    ElementTree.indent(root)
    out.put(
        "annotations.xml", '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"
    )


def _image(out: Outgoing, scene: OutgoingScene, size: tuple[int, int], number: int) -> Element:
    subset = {"subset": scene.split} if scene.split else {}
    dimensions = {"width": str(size[1]), "height": str(size[0])}
    element = Element("image", {"id": str(number), "name": scene.name, **subset, **dimensions})
    for row in scene.rows:
        shown = {"label": "plate", "source": "manual", "occluded": "0"}
        if out.has_corners[row]:
            values = [repr(v) for v in out.corners[row]]
            shown["points"] = ";".join(f"{x},{y}" for x, y in zip(values[::2], values[1::2], strict=True))
        else:
            shown |= dict(zip(("xtl", "ytl", "xbr", "ybr"), map(repr, out.box[row]), strict=True))
        shape = ElementTree.SubElement(element, "polygon" if out.has_corners[row] else "box", {**shown, "z_order": "0"})
        for name, cell in (("text", out.manifest.text[row]), ("country", out.manifest.country[row])):
            ElementTree.SubElement(shape, "attribute", {"name": name}).text = cell
    return element
