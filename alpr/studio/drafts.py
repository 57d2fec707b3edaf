"""A run over all photographs in the background: it reads them and, where asked, writes drafts into the table."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from alpr.files import NotWritten
from alpr.images.prepare import UnreadableImage
from alpr.plates.records import PlateReading
from alpr.recognition.metrics import edit_distance
from alpr.studio.labels import Label, Quad
from alpr.studio.project import Draft, Photo, Project, wants_draft
from alpr.studio.readings import Readings, country_of

WRITTEN_EVERY_S = 2.0
"""Drafts are written together, as writing a table of 100,000 rows takes a while."""


class Run:
    """Reads photographs in a thread of its own until they are read or it is stopped.

    Args:
        drafting: whether drafts are written of the photographs that have no located labels.
    """

    def __init__(self, project: Project, readings: Readings, drafting: bool) -> None:
        self.project, self.readings, self.drafting = project, readings, drafting
        photos = project.photos
        self.numbers = [
            p.number for p in photos if (wants_draft(p) if drafting else p.number not in readings.summaries)
        ]
        self.done = self.failed = self.drafted = 0
        self.error = ""
        self.started = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="studio run", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ends it after the photograph at hand; what was drafted is written."""
        self._stop.set()
        self._thread.join()

    def state(self) -> dict[str, Any]:
        """How far it is, for the page."""
        spent = time.monotonic() - self.started
        rate = self.done / spent if spent > 0 and self.done else 0.0
        left = len(self.numbers) - self.done
        return {
            "drafting": self.drafting,
            "running": self.running,
            "done": self.done,
            "total": len(self.numbers),
            "failed": self.failed,
            "drafted": self.drafted,
            "rate": round(rate, 2),
            "remaining_s": round(left / rate) if rate and self.running else None,
            "error": self.error,
        }

    def _run(self) -> None:
        waiting: list[Draft] = []
        written = time.monotonic()
        try:
            for number in self.numbers:
                if self._stop.is_set():
                    break
                photo = self.project.photos[number]
                try:
                    read = self.readings.of(number, photo.path)
                    if self.drafting:
                        summary = read.summary
                        labels = draft_labels(photo, read.plates, self.readings)
                        waiting.append(Draft(number, labels, summary.doubt, "; ".join(read.record["reasons"])))
                except UnreadableImage:
                    self.failed += 1
                self.done += 1
                if waiting and time.monotonic() - written > WRITTEN_EVERY_S:
                    self.drafted += self.project.draft(waiting)
                    waiting, written = [], time.monotonic()
            self.drafted += self.project.draft(waiting) if waiting else 0
        except (NotWritten, ValueError) as error:  # the bundle, or the table
            self.error = str(error)


def draft_labels(photo: Photo, plates: Sequence[PlateReading], readings: Readings) -> tuple[Label, ...]:
    """Labels of what was found. Texts that the table has already stay, and get the nearest plate's corners."""
    found = [_label(plate, readings, photo) for plate in plates]
    if not photo.labels:
        return tuple(found)
    labels = []
    for label in photo.labels:  # texts without a place
        best = min(found, key=lambda one: edit_distance(label.text, one.text), default=None)
        if best is not None:
            found.remove(best)
            label = replace(label, corners=best.corners, country=label.country or best.country)
        labels.append(label)
    return (*labels, *found)


def _label(plate: PlateReading, readings: Readings, photo: Photo) -> Label:
    reading, pack = plate.reading, readings.pack
    text = reading.text if pack is None else "".join(c for c in reading.text if c in pack.alphabet)
    rows = "" if reading.cut is None else "2" if reading.cut else "1"
    country = readings.given.code if readings.given else country_of(reading) or (pack.code if pack else "")
    return Label(text, country, quad_of(plate.detection.corners), rows=rows, rest=split_of(photo))


def quad_of(corners: Any) -> Quad:
    """Corners (4, 2) px as a table has them, to a tenth of a px."""
    a, b, c, d = ((round(float(x), 1), round(float(y), 1)) for x, y in corners)
    return a, b, c, d


def split_of(photo: Photo) -> dict[str, str]:
    """The cells that a new label takes over from its photograph."""
    return {"split": photo.rest["split"]} if photo.rest.get("split") else {}
