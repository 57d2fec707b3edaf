"""The columns of a manifest: their names, how cells become numbers and back, and what makes a row unusable."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

BOX_COLUMNS = ("x1", "y1", "x2", "y2")
CORNER_COLUMNS = ("tl_x", "tl_y", "tr_x", "tr_y", "br_x", "br_y", "bl_x", "bl_y")
COLUMNS = ("image", "text", "country", *BOX_COLUMNS, *CORNER_COLUMNS, "split", "note")
KIND_COLUMN = "kind"
REVIEWED_COLUMN = "reviewed"
"""The column that says when a person looked at a row, UTC; empty for a draft. A table without it has no drafts."""
COLOUR_COLUMN = "colour"
"""The column that names a plate's colour, or its kind by another name, where a set has it."""
SIZE_COLUMNS = (("image_width", "image_height"), ("width", "height"))
"""Columns that say how large an image was when it was labelled, where a table has them."""
IGNORE = "ignore"
KINDS = ("", "plate", IGNORE)
REJECTED_COLUMNS = ("file", "row", "image", "reason")

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


class ManifestError(ValueError):
    """A table that cannot be used; the sentence names the file, what was expected and what was found."""


class Rejection(NamedTuple):
    """A row or an image that was left out, and why. `row` counts as a text editor does; the header is row 1."""

    file: str
    row: int
    image: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.file}, row {self.row}" if self.row else self.file
        return f"{where} ({self.image}): {self.reason}"


def parse_numbers(cells: Sequence[str], column: str) -> tuple[Floats, dict[int, str]]:
    """The numbers of a column's cells, NaN where a cell is empty, and the reason for every cell that is no number."""
    try:
        values = np.array([float(cell) if cell else math.nan for cell in cells], dtype=np.float64)
        given = np.array([bool(cell) for cell in cells], dtype=bool)
    except ValueError:  # at least one cell is text (or a blank); find which
        return _parse_slowly(cells, column)
    faults = {i: _no_number(column, cells[i]) for i in np.flatnonzero(given & ~np.isfinite(values)).tolist()}
    values[list(faults)] = math.nan
    return values, faults


def _parse_slowly(cells: Sequence[str], column: str) -> tuple[Floats, dict[int, str]]:
    values = np.full(len(cells), math.nan)
    faults: dict[int, str] = {}
    for i, cell in enumerate(cells):
        if not cell.strip():
            continue
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            values[i] = value
        else:
            faults[i] = _no_number(column, cell)
    return values, faults


def _no_number(column: str, cell: str) -> str:
    return f"column {column} holds {cell!r}; expected a number of pixels or nothing"


def number_cells(values: Floats) -> list[str]:
    """Cells that read back as the same numbers: whole ones without a point, NaN as nothing."""
    finite = np.isfinite(values)
    if finite.all() and (values == np.rint(values)).all() and (np.abs(values) < 1e15).all():
        return list(map(str, values.astype(np.int64).tolist()))
    return ["" if math.isnan(v) else str(int(v)) if v.is_integer() else repr(v) for v in values.tolist()]


def convex_clockwise(corners: Floats) -> Booleans:
    """`geometry.is_convex_clockwise` of many quads at once: (N, 4, 2) -> (N,). NaN gives False."""
    edges = np.roll(corners, -1, axis=1) - corners
    following = np.roll(edges, -1, axis=1)
    turns = edges[..., 0] * following[..., 1] - edges[..., 1] * following[..., 0]
    return np.asarray((turns > 0).all(axis=1))


def geometry_faults(box: Floats, corners: Floats) -> dict[int, str]:
    """Why a row's box (N, 4) or corners (N, 4, 2) cannot be used, by row; rows in order have no entry."""
    faults: dict[int, str] = {}
    flat = corners.reshape(-1, 8)
    has_corners = np.isfinite(flat).sum(axis=1)
    has_box = np.isfinite(box).sum(axis=1)
    for what, has, values, names in (
        ("corners", has_corners, flat, CORNER_COLUMNS),
        ("box", has_box, box, BOX_COLUMNS),
    ):
        for i in np.flatnonzero((has > 0) & (has < len(names))):
            missing = [name for name, value in zip(names, values[i], strict=True) if math.isnan(value)]
            faults.setdefault(
                int(i), f"the {what} are half given: {', '.join(missing)} missing; give all {len(names)} or none"
            )
    for i in np.flatnonzero((has_corners == 8) & ~convex_clockwise(corners)):
        faults.setdefault(
            int(i),
            f"the corners {_points(corners[i])} are crossed, flat or not clockwise; "
            "expected top left, top right, bottom right, bottom left as the text is read",
        )
    for i in np.flatnonzero((has_box == 4) & ~((box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1]))):
        faults.setdefault(int(i), f"the box {number_cells(box[i])} has no area; expected x1 < x2 and y1 < y2")
    return faults


def share_faults(box: Floats, corners: Floats) -> dict[int, str]:
    """Why the coordinates of rows cannot be px, by row."""
    reason = "the coordinates lie between 0 and 1, as shares of the image; expected px"
    return dict.fromkeys(np.flatnonzero(as_shares(box, corners)).tolist(), reason)


def as_shares(box: Floats, corners: Floats) -> Booleans:
    """Whether the coordinates of rows are shares of the image and not px: (N, 4), (N, 4, 2) -> (N,).

    No plate is one px large and lies in the image's first px.
    """
    numbers = np.concatenate([box, corners.reshape(-1, 8)], axis=1)
    given = np.isfinite(numbers)
    within = np.where(given, (numbers >= -0.5) & (numbers <= 1.5), True).all(axis=1)
    # A label of whole numbers is one of px that is wrong in another way.
    broken = (given & (numbers != np.rint(np.where(given, numbers, 0)))).any(axis=1)
    return np.asarray(within & broken)


def kind_faults(kinds: Sequence[str], located: Booleans) -> dict[int, str]:
    """Why a row's kind cannot be used, by row.

    Args:
        located: (N,) whether a row has a box or corners.
    """
    faults: dict[int, str] = {}
    for i, kind in enumerate(kinds):
        if kind not in KINDS:
            faults[i] = f"column {KIND_COLUMN} holds {kind!r}; expected plate, {IGNORE} or nothing"
        elif kind == IGNORE and not located[i]:
            faults[i] = "a region to ignore has neither box nor corners; expected one of them"
    return faults


def has_place(box: Floats, corners: Floats) -> Booleans:
    """Whether rows have a box (N, 4) or corners (N, 4, 2): (N,)."""
    return np.asarray(np.isfinite(box[:, 0]) | np.isfinite(corners[:, 0, 0]))


def _points(corners: Floats) -> str:
    return " ".join(f"({','.join(number_cells(point))})" for point in corners)


def as_numbers(values: Any, rows: int, shape: tuple[int, ...]) -> Floats:
    """Values as (rows, *shape) float64; None is all NaN.

    Raises:
        ManifestError: another shape.
    """
    if values is None:
        return np.full((rows, *shape), math.nan)
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (rows, *shape):
        raise ManifestError(f"Numbers of shape {array.shape} were given for {rows} rows; expected {(rows, *shape)}.")
    return array


def as_cells(values: Iterable[str | None] | str | None, rows: int, column: str) -> list[str]:
    """A text column with one entry per row; None or one text for all fills it.

    Raises:
        ManifestError: another number of entries.
    """
    if values is None or isinstance(values, str):
        return [values or ""] * rows
    cells = [value or "" for value in values]
    if len(cells) != rows:
        raise ManifestError(f"Column {column} has {len(cells)} entries for {rows} rows.")
    return cells
