"""`alpr data crops`: the plates of CCPD as crops."""

from __future__ import annotations

import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import WorkersOption, complaints, plain_console, stop


class Rectify(str, Enum):
    """By what plates are cut."""

    CORNERS = "corners"
    BOX = "box"


def crops(
    dataset_path: Annotated[
        Path, typer.Option("--dataset-path", metavar="DIR", help="The folder that holds ccpd_base, ccpd_green, ...")
    ],
    categories: Annotated[
        list[str], typer.Option("--categories", metavar="SUBSET", help="A subset; may be given again.")
    ],
    rectify: Annotated[Rectify, typer.Option("--rectify", help="Cut by the four corners, or by the box.")] = (
        Rectify.CORNERS
    ),
    size: Annotated[tuple[int, int], typer.Option("--size", metavar="H W", help="Size of a crop in px.")] = (48, 192),
    margin: Annotated[
        float,
        typer.Option(
            "--margin", metavar="M", help="Margin around the plate, in parts of its sides; a reader uses 0.04."
        ),
    ] = 0.0,
    sharp: Annotated[
        float,
        typer.Option(
            "--sharp",
            metavar="N",
            help="Decode small where a plate is then at least N times its crop's size; 0: never.",
        ),
    ] = 1.0,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Make the folders of crops here, not in the data.")
    ] = None,
    workers: WorkersOption = 2,
) -> None:
    """Cut the plates out of CCPD's folders.

    Into `plates_<category>_48`, in parallel; run again, it goes on.
    """
    from alpr.data.ccpd_folders import subset_folders
    from alpr.data.columns import ManifestError
    from alpr.data.crop_files import CropSettings, count_crops, crop_folder, extract_subset

    console = plain_console()
    failed = False
    started = time.perf_counter()
    with complaints():
        settings = CropSettings(rectify.value, size, margin, sharp)
        folders, missing = subset_folders(dataset_path, categories)
    if missing:
        failed = True
        console.print(f"Not there: {', '.join(missing)}. The rest goes on.", style="yellow")
    for folder in folders:
        try:
            report = extract_subset(folder, settings, workers, output)
        except ManifestError as error:
            failed = True
            console.print(str(error), style="yellow")
            continue
        except (OSError, RuntimeError, ValueError) as error:
            stop(str(error), 1)
        except KeyboardInterrupt:
            place = crop_folder(folder, settings, output)
            console.print(f"Interrupted: {place} holds {count_crops(place):,} crops. Run the same command to go on.")
            raise typer.Exit(130) from None
        counts = f"{report.made:,} cut, {report.kept:,} kept, {report.failed:,} failed"
        console.print(f"{folder.name}: {counts}: {report.folder}")
        if report.failed:
            console.print("What failed, with reasons, is in alpr_dataset.rejected.csv there.")
    console.print(f"{time.perf_counter() - started:.1f} s")
    if failed:
        raise typer.Exit(1)
