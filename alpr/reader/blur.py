"""Plates made unreadable in a copy of an image, so that it may be shown or kept. What is covered cannot be restored."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from alpr.plates.geometry import plate_height
from alpr.plates.records import FloatArray, ImageArray

MARGIN = 0.25
"""Of a plate's height, covered around it on every side: a detector's corners may lie a little inside."""
FEATHER = 0.2
"""Of a plate's height: the width of the edge behind the margin in which the picture returns."""
CELLS = 2
"""Each covered area is reduced to this many means along each side; a mean spans about four characters."""
LEVELS = 16
"""Of each mean, per colour: what is left of a plate is its colour and the light on it."""


def blur_plates(image: ImageArray, quads: Sequence[FloatArray]) -> ImageArray:
    """A copy of the image in which nothing inside the quads is left but four rounded means of each.

    A Gaussian blur or small cells can be undone, or matched against all texts in the plate's typeface. Here a plate
    becomes 2x2 means of 16 levels each, spread smoothly; the margin is covered as well, and the edge is soft.

    Args:
        quads: corners (4, 2) px each; they may lie outside the image.
    """
    canvas = image.copy()
    for quad in quads:
        _cover(canvas, np.asarray(quad, np.float64))
    return canvas


def _cover(canvas: ImageArray, quad: FloatArray) -> None:
    height = max(4.0, float(plate_height(quad.astype(np.float32))))
    feather = max(1, round(FEATHER * height))
    covered, soft = (_grown(quad, reach) for reach in (MARGIN * height, MARGIN * height + feather))
    limits = np.array([canvas.shape[1], canvas.shape[0]])
    x1, y1 = np.clip(np.floor(soft.min(axis=0)) - feather, 0, limits).astype(int)
    x2, y2 = np.clip(np.ceil(soft.max(axis=0)) + feather, 0, limits).astype(int)
    if x2 <= x1 or y2 <= y1:
        return
    area, corner = canvas[y1:y2, x1:x2], np.array([x1, y1])
    inside = _mask(covered - corner, area.shape)
    size = 2 * feather + 1
    edge = cv2.blur(_mask(soft - corner, area.shape).astype(np.float32), (size, size))
    share = np.maximum(edge, inside)[..., None]  # within the margin nothing of the picture is left
    area[:] = np.rint(share * _means(area, inside) + (1 - share) * area).astype(np.uint8)


def _means(area: ImageArray, inside: ImageArray) -> FloatArray:
    """The area's (h, w, 3) colours from a few rounded means of what is inside the mask."""
    plain = area.astype(np.float32)
    whole = plain[inside > 0].mean(axis=0) if inside.any() else plain.mean(axis=(0, 1))
    plain[inside == 0] = whole
    cells = cv2.resize(plain, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    step = 256 / LEVELS
    rounded = np.floor(cells / step) * step + step / 2
    return np.asarray(cv2.resize(rounded, (area.shape[1], area.shape[0]), interpolation=cv2.INTER_LINEAR))


def _mask(quad: FloatArray, shape: tuple[int, ...]) -> ImageArray:
    """1 inside the hull of the quad, 0 outside: (h, w) uint8."""
    mask = np.zeros(shape[:2], np.uint8)
    hull = cv2.convexHull(np.clip(np.rint(quad), -(1 << 14), 1 << 14).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 1)
    return np.asarray(mask, np.uint8)


def _grown(quad: FloatArray, reach: float) -> FloatArray:
    """The corners moved outwards along both of the quad's directions by `reach` px."""
    along = quad[1] + quad[2] - quad[0] - quad[3]
    down = quad[3] + quad[2] - quad[0] - quad[1]
    along, down = (v / max(1e-6, float(np.hypot(*v))) for v in (along, down))
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return np.asarray(quad + reach * (signs[:, :1] * along + signs[:, 1:] * down))
