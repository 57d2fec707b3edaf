"""A cleaned copy of a manifest beside the original, and the list of every change."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from alpr.data.columns import ManifestError
from alpr.data.manifest import csv_bytes
from alpr.data.separated_text import opened_table
from alpr.doctor.findings import DROP, Finding
from alpr.files import write_atomically


class Change(NamedTuple):
    """One cell that was changed, or a row that was dropped; then `column` is "row" and `new` is empty."""

    row: int
    image: str
    column: str
    old: str
    new: str
    rule: str


def write_mended(source: Path, output: Path, findings: Sequence[Finding]) -> list[Change]:
    """Writes a manifest's cleaned copy, and `changes.csv` named after it; the original is only read.

    A row that cannot be kept takes its image's other rows along: the lost plate would be learnt as background.

    Returns:
        the changes.

    Raises:
        ManifestError: the output is the source.
        NotWritten: a full disk or a folder that cannot be written to.
    """
    if output.exists() and output.samefile(source):
        raise ManifestError(f"{output} is the manifest itself; expected another file for the cleaned copy.")
    cells: dict[int, dict[str, tuple[str, str]]] = {}
    dropped: dict[int, str] = {}
    spoilt: dict[str, str] = {}
    for f in findings:
        if f.mending == DROP:
            dropped.setdefault(f.row, f.rule)
            if f.rule != "duplicate-row":
                spoilt.setdefault(f.image, f.rule)
        else:
            for column, new in f.mending:
                cells.setdefault(f.row, {}).setdefault(column, (new, f.rule))
    changes: list[Change] = []
    rows = _mended(source, output.parent, cells, dropped, spoilt, changes)
    write_atomically(output, (csv_bytes([row]) for row in rows))
    listed = output.with_name(f"{output.stem}.changes.csv")
    write_atomically(listed, [csv_bytes([Change._fields]), csv_bytes(changes)])
    return changes


def _mended(
    source: Path,
    folder: Path,
    cells: dict[int, dict[str, tuple[str, str]]],
    dropped: dict[int, str],
    spoilt: dict[str, str],
    changes: list[Change],
) -> Iterator[list[str]]:
    with opened_table(source) as table:
        yield table.header
        place = {name: i for i, name in enumerate(table.header)}
        prefix = _prefix(source.parent, folder)
        for number, row, fault in table.rows:
            image = row[0].strip() if fault else row[place["image"]].strip()
            rule = dropped.get(number) or spoilt.get(image)
            if rule or fault:
                changes.append(Change(number, image, "row", ",".join(row), "", rule or "row-rejected"))
                continue
            for column, (new, why) in cells.get(number, {}).items():
                if row[place[column]] != new:
                    changes.append(Change(number, image, column, row[place[column]], new, why))
                    row[place[column]] = new
            if prefix and not Path(image).is_absolute():
                row[place["image"]] = prefix + image
            yield row


def _prefix(source: Path, folder: Path) -> str:
    """What a relative image gets in a table of another folder."""
    source, folder = source.resolve(), folder.resolve()
    if source == folder:
        return ""
    return f"{(source.relative_to(folder) if source.is_relative_to(folder) else source).as_posix()}{os.sep}"
