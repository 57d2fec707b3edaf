"""An evaluation's report as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import NamedTuple

from rich.console import Console

from alpr.detection.metrics import RECALL_IOUS
from alpr.evaluation.figures import READ
from alpr.evaluation.intervals import NAMED
from alpr.evaluation.outcomes import EvaluationReport, Slice
from alpr.evaluation.tables import Grid, as_text
from alpr.recognition.metrics import Confusion, RecognitionScores


class Source(NamedTuple):
    """One of the sources of crops that stand side by side; without scores it says why."""

    title: str
    scores: RecognitionScores | None
    why: str


_TITLES = {
    "on_crops": "ready-made crops",
    "on_true_corners": "true corners",
    "end_to_end": "detector, all plates",
    "on_predicted_corners": "detector, found plates",
    "on_box": "upright box",
}


def sources_of(report: EvaluationReport) -> tuple[Source, ...]:
    """The sources of crops in the order of the columns; ready-made crops only where there are some."""
    named = [(_TITLES[name], getattr(report, name), report.unavailable.get(name, "")) for name in READ]
    return tuple(Source(*source) for source in named if source[1] is not None or source[2])


def print_report(report: EvaluationReport, console: Console) -> None:
    """Prints the headline figures, the detector's and the recogniser's scores, the slices and the errors."""
    stopped = "" if report.complete else ", stopped early"
    title = f"{report.images} images, {len(report.plates)} plates, {report.seconds:.1f} s{stopped}"
    grids = [Grid(title), figure_grid(report)]
    if report.detection is not None:
        grids.append(detection_grid(report))
    if any(source.scores is not None for source in sources_of(report)):
        grids.append(recognition_grid(report))
    grids += slice_grids(report)
    if report.errors:
        told = [f"  {error.error}" for error in report.errors[:10]]
        if len(report.errors) > len(told):
            told.append(f"  and {len(report.errors) - len(told)} more, listed in the report file.")
        grids.append(Grid(f"{len(report.errors)} could not be evaluated:", notes=tuple(told)))
    console.print(as_text(grids), markup=False, highlight=False, soft_wrap=True)


def figure_label(name: str) -> str:
    for iou in RECALL_IOUS:
        name = name.replace(f"_{round(100 * iou)}", f" at IoU {iou}")
    return name.replace("_", " ")


def figure_grid(report: EvaluationReport, prefixes: bool = False) -> Grid:
    """The headline figures, with those of corrected labels beside them.

    Args:
        prefixes: those without the first two characters too, which stand beside each other in the table of recognition.
    """
    audited = {} if report.audit is None else {f.name: f for f in report.audit.figures}
    rows = []
    for f in report.figures:
        if prefixes or not f.name.endswith("_without_prefix"):
            beside = audited.get(f.name)
            said = "-" if beside is None else f"{100 * beside.value:.2f} % of {beside.plates}"
            rows.append((figure_label(f.name), f"{100 * f.value:.2f} %", f.interval, str(f.plates), said))
    header = ("figure", "share", "95 % interval", "plates", "with audited labels")
    kept = len(header) if audited else len(header) - 1
    return Grid("Figures", header[:kept], tuple(row[:kept] for row in rows), (NAMED, *_remarks(report)))


def _remarks(report: EvaluationReport) -> list[str]:
    said = []
    if report.replaced:
        pairs = ", ".join(f"{old} as {new}" for old, new in report.replaced.items())
        said.append(f"In labels and readings alike: {pairs}.")
    if report.audit is not None:
        said += [f"Audited: {correction}" for correction in report.audit.applied]
        said += [f"Names no plate here: {correction}" for correction in report.audit.unused]
    return said


def detection_grid(report: EvaluationReport) -> Grid:
    """The detector's scores."""
    scores = {} if report.detection is None else asdict(report.detection)
    cells = {name: f"{v:.4f}" if isinstance(v, float) else str(v) for name, v in scores.items() if v is not None}
    return Grid("Detection", ("score", "value"), tuple((name.replace("_", " "), cell) for name, cell in cells.items()))


RECOGNITION_ROWS: Mapping[str, str] = {
    "plates": "plates",
    "accuracy": "all characters",
    "accuracy_without_first": "without the first (province)",
    "accuracy_without_prefix": "without the first two",
    "macro_accuracy": "mean over provinces",
    "character_accuracy": "characters",
    "cer": "character error rate",
    "calibration_error": "calibration error (ECE)",
    "aurc": "area under risk-coverage",
    "coverage_at_99": "coverage at 99 % precision",
    "country_accuracy": "country",
    "kind_accuracy": "kind of plate",
}
"""The rows of the table of recognition, by their field."""
LABEL_ROWS = ("country_accuracy", "kind_accuracy")
"""Those that are left out where nothing was labelled, or nothing was said."""


def recognition_grid(report: EvaluationReport) -> Grid:
    """Recognition by source of the crops; a note says why a source has no scores."""
    scored = [(source.title, source.scores) for source in sources_of(report) if source.scores is not None]
    rows = []
    for field, label in RECOGNITION_ROWS.items():
        values = [getattr(scores, field) for _, scores in scored]
        if field in LABEL_ROWS and all(value is None for value in values):
            continue
        cells = ("-" if v is None else str(v) if isinstance(v, int) else f"{100 * v:.2f} %" for v in values)
        rows.append((label, *cells))
    without = tuple(f"Not from {s.title}: {s.why}." for s in sources_of(report) if s.scores is None)
    header = ("", *(title for title, _ in scored))
    return Grid("Recognition, by source of the crops", header, tuple(rows), (*without, *_confusions(report)))


def _confusions(report: EvaluationReport) -> tuple[str, ...]:
    scores = next((source.scores for source in sources_of(report) if source.scores is not None), None)
    if scores is None or not scores.confusions:
        return ()
    parts = [
        f"{c.true or 'nothing'} as {c.read or 'nothing'} {c.count}{' (alike)' * alike(c, report.confusable)}"
        for c in scores.confusions[:12]
    ]
    return (f"Read: {', '.join(parts)}", *counted_alike(scores, report.confusable))


def alike(confusion: Confusion, groups: Sequence[str]) -> bool:
    """Whether the two symbols look alike: whether they are in one of the country's groups."""
    true, read = confusion.true, confusion.read
    return bool(true and read) and any(true in group and read in group for group in groups)


def counted_alike(scores: RecognitionScores, groups: Sequence[str]) -> tuple[str, ...]:
    """How many of the mistakes are among symbols that look alike; nothing where no groups are known."""
    if not groups:
        return ()
    among = sum(c.count for c in scores.confusions if alike(c, groups))
    whole = sum(c.count for c in scores.confusions)
    return (f"Among symbols that look alike, by the country's pack: {among} of {whole} wrong characters.",)


SLICED = {
    "found_50": "found at 0.5",
    "found_70": "found at 0.7",
    "found_90": "found at 0.9",
    "corner_error_median": "corner error, median",
    "corner_error_p95": "corner error, 95th",
    "read_on_crops": "read on crops",
    "read_on_true_corners": "read on true corners",
    "end_to_end_50": "end to end",
    "read_on_box": "read on box",
}
"""The figures of a slice that are printed, with their headings."""


def slice_grids(report: EvaluationReport) -> list[Grid]:
    """A table for each property, of its values."""
    names = [name for name in SLICED if any(name in s.figures for s in report.slices)]
    return [_slice_grid(by, list(of), names) for by, of in groupby(report.slices, key=lambda s: s.by)]


def _slice_grid(by: str, slices: list[Slice], names: list[str]) -> Grid:
    rows = [
        (s.value, str(s.plates), *(f"{100 * s.figures[n]:.1f}" if n in s.figures else "-" for n in names))
        for s in slices
    ]
    note = "Per cent; the corner error of the plate's height." if any("corner" in n for n in names) else "Per cent."
    return Grid(f"By {by}", (by, "plates", *(SLICED[n] for n in names)), tuple(rows), (note,))
