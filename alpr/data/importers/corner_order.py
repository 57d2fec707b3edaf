"""Quads in any order, brought to ours where the geometry decides; what it does not decide stays and is counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alpr.data.columns import Booleans, Floats, convex_clockwise

NEARLY_SQUARE = 1.25
"""Below this ratio of the sides the longer one does not tell which way the text runs."""


@dataclass(frozen=True)
class Mended:
    """Quads (N, 4, 2) after mending, and what was found in each, as (N,) truth values."""

    corners: Floats
    anticlockwise: Booleans  # mended
    crossed: Booleans  # mended
    other_start: Booleans  # began at another corner than the top left; mended
    undecided: Booleans  # nearly square, or turned by more than 45 degrees: the first corner stays as given

    def notes(self) -> list[str]:
        """A sentence for each thing that was found."""
        n = len(self.corners)
        found = (
            (self.other_start, "began at another corner and were mended"),
            (self.anticlockwise, "ran anticlockwise and were mended"),
            (self.crossed, "crossed themselves and were mended"),
            (self.undecided, "are nearly square or turned by more than 45 degrees: their first corner stays as given"),
        )
        return [f"{int(mask.sum()):,} of {n:,} quads {what}." for mask, what in found if mask.any()]


def mend_order(corners: Floats) -> Mended:
    """Quads (N, 4, 2), finite, clockwise from the top left as far as their shape says where that is.

    Four points in convex position have one clockwise order, so winding and crossings can always be mended. Where it
    begins follows from the shape only for a plate that is wider than high and turned by less than 45 degrees.
    Quads that are not convex in any order stay as they are.
    """
    order = _clockwise_order(corners)
    sorted_ = np.take_along_axis(corners, order[:, :, None], axis=1)
    usable = convex_clockwise(sorted_)
    anticlockwise = usable & (order == [0, 3, 2, 1]).all(axis=1)
    crossed = usable & ~anticlockwise & (order != np.arange(4)).any(axis=1)
    quads = np.where(usable[:, None, None], sorted_, corners)
    along = quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]
    down = quads[:, 3] - quads[:, 0] + quads[:, 2] - quads[:, 1]
    along_px, down_px = np.linalg.norm(along, axis=1), np.linalg.norm(down, axis=1)
    along_is_long = along_px >= down_px
    long = np.where(along_is_long[:, None], along, down)
    oblong = np.maximum(along_px, down_px) >= NEARLY_SQUARE * np.minimum(along_px, down_px)
    lying = np.abs(long[:, 0]) > np.abs(long[:, 1])
    as_ours = along[:, 0] > np.abs(along[:, 1])
    other_start = usable & ~as_ours & oblong & lying
    # The edges from corner k to k + 1 run along +along, +down, -along, -down for k = 0..3.
    shift = np.where(along_is_long, 0, 1) + np.where(long[:, 0] > 0, 0, 2)
    rolled = np.where(other_start, shift, 0)[:, None] + np.arange(4)
    quads = np.take_along_axis(quads, (rolled % 4)[:, :, None], axis=1)
    return Mended(
        corners=quads,
        anticlockwise=anticlockwise,
        crossed=crossed,
        other_start=other_start,
        undecided=usable & ~other_start & ((oblong & ~lying) | (~oblong & ~as_ours)),
    )


def _clockwise_order(corners: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The points of each quad by their angle around the middle, from the first one given on: (N, 4) indices."""
    from_middle = corners - corners.mean(axis=1, keepdims=True)
    order = np.argsort(np.arctan2(from_middle[..., 1], from_middle[..., 0]), axis=1, kind="stable")
    first = np.argmax(order == 0, axis=1)
    return np.take_along_axis(order, (first[:, None] + np.arange(4)) % 4, axis=1)
