"""What detectors take for plates and is none, put into photographs: lettering, time stamps, gratings, signs."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from alpr.plates.geometry import box_corners, corner_box, homography, pixel_centre_matrix
from alpr.plates.records import FloatArray, ImageArray, Plate
from alpr.synthetic import effects
from alpr.synthetic.glyphs import STROKE_CHARACTERS, Mask, text_mask
from alpr.synthetic.scenes import draw_sign, paste, street_paint

MOST = 3
"""The most of them in a photograph."""
_LETTERS = "".join(sorted(STROKE_CHARACTERS))


def distract(image: ImageArray, plates: Sequence[Plate], rng: np.random.Generator) -> ImageArray:
    """The photograph (H, W, 3) with one to `MOST` things that are no plates, none of them near a plate.

    Bare lettering is shorter or longer than plates are, or holds signs that they do not, so that no plate without a
    visible edge is unlearnt.
    """
    image = image.copy()
    height, width = image.shape[:2]
    taken = [box for plate in plates if (box := _roomy(plate)) is not None]
    for _ in range(int(rng.integers(1, MOST + 1))):
        quad = _quad(rng, (height, width))
        x1, y1, x2, y2 = corner_box(quad)
        if any(x1 < b[2] and b[0] < x2 and y1 < b[3] and b[1] < y2 for b in taken):
            continue
        kind = rng.random()
        if kind < 0.55:
            _letter(image, quad, rng)
        else:
            paste(image, draw_sign(rng) if kind < 0.7 else _grating(rng), quad)
        taken.append(corner_box(quad))
    return image


def _roomy(plate: Plate) -> FloatArray | None:
    """The plate's box with half its height of room around it; None where it is not known where it lies."""
    box = plate.box if plate.corners is None else corner_box(plate.corners)
    if box is None:
        return None
    room = 0.5 * (box[3] - box[1])
    return np.asarray(box + np.array([-room, -room, room, room]))


def _quad(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
    """A place as large as plates are, level or turned, a little out of shape."""
    w = float(np.exp(rng.uniform(np.log(0.03), np.log(0.35)))) * max(size)
    h = w / float(rng.uniform(1.8, 7.0))
    half = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2
    half += rng.normal(0, 0.05 * h, (4, 2))
    angle = np.deg2rad(rng.normal(0, 8 if rng.random() < 0.8 else 60))
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(half @ np.array([[cos, sin], [-sin, cos]]) + rng.random(2) * size[::-1], np.float32)


def _words(rng: np.random.Generator) -> str:
    """A date, a time, a long line, or a short word."""
    n = rng.integers(0, 10, 12).tolist()
    kind = rng.random()
    if kind < 0.2:
        return f"{n[0]}{n[1]}-{n[2]}{n[3]}-{n[4]}{n[5]}{n[6]}{n[7]}"
    if kind < 0.4:
        return f"{n[0]}{n[1]}-{n[2]}{n[3]}-{n[4]}{n[5]} {n[6]}{n[7]}-{n[8]}{n[9]}"
    length = int(rng.integers(2, 5) if kind < 0.7 else rng.integers(10, 18))
    letters = "".join(_LETTERS[i] for i in rng.integers(len(_LETTERS), size=length))
    return letters if length < 5 else f"{letters[: length // 2]} {letters[length // 2 :]}"


def _letter(image: ImageArray, quad: FloatArray, rng: np.random.Generator) -> None:
    """Writes on whatever is there, in place."""
    words = _words(rng)
    mask = text_mask(words, (40, 24 * len(words)))
    x1, y1 = np.floor(quad.min(axis=0)).astype(int) - 1
    x2, y2 = np.ceil(quad.max(axis=0)).astype(int) + 1
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, image.shape[1]), min(y2, image.shape[0])
    if x2 - x1 < 6 or y2 - y1 < 4:
        return
    source = box_corners(np.array([0, 0, mask.shape[1], mask.shape[0]], np.float32))
    matrix = pixel_centre_matrix(homography(source, quad - np.array([x1, y1], np.float32)))
    cover: Mask = np.asarray(cv2.warpPerspective(mask, matrix, (int(x2 - x1), int(y2 - y1)), flags=cv2.INTER_AREA))
    weight = effects.blur(cover, float(rng.uniform(0.0, 1.2))).astype(np.float32) * np.float32(
        rng.uniform(0.5, 1) / 255
    )
    place = np.ascontiguousarray(image[y1:y2, x1:x2])
    paint = np.empty_like(place)
    paint[:] = street_paint(rng)
    image[y1:y2, x1:x2] = cv2.blendLinear(place, paint, 1 - weight, weight)


def _grating(rng: np.random.Generator) -> ImageArray:
    """A grille or a grate: bars side by side or one above the other, in a frame or in none."""
    height, width, bars = 60, int(rng.integers(100, 260)), int(rng.integers(4, 22))
    image = np.empty((height, width, 3), np.uint8)
    image[:] = street_paint(rng)
    bar, share = street_paint(rng), float(rng.uniform(0.25, 0.75))
    along = width if rng.random() < 0.7 else height
    for edge in np.linspace(0, along, bars, endpoint=False):
        low, high = round(edge), round(edge + share * along / bars)
        image[(slice(None), slice(low, high)) if along == width else slice(low, high)] = bar
    if rng.random() < 0.5:
        cv2.rectangle(image, (0, 0), (width - 1, height - 1), street_paint(rng), int(rng.integers(2, 8)))
    return image
