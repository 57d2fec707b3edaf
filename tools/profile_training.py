"""Show where the time of a training step goes, for several models and image sizes.

python tools/profile_training.py experiment=ccpd_green_detector --model scrfd_500m --model scrfd_2500m --side 320
python tools/profile_training.py experiment=ccpd_green_detector --workers 1 --workers 8 --workers 16
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import alpr  # noqa: F401 - it installs the torchvision hook before anything else is imported


def main(
    overrides: Annotated[list[str], typer.Argument(help="As for alpr train: experiment=NAME key=value ...")],
    model: Annotated[list[str] | None, typer.Option(help="A file of configs/model; may be given again.")] = None,
    side: Annotated[list[int] | None, typer.Option(help="A square canvas, px; may be given again.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps that are timed.")] = 8,
    workers: Annotated[
        list[int] | None, typer.Option(min=1, help="What so many loader processes give together; may be given again.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.")] = None,
) -> None:
    """Time data, forward, backward and update of real training steps, in ms per image."""
    from alpr.files import write_json
    from alpr.provenance import TRAINED_WITH, provenance
    from alpr.training.configuration import complaint_about, composed, plain_sentence
    from alpr.training.step_times import loader_rate, step_times

    table = Table("model", "canvas", "batch", "data ms", "forward", "backward", "update", "network/s", "one loader/s")
    loaders = Table("model", "canvas", "loaders", "images/s")
    rows, ceilings = [], []
    console = Console()
    for name in model or [None]:
        for px in side or [None]:
            chosen = [*overrides, *([f"model={name}"] if name else []), *([f"data.canvas=[{px},{px}]"] if px else [])]
            complaint = complaint_about(chosen, "train")
            if complaint is not None:
                raise typer.BadParameter(complaint)
            config = composed("train", chosen)
            try:
                times = step_times(config, steps)
            except (ValueError, OSError) as error:
                typer.echo(plain_sentence(error), err=True)
                raise typer.Exit(2) from error
            canvas = "x".join(map(str, config.data.get("canvas", [])))
            what = (times.data_ms, times.forward_ms, times.backward_ms, times.update_ms)
            rates = (times.network_per_s, times.loader_per_s)
            shown = name or str(config.model._target_).rpartition(".")[2]
            table.add_row(
                shown, canvas, str(times.batch_size), *(f"{v:.2f}" for v in what), *(f"{v:.1f}" for v in rates)
            )
            rows.append({"model": shown, "canvas": canvas, **asdict(times)})
            for count in workers or []:
                rate = loader_rate(config, count)
                loaders.add_row(shown, canvas, str(count), f"{rate:.1f}")
                ceilings.append({"model": shown, "canvas": canvas, "workers": count, "images_per_s": rate})
    console.print(table)
    if ceilings:
        console.print(loaders)
    if output is not None:
        made = asdict(provenance(packages=TRAINED_WITH))
        write_json(output, {**made, "overrides": overrides, "rows": rows, "loaders": ceilings})


if __name__ == "__main__":
    typer.run(main)
