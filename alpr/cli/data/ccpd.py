"""`alpr data ccpd`: tables of CCPD's folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import WorkersOption, complaints, plain_console


def ccpd(
    dataset_path: Annotated[
        Path, typer.Option("--dataset-path", metavar="DIR", help="The folder that holds ccpd_base, ccpd_green, ...")
    ],
    categories: Annotated[
        list[str] | None,
        typer.Option("--categories", metavar="SUBSET", help="Only this subset; may be given again."),
    ] = None,
    names: Annotated[
        list[Path] | None,
        typer.Option(
            "--names",
            metavar="LIST",
            help="Read official name lists instead of folders; writes alpr_names.csv into the data set's folder.",
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Open every image; leave out what cannot be decoded.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Write DIR/<subset>/... instead of into the data.")
    ] = None,
    workers: WorkersOption = 2,
) -> None:
    """Write the tables of CCPD's folders.

    An `alpr_dataset.csv` in every subset folder, from the file names alone.
    """
    from alpr.data.ccpd_tables import write_tables

    if names and output:
        raise typer.BadParameter("--output is for folders; with --names the table is written into --dataset-path.")
    with complaints("Interrupted; the tables written so far are whole."):
        good = write_tables(
            dataset_path, categories, names, verify=verify, output=output, workers=workers, console=plain_console()
        )
    if not good:
        raise typer.Exit(1)
