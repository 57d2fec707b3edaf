"""`alpr convert`: a bundle with fewer bits or for another runtime."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import BundleOption, complaints, plain_console
from alpr.export.target import target_names
from alpr.reader.reader import find_bundle

TARGETS = ", ".join(target_names())


def convert(
    to: Annotated[list[str], typer.Option("--to", metavar="TARGET", help=f"{TARGETS}; may be given again.")],
    score: Annotated[list[Path], typer.Option("--score", metavar="TABLE", help="Labelled plates to read; or several.")],
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="A folder for the converted bundles and the figures.")
    ],
    bundle: BundleOption = None,
    place: Annotated[
        Path | None,
        typer.Option("--place", metavar="DIR", help="The folder of the one bundle that is made; else below OUTPUT."),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="The split that is read; 'all' for every row.")
    ] = "val",
    calibration: Annotated[
        list[Path] | None,
        typer.Option("--calibration", metavar="TABLE", help="Training scenes, where a target is scaled to them."),
    ] = None,
    calibration_split: Annotated[
        str, typer.Option("--calibration-split", metavar="NAME", help="The split of these; 'all' for every row.")
    ] = "train",
    keep_first: Annotated[
        int | None,
        typer.Option(
            "--keep-first", metavar="N", min=0, help="A quantised detector's first convolutions that stay in float32."
        ),
    ] = None,
    static_batch: Annotated[
        int, typer.Option("--static-batch", metavar="N", min=1, help="Batch of a target of one shape.")
    ] = 1,
    static_size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            "--static-size", metavar="H W", help="Size px of the detector's input, for a target of one shape."
        ),
    ] = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Write also what loses more than 0.5 points.")
    ] = False,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", min=1, help="How often each network is timed.")] = 50,
) -> None:
    """Convert a bundle to fewer bits or for another runtime.

    It is scored on labelled plates and timed on 1 and 2 threads; what reads as well as the original is written.
    """
    logging.getLogger().setLevel(logging.ERROR)  # ONNX Runtime's advice on preparing graphs, which are prepared
    console = plain_console(stderr=True)
    with complaints():
        from alpr.data.several_tables import join_manifests, read_manifest
        from alpr.export.convert import KEPT_FIRST, Asked
        from alpr.export.convert import convert as converted
        from alpr.export.convert_table import print_conversion

        asked = Asked(
            bundle=find_bundle(bundle),
            output=output,
            targets=tuple(dict.fromkeys(to)),
            scored={path.absolute().parent.name: read_manifest(path, splits=_splits(split)) for path in score},
            calibration=None
            if not calibration
            else join_manifests([read_manifest(path, splits=_splits(calibration_split)) for path in calibration]),
            fixed=None if static_size is None else (static_batch, *static_size),
            place=place,
            keep_first=KEPT_FIRST if keep_first is None else keep_first,
            accept_loss=accept_loss,
            rounds=rounds,
        )
        with console.status("") as status:  # shown on a terminal only; elsewhere a line each
            report = converted(asked, advance=status.update if console.is_terminal else console.print)
        print_conversion(report)
    refused = [row.refused for row in report.targets if row.refused]
    for sentence in refused:
        typer.echo(sentence, err=True)
    if refused:
        raise typer.Exit(1)


def _splits(split: str) -> list[str] | None:
    return None if split == "all" else [split]
