"""Blurred copies: nothing of the plate is left, its surroundings stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from alpr.reader.blur import LEVELS, blur_plates

QUAD = np.array([[100, 80], [220, 90], [218, 130], [98, 118]], np.float32)


def photograph(text: str) -> np.ndarray:
    image = cv2.resize(np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8), (600, 400))
    cv2.fillConvexPoly(image, QUAD.astype(np.int32), (160, 60, 20))
    cv2.putText(image, text, (106, 114), cv2.FONT_HERSHEY_SIMPLEX, 0.85, (255, 255, 255), 2)
    return image


def test_different_texts_leave_nearly_the_same_picture() -> None:
    """Four means of sixteen levels cannot hold a text: two plates differ by a level at most."""
    one, other = (blur_plates(photograph(text), [QUAD]) for text in ("B12345", "K80967"))
    before = np.abs(photograph("B12345").astype(int) - photograph("K80967")).max()
    assert before == 255 - 20 and np.abs(one.astype(int) - other).max() <= 256 // LEVELS
    inside = one[85:115, 105:215].astype(np.float32)
    assert np.abs(cv2.Laplacian(inside, cv2.CV_32F)).max() < 12  # no edge is left, neither a stroke nor a cell


def test_only_a_copy_is_changed_and_only_around_the_plate() -> None:
    image = photograph("B12345")
    kept = image.copy()
    blurred = blur_plates(image, [QUAD])
    assert (image == kept).all() and blurred.shape == image.shape
    rows, columns = np.nonzero((blurred != image).any(axis=-1))
    assert 50 < rows.min() < 80 and 130 < rows.max() < 160 and 70 < columns.min() < 98 and 220 < columns.max() < 250
    assert (blur_plates(image, []) == image).all()


@pytest.mark.parametrize(
    ("quad", "touches"),
    [
        (QUAD - [150, 100], True), (QUAD - [-480, -290], True), (QUAD * 100, False), (QUAD * 50 - [7000, 5000], True),
        (QUAD * 0 + 50, True), (QUAD[::-1], True), (-QUAD * 1e6, False), (QUAD + 1e6, False),
    ],
    ids=["left", "right", "far huge", "huge", "a point", "turned", "far", "outside"],
)  # fmt: skip
def test_any_quad_is_covered(quad: np.ndarray, touches: bool) -> None:
    """Of what stood inside the quad nothing is left but smooth colours near its mean."""
    noise = np.random.default_rng(2).integers(0, 256, (400, 600, 3), np.uint8)
    quad = np.asarray(quad, np.float32)
    mask = np.zeros(noise.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(np.clip(quad, -(2**14), 2**14)).astype(np.int32)), 1)
    assert bool(mask.any()) == touches
    for image in (noise, 255 - noise):
        blurred = blur_plates(image, [quad])
        assert blurred.shape == image.shape and bool((blurred != image).any()) == touches
        if touches:
            mean = image[mask > 0].astype(float).mean(axis=0)
            largest = 128 if mask.sum() < 100 else 3 * 256 // LEVELS  # of a few pixels the means are far apart
            assert np.abs(blurred[mask > 0] - mean).max() <= largest
            edges = np.abs(cv2.Laplacian(blurred.astype(np.float32), cv2.CV_32F))[cv2.erode(mask, None) > 0]
            assert edges.max(initial=0) < 12  # noise has edges of hundreds


def test_a_plate_at_the_edge_is_covered_to_the_edge() -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    blurred = blur_plates(image, [np.array([[0, 0], [120, 0], [120, 30], [0, 30]], np.float32)])
    assert np.ptp(blurred[:30, :120].reshape(-1, 3), axis=0).max() <= 3 * 256 // LEVELS
