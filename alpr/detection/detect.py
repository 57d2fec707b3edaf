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
from alpr.plates.records import Detection, FloatArray, ImageArray, ImageBatch, PlateReading

DetectorNetwork: TypeAlias = Callable[[ImageBatch], "tuple[FloatArray, FloatArray, FloatArray]"]

IMAGES_AT_ONCE = 8
"""The largest batch of the detector."""
SUSPECTED = 0.5
"""A first look suspects what scores this share of the threshold."""
SAME_PLATE = 0.5
"""Two looks see the same plate where the hulls overlap by more."""


class Found(NamedTuple):
    """The plates of one image, best score first, and how many looks were taken."""

    plates: list[Detection]
    looks: int = 1


class Detector:
    """Finds plates: letterbox, network, threshold and NMS, and the mapping back.

    With `fine_px` in the settings, images that the first look leaves in doubt are looked at once more at that size, or
    at `middle_px` and then, where doubt remains, at that size.

    Args:
        network: (B, H, W, 3) uint8 BGR -> scores (B, A), boxes (B, A, 4), corners (B, A, 4, 2) in px of its input.
    """

    def __init__(self, network: DetectorNetwork, settings: DetectorSettings) -> None:
        self.network = network
        self.settings = settings
        self._doubt_from = settings.score_threshold

    def down_to(self, score: float, most: int) -> Detector:
        """The same detector with another threshold, from which every plate counts, and another number of plates.

        `kept` and `sure` of this one undo a lower threshold.
        """
        settings = replace(self.settings, score_threshold=score, max_plates=most, credible_from=None)
        lower = Detector(self.network, settings)
        lower._doubt_from = self._doubt_from  # what is in doubt stays so
        return lower

    @property
    def lowest(self) -> float:
        """The score from which a plate may count: that of credible ones, or the threshold."""
        return min(self.settings.score_threshold, self.settings.credible_from or 1.0)

    def to_be_read(self) -> Detector:
        """The same detector with the threshold of plates that count when their text is credible; see `kept`."""
        return self if self.settings.credible_from is None else self.down_to(self.lowest, self.settings.max_plates)

    def kept(self, plates: Sequence[PlateReading]) -> list[PlateReading]:
        """Those that count, of plates that were found with a lower threshold and read.

        A plate counts from the threshold on, and from `credible_from` on where its text is credible: read, of a script
        that the recogniser knows, with a score of `credible_text` or more.
        """
        settings = self.settings
        sure = {id(plate) for plate in self.sure([plate.detection for plate in plates])}
        faint = {id(plate) for plate in _above([plate.detection for plate in plates], self.lowest)} - sure
        credible = {
            id(one.detection)
            for one in plates
            if id(one.detection) in faint
            and one.reading.state == "read"
            and one.reading.text
            and one.reading.score >= settings.credible_text
        }
        return [one for one in plates if id(one.detection) in sure | credible][: settings.max_plates]

    def sure(self, found: Sequence[Detection]) -> list[Detection]:
        """What this detector finds by the score alone, of what it found with a lower threshold."""
        return _above(found, self.settings.score_threshold)[: self.settings.max_plates]

    def at(self, input_px: int) -> Detector:
        """The same detector with one look at another input size.

        Raises:
            ValueError: a size that is no multiple of the settings' `multiple`.
        """
        return Detector(self.network, replace(self.settings, input_px=input_px, middle_px=None, fine_px=None))

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
        """The plates of every image in pixels of that image, best score first."""
        return [found.plates for found in self.look([Photograph(image) for image in images])]

    def look(self, photographs: Sequence[Photograph]) -> list[Found]:
        """The plates of every photograph in px of the whole image, and how often it was looked at."""
        settings, threshold = self.settings, self.settings.score_threshold
        if threshold > self._doubt_from:  # a higher threshold leaves plates out and changes no look
            usual = self.down_to(self._doubt_from, settings.max_plates).look(photographs)
            return [Found(_above(plates, threshold), looks) for plates, looks in usual]
        sizes = settings.sizes
        least = threshold if len(sizes) == 1 else min(threshold, self.suspected)
        first = least if len(sizes) == 1 else min(least, settings.others_score or 1.0)
        seen = self._look(photographs, settings.least_px(0), sizes[0], first)
        looks = [1] * len(seen)
        for look, px in enumerate(sizes[1:], start=1):
            chosen = [i for i, n in enumerate(looks) if n == look and self._in_doubt(seen[i], photographs[i], look - 1)]
            weight, least_px = settings.fine_weight, settings.least_px(look)
            finer = self._look([photographs[i] for i in chosen], least_px, px, least / weight)
            for i, plates in zip(chosen, finer, strict=True):
                widest = settings.widest_fine * settings.small_px * _px_per_px(photographs[i], px)
                weighted = [replace(plate, score=plate.score * weight) for plate in plates]
                seen[i], looks[i] = self._joined(seen[i], weighted, widest), look + 1
        return [
            Found(_above(plates, threshold)[: settings.max_plates], n) for plates, n in zip(seen, looks, strict=True)
        ]

    @property
    def suspected(self) -> float:
        """The score from which a plate is suspected; a lower threshold changes it as little as what is in doubt."""
        return SUSPECTED * self._doubt_from

    def _in_doubt(self, plates: Sequence[Detection], photograph: Photograph, look: int) -> bool:
        """Whether a finer look is needed after this one, 0 being the first."""
        settings, usual = self.settings, _above(plates, self._doubt_from)
        smallest = settings.small_px * _px_per_px(photograph, settings.sizes[look])
        if not usual or usual[0].score < settings.sure_score or min(map(_width, usual)) < smallest:
            return True
        others = settings.others_score
        return look == 0 and others is not None and len(_above(plates, others)) > len(usual)

    def _joined(self, coarse: Sequence[Detection], finer: Sequence[Detection], widest: float) -> list[Detection]:
        """What a coarser and a finer look found, each plate once, best score first; also what is only suspected.

        Args:
            widest: px of the image; see `DetectorSettings.widest_fine`.
        """
        wide = 2.0 if self.settings.wide_score is None else self.settings.wide_score  # no score is as high as 2
        suspects = [plate for plate in coarse if self.suspected <= plate.score < self._doubt_from]
        more = [p for p in finer if _width(p) <= widest or p.score >= wide or _overlaps(p, suspects)]
        plates = _with_finer_corners(coarse, more, self.suspected) if self.settings.finer_corners else [*coarse, *more]
        if not plates:
            return []
        scores = np.array([plate.score for plate in plates])
        hulls = corner_box(np.stack([plate.corners for plate in plates]))
        return [plates[i] for i in nms(hulls, scores, self.settings.nms_iou)]

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


def _with_finer_corners(coarse: Sequence[Detection], finer: Sequence[Detection], least: float) -> list[Detection]:
    """All plates of two looks; of one that both see with `least` or more, the finer one with the better score."""
    result, plates = [], list(finer)
    trusted = [i for i, plate in enumerate(plates) if plate.score >= least]
    hulls = corner_box(np.stack([plates[i].corners for i in trusted])) if trusted else np.zeros((0, 4), np.float32)
    for plate in coarse:
        overlaps = box_iou(corner_box(plate.corners)[None], hulls)[0]
        if plate.score < least or not (overlaps > SAME_PLATE).any():
            result.append(plate)
            continue
        best = trusted[int(overlaps.argmax())]
        plates[best] = replace(plates[best], score=max(plates[best].score, plate.score))
    return [*result, *plates]


def _overlaps(plate: Detection, others: Sequence[Detection]) -> bool:
    """Whether a plate is one of the others by its hull."""
    if not others:
        return False
    hulls = corner_box(np.stack([other.corners for other in others]))
    return bool((box_iou(corner_box(plate.corners)[None], hulls) > SAME_PLATE).any())


def _width(plate: Detection) -> float:
    """Of the upright hull of the corners, in px."""
    x = plate.corners[:, 0]
    return float(x.max() - x.min())


def _px_per_px(photograph: Photograph, input_px: int) -> float:
    """Pixels of the whole image per pixel of the network's input."""
    return float(max(photograph.size) / input_px)
