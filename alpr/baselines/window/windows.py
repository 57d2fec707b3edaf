"""What the network looks at: grey windows of 128 by 64 px, with or without a plate in their middle.

Source: M. Earl, "Number plate recognition with Tensorflow", 2016 (deep-anpr), whose plates and whose rule of presence
these are. Deviations: plates are those of a country pack, and there are windows without any plate, which the original
lacks: it was never shown a background alone and finds plates in foliage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from alpr.data.crop_corners import hull_of
from alpr.plates.geometry import box_iou, corner_box
from alpr.plates.records import FloatArray, ImageArray, Plate
from alpr.synthetic.renderer import PlateRenderer
from alpr.synthetic.scenes import paste

SIZE = (64, 128)
"""(height, width) px of a window."""
LARGEST = (0.875, 0.8)
"""Of the window's height and width: a plate that is as high or as wide belongs to a coarser level of the pyramid."""
SMALLEST = 0.6
"""A plate that passes this share in neither direction belongs to a finer level."""
FITTED = 0.7
"""The share of the window that a plate fills where its place is known, in the middle of what the rule allows."""
TURNS = {"yaw": 1.2, "pitch": 0.2, "roll": 0.3}
"""Radians to both sides by which a plate is turned."""
SCALES = (0.55, 0.85)
"""Of the largest plate that fits the window: as far beyond the rule on both sides as published; those are no plate."""
NOISE = 0.05 * 255
_PX_PER_MM = 0.4
_TRIES = 20


class Window(NamedTuple):
    """A window (64, 128) uint8 grey; `text` is "" where no plate is present."""

    grey: ImageArray
    present: bool
    text: str


def present(corners: FloatArray) -> bool:
    """Whether a plate (4, 2) px of a window counts as present there.

    (a) it lies inside; (b) it is lower than 87.5 % of the window's height and narrower than 80 % of its width; (c) it
    is higher or wider than 60 % of them.
    """
    hull = corner_box(np.asarray(corners))
    share = np.array([hull[3] - hull[1], hull[2] - hull[0]]) / SIZE
    inside = (hull[:2] >= 0).all() and hull[2] <= SIZE[1] and hull[3] <= SIZE[0]
    return bool(inside and (share < LARGEST).all() and (share > SMALLEST).any())


def drawn_corners(size: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Where a plate of (height, width) px stands in a window: turned, scaled and shifted by chance, (4, 2) px."""
    turned = _turn(rng)
    height, width = size
    corners = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2 @ turned.T
    window = np.array([SIZE[1], SIZE[0]])
    extent = np.ptp(corners, axis=0)
    scale = float((window / extent).min()) * rng.uniform(*SCALES)
    # Mostly near the middle; beyond a half the plate leaves the window.
    shift = (2 * 1.2 * (rng.random(2) - 0.5)) ** 5 / 2
    return np.asarray(corners * scale + window / 2 + (window - extent * scale) * shift, np.float32)


def _turn(rng: np.random.Generator) -> FloatArray:
    """(2, 2): what a turn about three axes does to points of a plane that is seen from afar."""
    yaw, pitch, roll = (rng.uniform(-TURNS[name], TURNS[name]) for name in ("yaw", "pitch", "roll"))
    matrix = np.eye(3)
    for (a, b), angle in (((0, 2), yaw), ((2, 1), pitch), ((1, 0), roll)):
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = np.sin(angle), -np.sin(angle)
        matrix = turn @ matrix
    return matrix[:2, :2]


def with_plate(background: ImageArray, renderer: PlateRenderer, rng: np.random.Generator) -> Window:
    """A rendered plate on a background (64, 128) grey; one that breaks the rule is shown as no plate."""
    text, layout = renderer.draw_text(rng)
    bitmap = renderer.render(text, layout, rng, scale=_PX_PER_MM)
    corners = drawn_corners((bitmap.shape[0], bitmap.shape[1]), rng)
    lit = cv2.convertScaleAbs(bitmap, alpha=rng.uniform(0.35, 1.1), beta=rng.uniform(0, 25))
    canvas = np.asarray(cv2.cvtColor(background, cv2.COLOR_GRAY2BGR), np.uint8)
    paste(canvas, np.asarray(lit, np.uint8), corners)
    grey = np.asarray(cv2.cvtColor(canvas, cv2.COLOR_BGR2GRAY), np.uint8)
    there = present(corners)
    return Window(noisy(grey, rng), there, text if there else "")


def noisy(grey: ImageArray, rng: np.random.Generator) -> ImageArray:
    """A window a little out of focus and with noise."""
    blurred = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.1, 0.9))
    return np.clip(blurred + rng.normal(0, NOISE * rng.random(), grey.shape), 0, 255).astype(np.uint8)


def background(image: ImageArray, plates: Sequence[Plate], scale: FloatArray, rng: np.random.Generator) -> ImageArray:
    """A part of a photograph without any plate as a window (64, 128) grey; of a uniform grey where none was found.

    Args:
        image: (H, W, 3) uint8 BGR.
        plates: every plate and ignored region of the photograph, in px of its file.
        scale: px of the image per px of the file, in x and y.
    """
    height, width = image.shape[:2]
    spared = [corner_box(hull * scale) for plate in plates if (hull := hull_of(plate)) is not None]
    tallest = min(height, width / 2)
    for _ in range(_TRIES):
        tall = tallest * float(np.exp(rng.uniform(np.log(0.06), np.log(0.9))))
        x, y = rng.random() * (width - 2 * tall), rng.random() * (height - tall)
        box = np.array([x, y, x + 2 * tall, y + tall])
        if tall >= 16 and not (spared and box_iou(box[None], np.stack(spared)).any()):
            part = image[int(y) : int(y + tall), int(x) : int(x + 2 * tall)]
            return _window_of(part)
    return np.full(SIZE, int(rng.integers(20, 236)), np.uint8)


def _window_of(part: ImageArray) -> ImageArray:
    how = cv2.INTER_AREA if part.shape[0] > SIZE[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), SIZE[::-1], interpolation=how), np.uint8)


def around(image: ImageArray, corners: FloatArray) -> ImageArray | None:
    """The upright window (64, 128) grey in whose middle a plate stands; None of a plate without extent.

    What lies beyond the picture is like its edge.
    """
    hull = corner_box(np.asarray(corners, np.float64))
    extent = hull[2:] - hull[:2]
    if not np.isfinite(hull).all() or extent.min() < 1:
        return None
    tall = max(float(extent[1]), float(extent[0]) / 2) / FITTED
    centre, half = (hull[:2] + hull[2:]) / 2, np.array([tall, tall / 2])
    x1, y1 = np.floor(centre - half).astype(int)
    x2, y2 = np.ceil(centre + half).astype(int)
    height, width = image.shape[:2]
    columns, rows = np.clip(np.arange(x1, x2), 0, width - 1), np.clip(np.arange(y1, y2), 0, height - 1)
    if len(columns) > 4 * max(height, width):  # a window of which next to nothing lies in the picture
        return None
    return _window_of(image[rows[:, None], columns])
