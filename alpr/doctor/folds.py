"""What a model has learnt by heart: readers trained on a part of the plates judge the labels of the others.

A reader's disagreement on its own training rows is blind: it stores wrong texts with high scores. So the plates are
divided by their identity, a reader is trained on all parts but one, and reads the rows of that one.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from rich.console import Console

from alpr.data.columns import COLUMNS, number_cells
from alpr.data.manifest import csv_bytes
from alpr.doctor.findings import Finding, finding
from alpr.doctor.images import FactsCache, ImageFacts, file_key
from alpr.doctor.table import DoctorTable
from alpr.doctor.table_pack import ReadBy, read_by
from alpr.files import write_atomically
from alpr.images.prepare import UnreadableImage, read_image
from alpr.images.read_ahead import ahead
from alpr.plates.country import CountryPack
from alpr.plates.geometry import plate_height, plate_width
from alpr.plates.identity import identity
from alpr.plates.records import ImageArray
from alpr.recognition.read import Recogniser
from alpr.reports.progress import progress_bar

LEAST_PLATES = 200
"""Different plates from which on folds are trained: of fewer a reader learns too little to contradict a label."""
_READS = 0.5
"""A reader that confirms a smaller share of the labels contradicts none."""
_TALL = 1.8
_AT_ONCE = 32
_SAME = str.maketrans({"O": "0", "I": "1"})
"""Symbols that many sets mix up; `text-confused` speaks of them."""


class TrainReader(Protocol):
    """Trains a reader of a pack on a table into a folder, or goes on where it stands."""

    def __call__(self, folder: Path, table: Path, pack: CountryPack, rendered: bool) -> Recogniser: ...


@dataclass(frozen=True)
class Folds:
    """How labels are judged by folds.

    Attributes:
        count: parts; each is judged by a reader of all others.
        train: see `TrainReader`.
        folder: below it every table's readers are kept.
        sure: a reading contradicts a label where it is surer than this share of the readings that confirm one: how
            high scores are depends on how long a reader trained.

    Raises:
        ValueError: a number of parts that cannot be.
    """

    count: int
    train: TrainReader
    folder: Path
    sure: float = 0.05

    def __post_init__(self) -> None:
        if not 2 <= self.count <= 10:
            raise ValueError(f"--folds is {self.count}; expected 2 to 10.")


class Judged(NamedTuple):
    """A row's label as its pack writes it, and what the reader that never saw the plate reads.

    Attributes:
        surer: the share of the readings that confirm a label with a lower score.
    """

    label: str
    text: str
    score: float
    surer: float


def fold_findings(
    table: DoctorTable,
    facts: Mapping[str, ImageFacts],
    packs: Mapping[str, CountryPack],
    country: str | None,
    folds: Folds,
    cache: FactsCache,
    console: Console,
) -> tuple[list[Finding], dict[int, tuple[str, float]]]:
    """Where a fold's reader contradicts a label, and its reading of every row that was judged.

    Args:
        facts: of the images.
        packs: by code.
        country: the code of the pack for every row; None for each row's own.

    Raises:
        ValueError: too few plates, or data that cannot be trained on.
    """
    rows = _labelled(table, facts)
    tall = float(np.mean([_is_tall(table, facts, i) for i in rows])) if rows else 0.0
    by = (
        read_by([table.text[i] for i in rows], [country or table.country[i] for i in rows], packs, tall)
        if rows
        else None
    )
    labels = {i: label for i in rows if by is not None and (label := by.label(table.text[i])) is not None}
    plates = sorted({identity(label) for label in labels.values()})
    if by is None or len(plates) < LEAST_PLATES:
        raise ValueError(
            f"--folds needs at least {LEAST_PLATES} different plates with texts and images; {_names(table)} has "
            f"{len(plates)}. Compare with a reader that never saw them: --bundle."
        )
    left = len(rows) - len(labels)
    console.print(
        f"{len(labels):,} rows of {len(plates):,} plates in {folds.count} folds, read as {by.pack.name}"
        f"{f'; {left:,} rows are not judged, their texts do not fit it' if left else ''}."
    )
    part = dict(zip(plates, np.random.default_rng(1).permutation(len(plates)) % folds.count, strict=True))
    judged: dict[int, Judged] = {}
    for fold in range(folds.count):
        trains = [i for i in labels if part[identity(labels[i])] != fold]
        judges = [i for i in labels if part[identity(labels[i])] == fold]
        recogniser, name = _trained(table, labels, trains, by, folds, fold, console)
        readings = _readings(recogniser, name, table, judges, cache)
        confirming = np.sort([score for i, (text, score) in readings.items() if text == labels[i]])
        said = f"Fold {fold + 1}: {len(confirming):,} of {len(readings):,} rows are read as they are labelled."
        if len(confirming) < _READS * len(readings):
            console.print(f"{said} That is too few to judge the others: give more --fold-images.")
            continue
        console.print(said)
        for i, (text, score) in readings.items():
            surer = float(np.searchsorted(confirming, score)) / len(confirming)
            judged[i] = Judged(labels[i], text, score, surer)
    return list(_contradictions(table, judged, folds.sure)), {i: (j.text, j.score) for i, j in judged.items()}


def _labelled(table: DoctorTable, facts: Mapping[str, ImageFacts]) -> list[int]:
    """The rows with a text whose plate can be cut: it has a place, or is the only row of a ready-made crop."""
    count: defaultdict[str, int] = defaultdict(int)
    for path in table.paths:
        count[path] += 1
    return [
        i
        for i, path in enumerate(table.paths)
        if table.text[i].strip()
        and table.is_plate(i)
        and path in facts
        and not facts[path].error
        and (count[path] == 1 or table.quad(i) is not None)
    ]


def _is_tall(table: DoctorTable, facts: Mapping[str, ImageFacts], i: int) -> bool:
    quad, fact = table.quad(i), facts[table.paths[i]]
    height, width = (fact.height, fact.width) if quad is None else (float(plate_height(quad)), float(plate_width(quad)))
    return width < _TALL * height


def _trained(
    table: DoctorTable,
    labels: Mapping[int, str],
    trains: Sequence[int],
    by: ReadBy,
    folds: Folds,
    fold: int,
    console: Console,
) -> tuple[Recogniser, str]:
    """A fold's reader, and a name for it that changes with its weights."""
    rows: list[tuple[str, ...]] = [COLUMNS]
    for i in trains:
        quad = table.quad(i)
        cells = [""] * 8 if quad is None else number_cells(quad.ravel())
        rows.append((str(Path(table.paths[i]).absolute()), labels[i], by.pack.code, *[""] * 4, *cells, "train", ""))
    content = csv_bytes(rows)
    state = hashlib.sha256(content + repr((by, folds.train)).encode()).hexdigest()[:12]
    folder = folds.folder / f"{table.files[0].stem}_{state}"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "table.csv", [content])
    console.print(f"Fold {fold + 1} of {folds.count}: trains on {len(trains):,} rows in {folder}")
    recogniser = folds.train(folder, folder / "table.csv", by.pack, by.rendered)
    return recogniser, state


def _readings(
    recogniser: Recogniser, name: str, table: DoctorTable, rows: Sequence[int], cache: FactsCache
) -> dict[int, tuple[str, float]]:
    """Text and score of rows; answers are kept in the cache. An image that cannot be read any more is passed over."""
    keys = {}
    for i in rows:
        quad = table.quad(i)
        place = "-" if quad is None else hashlib.sha256(quad.tobytes()).hexdigest()[:16]
        keys[i] = f"fold {name} {place} {file_key(table.paths[i])}"
    new = [i for i in rows if keys[i] not in cache.known]
    with progress_bar("plates") as progress:
        task = progress.add_task("judging", total=len(new))
        batch: list[tuple[int, ImageArray]] = []
        for i, crop in _cut(recogniser, table, new):
            if crop is not None:
                batch.append((i, crop))
            if len(batch) == _AT_ONCE:
                _read(recogniser, batch, keys, cache)
                batch = []
            progress.advance(task)
        _read(recogniser, batch, keys, cache)
    return {i: (str(cache.known[key][0]), float(cache.known[key][1])) for i, key in keys.items() if key in cache.known}


def _cut(recogniser: Recogniser, table: DoctorTable, rows: Sequence[int]) -> Iterator[tuple[int, ImageArray | None]]:
    def work(i: int) -> ImageArray | None:
        try:
            image = read_image(table.paths[i])
        except UnreadableImage:
            return None
        quad = table.quad(i)
        return image if quad is None else recogniser.rectify(image, quad.astype(np.float32))

    for i, crop in ahead(rows, work, 2):
        yield i, crop()


def _read(
    recogniser: Recogniser, batch: Sequence[tuple[int, ImageArray]], keys: Mapping[int, str], cache: FactsCache
) -> None:
    readings = recogniser.read([crop for _, crop in batch])
    cache.add([(keys[i], [r.text, r.score]) for (i, _), r in zip(batch, readings, strict=True)])


def _contradictions(table: DoctorTable, judged: Mapping[int, Judged], least: float) -> Iterator[Finding]:
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for i, one in judged.items():
        rows[one.label].append(i)
    for i, (label, text, score, surer) in judged.items():
        if surer < least or text.translate(_SAME) == label.translate(_SAME):
            continue
        others = rows.get(text, [])
        known = f" {len(others)} rows have that text." if others else ""
        message = f"The label is {label!r}; a reader that never saw this plate reads {text!r} with {score:.3f}.{known}"
        yield finding(table, i, "fold-text", message, score=surer, other=others[0] if others else -1, reading=text)


def _names(table: DoctorTable) -> str:
    return ", ".join(str(path) for path in table.files)
