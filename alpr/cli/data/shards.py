"""`alpr data shards`: tables and their images as WebDataset shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import complaints, plain_console


def shards(
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="The folder of the shards.")],
    tables: Annotated[list[Path] | None, typer.Argument(metavar="TABLE", help="CSV tables of labelled plates.")] = None,
    shard_mb: Annotated[
        float | None, typer.Option("--shard-mb", metavar="MB", help="Megabytes of a shard; else 400.")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", metavar="NAME", help="Only rows of this split; may be given again.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare the shards in DIR with their SHA-256.")] = False,
) -> None:
    """Pack tables and their images into shards.

    With a table that trainings read; run again, it goes on.
    """
    console = plain_console()
    with complaints("Interrupted; finished shards are whole. Run the same command to go on."):
        from alpr.data.several_tables import read_manifest
        from alpr.data.shards import DEFAULT_MB, damaged, make_shards, read_index

        if bool(tables) == check:
            raise ValueError("Expected either tables to pack, or --check and none.")
        if check:
            faults = damaged(output)
            for fault in faults:
                console.print(fault, style="red")
            console.print(f"{len(read_index(output))} shards, {len(faults)} damaged.")
            raise typer.Exit(int(bool(faults)))
        report = make_shards(read_manifest(tables or [], splits=split), output, shard_mb or DEFAULT_MB)
    images, size = sum(s.images for s in report.shards), sum(s.bytes for s in report.shards)
    console.print(f"{images:,} images in {len(report.shards)} shards, {size / 1e9:.2f} GB; {report.kept} were there.")
    if report.rejected:
        console.print(f"{report.rejected:,} could not be read; manifest.rejected.csv says why.", style="yellow")
    console.print(str(report.table))
    if report.rejected:
        raise typer.Exit(1)
