"""The vocabulary of the domain: what a labelled plate, a scene, a detection and a reading are.

Conventions, stated once for the whole project:

* Points are (x, y) in pixels, continuous, with the origin at the image's top left *edge*; the centre of the
  first pixel is (0.5, 0.5).
* Corners are (4, 2): top left, top right, bottom right, bottom left **as the text is read**.
* Boxes are (x1, y1, x2, y2).
* Sizes are (height, width).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alpr.plates.slots import Alternative, Slots

FloatArray = npt.NDArray[np.floating[Any]]
ImageArray = npt.NDArray[np.uint8]
"""An image as OpenCV holds it: (H, W, 3) uint8, BGR."""
ImageBatch = npt.NDArray[np.uint8]
"""Network inputs: (B, H, W, 3) uint8, BGR."""


@dataclass(frozen=True, slots=True)
class Plate:
    """One labelled plate. What is not known is None; a plate has at least a box, corners or a text."""

    text: str | None = None
    corners: FloatArray | None = None  # (4, 2) float32
    box: FloatArray | None = None  # (4,) float32
    country: str | None = None  # ISO 3166 alpha-2
    ignored: bool = False  # a region that is neither a plate to find nor background: unreadable, too far, not labelled
    kind: str | None = None  # the colour or use that people know it by, see `Layout.kind`


@dataclass(frozen=True, slots=True)
class Scene:
    """One photograph with every labelled plate in it; no plate means known to be empty."""

    image: Path
    plates: tuple[Plate, ...]
    split: str | None = None
    complete: bool = True  # False: there may be plates that nobody labelled


@dataclass(frozen=True, slots=True)
class Detection:
    """One plate that the detector found, in pixels of the image it was given."""

    corners: FloatArray  # (4, 2) float32
    box: FloatArray  # (4,) float32
    score: float  # 0..1

    def scaled(self, scale: FloatArray) -> Detection:
        """The same plate in an image that is `scale` (2,) times as wide and high."""
        return Detection(self.corners * scale, (self.box.reshape(2, 2) * scale).reshape(4), self.score)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the recogniser read in one crop.

    Attributes:
        text: the characters; "" where nothing was read.
        score: the probability of exactly this text, 0..1: the product of the slots' probabilities, the padding slots
            that end the text included. 0 for the text "".
        characters: one probability per printed character.
        rule: the country pack's layout that the text fits, where the grammar was asked for; None where none does.
        raw_text: what was read before the grammar changed it; None where it changed nothing.
        certain: whether the score is at least the one that was asked for; None where no score was.
        country, kind: the plate's country and its kind (mostly the colour), where the recogniser has heads for them.
        country_score, kind_score: their probabilities, 0..1, as the network gives them.
        countries: the probability of every country that the recogniser tells apart, by its code.
        cut: where the two rows part that the plate was read in, as a fraction of its crop's height; 0 where it was read
            as one row, None where the recogniser does not tell.
        two_rows: the probability that the plate has two rows.
        state: `read`, `unreadable` (a score below what the recogniser asks for), `unknown script` (the plate of a
            country whose script it does not know; the text is ""), or `no plate` (nothing to read there).
        boxes: where each character stands, x1, y1, x2, y2 as fractions of the crop's width and height; empty where the
            method does not separate characters. Two readings are equal whatever their boxes.
        slots: what the recogniser answered, before any grammar; None where nothing was asked of it. Two readings
            are equal whatever their slots.
    """

    text: str
    score: float
    characters: tuple[float, ...]
    rule: str | None = None
    raw_text: str | None = None
    certain: bool | None = None
    country: str | None = None
    country_score: float | None = None
    kind: str | None = None
    kind_score: float | None = None
    cut: float | None = None
    two_rows: float | None = None
    state: str = "read"
    countries: Mapping[str, float] = field(default_factory=dict, repr=False, compare=False)
    slots: Slots | None = field(default=None, repr=False, compare=False)
    boxes: tuple[tuple[float, float, float, float], ...] = field(default=(), repr=False, compare=False)

    @property
    def log_probabilities(self) -> npt.NDArray[np.float32] | None:
        """(L, K+1) float32: the logarithms of every slot's probabilities, class 0 = no character; made when asked."""
        return None if self.slots is None else self.slots.log_probabilities.astype(np.float32)

    def alternatives(self, n: int) -> list[Alternative]:
        """The n most probable texts with their log-probabilities, best first; none where `slots` is None.

        Exact for independent slots; the first is the text as it is read without a grammar, unless a longer or shorter
        one is more probable as a whole.
        """
        return [] if self.slots is None else self.slots.alternatives(n)


@dataclass(frozen=True, slots=True)
class PlateReading:
    """A detected plate with its text."""

    detection: Detection
    reading: Reading
