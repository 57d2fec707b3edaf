"""`alpr data check`: what is wrong with tables of labelled plates."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import WorkersOption, complaints, plain_console
from alpr.reader.reader import find_bundle


class Severity(str, Enum):
    """Findings that fail."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


def check(
    tables: Annotated[list[Path], typer.Argument(metavar="TABLE", help="CSV tables, checked together.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="PAGE", help="Write a report with pictures.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all findings for machines.")
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option("--fix", metavar="FILE", help="Write a cleaned copy, and FILE.changes.csv; one table."),
    ] = None,
    country: Annotated[
        str | None,
        typer.Option("--country", metavar="XX", help="The pack for every row, a code or a YAML file; else each row's."),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option("--bundle", metavar="BUNDLE", help="A bundle whose readings are compared with the labels."),
    ] = None,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Open the images.")] = True,
    facts: Annotated[
        Path | None, typer.Option("--facts", metavar="FILE", help="Remember opened images here; else beside the page.")
    ] = None,
    workers: WorkersOption = 2,
    fail_on: Annotated[Severity, typer.Option("--fail-on", help="The least severity that fails.")] = Severity.ERROR,
) -> None:
    """Check tables and images for what spoils a training.

    The exit code is 0 where they are clean, 1 with findings, 2 for wrong usage.
    """
    from alpr.doctor import check as doctor
    from alpr.doctor import findings

    with complaints("Interrupted; opened images are remembered in the file of facts, if there is one."):
        chosen = None if bundle is None else find_bundle(bundle)
        asked = doctor.Asked(tables, country, chosen, fix, output, json, images, facts, workers)
        found = doctor.check(asked, plain_console())
    if any(finding.severity >= findings.Severity[fail_on.name] for finding in found):
        raise typer.Exit(1)
