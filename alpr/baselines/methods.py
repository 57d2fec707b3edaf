"""What an older method is: something that finds plates, something that reads crops, or both; and either as a half.

A file `configs/evaluate/baseline/NAME.yaml` names in `_target_` what gives the `Parts` of a method; its other keys are
the arguments. `alpr evaluate baseline=NAME` needs nothing else: no verb knows a method. A half that is missing comes
from `bundle=`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from alpr.images.prepare import rectify, resize_crop
from alpr.plates.records import Detection, FloatArray, ImageArray, Reading
from alpr.reader.parts import Parts

NOTHING = Reading("", 0.0, (), state="no plate")


class Localiser(Protocol):
    """Finds plates in one image."""

    def locate(self, image: ImageArray) -> list[Detection]:
        """The candidates in px of the image (H, W, 3) uint8 BGR, best score first, scores 0..1; also doubtful ones."""


class CropReader(Protocol):
    """Reads one rectified plate."""

    def read_crop(self, crop: ImageArray) -> Reading:
        """The reading of a crop (h, w, 3) uint8 BGR, with one probability per character."""


class FoundBy:
    """A detector over a localiser.

    Args:
        threshold: the score from which a candidate counts; those below it serve average precision alone.
        most: plates of an image that count.
    """

    def __init__(self, localiser: Localiser, threshold: float = 0.5, most: int = 20) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is {threshold!r}; expected 0 to 1.")
        self.localiser, self.threshold, self.most = localiser, threshold, most

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
        """The candidates of every image, best score first."""
        return [self.localiser.locate(image) for image in images]

    def sure(self, found: Sequence[Detection]) -> list[Detection]:
        """Those of the candidates that count."""
        return [one for one in found if one.score >= self.threshold][: self.most]


class ReadBy:
    """A recogniser over a reader of crops.

    Args:
        size: (height, width) px of the crops that it is given.
        margin: the part of a crop's height and width that a plate leaves free on every side.
        symbols: all that it can print; a label with another character is not scored. None where that is not to be
            asked, as of a method that leaves the province out.
    """

    def __init__(
        self, reader: CropReader, size: tuple[int, int], margin: float = 0.0, symbols: str | None = None
    ) -> None:
        self.reader, self.size, self.margin = reader, size, margin
        self.symbols = None if symbols is None else frozenset(symbols)

    def read(self, crops: Sequence[ImageArray]) -> list[Reading]:
        """The readings of ready-made crops, which are stretched to the size."""
        return [self.reader.read_crop(resize_crop(crop, self.size)) for crop in crops]

    def read_plates(self, image: ImageArray, corners: Sequence[FloatArray]) -> list[Reading]:
        """The readings of the plates inside corners, (4, 2) px each; flat corners read as nothing."""
        return [self._read_plate(image, quad) for quad in corners]

    def _read_plate(self, image: ImageArray, corners: FloatArray) -> Reading:
        try:
            crop = rectify(image, np.asarray(corners, np.float32), self.size, self.margin)
        except (ValueError, cv2.error):  # no homography
            return NOTHING
        return self.reader.read_crop(crop)


def method(
    name: str,
    localiser: Localiser | None = None,
    reader: CropReader | None = None,
    *,
    threshold: float = 0.5,
    size: tuple[int, int] = (48, 192),
    margin: float = 0.0,
    symbols: str | None = None,
    confusable: Sequence[str] = (),
    files: Sequence[Path] = (),
) -> Parts:
    """The halves of a method as an evaluation takes them.

    Args:
        name: of the method, for the report.
        threshold: see `FoundBy`.
        size, margin, symbols: see `ReadBy`.
        confusable: groups of symbols that look alike, as a country's pack names them.
        files: what it was made of; their hashes and sizes go into the report.
    """
    return Parts(
        None if localiser is None else FoundBy(localiser, threshold),
        None if reader is None else ReadBy(reader, size, margin, symbols),
        tuple(confusable),
        name,
        tuple(files),
    )
