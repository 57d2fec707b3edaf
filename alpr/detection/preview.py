"""What a detector would be taught, as a sheet of augmented canvases with their labels."""

from __future__ import annotations

from collections.abc import Sequence

from alpr.data.sampling import SampleKey
from alpr.detection.data import DetectionSample, TrainingScenes
from alpr.detection.targets import IGNORED
from alpr.plates.records import ImageArray
from alpr.reports import drawing


def sheet_of(scenes: TrainingScenes, keys: Sequence[SampleKey]) -> ImageArray:
    """The canvases of these keys (H, W, 3), with a line for every one that lost something."""
    samples = [scenes[key] for key in keys]
    for reason in (r for s in samples for r in ([s.unreadable] if s.unreadable else s.faults)):
        print(reason)
    return drawing.sheet([drawn(sample) for sample in samples])


def drawn(sample: DetectionSample) -> ImageArray:
    """A canvas with its labels."""
    image = sample.image.copy()
    for box, corners, known, kind in zip(sample.boxes, sample.corners, sample.has_corners, sample.kinds, strict=True):
        if kind == IGNORED:
            drawing.draw_ignored(image, box)
        elif known:
            drawing.draw_plate(image, corners)
        else:
            drawing.draw_box(image, box)
    return image
