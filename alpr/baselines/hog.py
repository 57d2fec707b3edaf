"""Plates found by histograms of oriented gradients and a linear classifier on sliding windows.

Source: Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005. The corners come from a
linear regression on the same histograms, as DPM and R-CNN refine their boxes: the stride of the windows and the steps
of the pyramid alone would leave a plate's place a tenth of its width away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from alpr.baselines.array_files import read_arrays, trained_file, write_arrays
from alpr.baselines.methods import method
from alpr.detection.decode import nms
from alpr.plates.geometry import corner_box
from alpr.plates.records import Detection, FloatArray, ImageArray
from alpr.plates.values import read_as
from alpr.reader.parts import Parts

KIND = "HoG detector"
FILE = "hog.safetensors"
COMMAND = "alpr train experiment=hog_detector"
CANDIDATES = 400
"""The windows of an image that NMS looks at, the best ones."""


@dataclass(frozen=True)
class HogSettings:
    """What the histograms are made of, and where they are looked at.

    Attributes:
        windows: (width, height) px of each, such as one for long plates and one for plates of two rows; multiples of
            the cell.
        cell, block, bins: of the histograms; the windows and the blocks are moved by a cell.
        inner: the part of a window's width that a plate fills.
        long_px: the long side of the largest image of the pyramid.
        step: between two images of the pyramid.
        nms_iou: windows that overlap by more are one plate.
    """

    windows: tuple[tuple[int, int], ...] = ((96, 32),)
    cell: int = 8
    block: int = 16
    bins: int = 9
    inner: float = 0.8
    long_px: int = 640
    step: float = 1.15
    nms_iou: float = 0.3

    def __post_init__(self) -> None:
        object.__setattr__(self, "windows", tuple((int(w), int(h)) for w, h in self.windows))
        wrong = [w for w in self.windows if w[0] % self.cell or w[1] % self.cell or min(w) < self.block]
        if wrong or not self.windows:
            raise ValueError(
                f"windows has {wrong or 'nothing'}; expected multiples of the cell of {self.cell} px that hold a block "
                f"of {self.block} px."
            )
        if self.block % self.cell or self.bins < 1:
            raise ValueError(f"block is {self.block} and bins {self.bins}; expected a multiple of the cell, and bins.")
        if not (self.step > 1 and 0 < self.inner <= 1 and self.long_px >= 32):
            raise ValueError(
                f"step, inner and long_px are {self.step}, {self.inner} and {self.long_px}; expected a step above 1, "
                "a part of 1, and 32 px or more."
            )

    def descriptor(self, window: tuple[int, int]) -> cv2.HOGDescriptor:
        """OpenCV's histograms of one window."""
        square = (self.cell, self.cell)
        return cv2.HOGDescriptor(window, (self.block, self.block), square, square, self.bins)

    def pyramid(self, image: ImageArray) -> Iterator[tuple[ImageArray, float]]:
        """The images of the pyramid, the largest first, and px of the image per px of each."""
        height, width = image.shape[:2]
        scale = max(height, width) / self.long_px
        narrowest, lowest = (min(window[axis] for window in self.windows) for axis in (0, 1))
        while width / scale >= narrowest and height / scale >= lowest:
            size = (round(width / scale), round(height / scale))
            shrinks = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
            yield np.asarray(cv2.resize(image, size, interpolation=shrinks), np.uint8), scale
            scale *= self.step


class Classifier(NamedTuple):
    """What was learnt for one window of F histogram values.

    Attributes:
        weights: (F,) of the linear classifier.
        bias: of it.
        corners: (F + 1, 8) of the regression: the four corners in px of the window, the last row the constant.
    """

    weights: FloatArray
    bias: float
    corners: FloatArray


class Hit(NamedTuple):
    """A window that was looked at.

    Attributes:
        window: which of the windows.
        level: the image of the pyramid; `scale` is px of the whole image per px of it.
        at: (x, y) px of the window's top left in that image.
        margin: the distance from the classifier's plane.
    """

    window: int
    level: int
    scale: float
    at: tuple[int, int]
    margin: float


@dataclass(frozen=True)
class HogDetector:
    """A trained localiser.

    Attributes:
        slope, offset: of the logistic curve that makes a score of a margin.
        least: the margin from which a window is a candidate.
    """

    settings: HogSettings
    classifiers: Sequence[Classifier]
    slope: float = 1.0
    offset: float = 0.0
    least: float = -0.6

    def locate(self, image: ImageArray) -> list[Detection]:
        """The plates of an image; see `Localiser`."""
        levels = list(self.settings.pyramid(image))
        hits = self.suppressed(self.hits(levels))
        quads = self.quads(levels, hits)
        found = [
            Detection(quad, np.asarray(corner_box(quad), np.float32), self.score(hit.margin))
            for hit, quad in zip(hits, quads, strict=True)
        ]
        if not found:
            return []
        hulls = np.stack([one.box for one in found])
        return [found[i] for i in nms(hulls, np.array([one.score for one in found]), self.settings.nms_iou)]

    def score(self, margin: float) -> float:
        """The score 0..1 of a margin."""
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, self.slope * margin + self.offset))))

    def hits(self, levels: Sequence[tuple[ImageArray, float]]) -> list[Hit]:
        """The windows of a pyramid from `least` on, the best `CANDIDATES`, best first."""
        found: list[Hit] = []
        for w, (size, learnt) in enumerate(zip(self.settings.windows, self.classifiers, strict=True)):
            descriptor = self.settings.descriptor(size)
            descriptor.setSVMDetector(np.append(learnt.weights, learnt.bias).astype(np.float32))
            stride = (self.settings.cell, self.settings.cell)
            for level, (image, scale) in enumerate(levels):
                if image.shape[0] < size[1] or image.shape[1] < size[0]:
                    continue
                places, margins = descriptor.detect(image, hitThreshold=self.least, winStride=stride)
                for (x, y), margin in zip(places, np.ravel(margins), strict=True):
                    found.append(Hit(w, level, scale, (int(x), int(y)), float(margin)))
        return sorted(found, key=lambda hit: -hit.margin)[:CANDIDATES]

    def suppressed(self, hits: Sequence[Hit]) -> list[Hit]:
        """The best of the windows that lie over each other."""
        if not hits:
            return []
        boxes = np.stack([self.inner_box(hit) for hit in hits])
        return [hits[i] for i in nms(boxes, np.array([hit.margin for hit in hits]), self.settings.nms_iou)]

    def inner_box(self, hit: Hit) -> FloatArray:
        """Where a plate would be in a window, (4,) px of the whole image."""
        width, height = self.settings.windows[hit.window]
        edge = (1 - self.settings.inner) / 2
        box = np.array([edge * width, edge * height, (1 - edge) * width, (1 - edge) * height])
        return np.asarray((box + np.tile(hit.at, 2)) * hit.scale)

    def quads(self, levels: Sequence[tuple[ImageArray, float]], hits: Sequence[Hit]) -> list[FloatArray]:
        """The corners (4, 2) px of the plates in windows."""
        result = []
        for hit in hits:
            features = np.append(self.features(levels, hit), 1)
            quad = (features @ self.classifiers[hit.window].corners).reshape(4, 2)
            result.append(np.asarray((quad + np.array(hit.at)) * hit.scale, np.float32))
        return result

    def features(self, levels: Sequence[tuple[ImageArray, float]], hit: Hit) -> FloatArray:
        """The histograms (F,) of a window."""
        width, height = self.settings.windows[hit.window]
        x, y = hit.at
        cut = levels[hit.level][0][y : y + height, x : x + width]
        return np.ravel(self.settings.descriptor((width, height)).compute(np.ascontiguousarray(cut)))

    def write(self, path: Path, threshold: float, more: Mapping[str, Any]) -> None:
        """Writes the file of a run.

        Args:
            threshold: the score from which a plate counts.
            more: what else the run says of itself.
        """
        arrays: dict[str, FloatArray] = {}
        for i, (weights, bias, corners) in enumerate(self.classifiers):
            named = {"weights": weights, "bias": np.array([bias]), "corners": corners}
            arrays |= {f"{i}.{name}": np.asarray(value, np.float32) for name, value in named.items()}
        values = {"slope": self.slope, "offset": self.offset, "threshold": threshold}
        write_arrays(path, KIND, arrays, {"settings": asdict(self.settings), **values, "more": dict(more)})

    @classmethod
    def read(cls, path: Path) -> tuple[HogDetector, float]:
        """The detector in a file, and the score from which a plate counts.

        Raises:
            ValueError: a file that does not hold one.
        """
        arrays, found = read_arrays(path, KIND)
        try:
            settings = read_as(HogSettings, found["settings"], ("settings",))
            values = [float(found[key]) for key in ("slope", "offset", "threshold")]
            classifiers = []
            for i, size in enumerate(settings.windows):
                weights, bias, corners = (arrays[f"{i}.{name}"] for name in ("weights", "bias", "corners"))
                length = settings.descriptor(size).getDescriptorSize()
                if (weights.shape, bias.shape, corners.shape) != ((length,), (1,), (length + 1, 8)):
                    raise ValueError(f"window {i} has weights of {weights.shape}; expected {length} of its histograms")
                classifiers.append(Classifier(weights, float(bias[0]), corners))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} holds no {KIND}: {error}.") from error
        return cls(settings, classifiers, values[0], values[1]), values[2]


def hog(*, run: str | None, threshold: float | None) -> Parts:
    """The `hog` of `configs/evaluate/baseline`.

    Args:
        run: a run folder of `alpr train experiment=hog_detector`, or its file.
        threshold: in place of the one that the run chose.
    """
    path = trained_file(run, FILE, COMMAND)
    detector, chosen = HogDetector.read(path)
    return method("HoG and a linear SVM", detector, threshold=chosen if threshold is None else threshold, files=[path])
