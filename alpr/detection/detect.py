"""Images to detections, over any network callable: ONNX Runtime when deployed, torch in validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from alpr.detection.decode import decode_detections
from alpr.geometry import Letterbox
from alpr.imaging import letterbox
from alpr.predictor_settings import DetectorSettings
from alpr.records import Detection, FloatArray, ImageArray, ImageBatch

DetectorNetwork: TypeAlias = Callable[[ImageBatch], "tuple[FloatArray, FloatArray, FloatArray]"]

IMAGES_AT_ONCE = 8
"""The largest batch of the detector."""


class Detector:
    """Finds plates: letterbox, network, threshold and NMS, and the mapping back.

    Args:
        network: (B, H, W, 3) uint8 BGR -> scores (B, A), boxes (B, A, 4), corners (B, A, 4, 2) in px of its input.
    """

    def __init__(self, network: DetectorNetwork, settings: DetectorSettings) -> None:
        self.network = network
        self.settings = settings

    def down_to(self, score: float, most: int) -> Detector:
        """The same detector with another threshold and another number of plates; `sure` undoes a lower threshold."""
        return Detector(self.network, replace(self.settings, score_threshold=score, max_plates=most))

    def sure(self, found: Sequence[Detection]) -> list[Detection]:
        """What this detector itself would have found, of what it found with a lower threshold."""
        threshold = np.float32(self.settings.score_threshold)  # as a network's scores are compared with it
        return [d for d in found if np.float32(d.score) >= threshold][: self.settings.max_plates]

    def at(self, input_px: int) -> Detector:
        """The same detector at another input size.

        Raises:
            ValueError: a size that is no multiple of the settings' `multiple`.
        """
        return Detector(self.network, replace(self.settings, input_px=input_px))

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
        """The plates of every image in pixels of that image, best score first.

        Images whose letterboxed sizes are equal go through the network together.
        """
        result: list[list[Detection]] = [[] for _ in images]
        for start in range(0, len(images), IMAGES_AT_ONCE):
            by_size: dict[tuple[int, int], list[tuple[int, ImageArray, Letterbox]]] = {}
            for index in range(start, min(start + IMAGES_AT_ONCE, len(images))):
                canvas, box = letterbox(images[index], self.settings.input_px, self.settings.multiple)
                by_size.setdefault(box.size, []).append((index, canvas, box))
            for group in by_size.values():
                batch = group[0][1][None] if len(group) == 1 else np.stack([canvas for _, canvas, _ in group])
                scores, boxes, corners = self.network(batch)
                for i, (index, _, box) in enumerate(group):
                    found = decode_detections(scores[i], boxes[i], corners[i], self.settings)
                    result[index] = [_mapped_back(detection, box) for detection in found]
        return result


def _mapped_back(detection: Detection, box: Letterbox) -> Detection:
    corners = box.inverse(detection.corners)
    return Detection(corners, box.inverse(detection.box.reshape(2, 2)).reshape(4), detection.score)
