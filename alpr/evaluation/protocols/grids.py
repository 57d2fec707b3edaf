"""A protocol's report as tables. Published rows of another protocol never appear."""

from __future__ import annotations

from alpr.data.overlap import TITLES, Overlap, matrix_rows
from alpr.evaluation.intervals import NAMED
from alpr.evaluation.outcomes import Figure
from alpr.evaluation.protocols.misses import MEANINGS
from alpr.evaluation.protocols.published import OVERALL, Published, of_protocol, read_published
from alpr.evaluation.protocols.report import ProtocolReport
from alpr.evaluation.protocols.rules import RULES
from alpr.evaluation.tables import Grid

_MEASURED = {"detection": "detected", "recognition": "read"}


def grids_of(report: ProtocolReport) -> list[Grid]:
    """The tables of a report: what the parts share, the figures, the published rows, the misses and the rules."""
    return [*overlap_grids(report.overlap), *score_grids(report)]


def score_grids(report: ProtocolReport) -> list[Grid]:
    """The tables of a report without what the parts share."""
    published = read_published()
    return [
        _figures(report),
        *(grid for task in _MEASURED for grid in _beside(report, published, task)),
        _budget(report),
        _rules(report),
    ]


def overlap_grids(overlap: Overlap | None) -> list[Grid]:
    """What the parts of the data share."""
    if overlap is None:
        return [Grid("What the parts share", notes=("One part only is known; nothing can be compared.",))]
    names = tuple(part.name for part in overlap.parts)
    grids = [
        Grid(title.capitalize(), ("", *names), tuple(tuple(row) for row in matrix_rows(overlap, what)))
        for what, title in TITLES.items()
    ]
    return [Grid("What the parts share", notes=(overlap.sentence(),)), *grids]


def percent_cell(cell: Figure | None) -> str:
    """A share as a percentage with its interval."""
    if cell is None:
        return "-"
    interval = "" if cell.low is None or cell.high is None else f" ({100 * cell.low:.1f}-{100 * cell.high:.1f})"
    return f"{100 * cell.value:.2f}{interval}"


def _figures(report: ProtocolReport) -> Grid:
    shown = [c for c in report.columns if c.images]
    names = (OVERALL, *(c.name for c in shown))
    counts = ("images", f"{report.overall.images:,}", *(_count(c.images, c.whole) for c in shown))
    plates = ("plates", f"{report.overall.plates:,}", *(f"{c.plates:,}" for c in shown))
    rows = [(r.label, *(percent_cell(r.cells.get(name)) for name in names)) for r in report.figures]
    title = f"{report.protocol.name}: {report.protocol.title}"
    return Grid(title, ("per cent (95 % interval)", *names), (counts, plates, *rows), tuple(_notes(report)))


def _count(images: int, whole: int | None) -> str:
    return f"{images:,}" if whole in (None, images) else f"{images:,} of {whole:,}"


def _notes(report: ProtocolReport) -> list[str]:
    provinces = len({r.province or "" for r in report.plates})
    means = {
        "images": "Overall is the mean over images.",
        "columns": "Overall is the mean of the columns, each counted once.",
        "provinces": f"Overall is the mean of {provinces} provinces, each counted once; ECE and coverage over images.",
    }
    notes = [f"{means[report.protocol.mean]} {NAMED}"]
    empty = [c.name for c in report.columns if not c.images]
    if empty:
        notes.append(f"Without an image here: {', '.join(empty)}.")
    if report.in_training:
        notes.append(f"Left out because a training image shows the plate: {report.in_training:,} plates.")
    if report.missing:
        n = len(report.missing)
        notes.append(f"{n:,} images have no prediction and count as nothing found; the first: {report.missing[0]}.")
    if report.failed:
        n = len(report.failed)
        notes.append(f"{n:,} images could not be read and count as nothing found; the first: {report.failed[0]}.")
    if report.unused:
        notes.append(f"{report.unused:,} predictions are of images that do not count here.")
    if report.speed is not None:
        parts = " + ".join(f"{stage} {ms:.1f}" for stage, ms in report.speed.ms.items())
        notes.append(f"{report.speed.fps:.1f} frames per second ({parts} ms, mean of {report.speed.images:,} images).")
        notes.append(f"Inside the clock: {report.speed.clock}")
    return notes + list(report.remarks)


def _beside(report: ProtocolReport, published: tuple[Published, ...], task: str) -> list[Grid]:
    """Our row beside the published ones; apart from them where these images are not all of the protocol's."""
    rows = of_protocol(published, report.protocol.name, task)
    ours = report.figure(_MEASURED[task])
    if not rows:
        return []
    names = (OVERALL, *(c.name for c in report.columns))
    theirs = tuple(
        (r.method, "-" if r.fps is None else f"{r.fps:g}", *(_plain(r.values.get(n)) for n in names), r.source)
        for r in rows
    )
    header = ("method", "fps", *names, "source")
    hardware = "Frames per second are each author's own, on other hardware."
    if ours is None or not report.whole:
        why = "These images are not all of the protocol's, so our figures do not stand beside them."
        return [Grid(f"Published under {report.protocol.name}, {task}", header, theirs, (why, hardware))]
    fps = "-" if report.speed is None else f"{report.speed.fps:.1f}"
    shares = ["-" if n not in ours.cells else f"{100 * ours.cells[n].value:.2f}" for n in names]
    mine = (report.model.get("name", "this evaluation"), fps, *shares, "this evaluation")
    return [Grid(f"{report.protocol.name}, {task}", header, (mine, *theirs), (hardware,))]


def _plain(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"


def _budget(report: ProtocolReport) -> Grid:
    total = sum(report.budget.values())
    rows = [
        (cause.value, f"{n:,}", f"{100 * n / total:.1f} %" if total else "-", MEANINGS[cause])
        for cause, n in report.budget.items()
    ]
    rows.append(("all misses", f"{total:,}", "100 %" if total else "-", "each has one cause"))
    notes = []
    if total and report.figure("given_all") is None:
        notes.append("Without readings inside the labelled corners, corners off cannot be told from read wrong.")
    return Grid("Why plates were missed", ("cause", "plates", "share", "meaning"), tuple(rows), tuple(notes))


def _rules(report: ProtocolReport) -> Grid:
    p = report.protocol
    detection, reading = p.detection, p.recognition
    rules = {
        "columns": ", ".join(c.name for c in p.columns),
        "repeated": p.repeated,
        "plates": p.plates.replace("_", " "),
        "candidates": p.candidates,
        "ties": p.ties,
        "missing": p.missing.replace("_", " "),
        "detection": "none"
        if detection is None
        else f"IoU > {detection.iou:g} of the label's {detection.label} and the detection's {detection.detection}",
        "recognition": f"crop by {reading.crop}, {reading.characters.replace('_', ' ')}"
        + ("" if reading.iou is None else f", IoU > {reading.iou:g}"),
        "mean": p.mean,
    }
    rows = tuple((key, rules[key], p.sources[key]) for key in RULES)
    return Grid("The rules", ("rule", "value", "source"), rows)
