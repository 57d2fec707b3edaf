"""Every row of a manifest, also those that the manifest reader refuses: the doctor has to see them to mend them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alpr.data.columns import BOX_COLUMNS, COLUMNS, CORNER_COLUMNS, Floats, ManifestError, Rejection, parse_numbers
from alpr.data.table_reading import read_table
from alpr.files import LIST_BYTES, open_regular_text
from alpr.plates.geometry import box_corners

_CHUNK_ROWS = 16384
_TEXTS = ("image", "text", "country", "split", "kind")
NUMBERS = (*BOX_COLUMNS, *CORNER_COLUMNS)


@dataclass(eq=False)
class DoctorTable:
    """The rows of some manifests by column; entry i of every column is row i.

    Attributes:
        line: (N,) the row number in its file, as a text editor counts; the header is row 1.
        text: as written, blanks at its ends included.
        kind: "ignore" for a region that is neither plate nor background.
        numbers: (N, 12) px: box, then corners; NaN where empty or wrong.
        wrong: what is no number, by row.
        rejected: what the manifest reader refuses.
    """

    files: tuple[Path, ...]
    file_index: npt.NDArray[np.int64]
    line: npt.NDArray[np.int64]
    image: list[str]
    text: list[str]
    country: list[str]
    split: list[str]
    kind: list[str]
    numbers: Floats
    wrong: dict[int, str]
    rejected: list[Rejection]
    paths: list[str] = field(default_factory=list)  # the image of every row, "" where the cell is empty

    @property
    def rows(self) -> int:
        return len(self.image)

    @property
    def box(self) -> Floats:
        """(N, 4) px."""
        return self.numbers[:, :4]

    @property
    def corners(self) -> Floats:
        """(N, 4, 2) px."""
        return self.numbers[:, 4:].reshape(-1, 4, 2)

    @property
    def images(self) -> list[str]:
        """The paths of all images, each once."""
        return [path for path in dict.fromkeys(self.paths) if path]

    def is_plate(self, index: int) -> bool:
        """Whether the row labels a plate: no region to ignore."""
        return self.kind[index] != "ignore"

    def quad(self, index: int) -> Floats | None:
        """The corners of a row, else those of its box, (4, 2) px; None where the row has neither."""
        for place in (self.corners[index], box_corners(self.box[index])):
            if np.isfinite(place).all():
                return np.asarray(place, np.float64)
        return None

    def where(self, index: int) -> str:
        """A row as a sentence names it."""
        name = f"{self.files[self.file_index[index]].name} " if len(self.files) > 1 else ""
        return f"{name}row {self.line[index]}"


def read_rows(paths: Sequence[Path]) -> DoctorTable:
    """All rows of some CSV files, in their order.

    Raises:
        ManifestError: a file that cannot be read, that lacks a column, or that has the reference's form.
    """
    if len({p.resolve() for p in paths}) < len(paths):
        raise ManifestError(f"A manifest is given twice: {', '.join(map(str, paths))}.")
    texts: dict[str, list[str]] = {name: [] for name in _TEXTS}
    numbers: list[Floats] = []
    lines: list[npt.NDArray[np.int64]] = []
    owners: list[npt.NDArray[np.int64]] = []
    wrong: dict[int, str] = {}
    rejected: list[Rejection] = []
    for owner, path in enumerate(paths):
        rejected += read_table(path).rejected  # also checks the file and its header
        for line, cells in _chunks(path):
            start, n = len(texts["image"]), len(line)
            for name in _TEXTS:
                texts[name] += cells.get(name) or [""] * n
            parsed = [parse_numbers(cells[name], name) for name in NUMBERS]
            numbers.append(np.stack([values for values, _ in parsed], axis=1))
            for _, faults in parsed:
                for i, reason in faults.items():
                    wrong.setdefault(start + i, reason)
            lines.append(np.array(line, np.int64))
            owners.append(np.full(n, owner, np.int64))
    table = DoctorTable(
        files=tuple(paths),
        file_index=np.concatenate(owners) if owners else np.empty(0, np.int64),
        line=np.concatenate(lines) if lines else np.empty(0, np.int64),
        numbers=np.concatenate(numbers) if numbers else np.empty((0, 12)),
        wrong=wrong,
        rejected=rejected,
        **texts,
    )
    table.paths = _paths(table)
    return table


def _chunks(path: Path) -> Iterator[tuple[list[int], dict[str, list[str]]]]:
    with open_regular_text(path, LIST_BYTES, encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        header = [name.strip() for name in next(lines, [])]
        if not set(COLUMNS) <= set(header):
            raise ManifestError(
                f"{path} has the reference's form; read it with alpr.data.manifest.read_manifest and write it as a "
                "manifest first."
            )
        at, last = [header.index(name) for name in (*_TEXTS, *NUMBERS) if name in header], 1
        names = [header[i] for i in at]
        while chunk := list(islice(lines, _CHUNK_ROWS)):
            rows = [(i, row) for i, row in enumerate(chunk, start=last + 1) if len(row) == len(header)]
            last += len(chunk)
            if rows:
                cells = {name: _shared([row[i] for _, row in rows]) for name, i in zip(names, at, strict=True)}
                for name in _TEXTS:
                    if name != "text" and name in cells:
                        cells[name] = [cell.strip() for cell in cells[name]]
                yield [i for i, _ in rows], cells


def _shared(cells: list[str]) -> list[str]:
    seen: dict[str, str] = {}
    return [seen.setdefault(cell, cell) for cell in cells]


def _paths(table: DoctorTable) -> list[str]:
    folders = [str(path.parent) for path in table.files]
    seen: dict[tuple[int, str], str] = {}
    paths = []
    for key in zip(table.file_index.tolist(), table.image, strict=True):
        known = seen.get(key)
        if known is None:
            owner, image = key
            known = os.path.normpath(os.path.join(folders[owner], image)) if image else ""  # noqa: PTH118, faster
            seen[key] = known
        paths.append(known)
    return paths
