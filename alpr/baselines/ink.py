"""A crop in grey whose characters are darker than the plate, whatever the plate's colours."""

from __future__ import annotations

import cv2
import numpy as np

from alpr.plates.records import ImageArray


def dark_on_light(crop: ImageArray) -> ImageArray:
    """A crop (h, w, 3) in grey (h, w), inverted where its characters are the lighter part.

    Of the middle of a plate, without its frame, less is ink than ground.
    """
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)
    return np.asarray(255 - grey, np.uint8) if (_middle(grey) > ink_level(grey)).mean() < 0.5 else grey


def ink_level(grey: ImageArray) -> float:
    """Otsu's level between ink and ground in the middle of a crop in grey (h, w)."""
    level, _ = cv2.threshold(_middle(grey), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(level)


def _middle(grey: ImageArray) -> ImageArray:
    rows, columns = grey.shape[0] // 5, grey.shape[1] // 20
    return np.ascontiguousarray(grey[rows : grey.shape[0] - rows, columns : grey.shape[1] - columns])
