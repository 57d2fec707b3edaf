"""An evaluation as a page: the figures by source of the crops, calibration, confusions, and the worst readings.

The page holds photographs of plates: it belongs into the run's folder, not into a repository.
"""

from __future__ import annotations

from collections.abc import Sequence

from alpr.evaluation.gallery import Gallery, Miss
from alpr.evaluation.outcomes import EvaluationReport
from alpr.evaluation.tables import figure_label, recognition_cells, sources_of
from alpr.recognition.metrics import RecognitionScores, align
from alpr.reports.charts import Line, line_chart, matrix_chart
from alpr.reports.html import (
    Cell,
    Html,
    Page,
    Picture,
    lines,
    marked,
    paragraph,
    percent,
    picture_sheet,
    side_by_side,
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
    sources = sources_of(report)
    page.add("Figures", _figures(report))
    if any(source.scores is not None for source in sources):
        columns = range(1, len(sources) + 1)
        cells = table(["", *(s.title for s in sources)], recognition_cells(report), right=columns)
        page.add("Reading, by source of the crops", cells, *_remarks(report))
        page.add(
            "How sure", *(part for s in sources if s.scores is not None for part in _confidence(s.title, s.scores))
        )
        first = next((s.title, s.scores) for s in sources if s.scores is not None)
        page.add("Confusions", *_confusions(*first))
    if gallery is None:
        page.add("Wrong readings", *_named(report))
        return page
    wrong = "Sorted by confidence: the surest first. The label, then what was read; what differs is marked."
    page.add("Wrong readings", wrong, _sheet(gallery.read_wrong))
    page.add("Right but unsure", "The least sure first.", _sheet(gallery.unsure))
    if gallery.not_found:
        page.add("Not found", _sheet(gallery.not_found))
    return page


def _figures(report: EvaluationReport) -> Html:
    audited = {} if report.audit is None else {f.name: f for f in report.audit.figures}
    rows: list[list[Cell]] = []
    for f in report.figures:
        beside = audited.get(f.name)
        said = "" if beside is None else f"{percent(beside.value, 2)} of {beside.plates}"
        rows.append(
            [figure_label(f.name), percent(f.value, 2), f"{100 * f.low:.1f} to {100 * f.high:.1f}", f.plates, said]
        )
    header = ["", "share", "95 % interval", "plates", "with audited labels"]
    caption = "Intervals: bootstrap over plates, all photographs of one together."
    return table(
        header if audited else header[:4],
        [r[: 5 if audited else 4] for r in rows],
        caption=caption,
        right=(1, 2, 4) if audited else (1, 2),
    )


def _remarks(report: EvaluationReport) -> list[Html]:
    said = []
    if report.replaced:
        pairs = ", ".join(f"{old} as {new}" for old, new in report.replaced.items())
        said.append(paragraph(f"In labels and readings alike: {pairs}."))
    if report.audit is not None:
        said += [paragraph(f"Audited: {correction}") for correction in report.audit.applied]
        said += [paragraph(f"Names no plate here: {correction}") for correction in report.audit.unused]
    return said


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


def _confusions(title: str, scores: RecognitionScores) -> list[Html]:
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
    listed = table(
        ["true", "read", "times"], [(c.true or "gap", c.read or "gap", c.count) for c in scores.confusions[:20]]
    )
    return [side_by_side(picture, listed)]


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


def _sheet(misses: Sequence[Miss]) -> Html:
    if not misses:
        return paragraph("None.")
    return picture_sheet(map(_picture, misses), limit=len(misses))


def _picture(miss: Miss) -> Picture:
    r = miss.record
    size = "" if r.width_px is None or r.height_px is None else f"{r.width_px:.0f} x {r.height_px:.0f} px"
    audited = "" if r.audited is None else f"audited {r.audited or 'unreadable'}"
    facts = ", ".join(fact for fact in (r.country, r.province, size, audited, r.image[-60:]) if fact)
    if miss.read is None:
        return Picture(miss.crop, lines(miss.true or "(unknown text)", "not found"), facts)
    edits = align(miss.true or "", miss.read)
    true = marked((e.true or "\u00b7", e.true != e.read) for e in edits)
    read = marked((e.read or "\u00b7", e.true != e.read) for e in edits)
    return Picture(miss.crop, lines(true, Html(f"{read} {100 * miss.score:.1f} %")), facts)
