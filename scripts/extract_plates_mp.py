"""Cuts the plates out of CCPD subsets into `plates_<category>_48` beside them, in parallel; run again, it goes on."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from alpr.data.ccpd import SUBSETS
from alpr.data.ccpd_folders import subset_folders
from alpr.data.columns import ManifestError
from alpr.data.crop_files import CropSettings, count_crops, crop_folder, extract_subset


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ccpd_dir", type=Path, required=True, help="the folder that holds ccpd_base, ccpd_green, ...")
    parser.add_argument(
        "--categories", nargs="+", required=True, metavar="SUBSET", help=f"some of: {', '.join(SUBSETS)}"
    )
    parser.add_argument("--num_workers", type=int, default=2, help="processes (2)")
    parser.add_argument(
        "--rectify", choices=("corners", "box"), default="corners", help="cut by the four corners, or by the box"
    )
    parser.add_argument("--size", nargs=2, type=int, default=(48, 192), metavar=("HEIGHT", "WIDTH"), help="(48 192)")
    parser.add_argument(
        "--margin",
        type=float,
        default=0.0,
        help="left around the plate, of the crop's sides (0; the predictor leaves 0.04)",
    )
    parser.add_argument(
        "--sharp",
        type=float,
        default=1.0,
        help="decode at a half or less where a plate is then at least so many times its crop's size; 0: never (1)",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="make the folders of crops in DIR, not in the data")
    return parser.parse_args()


def main() -> int:
    """Runs the command; the exit code: 0 all well, 1 a subset could not be cut, 130 interrupted."""
    arguments = parse_arguments()
    console = Console(highlight=False, soft_wrap=True)
    failed = False
    started = time.perf_counter()
    folder = arguments.ccpd_dir
    try:
        settings = CropSettings(arguments.rectify, tuple(arguments.size), arguments.margin, arguments.sharp)
        folders, missing = subset_folders(arguments.ccpd_dir, arguments.categories)
        if missing:
            failed = True
            console.print(f"Not there: {', '.join(missing)}. The rest goes on.", style="yellow")
        for folder in folders:
            try:
                report = extract_subset(folder, settings, arguments.num_workers, arguments.output)
            except ManifestError as error:
                failed = True
                console.print(str(error), style="yellow")
                continue
            counts = f"{report.made:,} cut, {report.kept:,} kept, {report.failed:,} failed"
            console.print(f"{folder.name}: {counts}: {report.folder}")
            if report.failed:
                console.print("What failed, with reasons, is in alpr_dataset.rejected.csv there.")
        console.print(f"{time.perf_counter() - started:.1f} s")
    except (ManifestError, OSError, RuntimeError, ValueError) as error:
        failed = True
        console.print(str(error), style="red")
    except KeyboardInterrupt:
        crops = crop_folder(folder, settings, arguments.output)
        console.print(f"Interrupted: {crops} holds {count_crops(crops):,} crops. Run the same command to go on.")
        return 130
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
