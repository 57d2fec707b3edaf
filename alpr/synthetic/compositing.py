"""A picture of a plate composed into a photograph so that light, sharpness, noise and file look alike."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from alpr.plates.geometry import homography, pixel_centre_matrix, plate_height, plate_width, transform_points
from alpr.plates.records import FloatArray, ImageArray
from alpr.synthetic import effects
from alpr.synthetic.covering import covered, quad_mask
from alpr.synthetic.plate_look import PAINT_BLACK, PAINT_WHITE, PlateLook, edge_widths, plate_look

_LEAST_SEEN = 10.0  # grey levels: a plate of less contrast is in a black or blind photograph
_Weights = npt.NDArray[np.float32]


class Place(NamedTuple):
    """Where a plate goes, in px of the scene."""

    old: FloatArray  # (4, 2)
    new: FloatArray  # (4, 2); the old one where the place is only covered
    cover: FloatArray  # (4, 2): the old plate with a rim around it
    known: bool  # whether the old corners were labelled


def plant_bitmap(image: ImageArray, place: Place, bitmap: ImageArray, rng: np.random.Generator) -> FloatArray | None:
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
    """The patch with its plate covered, now and then by a holder, and where (H, W) it was changed, 0..1."""
    ground, changed = covered(patch, place.cover)
    if rng.random() < (0.3 if place.known else 0.4):
        bright = rng.uniform(0, 0.35) if rng.random() < 0.2 else 0.0
        colour = 10 + 0.8 * look.black * rng.uniform(0.8, 1.3) + bright * look.white
        frame = _around(np.concatenate([place.cover, place.new]), place.old, 0.05 * rng.random())
        mask = quad_mask((patch.shape[0], patch.shape[1]), frame)
        edge = cv2.GaussianBlur(mask, (0, 0), 0.9).astype(np.float32) * np.float32(1 / 255)
        holder = np.empty_like(patch)
        holder[:] = np.minimum(colour, 200).astype(np.uint8)
        ground = np.asarray(cv2.blendLinear(ground, holder, 1 - edge, edge), np.uint8)
        changed = np.maximum(changed, edge)
    return ground, changed


def _around(points: FloatArray, quad: FloatArray, rim: float) -> FloatArray:
    """The rectangle (4, 2), in a quad's plane, that holds all points and a rim, in heights of the quad."""
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    plane = homography(half * [float(plate_width(quad) / plate_height(quad)), 1], quad)
    flat = transform_points(points.astype(np.float64), np.linalg.inv(plane))
    (x1, y1), (x2, y2) = flat.min(axis=0) - rim, flat.max(axis=0) + rim
    return np.asarray(transform_points(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]), plane), np.float32)


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
    own = edge_widths(np.asarray(cv2.cvtColor(warped, cv2.COLOR_BGR2GRAY), np.uint8), mask, height)
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


def cover_place(image: ImageArray, place: Place, rng: np.random.Generator) -> None:
    """Covers a plate with what is around it, in place."""
    left, top, right, bottom = _window(image, place)
    origin = np.array([left, top], np.float32)
    patch = np.ascontiguousarray(image[top:bottom, left:right])
    noise = plate_look(patch, place.old - origin).noise
    ground, changed = covered(patch, place.cover - origin)
    image[top:bottom, left:right] = cv2.blendLinear(patch, _camera(ground, noise, rng), 1 - changed, changed)
