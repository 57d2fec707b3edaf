"""CCPD file names: the name of a CCPD image is its whole label, and this file reads and writes it.

A name has seven fields: area - tilts - box - vertices - plate indices - brightness - blurriness, as in
`025-95_113-154&383_386&473-386&473_177&454_154&383_363&402-0_0_22_27_27_33_16-37-15.jpg`.

* area holds the digits after "0." of plate area / image area: `025` is 0.025, not 25 %.
* tilts are degrees near 90 in the base subset and in CCPD2020, deviations from 0 in the other subsets.
* vertices go right bottom, left bottom, left top, right top; this project begins at the top left.
* a plate has 7 indices, a green one 8, into three tables whose last entry, the letter O, means "no character".
* blurriness is low where the picture is blurry.

Whole numbers of a name are taken as they stand, as continuous pixels. Source: the README of detectRecog/CCPD.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

PROVINCES = "皖沪津渝冀晋蒙辽吉黑苏浙京闽赣鲁豫鄂湘粤桂琼川贵云藏陕甘青宁新警学O"
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZO"
CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789O"
PLATE_LENGTHS = (7, 8)

SUBSETS = (
    *("ccpd_base", "ccpd_blur", "ccpd_challenge", "ccpd_db", "ccpd_fn", "ccpd_np"),
    *("ccpd_rotate", "ccpd_tilt", "ccpd_weather", "ccpd_green"),
)
EMPTY_SUBSET = "ccpd_np"
"""Photographs without a plate; their names carry no label."""

_INTEGER = r"(0|[1-9][0-9]{0,8})"  # nine digits hold any pixel; Python refuses to read thousands
_POINT = f"{_INTEGER}&{_INTEGER}"
_NAME = re.compile(
    r"([0-9]+)-([0-9]+)_([0-9]+)"
    rf"-{_POINT}_{_POINT}-{_POINT}_{_POINT}_{_POINT}_{_POINT}"
    rf"-((?:0|[1-9][0-9]{{0,8}})(?:_(?:0|[1-9][0-9]{{0,8}})){{6,7}})-([0-9]+)-([0-9]+)(\.[A-Za-z]+)"
)
_FIELDS = ("area", "tilts", "box", "vertices", "plate", "brightness", "blurriness")
_EXPECTED = ("digits", "h_v", "x&y_x&y", "x&y_x&y_x&y_x&y", "7 or 8 indices joined by _", "digits", "digits")
_TO_TABLE = (
    {str(i): c for i, c in enumerate(PROVINCES[:-1])},
    {str(i): c for i, c in enumerate(LETTERS[:-1])},
    *({str(i): c for i, c in enumerate(CHARACTERS[:-1])},) * 6,
)
_TABLES = (PROVINCES, LETTERS, *(CHARACTERS,) * 6)

_PIECE = 16384
Point = tuple[int, int]


class CcpdNameError(ValueError):
    """A name that is no CCPD label; the sentence says which field is wrong and what was expected."""


class CcpdLabel(NamedTuple):
    """What a CCPD name says. Fields that are only digits keep their text, so that the name can be made again."""

    text: str
    box: tuple[int, int, int, int]  # x1, y1, x2, y2 in px
    corners: tuple[Point, Point, Point, Point]  # top left, top right, bottom right, bottom left
    area: str  # the digits after "0."
    tilt_h: str
    tilt_v: str
    brightness: str
    blurriness: str
    suffix: str = ".jpg"


@dataclass(frozen=True)
class CcpdColumns:
    """Many decoded names, by column: one entry per name that decodes, and the others with their reasons."""

    index: list[int]  # the place of each entry among the names that were given
    text: list[str]
    box: npt.NDArray[np.float64]  # (N, 4) px
    corners: npt.NDArray[np.float64]  # (N, 4, 2) px, top left first
    area: list[str]  # as a number: "0.025"
    tilt_h: list[str]
    tilt_v: list[str]
    brightness: list[str]
    blurriness: list[str]
    rejected: list[tuple[int, str]] = field(default_factory=list)  # (place, reason)


def split_of_subset(subset: str) -> str:
    """The split that a subset folder stands for where no list says otherwise: base trains, the others test."""
    if subset not in SUBSETS:
        return ""
    return "train" if subset == "ccpd_base" else "test"


def plate_text(indices: Sequence[str]) -> str:
    """The text that 7 or 8 CCPD indices stand for.

    Raises:
        CcpdNameError: another number of indices, one outside its table, or one that means "no character".
    """
    if len(indices) not in PLATE_LENGTHS:
        raise CcpdNameError(f"the plate has {len(indices)} indices; expected 7 or 8")
    for position, (index, table) in enumerate(zip(indices, _TABLES, strict=False), start=1):
        if not index.isdecimal() or int(index) >= len(table):
            raise CcpdNameError(f"character {position} has the index {index!r}; expected 0 to {len(table) - 2}")
        if int(index) == len(table) - 1:
            raise CcpdNameError(f"character {position} has the index {index}, which means 'no character'")
    return "".join(table[int(index)] for index, table in zip(indices, _TABLES, strict=False))


def plate_indices(text: str) -> list[int]:
    """The CCPD indices of a text of 7 or 8 characters.

    Raises:
        CcpdNameError: another length, or a character that CCPD has no index for at its place.
    """
    if len(text) not in PLATE_LENGTHS:
        raise CcpdNameError(f"the text {text!r} has {len(text)} characters; expected 7 or 8")
    indices = []
    for position, (character, table) in enumerate(zip(text, _TABLES, strict=False), start=1):
        index = table.find(character, 0, len(table) - 1)
        if index < 0:
            raise CcpdNameError(
                f"character {position} of {text!r} is {character!r}; CCPD's table there is {table[:-1]}"
            )
        indices.append(index)
    return indices


def decode_name(name: str) -> CcpdLabel:
    """The label in a CCPD file name (without folders).

    Raises:
        CcpdNameError: a name that is no label, as those of ccpd_np; the sentence names the field.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise CcpdNameError(_why(name))
    g = match.groups()
    x = [int(value) for value in g[3:15]]
    points = ((x[8], x[9]), (x[10], x[11]), (x[4], x[5]), (x[6], x[7]))
    text = plate_text(g[15].split("_"))
    return CcpdLabel(text, (x[0], x[1], x[2], x[3]), points, g[0], g[1], g[2], g[16], g[17], g[18])


def encode_name(label: CcpdLabel) -> str:
    """The CCPD file name of a label; `decode_name` reads it back.

    Raises:
        CcpdNameError: what a name cannot hold, such as a negative coordinate or a letter outside the tables.
    """
    coordinates = (*label.box, *(value for point in label.corners for value in point))
    if any(value < 0 or value != int(value) for value in coordinates):
        raise CcpdNameError(f"a CCPD name holds whole pixels of 0 or more; found {coordinates}")
    top_left, top_right, bottom_right, bottom_left = (f"{int(x)}&{int(y)}" for x, y in label.corners)
    x1, y1, x2, y2 = map(int, label.box)
    name = "-".join(
        (
            label.area,
            f"{label.tilt_h}_{label.tilt_v}",
            f"{x1}&{y1}_{x2}&{y2}",
            "_".join((bottom_right, bottom_left, top_left, top_right)),
            "_".join(map(str, plate_indices(label.text))),
            label.brightness,
            label.blurriness + label.suffix,
        )
    )
    if _NAME.fullmatch(name) is None:
        raise CcpdNameError(f"{name}: {_why(name)}")
    return name


def decode_names(names: Iterable[str]) -> CcpdColumns:
    """Many names (without folders) at once, by column; those that do not decode are listed with their reasons."""
    given = iter(names)
    pieces: list[CcpdColumns] = []
    start = 0
    # Piece by piece: the fields of all of CCPD as separate texts would take hundreds of megabytes.
    while piece := list(islice(given, _PIECE)):
        pieces.append(_decode_piece(piece, start))
        start += len(piece)
    return _joined(pieces)


def _decode_piece(names: Sequence[str], start: int) -> CcpdColumns:
    """Names of which the first is the one at the place `start`."""
    good: list[int] = []
    texts: list[str] = []
    columns: list[tuple[str, ...]] = []
    rejected: list[tuple[int, str]] = []
    fullmatch = _NAME.fullmatch
    # An array or a checked object per name would take minutes for the whole of CCPD; tuples of strings take seconds.
    for place, name in enumerate(names, start):
        match = fullmatch(name)
        if match is None:
            rejected.append((place, _why(name)))
            continue
        groups = match.groups()
        indices = groups[15].split("_")
        try:
            text = "".join([table[index] for table, index in zip(_TO_TABLE, indices, strict=False)])
        except KeyError:
            try:
                text = plate_text(indices)
            except CcpdNameError as error:
                rejected.append((place, str(error)))
                continue
        good.append(place)
        texts.append(text)
        columns.append(groups)
    return _by_column(good, texts, columns, rejected)


def _by_column(
    index: list[int], texts: list[str], groups: list[tuple[str, ...]], rejected: list[tuple[int, str]]
) -> CcpdColumns:
    columns = list(zip(*groups, strict=True)) if groups else [()] * 19
    numbers = np.array([list(map(float, column)) for column in columns[3:15]], dtype=np.float64)
    numbers = numbers.reshape(12, len(index)).T
    corners = numbers[:, 4:].reshape(-1, 4, 2)[:, [2, 3, 0, 1]]
    return CcpdColumns(
        index=index,
        text=texts,
        box=np.ascontiguousarray(numbers[:, :4]),
        corners=np.ascontiguousarray(corners),
        area=[f"0.{digits}" for digits in columns[0]],
        tilt_h=list(columns[1]),
        tilt_v=list(columns[2]),
        brightness=list(columns[16]),
        blurriness=list(columns[17]),
        rejected=rejected,
    )


def _joined(pieces: Sequence[CcpdColumns]) -> CcpdColumns:
    texts = ("text", "area", "tilt_h", "tilt_v", "brightness", "blurriness")
    return CcpdColumns(
        index=[i for piece in pieces for i in piece.index],
        box=np.concatenate([np.empty((0, 4)), *(piece.box for piece in pieces)]),
        corners=np.concatenate([np.empty((0, 4, 2)), *(piece.corners for piece in pieces)]),
        rejected=[entry for piece in pieces for entry in piece.rejected],
        **{name: [cell for piece in pieces for cell in getattr(piece, name)] for name in texts},
    )


def _why(name: str) -> str:
    """Why a name does not match, found field by field."""
    stem, dot, suffix = name.rpartition(".")
    if not dot or not suffix.isalpha():
        return "the name has no file type such as .jpg"
    parts = stem.split("-")
    if len(parts) != len(_FIELDS):
        return f"the name has {len(parts)} fields joined by '-'; a CCPD label has {len(_FIELDS)}: {', '.join(_FIELDS)}"
    point = rf"{_POINT}(?:_{_POINT})"
    patterns = (r"[0-9]+", r"[0-9]+_[0-9]+", point, point + "{3}", rf"{_INTEGER}(?:_{_INTEGER}){{6,7}}", r"\d+", r"\d+")
    for part, what, pattern, expected in zip(parts, _FIELDS, patterns, _EXPECTED, strict=True):
        if re.fullmatch(pattern, part) is None:
            return f"the field '{what}' is {part!r}; expected {expected} (whole numbers without leading zeros)"
    return "the name is no CCPD label"
