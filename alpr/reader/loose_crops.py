"""Ready-made crops that are loose or tilted: the plate is looked for inside a padded copy, and read there as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from alpr.detection.detect import Detector
from alpr.plates.records import ImageArray, Reading
from alpr.recognition.read import UNKNOWN_SCRIPT, Recogniser

PADDING = 0.25
"""Of the crop's longer side, on every side."""
LOOKED_AT_PX = 192
"""The long side of the detector's input; a plate that fills its crop is 128 px wide in it."""


def read_crops(detector: Detector, recogniser: Recogniser, crops: Sequence[ImageArray]) -> list[Reading]:
    """The readings of ready-made crops (H, W, 3) of any size.

    Where the plain reading's score is below the detector's `crops_below`, the plate is looked for inside a padded copy
    and read by its corners; the reading with the higher score stays.
    """
    readings = recogniser.read(crops)
    below = detector.settings.crops_below
    unsure = [i for i, r in enumerate(readings) if r.score < below and r.state != UNKNOWN_SCRIPT]
    if not unsure:
        return readings
    copies = [_padded(crops[i]) for i in unsure]
    for i, copy, plates in zip(unsure, copies, _finder(detector).detect(copies), strict=True):
        if plates:
            again = recogniser.read_plates(copy, [plates[0].corners])[0]
            readings[i] = max(readings[i], again, key=lambda reading: reading.score)
    return readings


def _finder(detector: Detector) -> Detector:
    """One look for one plate, also a suspected one: that there is one is known."""
    settings = detector.settings
    px = -(-LOOKED_AT_PX // settings.multiple) * settings.multiple
    one = replace(settings.once, input_px=px, score_threshold=detector.suspected, max_plates=1)
    return Detector(detector.network, one)


def _padded(crop: ImageArray) -> ImageArray:
    px = round(PADDING * max(crop.shape[:2]))
    # The edge goes on to the outside: a grey frame around the crop would be a frame to the detector.
    return np.asarray(cv2.copyMakeBorder(crop, px, px, px, px, cv2.BORDER_REPLICATE), np.uint8)
