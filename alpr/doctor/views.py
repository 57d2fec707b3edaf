"""The picture of a row: the plate and what surrounds it, with its corners, its box and a model's corners."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from alpr.doctor.findings import Finding
from alpr.doctor.table import DoctorTable
from alpr.images.prepare import read_image
from alpr.plates.geometry import corner_box
from alpr.plates.records import ImageArray
from alpr.reports.drawing import LINE, START

_OTHERS = (200, 140, 40)
"""BGR of a model's quad."""
_BOX = (60, 180, 60)
_CELL = (160, 300)
_IMAGE_RULES = frozenset({"leak-image", "leak-near", "duplicate-image", "near-duplicate", "image-in-tables"})


def views(table: DoctorTable, f: Finding) -> list[ImageArray]:
    """The row of a finding, and the one it is compared with where that is another image.

    Raises:
        UnreadableImage: one of them.
    """
    whole = f.rule in _IMAGE_RULES or f.rule == "box-whole-image"
    found = [view(table, f.index, f.place, whole)]
    if f.other >= 0 and table.paths[f.other] != table.paths[f.index]:
        found.append(view(table, f.other, (), whole))
    return found


def view(table: DoctorTable, index: int, place: Sequence[float], whole: bool) -> ImageArray:
    """The plate and what surrounds it, or the whole image: at most 160 x 300 px.

    Args:
        place: corners that a model gave, flat, px; empty for none.

    Raises:
        UnreadableImage: the row's image.
    """
    image = read_image(table.paths[index])
    model = np.array(place, np.float64).reshape(-1, 4, 2)
    label = table.quad(index)
    drawn = [*model, *([] if label is None else [label])]
    height, width = image.shape[:2]
    x1, y1, x2, y2 = 0.0, 0.0, float(width), float(height)
    if drawn and not whole:
        hull = corner_box(np.concatenate([model[0]] if len(model) else drawn))
        reach = 0.6 * float(max(hull[2] - hull[0], hull[3] - hull[1], 8))
        x1, y1 = np.clip(hull[:2] - reach, 0, (width - 1, height - 1)).tolist()
        x2, y2 = np.clip(hull[2:] + reach, (x1 + 1, y1 + 1), (max(width, x1 + 1), max(height, y1 + 1))).tolist()
    cut = image[int(y1) : max(int(y1) + 1, int(np.ceil(y2))), int(x1) : max(int(x1) + 1, int(np.ceil(x2)))]
    scale = min(_CELL[0] / cut.shape[0], _CELL[1] / cut.shape[1], 8.0)
    size = (max(1, int(cut.shape[1] * scale)), max(1, int(cut.shape[0] * scale)))
    shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    cell = np.asarray(cv2.resize(cut, size, interpolation=shrinks), dtype=np.uint8)
    quads = [(quad, _OTHERS) for quad in model] + ([] if label is None else [(label, LINE)])
    for quad, colour in quads:
        points = np.rint((quad - (int(x1), int(y1))) * scale).clip(-32000, 32000).astype(np.int32)
        cv2.polylines(cell, [points.reshape(-1, 1, 2)], True, colour, 1, cv2.LINE_AA)
        cv2.circle(cell, (int(points[0][0]), int(points[0][1])), 3, START, -1)
    box = table.box[index]
    if np.isfinite(box).all() and np.isfinite(table.corners[index]).all():
        ends = np.rint((box.reshape(2, 2) - (int(x1), int(y1))) * scale).clip(-32000, 32000).astype(int)
        cv2.rectangle(cell, tuple(ends[0].tolist()), tuple(ends[1].tolist()), _BOX, 1)
    return cell
