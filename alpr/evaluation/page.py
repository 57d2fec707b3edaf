"""The pages of an evaluation and of a protocol's report: their tables, calibration, confusions, and missed plates.

A page holds photographs of plates: it belongs into the run's folder, not into a repository.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alpr.data.manifest import Manifest
from alpr.evaluation.figures import overall_of
from alpr.evaluation.gallery import Gallery, Miss, plate_crop
from alpr.evaluation.outcomes import EvaluationReport, PlateRecord
from alpr.evaluation.protocols.grids import grids_of
from alpr.evaluation.protocols.matching import reading_of
from alpr.evaluation.protocols.misses import MEANINGS, Cause, cause_of
from alpr.evaluation.protocols.report import ProtocolReport
from alpr.evaluation.report_grids import (
    alike,
    counted_alike,
    detection_grid,
    figure_grid,
    recognition_grid,
    slice_grids,
    sources_of,
)
from alpr.evaluation.tables import Grid, figure_columns
from alpr.images.prepare import UnreadableImage, read_image
from alpr.plates.records import Reading
from alpr.recognition.metrics import RecognitionScores, align
from alpr.reports.charts import Line, line_chart, matrix_chart
from alpr.reports.html import (
    Html,
    Page,
    Picture,
    lines,
    marked,
    paragraph,
    picture_sheet,
    side_by_side,
    subheading,
    table,
)

CONFUSED = 24
"""The most characters in the picture of the confusion matrix."""
MOST_NAMED = 100
"""The most wrong readings on a page without pictures."""


def evaluation_page(report: EvaluationReport, gallery: Gallery | None) -> Page:
    """The page of an evaluation with the plates that its gallery kept; without one, with their names alone."""
    name = report.model.get("name", "the model")
    stopped = "" if report.complete else " Stopped early."
    page = Page(f"Evaluation of {name}", f"{report.images:,} images, {len(report.plates):,} plates.{stopped}")
    page.add("Figures", *_grid(figure_grid(report, prefixes=True)))
    if report.detection is not None:
        page.add("Detection", *_grid(detection_grid(report)), *_precision(report))
    scored = [(s.title, s.scores) for s in sources_of(report) if s.scores is not None]
    if scored:
        page.add("Reading, by source of the crops", *_grid(recognition_grid(report)))
        page.add("How sure", *(part for title, scores in scored for part in _confidence(title, scores)))
        page.add("Confusions", *_confusions(*scored[0], report.confusable))
    if report.slices:
        page.add("Slices", *(part for grid in slice_grids(report) for part in (subheading(grid.title), *_grid(grid))))
    if gallery is None:
        page.add("Wrong readings", *_named(report))
    else:
        wrong = "Sorted by confidence: the surest first. The label, then what was read; what differs is marked."
        page.add("Wrong readings", wrong, _sheet(gallery.read_wrong))
        page.add("Right but unsure", "The least sure first.", _sheet(gallery.unsure))
        if gallery.not_found:
            page.add("Not found", _sheet(gallery.not_found))
    return _signed(page, report.model, report.manifests)  # a bundle may hold this page: no settings, no paths


def protocol_page(report: ProtocolReport, manifest: Manifest, shown: int = 40) -> Page:
    """The page of a protocol's report.

    Args:
        manifest: the labels, which say where the crops are cut.
        shown: the most missed plates of each cause.
    """
    name = report.model.get("name", "predictions")
    page = Page(f"{report.protocol.name}: {name}", f"{report.protocol.title}. {report.overall.plates:,} plates.")
    for grid in grids_of(report):
        page.add(grid.title, *_grid(grid))
    page.add("Missed plates", *_missed(report, manifest, shown))
    return _signed(page, report.model, report.manifests, report.made_with)


def _signed(page: Page, *sources: Mapping[str, Any]) -> Page:
    rows = [(key, str(value)) for source in sources for key, value in source.items()]
    if rows:
        page.add("Made with", table(["", ""], rows))
    return page


def _grid(grid: Grid) -> list[Html]:
    right = [c for c, figures in enumerate(figure_columns(grid)) if figures]
    parts = [table(grid.header, grid.rows, right=right)] if grid.header else []
    return parts + [paragraph(note) for note in grid.notes]


def _precision(report: EvaluationReport) -> list[Html]:
    """Precision against recall, where plates and detections have scores; the area below a line is its AP."""
    if not report.curves:
        return []
    lines_of = {
        f"IoU {curve.iou}, AP {100 * curve.average:.1f} %": Line(
            [i / (len(curve.precision) - 1) for i in range(len(curve.precision))], curve.precision
        )
        for curve in report.curves
    }
    return [line_chart(lines_of, title="Precision against recall, hulls of the corners", x_label="recall")]


def _confidence(title: str, scores: RecognitionScores) -> list[Html]:
    bins, curve = scores.reliability, scores.risk_coverage
    reliable = line_chart(
        {
            "readings": Line([b.mean_score for b in bins], [b.accuracy for b in bins]),
            "as sure as right": Line([0, 1], [0, 1]),
        },
        title=f"Reliability, {title}",
        x_label="mean score",
    )
    risk = line_chart(
        {"wrong": Line([p.coverage for p in curve], [p.risk for p in curve])},
        title=f"Risk and coverage, {title}",
        x_label="share of the readings kept",
    )
    header = ["score", "readings", "mean score", "right"]
    rows = [(f"{b.low:.1f} to {b.high:.1f}", b.readings, f"{b.mean_score:.3f}", f"{b.accuracy:.3f}") for b in bins]
    return [side_by_side(reliable, risk), table(header, rows, caption=title, right=(2, 3))]


def _confusions(title: str, scores: RecognitionScores, groups: Sequence[str]) -> list[Html]:
    if not scores.confusions:
        return [paragraph(f"None ({title}).")]
    weight: dict[str, int] = {}
    for c in scores.confusions:
        for character in (c.true, c.read):
            weight[character] = weight.get(character, 0) + c.count
    shown = sorted(sorted(weight, key=lambda c: -weight[c])[:CONFUSED])
    counts = {(c.true, c.read): c.count for c in scores.confusions}
    counts |= {(c.character, c.character): round(c.count * c.accuracy) for c in scores.by_character}
    grid = [[counts.get((true, read), 0) for read in shown] for true in shown]
    names = [character or "gap" for character in shown]
    picture = matrix_chart(names, names, grid, title=f"True (rows) and read (columns), {title}", x_label="read")
    rows = [
        (c.true or "gap", c.read or "gap", c.count, "yes" if alike(c, groups) else "") for c in scores.confusions[:20]
    ]
    header = ["true", "read", "times", "look alike"]
    shown_columns = len(header) if groups else len(header) - 1
    listed = table(header[:shown_columns], [row[:shown_columns] for row in rows])
    return [*map(paragraph, counted_alike(scores, groups)), side_by_side(picture, listed)]


def _named(report: EvaluationReport) -> list[Html]:
    """The wrong readings by image, the surest first, as `Gallery` chooses a plate's reading."""
    rows = []
    for plate in report.plates:
        reading = plate.on_predicted_corners or plate.on_crop or plate.on_true_corners or plate.on_box
        if plate.text and reading is not None and reading.text != plate.text:
            rows.append((reading.score, [plate.image, plate.text, reading.text or "nothing", f"{reading.score:.3f}"]))
    if not rows:
        return [paragraph("None.")]
    rows.sort(key=lambda row: -row[0])
    note = [paragraph(f"The surest {MOST_NAMED} of {len(rows)}.")] if len(rows) > MOST_NAMED else []
    return [*note, table(["image", "label", "read", "score"], [cells for _, cells in rows[:MOST_NAMED]], right=[3])]


def _missed(report: ProtocolReport, manifest: Manifest, shown: int) -> list[Html]:
    misses: dict[Cause, list[PlateRecord]] = {}
    for record in overall_of(report.protocol, report.plates):
        cause = cause_of(record, report.protocol)
        if cause is not None:
            misses.setdefault(cause, []).append(record)
    if not misses:
        return [paragraph("None.")]
    surest = {cause: _surest(report, of_cause)[:shown] for cause, of_cause in misses.items()}
    wanted = {report.root / record.image for of_cause in surest.values() for record in of_cause}
    rows = [row for row in range(manifest.rows) if manifest.path(row).absolute() in wanted]
    scenes = {scene.image.absolute(): scene for scene in manifest.take(rows).scenes()}
    parts: list[Html] = [
        paragraph("By cause, the surest first: the label, then what was read; what differs is marked.")
    ]
    for cause in (c for c in Cause if c in misses):
        pictures, lost = [], 0
        for record in surest[cause]:
            scene = scenes[report.root / record.image]
            try:
                image = read_image(scene.image)
            except UnreadableImage:
                lost += 1
                continue
            reading, crop = reading_of(report.protocol, record), plate_crop(image, scene.plates[record.index])
            pictures.append(_picture(Miss.of(crop, record, reading), *_facts(record)))
        parts += [subheading(f"{cause.value}: {len(misses[cause]):,}"), paragraph(f"{MEANINGS[cause]}.")]
        parts.append(picture_sheet(pictures, limit=shown))
        if lost:
            parts.append(paragraph(f"{lost} of these images cannot be opened here."))
    return parts


def _surest(report: ProtocolReport, records: Sequence[PlateRecord]) -> list[PlateRecord]:
    def score(record: PlateRecord) -> float:
        reading = reading_of(report.protocol, record)
        return 0.0 if reading is None else reading.score

    return sorted(records, key=lambda record: -score(record))


def _facts(record: PlateRecord) -> list[str]:
    given: Reading | None = record.on_true_corners
    iou = "" if record.iou is None else f"IoU {record.iou:.2f}"
    return [record.column, iou, "" if given is None else f"labelled corners {given.text or 'nothing'}"]


def _sheet(misses: Sequence[Miss]) -> Html:
    if not misses:
        return paragraph("None.")
    return picture_sheet(map(_picture, misses), limit=len(misses))


def _picture(miss: Miss, *facts: str) -> Picture:
    """A plate with its label and its reading; what differs is marked.

    Args:
        facts: what else is known of it.
    """
    r = miss.record
    size = "" if r.width_px is None or r.height_px is None else f"{r.width_px:.0f} x {r.height_px:.0f} px"
    audited = "" if r.audited is None else f"audited {r.audited or 'unreadable'}"
    remark = ", ".join(fact for fact in (r.country, r.province, size, *facts, audited, r.image[-60:]) if fact)
    if not miss.read:
        said = "not found" if miss.read is None else "nothing read"
        return Picture(miss.crop, lines(miss.true or "(unknown text)", said), remark)
    edits = align(miss.true or "", miss.read)
    true = marked((e.true or "\u00b7", e.true != e.read) for e in edits)
    read = marked((e.read or "\u00b7", e.true != e.read) for e in edits)
    return Picture(miss.crop, lines(true, Html(f"{read} {100 * miss.score:.1f} %")), remark)
