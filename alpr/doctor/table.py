"""Every row of a manifest, also those that the manifest reader refuses: the doctor has to see them to mend them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alpr.data.columns import (
    BOX_COLUMNS,
    COLUMNS,
    CORNER_COLUMNS,
    SIZE_COLUMNS,
    Floats,
    ManifestError,
    Rejection,
    parse_numbers,
)
from alpr.data.photographs import resolved_images
from alpr.data.separated_text import opened_table
from alpr.data.table_reading import read_table
from alpr.plates.geometry import box_corners

_CHUNK_ROWS = 16384
_TEXTS = ("image", "text", "country", "split", "kind")
NUMBERS = (*BOX_COLUMNS, *CORNER_COLUMNS)
_SIZES = tuple(name for pair in SIZE_COLUMNS for name in pair)


@dataclass(eq=False)
class DoctorTable:
    """The rows of some manifests by column; entry i of every column is row i.

    Attributes:
        line: (N,) the row number in its file, as a text editor counts; the header is row 1.
        text: as written, blanks at its ends included.
        kind: "ignore" for a region that is neither plate nor background.
        numbers: (N, 12) px: box, then corners; NaN where empty or wrong.
        declared: (N, 2) height and width in px that the table says of a row's image; NaN where it says nothing.
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
    declared: Floats
    wrong: dict[int, str]
    rejected: list[Rejection]
    paths: list[str] = field(
        default_factory=list
    )  # the image of every row, see `resolved_images`; "" where the cell is empty

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
    declared: list[Floats] = []
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
            declared.append(_declared(cells, n))
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
        declared=np.concatenate(declared) if declared else np.empty((0, 2)),
        wrong=wrong,
        rejected=rejected,
        **texts,
    )
    table.paths = _paths(table)
    return table


def _chunks(path: Path) -> Iterator[tuple[list[int], dict[str, list[str]]]]:
    with opened_table(path) as table:
        if not set(COLUMNS) <= set(table.header):
            raise ManifestError(
                f"{path} has the reference's form; read it with alpr.data.several_tables.read_manifest and write it "
                "as a manifest first."
            )
        at = {name: table.header.index(name) for name in (*_TEXTS, *NUMBERS, *_SIZES) if name in table.header}
        while chunk := list(islice(table.rows, _CHUNK_ROWS)):
            if rows := [(line, cells) for line, cells, fault in chunk if not fault]:
                columns = {name: _shared([cells[i] for _, cells in rows]) for name, i in at.items()}
                for name in _TEXTS:
                    if name != "text" and name in columns:
                        columns[name] = [cell.strip() for cell in columns[name]]
                yield [line for line, _ in rows], columns


def _declared(cells: Mapping[str, list[str]], rows: int) -> Floats:
    """(rows, 2) height and width that the table says; a cell that is no number says nothing."""
    for pair in SIZE_COLUMNS:
        if set(pair) <= set(cells):
            width, height = (parse_numbers(cells[name], name)[0] for name in pair)
            return np.stack([height, width], axis=1)
    return np.full((rows, 2), np.nan)


def _shared(cells: list[str]) -> list[str]:
    seen: dict[str, str] = {}
    return [seen.setdefault(cell, cell) for cell in cells]


def _paths(table: DoctorTable) -> list[str]:
    found = resolved_images([path.parent for path in table.files], table.file_index.tolist(), table.image)
    return [path if image else "" for path, image in zip(found, table.image, strict=True)]
