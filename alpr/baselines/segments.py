"""Plates read as before networks: characters are separated by their outlines, each is classified, the text is joined.

Source: the C++ server ANPR-Server-C- (2017), whose crop, thresholds and sizes of characters these are, except that
light characters on a dark plate are inverted first, that parts of one sign that lie above each other are joined, that
several thresholds give outlines, of which the surest of those over each other stays (characters of a small photograph
touch at one and break at another), and that a histogram of gradients with a linear classifier stands for its network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from alpr.baselines.array_files import read_arrays, trained_file, write_arrays
from alpr.baselines.ink import dark_on_light
from alpr.baselines.methods import NOTHING, as_box, method
from alpr.plates.charset import Charset
from alpr.plates.records import FloatArray, ImageArray, Reading
from alpr.plates.values import read_as
from alpr.reader.parts import Parts
from alpr.recognition.decode import softmax

KIND = "classifier of characters"
FILE = "characters.safetensors"
COMMAND = "alpr train experiment=segment_characters"
PATCH, INNER = 28, 22
"""A character is fitted into INNER px and padded with white to PATCH px."""
HISTOGRAMS = cv2.HOGDescriptor((PATCH, PATCH), (14, 14), (7, 7), (7, 7), 9)
NO_CHARACTER = 0
"""The class of an outline that is none, as the padding is in `Charset`."""


@dataclass(frozen=True)
class Outlines:
    """How characters are separated.

    Attributes:
        size: (height, width) px of the rectified plate.
        widths, heights: px that an outline of a character has at least and at most.
        block: px of the neighbourhood whose mean is the threshold; odd.
        below: how much darker than that mean ink is; each gives outlines.
    """

    size: tuple[int, int] = (112, 512)
    widths: tuple[int, int] = (8, 90)
    heights: tuple[int, int] = (34, 104)
    block: int = 87
    below: tuple[int, ...] = (3, 6, 12, 20, 30, 45)

    def boxes(self, grey: ImageArray) -> list[FloatArray]:
        """The boxes (4,) px of what may be dark characters of a plate; those of several thresholds overlap."""
        smooth = np.asarray(cv2.bilateralFilter(cv2.equalizeHist(grey), 5, 15, 15), np.uint8)
        smooth = np.asarray(cv2.GaussianBlur(smooth, (5, 5), 0), np.uint8)
        found = {tuple(box.tolist()): box for below in self.below for box in self._at(smooth, below)}
        return list(found.values())

    def _at(self, smooth: ImageArray, below: int) -> list[FloatArray]:
        gauss, inverted = cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY_INV
        ink = cv2.adaptiveThreshold(smooth, 255, gauss, inverted, self.block, below)
        # Not the outer outlines alone: those of characters lie within that of a plate's frame.
        outlines = cv2.findContours(ink, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]
        found = [cv2.boundingRect(outline) for outline in outlines]
        boxes = [np.array([x, y, x + w, y + h], np.float64) for x, y, w, h in found if h >= 6 and w <= self.widths[1]]
        return _without_inner([box for box in _joined(boxes) if self._fits(box)])

    def _fits(self, box: FloatArray) -> bool:
        width, height = box[2] - box[0], box[3] - box[1]
        return bool(self.widths[0] < width < self.widths[1] and self.heights[0] < height < self.heights[1])


def _joined(boxes: Sequence[FloatArray]) -> list[FloatArray]:
    """Boxes of which those that lie above each other are one: the parts of a sign such as a province's."""
    result: list[FloatArray] = []
    for box in sorted(boxes, key=lambda box: -float((box[2] - box[0]) * (box[3] - box[1]))):
        for i, other in enumerate(result):
            shared = min(box[2], other[2]) - max(box[0], other[0])
            if shared > 0.6 * (box[2] - box[0]):
                union = np.concatenate([np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])])
                if union[3] - union[1] < 1.35 * max(other[3] - other[1], 60):
                    result[i] = union
                break
        else:
            result.append(box)
    return result


def _without_inner(boxes: Sequence[FloatArray]) -> list[FloatArray]:
    """Boxes that do not lie within another one, as the hole of a zero does."""
    kept: list[FloatArray] = []
    for box in sorted(boxes, key=lambda box: -float(box[2] - box[0])):
        if not any(box[0] >= other[0] - 2 and box[2] <= other[2] + 2 for other in kept):
            kept.append(box)
    return kept


def patch_of(grey: ImageArray, box: FloatArray) -> ImageArray:
    """A character (PATCH, PATCH) as it is classified: its shape is kept, its contrast stretched."""
    height, width = grey.shape
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.round(box), 0, [width - 1, height - 1, width, height]))
    cut = cv2.normalize(grey[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)], None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    scale = INNER / max(cut.shape)
    size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
    small = cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    patch = np.full((PATCH, PATCH), 255, np.uint8)
    top, left = (PATCH - size[1]) // 2, (PATCH - size[0]) // 2
    patch[top : top + size[1], left : left + size[0]] = small
    return patch


def histogram(patch: ImageArray) -> FloatArray:
    """The gradients (F,) of a character."""
    return np.ravel(HISTOGRAMS.compute(patch))


class _Found(NamedTuple):
    """A character: its box (4,) px, its class and that one's probability."""

    box: FloatArray
    symbol: int
    share: float


def apart(found: Sequence[_Found]) -> list[_Found]:
    """The surest of characters that stand over each other, sharing over a third of the narrower one's width."""
    kept: list[_Found] = []
    for one in sorted(found, key=lambda one: -one.share):
        if all(_shared(one.box, other.box) < 0.34 for other in kept):
            kept.append(one)
    return kept


def _shared(box: FloatArray, other: FloatArray) -> float:
    shared = min(box[2], other[2]) - max(box[0], other[0])
    return float(shared / max(1.0, min(box[2] - box[0], other[2] - other[0])))


def in_one_row(found: Sequence[_Found]) -> list[_Found]:
    """Characters about as high as most, and on the line through the middles of most."""
    if len(found) < 3:
        return list(found)
    boxes = np.stack([one.box for one in found])
    middle, high = (boxes[:, 1] + boxes[:, 3]) / 2, boxes[:, 3] - boxes[:, 1]
    x = (boxes[:, 0] + boxes[:, 2]) / 2
    slopes = [(middle[j] - middle[i]) / (x[j] - x[i]) for i in range(len(x)) for j in range(i) if abs(x[j] - x[i]) > 20]
    slope = float(np.median(slopes)) if slopes else 0.0
    away = middle - slope * x
    usual = float(np.median(high))
    near = (np.abs(away - np.median(away)) < 0.3 * usual) & (np.abs(high - usual) < 0.35 * usual)
    return [one for one, fits in zip(found, near, strict=True) if fits]


@dataclass(frozen=True)
class Segments:
    """A reader of crops: outlines, classes, text.

    Attributes:
        weights, biases: (K + 1, F) and (K + 1,) of the linear classifiers, class 0 for what is no character.
        sharpness: the margins are multiplied by it before the softmax.
        most: characters of a text; the surest stay.
    """

    charset: Charset
    weights: FloatArray
    biases: FloatArray
    sharpness: float = 4.0
    most: int = 12
    outlines: Outlines = Outlines()

    def read_crop(self, crop: ImageArray) -> Reading:
        """The reading of a crop; see `CropReader`."""
        grey = dark_on_light(crop)
        boxes = self.outlines.boxes(grey)
        if not boxes:
            return NOTHING
        shares = self.shares(np.stack([histogram(patch_of(grey, box)) for box in boxes]))
        sure = [_Found(box, int(row.argmax()), float(row.max())) for box, row in zip(boxes, shares, strict=True)]
        kept = in_one_row(apart([one for one in sure if one.symbol != NO_CHARACTER]))
        kept = sorted(sorted(kept, key=lambda one: -one.share)[: self.most], key=lambda one: float(one.box[0]))
        if not kept:
            return NOTHING
        text = self.charset.decode([one.symbol for one in kept])
        frame = np.tile(grey.shape[::-1], 2)
        characters = tuple(one.share for one in kept)
        boxes_of = tuple(as_box(one.box / frame) for one in kept)
        return Reading(text, float(np.prod(characters)), characters, boxes=boxes_of)

    def shares(self, features: FloatArray) -> FloatArray:
        """The probability of every class (N, K + 1) of histograms (N, F)."""
        return softmax(self.sharpness * (features @ self.weights.T + self.biases))

    def write(self, path: Path, more: dict[str, Any]) -> None:
        """Writes the file of a run.

        Args:
            more: what else the run says of itself.
        """
        settings = {"alphabet": self.charset.symbols, "sharpness": self.sharpness, "most": self.most}
        arrays = {"weights": self.weights.astype(np.float32), "biases": self.biases.astype(np.float32)}
        write_arrays(path, KIND, arrays, {**settings, "outlines": asdict(self.outlines), "more": more})

    @classmethod
    def read(cls, path: Path) -> Segments:
        """The reader in a file.

        Raises:
            ValueError: a file that does not hold one.
        """
        arrays, found = read_arrays(path, KIND)
        try:
            charset = Charset(str(found["alphabet"]))
            weights, biases = arrays["weights"], arrays["biases"]
            expected = (len(charset), HISTOGRAMS.getDescriptorSize())
            if weights.shape != expected or biases.shape != expected[:1]:
                raise ValueError(f"its weights are {weights.shape}; expected {expected} for its alphabet")
            outlines = read_as(Outlines, found["outlines"], ("outlines",))
            return cls(charset, weights, biases, float(found["sharpness"]), int(found["most"]), outlines)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} holds no {KIND}: {error}.") from error


def segments(*, run: str | None, margin: float) -> Parts:
    """The `segments` of `configs/evaluate/baseline`.

    Args:
        run: a run folder of `alpr train experiment=segment_characters`, or its file.
        margin: see `ReadBy`.
    """
    path = trained_file(run, FILE, COMMAND)
    reader = Segments.read(path)
    size = reader.outlines.size
    return method(
        "Segmented characters, HoG and a linear SVM",
        None,
        reader,
        size=size,
        margin=margin,
        symbols=reader.charset.symbols,
        files=[path],
    )
