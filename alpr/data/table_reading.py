"""CSV files as columns of text and numbers: this project's manifests and the reference's `alpr_annotation.csv`.

The reference (gfickel/alpr) quotes with `|`, orders corners as CCPD does (bottom right first), writes absolute paths of
which only the last part is meant, and writes CCPD's plate indices plus one.
"""

from __future__ import annotations

import csv
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
)
from alpr.files import LIST_BYTES, open_regular, open_regular_text

_CHUNK_ROWS = 16384
_NUMBERS = (*BOX_COLUMNS, *CORNER_COLUMNS)
_REFERENCE_NUMBERS = (
    *("left", "top", "right", "bottom"),
    *("kp3_x", "kp3_y", "kp4_x", "kp4_y", "kp1_x", "kp1_y", "kp2_x", "kp2_y"),
)
_REFERENCE_TEXT = tuple(f"ocr_{i}" for i in range(1, 8))
_REFERENCE_COLUMNS = (
    *("image_path", "left", "top", "right", "bottom"),
    *(f"kp{i}_{axis}" for i in range(1, 5) for axis in "xy"),
    *_REFERENCE_TEXT,
)

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
    with open_regular_text(path, LIST_BYTES, encoding="utf-8-sig", newline="") as file:
        try:
            first = file.readline()
            is_reference = {"image_path", "ocr_1"} <= set(first.strip().replace("|", "").split(","))
            quote = "|" if is_reference else '"'
            header = [name.strip() for name in next(csv.reader([first], quotechar=quote), [])]
            _check_header(path, header, _REFERENCE_COLUMNS if is_reference else COLUMNS)
            lines = csv.reader(file, quotechar=quote)
            rows = _reference_rows(path, header, lines) if is_reference else _own_rows(path, header, lines)
        except UnicodeDecodeError as error:
            raise ManifestError(
                f"{path} is no UTF-8 text (byte {error.start} of a block is no character); save it as UTF-8."
            ) from error
        except csv.Error as error:
            raise ManifestError(f"{path} is no valid CSV: {error}.") from error
    _drop_companions(path, rows)
    numbers = np.concatenate(rows.numbers) if rows.numbers else np.empty((0, 12))
    return RawTable(rows.texts, numbers, rows.line, rows.rejected, digest.hexdigest())


def _check_header(path: Path, header: Sequence[str], required: Sequence[str]) -> None:
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


def _own_rows(path: Path, header: Sequence[str], lines: Iterator[list[str]]) -> _Rows:
    rows = _Rows({name: [] for name in header if name not in _NUMBERS})
    for line, cells in _chunks(path, header, lines, rows.rejected):
        _add(path, rows, line, {name: cells[name] for name in rows.texts}, cells, _NUMBERS, {})
    return rows


def _reference_rows(path: Path, header: Sequence[str], lines: Iterator[list[str]]) -> _Rows:
    names = ("image", "text", "country", "split", "note")
    rows = _Rows({name: [] for name in names})
    split = split_of_subset(path.absolute().parent.name)
    for line, cells in _chunks(path, header, lines, rows.rejected):
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


def _chunks(
    path: Path, header: Sequence[str], lines: Iterator[list[str]], rejected: list[Rejection]
) -> Iterator[tuple[list[int], Cells]]:
    """Pieces of the table by column with their row numbers; rows of another width are rejected, blank ones passed."""
    width, line = len(header), 1
    while chunk := list(islice(lines, _CHUNK_ROWS)):
        numbers = list(range(line + 1, line + 1 + len(chunk)))
        line = numbers[-1]
        if any(len(row) != width for row in chunk):
            for number, row in zip(numbers, chunk, strict=True):
                if row and len(row) != width:
                    reason = f"the row has {len(row)} cells; the header has {width}"
                    rejected.append(Rejection(str(path), number, row[0], reason))
            kept = [(number, row) for number, row in zip(numbers, chunk, strict=True) if len(row) == width]
            if not kept:
                continue
            numbers, chunk = [number for number, _ in kept], [row for _, row in kept]
        yield numbers, dict(zip(header, map(list, zip(*chunk, strict=True)), strict=True))


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
    faults = kind_faults(texts.get(KIND_COLUMN, []), has_place(box, corners)) | geometry_faults(box, corners) | faults
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
