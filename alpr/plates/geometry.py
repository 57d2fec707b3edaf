"""Plate geometry in numpy: corners, boxes, polygons, homographies and the letterbox with its inverse."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from alpr.plates.records import FloatArray

MIRRORED_CORNERS = (1, 0, 3, 2)
"""After a mirror image the top left corner stands where the top right one did."""
_TO_CENTRE = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
_TO_EDGE = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])


class FlatQuad(ValueError):
    """Four points from which no homography can be made."""


def corner_box(corners: FloatArray) -> FloatArray:
    """The upright hull of corners: (..., 4, 2) -> (..., 4) as x1, y1, x2, y2."""
    return np.concatenate([corners.min(axis=-2), corners.max(axis=-2)], axis=-1)


def box_corners(boxes: FloatArray) -> FloatArray:
    """The corners of upright boxes: (..., 4) -> (..., 4, 2), clockwise from the top left."""
    x1, y1, x2, y2 = np.moveaxis(np.asarray(boxes), -1, 0)
    return np.stack([np.stack(p, axis=-1) for p in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))], axis=-2)


def box_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of every pair: (N, 4), (M, 4) -> (N, M); 0 where both boxes are empty."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    intersection = np.maximum(sides[..., 0], 0) * np.maximum(sides[..., 1], 0)
    area_a, area_b = (np.maximum(c[:, 2] - c[:, 0], 0) * np.maximum(c[:, 3] - c[:, 1], 0) for c in (a, b))
    union = area_a[:, None] + area_b[None, :] - intersection
    return np.asarray(intersection / np.maximum(union, 1e-9))


def signed_area(polygon: FloatArray) -> float:
    """The area of a polygon (P, 2) in px^2: positive when its points go clockwise on the screen."""
    x, y = np.asarray(polygon, dtype=np.float64).T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def is_convex_clockwise(corners: FloatArray) -> bool:
    """Whether four corners form a convex quad that goes clockwise on the screen, as corner labels must."""
    points = np.asarray(corners, dtype=np.float64)
    edges = np.roll(points, -1, axis=0) - points
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    return bool(np.all(np.isfinite(points)) and np.all(turns > 0))


def clip_polygon(subject: FloatArray, clip: FloatArray) -> FloatArray:
    """The part of a polygon (P, 2) inside a convex clockwise polygon (Q, 2): (R, 2), R may be 0.

    Source: Sutherland and Hodgman, "Reentrant polygon clipping", CACM 17(1), 1974.
    """
    output = [np.asarray(p, dtype=np.float64) for p in subject]
    for start, end in zip(clip, np.roll(clip, -1, axis=0), strict=True):
        edge = np.asarray(end, dtype=np.float64) - start
        points, output = output, []
        sides = [edge[0] * (p[1] - start[1]) - edge[1] * (p[0] - start[0]) for p in points]
        for i, (point, side) in enumerate(zip(points, sides, strict=True)):
            previous, previous_side = points[i - 1], sides[i - 1]
            if (side < 0) != (previous_side < 0):
                share = previous_side / (previous_side - side)
                output.append(previous + share * (point - previous))
            if side >= 0:
                output.append(point)
    return np.array(output, dtype=np.float64).reshape(-1, 2)


def polygon_iou(a: FloatArray, b: FloatArray) -> float:
    """Intersection over union of two convex polygons, (P, 2) and (Q, 2), in either direction; 0 if one is flat."""
    area_a, area_b = signed_area(a), signed_area(b)
    if area_a == 0 or area_b == 0:
        return 0.0
    a = a if area_a > 0 else a[::-1]
    b = b if area_b > 0 else b[::-1]
    overlap = clip_polygon(a, b)
    intersection = abs(signed_area(overlap)) if len(overlap) >= 3 else 0.0
    return intersection / (abs(area_a) + abs(area_b) - intersection)


def plate_height(corners: FloatArray) -> FloatArray:
    """The mean length of the left and right edges in px: (..., 4, 2) -> (...). The unit of corner errors."""
    left = np.linalg.norm(corners[..., 3, :] - corners[..., 0, :], axis=-1)
    right = np.linalg.norm(corners[..., 2, :] - corners[..., 1, :], axis=-1)
    return np.asarray((left + right) / 2)


def plate_width(corners: FloatArray) -> FloatArray:
    """The mean length of the top and bottom edges in px: (..., 4, 2) -> (...)."""
    top = np.linalg.norm(corners[..., 1, :] - corners[..., 0, :], axis=-1)
    bottom = np.linalg.norm(corners[..., 2, :] - corners[..., 3, :], axis=-1)
    return np.asarray((top + bottom) / 2)


def homography(source: FloatArray, target: FloatArray) -> FloatArray:
    """The 3x3 matrix that takes four source points to four target points, both (4, 2), in continuous pixels.

    Raises:
        FlatQuad: three of the four points lie on a line, so that no homography exists.
    """
    try:
        matrix = cv2.getPerspectiveTransform(np.asarray(source, np.float32), np.asarray(target, np.float32))
    except cv2.error as error:
        raise ValueError(
            f"No homography takes {np.asarray(source).tolist()} to {np.asarray(target).tolist()}."
        ) from error
    determinant = cv2.determinant(matrix)
    if not math.isfinite(determinant) or abs(determinant) < 1e-12:
        raise FlatQuad(f"No homography takes {np.asarray(source).tolist()} to {np.asarray(target).tolist()}.")
    return np.asarray(matrix)


def transform_points(points: FloatArray, matrix: FloatArray) -> FloatArray:
    """Points (..., 2) under a 3x3 homography: (..., 2)."""
    points = np.asarray(points)
    homogeneous = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1) @ matrix.T
    return np.asarray((homogeneous[..., :2] / homogeneous[..., 2:]).astype(points.dtype))


def pixel_centre_matrix(matrix: FloatArray) -> FloatArray:
    """The matrix OpenCV's warps need: they put a pixel's *centre* at whole numbers, this project its edge."""
    return np.asarray(_TO_EDGE @ matrix @ _TO_CENTRE)


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How an image was fitted into a network input: scaled, put at the top left, padded right and below.

    It is halved as often as it can be and then interpolated. What fills no block of the halved pixels, less
    than one px of the input at the right and below, is left out.
    """

    scale_x: float  # input px per image px
    scale_y: float
    inner: tuple[int, int]  # (height, width) of the scaled image
    size: tuple[int, int]  # (height, width) of the network input, multiples of the stride
    halvings: int = 0  # before it is interpolated

    @classmethod
    def fit(cls, image_size: tuple[int, int], long_side: int, multiple: int = 32) -> Letterbox:
        """The letterbox whose longer side is `long_side` px; the other side is padded to a multiple of the stride.

        Raises:
            ValueError: an image without pixels, or a long side that is no multiple.
        """
        height, width = image_size
        if height < 1 or width < 1:
            raise ValueError(f"An image of {height}x{width} px cannot be letterboxed; expected at least 1x1.")
        if long_side < multiple or long_side % multiple:
            raise ValueError(f"The network input's long side is {long_side} px; expected a multiple of {multiple}.")
        scale = long_side / max(height, width)
        inner = (max(1, round(height * scale)), max(1, round(width * scale)))
        size = (-(-inner[0] // multiple) * multiple, -(-inner[1] // multiple) * multiple)
        halvings = max(1, min(height // inner[0], width // inner[1])).bit_length() - 1
        block = 2**halvings
        return cls(inner[1] / (width - width % block), inner[0] / (height - height % block), inner, size, halvings)

    def forward(self, points: FloatArray) -> FloatArray:
        """Image points (..., 2) to network-input points."""
        return np.asarray(points * np.array([self.scale_x, self.scale_y], dtype=np.float32))

    def inverse(self, points: FloatArray) -> FloatArray:
        """Network-input points (..., 2) to image points."""
        return np.asarray(points / np.array([self.scale_x, self.scale_y], dtype=np.float32))
