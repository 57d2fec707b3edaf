"""The doctor's findings as one HTML file with pictures, and as JSON."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alpr.doctor.decision_cards import STYLE, decision_section, script
from alpr.doctor.findings import RULES, Finding, Severity
from alpr.doctor.geometry_rules import hull_differences
from alpr.doctor.table import DoctorTable
from alpr.doctor.views import views
from alpr.files import write_atomically
from alpr.images.prepare import UnreadableImage
from alpr.plates.records import FloatArray, ImageArray
from alpr.reports.charts import bar_chart
from alpr.reports.html import Figure, Html, Page, Picture, details, key_figures, paragraph, picture_sheet, printable
from alpr.reports.html import table as html_table

LISTED = 200
"""Findings of one rule that the page lists; the JSON file holds all."""
PICTURED = 24
"""Findings of one rule that are shown as pictures."""
_HULL_EDGES = (0, 0.5, 1, 2, 3, 5, 10, 20)


def write_json(findings: Sequence[Finding], counts: Mapping[str, int], path: Path) -> None:
    """All findings for machines: `counts` of what was checked, findings by rule, and the list.

    Raises:
        NotWritten: a full disk or a folder that cannot be written to.
    """
    rules = Counter(f.rule for f in findings)
    head = json.dumps({"checked": dict(counts), "rules": dict(rules)}, ensure_ascii=False, indent=1)[:-2]
    lines = (json.dumps(f.as_json(), ensure_ascii=False) for f in findings)
    body = (("\n  " if k == 0 else ",\n  ") + line for k, line in enumerate(lines))
    write_atomically(path, [head.encode(), b',\n "findings": [', *(part.encode() for part in body), b"\n ]\n}\n"])


def write_page(
    table: DoctorTable,
    findings: Sequence[Finding],
    counts: Mapping[str, int],
    path: Path,
    *,
    pictures: bool = True,
    readings: Mapping[int, tuple[str, float]] | None = None,
) -> None:
    """The report for people.

    Args:
        findings: in the order of `ordered`.
        pictures: whether the images may be opened for pictures.
        readings: text and score that a model read, by row.

    Raises:
        NotWritten: a full disk or a folder that cannot be written to.
    """
    by_rule: defaultdict[str, list[Finding]] = defaultdict(list)
    for f in findings:
        by_rule[f.rule].append(f)
    severities = Counter(f.severity for f in findings)
    page = Page("Data doctor", ", ".join(map(str, table.files)))
    figures = [Figure(value, name) for name, value in counts.items()]
    figures += [Figure(severities[s], f"{s.name.lower()}s") for s in reversed(Severity)]
    overview = [
        (rule, RULES[rule].severity.name.lower(), len(some), sum(bool(f.mending) for f in some), RULES[rule].meaning)
        for rule, some in by_rule.items()
    ]
    page.add(
        "Overview",
        key_figures(figures),
        html_table(("rule", "severity", "findings", "--fix mends", "meaning"), overview)
        if overview
        else paragraph("Nothing was found."),
    )
    decide = decision_section(table, findings) if pictures else None
    if decide is not None:
        page.add("Decide", decide)
        page.script, page.style = script(), STYLE
    for rule, some in by_rule.items():
        page.add(f"{rule} ({len(some):,})", *_section(table, rule, some, pictures, readings or {}))
    differences = hull_differences(table)
    if len(differences):
        page.add("Boxes and the corners' hull", _hull_chart(differences), _hull_sentence(differences))
    page.write(path)


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """A table of what was found, by rule, with the first finding of each."""
    first = {f.rule: f for f in reversed(findings)}
    counts = Counter(f.rule for f in findings)
    shown = Table("rule", "severity", "count", "the first")
    for rule in counts:
        f = first[rule]
        where = f"row {f.row}: " if f.row else ""
        shown.add_row(rule, f.severity.name.lower(), f"{counts[rule]:,}", escape(printable(where + f.message)))
    if counts:
        console.print(shown)
    else:
        console.print("Nothing was found.")


def _section(
    table: DoctorTable, rule: str, some: list[Finding], pictures: bool, readings: Mapping[int, tuple[str, float]]
) -> list[Html]:
    parts = [paragraph(f"{RULES[rule].severity.name.capitalize()}: {RULES[rule].meaning}.")]
    if pictures:
        shown = [p for f in some[: 2 * PICTURED] if f.index >= 0 and (p := _picture(table, f, readings)) is not None]
        if shown:
            parts.append(picture_sheet(shown[:PICTURED]))
    rows = [(Path(f.file).name, f.row or None, f.image, f.message, f.mending_sentence) for f in some[:LISTED]]
    listed = html_table(("file", "row", "image", "finding", "--fix"), rows)
    more = "" if len(some) <= LISTED else f"The first {LISTED} of {len(some):,}; the JSON file holds all."
    parts.append(details(f"The rows ({min(len(some), LISTED)})", listed, *([paragraph(more)] if more else [])))
    return parts


def _hull_sentence(differences: FloatArray) -> str:
    middle, most = np.percentile(differences, [50, 95])
    return (
        f"Of {len(differences):,} rows with box and corners the largest difference of a side is {middle:.1f} px in the "
        f"median and at most {most:.1f} px in 95 of 100."
    )


def _hull_chart(differences: FloatArray) -> Html:
    counts, _ = np.histogram(differences, [*_HULL_EDGES, np.inf])
    names = [f"{a:g}-{b:g}" for a, b in pairwise(_HULL_EDGES)] + [f"{_HULL_EDGES[-1]:g}-"]
    return bar_chart(names, {"rows": counts.tolist()}, title="Largest difference of a side", x_label="px")


def _picture(table: DoctorTable, f: Finding, readings: Mapping[int, tuple[str, float]]) -> Picture | None:
    """The plate, or both images of a pair; None where they cannot be read."""
    try:
        image = reduce(_beside, views(table, f))
    except UnreadableImage:
        return None
    label = table.text[f.index].strip() or "(no text)"
    read = readings.get(f.index)
    caption = f"row {f.row}: {label}" + (f" | model {read[0]} {read[1]:.2f}" if read else "")
    return Picture(image, caption, f"{f.message} {f.image}")


def _beside(a: ImageArray, b: ImageArray) -> ImageArray:
    """Two pictures with a white line between them."""
    sheet = np.full((max(len(a), len(b)), a.shape[1] + b.shape[1] + 6, 3), 255, np.uint8)
    sheet[: len(a), : a.shape[1]], sheet[: len(b), -b.shape[1] :] = a, b
    return sheet
