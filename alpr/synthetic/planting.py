"""A rendered plate put into a photograph where a real one is: any labelled car becomes one of another country.

The new plate lies in the old one's plane, has its area, its light, sharpness and noise; the old one is covered wholly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from alpr.plates.country import CountryPack
from alpr.plates.geometry import (
    FlatQuad,
    box_corners,
    corner_box,
    homography,
    is_convex_clockwise,
    plate_height,
    plate_width,
    transform_points,
)
from alpr.plates.layout import Layout
from alpr.plates.records import FloatArray, ImageArray, Plate
from alpr.synthetic.box_quads import fit_quad
from alpr.synthetic.compositing import Place, cover_place, plant_bitmap
from alpr.synthetic.distractors import distract
from alpr.synthetic.renderer import PlateRenderer

_SCALES = (0.15, 0.25, 0.35, 0.5, 0.7, 0.9, 1.2)  # px per mm: few, so that glyphs stay in the cache


@dataclass(frozen=True)
class PlantSettings:
    """Plates of a country in the place of those that a set of scenes has.

    Attributes:
        country: a pack's values, its file, or the code of one in configs/country.
        share: how many scenes get new plates; the others stay as they are.
        blank: how many of those lose their plates instead and hold none.
        distract: how many of all scenes get lettering, gratings and signs, which are no plates.
        smallest_px: of a plate lower than this nothing is made; it is ignored.
    """

    country: Any
    share: float = 1.0
    blank: float = 0.0
    distract: float = 0.0
    smallest_px: float = 6.0

    def __post_init__(self) -> None:
        for name in ("share", "blank", "distract"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"plant.{name} is {getattr(self, name)}; expected a share, 0 to 1.")

    def pack(self) -> CountryPack:
        """The country.

        Raises:
            ValueError: a pack that is wrong or not there.
        """
        if isinstance(self.country, Mapping):
            return CountryPack.from_dict(self.country)
        return CountryPack.find(self.country)


FLAT_SHARE = 0.4
"""Of the plates that are blanked, so many become one flat colour, as pictures are that others have made anonymous."""


class PlantedScene(NamedTuple):
    """A photograph after planting."""

    image: ImageArray
    plates: tuple[Plate, ...]
    layouts: tuple[str, ...]  # of each plate, empty where it stayed


class Planter:
    """Puts plates into photographs.

    Args:
        plates: renders them.
    """

    def __init__(self, plates: PlateRenderer, smallest_px: float = 6.0) -> None:
        self.plates, self.smallest_px = plates, smallest_px

    def plant_scene(self, image: ImageArray, plates: Sequence[Plate], rng: np.random.Generator) -> PlantedScene:
        """The photograph (H, W, 3) with a plate of the country in every labelled place; the given one stays.

        Plates that are too small or too dark, or lie so that no other fits, come back as regions to ignore.

        Args:
            plates: in px of the image; those without a place in it stay as they are.
        """
        image = image.copy()
        placed: list[Plate] = []
        layouts: list[str] = []
        for plate in plates:
            quad = quad_of(image, plate)
            if quad is None:
                placed.append(plate)
                layouts.append("")
                continue
            text, layout = self.plates.draw_text(rng)
            new = None
            if not plate.ignored:
                taken = [corner_box(p.corners) for p in placed if p.corners is not None]
                place = self._place(image, quad, layout, rng, plate.corners is not None)
                if place is not None and not any(_overlap(corner_box(place.new), box) for box in taken):
                    new = self.plant(image, place, text, layout, rng)
            if new is None:
                placed.append(replace(plate, ignored=True))
            else:
                placed.append(Plate(text, new, np.asarray(corner_box(new)), self.plates.pack.code))
            layouts.append("" if new is None else layout.name)
        return PlantedScene(image, tuple(placed), tuple(layouts))

    def blank_scene(self, image: ImageArray, plates: Sequence[Plate], rng: np.random.Generator) -> PlantedScene:
        """The photograph without its plates: each is covered with what is around it, or with one colour.

        Regions to ignore stay, and a plate whose place is not known becomes one.
        """
        image = image.copy()
        left: list[Plate] = []
        for plate in plates:
            quad = None if plate.ignored else quad_of(image, plate)
            if quad is None:
                left.append(replace(plate, ignored=True))
                continue
            known = plate.corners is not None
            place = Place(quad, quad, _grown(quad, known), known)
            if rng.random() < FLAT_SHARE:
                _fill_place(image, place, rng)
            else:
                cover_place(image, place, rng)
        return PlantedScene(image, tuple(left), ("",) * len(left))

    def plant(
        self, image: ImageArray, place: Place, text: str, layout: Layout, rng: np.random.Generator
    ) -> FloatArray | None:
        """One plate into the image, in place: its corners (4, 2), or None where nothing can be seen of the old one.

        Raises:
            ValueError: a text that does not fit the layout's pattern.
        """
        wanted = 1.1 * max(
            float(plate_width(place.new)) / layout.size_mm[1], float(plate_height(place.new)) / layout.size_mm[0]
        )
        scale = next((s for s in _SCALES if s >= wanted), _SCALES[-1])
        return plant_bitmap(image, place, self.plates.render(text, layout, rng, scale=scale), rng)

    def _place(
        self, image: ImageArray, quad: FloatArray, layout: Layout, rng: np.random.Generator, known: bool
    ) -> Place | None:
        """The place of a new plate in the old one's plane, or None where it does not fit."""
        height, width = float(plate_height(quad)), float(plate_width(quad))
        # Plates are seen narrower than they are: never exactly from the front. The old one's true width is not known.
        aspect = layout.size_mm[1] / layout.size_mm[0] * rng.uniform(0.8, 1.0)
        size = rng.uniform(1.0, 1.12) * np.sqrt(width / height / aspect)  # of the same area, in heights of the old one
        if min(height, size * height) < self.smallest_px:
            return None
        half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
        try:
            plane = homography(half * [width / height, 1], quad)
        except FlatQuad:
            return None
        for shrunk in (1.0, 0.85):
            new = transform_points(half * [size * aspect, size] * shrunk, plane)
            if not is_convex_clockwise(new) or _stretch(new) > 3 * max(_stretch(quad), 1.0):
                return None
            if (new >= 0).all() and (new <= [image.shape[1], image.shape[0]]).all():
                return Place(quad, new.astype(np.float32), _grown(quad, known), known)
        return None


class Planting:
    """What becomes of the scenes of one source: some get plates of a country, some lose theirs, the rest stays.

    Raises:
        ValueError: a pack that is wrong or not there.
    """

    def __init__(self, settings: PlantSettings) -> None:
        self.settings = settings
        self.pack = settings.pack()
        self._planter = Planter(PlateRenderer(self.pack), settings.smallest_px)

    def __call__(
        self, image: ImageArray, plates: Sequence[Plate], rng: np.random.Generator
    ) -> tuple[ImageArray, tuple[Plate, ...]]:
        """A photograph (H, W, 3) and its plates in px of it, changed or not; the generator alone decides."""
        s = self.settings
        chosen, blanked, distracted = (rng.random(3) < [s.share, s.blank, s.distract]).tolist()
        if chosen:
            planted = (self._planter.blank_scene if blanked else self._planter.plant_scene)(image, plates, rng)
            image, plates = planted.image, planted.plates
        return distract(image, plates, rng) if distracted else image, tuple(plates)

    def describe(self) -> str:
        """What is done, in a sentence."""
        s = self.settings
        lost = f", and {s.blank:.0%} of these lose theirs instead" if s.blank else ""
        more = f" {s.distract:.0%} get lettering, gratings and signs." if s.distract else ""
        return f"{s.share:.0%} of its scenes get plates of {self.pack.name}{lost}.{more}"


def scaled(plate: Plate, factor: FloatArray) -> Plate:
    """The plate in an image of another size; `factor` (2,) are its px per px in x and y."""
    corners, box = plate.corners, plate.box
    return replace(
        plate,
        corners=None if corners is None else (corners * factor).astype(np.float32),
        box=None if box is None else (box * np.tile(factor, 2)).astype(np.float32),
    )


def quad_of(image: ImageArray, plate: Plate) -> FloatArray | None:
    """The plate's corners, or those fitted into its box; None without either or outside the image."""
    if plate.corners is not None:
        quad = np.asarray(plate.corners, np.float32)
    elif plate.box is not None:
        quad = fit_quad(image, plate.box).corners
    else:
        return None
    box = corner_box(quad)
    inside = box[2] > 4 and box[3] > 4 and box[0] < image.shape[1] - 4 and box[1] < image.shape[0] - 4
    return quad if inside and is_convex_clockwise(quad) else None


def _fill_place(image: ImageArray, place: Place, rng: np.random.Generator) -> None:
    """Fills a plate with one colour, its own mean or any grey, in place; the hull of its quad or the quad itself."""
    quad = place.cover if rng.random() < 0.5 else box_corners(corner_box(place.cover))
    x1, y1, x2, y2 = np.clip(corner_box(quad), 0, [*image.shape[1::-1]] * 2).astype(int)
    mean = image[y1:y2, x1:x2].reshape(-1, 3).mean(0) if x2 > x1 and y2 > y1 else np.full(3, 128.0)
    colour = mean if rng.random() < 0.5 else np.full(3, rng.uniform(0, 255))
    cv2.fillConvexPoly(image, np.round(quad).astype(np.int32), [float(c) for c in colour], cv2.LINE_AA)


def _stretch(quad: FloatArray) -> float:
    """How unequal the opposite edges of a quad are, at least 1."""
    edges = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    return float(max(max(edges[0] / edges[2], edges[2] / edges[0]), max(edges[1] / edges[3], edges[3] / edges[1])))


def _overlap(a: FloatArray, b: FloatArray) -> bool:
    return bool((a[:2] < b[2:]).all() and (b[:2] < a[2:]).all())


def _grown(quad: FloatArray, known: bool) -> FloatArray:
    """The quad with a rim around it, wider where its corners are a guess."""
    rim = (0.07 if known else 0.18) * float(plate_height(quad)) + 1.5
    along = (quad[1] - quad[0] + quad[2] - quad[3]) / 2
    down = (quad[3] - quad[0] + quad[2] - quad[1]) / 2
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    unit = np.stack([along / np.linalg.norm(along), down / np.linalg.norm(down)])
    return np.asarray(quad + rim * signs @ unit, np.float32)
