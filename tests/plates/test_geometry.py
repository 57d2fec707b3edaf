"""Quads, boxes, polygons, homographies and the letterbox, against plain computations."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpr.plates.geometry import (
    MIRRORED_CORNERS,
    Letterbox,
    box_corners,
    box_iou,
    corner_box,
    homography,
    is_convex_clockwise,
    pixel_centre_matrix,
    plate_height,
    plate_width,
    polygon_iou,
    signed_area,
    transform_points,
)

SQUARE = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], np.float32)


def rasterised_iou(a: np.ndarray, b: np.ndarray, scale: int = 40, shift: float = 8.0) -> float:
    """The IoU of two polygons by counting fine pixels: slow, plain."""
    masks = []
    for polygon in (a, b):
        mask = np.zeros((900, 900), np.uint8)
        cv2.fillPoly(mask, [np.round((polygon + shift) * scale).astype(np.int32)], 1)
        masks.append(mask.astype(bool))
    return float((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def test_polygon_iou_by_hand() -> None:
    assert polygon_iou(SQUARE, SQUARE) == pytest.approx(1)
    assert polygon_iou(SQUARE, SQUARE + 1) == pytest.approx(1 / 7)
    assert polygon_iou(SQUARE, SQUARE + 5) == 0
    assert polygon_iou(SQUARE, SQUARE[::-1]) == pytest.approx(1)
    assert polygon_iou(SQUARE, np.zeros((4, 2))) == 0
    diamond = np.array([[1, 0], [2, 1], [1, 2], [0, 1]])
    assert polygon_iou(SQUARE, diamond) == pytest.approx(0.5)


def test_polygon_iou_equals_counted_pixels() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        quads = []
        for _ in range(2):
            angle, size = rng.uniform(0, np.pi), rng.uniform(2, 5, 2)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            quads.append((np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size / 2) @ turn.T + rng.uniform(-1, 1, 2))
        assert polygon_iou(*quads) == pytest.approx(rasterised_iou(*quads), abs=0.02)


@given(st.lists(st.floats(0, 50), min_size=8, max_size=8))
def test_box_iou_is_symmetric_and_bounded(values: list[float]) -> None:
    a, b = np.array([values[:4]]), np.array([values[4:]])
    assert box_iou(a, b) == pytest.approx(box_iou(b, a).T)
    assert 0 <= box_iou(a, b)[0, 0] <= 1


def test_boxes_and_corners_round_trip() -> None:
    box = np.array([[1.0, 2, 7, 5]])
    assert np.array_equal(corner_box(box_corners(box)), box)
    assert is_convex_clockwise(box_corners(box)[0])
    assert box_iou(box, box)[0, 0] == pytest.approx(1)


def test_clockwise_and_convex() -> None:
    assert signed_area(SQUARE) == 4
    assert is_convex_clockwise(SQUARE)
    assert not is_convex_clockwise(SQUARE[::-1])
    assert not is_convex_clockwise(SQUARE[[0, 2, 1, 3]])  # crossed
    assert not is_convex_clockwise(np.array([[0, 0], [1, 0], [2, 0], [3, 0]]))  # flat
    for corner in range(4):  # one of them lies inside the other three
        arrow = np.roll(np.array([[0, 0], [4, 0], [1, 1], [0, 4]]), corner, axis=0)
        assert signed_area(arrow) > 0 and not is_convex_clockwise(arrow)
    assert not is_convex_clockwise(np.array([[0, 0], [np.nan, 0], [2, 2], [0, 2]]))


def test_a_mirrored_quad_stays_clockwise() -> None:
    mirrored = SQUARE * [-1, 1] + [2, 0]
    assert not is_convex_clockwise(mirrored)
    assert is_convex_clockwise(mirrored[list(MIRRORED_CORNERS)])


def test_plate_size() -> None:
    quad = np.array([[0, 0], [10, 0], [10, 4], [0, 2]], np.float32)
    assert plate_height(quad) == pytest.approx(3)
    assert plate_width(quad) == pytest.approx((10 + np.hypot(10, 2)) / 2)


def test_homography_takes_points_to_points() -> None:
    target = np.array([[3, 1], [9, 2], [8, 7], [2, 6]], np.float32)
    assert transform_points(SQUARE, homography(SQUARE, target)) == pytest.approx(target, abs=1e-4)
    with pytest.raises(ValueError, match="No homography"):
        homography(np.zeros((4, 2)), target)


def test_pixel_centres() -> None:
    """Doubling in continuous pixels takes the first pixel's centre, 0.5, to 1.0; OpenCV calls these 0 and 0.5."""
    doubled = pixel_centre_matrix(np.diag([2.0, 2.0, 1.0]))
    assert transform_points(np.zeros((1, 2)), doubled) == pytest.approx(np.array([[0.5, 0.5]]))


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 320, 448, 640]))
def test_letterbox(height: int, width: int, long_side: int) -> None:
    box = Letterbox.fit((height, width), long_side)
    assert max(box.inner) == long_side
    assert box.size[0] % 32 == box.size[1] % 32 == 0
    assert box.inner[0] <= box.size[0] < box.inner[0] + 32
    assert box.inner[1] <= box.size[1] < box.inner[1] + 32
    block = 2**box.halvings
    corner = np.array([[width - width % block, height - height % block]], np.float32)
    assert box.forward(corner) == pytest.approx(np.array([[box.inner[1], box.inner[0]]]), rel=1e-5)
    assert box.inverse(box.forward(corner)) == pytest.approx(corner, rel=1e-5)
    least = min(height / box.inner[0], width / box.inner[1])
    assert block == 1 or block <= least < 2 * block  # so what is left out is less than a px of the input


def test_letterbox_refuses() -> None:
    with pytest.raises(ValueError, match="0x5 px"):
        Letterbox.fit((0, 5), 320)
    with pytest.raises(ValueError, match="multiple of 32"):
        Letterbox.fit((5, 5), 300)
