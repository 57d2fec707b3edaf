"""Averages the weights of trainings of one network and writes them as safetensors, to calibrate and export.

python scripts/average_weights.py runs/first runs/second --output runs/second/average.safetensors
python scripts/calibrate.py recogniser=runs/second/average.safetensors
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.training.averaging import averaged
from alpr.training.runs import RunError
from alpr.training.weights import SUFFIX, write_weights


def main(
    networks: Annotated[list[Path], typer.Argument(help="Run folders, checkpoints or safetensors files.")],
    output: Annotated[
        Path, typer.Option(help="A safetensors file; in the folder of a run it is calibrated on that run's plates.")
    ],
    share: Annotated[list[float] | None, typer.Option(help="Of each network, in their order; else equal.")] = None,
) -> None:
    """Writes the mean of the networks' weights, with the settings of the last. Leaves with 1 after a complaint."""
    try:
        if output.suffix != SUFFIX:
            raise RunError(f"{output} does not end in {SUFFIX}.")
        write_weights(averaged(networks, share), output)
    except (OSError, RunError) as error:
        typer.echo(f"average_weights.py: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{output}: the mean of {', '.join(map(str, networks))}.")


if __name__ == "__main__":
    typer.run(main)
