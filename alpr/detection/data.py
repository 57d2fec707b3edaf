"""Scenes to training batches of the detector: read, lay onto the canvas, change the light, collate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from alpr.data.augment import PixelAugment, SceneGeometry, scene_homography, warp
from alpr.data.sampling import SampleKey
from alpr.detection.targets import ABSENT, IGNORED, PLATE, DetectionBatch
from alpr.geometry import MIRRORED_CORNERS, box_corners, corner_box, transform_points
from alpr.imaging import UnreadableImage, read_image
from alpr.records import FloatArray, ImageArray, Plate, Scene


@dataclass(frozen=True, slots=True)
class DetectionSample:
    """One canvas with N plates, in canvas px."""

    image: ImageArray  # (H, W, 3)
    boxes: FloatArray  # (N, 4) float32
    corners: FloatArray  # (N, 4, 2) float32
    has_corners: np.ndarray  # (N,) bool
    kinds: np.ndarray  # (N,) int64
    complete: bool = True  # every plate of the photograph is labelled
    unreadable: str | None = None  # why this image could not be read; the sample is then an empty canvas


class TrainingScenes(Dataset[DetectionSample]):
    """Augmented canvases of scenes, one per key.

    Args:
        scenes: photographs with their plates; plates without corners and box are no use here and are left out.
        canvas: (height, width) px, multiples of 32.
        strict: an unreadable image raises instead of giving an empty canvas with the reason.
        smallest_px: plates lower than this on the canvas are ignored, neither plate nor background.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        canvas: tuple[int, int],
        geometry: SceneGeometry,
        pixels: PixelAugment,
        seed: int,
        strict: bool = False,
        smallest_px: float = 5.0,
    ) -> None:
        if canvas[0] % 32 or canvas[1] % 32 or min(canvas) < 32:
            raise ValueError(f"The canvas is {canvas} (height, width); expected multiples of 32.")
        self.scenes, self.canvas, self.geometry, self.pixels = scenes, canvas, geometry, pixels
        self.seed, self.strict, self.smallest_px = seed, strict, smallest_px

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, key: SampleKey) -> DetectionSample:
        rng = key.generator(self.seed)
        scene = self.scenes[key.item]
        try:
            return self.augmented(scene, rng)
        except UnreadableImage as error:
            if self.strict:
                raise
            return self._empty(str(error))

    def _empty(self, reason: str) -> DetectionSample:
        grey = np.full((*self.canvas, 3), 128, np.uint8)
        none = np.zeros
        # The whole canvas is ignored: nothing is learnt from it.
        everywhere = np.array([[0, 0, self.canvas[1], self.canvas[0]]], np.float32)
        kinds = np.array([IGNORED], np.int64)
        return DetectionSample(grey, everywhere, none((1, 4, 2), np.float32), none(1, bool), kinds, unreadable=reason)

    def augmented(self, scene: Scene, rng: np.random.Generator) -> DetectionSample:
        """One scene on the canvas, under a random homography and random light."""
        quads, known = plate_quads(scene.plates)
        image = read_image(scene.image)
        size = (image.shape[0], image.shape[1])
        focus = quads[rng.integers(len(quads))].mean(0) if len(quads) else None
        matrix, mirrored = scene_homography(self.geometry, size, self.canvas, focus, rng)
        canvas = self.pixels(_antialiased_warp(image, matrix, self.canvas), rng)
        corners = transform_points(quads, matrix)
        if mirrored:
            corners = corners[:, MIRRORED_CORNERS]
        boxes = corner_box(corners)
        kinds = self._kinds(corners, boxes)
        seen = kinds != ABSENT
        return DetectionSample(canvas, boxes[seen], corners[seen], known[seen], kinds[seen], scene.complete)

    def _kinds(self, corners: FloatArray, boxes: FloatArray) -> np.ndarray:
        """Plates whose centre is on the canvas are learnt, those cut off or tiny ignored, those outside forgotten."""
        height, width = self.canvas
        centres = corners.mean(axis=1)
        inside = ((centres > 0) & (centres < [width, height])).all(-1)
        touching = (boxes[:, 2] > 0) & (boxes[:, 3] > 0) & (boxes[:, 0] < width) & (boxes[:, 1] < height)
        tiny = boxes[:, 3] - boxes[:, 1] < self.smallest_px
        return np.where(inside & ~tiny, PLATE, np.where(touching, IGNORED, ABSENT)).astype(np.int64)


def plate_quads(plates: Sequence[Plate]) -> tuple[FloatArray, np.ndarray]:
    """(N, 4, 2) quads of the plates that have corners or a box, and (N,) whether they are true corners."""
    quads, known = [], []
    for plate in plates:
        if plate.corners is not None:
            quads.append(plate.corners)
            known.append(True)
        elif plate.box is not None:
            quads.append(box_corners(plate.box))
            known.append(False)
    return np.asarray(quads, np.float32).reshape(-1, 4, 2), np.asarray(known, bool)


def _antialiased_warp(image: ImageArray, matrix: FloatArray, size: tuple[int, int]) -> ImageArray:
    """A warp that averages first where it shrinks by two or more; a bilinear warp alone would alias."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    step = int(1 / max(scale, 1e-3))
    if step >= 2:
        small = cv2.resize(
            image, (-(-image.shape[1] // step), -(-image.shape[0] // step)), interpolation=cv2.INTER_AREA
        )
        back = np.diag([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0], 1.0])
        return warp(np.asarray(small, np.uint8), matrix @ back, size)
    return warp(image, matrix, size)


def collate(samples: Sequence[DetectionSample]) -> tuple[DetectionBatch, list[str]]:
    """B samples as one batch, padded to the most plates, and the reasons of those that could not be read.

    Raises:
        ValueError: not one image of the batch could be read.
    """
    reasons = [s.unreadable for s in samples if s.unreadable]
    if len(reasons) == len(samples):
        raise ValueError(f"No image of a whole batch of {len(samples)} could be read. The first: {reasons[0]}")
    b, n = len(samples), max(1, *(len(s.boxes) for s in samples))
    boxes, corners = np.zeros((b, n, 4), np.float32), np.zeros((b, n, 4, 2), np.float32)
    has_corners, kinds = np.zeros((b, n), bool), np.full((b, n), ABSENT, np.int64)
    for i, s in enumerate(samples):
        k = len(s.boxes)
        boxes[i, :k], corners[i, :k], has_corners[i, :k], kinds[i, :k] = s.boxes, s.corners, s.has_corners, s.kinds
    images = np.stack([s.image for s in samples])
    complete = np.array([s.complete for s in samples])
    arrays = (images, boxes, corners, has_corners, kinds, complete)
    return DetectionBatch(*(torch.from_numpy(a) for a in arrays)), reasons
