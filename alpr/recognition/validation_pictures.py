"""What a validation of the recogniser shows: the same held-back plates each time, the worst of all, and two tables."""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from alpr.files import write_rows
from alpr.images.prepare import rectify
from alpr.plates.records import ImageArray, Reading
from alpr.recognition.data import ValidationPlate
from alpr.recognition.metrics import RecognitionScores
from alpr.reports import drawing
from alpr.task import HELD_BACK_FILE, is_better

PICTURES = 16
LARGEST_BYTES = 200_000
CONFUSIONS = 40
"""The most pairs of characters in the table."""
CROP_PX = (48, 192)
MARGIN = 0.1


class ReadCrops(Callback):
    """`filmstrip/epoch_000.jpg` and `worst/epoch_000.jpg` of a run, a sheet per validation, and its tables.

    The worst are the wrong readings of which the network is surest. `confusion/epoch_000.csv` holds the characters that
    are read as others, `calibration/epoch_000.csv` the share that is right by score, and `held_back.csv` every plate of
    the best validation, where there is one process. With several the pictures are of the first one's plates.
    """

    def __init__(self) -> None:
        self._strip: list[ImageArray] = []
        self._worst: list[tuple[float, int, ImageArray]] = []
        self._plates: list[tuple[str, int, str, str, int]] = []
        self._seen, self._every = 0, 1

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._strip, self._worst, self._plates, self._seen = [], [], [], 0
        plates = len(getattr(getattr(trainer, "datamodule", None), "val_plates", ()))
        self._every = max(1, plates // trainer.world_size // PICTURES)

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: list[ValidationPlate], *_: Any
    ) -> None:
        if trainer.is_global_zero:
            for plate, reading in zip(batch, outputs, strict=True):
                if reading is not None:
                    self._add(plate, reading)

    def _add(self, plate: ValidationPlate, reading: Reading) -> None:
        number, self._seen = self._seen, self._seen + 1
        nth = sum(row[0] == plate.source for row in self._plates[-20:])  # plates of one photograph follow each other
        self._plates.append((plate.source, nth, plate.text, reading.text, int(reading.text == plate.text)))
        if number % self._every == 0 and len(self._strip) < PICTURES:
            self._strip.append(_drawn(plate, reading))
        if reading.text != plate.text and (len(self._worst) < PICTURES or reading.score > self._worst[0][0]):
            heapq.heappush(self._worst, (reading.score, number, _drawn(plate, reading)))
            if len(self._worst) > PICTURES:
                heapq.heappop(self._worst)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        folder, name = Path(trainer.default_root_dir), f"epoch_{trainer.current_epoch:03d}"
        worst = [picture for *_, picture in sorted(self._worst, key=lambda entry: entry[:2], reverse=True)]
        for what, pictures in (("filmstrip", self._strip), ("worst", worst)):
            if pictures:
                drawing.write_jpeg(drawing.sheet(pictures, 4), folder / what / f"{name}.jpg", LARGEST_BYTES)
        if is_better(trainer, pl_module.monitor) and trainer.world_size == 1:
            write_rows(folder / HELD_BACK_FILE, ("image", "plate", "label", "read", "right"), self._plates)
        if pl_module.scores is not None:
            write_tables(folder, name, pl_module.scores)


def write_tables(folder: Path, name: str, scores: RecognitionScores) -> None:
    """Writes both tables of a validation."""
    pairs = [(c.true or "-", c.read or "-", c.count) for c in scores.confusions[:CONFUSIONS]]
    write_rows(folder / "confusion" / f"{name}.csv", ("true", "read", "times"), pairs)
    bins = [(b.low, b.high, b.readings, round(b.mean_score, 4), round(b.accuracy, 4)) for b in scores.reliability]
    header = ("score above", "up to", "readings", "mean score", "share right")
    write_rows(folder / "calibration" / f"{name}.csv", header, bins)


def _drawn(plate: ValidationPlate, reading: Reading) -> ImageArray:
    assert plate.image is not None
    crop = plate.image if plate.corners is None else rectify(plate.image, plate.corners, CROP_PX, MARGIN)
    read = "" if reading.text == plate.text else f" read {reading.text or '-'}"
    return drawing.captioned(crop, f"{plate.text}{read} {100 * reading.score:.0f}%")
