"""What `alpr country new` asks: one question each, asked again until the answer fits; earlier answers stay.

Without a terminal nothing is asked: a default stands for what no option says.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from string import ascii_uppercase, digits
from typing import TypeVar

import typer

from alpr.plates.fonts import FACES, is_face

T = TypeVar("T")
_SIZES = {1: "110 520", 2: "200 300"}
_PATTERNS = {1: "LLLDDDD", 2: "LLL/DDDD"}


def ask(question: str, default: str, read: Callable[[str], T]) -> T:
    """What a person answers; an answer that `read` refuses is explained and asked for again."""
    while sys.stdin.isatty():
        try:
            return read(input(f"{question} [{default}]: ").strip() or default)
        except EOFError:
            raise ValueError(f"The input ended at the question {question!r}; nothing was written.") from None
        except ValueError as error:
            typer.echo(str(error))
    return read(default)


def name(option: str | None, code: str) -> str:
    """The country's name."""
    return ask("The country's name", code.upper(), str) if option is None else option


def alphabet(option: str | None, default: str) -> str:
    """Every symbol of its plates.

    Raises:
        ValueError: an option with a symbol twice, or white space.
    """
    from alpr.plates.charset import Charset

    def read(answer: str) -> str:
        return Charset(answer).symbols

    return ask("Every symbol that a plate may print", default, read) if option is None else read(option)


def plates(
    patterns: Sequence[str] | None, size: tuple[float, float] | None, symbols: str
) -> list[tuple[str, tuple[float, float]]]:
    """The patterns of the country's plates and their sizes; asked for plates of one row, of two rows, or of both."""
    if patterns is not None:
        mm = ask("Height and width in mm", _SIZES[1], _size) if size is None else size
        return [(pattern, mm) for pattern in patterns]
    found = []
    for rows in ask("Plates of one row, of two rows, or of both: 1, 2 or 12", "1", _rows):
        which = "one row" if rows == 1 else "two rows, / between them"
        for pattern in ask(
            f"Patterns of plates of {which}; L letter, D digit, A either, ? behind what may lack; blanks between",
            _pattern_of(symbols, rows),
            lambda answer, rows=rows: _patterns(answer, symbols, rows),  # type: ignore[misc]
        ):
            found.append((pattern, rows))
    sizes = {
        rows: ask(f"Their height and width in mm, {rows} row{'s' * (rows > 1)}", _SIZES[rows], _size)
        if size is None
        else size
        for rows in sorted({rows for _, rows in found})
    }
    return [(pattern, sizes[rows]) for pattern, rows in found]


def colour(option: str | None, question: str, default: str) -> str:
    """A colour, #rrggbb.

    Raises:
        ValueError: an option that is none.
    """

    def read(answer: str) -> str:
        if not re.fullmatch("#[0-9a-fA-F]{6}", answer):
            raise ValueError(f"The colour {answer!r} is not of the form '#rrggbb'.")
        return answer

    return ask(question, default, read) if option is None else read(option)


def fonts(option: Sequence[str] | None, symbols: str) -> list[str]:
    """The typefaces: together they have every symbol.

    Raises:
        ValueError: an option of unknown faces or without a symbol, or no face at all that has them.
        ModuleNotFoundError: an option whose package is absent.
    """

    def read(answer: str) -> list[str]:
        names = [each for each in re.split(r"\s*,\s*", answer) if each]
        if unknown := [each for each in names if not is_face(each)]:
            raise ValueError(
                f"The font {unknown[0]!r} is unknown; expected some of {', '.join(FACES)}, or a font's path."
            )
        if lacking := _lacking(names, symbols):
            raise ValueError(f"{', '.join(names)} cannot draw {lacking}; expected fonts that have these characters.")
        return names

    if option is not None:
        return read(",".join(option))
    whole = [face for face in FACES if not _lacking([face], symbols)]
    if sys.stdin.isatty():
        typer.echo(f"Fonts with every symbol: {', '.join(whole) or 'none that is installed; name the file of one'}.")
    return ask("Fonts, commas between", ", ".join(_default_fonts(whole, symbols)), read)


def _default_fonts(whole: Sequence[str], symbols: str) -> list[str]:
    """A face in the manner of plates where it has something to draw, and one that has every symbol."""
    plain = "round" in whole or not whole
    return ["round"] if plain else [*(["round"] if set(symbols) & set(ascii_uppercase + digits) else []), whole[0]]


def _lacking(faces: Sequence[str], symbols: str) -> str:
    from alpr.synthetic.glyphs import can_draw

    def has(face: str, symbol: str) -> bool:
        try:
            return can_draw(symbol, face)
        except ModuleNotFoundError:  # its package is not installed
            return False

    return "".join(symbol for symbol in symbols if not any(has(face, symbol) for face in faces))


def _rows(answer: str) -> list[int]:
    if answer not in ("1", "2", "12"):
        raise ValueError(f"The rows are {answer!r}; expected 1, 2 or 12.")
    return [int(digit) for digit in answer]


def _pattern_of(symbols: str, rows: int) -> str:
    """The usual pattern, of the classes that the alphabet has."""
    has_letters, has_digits = any(not c.isdigit() for c in symbols), any(c.isdigit() for c in symbols)
    pattern = _PATTERNS[rows]
    return (
        pattern
        if has_letters and has_digits
        else pattern.replace("L", "D")
        if has_digits
        else pattern.replace("D", "L")
    )


def _patterns(answer: str, symbols: str, rows: int) -> list[str]:
    from alpr.plates.new_pack import check_pattern

    for pattern in answer.split():
        check_pattern(pattern, symbols, rows)
    return answer.split()


def _size(answer: str) -> tuple[float, float]:
    try:
        height, width = (float(value) for value in answer.split())
    except ValueError:
        raise ValueError(f"The size is {answer!r}; expected height and width in mm, such as 110 520.") from None
    if not (10 <= height <= 2000 and 10 <= width <= 2000):
        raise ValueError(f"The size is {answer!r}; expected 10 to 2000 mm.")
    return height, width
