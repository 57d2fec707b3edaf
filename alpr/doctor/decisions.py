"""What a person decided about findings, read from corrections.csv and turned into what mending does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from alpr.data.corrections import CORRECT, DROPPED, KEEP, Correction, read_decisions
from alpr.doctor.findings import DROP, Finding, finding
from alpr.doctor.table import DoctorTable

TEXT_RULES = frozenset({
    "fold-text", "model-text", "texts-alike", "labelled-twice", "leak-text", "text-form", "text-lookalike",
    "text-alphabet", "text-length", "text-grammar", "text-confused", "symbols-mixed",
})  # fmt: skip
"""Rules about a label's text, which a person decides about."""


@dataclass(frozen=True)
class Decided:
    """Findings after decisions.

    Attributes:
        findings: without those about texts of rows that were decided about, and with one for every mending.
        sentence: how many decisions there were of each kind, and how many name no row.
    """

    findings: list[Finding]
    sentence: str


def decided(table: DoctorTable, findings: Sequence[Finding], path: Path) -> Decided:
    """Findings after the decisions of a file.

    Raises:
        ValueError: a file that is no corrections.csv.
        OSError: one that cannot be read.
    """
    decisions = read_decisions(path)
    of_row = dict(_rows(table, decisions))
    counts = Counter(one.decision for one in of_row.values())
    unused = len(decisions) - len({id(one) for one in of_row.values()})
    left = [f for f in findings if f.rule not in TEXT_RULES or f.index not in of_row]
    mended = [
        finding(table, i, "decided", _message(one), DROP if one.decision == DROPPED else (("text", one.correction),))
        for i, one in of_row.items()
        if one.decision != KEEP
    ]
    sentence = f"{path}: {counts[CORRECT]:,} texts corrected, {counts[DROPPED]:,} rows dropped, {counts[KEEP]:,} kept"
    return Decided([*mended, *left], f"{sentence}{f'; {unused:,} decisions name no row' if unused else ''}.")


def _rows(table: DoctorTable, decisions: Sequence[Correction]) -> Iterator[tuple[int, Correction]]:
    """The rows that decisions name: by the image as the table writes it, by the bare name of a file, or by the text."""
    by_key = {(one.image, one.text): one for one in decisions}
    for i, image in enumerate(table.image):
        text = table.text[i].strip()
        if not text:
            continue
        keys = [(name, t) for name in (image, PurePosixPath(image).name, "") for t in (text, "") if name or t]
        one = next((by_key[key] for key in keys if key in by_key), None)
        if one is not None:
            yield i, one


def _message(one: Correction) -> str:
    return f"A person decided: {str(one).rstrip(chr(46))}."
