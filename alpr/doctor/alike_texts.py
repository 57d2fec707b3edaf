"""Plates whose texts differ in one or two characters and whose pictures do not: a wrong label, and often a leak.

Candidates come from the texts alone. Their crops are laid over each other and compared where the texts differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations, product
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from alpr.data.columns import Floats
from alpr.data.processes import run_in_processes
from alpr.doctor.findings import Finding, finding
from alpr.doctor.images import ImageFacts
from alpr.doctor.table import DoctorTable
from alpr.images.prepare import UnreadableImage, read_image, rectify
from alpr.plates.geometry import plate_height, plate_width
from alpr.plates.identity import identity
from alpr.plates.records import FloatArray, ImageArray

Crop = npt.NDArray[np.float32]
"""A plate in grey without its light and contrast: (32, 128)."""

_SIZE = (32, 128)
_TALL = 1.8
"""A plate less wide than this times its height has two rows."""
_SHORT = 5
"""Texts of fewer characters have too many neighbours to mean anything; those of just as many may differ in one."""


@dataclass(frozen=True)
class AlikeLimits:
    """What is compared, and from where on it is reported.

    Attributes:
        similarity: the least correlation (-1 to 1) of two crops where their texts differ.
        anywhere: the same for every other character, also where labels do not say a plate's place well.
        behind: so much less alike than the other characters, by their median, those that differ may be.
        rows: of each text so many are looked at, spread over the table.
        fine: of each pair of texts so many pairs of crops are laid over each other, the most alike at a glance.
        pairs: so many pairs of texts, the most alike at a glance.
        many: in sets of more texts only one character may differ.
    """

    similarity: float = 0.8
    anywhere: float = 0.6
    behind: float = 0.04
    rows: int = 4
    fine: int = 3
    pairs: int = 8_000
    many: int = 20_000


class Pair(NamedTuple):
    """Two texts by their numbers, and the characters in which they differ: none where their lengths do."""

    a: int
    b: int
    at: tuple[int, ...]


def alike_findings(
    table: DoctorTable, facts: Mapping[str, ImageFacts], workers: int = 0, limits: AlikeLimits | None = None
) -> list[Finding]:
    """One finding for every two texts that look the same, at a row of the rarer one.

    Raises:
        RuntimeError: a worker process died.
    """
    limits = limits or AlikeLimits()
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for i, path in enumerate(table.paths):
        plate = identity(table.text[i])
        if plate and table.is_plate(i) and path in facts and not facts[path].error:
            rows[plate].append(i)
    texts = list(rows)
    pairs = near_texts(texts, 2 if len(texts) <= limits.many else 1)
    chosen = [rows[text][:: -(-len(rows[text]) // limits.rows)] for text in texts]
    crops = _crops(table, [i for k in {k for pair in pairs for k in (pair.a, pair.b)} for i in chosen[k]], workers)
    jobs = _jobs(pairs, texts, chosen, crops, limits)
    best: dict[Pair, tuple[float, int, int]] = {}
    alike = run_in_processes(
        _similarity, [job for _, _, _, job in jobs], workers=workers, label="comparing", unit="pairs"
    )
    for (pair, i, j, _), (similarity, others) in zip(jobs, alike, strict=True):
        usual, least = float(np.median(others)), min(others)
        if similarity >= max(limits.similarity, usual - limits.behind) and least >= limits.anywhere:
            best[pair] = max(best.get(pair, (-1.0, i, j)), (similarity, i, j))
    return [_finding(table, rows, texts, pair, *found) for pair, found in best.items()]


def _finding(
    table: DoctorTable, rows: Mapping[str, list[int]], texts: Sequence[str], pair: Pair, alike: float, i: int, j: int
) -> Finding:
    a, b = texts[pair.a], texts[pair.b]
    if len(rows[a]) > len(rows[b]):
        (a, b), (i, j) = (b, a), (j, i)
    message = (
        f"{a!r} ({len(rows[a])} rows) and {b!r} ({len(rows[b])}) look alike ({alike:.2f}): one label may be wrong."
    )
    splits = {table.split[k] for k in (i, j)}
    if len(splits) > 1:
        message += f" The plate is then in splits {' and '.join(sorted(split or 'none' for split in splits))}."
    return finding(table, i, "texts-alike", message, score=alike, other=j, reading=b)


def near_texts(texts: Sequence[str], most: int = 2) -> list[Pair]:
    """The pairs of texts that differ in at most so many characters, or of which one lacks one of the other's.

    Every text is filed under what is left of it without some characters, so that only neighbours meet.
    """
    filed: defaultdict[str, list[int]] = defaultdict(list)
    found: dict[tuple[int, int], Pair] = {}
    number = {text: k for k, text in enumerate(texts)}
    for k, text in enumerate(texts):
        n = min(most, len(text) - _SHORT + 1)
        for at in combinations(range(len(text)), n) if n > 0 else ():
            filed["".join("\0" if i in at else c for i, c in enumerate(text))].append(k)
        for i in range(len(text) if len(text) > _SHORT else 0):
            shorter = number.get(text[:i] + text[i + 1 :])
            if shorter is not None:
                found[min(k, shorter), max(k, shorter)] = Pair(min(k, shorter), max(k, shorter), ())
    for some in filed.values():
        for a, b in combinations(some, 2):
            if (a, b) not in found:
                at = tuple(i for i, (x, y) in enumerate(zip(texts[a], texts[b], strict=True)) if x != y)
                found[a, b] = Pair(a, b, at)
    return list(found.values())


class _Plate(NamedTuple):
    """A plate, and whether it is so tall that it has two rows."""

    crop: Crop
    tall: bool


class _Job(NamedTuple):
    """Two crops, and which of how many characters are compared."""

    a: Crop
    b: Crop
    at: tuple[int, ...]
    characters: int
    tall: bool  # as plates of two rows are


def _jobs(
    pairs: Sequence[Pair],
    texts: Sequence[str],
    chosen: Sequence[Sequence[int]],
    crops: Mapping[int, _Plate],
    limits: AlikeLimits,
) -> list[tuple[Pair, int, int, _Job]]:
    """The crops to lay over each other: rows i and j of every pair."""
    glances = {i: _glance(plate.crop) for i, plate in crops.items()}
    ranked: list[tuple[float, Pair, list[tuple[int, int]]]] = []
    for pair in pairs:
        seen = [(i, j) for i, j in product(chosen[pair.a], chosen[pair.b]) if i in glances and j in glances]
        if seen:
            order = sorted(((float(glances[i] @ glances[j]), i, j) for i, j in seen), reverse=True)
            ranked.append((order[0][0], pair, [(i, j) for _, i, j in order[: limits.fine]]))
    ranked.sort(key=lambda entry: -entry[0])
    return [
        (pair, i, j, _job(pair, texts, crops[i], crops[j])) for _, pair, some in ranked[: limits.pairs] for i, j in some
    ]


def _job(pair: Pair, texts: Sequence[str], a: _Plate, b: _Plate) -> _Job:
    return _Job(a.crop, b.crop, pair.at, max(len(texts[pair.a]), len(texts[pair.b])), a.tall or b.tall)


def _glance(crop: Crop) -> FloatArray:
    """A small crop as a vector of length 1, with its products a correlation."""
    small = cv2.resize(crop, (48, 12), interpolation=cv2.INTER_AREA).ravel()
    small = small - small.mean()
    return np.asarray(small / max(1e-6, float(np.linalg.norm(small))))


def _similarity(job: _Job) -> tuple[float, list[float]]:
    """How alike two crops are where they are compared, the least correlation of a character, and every character.

    Where the characters stand in two rows their order says no place: all of them are compared.
    """
    laid = _laid_over(job.a, job.b)
    rows = 2 if job.tall else 1
    columns = -(-job.characters // rows)
    height, width = _SIZE
    found = []
    for row, k in product(range(rows), range(columns)):
        # A character is looked for two px around its place, with a tenth of its neighbours.
        top, bottom = max(4, row * height // rows), min(height - 3, (row + 1) * height // rows)
        left = max(2, round((k - 0.1) * width / columns))
        right = min(width - 2, round((k + 1.1) * width / columns))
        piece, around = job.a[top:bottom, left:right], laid[top - 2 : bottom + 2, left - 2 : right + 2]
        found.append(float(cv2.matchTemplate(around, piece, cv2.TM_CCOEFF_NORMED).max()))
    return min(found[k] for k in (() if job.tall else job.at) or range(len(found))), found


def _laid_over(a: Crop, b: Crop) -> Crop:
    """The second crop, moved, turned and stretched so as to lie over the first."""
    height, width = _SIZE
    match = cv2.matchTemplate(b, a[4:-4, 10:-10], cv2.TM_CCOEFF_NORMED)
    x, y = cv2.minMaxLoc(match)[3]
    matrix = np.array([[1, 0, x - 10], [0, 1, y - 4]], np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 25, 1e-3)
    with suppress(cv2.error):  # it does not converge: the crops are not alike, or flat
        _, matrix = cv2.findTransformECC(a, b, matrix, cv2.MOTION_AFFINE, criteria, None, 3)  # type: ignore[call-overload]
    return np.asarray(cv2.warpAffine(b, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))


def _crops(table: DoctorTable, rows: Sequence[int], workers: int) -> dict[int, _Plate]:
    """The plates of rows whose images can be read, each image opened once."""
    of_image: defaultdict[str, list[int]] = defaultdict(list)
    for i in sorted(rows):
        of_image[table.paths[i]].append(i)
    jobs: list[tuple[str, Sequence[Floats | None]]] = [
        (path, [table.quad(i) for i in some]) for path, some in of_image.items()
    ]
    cut = run_in_processes(_cut, jobs, workers=workers, label="cutting plates", unit="images")
    found: dict[int, _Plate] = {}
    for some, crops in zip(of_image.values(), cut, strict=True):
        found.update((i, crop) for i, crop in zip(some, crops, strict=False) if crop is not None)
    return found


def _cut(job: tuple[str, Sequence[Floats | None]]) -> list[_Plate | None]:
    """The plates of an image, which itself is the plate where it has no place."""
    path, quads = job
    try:
        image = read_image(path)
    except UnreadableImage:
        return []
    return list(_plates(image, quads))


def _plates(image: ImageArray, quads: Sequence[Floats | None]) -> Iterator[_Plate | None]:
    height, width = _SIZE
    for quad in quads:
        try:
            plate = image if quad is None else rectify(image, quad.astype(np.float32), _SIZE)
        except ValueError:
            yield None
            continue
        shape = plate.shape[:2] if quad is None else (float(plate_height(quad)), float(plate_width(quad)))
        grey = cv2.cvtColor(plate, cv2.COLOR_BGR2GRAY)
        small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        yield _Plate(_without_light(small), shape[1] < _TALL * shape[0])


def _without_light(grey: npt.NDArray[np.float32]) -> Crop:
    """Every px against the mean and the spread of what surrounds it."""
    around = (25, 17)
    apart = grey - cv2.blur(grey, around)
    spread = np.sqrt(cv2.blur(apart * apart, around)) + 6
    return np.asarray(cv2.GaussianBlur(apart / spread, (0, 0), 1.0), np.float32)
