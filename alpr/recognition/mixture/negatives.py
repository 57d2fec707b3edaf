"""Crops that show no plate to read, with the text "": background, what stands beside plates, blank plates, misses.

A recogniser that has never met them reads something everywhere, and is sure of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alpr.data.augment import PixelAugment
from alpr.data.crop_corners import hull_of
from alpr.images.prepare import UnreadableImage, read_image, rectify
from alpr.plates.geometry import (
    FlatQuad,
    box_iou,
    clip_polygon,
    corner_box,
    is_convex_clockwise,
    plate_height,
    signed_area,
)
from alpr.plates.records import FloatArray, ImageArray, Plate, Scene
from alpr.recognition.data import DrawnCrop
from alpr.synthetic.renderer import PlateRenderer

BLANK, BESIDE, BACKGROUND, SHIFTED = "blank", "beside", "background", "shifted"
KINDS = (BLANK, BESIDE, BACKGROUND, SHIFTED)
LEAST_MISSED = 0.5
"""The share of a plate that a shifted crop must leave out."""
_TRIES = 12
_LARGEST_ASPECT = 5.0


class NegativeCrops:
    """Crops without a plate that could be read, a quarter of each kind.

    blank: a rendered plate without characters. beside: near a plate but not on it, where badges and lamps are.
    background: anywhere away from plates and ignored regions. shifted: less than half of a plate. Where a kind cannot
    be made of a scene, a blank plate takes its place.

    Args:
        scenes: photographs in which every plate is labelled with its place; none leaves blank plates alone.
    """

    size = None

    def __init__(
        self,
        scenes: Sequence[Sequence[Scene]],
        renderer: PlateRenderer,
        crop_size: tuple[int, int],
        margin: float,
        pixels: PixelAugment,
    ) -> None:
        self.scenes, self.renderer, self.pixels = scenes, renderer, pixels
        self.crop_size, self.margin = crop_size, margin
        self._ends = np.cumsum([len(part) for part in scenes])

    @property
    def photographs(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def draw(self, item: int, rng: np.random.Generator) -> DrawnCrop:
        kind = KINDS[int(rng.integers(len(KINDS)))]
        crop = None if kind == BLANK or not self.photographs else self._cut(kind, rng)
        if crop is None:
            return DrawnCrop(*self.renderer.crop(rng, self.crop_size, self.margin, blank=True))
        return DrawnCrop(self.pixels(crop, rng), "")

    def _cut(self, kind: str, rng: np.random.Generator) -> ImageArray | None:
        number = int(rng.integers(self.photographs))
        part = int(np.searchsorted(self._ends, number, side="right"))
        scene = self.scenes[part][number - int(self._ends[part]) + len(self.scenes[part])]
        try:
            image = read_image(scene.image)
        except UnreadableImage:  # it is counted when a plate of it is drawn
            return None
        for _ in range(_TRIES):
            quad = negative_quad(kind, scene.plates, (image.shape[0], image.shape[1]), rng)
            if quad is not None:
                try:
                    return rectify(image, quad, self.crop_size, self.margin)
                except FlatQuad:
                    continue
        return None


def negative_quad(
    kind: str, plates: Sequence[Plate], size: tuple[int, int], rng: np.random.Generator
) -> FloatArray | None:
    """The corners (4, 2) px of a crop without a readable plate; None where this draw gave none.

    Args:
        kind: BESIDE, BACKGROUND or SHIFTED.
        plates: every plate and ignored region of the scene.
        size: (height, width) of the photograph.
    """
    placed = {i: quad for i, p in enumerate(plates) if (quad := hull_of(p)) is not None}
    real = [i for i in placed if not plates[i].ignored]
    if kind == BACKGROUND or (kind == BESIDE and not real):
        quad = _anywhere(size, rng)
        spared = list(placed.values())
    elif not real:
        return None
    else:
        chosen = placed[real[int(rng.integers(len(real)))]]
        quad = _beside(chosen, rng) if kind == BESIDE else _shifted(chosen, rng)
        spared = [other for other in placed.values() if kind == BESIDE or other is not chosen]
        if kind == SHIFTED and shown_share(chosen, quad) >= 1 - LEAST_MISSED:
            return None
    hull = corner_box(quad)
    if (hull[:2] < 0).any() or hull[2] > size[1] or hull[3] > size[0]:
        return None
    if spared and box_iou(hull[None], np.stack([corner_box(other) for other in spared])).any():
        return None
    return quad


def shown_share(plate: FloatArray, crop: FloatArray) -> float:
    """The share of a plate's area that lies in a crop; both (4, 2), clockwise. 1 where the plate is no convex quad."""
    if not (is_convex_clockwise(plate) and is_convex_clockwise(crop)):
        return 1.0
    shown = clip_polygon(plate, crop)
    return abs(signed_area(shown)) / signed_area(plate) if len(shown) >= 3 else 0.0


def _quad(centre: FloatArray, width: float, height: float, rng: np.random.Generator) -> FloatArray:
    angle = np.deg2rad(rng.normal(0, 5))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flat = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    return np.asarray(centre + flat @ turn.T, np.float32)


def _anywhere(size: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    width = min(size) * float(np.exp(rng.uniform(np.log(0.06), np.log(0.6))))
    return _quad(rng.random(2) * [size[1], size[0]], width, width / rng.uniform(1.5, _LARGEST_ASPECT), rng)


def _beside(plate: FloatArray, rng: np.random.Generator) -> FloatArray:
    x1, y1, x2, y2 = corner_box(plate)
    width = float(x2 - x1) * float(np.exp(rng.uniform(np.log(0.4), np.log(1.5))))
    reach = np.array([1.5 * (x2 - x1), 4.0 * (y2 - y1)])
    centre = plate.mean(axis=0) + rng.uniform(-1, 1, 2) * reach
    return _quad(centre, width, width / rng.uniform(1.5, _LARGEST_ASPECT), rng)


def _shifted(plate: FloatArray, rng: np.random.Generator) -> FloatArray:
    along, down = plate[1] - plate[0], plate[3] - plate[0]
    sideways = rng.random() < 0.5
    by = rng.choice([-1.0, 1.0]) * rng.uniform(0.52, 1.0)
    moved = plate + by * (along if sideways else down) + rng.normal(0, 0.05 * float(plate_height(plate)), 2)
    return np.asarray(moved, np.float32)
