"""Writes `alpr_dataset.csv` into every CCPD subset folder, from the file names alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from alpr.data.ccpd import SUBSETS
from alpr.data.ccpd_folders import (
    SubsetReport,
    create_table,
    official_splits,
    report_table,
    subset_folders,
    tables_of_lists,
)
from alpr.data.columns import ManifestError


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--dataset_path", type=Path, required=True, help="the folder that holds ccpd_base, ccpd_green, ..."
    )
    parser.add_argument("--categories", nargs="+", metavar="SUBSET", help=f"some of: {', '.join(SUBSETS)} (all)")
    parser.add_argument("--num_workers", type=int, default=2, help="processes that open images for --verify (2)")
    parser.add_argument("--verify", action="store_true", help="open every image; leave out what cannot be decoded")
    parser.add_argument(
        "--names",
        nargs="+",
        type=Path,
        metavar="LIST",
        help="read official name lists instead of folders; writes alpr_names.csv into --dataset_path",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="write DIR/<subset>/... instead of into the data")
    arguments = parser.parse_args()
    if arguments.names and arguments.output:
        parser.error("--output is for folders; with --names the table is written into --dataset_path.")
    return arguments


def main() -> int:
    """Runs the command; the exit code: 0 all well, 1 a subset could not be used, 130 interrupted."""
    arguments = parse_arguments()
    console = Console()
    reports: list[SubsetReport] = []
    failed = False
    try:
        if arguments.names:
            reports, whole = tables_of_lists(arguments.dataset_path, arguments.names)
            console.print(f"{whole.rows:,} names decode and encode again to the same name.", highlight=False)
        else:
            folders, missing = subset_folders(arguments.dataset_path, arguments.categories)
            if missing:
                failed = arguments.categories is not None
                console.print(f"Not there: {', '.join(missing)}. The rest goes on.", style="yellow", highlight=False)
            official = official_splits(arguments.dataset_path)
            for folder in folders:
                try:
                    reports.append(
                        create_table(
                            folder,
                            official=official,
                            verify=arguments.verify,
                            workers=arguments.num_workers,
                            output=arguments.output,
                        )
                    )
                except ManifestError as error:
                    failed = True
                    console.print(str(error), style="yellow", highlight=False, soft_wrap=True)
    except (ManifestError, OSError, RuntimeError, ValueError) as error:
        failed = True
        console.print(str(error), style="red", highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        console.print("Interrupted; the tables written so far are whole.", style="yellow")
        return 130
    for report in reports:
        if report.plates + report.empty == 0:
            failed = True
            console.print(f"{report.subset}: not one name could be used.", style="yellow", highlight=False)
    if reports:
        console.print(report_table(reports, "list" if arguments.names else "subset"))
        for table in dict.fromkeys(report.table for report in reports):
            console.print(str(table), highlight=False, soft_wrap=True)
        if any(report.rejected for report in reports):
            console.print("What was left out, with reasons, is in the .rejected.csv beside each table.")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
