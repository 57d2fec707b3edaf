"""What a recogniser would be taught, as a sheet of augmented crops with their texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alpr.data.sampling import SampleKey
from alpr.plates.records import ImageArray
from alpr.recognition.data import TrainingCrops
from alpr.reports import drawing
from alpr.reports.drawing import captioned


def sheet_of(crops: TrainingCrops, keys: Sequence[SampleKey], size: tuple[int, int]) -> ImageArray:
    """The crops of these keys (H, W, 3), each with its text; a line for every one that is lost.

    Args:
        size: (height, width) px of a crop.
    """
    samples = [crops[key] for key in keys]
    for reason in (s.unreadable for s in samples if s.unreadable):
        print(reason)
    empty = np.zeros((*size, 3), np.uint8)
    return drawing.sheet(
        [
            captioned(empty if s.crop is None else s.crop, "(no text)" if s.text is None else s.text or "(no plate)")
            for s in samples
        ]
    )
