"""The part of the doctor's page where a person decides about labels: a card for every row, a key for every decision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from html import escape as quoted
from pathlib import Path
from typing import Any

from alpr.doctor.decisions import TEXT_RULES
from alpr.doctor.findings import Finding
from alpr.doctor.table import DoctorTable
from alpr.doctor.views import views
from alpr.images.prepare import UnreadableImage
from alpr.reports.html import Html, Picture, escape, figure

CARDS = 300
"""Rows of one page that are decided about; a later check shows the next ones."""
_KEYS = (
    ("k", "keep"), ("c", "correct"), ("d", "drop the row"), ("o", "the other picture's row"), ("u", "undo"),
    ("ArrowLeft", "back"), ("ArrowRight", "on"), ("s", "save corrections.csv"),
)  # fmt: skip
STYLE = """
#decide .card { border-top: 1px solid var(--line); padding-top: .4rem; }
#decide figure.chosen img { outline: 3px solid var(--c0); }
#decide button, #decide input { font: inherit; padding: .2rem .6rem; margin: .1rem; }
#decide input { width: 12rem; text-transform: none; }
#decide .subject { font-weight: 600; font-size: 1.1rem; unicode-bidi: isolate; }
"""


def script() -> str:
    """What the page runs."""
    return Path(__file__).with_name("decisions.js").read_text(encoding="utf-8")


def decision_section(table: DoctorTable, findings: Sequence[Finding]) -> Html | None:
    """The cards and what they are decided by; None where no label's text is in question.

    Args:
        findings: in the order of `ordered`.
    """
    of_row: dict[int, list[Finding]] = {}
    for f in findings:
        if f.rule in TEXT_RULES and f.index >= 0 and table.text[f.index].strip():
            of_row.setdefault(f.index, []).append(f)
    cards = list(_cards(table, list(of_row.values())[:CARDS]))
    if not cards:
        return None
    tables = "\n".join(str(path.resolve()) for path in table.files)
    key = hashlib.sha256(tables.encode()).hexdigest()[:16]
    buttons = "".join(
        f'<button type="button" value="{name}"><b>{_shown(name)}</b> {escape(what)}</button>' for name, what in _KEYS
    )
    panel = (
        '<div class="panel" hidden><p><span class="count"></span>. <span class="subject"></span> '
        '(<span class="before"></span>)</p><p><input class="correction" aria-label="the right text" autocomplete="off">'
        '<button type="button" value="enter"><b>Enter</b> this is the text</button></p>'
        f'<p>{buttons}</p><p class="said" role="status"></p></div>'
    )
    more = "" if len(of_row) <= CARDS else f" The first {CARDS} of {len(of_row):,} rows; the next check shows others."
    lead = escape(
        "A decision a key. They are kept in this browser until you save corrections.csv; alpr data check TABLE "
        f"--corrections corrections.csv --fix NEW writes a new table by them.{more}"
    )
    return Html(f'<div id="decide" data-key="{key}"><p>{lead}</p>{panel}\n{"".join(cards)}</div>\n')


def _cards(table: DoctorTable, rows: Sequence[Sequence[Finding]]) -> Iterator[Html]:
    for found in rows:
        first = next((f for f in found if f.other >= 0), found[0])
        try:
            pictures = views(table, first)
        except UnreadableImage:
            continue
        proposal = next((f.proposal for f in found if f.proposal), "")
        members = [_row(table, first.index, proposal)]
        if len(pictures) > 1 and table.text[first.other].strip():
            members.append(_row(table, first.other, table.text[first.index].strip()))
        captions = [f"{table.where(i)}: {table.text[i].strip() or '(no text)'}" for i in (first.index, first.other)]
        shown = "".join(figure(Picture(image, caption)) for image, caption in zip(pictures, captions, strict=False))
        said = "".join(f"<p>{escape(f.message)}</p>" for f in found)
        reason = "; ".join(dict.fromkeys(f"{f.rule}: {f.message}" for f in found))
        yield Html(
            f'<div class="card" data-rows="{_values(members)}" data-reason="{_values(reason)}">'
            f'<div class="sheet">{shown}</div>{said}</div>\n'
        )


def _row(table: DoctorTable, index: int, proposal: str) -> dict[str, str]:
    return {
        "image": table.image[index],
        "text": table.text[index].strip(),
        "where": table.where(index),
        "proposal": proposal,
    }


def _values(values: Any) -> str:
    """Values for an attribute, every character beyond ASCII escaped: a mark that nobody sees has to come back."""
    return quoted(json.dumps(values))


def _shown(key: str) -> str:
    return {"ArrowLeft": "←", "ArrowRight": "→"}.get(key, key)
