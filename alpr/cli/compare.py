"""`alpr compare`: trainings side by side, or two evaluations of the same plates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import complaints


def compare(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs or folders of runs; or two folders with report.json, or two JSON."),
    ],
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="KEY",
            help="Runs with the same value of this setting, or of several (KEY,KEY), are one row.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Also as .md, .html (with curves) or .txt.")
    ] = None,
    flips: Annotated[
        int, typer.Option("--flips", metavar="N", min=0, help="Of evaluations: the most plates of each kind listed.")
    ] = 20,
) -> None:
    """Compare trainings, or two evaluations of the same plates.

    Of trainings: mean and spread, a paired test per held-back plate against the first, learning curves, cost, and the
    settings that differ. Of evaluations: McNemar's test, the plates that flipped, and the settings that differ.
    """
    from alpr.evaluation.comparison import as_text, compared, read_evaluated
    from alpr.evaluation.run_comparison import RUN_FILE, grouped, read_runs
    from alpr.evaluation.run_comparison_page import run_grids, write_comparison
    from alpr.evaluation.tables import as_text as grids_as_text
    from alpr.files import write_atomically

    with complaints():
        runs = any((place / RUN_FILE).is_file() or any(place.glob(f"*/{RUN_FILE}")) for place in places)
        if runs or group is not None:
            groups = grouped(read_runs(places), group)
            told = grids_as_text(run_grids(groups))
            if output is not None:
                write_comparison(groups, output)
        else:
            if len(places) != 2:
                raise ValueError(f"{len(places)} evaluations are given; expected two, or trainings with run.json.")
            if output is not None and output.suffix == ".html":
                raise ValueError(f"{output}: two evaluations are compared as text alone; expected .txt or .md.")
            told = as_text(compared(*map(read_evaluated, places)), flips)
            if output is not None:
                write_atomically(output, [told.encode(errors="backslashreplace")])
    typer.echo(told, nl=False)
