"""The one printer of tables: text that fits a terminal, Markdown and LaTeX."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

WIDTH = 80
"""Columns of a terminal that a printed table fits."""
_FIRST, _PROSE, _GAP = 26, 20, 2
_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}"}


@dataclass(frozen=True)
class Grid:
    """A table: its cells as text, the first column to the left and the others to the right, and notes below it."""

    title: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


def as_text(grids: Sequence[Grid], width: int = WIDTH) -> str:
    """Columns below headings; what is too wide is wrapped, turned if that is shorter, or goes on in a block below."""
    return "\n\n".join("\n".join(_lines(grid, width)) for grid in grids) + "\n"


def _lines(grid: Grid, width: int) -> Iterator[str]:
    yield from _wrapped_note(grid.title, width)
    if grid.header:
        lines = _table(grid, width)
        if "" in lines and all(figure_columns(grid)[1:]):  # several blocks of figures alone
            lines = min(lines, _table(_turned(grid), width), key=lambda laid: (laid.count(""), len(laid)))
        yield from lines
    for note in grid.notes:
        yield from _wrapped_note(note, width)


def _table(grid: Grid, width: int) -> list[str]:
    """The lines of the cells; an empty one between blocks."""
    columns = [[row[c] for row in (grid.header, *grid.rows)] for c in range(len(grid.header))]
    figures = figure_columns(grid)
    widths = _widths(columns, figures, width)
    lines: list[str] = []
    for number, block in enumerate(_blocks(widths, width)):
        lines += [""] * (number > 0)
        for row in range(len(grid.rows) + 1):
            lines += _row([(columns[c][row], widths[c], figures[c]) for c in block])
    return lines


def _turned(grid: Grid) -> Grid:
    """Rows as columns."""
    header, *rows = zip(grid.header, *grid.rows, strict=True)
    return Grid(grid.title, header, tuple(rows))


def _wrapped_note(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _widths(columns: Sequence[Sequence[str]], figures: Sequence[bool], width: int) -> list[int]:
    """Of each column: whole where all fit side by side, else as narrow as its figures or its share of the prose."""
    whole = [max(map(cell_len, column)) for column in columns]
    if _together(whole) <= width:
        return whole
    narrow = [
        max(max(map(cell_len, column[1:]), default=0), max(map(cell_len, column[0].split()), default=0))
        for column in columns
    ]
    narrow[0] = min(narrow[0], _FIRST)
    most = width - _GAP - narrow[0]
    prose = [c for c in range(1, len(columns)) if not figures[c]]
    room = width - _together([w for c, w in enumerate(narrow) if c not in prose]) - _GAP * len(prose)
    for left, c in zip(range(len(prose), 0, -1), sorted(prose, key=lambda c: narrow[c]), strict=True):
        narrow[c] = min(narrow[c], max(room // left, _PROSE))
        room -= narrow[c]
    return [narrow[0], *(min(w, most) for w in narrow[1:])]


def _together(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _blocks(widths: Sequence[int], width: int) -> list[list[int]]:
    """Which columns stand side by side; the first in each block."""
    blocks = [[0]]
    for c in range(1, len(widths)):
        if len(blocks[-1]) > 1 and _together([widths[i] for i in (*blocks[-1], c)]) > width:
            blocks.append([0])
        blocks[-1].append(c)
    return blocks


def _row(cells: Sequence[tuple[str, int, bool]]) -> Iterator[str]:
    """The lines of a row of (text, width, whether the column holds figures)."""
    wrapped = [_wrapped(text, width) for text, width, _ in cells]
    for line in range(max(map(len, wrapped))):
        parts = []
        for place, ((text, width, figures), pieces) in enumerate(zip(cells, wrapped, strict=True)):
            piece = pieces[line] if line < len(pieces) else ""
            space = " " * (width - cell_len(piece))
            parts.append(space + piece if place and (figures or _is_figure(text)) else piece + space)
        yield (" " * _GAP).join(parts).rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    if cell_len(text) <= width:
        return [text]
    if cell_len(text) > len(text):  # characters of two columns, which textwrap does not know
        return chop_cells(text, width)
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _is_figure(cell: str) -> bool:
    return cell[:1].isdecimal() or cell in ("-", "?")


def figure_columns(grid: Grid) -> list[bool]:
    """Which columns hold figures, which stand to the right."""
    return [c > 0 and all(_is_figure(row[c]) for row in grid.rows) for c in range(len(grid.header))]


def as_markdown(grids: Sequence[Grid]) -> str:
    """GitHub's tables."""
    pieces = []
    for grid in grids:
        pieces.append(f"## {grid.title}")
        if grid.header:
            rule = tuple("---:" if figure else "---" for figure in figure_columns(grid))
            lines = [tuple(map(_in_markdown, row)) for row in (grid.header, rule, *grid.rows)]
            pieces.append("\n".join("| " + " | ".join(row) + " |" for row in lines))
        pieces += map(_in_markdown, grid.notes)
    return "\n\n".join(pieces) + "\n"


def _in_markdown(text: str) -> str:
    return text.replace("|", r"\|")


def as_latex(grids: Sequence[Grid]) -> str:
    """Tables of plain LaTeX, to be put into a paper; figures stand to the right."""
    pieces = []
    for grid in grids:
        notes = "\n\n".join(_in_latex(note) for note in grid.notes)
        if not grid.header:
            pieces.append(f"\\paragraph{{{_in_latex(grid.title)}}} {notes}")
            continue
        columns = "".join("r" if figure else "l" for figure in figure_columns(grid))
        lines = [" & ".join(map(_in_latex, row)) + r" \\" for row in (grid.header, *grid.rows)]
        body = "\n".join([lines[0], r"\hline", *lines[1:]])
        pieces.append(
            f"\\begin{{table}}\n\\caption{{{_in_latex(grid.title)}}}\n\\begin{{tabular}}{{{columns}}}\n{body}\n"
            f"\\end{{tabular}}\n\n{notes}\n\\end{{table}}"
        )
    return "\n\n".join(pieces) + "\n"


def _in_latex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in text).replace(">", "$>$").replace("<", "$<$")
