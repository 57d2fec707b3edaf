"""The halves of a reader by their form: whatever detects and reads like this can be evaluated and deployed instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from alpr.plates.records import Detection, FloatArray, ImageArray, Reading


class PlateDetector(Protocol):
    """Finds the plates in images."""

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]: ...


class PlateRecogniser(Protocol):
    """Reads ready-made crops, and the plates inside corners of an image; flat corners read as an empty text."""

    def read(self, crops: Sequence[ImageArray]) -> list[Reading]: ...

    def read_plates(self, image: ImageArray, corners: Sequence[FloatArray]) -> list[Reading]: ...


class Predictor(Protocol):
    """A detector and a recogniser; one of them may be None, and then only the other is evaluated."""

    @property
    def detector(self) -> PlateDetector | None: ...

    @property
    def recogniser(self) -> PlateRecogniser | None: ...


@dataclass(frozen=True)
class Parts:
    """A predictor of one half, or of two.

    Attributes:
        confusable: groups of symbols that look alike, as the country's pack names them.
    """

    detector: PlateDetector | None = None
    recogniser: PlateRecogniser | None = None
    confusable: tuple[str, ...] = ()
