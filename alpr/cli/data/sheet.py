"""`alpr data sheet`: pages for checking corner labels by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import SeedOption, complaints


def sheet(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A table of labelled plates.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="The folder of the pages and of corners.csv.")
    ] = None,
    score: Annotated[
        Path | None, typer.Option("--score", metavar="FILE", help="A filled corners.csv: print how far labels are off.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", metavar="NAME", help="Only plates of this split.")] = None,
    plates: Annotated[int, typer.Option("--plates", metavar="N", min=1, help="How many plates are shown.")] = 20,
    seed: SeedOption = 0,
    blind: Annotated[bool, typer.Option("--blind", help="Hide the label.")] = False,
) -> None:
    """Draw corners for checking labels by hand, or score them.

    The four corners of some plates enlarged, and a table for the true ones.

    A page shows five plates, a row each: 24x24 px around every labelled corner, twelve times enlarged, with the
    image's own coordinates every 5 px and a cross at the label. Note the true corner's x and y in the table.
    """
    from alpr.data.several_tables import read_manifest
    from alpr.doctor.label_sheets import distances, distances_text, write_sheets

    with complaints():
        if (output is None) == (score is None):
            raise ValueError("Expected either --output DIR or --score FILE.")
        manifest = read_manifest(table, splits=[split] if split else None)
        if output is not None:
            write_sheets(manifest, plates, seed, output, blind)
            typer.echo(f"Written to {output}")
        if score is not None:
            typer.echo(distances_text(distances(manifest, score)))
