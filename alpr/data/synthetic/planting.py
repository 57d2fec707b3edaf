"""A rendered plate put into a photograph where a real one is: any labelled car becomes one of another country.

The new plate lies in the old one's plane, has its area, its light, sharpness and noise; the old one is covered wholly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from alpr.country import CountryPack
from alpr.data.synthetic import effects
from alpr.data.synthetic.box_quads import fit_quad
from alpr.data.synthetic.plate_look import PAINT_BLACK, PAINT_WHITE, PlateLook, edge_widths, plate_look, quad_mask
from alpr.data.synthetic.plates import PlateRenderer
from alpr.geometry import (
    FlatQuad,
    corner_box,
    homography,
    is_convex_clockwise,
    pixel_centre_matrix,
    plate_height,
    plate_width,
    transform_points,
)
from alpr.plate_layout import Layout
from alpr.records import FloatArray, ImageArray, Plate

COUNTRIES = Path(__file__).resolve().parents[3] / "configs" / "country"
_SCALES = (0.15, 0.25, 0.35, 0.5, 0.7, 0.9, 1.2)  # px per mm: few, so that glyphs stay in the cache
_LEAST_SEEN = 10.0  # grey levels: a plate of less contrast is in a black or blind photograph
_Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PlantSettings:
    """Plates of a country in the place of those that a set of scenes has.

    Attributes:
        country: a pack's values, its file, or the code of one in configs/country.
        share: how many scenes get new plates; the others stay as they are.
        blank: how many of those lose their plates instead and hold none.
        smallest_px: of a plate lower than this nothing is made; it is ignored.
    """

    country: Any
    share: float = 1.0
    blank: float = 0.0
    smallest_px: float = 6.0

    def __post_init__(self) -> None:
        for name in ("share", "blank"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"plant.{name} is {getattr(self, name)}; expected a share, 0 to 1.")

    def pack(self) -> CountryPack:
        """The country.

        Raises:
            ValueError: a pack that is wrong or not there.
        """
        if isinstance(self.country, Mapping):
            return CountryPack.from_dict(self.country)
        path = Path(self.country)
        path = path if path.suffix in (".yaml", ".yml") else COUNTRIES / f"{str(self.country).lower()}.yaml"
        if not path.is_file():
            raise ValueError(f"plant.country is {self.country!r}: there is no {path}; expected a pack's code or file.")
        return CountryPack.read(path)


class PlantedScene(NamedTuple):
    """A photograph after planting."""

    image: ImageArray
    plates: tuple[Plate, ...]
    layouts: tuple[str, ...]  # of each plate, empty where it stayed


class Place(NamedTuple):
    """Where a plate goes, in px of the scene."""

    old: FloatArray  # (4, 2)
    new: FloatArray  # (4, 2); the old one where the place is only covered
    cover: FloatArray  # (4, 2): the old plate with a rim around it
    known: bool  # whether the old corners were labelled


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
        """The photograph without its plates: each is covered with what is around it. Regions to ignore stay."""
        image = image.copy()
        for plate in plates:
            quad = None if plate.ignored else quad_of(image, plate)
            if quad is not None:
                _cover(image, Place(quad, quad, _grown(quad, plate.corners is not None), plate.corners is not None), rng)
        left = tuple(plate for plate in plates if plate.ignored)
        return PlantedScene(image, left, ("",) * len(left))

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
        chosen, blanked = (rng.random(2) < [self.settings.share, self.settings.blank]).tolist()
        if not chosen:
            return image, tuple(plates)
        planted = (self._planter.blank_scene if blanked else self._planter.plant_scene)(image, plates, rng)
        return planted.image, planted.plates

    def describe(self) -> str:
        """What is done, in a sentence."""
        s = self.settings
        lost = f", and {s.blank:.0%} of these lose theirs instead" if s.blank else ""
        return f"{s.share:.0%} of its scenes get plates of {self.pack.name}{lost}."


def plant_bitmap(
    image: ImageArray, place: Place, bitmap: ImageArray, rng: np.random.Generator
) -> FloatArray | None:
    """A picture of a plate (h, w, 3), whose corners are its own, into the image, in place.

    Gives its corners (4, 2) in the image, or None, with the image as it was, where nothing can be seen of the old one.
    """
    left, top, right, bottom = _window(image, place)
    origin = np.array([left, top], np.float32)
    here = Place(place.old - origin, place.new - origin, place.cover - origin, place.known)
    patch = np.ascontiguousarray(image[top:bottom, left:right])
    look = plate_look(patch, here.old)
    if look.contrast < _LEAST_SEEN:
        return None
    ground, touched = _without_plate(patch, here, look, rng)
    warped, weight = _warped(_lit(bitmap, look), here.new, (patch.shape[0], patch.shape[1]))
    done, weight = _joined(ground, warped, weight, _missing_blur(warped, weight, here, look), here, rng)
    touched = np.maximum(touched, weight)
    image[top:bottom, left:right] = cv2.blendLinear(patch, _camera(done, look.noise, rng), 1 - touched, touched)
    return place.new


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


def _window(image: ImageArray, place: Place) -> tuple[int, int, int, int]:
    """The part of the image that is worked on: left, top, right, bottom; both plates and as much again around them."""
    points = np.concatenate([place.cover, place.new])
    margin = 0.4 * float(plate_height(place.old)) + 6
    height, width = image.shape[:2]
    left, top = np.maximum(np.floor(points.min(axis=0) - margin).astype(int), 0)
    right, bottom = np.minimum(np.ceil(points.max(axis=0) + margin).astype(int), (width, height))
    return int(left), int(top), int(right), int(bottom)


def _without_plate(
    patch: ImageArray, place: Place, look: PlateLook, rng: np.random.Generator
) -> tuple[ImageArray, _Weights]:
    """The patch with its plate covered, and where (H, W) it was changed, 0..1."""
    size = (patch.shape[0], patch.shape[1])
    hole = quad_mask(size, place.cover)
    soft = cv2.GaussianBlur(hole, (0, 0), 0.8).astype(np.float32) * np.float32(1 / 255)
    ground = filled(patch.astype(np.float32), (hole == 0).astype(np.float32))
    if rng.random() < (0.3 if place.known else 0.4):  # a holder behind both plates
        colour = 10 + 0.8 * look.black * rng.uniform(0.8, 1.3) + rng.uniform(0, 0.35) * look.white * (rng.random() < 0.2)
        both = np.concatenate([place.cover, place.new])
        frame = _around(both, place.old, 0.05 * rng.random())
        edge = cv2.GaussianBlur(quad_mask(size, frame), (0, 0), 0.9).astype(np.float32) * np.float32(1 / 255)
        ground += edge[..., None] * (np.minimum(colour, 200).astype(np.float32) - ground)
        soft = np.maximum(soft, edge)
    return np.asarray(np.clip(ground, 0, 255), np.uint8), soft


def _around(points: FloatArray, quad: FloatArray, rim: float) -> FloatArray:
    """The rectangle (4, 2), in a quad's plane, that holds all points and a rim, in heights of the quad."""
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    plane = homography(half * [float(plate_width(quad) / plate_height(quad)), 1], quad)
    flat = transform_points(points.astype(np.float64), np.linalg.inv(plane))
    (x1, y1), (x2, y2) = flat.min(axis=0) - rim, flat.max(axis=0) + rim
    return np.asarray(transform_points(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]), plane), np.float32)


def filled(patch: npt.NDArray[np.float32], known: _Weights) -> npt.NDArray[np.float32]:
    """A picture (H, W, 3) whose unknown parts (weight 0 of (H, W)) go on smoothly from the known ones.

    Source: Gortler et al., "The Lumigraph" (1996), section 3.4: pull-push.
    """
    if min(patch.shape[:2]) < 3 or float(known.min()) > 0.99:
        weight = float(known.sum())
        mean = (patch * known[..., None]).sum(axis=(0, 1)) / max(weight, 1e-6)
        return np.asarray(patch * known[..., None] + mean * (1 - known[..., None]), np.float32)
    weights = cv2.pyrDown(known)
    colours = cv2.pyrDown(patch * known[..., None]) / np.maximum(weights, 1e-4)[..., None]
    coarse = filled(colours, np.minimum(weights * 2, 1).astype(np.float32))
    smooth = cv2.pyrUp(coarse, dstsize=(patch.shape[1], patch.shape[0]))
    return np.asarray(smooth + known[..., None] * (patch - smooth), np.float32)


def _lit(bitmap: ImageArray, look: PlateLook) -> ImageArray:
    """A rendered plate in the light of the photographed one."""
    gain = (look.white - look.black) / (PAINT_WHITE - PAINT_BLACK)
    table = np.arange(256)[:, None] * gain + (look.black - PAINT_BLACK * gain)
    lit = cv2.LUT(bitmap, np.clip(table, 0, 255).astype(np.uint8).reshape(256, 1, 3))
    shading = cv2.resize(look.shading, (bitmap.shape[1], bitmap.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(lit, cv2.merge([shading] * 3), dtype=cv2.CV_8U), np.uint8)


@lru_cache(maxsize=64)
def _plate_shape(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """255 where a flat plate (h, w) is: its corners are rounded."""
    h, w = size
    shape = np.zeros(size, np.uint8)
    r = max(1, round(0.06 * min(h, w)))
    cv2.rectangle(shape, (r, 0), (w - 1 - r, h - 1), 255, -1)
    cv2.rectangle(shape, (0, r), (w - 1, h - 1 - r), 255, -1)
    for x, y in ((r, r), (w - 1 - r, r), (r, h - 1 - r), (w - 1 - r, h - 1 - r)):
        cv2.circle(shape, (x, y), r, 255, -1, cv2.LINE_AA)
    return shape


def _warped(bitmap: ImageArray, corners: FloatArray, size: tuple[int, int]) -> tuple[ImageArray, _Weights]:
    """The plate on a patch of (height, width), and its coverage there, 0..1."""
    h, w = bitmap.shape[:2]
    shape = _plate_shape((h, w))
    # A warp samples four pixels only; a bitmap much larger than its place is averaged down first.
    shrink = max(float(plate_width(corners)) / w, float(plate_height(corners)) / h)
    if shrink < 0.75:
        w, h = max(8, round(w * shrink * 1.15)), max(4, round(h * shrink * 1.15))
        bitmap = np.asarray(cv2.resize(bitmap, (w, h), interpolation=cv2.INTER_AREA), np.uint8)
        shape = np.asarray(cv2.resize(shape, (w, h), interpolation=cv2.INTER_AREA), np.uint8)
    matrix = pixel_centre_matrix(homography(np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32), corners))
    target = (size[1], size[0])
    warped = cv2.warpPerspective(bitmap, matrix, target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpPerspective(shape, matrix, target, flags=cv2.INTER_LINEAR)
    return np.asarray(warped, np.uint8), np.asarray(weight.astype(np.float32) * np.float32(1 / 255), np.float32)


def _missing_blur(warped: ImageArray, weight: _Weights, place: Place, look: PlateLook) -> tuple[float, float]:
    """The sigma in x and y that makes the new plate's edges as wide as the old one's."""
    mask = np.asarray(weight > 0.98, np.uint8)
    height = float(plate_height(place.new))
    own = edge_widths(cv2.cvtColor(warped, cv2.COLOR_BGR2GRAY), mask, height)
    most = 0.07 * height
    found = []
    for wanted, has in zip(look.edge_px, own, strict=True):
        missing = float(np.sqrt(max(wanted**2 - has**2, 0.0))) if wanted and has else 0.03 * height
        found.append(min(missing, most))
    return found[0], found[1]


def _joined(
    ground: ImageArray,
    warped: ImageArray,
    weight: _Weights,
    blurs: tuple[float, float],
    place: Place,
    rng: np.random.Generator,
) -> tuple[ImageArray, _Weights]:
    """The plate and its shadow on the ground, edges as soft as the writing; and the plate's coverage with them."""
    sigma_x, sigma_y = (max(s, 0.35) for s in blurs)
    warped = np.asarray(cv2.GaussianBlur(warped, (0, 0), sigma_x, sigmaY=sigma_y), np.uint8)
    weight = np.asarray(cv2.GaussianBlur(weight, (0, 0), sigma_x, sigmaY=sigma_y), np.float32)
    height = float(plate_height(place.new))
    drop = np.array([[1, 0, 0], [0, 1, 0.05 * height]], np.float32)
    shadow = cv2.warpAffine(weight, drop, (weight.shape[1], weight.shape[0]))
    shadow = cv2.GaussianBlur(shadow, (0, 0), max(0.5, 0.03 * height))
    shade = 1 - np.float32(0.45 * rng.random()) * shadow
    ground = np.asarray(cv2.multiply(ground, cv2.merge([shade] * 3), dtype=cv2.CV_8U), np.uint8)
    done = cv2.blendLinear(ground, warped, 1 - weight, weight)
    return np.asarray(done, np.uint8), np.maximum(weight, np.minimum(shadow * 4, 1))


def _camera(patch: ImageArray, noise: float, rng: np.random.Generator) -> ImageArray:
    """The grain of the photograph, and of its file."""
    if noise > 0.4:
        patch = effects.noise(patch, noise, rng)
    quality = int(rng.integers(60, 97))
    return effects.jpeg(patch, quality) if quality < 88 else patch


def _cover(image: ImageArray, place: Place, rng: np.random.Generator) -> None:
    """Covers a plate with what is around it, in place."""
    left, top, right, bottom = _window(image, place)
    origin = np.array([left, top], np.float32)
    patch = np.ascontiguousarray(image[top:bottom, left:right])
    noise = plate_look(patch, place.old - origin).noise
    hole = quad_mask((patch.shape[0], patch.shape[1]), place.cover - origin)
    soft = cv2.GaussianBlur(hole, (0, 0), 0.8).astype(np.float32) * np.float32(1 / 255)
    ground = np.asarray(np.clip(filled(patch.astype(np.float32), (hole == 0).astype(np.float32)), 0, 255), np.uint8)
    image[top:bottom, left:right] = cv2.blendLinear(patch, _camera(ground, noise, rng), 1 - soft, soft)
