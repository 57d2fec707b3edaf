"""Predictions under a protocol: what became of every plate that counts, and the figures by column.

Only names, labels and predictions are needed, no image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alpr.data.corrections import Correction, correction_of
from alpr.data.manifest import Manifest
from alpr.detection.metrics import Match, match_boxes, true_box, true_hull
from alpr.evaluation.intervals import RESAMPLES
from alpr.evaluation.protocols.published import OVERALL
from alpr.evaluation.protocols.rules import DetectionRule, Protocol
from alpr.plates.geometry import box_iou, corner_box
from alpr.plates.records import FloatArray, Plate, PlateReading, Reading
from alpr.reader.predictions import NOT_READ, Predicted
from alpr.recognition.metrics import (
    coverage_at_precision,
    equal_beyond,
    expected_calibration_error,
    has_province,
)

NOTHING = Predicted("")
CROPS = {"detection": "end to end", "corners": "labelled corners", "box": "labelled box"}
_DRAWS_AT_ONCE = 50


@dataclass(frozen=True)
class Outcome:
    """One plate that counts, and what became of it; None for what the protocol or the predictions do not measure.

    Attributes:
        image: its path.
        index: the plate's place among its image's plates.
        column: of the protocol.
        iou: with the detection that counts, in the boxes of the rule of detection; 0 where there is none.
        detected: whether it counts as found.
        reading: the one that counts; an empty text where nothing was found.
        right: whether it counts as read.
        given: the reading inside the labelled corners.
        audited: the corrected label, "" where the plate is unreadable; None where the label was not found wrong.
    """

    image: Path
    index: int
    column: str
    text: str
    iou: float | None
    detected: bool | None
    found: bool
    reading: Reading | None
    right: bool | None
    given: Reading | None
    audited: str | None = None

    @property
    def province(self) -> str:
        """The first character of a text that begins with a province sign, else nothing."""
        return self.text[0] if self.text and has_province(self.text) else ""

    @property
    def cluster(self) -> str:
        """What is resampled together: all photographs of one plate."""
        return self.text or f"{self.image}\n{self.index}"

    @property
    def place(self) -> tuple[str, int]:
        """The same for every copy of a photograph."""
        return self.image.name, self.index


class Selected(NamedTuple):
    """The rows of a manifest that count under a protocol, and the number of those left out for their plate."""

    rows: list[int]
    in_training: int


def selected_rows(protocol: Protocol, manifest: Manifest, trained: frozenset[str] | None) -> Selected:
    """The rows that count.

    Args:
        trained: the texts of the plates that training has seen; None where that is not known.

    Raises:
        ValueError: the protocol leaves out plates of training and those are not known, or no row counts.
    """
    if protocol.plates == "not_in_training" and trained is None:
        raise ValueError(
            f"The protocol {protocol.name} leaves out the plates of training, and no training row is known; "
            f"give data.train=LIST or TABLE."
        )
    apart = trained if protocol.plates == "not_in_training" and trained is not None else frozenset()
    subsets = manifest.extra.get("subset", [""] * manifest.rows)
    counted = [row for row in range(manifest.rows) if protocol.column_of(subsets[row], manifest.split[row]) is not None]
    rows = [row for row in counted if manifest.text[row] not in apart]
    if not rows:
        columns = ", ".join(f"{c.subset or 'any subset'} {'/'.join(c.splits)}".strip() for c in protocol.columns)
        raise ValueError(f"No row counts under the protocol {protocol.name}; it counts {columns}.")
    return Selected(rows, len(counted) - len(rows))


def outcomes_of(
    protocol: Protocol,
    manifest: Manifest,
    predictions: Mapping[Path, Predicted],
    corrections: Sequence[Correction] = (),
) -> list[Outcome]:
    """What became of the plates of a manifest whose rows all count.

    Args:
        predictions: by absolute path; an image that is missing has nothing found.

    Raises:
        ValueError: a plate without a place; a protocol scores scenes.
    """
    subsets = {manifest.path(row): cell for row, cell in enumerate(manifest.extra.get("subset", ()))}
    outcomes = []
    for scene in manifest.scenes():
        column = protocol.column_of(subsets.get(scene.image, ""), scene.split or "")
        plates = [(i, plate) for i, plate in enumerate(scene.plates) if not plate.ignored]
        lost = next((plate for _, plate in plates if true_hull(plate) is None), None)
        if lost is not None:
            raise ValueError(f"{scene.image} holds {lost.text!r} without corners or box; a protocol scores scenes.")
        if column is None or not plates:
            continue
        predicted = predictions.get(scene.image.absolute(), NOTHING)
        pairs = {m.plate: m for m in _pairs(protocol, predicted.plates, [plate for _, plate in plates])}
        given = {(one.plate, one.by): one.reading for one in predicted.labelled}
        for place, (index, plate) in enumerate(plates):
            audited = correction_of(corrections, scene.image, plate)
            by_label = (given.get((index, "corners")), given.get((index, "box")))
            outcome = _outcome(protocol, predicted, pairs.get(place), plate, by_label)
            corrected = None if audited is None else audited.correction
            outcomes.append(replace(outcome, image=scene.image, index=index, column=column, audited=corrected))
    return outcomes


def _outcome(
    protocol: Protocol,
    predicted: Predicted,
    match: Match | None,
    plate: Plate,
    by_label: tuple[Reading | None, Reading | None],
) -> Outcome:
    rule, corners = protocol.recognition, by_label[0]
    iou = 0.0 if match is None else match.iou
    detected = None if protocol.detection is None else iou > protocol.detection.iou
    reading: Reading | None
    if rule.crop == "detection":
        found = match is not None and iou > protocol.found_iou
        missing = NOT_READ if protocol.missing == "wrong" else None
        reading = missing if match is None else predicted.plates[match.detection].reading
    else:
        found, reading = True, by_label[0 if rule.crop == "corners" else 1]
    if reading is not None and rule.crop == "detection" and rule.iou is not None and not iou > rule.iou:
        right: bool | None = False
    else:
        skipped = 1 if rule.characters == "without_province" else 0
        right = None if reading is None else equal_beyond(plate.text or "", reading.text, skipped)
    if not plate.text:
        reading, right, corners = None, None, None
    measured = protocol.detection is not None or rule.crop == "detection"
    iou_of_rule = iou if measured else None
    return Outcome(Path(), 0, "", plate.text or "", iou_of_rule, detected, found, reading, right, corners)


def label_place(rule: DetectionRule | None, plate: Plate) -> FloatArray | None:
    """The upright box of a plate that a rule compares, (4,) px."""
    return true_hull(plate) if rule is not None and rule.label == "hull" else true_box(plate)


def _pairs(protocol: Protocol, found: Sequence[PlateReading], plates: Sequence[Plate]) -> list[Match]:
    """Which detection counts for which plate: indices into both."""
    rule = protocol.detection
    true = np.array([label_place(rule, plate) for plate in plates], np.float64).reshape(-1, 4)
    hull = rule is not None and rule.detection == "hull"
    boxes = np.array([corner_box(p.detection.corners) if hull else p.detection.box for p in found], np.float64)
    boxes = boxes.reshape(-1, 4)
    chosen = list(range(len(found)))
    if protocol.ties == "worst":
        overlap = np.nan_to_num(box_iou(boxes, true), nan=0.0).max(axis=1, initial=0.0)
        chosen.sort(key=lambda i: float(overlap[i]))
    if protocol.candidates == "best":
        chosen.sort(key=lambda i: -found[i].detection.score)  # stable: equal scores keep the order of the ties
        chosen = chosen[: len(plates)]
    pairs = [m._replace(detection=chosen[m.detection]) for m in match_boxes(boxes[chosen], true)]
    if protocol.recognition.iou is None and len(plates) == len(chosen) == 1 and not pairs:
        return [Match(0, chosen[0], 0.0)]  # without an IoU the best box is read wherever it lies
    return pairs


Measure = Callable[[Outcome], "bool | None"]
Compare = Callable[[str, str], bool]
"""Whether a label and a reading agree."""


def all_but_one(true: str, read: str) -> bool:
    """Whether two texts of one length differ in one character or none."""
    return len(true) == len(read) and sum(a != b for a, b in zip(true, read, strict=True)) <= 1


COMPARED: Mapping[str, tuple[str, Compare]] = {
    "all": ("all characters", lambda true, read: true == read),
    "all_but_one": ("all but one character, or all", all_but_one),
    "without_province": ("without the province", lambda true, read: equal_beyond(true, read, 1)),
    "province": ("the province alone", lambda true, read: true[:1] == read[:1]),
}
"""How texts are compared, by figure: 7 of 7, 6 of 7, and the province and the rest apart."""


def _compared(name: str, get: Callable[[Outcome], Reading | None], iou: float | None) -> Measure:
    compare = COMPARED[name][1]

    def measure(outcome: Outcome) -> bool | None:
        reading = get(outcome)
        if reading is None or ("province" in name and not outcome.province):
            return None
        near = iou is None or (outcome.iou or 0.0) > iou
        return near and compare(outcome.text, reading.text)

    return measure


def measures_of(protocol: Protocol) -> dict[str, tuple[str, Measure]]:
    """The figures of a protocol's table, by name, with their labels; None where a plate does not count."""
    rule = protocol.recognition
    measures: dict[str, tuple[str, Measure]] = {}
    if protocol.detection is not None:
        measures["detected"] = (f"found, IoU > {protocol.detection.iou:g}", lambda o: o.detected)
    beyond = "" if rule.characters == "all" else " but the province"
    measures["read"] = (f"{CROPS[rule.crop]}: all characters{beyond}", lambda o: o.right)
    for name, (label, _) in COMPARED.items():
        if name != "all":
            measures[f"read_{name}"] = (f"{CROPS[rule.crop]}: {label}", _compared(name, lambda o: o.reading, rule.iou))
    for name, (label, _) in COMPARED.items():
        measures[f"given_{name}"] = (f"true corners: {label}", _compared(name, lambda o: o.given, None))
    return measures


class Cell(NamedTuple):
    """A figure of a column with its 95 % interval; None where it has none. `plates` counted."""

    value: float
    low: float | None
    high: float | None
    plates: int


@dataclass(frozen=True)
class FigureRow:
    """A figure of every column where it was measured, and overall."""

    name: str
    label: str
    cells: Mapping[str, Cell]


def overall_of(protocol: Protocol, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes that count overall: each photograph once where the protocol says so."""
    if protocol.repeated == "counted":
        return list(outcomes)
    return list({outcome.place: outcome for outcome in reversed(outcomes)}.values())[::-1]


def figure_rows(protocol: Protocol, outcomes: Sequence[Outcome], seed: int = 0) -> tuple[FigureRow, ...]:
    """Every figure by column and overall, with bootstrap intervals clustered by plate.

    An overall mean over columns or provinces is the mean of their shares; a resample without a plate of one leaves
    that one out.
    """
    whole = overall_of(protocol, outcomes)
    strata: dict[str, Callable[[Outcome], str]] = {
        "images": lambda o: "", "columns": lambda o: o.column, "provinces": lambda o: o.province,
    }  # fmt: skip
    jobs: list[_Job] = []
    for name, (_, measure) in measures_of(protocol).items():
        for column in protocol.columns:
            jobs.append(_job(name, column.name, [o for o in outcomes if o.column == column.name], measure, None))
        jobs.append(_job(name, OVERALL, whole, measure, strata[protocol.mean]))
    jobs = [job for job in jobs if job.values]
    cells = _bootstrapped(jobs, seed)
    rows = []
    for name, (label, _) in measures_of(protocol).items():
        of_name = {job.column: cell for job, cell in zip(jobs, cells, strict=True) if job.name == name}
        if of_name:
            rows.append(FigureRow(name, label, of_name))
    return (*rows, *_confidence_rows(protocol, outcomes, whole))


class _Job(NamedTuple):
    """One cell: the plates that count, what resamples them together, and the strata whose shares are averaged."""

    name: str
    column: str
    values: list[bool]
    clusters: list[str]
    strata: list[str]


def _job(
    name: str, column: str, outcomes: Sequence[Outcome], measure: Measure, stratum: Callable[[Outcome], str] | None
) -> _Job:
    measured = [(o, value) for o in outcomes if (value := measure(o)) is not None]
    return _Job(
        name,
        column,
        [value for _, value in measured],
        [o.cluster for o, _ in measured],
        ["" if stratum is None else stratum(o) for o, _ in measured],
    )


def _bootstrapped(jobs: Sequence[_Job], seed: int) -> list[Cell]:
    """The cells of all jobs; a plate is drawn as often in one as in the others, so all see the same resamples."""
    names = {name: i for i, name in enumerate(dict.fromkeys(c for job in jobs for c in job.clusters))}
    sums: list[FloatArray] = []  # float32 halves the memory: CCPD has 67,000 plates
    spans, values = [], []
    for job in jobs:
        ids = np.array([names[c] for c in job.clusters])
        kinds = {s: i for i, s in enumerate(dict.fromkeys(job.strata))}
        of = np.array([kinds[s] for s in job.strata])
        hits, counts = (np.zeros((len(names), len(kinds)), np.float32) for _ in range(2))
        np.add.at(hits, (ids, of), np.array(job.values, np.float32))
        np.add.at(counts, (ids, of), 1.0)
        values.append(float((hits.sum(axis=0, dtype=np.float64) / counts.sum(axis=0, dtype=np.float64)).mean()))
        spans.append((len(sums), len(kinds)))
        sums += [*hits.T, *counts.T]
    if not jobs:
        return []
    table = np.stack(sums, axis=1)  # (plates, 2 per stratum of every job); whole numbers
    generator = np.random.default_rng(seed)
    draws = np.empty((RESAMPLES, table.shape[1]))
    for start in range(0, RESAMPLES, _DRAWS_AT_ONCE):
        drawn = generator.integers(0, len(names), (_DRAWS_AT_ONCE, len(names)))
        times = np.stack([np.bincount(one, minlength=len(names)) for one in drawn]).astype(np.float32)
        draws[start : start + _DRAWS_AT_ONCE] = times @ table
    cells = []
    for job, value, (start, n) in zip(jobs, values, spans, strict=True):
        hit, count = draws[:, start : start + n], draws[:, start + n : start + 2 * n]
        shares = np.divide(hit, count, out=np.full_like(hit, np.nan), where=count > 0)
        filled = shares[~np.isnan(shares).all(axis=1)]
        low, high = np.percentile(np.nanmean(filled, axis=1), [2.5, 97.5]) if len(filled) else (value, value)
        cells.append(Cell(value, float(low), float(high), len(job.values)))
    return cells


def _confidence_rows(protocol: Protocol, outcomes: Sequence[Outcome], whole: Sequence[Outcome]) -> list[FigureRow]:
    """Calibration and coverage of the readings, overall over all plates, whatever the mean of the protocol."""
    groups = {c.name: [o for o in outcomes if o.column == c.name] for c in protocol.columns} | {OVERALL: list(whole)}
    sources: dict[str, tuple[str, Callable[[Outcome], tuple[float, bool] | None]]] = {
        "read": (
            CROPS[protocol.recognition.crop],
            lambda o: None if o.reading is None else (o.reading.score, bool(o.right)),
        ),
        "given": ("true corners", lambda o: None if o.given is None else (o.given.score, o.given.text == o.text)),
    }
    rows = []
    for name, (label, get) in sources.items():
        ece, coverage = {}, {}
        for column, members in groups.items():
            pairs = [pair for o in members if (pair := get(o)) is not None]
            scores, right = [score for score, _ in pairs], [hit for _, hit in pairs]
            error, kept = expected_calibration_error(scores, right), coverage_at_precision(scores, right, 0.99)
            if error is not None and kept is not None:
                ece[column] = Cell(error, None, None, len(pairs))
                coverage[column] = Cell(kept, None, None, len(pairs))
        if ece:
            rows.append(FigureRow(f"{name}_ece", f"{label}: calibration error (ECE)", ece))
            rows.append(FigureRow(f"{name}_coverage", f"{label}: coverage at 99 % precision", coverage))
    return rows
