"""Properties of labelled plates by which results are sliced: size, brightness and tilt."""

from __future__ import annotations

import cv2
import numpy as np

from alpr.plates.geometry import corner_box, plate_height, plate_width
from alpr.plates.records import FloatArray, ImageArray, Plate


def labelled_width(plate: Plate) -> float | None:
    """The mean length of the top and bottom edges, else the width of the box, px; None without a place."""
    if plate.corners is not None:
        return float(plate_width(np.asarray(plate.corners)))
    return None if plate.box is None else float(plate.box[2] - plate.box[0])


def labelled_height(plate: Plate) -> float | None:
    """The mean length of the left and right edges, else the height of the box, px; None without a place."""
    if plate.corners is not None:
        return float(plate_height(np.asarray(plate.corners)))
    return None if plate.box is None else float(plate.box[3] - plate.box[1])


def brightness(image: ImageArray, plate: Plate) -> float | None:
    """The mean grey of the plate's hull, 0..255; None where no part of it is in the image."""
    hull = plate.box if plate.corners is None else corner_box(plate.corners)
    if hull is None:
        return None
    (x1, y1), (x2, y2) = np.floor(np.maximum(hull[:2], 0)).astype(int), np.ceil(np.maximum(hull[2:], 0)).astype(int)
    region = image[y1:y2, x1:x2]
    return float(cv2.cvtColor(region, cv2.COLOR_BGR2GRAY).mean()) if region.size else None


def tilt_deg(corners: FloatArray) -> float:
    """The angle between the text's direction and the horizontal, 0..180: middle of the left edge to the right's."""
    x, y = (corners[1] + corners[2] - corners[0] - corners[3]).astype(np.float64)
    return float(abs(np.degrees(np.arctan2(y, x))))
