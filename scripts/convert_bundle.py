"""Convert a bundle to fewer bits or for another runtime, with its size, speed and plate accuracy in one table.

python scripts/convert_bundle.py --model model_bin/cn --to fp16 --to int8 --calibration TRAIN.csv --score VAL.csv
    --output converted
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alpr.data.manifest import join_manifests, read_manifest
from alpr.export.convert import IN_PLACE, KEPT_FIRST, TARGETS, Asked, convert
from alpr.export.convert_report import ConversionReport, Latency, TargetReport
from alpr.reader.reader import default_bundle

WIDE = 200
"""Characters of a table that goes into a file."""


def main(
    to: Annotated[list[str], typer.Option(help=f"{', '.join(TARGETS)}; may be given again.")],
    score: Annotated[list[Path], typer.Option(help="Labelled plates to read; may be given again.")],
    output: Annotated[Path, typer.Option(help="A folder for the converted bundles and the figures.")],
    model: Annotated[Path | None, typer.Option(help="A bundle in fp32; else the default one.")] = None,
    place: Annotated[
        Path | None, typer.Option(help="The folder of the one bundle that is made; else OUTPUT/BUNDLE_TARGET.")
    ] = None,
    split: Annotated[str, typer.Option(help="The split that is read; 'all' for every row.")] = "val",
    calibration: Annotated[list[Path] | None, typer.Option(help="Training scenes, for int8.")] = None,
    calibration_split: Annotated[str, typer.Option(help="The split of these; 'all' for every row.")] = "train",
    keep_first: Annotated[
        int, typer.Option(min=0, help="int8: the detector's first convolutions that stay in float32.")
    ] = KEPT_FIRST,
    static_batch: Annotated[int, typer.Option(min=1, help="Batch of static and tflite.")] = 1,
    static_size: Annotated[
        tuple[int, int] | None, typer.Option(help="Height and width px of the detector's input: static, tflite, ncnn.")
    ] = None,
    accept_loss: Annotated[bool, typer.Option(help="Write also what loses more than 0.5 points.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="How often every network is timed.")] = 50,
) -> None:
    """Convert, score on labelled plates, time on 1 and 2 threads, and write what reads as well as the original."""
    logging.getLogger().setLevel(logging.ERROR)  # ONNX Runtime's advice on preparing graphs, which are prepared
    console, chosen = Console(stderr=True), _splits(split)
    try:
        asked = Asked(
            bundle=default_bundle() if model is None else model,
            output=output,
            targets=tuple(dict.fromkeys(to)),
            scored={path.absolute().parent.name: read_manifest(path, splits=chosen) for path in score},
            calibration=None
            if not calibration
            else join_manifests([read_manifest(path, splits=_splits(calibration_split)) for path in calibration]),
            fixed=None if static_size is None else (static_batch, *static_size),
            place=place,
            keep_first=keep_first,
            accept_loss=accept_loss,
            rounds=rounds,
        )
        with console.status("") as status:  # shown on a terminal only; elsewhere a line each
            report = convert(asked, advance=status.update if console.is_terminal else console.print)
    except (RuntimeError, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    show(report)
    refused = [row.refused for row in report.targets if row.refused]
    for sentence in refused:
        typer.echo(sentence, err=True)
    if refused:
        raise typer.Exit(1)


def _splits(split: str) -> list[str] | None:
    return None if split == "all" else [split]


def show(report: ConversionReport) -> None:
    """Prints the targets side by side, and their operators."""
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    networks = [f"{name}, {n} thread{'s' * (n > 1)}" for n in (1, 2) for name in ("detector", "recogniser")]
    table = Table("target", "MB", *networks, *report.manifests, "changed", "written")
    for column in table.columns:
        column.no_wrap = True
    for row in report.targets:
        times = [_cell(row.latency[f"{name}_{n}"]) for n in (1, 2) for name in ("detector", "recogniser")]
        accuracy = [f"{value:.1%}" for value in row.accuracy.values()]
        table.add_row(row.target, f"{row.megabytes:.2f}", *times, *accuracy, str(row.changed), _written(row))
    console.print(table)
    plates = ", ".join(f"{score.plates} of {name}" for name, score in report.targets[0].scores.items())
    console.print(
        f"ms: best (median) of a batch of one, and how many times faster than fp32; the detector at "
        f"{report.detector_input[1]} x {report.detector_input[2]} px (height x width). Plates read right, from the "
        f"image to the text: {plates}. changed: readings that are not fp32's."
    )
    for row in report.targets:
        for name, found in row.operators.items():
            console.print(f"{row.target} {name}: {found}", markup=False, highlight=False)


def _cell(latency: Latency) -> str:
    return f"{latency.best_ms:.2f} ({latency.median_ms:.2f}) x{latency.times_faster:.2f}"


def _written(row: TargetReport) -> str:
    if row.target in IN_PLACE:
        return "the bundle's files"
    return "no" if row.refused else "yes"


if __name__ == "__main__":
    typer.run(main)
