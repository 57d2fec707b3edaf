"""All rules over a table, in one list; the rows that the manifest reader refuses are explained or reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alpr.doctor.findings import DROP, RULES, Finding, Severity, finding
from alpr.doctor.geometry_rules import Limits, geometry_findings
from alpr.doctor.images import ImageFacts, image_findings, row_sizes
from alpr.doctor.split_rules import split_findings
from alpr.doctor.table import DoctorTable
from alpr.doctor.text_rules import text_findings
from alpr.plates.country import CountryPack

_COMPANION = "another plate of this image"
"""So the manifest reader begins the reason of a row that goes because of another."""


@dataclass(frozen=True)
class Settings:
    """What to check by.

    Attributes:
        packs: country packs by code.
        country: the code of the pack for every row; None goes by the row's own.
    """

    packs: Mapping[str, CountryPack]
    country: str | None = None
    limits: Limits = field(default_factory=Limits)


def examine(table: DoctorTable, settings: Settings, facts: dict[str, ImageFacts] | None = None) -> list[Finding]:
    """Everything that is wrong with a table, and with its images where their facts are given."""
    facts = facts or {}
    found = image_findings(table, facts)
    found += geometry_findings(table, row_sizes(table, facts), settings.limits)
    found += text_findings(table, settings.packs, settings.country)
    found += split_findings(table, facts)
    return found + _refused(table, found)


def ordered(found: list[Finding]) -> list[Finding]:
    """Findings by severity, then by rule, the highest score first, then by row."""
    place = {rule: i for i, rule in enumerate(RULES)}
    return sorted(found, key=lambda f: (-f.severity, place[f.rule], -f.score, f.file, f.row))


def _refused(table: DoctorTable, found: list[Finding]) -> list[Finding]:
    """The rows that the reader refuses and no rule explained, and those that go with another plate of their image."""
    explained = {(f.file, f.row) for f in found if f.severity == Severity.ERROR}
    places = list(zip(table.file_index.tolist(), table.line.tolist(), strict=True)) if table.rejected else []
    index = {(str(table.files[owner]), line): i for i, (owner, line) in enumerate(places)}
    refused: list[Finding] = []
    for file, row, image, reason in table.rejected:
        if reason.startswith(_COMPANION) or (file, row) in explained:
            continue
        sentence = f"{reason[0].upper()}{reason[1:]}."
        if (file, row) in index:
            refused.append(finding(table, index[file, row], "row-rejected", sentence, DROP))
        else:
            refused.append(Finding("row-rejected", sentence, -1, file, row, image, DROP))
    spoilt = {(f.file, f.image) for f in [*found, *refused] if f.mending == DROP and f.severity == Severity.ERROR}
    going = {(f.file, f.row) for f in [*found, *refused] if f.mending == DROP}
    for file, row, image, reason in table.rejected:
        if reason.startswith(_COMPANION) and (file, row) in index and (file, row) not in going:
            mending = DROP if (file, image) in spoilt else ()
            sentence = f"{reason[0].upper()}{reason[1:]}."
            refused.append(finding(table, index[file, row], "companion-lost", sentence, mending))
    return refused
