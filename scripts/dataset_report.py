"""Shows what tables of labelled plates hold, split by split, as one HTML file that opens without a network."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from alpr.data.columns import ManifestError
from alpr.data.manifest import Manifest, read_manifest
from alpr.data.processes import run_in_processes
from alpr.data.statistics import (
    Geometry,
    Look,
    SplitStatistics,
    extreme_rows,
    ignored_rows,
    jobs_for,
    look_at,
    random_rows,
    statistics,
)
from alpr.data.statistics_page import as_json, dataset_page, name_of, plate_sheet
from alpr.files import write_atomically
from alpr.reports.html import Html

_SHEET = 24


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path, help="tables, in the form of datasets/README.md")
    parser.add_argument("--output", type=Path, default=Path("report.html"), help="the page (report.html)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures too, for machines")
    parser.add_argument("--title", help="of the page (the tables' names)")
    parser.add_argument(
        "--images",
        type=int,
        default=300,
        metavar="N",
        help="plates to look at per split, at random; 0 opens none (300)",
    )
    parser.add_argument("--region", type=int, default=1, metavar="N", help="characters that name a region (1)")
    parser.add_argument("--workers", type=int, default=2, help="processes that open images (2)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    return parser.parse_args()


def main() -> int:
    """Runs the command; the exit code: 0 all well, 1 nothing was written, 130 interrupted."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        _report(parse_arguments(), console)
    except (ManifestError, OSError, RuntimeError, ValueError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; nothing was written.", style="yellow")
        return 130
    return 0


def _report(arguments: argparse.Namespace, console: Console) -> None:
    manifest = read_manifest(arguments.manifests)
    geometry = Geometry.of(manifest)
    sample = random_rows(manifest, arguments.images, arguments.seed)
    small, tilted = _extremes(manifest, geometry) if arguments.images else ([], [])
    looks = _look(manifest, [*sample, *small, *tilted], arguments.workers, console)
    seen = [looks[row] for row in sample if row in looks]
    splits = statistics(manifest, geometry, seen, arguments.region)
    title = arguments.title or ", ".join("/".join(path.absolute().parts[-2:]) for path in arguments.manifests)
    small_looks, tilted_looks = ([looks[row] for row in rows if row in looks] for rows in (small, tilted))
    sheets = _sheets(manifest, splits, geometry, seen, small_looks, tilted_looks)
    dataset_page(title, manifest, geometry, splits, sheets).write(arguments.output)
    console.print(f"{manifest.rows:,} rows, {len(looks):,} plates looked at: {arguments.output}", markup=False)
    if arguments.json:
        text = json.dumps(as_json(splits), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(arguments.json, [text.encode(), b"\n"])
        console.print(str(arguments.json), markup=False)


def _extremes(manifest: Manifest, geometry: Geometry) -> tuple[list[int], list[int]]:
    """The smallest and the most tilted plates of the whole table."""
    plates = ~ignored_rows(manifest)
    return (
        extreme_rows(geometry.height, plates, _SHEET),
        extreme_rows(-np.abs(geometry.tilt), plates, _SHEET),
    )


def _look(manifest: Manifest, rows: Sequence[int], workers: int, console: Console) -> dict[int, Look]:
    jobs = jobs_for(manifest, rows)
    if not jobs:
        return {}
    found = list(run_in_processes(look_at, jobs, workers=workers, label="Images", unit="images", chunk=8))
    faults = [f for f in found if isinstance(f, str)]
    if faults:
        console.print(
            f"Images that cannot be read: {len(faults):,}. The first: {faults[0]}", style="yellow", markup=False
        )
    return {look.row: look for looks in found if not isinstance(looks, str) for look in looks}


def _sheets(
    manifest: Manifest,
    splits: Sequence[SplitStatistics],
    geometry: Geometry,
    seen: Sequence[Look],
    small: Sequence[Look],
    tilted: Sequence[Look],
) -> dict[str, Html]:
    chosen: dict[str, list[Look]] = {}
    for split in splits:
        looks = [look for look in seen if manifest.split[look.row] == split.name]
        # The sample is in the table's order, where neighbours may be alike; a sheet takes plates from all of it.
        places = np.linspace(0, len(looks) - 1, min(_SHEET, len(looks))).astype(int)
        chosen[f"At random: {name_of(split.name)}"] = [looks[i] for i in places]
    chosen["The lowest"] = list(small)
    chosen["The most tilted"] = list(tilted)
    chosen["The darkest of the sample"] = sorted(seen, key=lambda look: look.brightness)[:_SHEET]
    chosen["The least sharp of the sample"] = sorted(seen, key=lambda look: look.sharpness)[:_SHEET]
    return {k: plate_sheet(manifest, geometry, v) for k, v in chosen.items() if v}


if __name__ == "__main__":
    sys.exit(main())
