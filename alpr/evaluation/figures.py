"""The headline figures of plates: which outcomes count as a success, and how sure the share is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from alpr.data.corrections import Correction
from alpr.detection.metrics import FOUND_IOU, RECALL_IOUS
from alpr.evaluation.intervals import bootstrap
from alpr.evaluation.outcomes import Audit, Figure, PlateRecord
from alpr.plates.records import Reading
from alpr.recognition.metrics import RecognitionMetrics, RecognitionScores, equal_beyond, has_province

Measure = Callable[[PlateRecord], "bool | None"]


def _found(iou: float) -> Measure:
    return lambda r: None if r.hull_iou is None else r.hull_iou > iou


def _read(get: Callable[[PlateRecord], Reading | None], found_iou: float | None, skipped: int) -> Measure:
    """Whether a reading is right. `found_iou`: None asks no detection; else the plate must be found above it."""

    def measure(record: PlateRecord) -> bool | None:
        reading = get(record)
        if reading is None or not record.text or (skipped and not has_province(record.text)):
            return None
        right = equal_beyond(record.text, reading.text, skipped)
        return right and (found_iou is None or (record.hull_iou or 0.0) > found_iou)

    return measure


def _of_found(measure: Measure) -> Measure:
    return lambda r: measure(r) if (r.hull_iou or 0.0) > 0.5 else None


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


def figures_of(records: Sequence[PlateRecord], seed: int = 0) -> tuple[Figure, ...]:
    """The headline figures of plates, with intervals; those that no plate counts for are left out."""
    figures = []
    for name, measure in MEASURES.items():
        measured = [(value, r.cluster) for r in records if (value := measure(r)) is not None]
        if measured:
            values, clusters = zip(*measured, strict=True)
            low, high = bootstrap(values, clusters, seed)
            figures.append(Figure(name, sum(values) / len(values), len(values), low, high))
    return tuple(figures)


def audit_of(records: Sequence[PlateRecord], applied: Sequence[Correction], given: Sequence[Correction]) -> Audit:
    """The figures of plates with their audited texts; an unreadable plate has none."""
    audited = [r if r.audited is None else replace(r, text=r.audited or None) for r in records]
    unused = tuple(c for c in given if c not in applied)
    return Audit(tuple(c for c in given if c in applied), unused, figures_of(audited))


READ: Mapping[str, Callable[[PlateRecord], Reading | None]] = {
    "on_crops": lambda r: r.on_crop,
    "on_true_corners": lambda r: r.on_true_corners,
    "end_to_end": lambda r: r.on_predicted_corners,
    "on_predicted_corners": lambda r: r.on_predicted_corners if (r.hull_iou or 0.0) > FOUND_IOU else None,
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
