"""A flat plate on a piece of car, photographed, and cut out with the error a detector makes."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np

from alpr.plates.geometry import homography, pixel_centre_matrix
from alpr.plates.records import FloatArray, ImageArray
from alpr.synthetic import effects


def surround(plate: ImageArray, rng: np.random.Generator) -> tuple[ImageArray, FloatArray]:
    """The plate on a piece of car, and its corners (4, 2)."""
    h, w = plate.shape[:2]
    pad = round(h * 0.32)
    textures = effects.effect_bank().textures
    texture = textures[int(rng.random() * len(textures))]
    canvas = effects.cut(texture, (h + 2 * pad, w + 2 * pad), rng).copy()
    u = rng.random(4).tolist()
    if u[3] < 0.04:  # a flash at night: the foil throws it back, the car does not
        canvas = np.asarray(cv2.convertScaleAbs(canvas, alpha=0.08 + 5 * u[3]), dtype=np.uint8)
        plate = np.asarray(cv2.convertScaleAbs(plate, alpha=1.05 + 10 * u[3]), dtype=np.uint8)
    if u[0] < 0.35:  # a holder
        line = 1 + int(u[1] * 0.09 * h)
        grey = 255 * u[2] if u[2] > 0.7 else 70 * u[2]
        cv2.rectangle(canvas, (pad - line, pad - line), (pad + w + line - 1, pad + h + line - 1), (grey,) * 3, -1)
    elif u[0] < 0.7:  # its shadow on the bumper
        drop = 1 + int(u[1] * 0.1 * h)
        cv2.rectangle(canvas, (pad, pad + drop), (pad + w, pad + h + drop), (25 + 30 * u[2],) * 3, -1)
    canvas[pad + 1 : pad + h - 1, pad : pad + w] = plate[1:-1]
    canvas[[pad, pad + h - 1], pad + 2 : pad + w - 2] = plate[[0, -1], 2:-2]  # corners are rounded
    x1, y1, x2, y2 = pad, pad, pad + w, pad + h
    return canvas, np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)


def photograph(
    canvas: ImageArray, corners: FloatArray, rng: np.random.Generator, without: Collection[str] = ()
) -> tuple[ImageArray, FloatArray]:
    """The canvas as a camera sees it, at the resolution of a far or near plate, and the corners there.

    Args:
        without: "tilt", "resolution", "sensor": seen from the front, near, or by a perfect camera.
    """
    u, n = rng.random(6).tolist(), rng.standard_normal(12)
    if "resolution" in without:
        u[0] = 1.0
    height = float(10.5 * np.exp(1.65 * u[0] ** 0.7))  # 10.5..55 px, more large than small
    flat_height, flat_width = float(corners[3, 1] - corners[0, 1]), float(corners[1, 0] - corners[0, 0])
    if height < 0.6 * flat_height:  # a warp samples four pixels only; shrink by averaging first
        factor = max(height / flat_height * 1.4, 0.2)
        small = (round(canvas.shape[1] * factor), round(canvas.shape[0] * factor))
        corners = corners * np.array([small[0] / canvas.shape[1], small[1] / canvas.shape[0]], np.float32)
        canvas = np.asarray(cv2.resize(canvas, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if "tilt" in without:
        u[1], n = 0.22 / 0.3, np.zeros(12)
    width = height * flat_width / flat_height * (0.78 + 0.3 * u[1])
    angle = np.deg2rad(n[0] * (4 if u[2] < 0.75 else 13))
    shear = 0.13 * n[1] + 0.6 * np.tan(angle) * (u[3] - 0.2)
    nearer = 1 + 0.05 * n[2]
    half = np.array([[-1, -nearer], [1, -1 / nearer], [1, 1 / nearer], [-1, nearer]]) * 0.5
    quad = half * [width, height]
    quad[:, 0] += shear * quad[:, 1]
    quad += 0.012 * height * n[4:12].reshape(4, 2)
    cos, sin = np.cos(angle), np.sin(angle)
    quad = quad @ np.array([[cos, sin], [-sin, cos]])
    border = 0.25 * height
    quad += border - quad.min(axis=0) + rng.random(2)
    size = np.ceil(quad.max(axis=0) + border).astype(int)
    quad = quad.astype(np.float32)
    matrix = pixel_centre_matrix(homography(corners, quad))
    photo = cv2.warpPerspective(
        canvas, matrix, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    sharp = np.asarray(photo, dtype=np.uint8)
    return (sharp if "sensor" in without else effects.sensor(sharp, rng, height)), quad


def cut_out(
    photo: ImageArray,
    quad: FloatArray,
    size: tuple[int, int],
    margin: float,
    rng: np.random.Generator,
    *,
    exact: bool = False,
) -> tuple[ImageArray, FloatArray]:
    """The crop that a detector's corners would give, and the homography from the photograph to it.

    Each corner is a little wrong, all of them are a little off and too wide; `exact` leaves them where they are.
    """
    height = float(quad[3, 1] - quad[0, 1])
    u, n = rng.random(3).tolist(), rng.standard_normal(12)
    if exact:
        u[0], n = 1.0, np.zeros(12)
    skew = abs(float(quad[1, 1] - quad[0, 1]))
    if u[0] < 0.4 and skew < 0.9 * height:  # cut by the upright box, as many sets of crops are
        (x1, y1), (x2, y2) = quad.min(axis=0), quad.max(axis=0)
        quad = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    sigma = 0.012 + 0.055 * u[1] ** 2
    wider = 1 + np.array([0.02, 0.05]) * (n[8:10] + (0.0 if exact else 0.2))
    centre = quad.mean(axis=0)
    corners = centre + (quad - centre) * wider + height * (sigma * n[:8].reshape(4, 2) + 0.6 * sigma * n[10:12])
    x, y = margin * size[1], margin * size[0]
    target = np.array([[x, y], [size[1] - x, y], [size[1] - x, size[0] - y], [x, size[0] - y]], np.float32)
    matrix = homography(corners, target)
    flags = cv2.INTER_CUBIC if u[2] < 0.2 else cv2.INTER_LINEAR
    crop = cv2.warpPerspective(
        photo, pixel_centre_matrix(matrix), (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, dtype=np.uint8), matrix
