"""Drafts for labelling tools: what a bundle found in raw photographs, the most doubtful photographs first.

The first hour with a new country is then correcting, not drawing; `alpr data convert` reads the result back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from alpr.data.importers.formats import export
from alpr.data.importers.outgoing import ImageMode
from alpr.data.manifest import Manifest, csv_bytes
from alpr.detection.detect import Detector
from alpr.files import write_atomically
from alpr.plates.country import CountryPack
from alpr.plates.records import PlateReading
from alpr.reader.reader import Reader

REVIEW = "review.csv"
REVIEW_COLUMNS = ("order", "image", "doubt", "plates", "texts", "reasons")
NOTHING_FOUND, MISFIT = 0.9, 0.8
"""The doubt about a photograph in which nothing was found, and about a text that no layout of the country prints."""
DRAFTED_FROM = 0.75
"""Plates are drafted from this fraction of the detector's threshold on: deleting is quicker than drawing. At half the
threshold there are four times as many boxes to delete, for two more plates in 204."""
SAID_FROM = 0.3
"""Doubts below this have no reason stated."""


class Doubt(NamedTuple):
    """How likely a photograph's draft is wrong, 0..1, and why."""

    value: float
    reasons: tuple[str, ...]


class Draft(NamedTuple):
    """A photograph and what was found in it."""

    image: Path
    plates: tuple[PlateReading, ...]
    doubt: Doubt


def doubt_about(plates: Sequence[PlateReading], threshold: float, pack: CountryPack) -> Doubt:
    """The doubt about the most doubtful plate, and a reason for every doubt worth a word.

    A plate is doubted for the score of its text, for a detection near the threshold (at the threshold 0.5, at twice
    the threshold 0), and for a text that no layout of the pack has.
    """
    if not plates:
        return Doubt(NOTHING_FOUND, ("no plate was found",))
    found: list[tuple[float, str]] = []
    for number, plate in enumerate(plates, start=1):
        reading, score = plate.reading, plate.detection.score
        found.append(
            (1 - reading.score, f"plate {number}: {reading.text or 'no text'} with a score of {reading.score:.2f}")
        )
        near = f"found with {score:.2f}, the threshold is {threshold:.2f}"
        found.append((max(0.0, 1 - score / max(2 * threshold, 1e-6)), f"plate {number}: {near}"))
        if pack.layout_of(reading.text) is None:
            found.append((MISFIT, f"plate {number}: {reading.text or 'no text'} fits no layout of {pack.name}"))
    found.sort(key=lambda entry: -entry[0])
    return Doubt(min(found[0][0], 1.0), tuple(reason for value, reason in found if value >= SAID_FROM))


class Drafting:
    """Gathers drafts over a run and writes them at its end.

    Plates a little below the detector's threshold are drafted too (`DRAFTED_FROM`).

    Args:
        form: a name of `alpr.data.importers.formats.FORMATS`.
        folder: where they go; new or empty, so that no corrected label is lost.
        pack: the country to check texts against; None for the bundle's.
        images: whether photographs are linked or copied beside the drafts.

    Raises:
        FileExistsError: a folder that holds something.
    """

    def __init__(self, form: str, folder: Path, pack: CountryPack | None = None, images: ImageMode = "link") -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileExistsError(f"{folder} holds something; drafts go into a new or empty folder")
        self.form, self.folder, self.pack, self.images = form, folder, pack, images
        self.drafts: list[Draft] = []
        self._detector: Detector | None = None

    def prepare(self, reader: Reader) -> None:
        """Lets the reader find fainter plates, once."""
        if self._detector is None:
            self._detector, settings = reader.detector, reader.detector.settings
            score = min(DRAFTED_FROM * settings.score_threshold, self._detector.lowest)
            reader.detector = reader.detector.down_to(score, settings.max_plates)
            if self.pack is None and reader.card is not None:
                self.pack = reader.card.country

    def add(self, image: Path, plates: Sequence[PlateReading]) -> list[PlateReading]:
        """Takes a photograph; gives the plates that the reader itself would have found.

        Raises:
            ValueError: before `prepare`, or without a country.
        """
        if self._detector is None or self.pack is None:
            raise ValueError("The drafting was not prepared with a reader that knows its country.")
        threshold = self._detector.settings.score_threshold
        self.drafts.append(Draft(image, tuple(plates), doubt_about(plates, threshold, self.pack)))
        return self._detector.kept(plates)

    def write(self, failed: Sequence[Mapping[str, Any]] = ()) -> list[str]:
        """Writes the drafts, named in their order, and `review.csv`; gives what the format could not hold.

        Args:
            failed: records (image, error) of photographs that could not be read; they are listed last.

        Raises:
            OSError: a full disk or a folder that cannot be written to.
        """
        ordered = sorted(self.drafts, key=lambda draft: (-draft.doubt.value, str(draft.image)))
        self.folder.mkdir(parents=True, exist_ok=True)
        lost = (
            export(_manifest(ordered, self.pack), self.form, self.folder, self.images, numbered=True) if ordered else []
        )
        rows: list[Sequence[Any]] = [REVIEW_COLUMNS]
        for number, draft in enumerate(ordered):
            texts = " ".join(plate.reading.text or "?" for plate in draft.plates)
            rows.append(
                (
                    number,
                    draft.image,
                    f"{draft.doubt.value:.3f}",
                    len(draft.plates),
                    texts,
                    "; ".join(draft.doubt.reasons),
                )
            )
        rows += [("", record["image"], "", "", "", record["error"]) for record in failed]
        write_atomically(self.folder / REVIEW, [csv_bytes(rows)])
        return lost


def _manifest(drafts: Sequence[Draft], pack: CountryPack | None) -> Manifest:
    """A row per plate, and one for each photograph without any; symbols that the country does not print left out."""
    rows = [(draft, plate) for draft in drafts for plate in (draft.plates or (None,))]
    nowhere = np.full((4, 2), math.nan)
    return Manifest.of(
        Path.cwd(),
        [str(draft.image.resolve()) for draft, _ in rows],
        text=[_printable(plate.reading.text, pack) if plate else "" for _, plate in rows],
        country=[pack.code if plate and pack else "" for _, plate in rows],
        corners=[np.round(plate.detection.corners.astype(float), 1) if plate else nowhere for _, plate in rows],
    )


def _printable(text: str, pack: CountryPack | None) -> str:
    return text if pack is None else "".join(symbol for symbol in text if symbol in pack.alphabet)
