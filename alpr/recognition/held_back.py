"""Calibrates a trained recogniser on the plates that its data hold back; writes calibration.json and a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from alpr.data.corrections import Correction
from alpr.files import file_sha256, write_atomically
from alpr.images.prepare import UnreadableImage
from alpr.plates.geometry import FlatQuad
from alpr.plates.records import FloatArray, ImageArray
from alpr.recognition.calibration import (
    CALIBRATION_FILE,
    Calibration,
    LabelledLogits,
    Threshold,
    calibrate,
    reliability,
    string_scores,
)
from alpr.recognition.data import ValidationPlates
from alpr.recognition.datamodule import RecognitionData
from alpr.recognition.decode import decode_logits
from alpr.recognition.mixture.crops import PhotographedCrops, Unfolding
from alpr.recognition.module import RecogniserModule
from alpr.recognition.read import Recogniser
from alpr.reports.charts import Line, line_chart
from alpr.reports.html import Figure, Html, Page, key_figures, percent, table
from alpr.reports.progress import progress_bar
from alpr.runs.checkpoints import run_folder

PAGE_FILE = "calibration.html"


@dataclass(frozen=True)
class Settings:
    """Which held-back plates calibrate, and how often each is read.

    Attributes:
        draws: augmented crops per plate, besides the plain one.
        plates: the most plates, spread over the held-back ones.
        data: entries in place of the run's own data settings, such as {"root": "datasets"}.
        corrections: of wrong labels, see `alpr.data.corrections`: a few decide from where on 99 % are right.
    """

    draws: int = 4
    plates: int = 2000
    data: Mapping[str, Any] = field(default_factory=dict)
    corrections: tuple[Correction, ...] = ()

    def __post_init__(self) -> None:
        if self.draws < 0 or self.plates < 1:
            raise ValueError(f"draws is {self.draws} and plates {self.plates}; expected at least 0 and at least 1.")


def calibrate_on(
    data: RecognitionData,
    checkpoint: Path,
    module: RecogniserModule,
    settings: Settings,
    console: Console | None = None,
) -> Calibration:
    """Calibrates a checkpoint on the plates that data hold back, and writes what it found beside it.

    Args:
        module: the checkpoint's network.
        console: where the progress bar is drawn; None for no bar.

    Raises:
        ValueError: not one reading.
        OSError: a file that cannot be written.
    """
    folder = calibration_of(checkpoint).parent
    held_back, skipped = collect(module.recogniser(), data, settings, console)
    found = replace(
        calibrate(held_back),
        checkpoint=file_sha256(checkpoint),
        draws=settings.draws,
        manifests=data.manifests,
        fold=data.holdout_fold,
    )
    write_atomically(calibration_of(checkpoint), [found.to_json()])
    page(found, held_back, skipped, folder.name).write(folder / PAGE_FILE)
    return found


def calibration_of(checkpoint: Path) -> Path:
    """Where the calibration of a checkpoint stands: in its run's folder, else beside it."""
    return run_folder(checkpoint) / CALIBRATION_FILE


def collect(
    recogniser: Recogniser, data: RecognitionData, settings: Settings, console: Console | None = None
) -> tuple[LabelledLogits, int]:
    """What the recogniser gives for the held-back plates, and how many plates could not be opened."""
    step = max(1, -(-len(data.val_plates) // settings.plates))
    crops = _Crops(recogniser, data, settings.draws)
    chosen = range(0, len(data.val_plates), step)
    logits: list[FloatArray] = []
    texts: list[str] = []
    plates: list[int] = []
    with progress_bar("plates", console, shown=console is not None and console.is_terminal) as progress:
        task = progress.add_task("Calibrating", total=len(chosen))
        for item in chosen:
            label = data.val_plates[item]
            wrong = next((c for c in settings.corrections if c.names(label.image.name, label.text)), None)
            text = label.text if wrong is None else wrong.correction
            seen = list(crops.of(item)) if text else []  # nobody can read it
            logits += recogniser.logits(seen)
            texts += [text] * len(seen)
            plates += [item] * len(seen)
            progress.advance(task)
    if not logits:
        raise ValueError(f"None of {len(chosen)} held-back plates could be opened; the first: {crops.errors[0]}")
    joined = np.concatenate([np.asarray(batch, np.float32) for batch in logits])
    return LabelledLogits(joined, texts, plates, recogniser.charset), len(crops.errors)


@dataclass
class _Crops:
    """The crops of held-back plates: each as it would be deployed, then as training would distort it."""

    recogniser: Recogniser
    data: RecognitionData
    draws: int
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        data, plates = self.data, self.data.val_plates
        self._plain = ValidationPlates(plates)
        geometry, pixels = data.augment.geometry_of({}), data.augment.pixels_of({})
        unfolding = Unfolding(folded=0) if data.unfolding else None
        self._drawn = PhotographedCrops(
            plates, data.size, data.margin, geometry, pixels, cache_mb=0, unfolding=unfolding
        )

    def of(self, item: int) -> Iterator[ImageArray]:
        plate = self._plain[item]
        if plate.image is None:
            self.errors.append(str(plate.unreadable))
            return
        crop = self.recogniser.crop_of(plate.image, plate.corners, plate.cut if self.data.unfolding else None)
        if crop is not None:
            yield crop
        for draw in range(self.draws):
            try:
                yield self._drawn.draw(item, np.random.default_rng((self.data.seed, item, draw))).crop
            except (UnreadableImage, FlatQuad) as error:
                self.errors.append(str(error))
                return


def sentence(found: Calibration) -> str:
    """What a calibration found, in words."""
    spread = found.temperature_range
    between = "" if spread is None else f" (95 %: {spread[0]:.2f} to {spread[1]:.2f})"
    thresholds = ", ".join(
        f"{precision} %: {_threshold(threshold, needed)}"
        for precision, threshold, needed in (("99", found.threshold_99, 100), ("99.9", found.threshold_999, 1000))
    )
    return (
        f"Temperature {found.temperature:.3f}{between} on {found.readings} readings of {found.plates} held-back "
        f"plates, {found.wrong} wrong, {found.empty} empty left out. Calibration error "
        f"{percent(found.before.ece, 2)} -> {percent(found.after.ece, 2)}, NLL {found.before.nll:.4f} -> "
        f"{found.after.nll:.4f}. Lowest score for {thresholds}. {found.note}"
    ).strip()


def _threshold(threshold: Threshold | None, needed: int) -> str:
    """A threshold in words; fewer plates than one error in `needed` takes cannot show its precision."""
    if threshold is None:
        return "none reaches it"
    few = f"; {needed} plates or more would show it" if threshold.plates < needed else ""
    wrong = f"{threshold.wrong} wrong of {threshold.wrong_plates} plates" if threshold.wrong else "none wrong"
    return f"{threshold.score:.4f} ({threshold.readings} readings of {threshold.plates} plates, {wrong}{few})"


def _surest_wrong(held_back: LabelledLogits, found: Calibration, most: int = 20) -> Html:
    """The wrong readings of the best scores, one a plate."""
    wrong = np.flatnonzero(held_back.read() & ~held_back.right()).tolist()
    readings = decode_logits(held_back.logits[wrong], held_back.charset, found.temperature)
    rows: dict[int, tuple[str, str, float]] = {}
    for i, reading in sorted(zip(wrong, readings, strict=True), key=lambda pair: -pair[1].score):
        rows.setdefault(held_back.plates[i], (held_back.texts[i], reading.text, reading.score))
    return table(("label", "read", "score"), list(rows.values())[:most])


def page(found: Calibration, held_back: LabelledLogits, skipped: int, name: str) -> Page:
    """The reliability diagram before and after, with the figures."""
    read = held_back.read()
    logits, right = held_back.logits[read], held_back.right()[read]
    series = {"perfect": Line([0, 100], [0, 100])}
    rows: list[tuple[str, float, float, int]] = []
    for temperature in sorted({1.0, found.temperature}, key=lambda t: t != 1):
        label = f"temperature {temperature:.4g}"
        points = reliability(string_scores(logits, temperature), right)
        series[label] = Line([100 * p.score for p in points], [100 * p.right for p in points])
        rows += [(label, 100 * p.score, 100 * p.right, p.readings) for p in points]
    result = Page(f"Calibration of {name}", sentence(found))
    result.add(
        "Reliability",
        key_figures([
            Figure(f"{found.temperature:.3f}", "temperature"),
            Figure(percent(found.after.ece, 2), "calibration error", f"{percent(found.before.ece, 2)} before"),
            Figure(found.plates, "plates", f"{found.readings} readings, {skipped} plates could not be opened"),
        ]),
        line_chart(series, title="Share right by mean score, tenths of the readings", unit=" %", x_label="score, %"),
        table(("scores", "mean score %", "right %", "readings"), rows),
    )  # fmt: skip
    result.add("The surest wrong readings", "Wrong labels are often among them.", _surest_wrong(held_back, found))
    return result
