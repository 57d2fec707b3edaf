"""`alpr country new`: a commented country pack."""

from __future__ import annotations

import sys
from pathlib import Path
from string import ascii_uppercase, digits
from typing import Annotated

import typer

from alpr.cli.options import complaints
from alpr.plates.fonts import FACES


def new(
    code: Annotated[str, typer.Argument(metavar="XX", help="ISO 3166 alpha-2.")],
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Of the country.")] = None,
    alphabet: Annotated[
        str | None, typer.Option("--alphabet", metavar="TEXT", help="Every symbol a plate may print; else A-Z, 0-9.")
    ] = None,
    pattern: Annotated[
        list[str] | None,
        typer.Option("--pattern", metavar="TEXT", help="Of L letter, D digit, A either; again for every layout."),
    ] = None,
    size: Annotated[tuple[float, float] | None, typer.Option("--size", metavar="H W", help="Of a plate, mm.")] = None,
    background: Annotated[str, typer.Option("--background", metavar="#RRGGBB", help="Its colour.")] = "#e9eaea",
    foreground: Annotated[str, typer.Option("--foreground", metavar="#RRGGBB", help="The characters'.")] = "#15171a",
    font: Annotated[
        str | None, typer.Option("--font", metavar="NAME", help=f"One of {', '.join(FACES)}, or a font file.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="The YAML file; else XX.yaml beside the packs.")
    ] = None,
) -> None:
    """Write a commented country pack that validates.

    What no option says is asked for.
    """
    from alpr.plates.country import PACKS
    from alpr.plates.new_pack import pack_text, write_pack

    path = output or PACKS / f"{code.lower()}.yaml"
    with complaints():
        if path.exists():
            raise ValueError(f"{path} is there already; edit it, or give another --output.")
        called = _asked(name, "The country's name", code.upper())
        symbols = _asked(alphabet, "Every symbol that a plate may print", ascii_uppercase + digits)
        question = "Patterns of L letter, D digit, A either, with blanks between"
        patterns = pattern or _asked(None, question, "LLLDDDD").split()
        mm = size or tuple(float(v) for v in _asked(None, "Height and width in mm", "110 520").split())
        if len(mm) != 2:
            raise ValueError(f"The size is {mm}; expected height and width in mm.")
        face = font or ("round" if set(symbols) <= set(ascii_uppercase + digits) else "[round, 0.7], [noto-cjk, 0.3]")
        colours = (background, foreground)
        write_pack(pack_text(code, called, symbols, patterns, (mm[0], mm[1]), colours, face, path), path)
    typer.echo(f"Written to {path}; look at it: alpr country preview --country {path} --output sheet.png")


def _asked(value: str | None, question: str, default: str) -> str:
    """The value of an option, or what the user answers."""
    if value is not None or not sys.stdin.isatty():
        return default if value is None else value
    return input(f"{question} [{default}]: ").strip() or default
