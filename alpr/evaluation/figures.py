"""The figures of plates: which outcomes count as a success, and how sure the share is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alpr.data.corrections import Correction
from alpr.detection.metrics import FOUND_IOU, RECALL_IOUS
from alpr.evaluation.intervals import share_interval
from alpr.evaluation.outcomes import Audit, Figure, PlateRecord
from alpr.evaluation.protocols.matching import is_detected, is_right, reading_of
from alpr.evaluation.protocols.published import OVERALL
from alpr.evaluation.protocols.rules import Protocol
from alpr.plates.records import Reading
from alpr.recognition.metrics import (
    RecognitionMetrics,
    RecognitionScores,
    coverage_at_precision,
    equal_beyond,
    expected_calibration_error,
    has_province,
)

CROP_LABELS = {
    "detection": "end to end",
    "corners": "labelled corners",
    "box": "labelled box",
    "image": "ready-made crop",
}

Measure = Callable[[PlateRecord], "bool | None"]


def _found(iou: float) -> Measure:
    return lambda r: None if r.iou is None else r.iou > iou


def _read(get: Callable[[PlateRecord], Reading | None], found_iou: float | None, skipped: int) -> Measure:
    """Whether a reading is right. `found_iou`: None asks no detection; else the plate must be found above it."""

    def measure(record: PlateRecord) -> bool | None:
        reading = get(record)
        if reading is None or not record.text or (skipped and not has_province(record.text)):
            return None
        right = equal_beyond(record.text, reading.text, skipped)
        return right and (found_iou is None or (record.iou or 0.0) > found_iou)

    return measure


def _of_found(measure: Measure) -> Measure:
    return lambda r: measure(r) if (r.iou or 0.0) > 0.5 else None


def _measures() -> dict[str, Measure]:
    def predicted(r: PlateRecord) -> Reading | None:
        return r.on_predicted_corners

    measures: dict[str, Measure] = {f"found_{round(100 * iou)}": _found(iou) for iou in RECALL_IOUS}
    for suffix, skipped in (("", 0), ("_without_province", 1), ("_without_prefix", 2)):
        measures[f"read_on_crops{suffix}"] = _read(lambda r: r.on_crop, None, skipped)
        measures[f"read_on_true_corners{suffix}"] = _read(lambda r: r.on_true_corners, None, skipped)
        measures[f"read_on_predicted_corners{suffix}"] = _of_found(_read(predicted, None, skipped))
        measures[f"read_on_box{suffix}"] = _read(lambda r: r.on_box, None, skipped)
        measures[f"end_to_end_50{suffix}"] = _read(predicted, 0.5, skipped)
        measures[f"end_to_end_70{suffix}"] = _read(predicted, 0.7, skipped)
    return measures


MEASURES: Mapping[str, Measure] = _measures()
"""The headline figures: whether a plate counts as a success, None where it does not count at all.

found_*: hull IoU above 0.5, 0.7, 0.9. read_on_*: every character right, on ready-made crops, on the labelled corners,
on the detector's corners of the plates found at 0.5, and on the upright box. end_to_end_*: found above that IoU and
every character right, of all plates with a place and a text. *_without_province and *_without_prefix: of the texts that
begin with a province sign, the first character, and the first two, set aside.
"""


def share_of(
    name: str, records: Sequence[PlateRecord], measure: Measure, stratum: Callable[[PlateRecord], str] | None = None
) -> Figure | None:
    """A figure of plates with its interval; None where no plate counts.

    Args:
        stratum: the figure is the mean of the shares by this; None for the share of all.
    """
    measured = [(record, value) for record in records if (value := measure(record)) is not None]
    if not measured:
        return None
    values, clusters = [value for _, value in measured], [record.cluster for record, _ in measured]
    strata = ["" if stratum is None else stratum(record) for record, _ in measured]
    places = {kind: i for i, kind in enumerate(dict.fromkeys(strata))}
    of = np.array([places[kind] for kind in strata])
    counts = np.bincount(of).astype(np.float64)
    mean = float((np.bincount(of, weights=np.array(values, np.float64)) / counts).mean())
    weights = None if len(places) == 1 else 1 / counts[of]
    return Figure(name, mean, len(values), *share_interval(values, clusters, weights))


def figures_of(records: Sequence[PlateRecord]) -> tuple[Figure, ...]:
    """The headline figures of plates, with intervals; those that no plate counts for are left out."""
    figures = (share_of(name, records, measure) for name, measure in MEASURES.items())
    return tuple(figure for figure in figures if figure is not None)


def audit_of(records: Sequence[PlateRecord], applied: Sequence[Correction], given: Sequence[Correction]) -> Audit:
    """The figures of plates with their audited texts; an unreadable plate has none."""
    audited = [r if r.audited is None else replace(r, text=r.audited or None) for r in records]
    unused = tuple(c for c in given if c not in applied)
    return Audit(tuple(c for c in given if c in applied), unused, figures_of(audited))


READ: Mapping[str, Callable[[PlateRecord], Reading | None]] = {
    "on_crops": lambda r: r.on_crop,
    "on_true_corners": lambda r: r.on_true_corners,
    "end_to_end": lambda r: r.on_predicted_corners,
    "on_predicted_corners": lambda r: r.on_predicted_corners if (r.iou or 0.0) > FOUND_IOU else None,
    "on_box": lambda r: r.on_box,
}
"""The reading of a plate by the field of the report that holds its scores, in the order of the printed columns."""


def scores_of(records: Iterable[PlateRecord], field_name: str) -> RecognitionScores | None:
    """The scores of a field of the report; None where nothing was read so."""
    metrics = RecognitionMetrics()
    for record in records:
        reading = READ[field_name](record)
        if reading is not None and record.text:
            metrics.update(reading, record.text, record.country, record.kind)
    return metrics.compute() if metrics.outcomes else None


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


def _compared(name: str, get: Callable[[PlateRecord], Reading | None], iou: float | None) -> Measure:
    compare = COMPARED[name][1]

    def measure(record: PlateRecord) -> bool | None:
        reading = get(record)
        if reading is None or ("province" in name and not record.province):
            return None
        near = iou is None or (record.iou or 0.0) > iou
        return near and compare(record.text or "", reading.text)

    return measure


def measures_of(protocol: Protocol) -> dict[str, tuple[str, Measure]]:
    """The figures of a protocol's table, by name, with their labels; None where a plate does not count."""
    rule = protocol.recognition
    source = CROP_LABELS[rule.crop]
    measures: dict[str, tuple[str, Measure]] = {}
    if protocol.detection is not None:
        measures["detected"] = (f"found, IoU > {protocol.detection.iou:g}", lambda r: is_detected(protocol, r))
    beyond = "" if rule.characters == "all" else " but the province"
    measures["read"] = (f"{source}: all characters{beyond}", lambda r: is_right(protocol, r))
    for name, (label, _) in COMPARED.items():
        if name != "all":
            get = _compared(name, lambda r: reading_of(protocol, r), rule.iou)
            measures[f"read_{name}"] = (f"{source}: {label}", get)
    for name, (label, _) in COMPARED.items():
        measures[f"given_{name}"] = (f"true corners: {label}", _compared(name, lambda r: r.on_true_corners, None))
    return measures


@dataclass(frozen=True)
class FigureRow:
    """A figure of every column where it was measured, and overall."""

    name: str
    label: str
    cells: Mapping[str, Figure]


def overall_of(protocol: Protocol, records: Sequence[PlateRecord]) -> list[PlateRecord]:
    """The records that count overall: each photograph once where the protocol says so."""
    if protocol.repeated == "counted":
        return list(records)
    return list({record.place: record for record in reversed(records)}.values())[::-1]


def figure_rows(protocol: Protocol, records: Sequence[PlateRecord]) -> tuple[FigureRow, ...]:
    """Every figure by column and overall; an overall mean over columns or provinces is the mean of their shares."""
    whole = overall_of(protocol, records)
    columns = {c.name: [r for r in records if r.column == c.name] for c in protocol.columns}
    strata: dict[str, Callable[[PlateRecord], str] | None] = {
        "images": None, "columns": lambda r: r.column, "provinces": lambda r: r.province or "",
    }  # fmt: skip
    rows = []
    for name, (label, measure) in measures_of(protocol).items():
        cells = {column: share_of(name, members, measure) for column, members in columns.items()}
        cells[OVERALL] = share_of(name, whole, measure, strata[protocol.mean])
        measured = {column: cell for column, cell in cells.items() if cell is not None}
        if measured:
            rows.append(FigureRow(name, label, measured))
    return (*rows, *_confidence_rows(protocol, columns | {OVERALL: whole}))


def _confidence_rows(protocol: Protocol, columns: Mapping[str, Sequence[PlateRecord]]) -> list[FigureRow]:
    """Calibration and coverage of the readings, overall over all plates, whatever the mean of the protocol."""
    sources: dict[str, tuple[str, Callable[[PlateRecord], Reading | None], Measure]] = {
        "read": (
            CROP_LABELS[protocol.recognition.crop],
            lambda r: reading_of(protocol, r),
            lambda r: is_right(protocol, r),
        ),
        "given": ("true corners", lambda r: r.on_true_corners, _compared("all", lambda r: r.on_true_corners, None)),
    }
    rows = []
    for name, (label, get, measure) in sources.items():
        ece, coverage = {}, {}
        for column, members in columns.items():
            pairs = [(reading.score, bool(measure(r))) for r in members if (reading := get(r)) is not None]
            scores, right = [score for score, _ in pairs], [hit for _, hit in pairs]
            error, kept = expected_calibration_error(scores, right), coverage_at_precision(scores, right, 0.99)
            if error is not None and kept is not None:
                ece[column] = Figure(f"{name}_ece", error, len(pairs))
                coverage[column] = Figure(f"{name}_coverage", kept, len(pairs))
        if ece:
            rows.append(FigureRow(f"{name}_ece", f"{label}: calibration error (ECE)", ece))
            rows.append(FigureRow(f"{name}_coverage", f"{label}: coverage at 99 % precision", coverage))
    return rows
