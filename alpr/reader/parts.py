"""The halves of a reader by their form: whatever detects and reads like this can be evaluated and deployed instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from alpr.plates.records import Detection, FloatArray, ImageArray, Reading


class PlateDetector(Protocol):
    """Finds the plates in images."""

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]: ...


@runtime_checkable
class Thresholded(Protocol):
    """A detector that finds more than counts, so that its average precision has a tail."""

    def sure(self, found: Sequence[Detection]) -> list[Detection]:
        """Those that count, of what `detect` found in an image."""


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
        name: of a method that is no network of this project.
        files: what such a method was made of.
    """

    detector: PlateDetector | None = None
    recogniser: PlateRecogniser | None = None
    confusable: tuple[str, ...] = ()
    name: str = ""
    files: tuple[Path, ...] = ()
