"""Lists of known plates: allowed, blocked, or of any other name, with some tolerance and a last day.

A CSV with the column `text`; `list` (such as allow or block), `distance` (edits that a reading may differ by), `until`
(the last day, 2027-01-31) and `note` may follow.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from alpr.files import SMALL_BYTES, open_regular_text
from alpr.recognition.metrics import edit_distance

COLUMNS = ("text", "list", "distance", "until", "note")


@dataclass(frozen=True)
class Listed:
    """A line of a list."""

    text: str
    list: str = "listed"
    distance: int = 0
    until: date | None = None
    note: str = ""


class PlateList:
    """The plates of files, which are read again when they change.

    Raises:
        ValueError: a file that is no such list; the sentence names the line.
        OSError: a file that cannot be read.
    """

    def __init__(self, paths: Sequence[Path], distance: int = 0) -> None:
        self.paths, self.distance = list(paths), distance
        self._read: dict[Path, tuple[tuple[int, int], list[Listed]]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Reads the files that have changed since; raises as the class does."""
        for path in self.paths:
            stat = path.stat()
            state = (stat.st_mtime_ns, stat.st_size)
            if path not in self._read or self._read[path][0] != state:
                self._read[path] = (state, read_list(path, self.distance))

    def find(self, text: str, today: date | None = None) -> Listed | None:
        """The entry that is nearest to a text and near enough; None where there is none."""
        today, plain = today or date.today(), normal(text)
        found: tuple[int, Listed] | None = None
        for entry in (entry for _, entries in self._read.values() for entry in entries):
            if entry.until is not None and entry.until < today:
                continue
            away = 0 if entry.text == plain else edit_distance(entry.text, plain) if entry.distance else 1
            if away <= entry.distance and (found is None or away < found[0]):
                found = (away, entry)
        return None if found is None or not plain else found[1]


def read_list(path: Path, distance: int = 0) -> list[Listed]:
    """The entries of one file.

    Args:
        distance: the edits of lines that name none.

    Raises:
        ValueError: no column `text`, or a line that is wrong; the sentence names it.
        OSError: a file that cannot be read.
    """
    with open_regular_text(path, SMALL_BYTES, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        names = tuple(rows.fieldnames or ())
        if "text" not in names:
            raise ValueError(f"{path} has the columns {', '.join(names) or '(none)'}; expected text and perhaps "
                             f"{', '.join(COLUMNS[1:])}.")  # fmt: skip
        entries = []
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            text = normal(row["text"] or "")
            if not text:
                raise ValueError(f"{where}: there is no text; expected a plate's.")
            entries.append(
                Listed(
                    text,
                    (row.get("list") or "").strip() or "listed",
                    _edits(row.get("distance"), distance, where),
                    _day(row.get("until"), where),
                    (row.get("note") or "").strip(),
                )
            )
    return entries


def normal(text: str) -> str:
    """A text as plates are compared: upper case, without spaces and separators."""
    folded = unicodedata.normalize("NFKC", text).upper()
    return "".join(c for c in folded if c.isalnum())


def _edits(value: str | None, otherwise: int, where: str) -> int:
    if not (value or "").strip():
        return otherwise
    if not str(value).strip().isdecimal():
        raise ValueError(f"{where}: distance is {value!r}; expected a whole number of edits.")
    return int(str(value))


def _day(value: str | None, where: str) -> date | None:
    if not (value or "").strip():
        return None
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError(f"{where}: until is {value!r}; expected a day such as 2027-01-31.") from None
