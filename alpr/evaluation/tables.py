"""An evaluation's report as tables in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from alpr.detection.metrics import RECALL_IOUS
from alpr.evaluation.figures import READ
from alpr.evaluation.outcomes import EvaluationReport
from alpr.recognition.metrics import RecognitionScores


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
    console.print(_headline(report))
    if report.detection is not None:
        console.print(_scores("Detection", {"": asdict(report.detection)}))
    if any(source.scores is not None for source in sources_of(report)):
        console.print(_recognition(report))
        _print_confusions(report, console)
    if report.replaced:
        pairs = ", ".join(f"{old} as {new}" for old, new in report.replaced.items())
        console.print(f"In labels and readings alike: {pairs}.", markup=False, highlight=False)
    if report.audit is not None:
        _print_audit(report, console)
    if report.slices:
        console.print(_slice_table(report))
    if report.errors:
        console.print(f"{len(report.errors)} could not be evaluated:")
        for error in report.errors[:10]:
            console.print(f"  {error.error}", markup=False)
        if len(report.errors) > 10:
            console.print(f"  and {len(report.errors) - 10} more, listed in the report file.")


def figure_label(name: str) -> str:
    for iou in RECALL_IOUS:
        name = name.replace(f"_{round(100 * iou)}", f" at IoU {iou}")
    return name.replace("_", " ")


def _headline(report: EvaluationReport) -> Table:
    stopped = "" if report.complete else ", stopped early"
    title = f"{report.images} images, {len(report.plates)} plates, {report.seconds:.1f} s{stopped}"
    audited = {} if report.audit is None else {f.name: f for f in report.audit.figures}
    table = Table("figure", "value", "95 % interval", "plates", *(["audited"] if audited else []), title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for f in (
        f for f in report.figures if not f.name.endswith("_without_prefix")
    ):  # these stand beside each other below
        interval = f"{100 * f.low:.1f} - {100 * f.high:.1f}"
        row = [figure_label(f.name), f"{100 * f.value:.2f} %", interval, str(f.plates)]
        beside = audited.get(f.name)
        if audited:
            row.append("-" if beside is None else f"{100 * beside.value:.2f} % of {beside.plates}")
        table.add_row(*row)
    return table


def _scores(title: str, columns: Mapping[str, Mapping[str, object]]) -> Table:
    table = Table("", *columns, title=title)
    names = [name for name, value in next(iter(columns.values())).items() if not isinstance(value, tuple | list)]
    for name in names:
        values = [scores[name] for scores in columns.values()]
        if any(value is not None for value in values):
            cells = [f"{v:.4f}" if isinstance(v, float) else "-" if v is None else str(v) for v in values]
            table.add_row(name.replace("_", " "), *cells)
    return table


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


def recognition_cells(report: EvaluationReport) -> list[list[str]]:
    """The rows of the table of recognition; a source without scores says why in its first cell."""
    rows = []
    scored = [source.scores for source in sources_of(report) if source.scores is not None]
    for i, (field, label) in enumerate(RECOGNITION_ROWS.items()):
        if field in LABEL_ROWS and all(getattr(scores, field) is None for scores in scored):
            continue
        row = [label]
        for source in sources_of(report):
            value = None if source.scores is None else getattr(source.scores, field)
            said = source.why if i == 0 and source.scores is None else "-"
            row.append(said if value is None else str(value) if isinstance(value, int) else f"{100 * value:.2f} %")
        rows.append(row)
    return rows


def _recognition(report: EvaluationReport) -> Table:
    table = Table("", *(source.title for source in sources_of(report)), title="Recognition, by source of the crops")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in recognition_cells(report):
        table.add_row(*row)
    return table


def _print_confusions(report: EvaluationReport, console: Console) -> None:
    scores = next(source.scores for source in sources_of(report) if source.scores is not None)
    parts = [f"{c.true or 'nothing'} as {c.read or 'nothing'} {c.count}" for c in scores.confusions[:12]]
    if parts:
        console.print("Read: " + ", ".join(parts), markup=False, highlight=False)


def _print_audit(report: EvaluationReport, console: Console) -> None:
    assert report.audit is not None
    for title, corrections in (("Audited", report.audit.applied), ("Names no plate here", report.audit.unused)):
        for correction in corrections:
            console.print(f"{title}: {correction}", markup=False, highlight=False)


def _slice_table(report: EvaluationReport) -> Table:
    found, read = (
        ("found_50", "found_70", "found_90"),
        ("read_on_crops", "read_on_true_corners", "end_to_end_50", "read_on_box"),
    )
    wanted = (*found, "corner_error_median", "corner_error_p95", *read)
    names = [n for n in wanted if any(n in s.figures for s in report.slices)]
    table = Table(
        "slice", "value", "plates", *map(figure_label, names), title="By slice, % (corner error: % of the height)"
    )
    table.columns[0].overflow = "fold"
    for column in table.columns[2:]:
        column.justify = "right"
    for i, s in enumerate(report.slices):
        ends = i + 1 == len(report.slices) or report.slices[i + 1].by != s.by
        cells = [f"{100 * s.figures[n]:.1f}" if n in s.figures else "-" for n in names]
        table.add_row(s.by, s.value, str(s.plates), *cells, end_section=ends)
    return table
