"""`alpr synth plates`: rendered crops of a country's plates."""

from __future__ import annotations

from typing import Annotated

import typer

from alpr.cli.options import CountryOption, FolderOption, SeedOption, WorkersOption, complaints
from alpr.synthetic.crop_set import CropPlan

PLAN = CropPlan()


def plates(
    country: CountryOption,
    output: FolderOption,
    crops: Annotated[int, typer.Option("--crops", metavar="N", help="How many crops.")] = PLAN.crops,
    seed: SeedOption = PLAN.seed,
    size: Annotated[tuple[int, int], typer.Option("--size", metavar="H W", help="Size of a crop in px.")] = PLAN.size,
    margin: Annotated[
        float, typer.Option("--margin", metavar="M", help="Fraction left around the plate.")
    ] = PLAN.margin,
    val_share: Annotated[
        float, typer.Option("--val-share", metavar="S", help="How many plates are for validation.")
    ] = PLAN.val_share,
    glyph_bank: Annotated[
        str | None,
        typer.Option("--glyph-bank", metavar="FILE", help="Glyphs of your own plates, see `alpr synth glyphs`."),
    ] = None,
    workers: WorkersOption = 2,
) -> None:
    """Write rendered crops of a country's plates.

    Their table has image, text, country, layout and split.
    """
    with complaints("Interrupted; the same command goes on from here."):
        from alpr.plates.country import CountryPack
        from alpr.synthetic.crop_set import synthesize_crops

        plan = CropPlan(crops, seed, size, margin, val_share, glyph_bank)
        written = synthesize_crops(output, plan, CountryPack.find(country), workers=workers)
    typer.echo(f"{written:,} crops written, {plan.crops - written:,} were there: {output / 'labels.csv'}")
