"""`alpr average`: the mean of several trainings' weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import complaints


def average(
    networks: Annotated[
        list[Path], typer.Argument(metavar="NETWORK", help="Run folders, checkpoints or safetensors files.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", metavar="FILE", help="A safetensors file; in a run's folder it is calibrated on its plates."
        ),
    ],
    share: Annotated[
        list[float] | None,
        typer.Option("--share", metavar="S", help="Of each network, in their order; may be given again; else equal."),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="CLASS", help="Of networks of your own: PACKAGE.MODULE.CLASS.")
    ] = None,
) -> None:
    """Average the weights of several trainings.

    The mean is a safetensors file to calibrate and export; the settings are the last network's.
    """
    with complaints():
        from alpr.runs.checkpoints import named_task
        from alpr.runs.weights import SUFFIX, write_weights
        from alpr.training.averaging import averaged

        if output.suffix != SUFFIX:
            raise ValueError(f"{output} does not end in {SUFFIX}.")
        write_weights(averaged(networks, share, None if task is None else named_task(task)), output)
    typer.echo(f"{output}: the mean of {', '.join(map(str, networks))}.")
