"""`alpr data split`: a table with a split column that does not leak."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import SeedOption, WorkersOption, complaints, plain_console


class By(str, Enum):
    """What stays together."""

    PLATE = "plate"
    NEAR_DUPLICATE = "near-duplicate"
    TIME = "time"


def split(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="The table, in the form of datasets/README.md.")],
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="The new table.")] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Write over the table that was read.")] = False,
    by: Annotated[
        list[By] | None,
        typer.Option(
            "--by",
            help="What stays together: rows of a text (the default), images that look alike, again for both; "
            "or blocks of a video.",
        ),
    ] = None,
    train: Annotated[float, typer.Option("--train", metavar="SHARE", help="Share of the rows.")] = 0.8,
    val: Annotated[float, typer.Option("--val", metavar="SHARE", help="Share of the rows.")] = 0.1,
    test: Annotated[float, typer.Option("--test", metavar="SHARE", help="Share of the rows.")] = 0.1,
    seed: SeedOption = 0,
    stratify: Annotated[
        str, typer.Option("--stratify", metavar="COLUMNS", help="country, kind or other columns, with commas.")
    ] = "",
    distance: Annotated[
        int | None, typer.Option("--distance", metavar="BITS", help="Bits that near duplicates differ in.")
    ] = None,
    workers: WorkersOption = 2,
    time_column: Annotated[
        str | None, typer.Option("--time-column", metavar="NAME", help="The column with the frames' times.")
    ] = None,
    video_column: Annotated[
        str | None, typer.Option("--video-column", metavar="NAME", help="The column with the video; else the folder.")
    ] = None,
    time_pattern: Annotated[
        str | None, typer.Option("--time-pattern", metavar="REGEX", help="How images' names hold video and time.")
    ] = None,
    gap: Annotated[
        float, typer.Option("--gap", metavar="TIME", help="Left out between blocks; those rows get 'gap'.")
    ] = 0.0,
) -> None:
    """Write a split column that does not leak.

    By plate, by near-duplicate image, or by time in videos; the result is proved before it is written.
    """
    with complaints():
        from alpr.data.fingerprints import NEAR_BITS
        from alpr.data.new_split import Asked, write_split
        from alpr.data.splitting import FRAME_PATTERN

        if (output is None) != in_place:
            raise ValueError("Expected either --output FILE or --in-place.")
        asked = Asked(
            manifest=table,
            output=output,
            shares={"train": train, "val": val, "test": test},
            by=[each.value for each in by or [By.PLATE]],
            seed=seed,
            stratify=[name for name in stratify.split(",") if name],
            distance=NEAR_BITS if distance is None else distance,
            workers=workers,
            time_column=time_column,
            video_column=video_column,
            time_pattern=FRAME_PATTERN if time_pattern is None else time_pattern,
            gap=gap,
        )
        written = write_split(asked, plain_console())
    if not written:
        raise typer.Exit(1)
