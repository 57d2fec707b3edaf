"""Boxes and corners of the shapes that labelling tools draw: polygons, turned boxes, ellipses, masks, named points."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from alpr.plates.geometry import box_corners

Numbers = Sequence[float]
NOT_FOUR = "{n} polygons have another number of points than four; the boxes around them stand."
_SHORT = {"topleft": 0, "tl": 0, "topright": 1, "tr": 1, "bottomright": 2, "br": 2, "bottomleft": 3, "bl": 3}
_SHORT |= {"lefttop": 0, "lt": 0, "righttop": 1, "rt": 1, "rightbottom": 2, "rb": 2, "leftbottom": 3, "lb": 3}
_SHORT |= {"upperleft": 0, "ul": 0, "upperright": 1, "ur": 1, "lowerright": 2, "lr": 2, "lowerleft": 3, "ll": 3}


def hull(points: Numbers) -> list[float]:
    """The upright box around points x, y, x, y, ..."""
    return [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])]


def quad_or_hull(points: list[float]) -> tuple[list[float] | None, list[float] | None]:
    """The (box, corners) that a polygon x, y, x, y, ... says: corners if it has four, else the box around it.

    Points that repeat each other count once, as does a last one that closes the polygon.
    """
    pairs = list(zip(points[::2], points[1::2], strict=True))
    distinct = [pair for pair, after in zip(pairs, pairs[1:] + pairs[:1], strict=True) if pair != after] or pairs[:1]
    return (None, [v for pair in distinct for v in pair]) if len(distinct) == 4 else (hull(points), None)


def corner_places(names: Sequence[object]) -> list[int] | None:
    """Where the top left, top right, bottom right and bottom left stand among four names; None if they say not."""
    places = [_SHORT.get(_plain(name)) for name in names]
    return [places.index(i) for i in range(4)] if sorted(p for p in places if p is not None) == [0, 1, 2, 3] else None


def is_corner_name(name: object) -> bool:
    """Whether a name is that of a corner."""
    return _plain(name) in _SHORT


def _plain(name: object) -> str:
    return re.sub(r"[\W_]+", "", str(name)).lower()


def turned_box(box: Numbers, degrees: float, about: tuple[float, float] | None = None) -> list[float]:
    """The corners of a box that is turned clockwise, as eight numbers.

    Args:
        about: the point that stays; the box's middle by default.
    """
    angle = math.radians(degrees)
    corners = box_corners(np.array(box, dtype=np.float64))
    centre = corners.mean(axis=0) if about is None else np.array(about)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned: list[float] = ((corners - centre) @ turn + centre).reshape(8).tolist()
    return turned


def ellipse_box(cx: float, cy: float, rx: float, ry: float, degrees: float = 0.0) -> list[float]:
    """The upright box around an ellipse that is turned."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    w, h = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    return [cx - w, cy - h, cx + w, cy + h]


def mask_box(lengths: Sequence[int], left: float, top: float, width: int, height: int) -> list[float]:
    """The box around a mask of run lengths in rows, background first, within a window.

    Raises:
        ValueError: lengths of another number of pixels than the window has, or an empty mask.
    """
    if min(width, height) < 1 or min(lengths, default=0) < 0 or sum(lengths) != width * height:
        raise ValueError(f"the mask has runs of {sum(lengths)} pixels; expected {width} x {height}")
    xs: list[int] = []
    ys: list[int] = []
    position = 0
    for k, length in enumerate(lengths):
        if k % 2 and length:
            last = position + length - 1
            ys += [position // width, last // width]
            over = ys[-2] != ys[-1]  # it then reaches the end of one row and the start of the next
            xs += [0, width - 1] if over else [position % width, last % width]
        position += length
    if not xs:
        raise ValueError("the mask is empty")
    return [left + min(xs), top + min(ys), left + max(xs) + 1, top + max(ys) + 1]
