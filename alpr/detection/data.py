"""Scenes to training batches of the detector: read, lay onto the canvas, change the light, collate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from alpr.data.augment import PixelAugment, SceneGeometry, antialiased_warp, scene_homography
from alpr.data.decoded_images import Photographs
from alpr.data.sampling import SampleKey
from alpr.data.scenes import where_from
from alpr.detection.targets import ABSENT, IGNORED, PLATE, DetectionBatch
from alpr.images.prepare import GREY, UnreadableImage
from alpr.plates.geometry import MIRRORED_CORNERS, box_corners, corner_box, transform_points
from alpr.plates.records import FloatArray, ImageArray, Plate, Scene
from alpr.synthetic.planting import Planting, scaled


class BadLabel(ValueError):
    """A plate that does not fit its image; the sentence names the row."""


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
    faults: tuple[str, ...] = ()  # labels and parts of a mosaic that were left out, and why


class TrainingScenes(Dataset[DetectionSample]):
    """Augmented canvases of scenes, one per key.

    Args:
        sources: photographs with their plates, by source; plates without corners and box are no use here and are
            left out.
        canvas: (height, width) px, multiples of 32.
        mosaic: probability (0..1) of a canvas with four scenes of the source instead of one.
        photographs: how images are read.
        strict: an image or a plate that cannot be used raises instead of being left out with a reason.
        smallest_px: plates lower than this on the canvas are ignored, neither plate nor background.
        plantings: by source, what plates are put into its scenes; None for none.

    Raises:
        ValueError: a canvas or a probability out of its range.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[Scene]],
        canvas: tuple[int, int],
        geometry: SceneGeometry,
        pixels: PixelAugment,
        seed: int,
        *,
        mosaic: float = 0.0,
        photographs: Photographs | None = None,
        strict: bool = False,
        smallest_px: float = 5.0,
        plantings: Sequence[Planting | None] = (),
    ) -> None:
        if canvas[0] % 32 or canvas[1] % 32 or min(canvas) < 32:
            raise ValueError(f"The canvas is {canvas} (height, width); expected multiples of 32.")
        if not 0 <= mosaic <= 1:
            raise ValueError(f"augment.mosaic is {mosaic}; expected a probability, 0 to 1.")
        self.sources, self.canvas, self.geometry, self.pixels = sources, canvas, geometry, pixels
        self.seed, self.mosaic, self.strict, self.smallest_px = seed, mosaic, strict, smallest_px
        self.photographs = photographs or Photographs()
        self.plantings = plantings or [None] * len(sources)
        # A part of a mosaic shows at least its scene's shorter side: closer, most plates would be cut.
        wide = tuple(s for s in geometry.crop_scales or () if s >= 1) or geometry.crop_scales
        self._part_geometry = replace(geometry, crop_scales=wide)

    def __len__(self) -> int:
        return sum(len(scenes) for scenes in self.sources)

    def __getitem__(self, key: SampleKey) -> DetectionSample:
        rng = key.generator(self.seed)
        in_parts = self.mosaic > 0 and rng.random() < self.mosaic
        sample = self._mosaic(key, rng) if in_parts else self._whole(key, rng)
        return sample if sample.unreadable else replace(sample, image=self.pixels(sample.image, rng))

    def _laid(
        self, source: int, item: int, canvas: tuple[int, int], geometry: SceneGeometry, rng: np.random.Generator
    ) -> DetectionSample:
        """One scene on a canvas under a random homography, in the light of its photograph."""
        scenes = self.sources[source]
        scene = scenes[item]
        try:
            image, px_per_px = self.photographs.read(scene.image)
        except UnreadableImage as error:
            reason = f"{where_from(scenes, item)}: {error}"
            if self.strict:
                raise UnreadableImage(reason) from error
            return _nothing_learnt(canvas, reason)
        size = (image.shape[0], image.shape[1])
        plates = tuple(scaled(plate, px_per_px) for plate in scene.plates)
        planting = self.plantings[source]
        if planting is not None:
            image, plates = planting(image, plates, rng)
        quads = plate_quads(plates)
        quads, faults = self._inside(quads, size, px_per_px, scenes, item)
        aims = quads.corners[~quads.ignored] if not quads.ignored.all() else quads.corners
        focus = aims[rng.integers(len(aims))].mean(0) if len(aims) else None
        matrix, mirrored = scene_homography(geometry, size, canvas, focus, rng)
        corners = transform_points(quads.corners, matrix)
        if mirrored:
            corners = corners[:, MIRRORED_CORNERS]
        boxes = corner_box(corners)
        kinds = np.where(quads.ignored, IGNORED, PLATE)
        kinds[~self._large(boxes) | ~_centred(corners, canvas)] = IGNORED
        depth = quads.corners @ matrix[2, :2] + matrix[2, 2]  # a perspective may put a far plate behind the viewer
        kinds[~_touching(boxes, canvas) | (depth < 0.05).any(-1)] = ABSENT
        seen = kinds != ABSENT
        warped = antialiased_warp(image, matrix, canvas)
        return DetectionSample(
            warped, boxes[seen], corners[seen], quads.known[seen], kinds[seen], scene.complete, faults=faults
        )

    def _large(self, boxes: FloatArray) -> npt.NDArray[np.bool_]:
        return np.asarray(boxes[:, 3] - boxes[:, 1] >= self.smallest_px)

    def _inside(
        self, quads: Quads, size: tuple[int, int], px_per_px: FloatArray, scenes: Sequence[Scene], item: int
    ) -> tuple[Quads, tuple[str, ...]]:
        """The plates that lie on their image at least in part, and a sentence about each of the others."""
        boxes = corner_box(quads.corners)
        kept = _touching(boxes, size)
        height, width = (round(n / s) for n, s in zip(size, px_per_px[::-1], strict=True))
        faults = []
        for i in np.flatnonzero(~kept).tolist():
            x1, y1, x2, y2 = (round(float(v), 1) for v in (boxes[i].reshape(2, 2) / px_per_px).ravel())
            faults.append(
                f"{where_from(scenes, item, int(quads.number[i]))}: the plate at ({x1}, {y1}) to ({x2}, {y2}) lies "
                f"outside its image of {width}x{height} px; it is left out."
            )
        if faults and self.strict:
            raise BadLabel(faults[0])
        return Quads(quads.corners[kept], quads.known[kept], quads.ignored[kept], quads.number[kept]), tuple(faults)

    def _whole(self, key: SampleKey, rng: np.random.Generator) -> DetectionSample:
        return self._laid(key.source, key.item, self.canvas, self.geometry, rng)

    def _mosaic(self, key: SampleKey, rng: np.random.Generator) -> DetectionSample:
        """Four scenes around a random centre; a plate that its quadrant cuts is ignored.

        Source: Bochkovskiy et al., YOLOv4 (2004.10934), section 3.3.
        """
        height, width = self.canvas
        y, x = round(height * rng.uniform(0.35, 0.65)), round(width * rng.uniform(0.35, 0.65))
        image = np.empty((height, width, 3), np.uint8)
        parts = []
        for n, (top, left, bottom, right) in enumerate(
            ((0, 0, y, x), (0, x, y, width), (y, 0, height, x), (y, x, height, width))
        ):
            item = key.item if n == 0 else int(rng.integers(len(self.sources[key.source])))
            size = (bottom - top, right - left)
            part = _cut_ignored(self._laid(key.source, item, size, self._part_geometry, rng))
            image[top:bottom, left:right] = part.image
            by = np.array([left, top], np.float32)
            parts.append(replace(part, boxes=part.boxes + np.tile(by, 2), corners=part.corners + by))
        reasons = [p.unreadable for p in parts if p.unreadable]
        return DetectionSample(
            image,
            np.concatenate([p.boxes for p in parts]),
            np.concatenate([p.corners for p in parts]),
            np.concatenate([p.has_corners for p in parts]),
            np.concatenate([p.kinds for p in parts]),
            complete=all(p.complete for p in parts),
            unreadable=reasons[0] if len(reasons) == len(parts) else None,
            faults=(*reasons, *(fault for p in parts for fault in p.faults)),
        )


class Quads(NamedTuple):
    """Where N plates of a scene are."""

    corners: FloatArray  # (N, 4, 2) px
    known: npt.NDArray[np.bool_]  # (N,) true corners, not those of a box
    ignored: npt.NDArray[np.bool_]  # (N,) regions to ignore
    number: npt.NDArray[np.int64]  # (N,) the plate's number in the scene


def plate_quads(plates: Sequence[Plate]) -> Quads:
    """The quads of the plates that have corners or a box."""
    quads = []
    for i, plate in enumerate(plates):
        if plate.corners is not None:
            quads.append((plate.corners, True, plate.ignored, i))
        elif plate.box is not None:
            quads.append((box_corners(plate.box), False, plate.ignored, i))
    corners, known, ignored, index = zip(*quads, strict=True) if quads else ((), (), (), ())
    return Quads(
        np.asarray(corners, np.float32).reshape(-1, 4, 2),
        np.asarray(known, bool),
        np.asarray(ignored, bool),
        np.asarray(index, np.int64),
    )


def _nothing_learnt(canvas: tuple[int, int], reason: str) -> DetectionSample:
    """A grey canvas that is ignored as a whole."""
    height, width = canvas
    return DetectionSample(
        np.full((height, width, 3), GREY, np.uint8),
        np.array([[0, 0, width, height]], np.float32),
        np.zeros((1, 4, 2), np.float32),
        np.zeros(1, bool),
        np.array([IGNORED], np.int64),
        unreadable=reason,
    )


def _centred(corners: FloatArray, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Whether the centres of quads (N, 4, 2) lie within (height, width)."""
    centres = corners.mean(axis=1)
    return np.asarray(((centres > 0) & (centres < [size[1], size[0]])).all(-1))


def _touching(boxes: FloatArray, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Whether boxes (N, 4) lie within (height, width) at least in part."""
    return np.asarray((boxes[:, 2:] > 0).all(-1) & (boxes[:, :2] < [size[1], size[0]]).all(-1))


def _cut_ignored(part: DetectionSample) -> DetectionSample:
    """A part of a mosaic: its neighbours hide what lies beyond its edges, so cut plates are ignored up to there."""
    limits = np.array([part.image.shape[1], part.image.shape[0]] * 2, np.float32)
    clipped = np.clip(part.boxes, 0, limits)
    kinds = np.where((clipped != part.boxes).any(-1), IGNORED, part.kinds)
    boxes = np.where((kinds == IGNORED)[:, None], clipped, part.boxes)
    return replace(part, boxes=boxes.astype(np.float32), kinds=kinds)


def collate(samples: Sequence[DetectionSample]) -> tuple[DetectionBatch, list[str]]:
    """B samples as one batch, padded to the most plates, and what was left out, with the reasons.

    Raises:
        ValueError: not one image of the batch could be read.
    """
    unreadable = [s.unreadable for s in samples if s.unreadable]
    if len(unreadable) == len(samples):
        raise ValueError(f"No image of a whole batch of {len(samples)} could be read. The first: {unreadable[0]}")
    reasons = [*unreadable, *(fault for s in samples for fault in s.faults)]
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
