"""Plates found by their outline or by their texture, as tutorials of OpenCV do: nothing is trained.

`Contours` takes four-sided outlines of edges (Canny). `Sobel` takes blobs of close vertical edges, which the strokes
of characters make. Both say how much a blob looks like a plate, so that candidates have an order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from alpr.baselines.methods import method
from alpr.detection.decode import nms
from alpr.plates.geometry import corner_box, plate_height, plate_width, signed_area
from alpr.plates.records import Detection, FloatArray, ImageArray
from alpr.reader.parts import Parts

OVERLAP = 0.4
"""Two candidates that overlap by more are one plate."""


@dataclass(frozen=True)
class Shape:
    """What a plate may look like.

    Attributes:
        aspects: usual quotients of width and height.
        spread: how far the quotient may lie from the nearest of them, as a factor.
        least_width: of the width of the image.
    """

    aspects: Sequence[float] = (3.2, 4.7)
    spread: float = 2.0
    least_width: float = 0.04

    def likeness(self, quad: FloatArray, image_width: float) -> float:
        """How near the quotient of a quad (4, 2) is to a plate's: 1 equal, 0 beyond the spread or too small."""
        width, height = float(plate_width(quad)), float(plate_height(quad))
        if height < 4 or width < self.least_width * image_width:
            return 0.0
        away = min(abs(math.log(width / height / aspect)) for aspect in self.aspects)
        return max(0.0, 1 - away / math.log(self.spread))


@dataclass(frozen=True)
class Contours:
    """Four-sided outlines of edges.

    Attributes:
        long_px: the image is made so long at most.
        canny: the two thresholds of the edges.
        tolerance: of the polygon, as a part of the outline's length.
        most: the largest outlines, of which the quads are candidates.
    """

    shape: Shape
    long_px: int = 1160
    canny: tuple[int, int] = (30, 200)
    tolerance: float = 0.018
    most: int = 30

    def locate(self, image: ImageArray) -> list[Detection]:
        """Outlines of four sides that are shaped like a plate, the likest first; see `Localiser`."""
        grey, scale = grey_of(image, self.long_px)
        edges = cv2.Canny(cv2.bilateralFilter(grey, 11, 17, 17), *self.canny)
        outlines = cv2.findContours(edges, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]
        scored = []
        for outline in sorted(outlines, key=cv2.contourArea, reverse=True)[: self.most]:
            polygon = cv2.approxPolyDP(outline, self.tolerance * cv2.arcLength(outline, True), True)
            if len(polygon) == 4 and cv2.isContourConvex(polygon):
                quad = in_reading_order(polygon.reshape(4, 2).astype(np.float32))
                scored.append((quad, self.shape.likeness(quad, grey.shape[1])))
        return detections(scored, scale)


@dataclass(frozen=True)
class Sobel:
    """Blobs of close vertical edges.

    Attributes:
        long_px: the image is made so long at most.
        closing: (width, height) px of the kernel that joins the strokes of characters.
        most: candidates of an image.
    """

    shape: Shape
    long_px: int = 640
    closing: tuple[int, int] = (17, 3)
    most: int = 5

    def locate(self, image: ImageArray) -> list[Detection]:
        """Rectangles round blobs; the score is the shape's likeness by the strength of the edges inside."""
        grey, scale = grey_of(image, self.long_px)
        strength = np.abs(cv2.Sobel(cv2.GaussianBlur(grey, (5, 5), 0), cv2.CV_32F, 1, 0))
        edges = np.minimum(strength, 255).astype(np.uint8)
        _, mask = cv2.threshold(edges, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones(self.closing[::-1], np.uint8))
        joined = cv2.morphologyEx(joined, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        scored = []
        for outline in cv2.findContours(joined, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
            quad = in_reading_order(np.asarray(cv2.boxPoints(cv2.minAreaRect(outline)), np.float32))
            likeness = self.shape.likeness(quad, grey.shape[1])
            if likeness:
                x, y, width, height = cv2.boundingRect(outline)
                inside = edges[y : y + height, x : x + width].mean() / 255
                scored.append((quad, math.sqrt(likeness * min(1.0, 2 * float(inside)))))
        return detections(scored, scale)[: self.most]


def grey_of(image: ImageArray, long_px: int) -> tuple[ImageArray, float]:
    """An image in grey, at most so long, and how many px of the image one of its px is."""
    scale = max(1.0, max(image.shape[:2]) / long_px)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if scale > 1:
        size = (max(1, round(grey.shape[1] / scale)), max(1, round(grey.shape[0] / scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8), scale


def in_reading_order(quad: FloatArray) -> FloatArray:
    """Four points (4, 2) clockwise, so that the first edge runs as nearly to the right as one does."""
    centre = quad.mean(axis=0)
    quad = quad[np.argsort(np.arctan2(*(quad - centre).T[::-1]))]
    quad = quad if signed_area(quad) > 0 else quad[::-1]
    edges = np.roll(quad, -1, axis=0) - quad
    wide = max(float(np.linalg.norm(edges[i]) + np.linalg.norm(edges[i + 2])) for i in (0, 1))
    long = [i for i in range(4) if np.linalg.norm(edges[i]) + np.linalg.norm(edges[(i + 2) % 4]) >= wide - 1e-6]
    first = max(long, key=lambda i: float(edges[i][0]))
    return np.roll(quad, -first, axis=0)


def detections(scored: Iterable[tuple[FloatArray, float]], scale: float) -> list[Detection]:
    """Candidates of a smaller image in px of the whole one, each plate once, best score first."""
    kept = [(quad * scale, score) for quad, score in scored if score > 0]
    if not kept:
        return []
    hulls = np.stack([corner_box(quad) for quad, _ in kept])
    chosen = nms(hulls, np.array([score for _, score in kept]), OVERLAP)
    return [Detection(kept[i][0].astype(np.float32), hulls[i].astype(np.float32), kept[i][1]) for i in chosen]


def contours(
    *, long_px: int, canny: Sequence[int], tolerance: float, most: int, threshold: float, shape: dict[str, float]
) -> Parts:
    """The `contours` of `configs/evaluate/baseline`."""
    found = Contours(Shape(**shape), long_px, (canny[0], canny[1]), tolerance, most)  # type: ignore[arg-type]
    return method("Canny contours", found, threshold=threshold)


def sobel(*, long_px: int, closing: Sequence[int], most: int, threshold: float, shape: dict[str, float]) -> Parts:
    """The `sobel` of `configs/evaluate/baseline`."""
    found = Sobel(Shape(**shape), long_px, (closing[0], closing[1]), most)  # type: ignore[arg-type]
    return method("Sobel and closing", found, threshold=threshold)
