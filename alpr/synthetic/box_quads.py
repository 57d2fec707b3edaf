"""The quad of a plate of which only the upright box is known, from the edges and the writing inside the box.

A plate hangs in its box: seen from nearly in front it is a parallelogram that touches all four sides. So two numbers
are sought, how far its rows rise across the box and how far its uprights lean, and the rest follows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from alpr.plates.geometry import box_corners
from alpr.plates.records import FloatArray, ImageArray

_INNER = (40, 120)
"""(height, width) px at which the inside of a box is looked at."""
_RISES = np.linspace(-0.8, 0.8, 55)
_LEANS = np.linspace(-0.42, 0.42, 29)
_Maps = npt.NDArray[np.float32]


class BoxQuad(NamedTuple):
    """A fitted quad."""

    corners: FloatArray  # (4, 2) float32 px, clockwise from the top left
    rise: float  # the rows' rise from the left to the right, as a fraction of the box's height; down is above 0
    lean: float  # how far the uprights lean, as a fraction of the box's width; the top to the left is above 0


def hanging_quad(box: FloatArray, rise: float, lean: float) -> FloatArray:
    """The parallelogram (4, 2) that touches the four sides of a box (4,).

    Args:
        rise: as in `BoxQuad`, -1..1. lean: the same, of the width.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    dy, dx = rise * (y2 - y1), lean * (x2 - x1)
    left, right = (max(0.0, -dy), max(0.0, dy))  # how far the ends of the top edge lie below the box's top
    top, bottom = (max(0.0, -dx), max(0.0, dx))
    height = y2 - y1 - abs(dy)
    width = x2 - x1 - abs(dx)
    return np.array(
        [
            [x1 + top, y1 + left],
            [x1 + top + width, y1 + right],
            [x1 + bottom + width, y1 + right + height],
            [x1 + bottom, y1 + left + height],
        ],
        np.float32,
    )


def fit_quad(image: ImageArray, box: FloatArray) -> BoxQuad:
    """The quad of the plate inside a box (4,) px of an image (H, W, 3).

    A box that shows too little, lies outside the image, or gives no clear answer is taken as it is.
    """
    patch = _patch(image, box)
    if patch is None:
        return BoxQuad(box_corners(np.asarray(box, np.float32)), 0.0, 0.0)
    aspect = float((box[2] - box[0]) / (box[3] - box[1]))
    rise = _best(_sharpness(_steepness(patch, 1), _shears(0)), _RISES, 0.10)
    level = _levelled(patch, rise)
    lean = _best(_sharpness(_steepness(level, 0), _shears(1)), _LEANS, 0.05) if aspect < 6 else 0.0
    return BoxQuad(hanging_quad(box, rise, lean), rise, lean)


def _patch(image: ImageArray, box: FloatArray) -> npt.NDArray[np.float32] | None:
    """The inside of the box, grey, evenly lit, at `_INNER`."""
    height, width = image.shape[:2]
    x1, y1 = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
    x2, y2 = min(width, int(np.ceil(box[2]))), min(height, int(np.ceil(box[3])))
    if x2 - x1 < 12 or y2 - y1 < 6:
        return None
    grey = cv2.cvtColor(image[y1:y2, x1:x2], cv2.COLOR_BGR2GRAY)
    shrinks = grey.shape[0] > _INNER[0]
    small = cv2.resize(grey, _INNER[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    patch = small.astype(np.float32)
    spread = float(patch.std())
    return np.asarray(patch / spread, np.float32) if spread > 4 else None


def _levelled(patch: npt.NDArray[np.float32], rise: float) -> npt.NDArray[np.float32]:
    """The patch with level rows, without what is above and below the plate then."""
    height, width = _INNER
    slope = rise * height / width
    matrix = np.array([[1, 0, 0], [slope, 1, -slope * width / 2]], np.float32)
    level = cv2.warpAffine(patch, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    outside = round(min(abs(rise), 0.7) * height / 2)
    level[:outside] = level[outside]
    level[height - outside :] = level[height - outside - 1]
    return np.asarray(level, np.float32)


def _steepness(patch: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    """Signed differences down (1) or along (0) the patch, strong ones limited."""
    dx, dy = (0, 1) if axis else (1, 0)
    return np.asarray(np.clip(cv2.Sobel(patch, cv2.CV_32F, dx, dy, ksize=3) / 4, -1.5, 1.5), np.float32)


@lru_cache(maxsize=2)
def _shears(axis: int) -> tuple[_Maps, ...]:
    """The affine matrices that undo each rise (0) or lean (1) about the patch's middle."""
    height, width = _INNER
    found = []
    for value in _RISES if axis == 0 else _LEANS:
        matrix = np.eye(2, 3, dtype=np.float32)
        if axis == 0:
            slope = value * height / width
            matrix[1, 0], matrix[1, 2] = slope, -slope * width / 2
        else:
            slope = value * width / height
            matrix[0, 1], matrix[0, 2] = slope, -slope * height / 2
        found.append(matrix)
    return tuple(found)


def _sharpness(steep: npt.NDArray[np.float32], shears: tuple[_Maps, ...]) -> FloatArray:
    """How sharply edges line up after each shear: the energy of the mean profile."""
    axis = 1 if shears is _shears(0) else 0
    scores = []
    for matrix in shears:
        flat = cv2.warpAffine(steep, matrix, _INNER[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        profile = cv2.reduce(flat, axis, cv2.REDUCE_AVG).ravel()
        scores.append(float(profile @ profile))
    return np.array(scores)


def _best(scores: FloatArray, values: FloatArray, prior: float) -> float:
    """The value of the highest score, small values preferred; between the steps by a parabola."""
    weighed = np.log(scores + 1e-9) - 0.5 * (values / (prior * 4)) ** 2
    i = int(np.clip(np.argmax(weighed), 1, len(values) - 2))
    a, b, c = weighed[i - 1 : i + 2]
    offset = 0.5 * (a - c) / min(a - 2 * b + c, -1e-9)
    return float(values[i] + np.clip(offset, -0.5, 0.5) * (values[1] - values[0]))
