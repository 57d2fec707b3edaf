"""`alpr data check`: what is wrong with tables of labelled plates."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alpr.cli.options import WorkersOption, complaints, plain_console
from alpr.reader.reader import find_bundle

if TYPE_CHECKING:
    from alpr.doctor.folds import Folds

FOLD_RUNS = Path("runs") / "folds"
"""Where the readers of --folds are kept, so that an interrupted check goes on."""


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
    corrections: Annotated[
        Path | None,
        typer.Option("--corrections", metavar="FILE", help="Decisions that the page saved; --fix applies them."),
    ] = None,
    country: Annotated[
        str | None,
        typer.Option("--country", metavar="XX", help="The pack for every row, a code or a YAML file; else each row's."),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option("--bundle", metavar="BUNDLE", help="A bundle whose readings are compared with the labels."),
    ] = None,
    folds: Annotated[
        int,
        typer.Option("--folds", metavar="N", help="Train N readers briefly, each to judge the plates it never saw."),
    ] = 0,
    fold_images: Annotated[
        int, typer.Option("--fold-images", metavar="N", min=1_000, help="With --folds: crops each of them sees.")
    ] = 24_000,
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
        judged = fold_settings(folds, fold_images, workers) if folds else None
        asked = doctor.Asked(tables, country, chosen, fix, output, json, images, facts, workers, judged, corrections)
        found = doctor.check(asked, plain_console())
    if any(finding.severity >= findings.Severity[fail_on.name] for finding in found):
        raise typer.Exit(1)


def fold_settings(count: int, images: int, workers: int) -> Folds:
    """How labels are judged by folds: readers begin with the default bundle's encoder, where that has its weights.

    Raises:
        ModuleNotFoundError: without what training needs.
    """
    from alpr.doctor.folds import Folds
    from alpr.training.fold_reader import FoldTraining

    weights = find_bundle(None) / "recogniser.safetensors"
    return Folds(count, FoldTraining(images, weights if weights.is_file() else None, min(1, workers)), FOLD_RUNS)
