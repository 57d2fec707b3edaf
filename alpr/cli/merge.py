"""`alpr merge`: the results of all shards as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import complaints


def merge_shards(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The --output that every shard was given.")],
) -> None:
    """Join the results of all shards of `alpr predict --shard` into one file, the first shard's lines first.

    Every shard must be finished. A line of another shard, or an image that is given twice, is refused. The files of the
    shards stay.
    """
    from alpr.reader.shares import merge

    with complaints():
        merged = merge(output)
    failed = f" {merged.failed:,} could not be read; their lines hold the error." if merged.failed else ""
    typer.echo(f"{output}: {merged.images:,} images, {merged.plates:,} plates.{failed}")
