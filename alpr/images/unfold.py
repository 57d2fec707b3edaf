"""A plate of two rows of characters as a crop of one: cut between its rows, the lower one laid behind the upper one.

So a recogniser of one row reads plates of two. Where the rows part is a fraction of the crop's height, the `cut`.
"""

from __future__ import annotations

import cv2
import numpy as np

from alpr.plates.records import FloatArray, ImageArray

OVERLAP = 0.0125
"""Of the folded crop's height: each row keeps so much beyond the cut, since a cut is seldom exact."""


def in_crop(cut: float, margin: float) -> float:
    """Where two rows part as a fraction of a crop's height, of one of the plate's height.

    Args:
        margin: the fraction of the crop that is left around the plate on every side.
    """
    return margin + (1 - 2 * margin) * cut


def folded_size(size: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) of the crop that is unfolded to a size: as many pixels, twice as high and half as wide."""
    return 2 * size[0], size[1] // 2


def unfolded(folded: ImageArray, cut: float) -> ImageArray:
    """A crop (2h, w, 3) of two rows as one of (h, 2w, 3), each row stretched to the height.

    Args:
        cut: where the rows part, as a fraction of the height, 0..1.
    """
    height, width = folded.shape[:2]
    upper = min(max(1, round((cut + OVERLAP) * height)), height)
    lower = min(max(0, round((cut - OVERLAP) * height)), height - 1)
    size = (width, height // 2)
    rows = [cv2.resize(row, size, interpolation=cv2.INTER_LINEAR) for row in (folded[:upper], folded[lower:])]
    return np.asarray(np.concatenate(rows, axis=1), dtype=np.uint8)


def unfolded_places(places: FloatArray, cut: float) -> FloatArray:
    """Where characters stand after unfolding: (N, 4) x1, y1, x2, y2 as fractions of the crop, before and after.

    A character belongs to the row in which its middle lies.
    """
    x1, y1, x2, y2 = np.asarray(places, np.float32).reshape(-1, 4).T
    below = (y1 + y2) / 2 > cut
    top = np.where(below, cut - OVERLAP, 0.0)
    height = np.where(below, 1.0 - top, cut + OVERLAP)
    beside = 0.5 * below
    moved = (x1 / 2 + beside, (y1 - top) / height, x2 / 2 + beside, (y2 - top) / height)
    return np.stack(moved, axis=1).astype(np.float32)
