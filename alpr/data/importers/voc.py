"""Pascal VOC: one XML file of boxes for each photograph.

VOC counts pixels from 1 and a box holds both its end pixels, so that 1, 1, 2, 2 is four pixels. Labelling tools often
write other numbers under the same names: where a coordinate of the data set is 0 or has decimals, or Label Studio wrote
it, all are taken as they stand. `difficult` marks a region to ignore. Source: the development kit documents of the
PASCAL VOC challenges.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from alpr.data.columns import ManifestError
from alpr.data.importers.labels import IGNORED, Imported, Labels, Wanted, text_among
from alpr.data.importers.outgoing import Outgoing, OutgoingScene, of_split
from alpr.data.importers.places import files_of, root_of, split_of_folders, tracked
from alpr.data.importers.text_files import first_lines, read_text, read_xml

_START = re.compile(r"<annotation[\s>]")
_FROM_0 = "Label Studio"
"""An owner that counts pixels from 0."""
_SIDES = ("xmin", "ymin", "xmax", "ymax")


class _Object(NamedTuple):
    file: Path
    image: str | Path
    label: str
    text: str
    split: str
    box: list[float]
    difficult: bool


def looks_like(source: Path) -> bool:
    """Whether the first XML files of the source are VOC annotations."""
    paths = files_of(source, (".xml",), 3)
    return bool(paths) and all(_START.search("".join(first_lines(path, 3))) for path in paths)


def read(source: Path, wanted: Wanted) -> Imported:
    """The plates of every annotation of the source."""
    labels = Labels(root_of(source), wanted)
    splits = _listed_splits(labels.root)
    objects: list[_Object] = []
    from_0 = False
    for path in tracked(files_of(source, (".xml",)), "Reading annotations", "files"):
        try:
            root = read_xml(path)
        except ManifestError as error:
            labels.reject(path, 0, labels.files.of_stem(path.stem, path.parent) or path.stem, str(error).rstrip("."))
            continue
        from_0 |= root.findtext("owner/name") == _FROM_0
        objects += _objects(labels, path, root, splits)
    numbers = [v for o in objects for v in o.box if math.isfinite(v)]
    as_they_stand = from_0 or any(v != int(v) for v in numbers) or any(0 in o.box[:2] for o in objects)
    if objects:
        how = (
            "hold a 0 or decimals, or come from Label Studio, and are taken as they stand"
            if as_they_stand
            else "count pixels from 1, as VOC does"
        )
        labels.notes.append(f"The coordinates {how}.")
    shift = 0 if as_they_stand else 1
    for o in objects:
        box = (o.box[0] - shift, o.box[1] - shift, o.box[2], o.box[3])
        extra = {"kind": IGNORED} if o.difficult else None
        labels.add(o.file, 0, o.image, label=o.label, text=o.text, split=o.split, box=box, extra=extra)
    return labels.finish()


def _objects(labels: Labels, path: Path, root: Element, splits: dict[str, str]) -> list[_Object]:
    name = (root.findtext("filename") or "").strip()
    found = labels.files.find(name, path.parent, path.parent.parent / "JPEGImages") if name else None
    found = found or labels.files.of_stem(path.stem, path.parent, path.parent.parent / "JPEGImages")
    image = found or labels.located(name or path.stem)
    split = splits.get(path.stem) or split_of_folders(str(path.relative_to(labels.root)))
    objects = []
    labels.declare(image, root.findtext("size/width"), root.findtext("size/height"))
    for element in root.iter("object"):
        label = (element.findtext("name") or "").strip()
        box = element.find("bndbox")
        try:
            values = [float(box.findtext(side) or "") for side in _SIDES] if box is not None else []
        except ValueError:
            values = []
        if not values:
            reason = f"an object has no box of the four numbers {', '.join(_SIDES)}"
            labels.add_fault(path, 0, image, reason, label=label, split=split)
            continue
        attributes = {a.findtext("name") or "": a.findtext("value") for a in element.iter("attribute")}
        difficult = (element.findtext("difficult") or "0").strip() in ("1", "true", "True")
        objects.append(_Object(path, image, label, text_among(attributes), split, values, difficult))
    if root.find("object") is None:
        labels.add_empty(path, image, split)
    return objects


def _listed_splits(root: Path) -> dict[str, str]:
    folder = root / "ImageSets" / "Main"
    return {
        line.split()[0]: split
        for split in ("train", "val", "test")
        if (folder / f"{split}.txt").is_file()
        for line in read_text(folder / f"{split}.txt").splitlines()
        if line.strip()
    }


def write(out: Outgoing) -> None:
    """Writes `Annotations`, `JPEGImages` and the lists of `ImageSets/Main`, in whole pixels counted from 1."""
    scenes = out.scenes("box")
    for scene, size in out.sized(scenes):
        out.put_image(scene, f"JPEGImages/{scene.name}")
        out.put(f"Annotations/{scene.stem}.xml", _annotation(out, scene, size))
    for split, members in of_split(scenes).items():
        if split:
            out.put(f"ImageSets/Main/{split}.txt", "".join(f"{scene.stem}\n" for scene in members))


def _annotation(out: Outgoing, scene: OutgoingScene, size: tuple[int, int]) -> str:
    root = Element("annotation")
    for name, value in (("folder", "JPEGImages"), ("filename", scene.name)):
        ElementTree.SubElement(root, name).text = value
    dimensions = ElementTree.SubElement(root, "size")
    for name, number in (("width", size[1]), ("height", size[0]), ("depth", 3)):
        ElementTree.SubElement(dimensions, name).text = str(number)
    ElementTree.SubElement(root, "segmented").text = "0"
    for row in scene.rows:
        element = ElementTree.SubElement(root, "object")
        difficult = str(int(out.ignored[row]))
        for name, value in (("name", "plate"), ("pose", "Unspecified"), ("truncated", "0"), ("difficult", difficult)):
            ElementTree.SubElement(element, name).text = value
        x1, y1, x2, y2 = out.whole(out.box[row])
        box = ElementTree.SubElement(element, "bndbox")
        for side, number in zip(_SIDES, (x1 + 1, y1 + 1, x2, y2), strict=True):
            ElementTree.SubElement(box, side).text = str(number)
    ElementTree.indent(root, "\t")
    return ElementTree.tostring(root, encoding="unicode") + "\n"
