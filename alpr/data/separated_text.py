"""Tables as text: rows with the line numbers of an editor, cells separated by commas, semicolons or tabs.

A quote that is opened and not closed costs its own row, not the rest of the file.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from alpr.data.columns import (
    BOX_COLUMNS,
    COLOUR_COLUMN,
    COLUMNS,
    CORNER_COLUMNS,
    KIND_COLUMN,
    SIZE_COLUMNS,
    ManifestError,
)
from alpr.files import LIST_BYTES, open_regular_text

SEPARATORS = (",", ";", "\t")
REFERENCE_COLUMNS = (
    *("image_path", "left", "top", "right", "bottom"),
    *(f"kp{i}_{axis}" for i in range(1, 5) for axis in "xy"),
    *(f"ocr_{i}" for i in range(1, 8)),
)
KNOWN = frozenset(
    (*COLUMNS, *REFERENCE_COLUMNS, KIND_COLUMN, COLOUR_COLUMN, *sum(SIZE_COLUMNS, ()), "layout", "subset")
)
"""Names that mean something to this project; in a header they may be written in capitals."""
_NUMBERS = frozenset((*BOX_COLUMNS, *CORNER_COLUMNS, *sum(SIZE_COLUMNS, ())))
_MOST_LINES = 200
"""A cell with more line breaks than this is taken for a quote that was not closed."""
_EXCEL = re.compile(r"\ufeff?sep=(.)\s*", re.IGNORECASE)


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        line: its first line in the file, as a text editor counts.
        cells: as many as the header has; where there is a fault, what could be read, at least one.
        fault: why the row cannot be used; empty where it can.
    """

    line: int
    cells: list[str]
    fault: str = ""


@dataclass(frozen=True)
class SeparatedText:
    """A table: its header, and its rows as they are read; blank lines are passed over."""

    header: list[str]
    rows: Iterator[Row]
    separator: str


@contextmanager
def opened_table(path: Path) -> Iterator[SeparatedText]:
    """A table that is being read.

    Raises:
        OSError: a file that cannot be read.
        ManifestError: one that is no CSV in UTF-8, also while its rows are read.
    """
    with open_regular_text(path, LIST_BYTES, encoding="utf-8-sig", newline="") as file:
        try:
            yield separated_text(file)
        except UnicodeDecodeError as error:
            raise ManifestError(
                f"{path} is no UTF-8 text (byte {error.start} of a block is no character); save it as UTF-8."
            ) from error
        except csv.Error as error:
            raise ManifestError(f"{path} is no valid CSV: {error}.") from error


def separated_text(lines: Iterable[str], known: Collection[str] = KNOWN) -> SeparatedText:
    """Header and rows of a table.

    The separator is the one of comma, semicolon and tab that tells most known columns apart. Numbers of tables without
    commas may have decimal commas, as spreadsheets write them. The reference (gfickel/alpr) quotes with `|`.

    Args:
        lines: with their ends, as an open file gives them.
        known: columns' names; a name of the header that is one of these but for its case is taken for it.
    """
    lines = iter(lines)
    first, line = next(lines, ""), 1
    if said := _EXCEL.fullmatch(first):
        first, line = next(lines, ""), 2
    quote = "|" if {"image_path", "ocr_1"} <= set(re.split(r"[\s|,]+", first)) else '"'
    headers = {s: _header(first, s, quote, known) for s in ((said[1],) if said else SEPARATORS)}
    separator = max(headers, key=lambda s: sum(name in known for name in headers[s]))
    header = headers[separator]
    rows = _rows(lines, line, separator, quote, len(header))
    if separator != ",":
        numbers = [i for i, name in enumerate(header) if name in _NUMBERS]
        rows = (_with_points(row, numbers) for row in rows)
    return SeparatedText(header, rows, separator)


def _header(line: str, separator: str, quote: str, known: Collection[str]) -> list[str]:
    names = [name.strip() for name in _cells(line, separator, quote)]
    folded = [name.casefold() for name in names]
    return [fold if fold in known else name for name, fold in zip(names, folded, strict=True)]


def _rows(lines: Iterator[str], line: int, separator: str, quote: str, width: int) -> Iterator[Row]:
    ahead: deque[str] = deque()
    while ahead or (ahead := deque(islice(lines, 1))):
        first = ahead.popleft()
        line += 1
        more = 0
        if quote in first:
            whole = _quoted(first, ahead, lines, separator, quote, width)
            if whole is None:
                yield Row(line, _cells(first, separator, quote), "a quote is opened in this line and not closed")
                continue
            cells, more = whole
        elif not (bare := first.rstrip("\r\n")):
            continue
        else:
            cells = bare.split(separator)
        fits = len(cells) == width
        yield Row(line, cells, "" if fits else f"the row has {len(cells)} cells; the header has {width}")
        line += more


def _quoted(
    first: str, ahead: deque[str], lines: Iterator[str], separator: str, quote: str, width: int
) -> tuple[list[str], int] | None:
    """The cells of a row with quotes, and how many more lines it takes; None where a quote stays open.

    Lines that were looked at in vain are put back to `ahead`.
    """
    if _state(first, separator, quote) != _OPEN:
        return _cells(first, separator, quote), 0
    taken, quotes = [first], first.count(quote)
    for line in islice(chain(list(ahead), lines), _MOST_LINES):
        taken.append(line)
        quotes += line.count(quote)
        # An odd number of quotes leaves one open, and what a quote has spoilt no further line mends.
        state = _state("".join(taken), separator, quote) if quote in line and quotes % 2 == 0 else _OPEN
        cells = _cells("".join(taken), separator, quote) if state == _WHOLE else []
        if len(cells) == width:
            for _ in range(min(len(ahead), len(taken) - 1)):
                ahead.popleft()
            return cells, len(taken) - 1
        if state != _OPEN:
            break
    ahead.extend(taken[1 + len(ahead) :])
    return None


_WHOLE, _OPEN, _SPOILT = range(3)


def _state(text: str, separator: str, quote: str) -> int:
    """Whether a row ends with the text, goes on behind it in a quoted cell, or breaks the rules of quoting."""
    try:
        list(csv.reader([text], delimiter=separator, quotechar=quote, strict=True))
    except csv.Error as error:
        return _OPEN if "unexpected end" in str(error) else _SPOILT
    return _WHOLE


def _cells(text: str, separator: str, quote: str) -> list[str]:
    return next(csv.reader([text], delimiter=separator, quotechar=quote), [])


def _with_points(row: Row, numbers: list[int]) -> Row:
    """The row with decimal points for commas."""
    if not row.fault:
        for i in numbers:
            if row.cells[i].count(",") == 1 and "." not in row.cells[i]:
                row.cells[i] = row.cells[i].replace(",", ".")
    return row
