"""The corners by which a labelled plate is cut: true ones, those a detector finds, or an upright box.

Training and evaluation ask the same function, so that a crop means the same in both.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from alpr.data.manifest import csv_bytes
from alpr.files import LIST_BYTES, open_regular_text, write_atomically
from alpr.images.prepare import UnreadableImage, read_image
from alpr.plates.geometry import box_corners, box_iou, corner_box
from alpr.plates.records import Detection, FloatArray, ImageArray, Plate, Scene
from alpr.reports.progress import progress_bar

CORNERS, BOX, DETECTOR = "corners", "box", "detector"
CROPS = (CORNERS, BOX, DETECTOR)
"""Where a crop's corners come from."""
SAME_PLATE = 0.5
"""The hull IoU above which a detection is the labelled plate."""
Detect: TypeAlias = Callable[[Sequence[ImageArray]], list[list[Detection]]]

_HEADER = ("image", "plate", *(f"{axis}{i}" for i in range(1, 5) for axis in "xy"))
_AT_ONCE, _BETWEEN_WRITES = 8, 512


def crop_corners(plate: Plate, crops: str, detected: FloatArray | None = None) -> FloatArray | None:
    """The corners (4, 2) px to cut a labelled plate by, or None where this source knows none.

    Args:
        crops: CORNERS for the labelled corners, BOX for the labelled box (else the hull of the corners), DETECTOR for
            what a detector found.
        detected: the corners of the detection that is this plate.

    Raises:
        ValueError: another source.
    """
    if crops == CORNERS:
        return plate.corners
    if crops == BOX:
        box = plate.box if plate.box is not None or plate.corners is None else corner_box(plate.corners)
        return None if box is None else box_corners(box)
    if crops == DETECTOR:
        return detected
    raise ValueError(f"crops is {crops!r}; expected one of {', '.join(CROPS)}.")


def matched_corners(found: Sequence[Detection], plates: Sequence[Plate]) -> list[FloatArray | None]:
    """The corners of the detection that is each plate (hull IoU > 0.5, one to one, best first), or None."""
    result: list[FloatArray | None] = [None] * len(plates)
    hulls = {i: corner_box(h) for i, p in enumerate(plates) if not p.ignored and (h := hull_of(p)) is not None}
    if not (hulls and found):
        return result
    known = list(hulls)
    predicted = np.stack([corner_box(np.asarray(d.corners)) for d in found])
    ious = np.nan_to_num(box_iou(predicted, np.stack(list(hulls.values()))))
    used: set[int] = set()
    for flat in np.argsort(-ious, axis=None, kind="stable").tolist():
        detection, number = divmod(flat, len(known))
        if ious[detection, number] <= SAME_PLATE:
            break
        if detection not in used and result[known[number]] is None:
            used.add(detection)
            result[known[number]] = np.asarray(found[detection].corners, np.float32)
    return result


def hull_of(plate: Plate) -> FloatArray | None:
    """The labelled corners (4, 2), or those of the box; None where there is neither."""
    return plate.corners if plate.corners is not None else crop_corners(plate, BOX)


FoundCorners: TypeAlias = Mapping[Path, Mapping[int, FloatArray]]
"""By image, the found corners by the plate's number in its scene; an image that was looked at is there."""


def find_corners(detect: Detect, scenes: Sequence[Scene], table: Path) -> FoundCorners:
    """Looks for the located plates of scenes, each image once, with a progress bar.

    What is found is kept in a table; the next call with the same table goes on from it.

    Args:
        table: CSV; a row for every plate found, and one without a plate for an image in which none was.

    Raises:
        ValueError: a table that this function did not write.
        NotWritten: a full disk, or a folder that cannot be written to.
    """
    found = read_found(table)
    wanted = [
        scene for scene in scenes if scene.image not in found and any(hull_of(p) is not None for p in scene.plates)
    ]
    if not wanted:
        return found
    table.parent.mkdir(parents=True, exist_ok=True)
    unsaved = 0
    with progress_bar("images") as progress:
        task = progress.add_task("finding corners", total=len(wanted))
        try:
            for start in range(0, len(wanted), _AT_ONCE):
                _look(detect, wanted[start : start + _AT_ONCE], found)
                done = min(_AT_ONCE, len(wanted) - start)
                progress.advance(task, done)
                unsaved += done
                if unsaved >= _BETWEEN_WRITES:
                    _write_found(found, table)
                    unsaved = 0
        finally:
            _write_found(found, table)
    return found


def _look(detect: Detect, scenes: Sequence[Scene], found: dict[Path, dict[int, FloatArray]]) -> None:
    images: list[ImageArray] = []
    read: list[Scene] = []
    for scene in scenes:
        try:
            images.append(read_image(scene.image))
            read.append(scene)
        except UnreadableImage:  # it is counted where crops are drawn, with its row
            found[scene.image] = {}
    for scene, detections in zip(read, detect(images) if images else [], strict=True):
        corners = matched_corners(detections, scene.plates)
        found[scene.image] = {i: quad for i, quad in enumerate(corners) if quad is not None}


def read_found(table: Path) -> dict[Path, dict[int, FloatArray]]:
    """The corners in a table of `find_corners`; none where there is no table yet.

    Raises:
        ValueError: another kind of table.
    """
    found: dict[Path, dict[int, FloatArray]] = {}
    if not table.is_file():
        return found
    with open_regular_text(table, LIST_BYTES, newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if tuple(header) != _HEADER:
            raise ValueError(f"{table} has the columns {header}; expected those of found corners, {list(_HEADER)}.")
        for image, plate, *numbers in rows:
            plates = found.setdefault(Path(image), {})
            if plate:
                plates[int(plate)] = np.array(numbers, np.float32).reshape(4, 2)
    return found


def _write_found(found: FoundCorners, table: Path) -> None:
    rows: list[tuple[object, ...]] = []
    for image, plates in found.items():
        rows += [(image, i, *quad.ravel().tolist()) for i, quad in plates.items()] or [(image, *[""] * 9)]
    write_atomically(table, [csv_bytes([_HEADER]), csv_bytes(rows)], sync=False)
