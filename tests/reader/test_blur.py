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
    "quad",
    [QUAD - [150, 100], QUAD - [-480, -290], QUAD * 100, QUAD * 0 + 50, QUAD[::-1], -QUAD * 1e6, QUAD + 1e6],
    ids=["left", "right", "huge", "a point", "turned", "far", "outside"],
)  # fmt: skip
def test_any_quad_is_covered(quad: np.ndarray) -> None:
    image = photograph("B12345")
    assert blur_plates(image, [np.asarray(quad, np.float32)]).shape == image.shape


def test_a_plate_at_the_edge_is_covered_to_the_edge() -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    blurred = blur_plates(image, [np.array([[0, 0], [120, 0], [120, 30], [0, 30]], np.float32)])
    assert np.ptp(blurred[:30, :120].reshape(-1, 3), axis=0).max() <= 3 * 256 // LEVELS
