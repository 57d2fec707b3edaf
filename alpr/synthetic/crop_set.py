"""Rendered crops on disk: a folder of pictures and a table, for data sets that are looked at, shared or compared.

Training renders on the fly instead. A crop depends on the seed and its number alone, so any number of processes writes
the same files and an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from alpr.data.columns import COLUMNS
from alpr.data.manifest import csv_bytes
from alpr.data.origins import write_origin
from alpr.data.processes import run_in_processes
from alpr.files import SMALL_BYTES, file_sha256, read_regular, write_atomically
from alpr.plates.country import CountryPack
from alpr.synthetic.glyph_bank import GlyphBank
from alpr.synthetic.ingredients import drawn
from alpr.synthetic.renderer import PlateRenderer

SETTINGS = "settings.json"
_TEXTS_SEED, _CROPS_SEED = 3, 4


@dataclass(frozen=True)
class CropPlan:
    """What is to be made.

    Attributes:
        crops: how many; a larger number continues a smaller one.
        size: (height, width) px.
        margin: the fraction left around the plate on every side.
        val_share: how many go to val; the rest is train.
        glyph_bank: a file of glyphs of real plates (alpr synth glyphs), which draw `bank_share` of the plates.
    """

    crops: int = 1000
    seed: int = 0
    size: tuple[int, int] = (48, 192)
    margin: float = 0.04
    val_share: float = 0.1
    glyph_bank: str | None = None
    bank_share: float = 0.8

    def __post_init__(self) -> None:
        if self.crops < 1 or self.seed < 0 or min(self.size) < 8:
            raise ValueError(
                f"{self.crops} crops of {self.size} px with seed {self.seed}; expected at least 1, "
                "sides of at least 8 px, and a seed of 0 or more."
            )
        if not 0 <= self.val_share <= 1 or not 0 <= self.margin < 0.5:
            raise ValueError(
                f"val_share is {self.val_share}, margin {self.margin}; expected 0 to 1, and 0 up to below 0.5."
            )

    def settings(self, pack: CountryPack) -> str:
        """What the crops depend on, as JSON; how many there are is none of it.

        Raises:
            OSError: no such glyph bank.
        """
        bank_keys = ("glyph_bank", "bank_share")
        settings = {k: v for k, v in asdict(self).items() if k not in ("crops", *bank_keys)}
        if self.glyph_bank is not None:
            settings |= {"glyph_bank": file_sha256(Path(self.glyph_bank)), "bank_share": self.bank_share}
        return json.dumps({**settings, "pack": pack.to_dict()}, ensure_ascii=False)


class CropJob(NamedTuple):
    """One crop: its number, its text, its layout's name and its split."""

    number: int
    text: str
    layout: str
    split: str

    @property
    def image(self) -> str:
        """The picture's path in the data set."""
        return f"images/{self.number:07d}.jpg"


def plan_crops(plan: CropPlan, pack: CountryPack) -> list[CropJob]:
    """Every crop's text, layout and split. A text goes to one split, however often it is drawn."""
    rng = np.random.default_rng([plan.seed, _TEXTS_SEED])
    renderer = PlateRenderer(pack)
    splits: dict[str, str] = {}
    jobs = []
    for number in range(plan.crops):
        text, layout = renderer.draw_text(rng)
        drawn = "val" if rng.random() < plan.val_share else "train"
        jobs.append(CropJob(number, text, layout.name, splits.setdefault(text, drawn)))
    return jobs


def synthesize_crops(output: Path, plan: CropPlan, pack: CountryPack, *, workers: int = 2) -> int:
    """Makes the data set in a folder, or what is missing of it; gives how many crops were drawn now.

    Raises:
        ValueError: a folder that holds a set made with other settings, a font that lacks a character, or a glyph bank
            of another country.
        OSError: a file that cannot be read or written; what was written stays.
    """
    _renderer(json.dumps(pack.to_dict()), plan.glyph_bank, plan.bank_share).check_fonts()
    text = plan.settings(pack)
    (output / "images").mkdir(parents=True, exist_ok=True)
    if (output / SETTINGS).is_file() and read_regular(output / SETTINGS, SMALL_BYTES).decode() != text:
        raise ValueError(f"{output} holds crops made with other settings; expected the same ones, or an empty folder.")
    write_atomically(output / SETTINGS, [text.encode()])
    jobs = plan_crops(plan, pack)
    todo = [job for job in jobs if not (output / job.image).is_file()]
    function = partial(_make, pack=pack, output=output, plan=plan)
    for _ in run_in_processes(function, todo, workers=workers, label="crops", unit="crops", chunk=64):
        pass
    header = (*COLUMNS, "layout")
    values = (
        {"image": j.image, "text": j.text, "country": pack.code, "split": j.split, "layout": j.layout} for j in jobs
    )
    rows = [[value.get(column, "") for column in header] for value in values]
    banks = [] if plan.glyph_bank is None else [Path(plan.glyph_bank)]
    tables = [table for bank in banks for table in GlyphBank.read(bank).sources]
    names = [bank.name for bank in banks]
    write_origin(output, drawn(pack, "alpr synth plates", photographs_of=tables, banks=names))
    write_atomically(output / "labels.csv", [csv_bytes([header, *rows])])
    return len(todo)


@lru_cache(maxsize=1)
def _renderer(pack_json: str, glyph_bank: str | None, bank_share: float) -> PlateRenderer:
    pack = CountryPack.from_dict(json.loads(pack_json))
    bank = None if glyph_bank is None else GlyphBank.read(Path(glyph_bank), pack)
    return PlateRenderer(pack, bank=bank, bank_share=bank_share)


def _make(job: CropJob, *, pack: CountryPack, output: Path, plan: CropPlan) -> int:
    """Draws and writes one crop; runs in worker processes."""
    renderer = _renderer(json.dumps(pack.to_dict()), plan.glyph_bank, plan.bank_share)
    layout = next(layout for layout in pack.layouts if layout.name == job.layout)
    rng = np.random.default_rng([plan.seed, _CROPS_SEED, job.number])
    crop = renderer.crop_of(job.text, layout, rng, plan.size, plan.margin).crop
    _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 95])
    write_atomically(output / job.image, [data.tobytes()], sync=False)
    return job.number
