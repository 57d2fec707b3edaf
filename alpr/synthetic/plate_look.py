"""How a photographed plate looks, measured: its light, its sharpness and its noise; so that another may look alike."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from alpr.plates.geometry import homography, pixel_centre_matrix, plate_height
from alpr.plates.records import FloatArray, ImageArray
from alpr.synthetic.covering import quad_mask

PAINT_WHITE, PAINT_BLACK = 240.0, 25.0
"""What a rendered plate's white and black paint are; they become the photographed plate's bright and dark."""
_SMALL = (16, 48)
_LEAST_CONTRAST = 36.0
_LUMA = np.array([0.114, 0.587, 0.299])  # of B, G, R
_Gray = npt.NDArray[np.uint8]


class PlateLook(NamedTuple):
    """What light and camera made of a plate."""

    white: FloatArray  # (3,) BGR of a white surface in its place
    black: FloatArray  # (3,) BGR of a black one
    shading: npt.NDArray[np.float32]  # (h, w) about 1: how the light changes over the plate
    edge_px: tuple[float, float]  # the width (sigma) of its sharpest edges across x and y; 0 where none can be seen
    noise: float  # grey levels
    contrast: float  # grey levels between its bright and its dark parts


def plate_look(patch: ImageArray, corners: FloatArray) -> PlateLook:
    """The look of the plate with these corners (4, 2) px of a patch (H, W, 3) that holds it."""
    h, w = _SMALL
    inset = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    centre = corners.mean(axis=0)
    inner = (centre + 0.9 * (corners - centre)).astype(np.float32)
    matrix = pixel_centre_matrix(homography(inner, inset))
    small = cv2.warpPerspective(patch, matrix, (w, h), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    luma = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
    dark, bright = (float(v) for v in np.percentile(luma, (6, 92)))
    grey = np.asarray(cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY), np.uint8)
    mask = quad_mask((grey.shape[0], grey.shape[1]), inner)
    around = np.array(cv2.mean(patch, cv2.bitwise_not(mask))[:3])
    white = _level(small[luma >= np.percentile(luma, 88)].mean(axis=0), bright, around)
    black = _level(small[luma <= np.percentile(luma, 10)].mean(axis=0), dark, around)
    lacking = _LEAST_CONTRAST - (bright - dark)  # a plate that nobody could read would teach nothing
    if lacking > 0:
        black = np.maximum(black - lacking / 2, 0)
        white = np.minimum(white + lacking / 2, 255)
    edges, noise = edge_widths(grey, mask, float(plate_height(corners))), _noise(grey, mask)
    return PlateLook(white, black, _shading(luma), edges, noise, bright - dark)


def _level(colour: FloatArray, luma: float, around: FloatArray) -> FloatArray:
    """A light's colour from that of a bright or dark surface.

    A strong colour may be the plate's paint, which tells nothing about the light, unless the surroundings share it.
    """
    saturation = float(np.ptp(colour) / max(float(colour.max()), 1.0))
    trust = float(np.clip((0.35 - saturation) / 0.2, 0.0, 1.0))
    tint, tint_around = (np.log((c + 4) / (float(c.mean()) + 4)) for c in (colour, around))
    shared = np.where(tint * tint_around > 0, np.sign(tint) * np.minimum(np.abs(tint), np.abs(tint_around)), 0.0)
    light = np.exp(trust * tint + (1 - trust) * shared)
    return np.asarray(np.clip(light * luma / float(light @ _LUMA), 0, 255), np.float64)


@lru_cache(maxsize=1)
def _waves() -> tuple[FloatArray, FloatArray]:
    """Nine slow cosines over the small plate, (768, 9), and their pseudo-inverse."""
    h, w = _SMALL
    y, x = ((np.arange(n) + 0.5) / n for n in (h, w))
    waves = [np.outer(np.cos(np.pi * j * y), np.cos(np.pi * i * x)).ravel() for j in range(3) for i in range(3)]
    basis = np.stack(waves, axis=1)
    return basis, np.linalg.pinv(basis)


def _shading(luma: _Gray) -> npt.NDArray[np.float32]:
    """Slow changes of the plate's bright parts: its writing is closed over first."""
    brightest = cv2.blur(cv2.morphologyEx(luma, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)), (5, 5)).astype(np.float64)
    basis, inverse = _waves()
    field = (basis @ (inverse @ brightest.ravel())).reshape(_SMALL)
    return np.asarray(np.clip(field / max(float(field.mean()), 1.0), 0.6, 1.35), np.float32)


def edge_widths(grey: _Gray, mask: _Gray, height_px: float) -> tuple[float, float]:
    """The sigma in px of the sharpest edges across x and y inside a mask; the same measure for every plate.

    The steepest slope of a step of contrast C under a Gaussian blur is C / (sqrt(2 pi) sigma).
    """
    inside = mask > 0
    values = grey[inside]
    if len(values) < 30:
        return 0.0, 0.0
    dark, bright = (float(v) for v in np.percentile(values, (5, 95)))
    if bright - dark < 24:
        return 0.0, 0.0
    found = []
    for dx, dy in ((1, 0), (0, 1)):
        slope = np.abs(cv2.Sobel(grey, cv2.CV_16S, dx, dy, ksize=3)[inside])
        steepest = float(np.percentile(slope, 98.5)) / 8
        found.append(min((bright - dark) / (2.507 * max(steepest, 0.5)), 0.25 * height_px))
    return found[0], found[1]


_SECOND = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def _noise(grey: _Gray, mask: _Gray) -> float:
    """The grain's standard deviation, from the flatter half of what lies outside the mask.

    Source: Immerkaer, "Fast noise variance estimation", CVIU 64(2), 1996, with a median for the mean.
    """
    second = np.abs(cv2.filter2D(grey, cv2.CV_32F, _SECOND))
    outside = second[mask == 0] if np.count_nonzero(mask == 0) > 50 else second.ravel()
    return float(min(np.median(outside[outside <= np.median(outside)]) / (6 * 0.319), 12.0))
