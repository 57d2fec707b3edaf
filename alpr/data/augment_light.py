"""What light, optics and the camera do to an image: (H, W, 3) uint8 BGR -> the same; geometry stays.

One function per effect, each a few passes over bytes; everything random comes from the caller's generator.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from alpr.plates.records import FloatArray, ImageArray

_LUMA = np.array([0.114, 0.587, 0.299])  # of B, G, R
_COARSE = 8
"""Soft shapes of light are drawn at an eighth of the size."""


def jitter_colour(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Brightness, contrast (0.6 to 1.4), saturation (0.5 to 1.5) and hue (up to 18 degrees) in one 3x4 matrix."""
    brightness, contrast = rng.uniform(0.6, 1.4, 2)
    saturation, hue = rng.uniform(0.5, 1.5), np.deg2rad(rng.uniform(-18, 18))
    grey = np.tile(_LUMA, (3, 1))
    colour = brightness * (saturation * np.eye(3) + (1 - saturation) * grey) @ _hue_rotation(hue)
    level = brightness * float(_LUMA @ np.array(cv2.mean(image[::4, ::4])[:3]))  # contrast keeps the mean grey
    return _uint8(cv2.transform(image, np.column_stack([contrast * colour, np.full(3, (1 - contrast) * level)])))


def _hue_rotation(angle: float) -> FloatArray:
    """The rotation about the grey axis (Rodrigues), which leaves grey as it is: (3, 3)."""
    axis = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    return np.asarray(np.cos(angle) * np.eye(3) + (1 - np.cos(angle)) * axis + np.sin(angle) * cross)


def change_gamma(image: ImageArray, gamma: float) -> ImageArray:
    """Values to the power of gamma: above 1 darker."""
    return _uint8(cv2.LUT(image, _uint8(np.rint(255 * (np.arange(256) / 255) ** gamma))))


@lru_cache(maxsize=1)
def _normal_quantiles() -> FloatArray:
    """(256,): a byte drawn evenly becomes a standard normal value."""
    return np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])


def add_noise(image: ImageArray, sigma: float, rng: np.random.Generator, coarse: bool = False) -> ImageArray:
    """Sensor noise: independent in every channel and pixel, or in pixels of twice the size (`coarse`).

    Args:
        sigma: 0..255; values above 40 are cut at three sigma.
    """
    height, width = image.shape[:2]
    size = (-(-height // 2), -(-width // 2), 3) if coarse else image.shape
    drawn = np.frombuffer(rng.bytes(int(np.prod(size))), np.uint8).reshape(size)
    table = np.clip(np.rint(128 + sigma * _normal_quantiles()), 0, 255).astype(np.uint8)
    noise = cv2.LUT(drawn, table)
    if coarse:
        noise = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return _uint8(cv2.addWeighted(image, 1.0, noise, 1.0, -128.0))


def cast_shadow(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """One side of a random line across the image is darkened, with a soft edge."""
    x, y = _coarse_grid(image.shape[:2], 4)
    angle = rng.uniform(0, 2 * np.pi)
    across = (x - rng.uniform(0.2, 0.8)) * np.cos(angle) + (y - rng.uniform(0.2, 0.8)) * np.sin(angle)
    side = np.clip(across * rng.uniform(4, 40) + 0.5, 0, 1)
    return _lit(image, 1 - rng.uniform(0.25, 0.7) * side)


def add_glare(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Sun or a lamp mirrored in the image: a bright patch that washes out, at its middle nearly to white."""
    x, y = _coarse_grid(image.shape[:2], 4)
    aspect = image.shape[0] / image.shape[1]
    patch = _spot(x, y * aspect, rng.random(), rng.random() * aspect, 0.12, rng)
    tint = np.array([rng.uniform(0.8, 1), 0.97, 1.0])
    added = _uint8(np.clip(rng.uniform(60, 190) * patch[..., None] * tint, 0, 255))
    return _uint8(cv2.add(image, cv2.resize(added, (image.shape[1], image.shape[0]))))


def add_dirt(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Mud or dust in patches, from a breath to three quarters opaque."""
    height, width = image.shape[:2]
    cells = rng.random((rng.integers(3, 8), rng.integers(6, 20)), dtype=np.float32)
    fine = rng.random((max(2, height // 3), max(2, width // 3)), dtype=np.float32)
    field = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    field = 0.75 * field + 0.25 * cv2.resize(fine, (width, height), interpolation=cv2.INTER_LINEAR)
    cover = np.clip((field - rng.uniform(0.5, 0.68)) * 6, 0, 1) * np.float32(rng.uniform(0.25, 0.75))
    mud = np.full_like(image, (70 + 60 * rng.random(), 85 + 60 * rng.random(), 95 + 60 * rng.random()))
    return _uint8(cv2.blendLinear(image, mud, 1 - cover, cover))


def make_night(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """A night photograph: dark but for what lamps reach, their colour, glowing lights, a soft lens and a noisy sensor.

    Where a lamp shines is anywhere, so that plates are met both lit and in the dark.
    """
    x, y = _coarse_grid(image.shape[:2], _COARSE)
    aspect = image.shape[0] / image.shape[1]
    lit = np.full(np.broadcast(x, y).shape, rng.uniform(0.2, 0.5))
    for _ in range(rng.integers(1, 3)):
        lit = lit + rng.uniform(0.3, 0.7) * _spot(x, y * aspect, rng.random(), rng.uniform(0.3, 1) * aspect, 0.35, rng)
    image = change_gamma(image, rng.uniform(1.0, 1.4))
    # To a mean of 25 to 60, not by a factor: a plate that nobody can see must not be labelled as one.
    lit = lit * rng.uniform(25, 60) / max(1.0, float(np.mean(cv2.mean(image[::4, ::4])[:3])) * float(lit.mean()))
    tint = np.array([rng.uniform(0.55, 1.1), 0.95, rng.uniform(0.9, 1.2)])  # sodium yellow to bluish LED
    dark = _lit(image, lit[..., None] * tint)
    glow = np.zeros_like(lit)
    for _ in range(rng.integers(0, 4)):
        glow += rng.uniform(0.4, 1.2) * _spot(x, y * aspect, rng.random(), rng.random() * aspect, 0.03, rng)
    if glow.any():
        colour = np.array([rng.uniform(170, 255), 235, 255])
        halo = _uint8(np.clip(glow[..., None] * colour, 0, 255))
        dark = _uint8(cv2.add(dark, cv2.resize(halo, (image.shape[1], image.shape[0]))))
    soft = cv2.GaussianBlur(dark, (3, 3), rng.uniform(0.4, 1.0))
    return add_noise(_uint8(soft), rng.uniform(3, 14), rng, coarse=bool(rng.random() < 0.5))


def _coarse_grid(size: tuple[int, ...], step: int) -> tuple[FloatArray, FloatArray]:
    """The places 0..1 of a coarse grid's rows and columns, as (1, w) and (h, 1)."""
    height, width = (max(2, -(-n // step)) for n in size[:2])
    x, y = ((np.arange(n) + 0.5) / n for n in (width, height))
    return x[None, :], y[:, None]


def _spot(x: FloatArray, y: FloatArray, cx: float, cy: float, radius: float, rng: np.random.Generator) -> FloatArray:
    """A round patch of light (h, w) with a soft edge, its radius between half and one and a half of the given one."""
    r = radius * rng.uniform(0.5, 1.5)
    return np.asarray(np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * r * r)))


def _lit(image: ImageArray, gain: FloatArray) -> ImageArray:
    """The image times a coarse map of gains (h, w) or (h, w, 3), at most 1."""
    height, width = image.shape[:2]
    coarse = _uint8(np.clip(np.rint(255 * gain), 0, 255))
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    if fine.ndim == 2:
        fine = cv2.merge([fine, fine, fine])
    return _uint8(cv2.multiply(image, fine, scale=1 / 255))


def _uint8(values: Any) -> npt.NDArray[np.uint8]:
    return np.asarray(values, dtype=np.uint8)
