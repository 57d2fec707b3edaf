"""What a detector or a recogniser would be taught, as a sheet of augmented canvases or crops with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hydra.utils import instantiate

from alpr.data.sampling import StepSampler
from alpr.detection.data import DetectionSample
from alpr.detection.datamodule import DetectionData
from alpr.detection.targets import IGNORED
from alpr.plates.records import ImageArray
from alpr.recognition.datamodule import RecognitionData
from alpr.reports import drawing
from alpr.reports.drawing import captioned, write_jpeg
from alpr.training.configuration import complaint_about, composed, plain_sentence
from alpr.training.detected_corners import find_corners


def preview_sheet(settings: Sequence[str], count: int, output: Path) -> str:
    """Writes the sheet of a training with these overrides; gives a sentence about it.

    Raises:
        ValueError: an override that does not fit, or data that cannot be used.
        OSError: a file that cannot be written.
    """
    complaint = complaint_about(settings, "train")
    if complaint is not None:
        raise ValueError(complaint)
    try:
        data = instantiate(composed("train", settings).data, _convert_="all")
        find_corners(data, output.parent)
        crops = isinstance(data, RecognitionData)
        write_jpeg(preview_crops(data, count) if crops else preview(data, count), output)
    except Exception as error:  # Hydra wraps whatever the data raise
        if not isinstance(error.__cause__ or error, ValueError | OSError | TypeError):
            raise
        raise ValueError(plain_sentence(error)) from error
    size = data.size if crops else data.canvas
    return f"{count} {'crops' if crops else 'canvases'} of {size[1]}x{size[0]} px: {output}"


def preview(data: DetectionData, count: int) -> ImageArray:
    """The first canvases of a training on these data (H, W, 3), with a line for every one that lost something."""
    scenes = data.training_scenes()
    sizes = [len(source.train) for source in data.sources]
    sampler = StepSampler(sizes, data.counts, 1, data.seed)
    keys = [key for step in range(-(-count // data.batch_size)) for key in sampler.batch(step)]
    samples = [scenes[key] for key in keys[:count]]
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


def preview_crops(data: RecognitionData, count: int) -> ImageArray:
    """The first crops of a training on these data (H, W, 3), each with its text; a line for every one that is lost."""
    crops, steps = data.training_crops(), -(-count // sum(data.counts))
    sizes = [source.size for source in crops.sources]
    sampler = StepSampler(sizes, data.counts, 1, data.seed, weights=data.weights())
    keys = [key for step in range(steps) for key in sampler.batch(step)][:count]
    samples = [crops[key] for key in keys]
    for reason in (s.unreadable for s in samples if s.unreadable):
        print(reason)
    empty = np.zeros((*data.size, 3), np.uint8)
    return drawing.sheet([captioned(empty if s.crop is None else s.crop, s.text or "(no plate)") for s in samples])
