"""`alpr synth ccpd`: a synthetic CCPD."""

from __future__ import annotations

from typing import Annotated

import typer

from alpr.cli.options import CountryOption, FolderOption, SeedOption, WorkersOption, complaints
from alpr.synthetic.ccpd_set import SyntheticPlan

PLAN = SyntheticPlan()


def synth_ccpd(
    output: FolderOption,
    scenes: Annotated[int, typer.Option("--scenes", metavar="N", help="How many scenes of 720x1160 px.")] = PLAN.scenes,
    seed: SeedOption = PLAN.seed,
    green_share: Annotated[
        float, typer.Option("--green-share", metavar="S", help="How many plates are green, 0 to 1.")
    ] = PLAN.green_share,
    val_share: Annotated[
        float, typer.Option("--val-share", metavar="S", help="How many scenes are for validation.")
    ] = PLAN.val_share,
    test_share: Annotated[
        float, typer.Option("--test-share", metavar="S", help="How many scenes are for the test.")
    ] = PLAN.test_share,
    quality: Annotated[
        int, typer.Option("--quality", metavar="N", help="Quality of the JPEG files, 1 to 100.")
    ] = PLAN.quality,
    workers: WorkersOption = 2,
    country: CountryOption = "cn",
) -> None:
    """Make a synthetic CCPD data set, without a download.

    Blue plates are in ccpd_base, green ones in ccpd_green/{train,val,test}.
    """
    with complaints("Interrupted; the same command goes on from here."):
        from alpr.plates.country import CountryPack
        from alpr.synthetic.ccpd_set import synthesize

        plan = SyntheticPlan(
            scenes=scenes,
            seed=seed,
            green_share=green_share,
            val_share=val_share,
            test_share=test_share,
            quality=quality,
        )
        report = synthesize(output, plan, CountryPack.find(country), workers=workers)
    folders = ", ".join(f"{folder} {count:,}" for folder, count in report.images.items())
    typer.echo(f"{report.written:,} scenes written, {report.kept:,} were there: {folders}.")
