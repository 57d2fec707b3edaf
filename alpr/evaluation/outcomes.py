"""What an evaluation found: per-plate records, figures with intervals, slices and the report file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from alpr.data.corrections import Correction
from alpr.detection.metrics import FOUND_IOU, RECALL_IOUS, DetectionMetrics, DetectionScores
from alpr.evaluation.intervals import bootstrap
from alpr.files import write_json
from alpr.plates.records import Reading
from alpr.recognition.metrics import RecognitionMetrics, RecognitionScores, equal_beyond, has_province

WIDTHS_PX = (0, 20, 40, 80, 120, 160, 240)
HEIGHTS_PX = (0, 10, 15, 20, 30, 40, 60, 80)
TILTS_DEG = (0, 5, 10, 20, 30)
GREYS = (0, 40, 80, 120, 160, 200)
MAX_GROUPS = 40
UNKNOWN = "unknown"


@dataclass(frozen=True)
class PlateRecord:
    """One labelled plate and what became of it; None for what was not measured.

    Attributes:
        image: relative to the folder that all evaluated images share.
        index: the plate's place among its image's plates.
        folder: the image's folder, relative like `image`; CCPD's subsets are folders.
        text: the label, after the replacements that were asked for.
        audited: the corrected label, "" where the plate is unreadable; None where the label was not found wrong.
        groups: more properties of the image to slice by, such as a subset.
        width_px: the mean length of the top and bottom edges, or the width of the labelled box or ready-made crop.
        height_px: the same of the left and right edges, or the height of the box or crop.
        input_width_px: the same in the detector's input.
        brightness: the mean grey of the plate's upright hull, 0..255.
        tilt_deg: the angle of the text's direction to the horizontal, 0..180; needs labelled corners.
        hull_iou: with the detection that it is matched to; 0 where there is none.
        corner_error: mean distance of the corners / plate height, of a plate found at hull IoU 0.5.
        detection_score: of the matched detection, where found.
        on_crop: the reading of a ready-made crop.
        on_true_corners: the reading of the plate rectified by its labelled corners.
        on_predicted_corners: the reading by the detection's corners; an empty text where the plate was not found.
        on_box: the reading of the upright hull of the labelled corners, or of the labelled box.
    """

    image: str
    index: int
    folder: str
    text: str | None = None
    audited: str | None = None
    split: str | None = None
    country: str | None = None
    kind: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    width_px: float | None = None
    height_px: float | None = None
    input_width_px: float | None = None
    brightness: float | None = None
    tilt_deg: float | None = None
    hull_iou: float | None = None
    polygon_iou: float | None = None
    corner_error: float | None = None
    detection_score: float | None = None
    on_crop: Reading | None = None
    on_true_corners: Reading | None = None
    on_predicted_corners: Reading | None = None
    on_box: Reading | None = None

    @property
    def province(self) -> str | None:
        """The first character of a text that begins with a province sign."""
        return self.text[0] if self.text and has_province(self.text) else None

    @property
    def cluster(self) -> str:
        """What is resampled together: all photographs of one plate; a plate of unknown text stands for itself."""
        return self.text if self.text else f"{self.image}\n{self.index}"


@dataclass(frozen=True)
class Figure:
    """A share of plates with its bootstrap 95 % interval, clustered by plate text."""

    name: str
    value: float
    plates: int
    low: float
    high: float


@dataclass(frozen=True)
class Slice:
    """The figures of the plates for which `by` is `value`, e.g. split = val.

    Those of `DetectionScores` that need whole images (AP, false positives) are there for a property of images: the
    split, the folder and the groups.
    """

    by: str
    value: str
    plates: int
    figures: Mapping[str, float]


@dataclass(frozen=True)
class ImageError:
    """An image or plate that could not be evaluated, and why."""

    image: str
    error: str


@dataclass(frozen=True)
class Audit:
    """The figures with corrected labels.

    Attributes:
        applied: the corrections that name an evaluated plate.
        unused: those that name none.
        figures: as `EvaluationReport.figures`; plates that are unreadable are not counted as read.
    """

    applied: tuple[Correction, ...]
    unused: tuple[Correction, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class EvaluationReport:
    """Everything an evaluation found.

    Attributes:
        model: what was evaluated, by name and checksum.
        manifests: SHA-256 by manifest name.
        made_with: the commit, the device and the versions, where the caller says.
        complete: False when the evaluation was stopped before its last image.
        images: images that were evaluated; those in `errors` are not among them.
        on_predicted_corners, end_to_end: by the detector's corners, of the plates found at hull IoU 0.5, and of all,
            where a plate that was not found has read nothing.
        unavailable: why a source of crops has no scores, by the name of its field.
        audit: the figures with corrected labels, where corrections were given.
        replaced: the characters that were replaced in labels and readings before they were compared.
        false_positives: detections that found no plate, per image that has any.
    """

    model: Mapping[str, str]
    manifests: Mapping[str, str]
    complete: bool
    images: int
    seconds: float
    errors: tuple[ImageError, ...]
    figures: tuple[Figure, ...]
    detection: DetectionScores | None
    on_crops: RecognitionScores | None
    on_true_corners: RecognitionScores | None
    on_predicted_corners: RecognitionScores | None
    on_box: RecognitionScores | None
    end_to_end: RecognitionScores | None
    slices: tuple[Slice, ...]
    plates: tuple[PlateRecord, ...]
    false_positives: Mapping[str, int] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
    audit: Audit | None = None
    replaced: Mapping[str, str] = field(default_factory=dict)
    made_with: Mapping[str, Any] = field(default_factory=dict)

    def figure(self, name: str) -> Figure | None:
        """A headline figure by name, or None where it was not measured."""
        return next((f for f in self.figures if f.name == name), None)


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


def _bin(value: float | None, edges: Sequence[int], unit: str) -> str | None:
    if value is None:
        return None
    lower = max(edge for edge in edges if edge <= max(value, edges[0]))
    upper = next((edge for edge in edges if edge > lower), None)
    return f">= {lower} {unit}" if upper is None else f"{lower}-{upper} {unit}"


SLICES: Mapping[str, Callable[[PlateRecord], str | None]] = {
    "split": lambda r: r.split,
    "country": lambda r: r.country,
    "folder": lambda r: r.folder,
    "province": lambda r: r.province,
    "plate width": lambda r: _bin(r.width_px, WIDTHS_PX, "px"),
    "plate height": lambda r: _bin(r.height_px, HEIGHTS_PX, "px"),
    "brightness": lambda r: _bin(r.brightness, GREYS, "grey"),
    "tilt": lambda r: _bin(r.tilt_deg, TILTS_DEG, "deg"),
    "text length": lambda r: f"{len(r.text)} characters" if r.text else None,
}


def _group(name: str) -> Callable[[PlateRecord], str | None]:
    return lambda record: record.groups.get(name)


def slices_of(
    records: Sequence[PlateRecord], by_image: Mapping[tuple[str, str], DetectionMetrics] | None = None
) -> tuple[Slice, ...]:
    """The figures by slice; a property of one value, or of more than 40, is left out.

    Args:
        by_image: the detection of the images for which a property has a value, by (property, value).
    """
    whole = by_image or {}
    slices = []
    keys = dict(SLICES)
    for name in sorted({name for record in records for name in record.groups} | {by for by, _ in whole} - set(keys)):
        keys[name] = _group(name)
    for by, key in keys.items():
        groups: dict[str, list[PlateRecord]] = {value: [] for name, value in whole if name == by}
        for record in records:
            value = key(record)
            groups.setdefault(UNKNOWN if value is None else value, []).append(record)
        if 1 < len(groups) <= MAX_GROUPS:
            for value, members in sorted(groups.items(), key=_natural):
                figures = _shares(members) | _image_figures(whole.get((by, value)))
                slices.append(Slice(by, value, len(members), figures))
    return tuple(slices)


def _image_figures(metrics: DetectionMetrics | None) -> dict[str, float]:
    if metrics is None:
        return {}
    return {name: value for name, value in asdict(metrics.compute()).items() if isinstance(value, float)}


def _natural(item: tuple[str, list[PlateRecord]]) -> tuple[bool, int, str]:
    digits = item[0].lstrip("> =").split("-")[0].split(" ")[0]
    return (item[0] == UNKNOWN, int(digits) if digits.isdecimal() else 0, item[0])


def _shares(records: Iterable[PlateRecord]) -> dict[str, float]:
    listed = list(records)
    shares = {}
    for name, measure in MEASURES.items():
        values = [v for r in listed if (v := measure(r)) is not None]
        if values:
            shares[name] = sum(values) / len(values)
    errors = [r.corner_error for r in listed if r.corner_error is not None]
    overlaps = [r.polygon_iou for r in listed if r.polygon_iou is not None]
    if errors:
        shares["corner_error_median"] = float(np.median(errors))
        shares["corner_error_p95"] = float(np.percentile(errors, 95))
        shares["polygon_iou"] = float(np.mean(overlaps))
    return shares


def record_of(plate: Mapping[str, Any]) -> PlateRecord:
    """A plate of a report file that was read.

    Raises:
        TypeError: an entry of another form.
    """
    readings = {
        key: None if value is None else Reading(value["text"], value["score"], tuple(value["characters"]))
        for key, value in plate.items()
        if key.startswith("on_")
    }
    return PlateRecord(**{**plate, **readings})


def write_report(report: EvaluationReport, path: Path) -> None:
    """Writes a report as JSON, whole or not at all.

    Raises:
        NotWritten: the file cannot be written; what stood there before is unchanged.
    """
    write_json(path, asdict(report))
