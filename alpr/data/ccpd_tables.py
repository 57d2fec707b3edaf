"""The tables of CCPD's subsets, written and counted; a subset that cannot be used does not stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from alpr.data.ccpd_folders import (
    SubsetReport,
    create_table,
    official_splits,
    report_table,
    subset_folders,
    tables_of_lists,
)
from alpr.data.columns import ManifestError


def write_tables(
    folder: Path,
    categories: Sequence[str] | None,
    names: Sequence[Path] | None,
    *,
    verify: bool,
    output: Path | None,
    workers: int,
    console: Console,
) -> bool:
    """Writes the tables and says what they hold; False where a subset is not there or could not be used.

    Args:
        folder: holds ccpd_base, ccpd_green, ...
        categories: the subsets; None for those that are there.
        names: official lists to read instead of folders.
        verify: whether every image is opened.
        output: where the tables go; None for beside the images.

    Raises:
        ManifestError, ValueError: a subset's name or a list that is none.
        OSError, RuntimeError: a file that cannot be written, or a process that died.
    """
    reports: list[SubsetReport] = []
    good = True
    if names:
        reports, whole = tables_of_lists(folder, list(names))
        console.print(f"{whole.rows:,} names decode and encode again to the same name.")
    else:
        folders, missing = subset_folders(folder, categories)
        if missing:
            good = categories is None
            console.print(f"Not there: {', '.join(missing)}. The rest goes on.", style="yellow")
        official = official_splits(folder)
        for subset in folders:
            try:
                made = create_table(subset, official=official, verify=verify, workers=workers, output=output)
                reports.append(made)
            except ManifestError as error:
                good = False
                console.print(str(error), style="yellow")
    for report in reports:
        if report.plates + report.empty == 0:
            good = False
            console.print(f"{report.subset}: not one name could be used.", style="yellow")
    if reports:
        console.print(report_table(reports, "list" if names else "subset"))
        for table in dict.fromkeys(report.table for report in reports):
            console.print(str(table))
        if any(report.rejected for report in reports):
            console.print("What was left out, with reasons, is in the .rejected.csv beside each table.")
    return good
