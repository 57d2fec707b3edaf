"""Plates in photographs on disk: a folder of changed photographs and their table, for both networks.

Training plants on the fly instead. A picture depends on the seed and its number alone, so any number of processes
writes the same files, and an interrupted run that is begun again writes them once more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from alpr.data.columns import IGNORE, KIND_COLUMN, Rejection
from alpr.data.decoded_images import Photographs
from alpr.data.manifest import Manifest, write_rejected
from alpr.data.origins import write_origin
from alpr.data.processes import run_in_processes
from alpr.data.scenes import where_from
from alpr.files import SMALL_BYTES, read_regular, write_atomically
from alpr.plates.country import CountryPack
from alpr.plates.records import Plate, Scene
from alpr.synthetic.ingredients import drawn
from alpr.synthetic.planting import Planter, scaled
from alpr.synthetic.renderer import PlateRenderer

TABLE, SETTINGS = "labels.csv", "settings.json"
_SEED = 6


@dataclass(frozen=True)
class PlantedPlan:
    """What is to be made.

    Attributes:
        copies: how many pictures of every photograph, each with other plates.
        blank: cover the plates instead, so that the pictures hold none.
        max_side: larger photographs are halved until they are within it; None keeps every pixel.
        quality: of the JPEGs, 1 to 100.
    """

    copies: int = 1
    seed: int = 0
    blank: bool = False
    max_side: int | None = None
    quality: int = 94

    def __post_init__(self) -> None:
        if self.copies < 1 or self.seed < 0 or not 1 <= self.quality <= 100:
            raise ValueError(
                f"{self.copies} copies with seed {self.seed} at quality {self.quality}; expected at least 1, "
                "0 or more, and 1 to 100."
            )


class _Job(NamedTuple):
    scene: Scene
    number: int
    image: str


class _Row(NamedTuple):
    """A plate of a picture; without a place it says that there is none."""

    image: str
    plate: Plate | None
    layout: str
    split: str
    source: str


class PlantedSet(NamedTuple):
    """What was written."""

    pictures: int
    plates: int
    rejected: Sequence[Rejection]


def plant_set(
    output: Path, plan: PlantedPlan, manifest: Manifest, pack: CountryPack, *, workers: int = 2
) -> PlantedSet:
    """Writes the pictures, `labels.csv` and, where photographs were left out, `labels.rejected.csv`.

    Raises:
        ValueError: a folder that holds a set made with other settings, or no photograph that can be used.
        OSError: a file that cannot be written; what was written stays.
    """
    PlateRenderer(pack).check_fonts()
    (output / "images").mkdir(parents=True, exist_ok=True)
    settings = json.dumps({**asdict(plan), "pack": pack.to_dict(), "manifest": manifest.sha256}, ensure_ascii=False)
    if (output / SETTINGS).is_file() and read_regular(output / SETTINGS, SMALL_BYTES).decode() != settings:
        raise ValueError(f"{output} holds pictures of other settings; expected the same ones, or an empty folder.")
    write_atomically(output / SETTINGS, [settings.encode()])
    scenes = manifest.located().scenes()  # a plate that nobody can find could not be covered
    jobs = [
        _Job(scenes[i], i * plan.copies + copy, f"images/{i:06d}_{copy:02d}.jpg")
        for i in range(len(scenes))
        if scenes[i].plates
        for copy in range(plan.copies)
    ]
    function = partial(_make, pack=pack, plan=plan, output=output)
    rows: list[_Row] = []
    rejected: list[Rejection] = []
    label = "blanked" if plan.blank else "planted"
    for job, made in zip(
        jobs, run_in_processes(function, jobs, workers=workers, label=label, unit="scenes", chunk=8), strict=True
    ):
        if isinstance(made, str):
            where = where_from(scenes, job.number // plan.copies)
            rejected.append(Rejection(where, 0, str(job.scene.image), made))
        else:
            rows += made
    write_rejected(rejected, output / "labels.rejected.csv")
    if not rows:
        raise ValueError(f"No photograph could be used. The first reason: {rejected[0] if rejected else 'no plates'}.")
    _table(output, rows).write(output / TABLE)
    if manifest.tables:
        write_origin(output, drawn(pack, "alpr synth plant", photographs_of=manifest.tables))
    learnt = sum(row.plate is not None and not row.plate.ignored for row in rows)
    return PlantedSet(len({row.image for row in rows}), learnt, rejected)


@lru_cache(maxsize=1)
def _planter(pack_json: str) -> Planter:
    return Planter(PlateRenderer(CountryPack.from_dict(json.loads(pack_json))))


def _make(job: _Job, *, pack: CountryPack, plan: PlantedPlan, output: Path) -> list[_Row] | str:
    """Draws and writes one picture; gives its rows, or why there is none. Runs in worker processes."""
    try:
        image, px_per_px = Photographs(plan.max_side).read(job.scene.image)
    except ValueError as error:
        return str(error)
    planter = _planter(json.dumps(pack.to_dict()))
    rng = np.random.default_rng([plan.seed, _SEED, job.number])
    plates = [scaled(plate, px_per_px) for plate in job.scene.plates]
    done = (planter.blank_scene if plan.blank else planter.plant_scene)(image, plates, rng)
    if not plan.blank and all(plate.ignored for plate in done.plates):
        return "no plate could be planted: the labelled ones are too small, too dark or at the edge"
    _, data = cv2.imencode(".jpg", done.image, [cv2.IMWRITE_JPEG_QUALITY, plan.quality])
    write_atomically(output / job.image, [data.tobytes()], sync=False)
    split, source = job.scene.split or "", job.scene.image.name
    rows = [_Row(job.image, p, name, split, source) for p, name in zip(done.plates, done.layouts, strict=True)]
    return rows or [_Row(job.image, None, "", split, source)]


def _table(output: Path, rows: Sequence[_Row]) -> Manifest:
    plates = [row.plate or Plate() for row in rows]
    return Manifest.of(
        output,
        [row.image for row in rows],
        text=[p.text for p in plates],
        country=[p.country for p in plates],
        box=[[math.nan] * 4 if p.box is None else np.round(p.box.astype(float), 2) for p in plates],
        corners=[
            np.full((4, 2), math.nan) if p.corners is None else np.round(p.corners.astype(float), 2) for p in plates
        ],
        split=[row.split for row in rows],
        note=["" if row.plate else "plates covered" for row in rows],
        extra={
            KIND_COLUMN: [IGNORE if p.ignored else "" for p in plates],
            "layout": [row.layout for row in rows],
            "source": [row.source for row in rows],
        },
    )
