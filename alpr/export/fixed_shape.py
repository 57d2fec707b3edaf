"""A network of one input shape as the callable that `Detector` and `Recogniser` take.

Smaller images are laid on a canvas of that shape, as a letterbox does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alpr.export.target import Outputs, RuntimeFailed, Shape
from alpr.images.prepare import GREY
from alpr.plates.records import ImageBatch


class FixedShape:
    """A network of one input shape as a callable for any smaller one.

    Args:
        run: (B, H, W, 3) uint8 of exactly this shape -> its outputs.
        shape: B, H and W.
    """

    def __init__(self, run: Callable[[ImageBatch], Outputs], shape: Shape) -> None:
        self.run, self.shape = run, shape

    def __call__(self, batch: ImageBatch) -> Outputs:
        at_once, height, width = self.shape
        count, h, w, channels = batch.shape
        if h > height or w > width:
            raise RuntimeFailed(f"The network takes {height} x {width} px (height x width); found {h} x {w} px.")
        parts = []
        for start in range(0, count, at_once):
            images = batch[start : start + at_once]
            canvas = np.full((*self.shape, channels), GREY, np.uint8)
            canvas[: len(images), :h, :w] = images
            parts.append([output[: len(images)] for output in self.run(canvas)])
        return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))
