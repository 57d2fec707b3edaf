"""What an evaluation found: a record of every plate, and the report with its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from alpr.data.corrections import Correction
from alpr.detection.metrics import DetectionScores, PrecisionCurve
from alpr.files import write_json
from alpr.plates.records import Reading
from alpr.plates.values import read_as
from alpr.recognition.metrics import RecognitionScores, has_province


@dataclass(frozen=True)
class PlateRecord:
    """One labelled plate and what became of it; None for what was not measured.

    Attributes:
        image: relative to the folder that all evaluated images share.
        index: the plate's place among its image's plates.
        folder: the image's folder, relative like `image`; CCPD's subsets are folders.
        text: the label, after the replacements that were asked for; None where it is not known.
        audited: the corrected label, "" where the plate is unreadable; None where the label was not found wrong.
        groups: more properties of the image to slice by, such as a subset.
        width_px: the mean length of the top and bottom edges, or the width of the labelled box or ready-made crop.
        height_px: the same of the left and right edges, or the height of the box or crop.
        input_width_px: the same in the detector's input.
        brightness: the mean grey of the plate's upright hull, 0..255.
        tilt_deg: the angle of the text's direction to the horizontal, 0..180; needs labelled corners.
        iou: with the detection that counts for it, in the boxes of the protocol; 0 where there is none. Without a
            protocol, and in report.json, that of the hulls.
        polygon_iou: of the quads, where a plate with labelled corners is found at IoU 0.5.
        corner_error: mean distance of the corners / plate height, likewise.
        detection_score: of the matched detection, where found at IoU 0.5.
        on_crop: the reading of a ready-made crop.
        on_true_corners: the reading of the plate rectified by its labelled corners.
        on_predicted_corners: the reading by the detection's corners; an empty text where the plate was not found.
        on_box: the reading of the upright hull of the labelled corners, or of the labelled box.
        column: of the protocol; "" without one.
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
    iou: float | None = None
    polygon_iou: float | None = None
    corner_error: float | None = None
    detection_score: float | None = None
    on_crop: Reading | None = None
    on_true_corners: Reading | None = None
    on_predicted_corners: Reading | None = None
    on_box: Reading | None = None
    column: str = ""

    @property
    def province(self) -> str | None:
        """The first character of a text that begins with a province sign."""
        return self.text[0] if self.text and has_province(self.text) else None

    @property
    def cluster(self) -> str:
        """What is resampled together: all photographs of one plate; a plate of unknown text stands for itself."""
        return self.text if self.text else f"{self.image}\n{self.index}"

    @property
    def place(self) -> tuple[str, int]:
        """The same for every copy of a photograph."""
        return PurePosixPath(self.image).name, self.index


@dataclass(frozen=True)
class Figure:
    """A share of plates, or another figure of them.

    Attributes:
        plates: that count for it.
        low, high: the 95 % interval (`share_interval`); None for what is no share.
        effective: the number of independent plates that would give that interval.
    """

    name: str
    value: float
    plates: int
    low: float | None = None
    high: float | None = None
    effective: float | None = None

    @property
    def interval(self) -> str:
        """In per cent, such as "83.3 to 98.5"; "" where there is none."""
        return "" if self.low is None or self.high is None else f"{100 * self.low:.1f} to {100 * self.high:.1f}"


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
        confusable: groups of symbols that look alike, as the reader's country names them.
        false_positives: detections that found no plate, per image that has any.
        curves: precision against recall of what was found.
        ms: the median milliseconds of an image by stage: decode, detect, read; of those stages that were timed.
            Two reports are equal whatever their times.
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
    confusable: tuple[str, ...] = ()
    made_with: Mapping[str, Any] = field(default_factory=dict)
    curves: tuple[PrecisionCurve, ...] = ()
    ms: Mapping[str, float] = field(default_factory=dict, compare=False)

    def figure(self, name: str) -> Figure | None:
        """A headline figure by name, or None where it was not measured."""
        return next((f for f in self.figures if f.name == name), None)


def records_in(plates: Sequence[Any]) -> list[PlateRecord]:
    """The plates of a report file that was read.

    Raises:
        Fault: an entry of another form, with its place in the file.
    """
    return [read_as(PlateRecord, _iou_named(plate), ("plates", i)) for i, plate in enumerate(plates)]


def _iou_named(plate: Any) -> Any:
    """A plate with `iou` for the file's `hull_iou`."""
    if not isinstance(plate, Mapping) or "hull_iou" not in plate:
        return plate
    return {"iou" if key == "hull_iou" else key: value for key, value in plate.items()}


def _values_of(plate: PlateRecord) -> dict[str, Any]:
    unseen = ("slots", "countries", "boxes")
    values = asdict(plate, dict_factory=lambda items: {key: value for key, value in items if key not in unseen})
    return {"hull_iou" if key == "iou" else key: value for key, value in values.items()}


def without_slots(readings: Sequence[Reading]) -> list[Reading]:
    """Readings without what no evaluation looks at: 100,000 of them stand in memory."""
    return [replace(reading, slots=None, countries={}) for reading in readings]


def write_report(report: EvaluationReport, path: Path) -> None:
    """Writes a report as JSON, whole or not at all.

    Raises:
        NotWritten: the file cannot be written; what stood there before is unchanged.
    """
    write_json(path, asdict(replace(report, plates=())) | {"plates": [_values_of(plate) for plate in report.plates]})
