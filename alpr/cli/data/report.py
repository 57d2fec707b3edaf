"""`alpr data report`: a page of what tables hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import SeedOption, WorkersOption, complaints, plain_console


def report(
    tables: Annotated[list[Path], typer.Argument(metavar="TABLE", help="In the form of datasets/README.md.")],
    output: Annotated[Path, typer.Option("--output", metavar="PAGE", help="The page.")] = Path("report.html"),
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="The figures too, for machines.")] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="Of the page; else the tables' names.")
    ] = None,
    images: Annotated[
        int, typer.Option("--images", metavar="N", min=0, help="Plates to look at per split, at random; 0 opens none.")
    ] = 300,
    region: Annotated[int, typer.Option("--region", metavar="N", min=0, help="Characters that name a region.")] = 1,
    workers: WorkersOption = 2,
    seed: SeedOption = 0,
) -> None:
    """Show what tables hold, as one HTML file.

    Figures split by split and pictures of a sample; the page opens without a network.
    """
    from alpr.data import table_report

    with complaints():
        asked = table_report.Asked(tables, output, json, title, images, region, workers, seed)
        table_report.report(asked, plain_console())
