"""Tables as columns of text and numbers: this project's manifests and the reference's `alpr_annotation.csv`.

The reference (gfickel/alpr) quotes with `|`, orders corners as CCPD does (bottom right first), writes absolute paths of
which only the last part is meant, and writes CCPD's plate indices plus one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from alpr.data.ccpd import CcpdNameError, plate_text, split_of_subset
from alpr.data.columns import (
    BOX_COLUMNS,
    COLUMNS,
    CORNER_COLUMNS,
    KIND_COLUMN,
    Floats,
    ManifestError,
    Rejection,
    geometry_faults,
    has_place,
    kind_faults,
    parse_numbers,
    share_faults,
)
from alpr.data.separated_text import REFERENCE_COLUMNS, SeparatedText, opened_table
from alpr.files import LIST_BYTES, open_regular

_CHUNK_ROWS = 16384
_NUMBERS = (*BOX_COLUMNS, *CORNER_COLUMNS)
_REFERENCE_NUMBERS = (
    *("left", "top", "right", "bottom"),
    *("kp3_x", "kp3_y", "kp4_x", "kp4_y", "kp1_x", "kp1_y", "kp2_x", "kp2_y"),
)
_REFERENCE_TEXT = tuple(f"ocr_{i}" for i in range(1, 8))
Cells = dict[str, list[str]]
Faults = dict[int, str]


@dataclass
class RawTable:
    """What a CSV file holds: usable rows by column, and what was left out."""

    texts: Cells  # image, text, country, split, note, and every other column
    numbers: Floats  # (N, 12): box, then corners
    line: list[int]  # (N,) in the file, as a text editor counts
    rejected: list[Rejection]
    sha256: str


@dataclass
class _Rows:
    """Usable rows, gathered piece by piece."""

    texts: Cells
    numbers: list[Floats] = field(default_factory=list)
    line: list[int] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)


def read_table(path: Path) -> RawTable:
    """The usable rows of a CSV file.

    Raises:
        ManifestError: a file that cannot be read, an empty one, one that is no CSV in UTF-8, missing columns or a
            column given twice.
    """
    try:
        return _read(path)
    except OSError as error:
        raise ManifestError(f"The table {path} cannot be read: {error.strerror or error}.") from error


def _read(path: Path) -> RawTable:
    digest = hashlib.sha256()
    with open_regular(path, LIST_BYTES) as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    with opened_table(path) as table:
        is_reference = {"image_path", "ocr_1"} <= set(table.header)
        check_header(path, table.header, REFERENCE_COLUMNS if is_reference else COLUMNS)
        rows = _reference_rows(path, table) if is_reference else _own_rows(path, table)
    _drop_companions(path, rows)
    numbers = np.concatenate(rows.numbers) if rows.numbers else np.empty((0, 12))
    return RawTable(rows.texts, numbers, rows.line, rows.rejected, digest.hexdigest())


def check_header(path: Path, header: Sequence[str], required: Sequence[str]) -> None:
    if not any(header):
        raise ManifestError(f"{path} is empty; expected a header with the columns {', '.join(required)}.")
    missing = [name for name in required if name not in header]
    if missing:
        raise ManifestError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"found {', '.join(header)}. Cells may be empty, columns may not be left out."
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ManifestError(f"{path} has the column {', '.join(twice)} more than once; found {', '.join(header)}.")


def _own_rows(path: Path, table: SeparatedText) -> _Rows:
    rows = _Rows({name: [] for name in table.header if name not in _NUMBERS})
    for line, cells in _chunks(path, table, rows.rejected):
        _add(path, rows, line, {name: cells[name] for name in rows.texts}, cells, _NUMBERS, {})
    return rows


def _reference_rows(path: Path, table: SeparatedText) -> _Rows:
    names = ("image", "text", "country", "split", "note")
    rows = _Rows({name: [] for name in names})
    split = split_of_subset(path.absolute().parent.name)
    for line, cells in _chunks(path, table, rows.rejected):
        n = len(line)
        plates, faults = _reference_texts([cells[name] for name in _REFERENCE_TEXT])
        texts = {
            "image": [re.split(r"[/\\]", image)[-1] for image in cells["image_path"]],
            "text": plates,
            "country": ["CN"] * n,
            "split": [split] * n,
            "note": [""] * n,
        }
        _add(path, rows, line, texts, cells, _REFERENCE_NUMBERS, faults)
    return rows


def _reference_texts(columns: Sequence[list[str]]) -> tuple[list[str], Faults]:
    texts: list[str] = []
    faults: Faults = {}
    for i, cells in enumerate(zip(*columns, strict=True)):
        try:
            texts.append(plate_text([str(int(float(cell)) - 1) for cell in cells]))
        except CcpdNameError as error:
            faults[i] = f"ocr_1..ocr_7 (CCPD's indices plus one): {error}"
            texts.append("")
        except (ValueError, OverflowError):
            faults[i] = f"ocr_1..ocr_7 hold {', '.join(cells)!r}; expected seven whole numbers"
            texts.append("")
    return texts, faults


def _chunks(path: Path, table: SeparatedText, rejected: list[Rejection]) -> Iterator[tuple[list[int], Cells]]:
    """Pieces of the table by column with their row numbers; rows that do not fit the header are rejected."""
    while chunk := list(islice(table.rows, _CHUNK_ROWS)):
        for line, cells, fault in chunk:
            if fault:
                rejected.append(Rejection(str(path), line, cells[0].strip(), fault))
        if kept := [(line, cells) for line, cells, fault in chunk if not fault]:
            columns = map(list, zip(*(cells for _, cells in kept), strict=True))
            yield [line for line, _ in kept], dict(zip(table.header, columns, strict=True))


def _add(
    path: Path, rows: _Rows, line: list[int], texts: Cells, cells: Cells, sources: Sequence[str], faults: Faults
) -> None:
    """Adds the usable rows of a piece; `sources` names the file's twelve columns of numbers in our order."""
    texts = {name: [cell.strip() for cell in column] for name, column in texts.items()}
    faults = faults | {i: "column image is empty" for i, image in enumerate(texts["image"]) if not image}
    columns = []
    for source in sources:
        values, wrong = parse_numbers(cells[source], source)
        columns.append(values)
        faults = wrong | faults
    numbers = np.stack(columns, axis=1)
    box, corners = numbers[:, :4], numbers[:, 4:].reshape(-1, 4, 2)
    kinds = kind_faults(texts.get(KIND_COLUMN, []), has_place(box, corners))
    faults = kinds | geometry_faults(box, corners) | share_faults(box, corners) | faults
    for i in sorted(faults):
        rows.rejected.append(Rejection(str(path), line[i], texts["image"][i], faults[i]))
    if faults:
        kept = [i for i in range(len(line)) if i not in faults]
        texts = {name: [column[i] for i in kept] for name, column in texts.items()}
        numbers, line = numbers[kept], [line[i] for i in kept]
    for name, column in texts.items():
        # Few distinct values in most columns: one object per value, not per row.
        rows.texts[name].extend(column if name == "image" else _shared(column))
    rows.numbers.append(numbers)
    rows.line.extend(line)


def _shared(cells: list[str]) -> list[str]:
    seen: dict[str, str] = {}
    return [seen.setdefault(cell, cell) for cell in cells]


def _drop_companions(path: Path, rows: _Rows) -> None:
    """Leaves out the other plates of an image that lost one: the lost plate would be learnt as background."""
    spoilt = {r.image: r.row for r in rows.rejected if r.image}
    if not spoilt:
        return
    images = rows.texts["image"]
    lost = [i for i, image in enumerate(images) if image in spoilt]
    for i in lost:
        reason = f"another plate of this image was left out (row {spoilt[images[i]]})"
        rows.rejected.append(Rejection(str(path), rows.line[i], images[i], reason))
    if lost:
        gone = set(lost)
        kept = [i for i in range(len(images)) if i not in gone]
        rows.texts = {name: [column[i] for i in kept] for name, column in rows.texts.items()}
        rows.numbers = [np.concatenate(rows.numbers)[kept]]
        rows.line = [rows.line[i] for i in kept]
    rows.rejected.sort(key=lambda r: r.row)
