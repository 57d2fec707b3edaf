"""Images to detections, over any network callable: ONNX Runtime when deployed, torch in validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np

from alpr.detection.decode import decode_detections, nms
from alpr.detection.settings import DetectorSettings
from alpr.images.photograph import Photograph
from alpr.images.prepare import letterbox
from alpr.plates.geometry import Letterbox, box_iou, corner_box
from alpr.plates.records import Detection, FloatArray, ImageArray, ImageBatch

DetectorNetwork: TypeAlias = Callable[[ImageBatch], "tuple[FloatArray, FloatArray, FloatArray]"]

IMAGES_AT_ONCE = 8
"""The largest batch of the detector."""
SUSPECTED = 0.5
"""A first look suspects what scores this share of the threshold."""


class Found(NamedTuple):
    """The plates of one image, best score first, and whether a second look was taken."""

    plates: list[Detection]
    looked_again: bool


class Detector:
    """Finds plates: letterbox, network, threshold and NMS, and the mapping back.

    With `fine_px` in the settings, images whose best plate is doubtful, that show none or a small one, are looked at
    once more at that size.

    Args:
        network: (B, H, W, 3) uint8 BGR -> scores (B, A), boxes (B, A, 4), corners (B, A, 4, 2) in px of its input.
    """

    def __init__(self, network: DetectorNetwork, settings: DetectorSettings) -> None:
        self.network = network
        self.settings = settings
        self._doubt_from = settings.score_threshold

    def down_to(self, score: float, most: int) -> Detector:
        """The same detector with another threshold and another number of plates; `sure` undoes a lower threshold."""
        lower = Detector(self.network, replace(self.settings, score_threshold=score, max_plates=most))
        lower._doubt_from = self._doubt_from  # what is in doubt stays so
        return lower

    def sure(self, found: Sequence[Detection]) -> list[Detection]:
        """What this detector itself would have found, of what it found with a lower threshold."""
        return _above(found, self.settings.score_threshold)[: self.settings.max_plates]

    def at(self, input_px: int) -> Detector:
        """The same detector with one look at another input size.

        Raises:
            ValueError: a size that is no multiple of the settings' `multiple`.
        """
        return Detector(self.network, replace(self.settings, input_px=input_px, fine_px=None))

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
        """The plates of every image in pixels of that image, best score first."""
        return [found.plates for found in self.look([Photograph(image) for image in images])]

    def look(self, photographs: Sequence[Photograph]) -> list[Found]:
        """The plates of every photograph in px of the whole image, and whether it was looked at twice."""
        threshold, fine_px = self.settings.score_threshold, self.settings.fine_px
        if threshold > self._doubt_from:  # a higher threshold leaves plates out and changes no look
            usual = self.down_to(self._doubt_from, self.settings.max_plates).look(photographs)
            return [Found(_above(plates, threshold), again) for plates, again in usual]
        least = self.settings.first_px
        if fine_px is None:
            seen = self._look(photographs, least, self.settings.input_px, threshold)
            return [Found(plates, False) for plates in seen]
        suspected = SUSPECTED * self._doubt_from
        seen = self._look(photographs, least, self.settings.input_px, min(threshold, suspected))
        first = [_above(plates, threshold)[: self.settings.max_plates] for plates in seen]
        result = [Found(plates, False) for plates in first]
        doubtful = [i for i, plates in enumerate(first) if self._in_doubt(plates, photographs[i])]
        weight = self.settings.fine_weight
        closer = self._look([photographs[i] for i in doubtful], self.settings.closest_px, fine_px, threshold / weight)
        for i, plates in zip(doubtful, closer, strict=True):
            widest = 2 * self.settings.small_px * _px_per_px(photographs[i], fine_px)
            plates = [replace(plate, score=plate.score * weight) for plate in plates]
            suspects = [plate for plate in seen[i] if suspected <= plate.score < self._doubt_from]
            more = [plate for plate in plates if _width(plate) <= widest or _overlaps(plate, suspects)]
            result[i] = Found(self._joined(first[i] + more), True)
        return result

    def _in_doubt(self, plates: Sequence[Detection], photograph: Photograph) -> bool:
        usual = _above(plates, self._doubt_from)
        smallest = self.settings.small_px * _px_per_px(photograph, self.settings.input_px)
        return not usual or usual[0].score < self.settings.sure_score or min(map(_width, usual)) < smallest

    def _joined(self, plates: Sequence[Detection]) -> list[Detection]:
        """What both looks found, each plate once, best score first."""
        if not plates:
            return []
        scores = np.array([plate.score for plate in plates])
        hulls = corner_box(np.stack([plate.corners for plate in plates]))
        return [plates[i] for i in nms(hulls, scores, self.settings.nms_iou)[: self.settings.max_plates]]

    def _look(
        self, photographs: Sequence[Photograph], least_px: float, input_px: int, threshold: float
    ) -> list[list[Detection]]:
        """Images whose letterboxed sizes are equal go through the network together."""
        settings = _with_threshold(self.settings, threshold)
        result: list[list[Detection]] = [[] for _ in photographs]
        for start in range(0, len(photographs), IMAGES_AT_ONCE):
            by_size: dict[tuple[int, int], list[tuple[int, ImageArray, Letterbox]]] = {}
            for index in range(start, min(start + IMAGES_AT_ONCE, len(photographs))):
                image = photographs[index].at_least(least_px)
                canvas, box = letterbox(image, input_px, self.settings.multiple)
                by_size.setdefault(box.size, []).append((index, canvas, box))
            for group in by_size.values():
                batch = group[0][1][None] if len(group) == 1 else np.stack([canvas for _, canvas, _ in group])
                scores, boxes, corners = self.network(batch)
                for i, (index, _, box) in enumerate(group):
                    found = decode_detections(scores[i], boxes[i], corners[i], settings)
                    scale = photographs[index].scale
                    result[index] = [_mapped_back(detection, box).scaled(scale) for detection in found]
        return result


@lru_cache(maxsize=64)
def _with_threshold(settings: DetectorSettings, threshold: float) -> DetectorSettings:
    return replace(settings, score_threshold=min(1.0, threshold))


def _mapped_back(detection: Detection, box: Letterbox) -> Detection:
    corners = box.inverse(detection.corners)
    return Detection(corners, box.inverse(detection.box.reshape(2, 2)).reshape(4), detection.score)


def _above(plates: Sequence[Detection], threshold: float) -> list[Detection]:
    return [d for d in plates if np.float32(d.score) >= np.float32(threshold)]  # as a network's scores are compared


def _overlaps(plate: Detection, others: Sequence[Detection]) -> bool:
    """Whether the hulls of a plate and of one of the others overlap by more than half."""
    if not others:
        return False
    hulls = corner_box(np.stack([other.corners for other in others]))
    return bool((box_iou(corner_box(plate.corners)[None], hulls) > 0.5).any())


def _width(plate: Detection) -> float:
    """Of the upright hull of the corners, in px."""
    x = plate.corners[:, 0]
    return float(x.max() - x.min())


def _px_per_px(photograph: Photograph, input_px: int) -> float:
    """Pixels of the whole image per pixel of the network's input."""
    return float(max(photograph.size) / input_px)
