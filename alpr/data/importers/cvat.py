"""CVAT for images 1.1: one XML file with shapes, and attributes for text and country.

A box may be turned by `rotation` degrees, clockwise about its middle; it then gives corners, as do a polygon or a
skeleton of four points. Masks and ellipses give boxes. A cuboid or a tag of a plate has no place that can be used: its
image is left out. `subset` names the split.
Source: the page on the XML annotation format of CVAT's documentation.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from alpr.data.columns import ManifestError
from alpr.data.importers.labels import Imported, Labels, Wanted, country_among, text_among
from alpr.data.importers.outgoing import Outgoing, OutgoingScene, inside
from alpr.data.importers.places import files_of, root_of, split_of_folders, split_of_name, tracked
from alpr.data.importers.shapes import (
    NOT_FOUR,
    corner_places,
    ellipse_box,
    hull,
    mask_box,
    quad_or_hull,
    turned_box,
)
from alpr.data.importers.text_files import first_lines, read_xml

_Place = tuple[list[float] | None, list[float] | None]


def looks_like(source: Path) -> bool:
    """Whether an XML file of the source is CVAT's."""
    return any("<annotations>" in "".join(first_lines(path, 3)) for path in files_of(source, (".xml",), 5))


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every CVAT file of the source."""
    labels = Labels(root_of(source), wanted)
    for path in files_of(source, (".xml",)):
        root = read_xml(path)
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
    labels.declare(image, element.get("width"), element.get("height"))
    shapes = [shape for shape in element if shape.get("label") is not None]
    for number, shape in enumerate(shapes, start=1):
        attributes = {a.get("name") or "": a.text or "" for a in shape.iter("attribute")}
        label = shape.get("label") or ""
        try:
            box, corners = _place(shape)
        except (ValueError, TypeError) as error:
            labels.add_fault(path, 0, image, f"{shape.tag} {number}: {error}", label=label, split=split)
            continue
        if corners is None and shape.tag in ("polygon", "polyline", "points", "skeleton"):
            labels.counts[NOT_FOUR] += 1
        labels.add(
            path,
            0,
            image,
            label=label,
            text=text_among(attributes),
            country=country_among(attributes),
            split=split,
            box=box,
            corners=corners,
        )
    if not shapes:
        labels.add_empty(path, image, split)


def _place(shape: Element) -> _Place:
    """The (box, corners) of a shape.

    Raises:
        ValueError, TypeError: a shape without a place, or coordinates that are missing or no numbers.
    """
    if shape.tag in ("polygon", "polyline", "points"):
        return quad_or_hull(_points(shape))
    if shape.tag == "skeleton":
        return _skeleton(shape)
    if shape.tag == "ellipse":
        cx, cy, rx, ry = _numbers(shape, "cx", "cy", "rx", "ry")
        return ellipse_box(cx, cy, rx, ry, float(shape.get("rotation") or 0)), None
    if shape.tag == "mask":
        left, top, width, height = map(int, _numbers(shape, "left", "top", "width", "height"))
        return mask_box([int(n) for n in (shape.get("rle") or "").split(",")], left, top, width, height), None
    if shape.tag != "box":
        raise ValueError("the shape gives no box and no corners; expected a box, polygon, skeleton, ellipse or mask")
    box = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
    angle = float(shape.get("rotation") or 0)
    return (None, turned_box(box, angle)) if angle else (box, None)


def _skeleton(shape: Element) -> _Place:
    """The corners of four points, in the order of their names where these say it; the box around another number."""
    elements = shape.findall("points")
    if any(element.get("outside") == "1" for element in elements):
        raise ValueError("a point of the skeleton lies outside the image")
    names = [element.get("label") or "" for element in elements]
    if len(elements) != 4:
        points = [v for element in elements for v in _points(element)]
        if not points:
            raise ValueError("the skeleton has no points")
        return hull(points), None
    order = corner_places(names)
    if order is None:
        # CVAT numbers the points, and writes them in any order
        numbered = all(name.isdecimal() for name in names) and len(set(names)) == 4
        order = sorted(range(4), key=lambda i: int(names[i])) if numbered else list(range(4))
    return None, [v for i in order for v in _points(elements[i])]


def _points(shape: Element) -> list[float]:
    pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";")]
    return [float(v) for x, y in pairs for v in (x, y)]


def _numbers(shape: Element, *names: str) -> list[float]:
    given = [shape.get(name) for name in names]
    if None in given:
        raise ValueError(f"a {shape.tag} without one of {', '.join(names)}")
    return [float(value or "") for value in given]


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
