"""Where the characters, separators and bands of a plate sit, in millimetres from its top left corner."""

from __future__ import annotations

from typing import NamedTuple

from alpr.plates.layout import Layout, Separator


class Cell(NamedTuple):
    """A character's cell: its number in the text, its centre and its (height, width)."""

    number: int
    x: float
    y: float
    size: tuple[float, float]


class Mark(NamedTuple):
    """A separator that is drawn: its kind, its centre, the width of its space and the height of its row."""

    kind: str
    x: float
    y: float
    width: float
    height: float


class Placement(NamedTuple):
    """All cells in the order of the text, and the marks between them."""

    cells: tuple[Cell, ...]
    marks: tuple[Mark, ...]


def place(layout: Layout, chosen: tuple[int, ...], text: str) -> Placement:
    """The places of a text's characters: rows centred in what the bands leave free.

    Args:
        chosen: the pattern's places that the characters stand on, see `Layout.choice_of`.
        text: tells digits from letters where the plate runs from the right.
    """
    left, top, right, bottom = layout.free_mm()
    heights = [layout.cell_mm(row)[0] for row in range(layout.rows)]
    y = (top + bottom - sum(heights) - layout.row_gap_mm * (layout.rows - 1)) / 2
    character = dict(zip(chosen, text, strict=False))  # a plate without characters has places all the same
    number = {place: i for i, place in enumerate(chosen)}
    cells: list[Cell] = []
    marks: list[Mark] = []
    for row, height in enumerate(heights):
        steps = list(layout.row_steps(chosen, row))
        if layout.right_to_left:
            steps = _from_the_right(steps, character)
        x = (left + right - sum(width for _, width in steps)) / 2
        for item, width in steps:
            centre = (x + width / 2, y + height / 2)
            if isinstance(item, Separator):
                if item.kind != "space":
                    marks.append(Mark(item.kind, *centre, width, height))
            else:
                cells.append(Cell(number[item], *centre, layout.place_mm(item)))
            x += width
        y += height + layout.row_gap_mm
    return Placement(tuple(sorted(cells)), tuple(marks))


_Steps = list[tuple[int | Separator, float]]


def _from_the_right(steps: _Steps, character: dict[int, str]) -> _Steps:
    """Reading order to the order from the left: all is turned round but runs of digits, as in Unicode's rules."""
    turned: _Steps = []
    run: _Steps = []
    for item, width in reversed(steps):
        inside = character[item].isdigit() if isinstance(item, int) else item.kind == "space" and bool(run)
        if inside:
            run.insert(0, (item, width))
            continue
        turned += _closed(run)
        run = []
        turned.append((item, width))
    return turned + _closed(run)


def _closed(run: _Steps) -> _Steps:
    """A run of digits; the gap towards what comes before it in reading order stands on its right."""
    return [*run[1:], run[0]] if run and isinstance(run[0][0], Separator) else run
