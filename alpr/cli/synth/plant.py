"""`alpr synth plant`: plates of a country in photographs of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import CountryOption, FolderOption, SeedOption, WorkersOption, complaints
from alpr.synthetic.planted_set import PlantedPlan

PLAN = PlantedPlan()


def plant(
    tables: Annotated[list[Path], typer.Argument(metavar="TABLE", help="Tables of labelled photographs.")],
    output: FolderOption,
    country: CountryOption = "cn",
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Only photographs of this split.")
    ] = None,
    copies: Annotated[int, typer.Option("--copies", metavar="N", help="Pictures of each photograph.")] = PLAN.copies,
    blank: Annotated[
        bool, typer.Option("--blank", help="Cover the plates instead: pictures known to hold none.")
    ] = False,
    max_side: Annotated[
        int | None, typer.Option("--max-side", metavar="PX", help="Halve photographs until they are within it.")
    ] = None,
    seed: SeedOption = PLAN.seed,
    workers: WorkersOption = 2,
) -> None:
    """Put a country's plates into photographs of others.

    Or take the plates away, with --blank.

    The table labels.csv has the corners, texts and layouts; it trains the detector and, as text and corners in a
    photograph, the recogniser. Photographs of which only boxes are labelled serve: quads are fitted into them.
    """
    with complaints("Interrupted; the same command makes the set anew."):
        from alpr.data.several_tables import read_manifest
        from alpr.plates.country import CountryPack
        from alpr.synthetic.planted_set import TABLE, plant_set

        pack = CountryPack.find(country)
        manifest = read_manifest(tables, splits=None if split is None else [split])
        made = plant_set(output, PlantedPlan(copies, seed, blank, max_side), manifest, pack, workers=workers)
    left_out = f"; {len(made.rejected)} left out (labels.rejected.csv)" if made.rejected else ""
    typer.echo(f"{made.pictures:,} pictures with {made.plates:,} plates{left_out}: {output / TABLE}")
