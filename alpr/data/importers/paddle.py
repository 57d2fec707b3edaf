"""PaddleOCR's lists: of detection (image, tab, JSON of texts and quads) and of recognition (crop, tab, text).

A detection line is `images/a.jpg<TAB>[{"transcription": "AB123", "points": [[x, y], ...]}]`; the transcriptions `###`
and `*` mark regions to ignore. The text of a `difficult` entry is not read, nor is PPOCRLabel's placeholder. Source:
PaddleOCR's documents on data sets for text detection and recognition.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alpr.data.importers.labels import IGNORED, Imported, Labels, Wanted
from alpr.data.importers.outgoing import Outgoing, OutgoingScene, inside, of_split, plain
from alpr.data.importers.places import files_of, root_of, split_of_folders, split_of_name, tracked
from alpr.data.importers.shapes import NOT_FOUR, quad_or_hull
from alpr.data.importers.text_files import first_lines, read_text
from alpr.images.prepare import IMAGE_SUFFIXES
from alpr.plates.geometry import box_corners

_IGNORE = ("###", "*")
_PLACEHOLDERS = ("待识别", "待識別", "TEMPORARY")
"""What PPOCRLabel writes for a box that nobody has read yet."""
_LOOKED_AT = 50


def looks_like_detection(source: Path) -> bool:
    """Whether a text of the source is a list for detection."""
    return bool(_lists(source, True, _LOOKED_AT))


def looks_like_recognition(source: Path) -> bool:
    """Whether a text of the source is a list for recognition, and none is one for detection."""
    return bool(_lists(source, False, _LOOKED_AT)) and not _lists(source, True, _LOOKED_AT)


def _lists(source: Path, detection: bool, limit: int | None = None) -> list[Path]:
    return [path for path in files_of(source, (".txt",), limit) if _is_list(path, detection)]


def _is_list(path: Path, detection: bool) -> bool:
    lines = [line.split("\t") for line in first_lines(path)]
    return bool(lines) and all(
        len(cells) == 2
        and Path(cells[0].strip()).suffix.lower() in IMAGE_SUFFIXES
        and cells[1].lstrip().startswith("[") == detection
        for cells in lines
    )


def read_detection(source: Path, wanted: Wanted) -> Imported:
    """The plates of the source's lists for detection."""
    labels = Labels(root_of(source), wanted)
    for path in _lists(source, True):
        for number, line in enumerate(tracked(read_text(path).splitlines(), f"Reading {path.name}", "images"), start=1):
            name, _, content = line.partition("\t")
            if not line.strip():
                continue
            image = labels.located(name, path.parent, path.parent.parent)
            split = split_of_name(path.stem) or split_of_folders(name)
            try:
                entries = json.loads(content)
                for entry in entries:
                    _add(labels, path, number, image, split, entry)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                labels.reject(path, number, image, f"no JSON list of transcription and points: {error}")
                continue
            if not entries:
                labels.add_empty(path, image, split)
    return labels.finish()


def _add(labels: Labels, path: Path, number: int, image: str | Path, split: str, entry: dict[str, Any]) -> None:
    box, corners = quad_or_hull([float(v) for point in entry["points"] for v in point])
    if corners is None:
        labels.counts[NOT_FOUR] += 1
    text = str(entry["transcription"])
    ignored = text in _IGNORE
    if entry.get("difficult") and text and not ignored:
        labels.counts["{n} texts are marked as difficult; their places stand without a text."] += 1
        text = ""
    elif text.strip() in _PLACEHOLDERS:
        labels.counts["{n} texts are PPOCRLabel's placeholder for one not read yet; their places stand alone."] += 1
        text = ""
    labels.add(
        path,
        number,
        image,
        text="" if ignored else text,
        split=split,
        box=box,
        corners=corners,
        extra={"kind": IGNORED} if ignored else None,
    )


def read_recognition(source: Path, wanted: Wanted) -> Imported:
    """The crops of the source's lists for recognition, with their texts."""
    labels = Labels(root_of(source), wanted)
    for path in _lists(source, False):
        for number, line in enumerate(tracked(read_text(path).splitlines(), f"Reading {path.name}", "crops"), start=1):
            name, tab, text = line.partition("\t")
            if not line.strip():
                continue
            if not tab or not text.strip():
                labels.reject(path, number, name, "no text after a tab")
                continue
            if text.strip() in _PLACEHOLDERS:
                labels.reject(path, number, name, "the text is PPOCRLabel's placeholder for one not read yet")
                continue
            image = labels.located(name, path.parent, path.parent.parent)
            labels.add(path, number, image, text=text, split=split_of_name(path.stem) or split_of_folders(name))
    return labels.finish()


def write_detection(out: Outgoing) -> None:
    """Writes `det_gt_<split>.txt`; a plate without corners gets those of its box."""
    for split, scenes in of_split(out.scenes("box")).items():
        lines = []
        for scene in scenes:
            name = out.put_image(scene, inside(split, "images", scene.name))
            entries = [_entry(out, row) for row in scene.rows]
            lines.append(f"{name}\t{json.dumps(entries, ensure_ascii=False)}\n")
        out.put(f"det_gt_{split or 'all'}.txt", "".join(lines))


def _entry(out: Outgoing, row: int) -> dict[str, Any]:
    points = out.corners[row]
    if not out.has_corners[row]:
        points = box_corners(out.manifest.box[row]).reshape(8).tolist()
        out.counts["{n} boxes were written as quads; read back they are corners."] += 1
    text = "###" if out.ignored[row] else out.manifest.text[row]
    if not text:
        out.counts["{n} plates without a text were written with an empty transcription."] += 1
    pairs = plain(points)
    quad = [[x, y] for x, y in zip(pairs[::2], pairs[1::2], strict=True)]
    return {"transcription": text, "points": quad, "difficult": out.ignored[row]}


def write_recognition(out: Outgoing) -> None:
    """Writes `rec_gt_<split>.txt`: of every image that shows one plate, its text."""
    for split, scenes in of_split(crops(out)).items():
        lines = []
        for scene in scenes:
            name = out.put_image(scene, inside(split, "images", scene.name))
            lines.append(f"{name}\t{out.manifest.text[scene.rows[0]]}\n")
        out.put(f"rec_gt_{split or 'all'}.txt", "".join(lines))


def crops(out: Outgoing) -> list[OutgoingScene]:
    """The images of one plate each, for formats that list crops; photographs with more are left out and counted."""
    found = []
    for scene in out.scenes("text"):
        if len(scene.rows) != 1:
            out.counts["{n} images with several plates were left out; cut the plates out first."] += 1
            continue
        if out.has_box[scene.rows[0]]:
            out.counts["{n} images are photographs, where the format means crops; cut the plates out first."] += 1
        found.append(scene)
    return found
