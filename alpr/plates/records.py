"""The vocabulary of the domain: what a labelled plate, a scene, a detection and a reading are.

Conventions, stated once for the whole project:

* Points are (x, y) in pixels, continuous, with the origin at the image's top left *edge*; the centre of the
  first pixel is (0.5, 0.5).
* Corners are (4, 2): top left, top right, bottom right, bottom left **as the text is read**.
* Boxes are (x1, y1, x2, y2).
* Sizes are (height, width).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

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


class Alternative(NamedTuple):
    """A string that a crop may show, and its probability, 0..1. That of "" is the probability of no character."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What the recogniser read in one crop.

    Attributes:
        text: the characters; "" where nothing was read.
        score: the probability of exactly this text, 0..1: the product of the slots' probabilities, the padding slots
            that end the text included. 0 for the text "".
        characters: one probability per printed character.
        alternatives: the most probable strings, best first, where they were asked for.
        rule: the country pack's layout that the text fits, where the grammar was asked for; None where none does.
        raw_text: what was read before the grammar changed it; None where it changed nothing.
        certain: False where the score is below the one that was asked for.
        country, kind: the plate's country and its kind (mostly the colour), where the recogniser has heads for them.
        country_score, kind_score: their probabilities, 0..1, as the network gives them.
    """

    text: str
    score: float
    characters: tuple[float, ...]
    alternatives: tuple[Alternative, ...] = ()
    rule: str | None = None
    raw_text: str | None = None
    certain: bool = True
    country: str | None = None
    country_score: float | None = None
    kind: str | None = None
    kind_score: float | None = None


@dataclass(frozen=True, slots=True)
class PlateReading:
    """A detected plate with its text."""

    detection: Detection
    reading: Reading
