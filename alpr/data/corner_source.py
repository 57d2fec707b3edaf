"""By which corners a labelled plate is cut out: the labelled ones, the detector's, or an upright box alone."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from alpr.geometry import box_corners, corner_box
from alpr.records import Detection, FloatArray, Plate

CornerSource = Literal["corners", "detector", "box"]
CORNER_SOURCES: tuple[CornerSource, ...] = get_args(CornerSource)


def corners_from(source: CornerSource, plate: Plate, detection: Detection | None = None) -> FloatArray | None:
    """The corners (4, 2) px by which a plate is cut out; None where this source has none.

    Args:
        source: `corners`, the labelled ones; `detector`, those of the detection; `box`, of the upright hull of the
            labelled corners, else of the labelled box.
        detection: the one that found the plate.
    """
    if source == "detector":
        return None if detection is None else detection.corners
    if source == "corners":
        return plate.corners
    hull = plate.box if plate.corners is None else corner_box(np.asarray(plate.corners))
    return None if hull is None else box_corners(hull)
