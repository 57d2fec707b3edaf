"""The page of what tables of labelled plates hold, split by split: figures, and pictures of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from alpr.data.manifest import Manifest
from alpr.data.processes import run_in_processes
from alpr.data.several_tables import read_manifest
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
from alpr.files import write_json
from alpr.reports.html import Html

_SHEET = 24


@dataclass(frozen=True)
class Asked:
    """What is shown, and where it is written.

    Attributes:
        json: the figures too, for machines.
        title: of the page; None for the tables' names.
        images: plates to look at per split, at random; 0 opens none.
        region: characters that name a region.
        workers: processes that open images.
        seed: of the sample.
    """

    manifests: Sequence[Path]
    output: Path
    json: Path | None = None
    title: str | None = None
    images: int = 300
    region: int = 1
    workers: int = 2
    seed: int = 0


def report(asked: Asked, console: Console) -> None:
    """Writes the page, and the figures where they are asked for.

    Raises:
        ManifestError, OSError, RuntimeError, ValueError: a table, an image or an output that cannot be used.
    """
    manifest = read_manifest(list(asked.manifests))
    geometry = Geometry.of(manifest)
    sample = random_rows(manifest, asked.images, asked.seed)
    small, tilted = _extremes(manifest, geometry) if asked.images else ([], [])
    looks = _look(manifest, [*sample, *small, *tilted], asked.workers, console)
    seen = [looks[row] for row in sample if row in looks]
    splits = statistics(manifest, geometry, seen, asked.region)
    title = asked.title or ", ".join("/".join(path.absolute().parts[-2:]) for path in asked.manifests)
    small_looks, tilted_looks = ([looks[row] for row in rows if row in looks] for rows in (small, tilted))
    sheets = _sheets(manifest, splits, geometry, seen, small_looks, tilted_looks)
    dataset_page(title, manifest, geometry, splits, sheets).write(asked.output)
    console.print(f"{manifest.rows:,} rows, {len(looks):,} plates looked at: {asked.output}", markup=False)
    if asked.json:
        write_json(asked.json, as_json(splits))
        console.print(str(asked.json), markup=False)


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
