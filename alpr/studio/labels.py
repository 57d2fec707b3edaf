"""A label of one plate: between the cells of the table, the page's JSON, and what a reader found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alpr.data.columns import BOX_COLUMNS, CORNER_COLUMNS, IGNORE, KIND_COLUMN, REVIEWED_COLUMN, Floats
from alpr.plates.values import read_as

ROWS, DOUBT, REASONS = "rows", "doubt", "reasons"
"""Columns of the project's table: the rows of characters; how doubtful a draft is, and why."""
MOST_CHARACTERS = 64
_OWN = frozenset({"image", "text", "country", KIND_COLUMN, ROWS, DOUBT, REASONS, REVIEWED_COLUMN})

Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]


@dataclass(frozen=True, slots=True)
class Label:
    """One plate of a photograph.

    Attributes:
        text, country: "" where unknown.
        corners: (x, y) px of the whole photograph, clockwise from the top left as the text is read.
        box: x1, y1, x2, y2 in px.
        kind: "" or "ignore", a region that is neither a plate to learn nor background.
        rows: of characters, "1" or "2"; "" where unknown.
        rest: the cells of all other columns.
    """

    text: str = ""
    country: str = ""
    corners: Quad | None = None
    box: tuple[float, float, float, float] | None = None
    kind: str = ""
    rows: str = ""
    rest: Mapping[str, str] = field(default_factory=dict)

    @property
    def quad(self) -> Quad | None:
        """Where it is: its corners, else those of its box."""
        if self.corners is not None or self.box is None:
            return self.corners
        x1, y1, x2, y2 = self.box
        return (x1, y1), (x2, y1), (x2, y2), (x1, y2)

    @property
    def empty(self) -> bool:
        """Whether it says nothing of a plate."""
        return self.quad is None and not self.text

    def fault(self) -> str | None:
        """What is wrong with its words."""
        if len(self.text) > MOST_CHARACTERS or len(self.country) > MOST_CHARACTERS:
            return f"a text or a country has more than {MOST_CHARACTERS} characters"
        for cell in (self.text, self.country, *self.rest, *self.rest.values()):
            if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in cell):
                return f"{cell!r} holds a control character; expected text"
        if self.kind not in ("", "plate", IGNORE) or self.rows not in ("", "1", "2"):
            return f"kind is {self.kind!r} and rows {self.rows!r}; expected '' or {IGNORE!r}, and '', '1' or '2'"
        numbers = [*(self.box or ()), *(v for point in self.corners or () for v in point)]
        if not all(math.isfinite(v) and abs(v) < 1e6 for v in numbers):
            return "a coordinate is no number of px"
        return None

    def as_json(self) -> dict[str, Any]:
        """Plain values for the page; `of_json` reads them back."""
        return {
            "text": self.text,
            "country": self.country,
            "corners": self.corners,
            "box": self.box,
            "kind": self.kind,
            "rows": self.rows,
            "rest": dict(self.rest),
        }

    @classmethod
    def of_json(cls, value: Any) -> Label:
        """A label from the page.

        Raises:
            ValueError: another form.
        """
        return read_as(cls, value, whole="the label")


def label_of(texts: Mapping[str, Sequence[str]], numbers: Floats, row: int) -> Label:
    """The label in a row of a table; `numbers` is (N, 12), box and corners."""
    values = numbers[row].tolist()
    kind = texts[KIND_COLUMN][row] if KIND_COLUMN in texts else ""
    rows = texts[ROWS][row] if ROWS in texts else ""
    x = values[4:]
    return Label(
        texts["text"][row],
        texts["country"][row],
        None if math.isnan(x[0]) else ((x[0], x[1]), (x[2], x[3]), (x[4], x[5]), (x[6], x[7])),
        None if math.isnan(values[0]) else (values[0], values[1], values[2], values[3]),
        kind,
        rows if rows in ("1", "2") else "",
        {name: cells[row] for name, cells in texts.items() if name not in _OWN and cells[row]},
    )


def cells_of(label: Label | None, rest: Mapping[str, str]) -> dict[str, str]:
    """The cells of a label by column; of None those that say that there is no plate, with the photograph's rest."""
    if label is None:
        return dict(rest)
    cells = {**label.rest, "text": label.text, "country": label.country, KIND_COLUMN: label.kind, ROWS: label.rows}
    if label.box is not None:
        cells |= dict(zip(BOX_COLUMNS, map(_number, label.box), strict=True))
    if label.corners is not None:
        cells |= dict(zip(CORNER_COLUMNS, (_number(v) for point in label.corners for v in point), strict=True))
    return cells


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(round(float(value), 3))
