"""A protocol's report as one HTML file, with the missed plates by cause.

The page holds photographs of plates: it belongs into the run's folder, not into a repository.
"""

from __future__ import annotations

from collections.abc import Sequence

from alpr.data.manifest import Manifest
from alpr.evaluation.gallery import plate_crop
from alpr.evaluation.protocols.misses import MEANINGS, Cause, cause_of
from alpr.evaluation.protocols.report import ProtocolReport
from alpr.evaluation.protocols.scores import Outcome, overall_of
from alpr.evaluation.protocols.tables import Grid, figure_columns, grids_of
from alpr.images.prepare import UnreadableImage, read_image
from alpr.plates.records import ImageArray
from alpr.recognition.metrics import align
from alpr.reports.html import Html, Page, Picture, lines, marked, paragraph, picture_sheet, subheading, table


def protocol_page(report: ProtocolReport, manifest: Manifest, shown: int = 40) -> Page:
    """The page of a report.

    Args:
        manifest: the labels, which say where the crops are cut.
        shown: the most missed plates of each cause.
    """
    name = report.model.get("name", "predictions")
    page = Page(f"{report.protocol.name}: {name}", f"{report.protocol.title}. {report.overall.plates:,} plates.")
    for grid in grids_of(report):
        page.add(grid.title, *_grid(grid))
    page.add("Missed plates", *_gallery(report, manifest, shown))
    sources = (report.model, report.manifests, report.made_with)
    rows = [(key, str(value)) for source in sources for key, value in source.items()]
    page.add("Made with", table(["", ""], rows))
    return page


def _grid(grid: Grid) -> list[Html]:
    right = [c for c, figures in enumerate(figure_columns(grid)) if figures]
    parts = [table(grid.header, grid.rows, right=right)] if grid.header else []
    return parts + [paragraph(note) for note in grid.notes]


def _gallery(report: ProtocolReport, manifest: Manifest, shown: int) -> list[Html]:
    misses: dict[Cause, list[Outcome]] = {}
    for outcome in overall_of(report.protocol, report.outcomes):
        cause = cause_of(outcome, report.protocol)
        if cause is not None:
            misses.setdefault(cause, []).append(outcome)
    if not misses:
        return [paragraph("None.")]
    wanted = {o.image for of_cause in misses.values() for o in _surest(of_cause, shown)}
    rows = [row for row in range(manifest.rows) if manifest.path(row) in wanted]
    scenes = {scene.image: scene for scene in manifest.take(rows).scenes()}
    parts: list[Html] = [
        paragraph("By cause, the surest first: the label, then what was read; what differs is marked.")
    ]
    for cause in (c for c in Cause if c in misses):
        pictures, lost = [], 0
        for outcome in _surest(misses[cause], shown):
            try:
                image = read_image(outcome.image)
            except UnreadableImage:
                lost += 1
                continue
            pictures.append(_picture(outcome, plate_crop(image, scenes[outcome.image].plates[outcome.index])))
        parts += [subheading(f"{cause.value}: {len(misses[cause]):,}"), paragraph(f"{MEANINGS[cause]}.")]
        parts.append(picture_sheet(pictures, limit=shown))
        if lost:
            parts.append(paragraph(f"{lost} of these images cannot be opened here."))
    return parts


def _surest(outcomes: Sequence[Outcome], shown: int) -> list[Outcome]:
    return sorted(outcomes, key=lambda o: -(o.reading.score if o.reading else 0.0))[:shown]


def _picture(outcome: Outcome, crop: ImageArray) -> Picture:
    reading = outcome.reading
    facts = [outcome.column, "" if outcome.iou is None else f"IoU {outcome.iou:.2f}"]
    facts += ["" if outcome.audited is None else f"audited {outcome.audited or 'unreadable'}"]
    facts += ["" if outcome.given is None else f"labelled corners {outcome.given.text or 'nothing'}"]
    remark = ", ".join(fact for fact in (*facts, outcome.image.name[-60:]) if fact)
    if reading is None or not reading.text:
        return Picture(crop, lines(outcome.text, "nothing read"), remark)
    edits = align(outcome.text, reading.text)
    true = marked((e.true or "\u00b7", e.true != e.read) for e in edits)
    read = marked((e.read or "\u00b7", e.true != e.read) for e in edits)
    return Picture(crop, lines(true, Html(f"{read} {100 * reading.score:.1f} %")), remark)
