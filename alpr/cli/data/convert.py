"""`alpr data convert`: a foreign format into one table, or on into another format."""

from __future__ import annotations

import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import complaints, plain_console


class Placing(str, Enum):
    """How photographs come to where a format expects them."""

    LINK = "link"
    COPY = "copy"
    NONE = "none"


def convert_data(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="The data set's folder, or its one file of labels.")],
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="The table to write; with --to the folder to write into.")
    ],
    source_format: Annotated[
        str | None, typer.Option("--from", metavar="KIND", help="Its format; guessed where it is certain.")
    ] = None,
    to: Annotated[str, typer.Option("--to", metavar="KIND", help="The format to write.")] = "manifest",
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="The photographs, where not beside the labels.")
    ] = None,
    classes: Annotated[
        str, typer.Option("--classes", metavar="A,B", help="The classes that are plates; else the one that says so.")
    ] = "",
    label_is_text: Annotated[
        bool, typer.Option("--label-is-text", help="Labels are the plates' texts, not classes.")
    ] = False,
    keep_order: Annotated[
        bool, typer.Option("--keep-order", help="Leave corners in the order in which they are given.")
    ] = False,
    country: Annotated[
        str, typer.Option("--country", metavar="XX", help="Of plates that name none: a code such as CN, or a pack.")
    ] = "",
    place_images: Annotated[
        Placing, typer.Option("--place-images", help="With --to: how photographs come to where they are expected.")
    ] = Placing.LINK,
    encoding: Annotated[
        str, typer.Option("--encoding", metavar="NAME", help="Of label files that are not UTF-8, such as gbk.")
    ] = "",
    orientation: Annotated[
        str,
        typer.Option(
            "--orientation",
            metavar="stored|upright",
            help="Labels were drawn before or after EXIF orientation was applied; only where that is unsure.",
        ),
    ] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first record that cannot be used.")] = False,
) -> None:
    """Convert a data set into one table.

    Or with --to into another format. A KIND that is not there gets the list of those that are.
    """
    from alpr.data.importers.conversion import convert
    from alpr.data.importers.labels import Wanted
    from alpr.plates.country import CountryPack

    console = plain_console()
    with complaints("Interrupted; files written so far are whole."):
        code = CountryPack.find(country).code if Path(country).suffix in (".yaml", ".yml") else country
        chosen = tuple(part.strip() for part in classes.split(",") if part.strip())
        wanted = Wanted(chosen, images, label_is_text, keep_order, code, strict, orientation)
        started = time.perf_counter()
        convert(source, source_format, wanted, to, output, place_images.value, console, encoding)
        console.print(f"{output}, after {time.perf_counter() - started:.1f} s")
