"""The window network over photographs: windows of a pyramid, joined where they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch

from alpr.baselines.methods import NOTHING, FoundBy
from alpr.baselines.window.model import STRIDE
from alpr.baselines.window.module import WindowModule
from alpr.baselines.window.windows import SIZE, around
from alpr.plates.geometry import box_corners
from alpr.plates.records import Detection, FloatArray, ImageArray, Reading
from alpr.reader.parts import Parts
from alpr.recognition.decode import decode_logits
from alpr.runs.checkpoints import best_checkpoint, load

_MOST = 2_000  # windows of a photograph that are joined


class Seen(NamedTuple):
    """A window of a photograph: its box x1, y1, x2, y2 px of the photograph, and its presence 0..1."""

    box: FloatArray
    score: float


class Sliding:
    """Finds plates by windows of a pyramid, each level smaller by the square root of 2.

    Args:
        long_px: the photograph is made so long at most; a plate must be at least 60 % of 128 px wide there.
        step: (rows, columns) of windows between two that are looked at; windows stand every 8 by 4 px.
        lowest: the presence from which a window is looked at.
    """

    def __init__(self, module: WindowModule, long_px: int | None, step: tuple[int, int], lowest: float) -> None:
        self.network, self.long_px, self.step, self.lowest = module.network.eval(), long_px, step, lowest

    def locate(self, image: ImageArray) -> list[Detection]:
        """Groups of windows as plates, the surest first; see `Localiser`."""
        seen = sorted((one for level in self._levels(image) for one in level), key=lambda one: -one.score)
        return joined(seen[:_MOST])

    def _levels(self, image: ImageArray) -> list[list[Seen]]:
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        shrink = max(1.0, max(grey.shape) / (self.long_px or max(grey.shape)))
        levels = []
        while grey.shape[0] / shrink >= SIZE[0] and grey.shape[1] / shrink >= SIZE[1]:
            size = (round(grey.shape[1] / shrink), round(grey.shape[0] / shrink))
            levels.append(self._level(np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA)), shrink))
            shrink *= 2**0.5
        return levels

    @torch.no_grad()
    def _level(self, grey: ImageArray, shrink: float) -> list[Seen]:
        outputs = self.network(torch.from_numpy(grey[None]), self.step)
        presence = outputs[0, 0].sigmoid().numpy()  # (rows, columns)
        rows, columns = np.nonzero(presence >= self.lowest)
        x, y = columns * STRIDE[1] * self.step[1], rows * STRIDE[0] * self.step[0]
        boxes = np.stack([x, y, x + SIZE[1], y + SIZE[0]], 1) * shrink
        return [Seen(box, score) for box, score in zip(boxes, presence[rows, columns].tolist(), strict=True)]


def joined(seen: Sequence[Seen]) -> list[Detection]:
    """Windows, the surest first, that overlap with what a group has in common join it; the plate is what all share.

    The original joins windows that overlap with any of a group, of which nothing may be common to all.
    """
    groups: list[tuple[FloatArray, float]] = []
    for box, score in seen:
        for k, (common, best) in enumerate(groups):
            both = np.concatenate([np.maximum(common[:2], box[:2]), np.minimum(common[2:], box[2:])])
            if (both[2:] > both[:2]).all():
                groups[k] = both, best
                break
        else:
            groups.append((box, score))
    boxes = [box.astype(np.float32) for box, _ in groups]
    return [Detection(box_corners(box), box, score) for box, (_, score) in zip(boxes, groups, strict=True)]


class WindowReader:
    """Reads plates by the window around each; see `PlateRecogniser`."""

    def __init__(self, module: WindowModule) -> None:
        self.module, self.symbols = module, frozenset(module.pack.charset.symbols)

    def read(self, crops: Sequence[ImageArray]) -> list[Reading]:
        """The readings of ready-made crops; what surrounds each in its window is like its edge."""
        return [self._read(crop, _whole(crop)) for crop in crops]

    def read_plates(self, image: ImageArray, corners: Sequence[FloatArray]) -> list[Reading]:
        """The readings of plates (4, 2) px of an image; flat corners read as nothing."""
        return [self._read(image, quad) for quad in corners]

    def _read(self, image: ImageArray, corners: FloatArray) -> Reading:
        window = around(image, corners)
        if window is None:
            return NOTHING
        slots = self.module.logits([window]).slots.numpy()
        return decode_logits(slots, self.module.pack.charset)[0]


def _whole(crop: ImageArray) -> FloatArray:
    return box_corners(np.array([0, 0, crop.shape[1], crop.shape[0]], np.float32))


def window(*, run: str, threshold: float, long_px: int | None, step: Sequence[int], lowest: float) -> Parts:
    """The `window` of `configs/evaluate/baseline`.

    Raises:
        RunError: no such run, or another kind of network.
        ValueError: a threshold outside 0 to 1.
    """
    module = load(run, WindowModule).cpu()
    found = FoundBy(Sliding(module, long_px, (step[0], step[1]), lowest), threshold)
    symbols = tuple(module.pack.confusable)
    return Parts(found, WindowReader(module), symbols, "window network", (best_checkpoint(run),))
