"""`alpr compare`: two evaluations of the same plates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import complaints


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A folder with report.json, or a protocol's JSON.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The same of another evaluation.")],
    flips: Annotated[
        int, typer.Option("--flips", metavar="N", min=0, help="The most plates of each kind listed.")
    ] = 20,
) -> None:
    """Compare two evaluations of the same plates.

    McNemar's test, the plates that flipped, and the settings that differ.
    """
    from alpr.evaluation.comparison import as_text, compared, read_evaluated

    with complaints():
        comparison = compared(read_evaluated(first), read_evaluated(second))
    typer.echo(as_text(comparison, flips), nl=False)
