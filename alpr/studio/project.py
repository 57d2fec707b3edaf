"""The studio's project: photographs with their labels, and the table on disk that every change is written into.

A table that was opened is never written over: its project is NAME.studio.csv beside it, that of a folder is studio.csv
inside it. The column `reviewed` holds the UTC time at which a person said that a photograph's labels are right.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alpr.data.columns import COLUMNS, IGNORE, KIND_COLUMN, REVIEWED_COLUMN, geometry_faults
from alpr.data.manifest import csv_bytes
from alpr.data.table_reading import read_table
from alpr.files import write_atomically
from alpr.plates.geometry import corner_box
from alpr.studio.labels import DOUBT, REASONS, ROWS, Label, cells_of, label_of

try:
    import fcntl
except ImportError:  # Windows: two studios on one table may write at the same moment there
    fcntl = None  # type: ignore[assignment]

TABLE = "studio.csv"
SUFFIX = ".studio.csv"
OWN_COLUMNS = (KIND_COLUMN, ROWS, DOUBT, REASONS, REVIEWED_COLUMN)
MOST_PLATES = 500
"""Of one photograph."""


class Conflict(ValueError):
    """A photograph that another page changed in the meantime."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph and what its labels say.

    Attributes:
        image: its path as the table has it.
        labels: of its plates.
        known: whether the table says anything of it; without labels: that it holds no plate.
        reviewed: UTC time, or "" for drafts and for labels that nobody looked at here.
        doubt: how likely a draft is wrong, 0..1; NaN where there is none. reasons: why.
        rest: the cells of other columns that new rows take over.
        revision: how often it was changed since it was opened.
    """

    number: int
    image: str
    path: Path
    labels: tuple[Label, ...] = ()
    known: bool = False
    reviewed: str = ""
    doubt: float = math.nan
    reasons: str = ""
    rest: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0
    lines: bytes = b""  # in the table

    def same_labels(self, other: Photo) -> bool:
        """Whether the two say the same."""
        return (self.labels, self.known, self.reviewed) == (other.labels, other.known, other.reviewed)


class Draft(NamedTuple):
    """What a reader found in a photograph, to be looked at."""

    number: int
    labels: tuple[Label, ...]
    doubt: float
    reasons: str


def project_table(source: Path) -> Path:
    """The project's table of a folder or a table; a project's own table is itself."""
    if source.is_dir():
        return source / TABLE
    if source.name == TABLE or source.name.endswith(SUFFIX):
        return source
    return source.with_name(source.stem + SUFFIX)


class Project:
    """Photographs by number, and their table. Safe to use from several threads.

    Args:
        table: where labels are written; what stands there is read first.
        original: a table whose labels it begins with where there is no table yet; it is not written to.
        images: further photographs, of a folder.

    Raises:
        ManifestError: a table that cannot be used.
    """

    def __init__(self, table: Path, original: Path | None = None, images: Sequence[Path] = ()) -> None:
        self.table, self.original = table, original
        self.photos: list[Photo] = []
        self.version = 0
        self.rejected: tuple[str, ...] = ()
        self._by_path: dict[str, int] = {}
        self._columns: tuple[str, ...] = (*COLUMNS, *OWN_COLUMNS)
        self._lock = threading.RLock()
        self._seen = _signature(table)
        source = table if self._seen is not None else original
        if source is not None:
            for photo in self._read(source):
                self._put(photo)
        for path in images:
            if _key(path) not in self._by_path:
                self._put(Photo(len(self.photos), self._cell(path), path))

    def photo(self, number: int) -> Photo:
        """A photograph.

        Raises:
            LookupError: no such number.
        """
        if not 0 <= number < len(self.photos):
            raise LookupError(f"There is no photograph {number}; there are {len(self.photos)}.")
        return self.photos[number]

    def change(self, number: int, revision: int, labels: Sequence[Label], *, known: bool, reviewed: bool) -> Photo:
        """Puts labels in the place of a photograph's, and writes the table.

        Args:
            revision: of the photograph that was changed.
            known: with no label: whether it holds no plate; else nothing is said of it.
            reviewed: whether a person says that they are right; an earlier time of unchanged labels is kept.

        Raises:
            Conflict: another page, or another studio, changed the photograph in the meantime.
            ValueError: labels that no table can hold; the sentence says why.
            LookupError: no such photograph.
            NotWritten: a table that cannot be written; nothing is changed then.
        """
        check_labels(labels)
        with self._lock, _alone(self.table.parent):
            self._take_over()
            old = self.photo(number)
            if old.revision != revision:
                raise Conflict(f"Another page changed {old.image} in the meantime.")
            labels = tuple(_with_box(label, old.labels) for label in labels)
            known = bool(known or labels)
            new = replace(old, labels=labels, known=known, reviewed="", revision=old.revision + 1)
            if reviewed and known:
                kept = replace(new, reviewed=old.reviewed)
                new = replace(kept, reviewed=old.reviewed if old.reviewed and kept.same_labels(old) else _now())
            self._write([replace(new, lines=self._lines(new))])
            return self.photos[number]

    def draft(self, drafts: Sequence[Draft]) -> int:
        """Writes drafts of photographs that are still without located labels; gives how many were."""
        with self._lock, _alone(self.table.parent):
            self._take_over()
            fresh = []
            for draft in drafts:
                old = self.photo(draft.number)
                if wants_draft(old):
                    new = replace(
                        old, labels=draft.labels, known=True, doubt=draft.doubt, reasons=draft.reasons,
                        revision=old.revision + 1,
                    )  # fmt: skip
                    fresh.append(replace(new, lines=self._lines(new)))
            if fresh:
                self._write(fresh)
            return len(fresh)

    def _write(self, changed: Sequence[Photo]) -> None:
        """Writes the table with these photographs, and takes them only then."""
        whole = list(self.photos)
        for photo in changed:
            whole[photo.number] = photo
        for photo in whole:
            if photo.known and not photo.lines:
                whole[photo.number] = replace(photo, lines=self._lines(photo))
        write_atomically(self.table, [csv_bytes([self._columns]), b"".join(p.lines for p in whole if p.known)])
        self._seen = _signature(self.table)
        self.photos = whole
        self.version += 1

    def _lines(self, photo: Photo) -> bytes:
        rows: Sequence[Label | None] = photo.labels or (None,)
        shared = {
            "image": photo.image,
            REVIEWED_COLUMN: photo.reviewed,
            DOUBT: "" if math.isnan(photo.doubt) else f"{photo.doubt:.3f}",
            REASONS: photo.reasons,
        }
        cells = [{**cells_of(label, photo.rest), **shared} for label in rows]
        return csv_bytes([row.get(name, "") for name in self._columns] for row in cells)

    def _take_over(self) -> None:
        """Takes what another studio, or an editor, wrote into the table since it was read."""
        found = _signature(self.table)
        if found in (None, self._seen):  # one that was removed is written again
            return
        self._seen = found
        told = {_key(photo.path): photo for photo in self._read(self.table)}
        for old in list(self.photos):
            new = told.pop(_key(old.path), None)
            if new is None:
                new = replace(old, labels=(), known=False, reviewed="")
            if not new.same_labels(old):
                self.photos[old.number] = replace(new, number=old.number, revision=old.revision + 1)
        for photo in told.values():
            self._put(replace(photo, number=len(self.photos)))
        self.version += 1

    def _put(self, photo: Photo) -> None:
        self._by_path[_key(photo.path)] = len(self.photos)
        self.photos.append(photo)

    def _cell(self, path: Path) -> str:
        """A photograph's path as the table has it: relative below the table's folder, else absolute."""
        whole, folder = Path(os.path.abspath(path)), Path(os.path.abspath(self.table.parent))  # noqa: PTH100 - links stay
        return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else str(whole)

    def _read(self, source: Path) -> list[Photo]:
        """The photographs of a table, numbered on from those there are."""
        raw = read_table(source)
        self.rejected = tuple(map(str, raw.rejected))
        others = [name for name in raw.texts if name not in (*self._columns, "image")]
        self._columns = (*self._columns[: -len(OWN_COLUMNS)], *others, *OWN_COLUMNS)
        rows: dict[str, list[int]] = {}
        for row, image in enumerate(raw.texts["image"]):
            rows.setdefault(image, []).append(row)
        nothing = [""] * len(raw.line)
        doubts, reasons, reviewed = (raw.texts.get(name, nothing) for name in (DOUBT, REASONS, REVIEWED_COLUMN))
        beside = source.parent == self.table.parent
        found = []
        for number, (image, mine) in enumerate(rows.items(), start=len(self.photos)):
            path, first = source.parent / image, mine[0]
            labels = [label_of(raw.texts, raw.numbers, row) for row in mine]
            found.append(
                Photo(
                    number,
                    image if beside else self._cell(path),
                    path,
                    tuple(label for label in labels if not label.empty),
                    True,
                    min(reviewed[row] for row in mine),
                    _share(doubts[first]),
                    reasons[first],
                    labels[0].rest,
                )
            )
        return found


def _share(cell: str) -> float:
    try:
        return float(cell or "nan")
    except ValueError:  # a column of another table that has this name
        return math.nan


def wants_draft(photo: Photo) -> bool:
    """Whether nothing says yet where a photograph's plates are."""
    return not photo.reviewed and (
        not photo.known or (bool(photo.labels) and not any(label.quad for label in photo.labels))
    )


def check_labels(labels: Sequence[Label]) -> None:
    """Refuses labels that no table can hold.

    Raises:
        ValueError: a text with control characters or one too long, a quad that is crossed or not clockwise, or a
            region to ignore without a place; the sentence says which plate.
    """
    if len(labels) > MOST_PLATES:
        raise ValueError(f"A photograph has {len(labels)} labels; expected at most {MOST_PLATES}.")
    for number, label in enumerate(labels, start=1):
        if fault := label.fault():
            raise ValueError(f"Plate {number}: {fault}.")
        box = np.array([label.box or (math.nan,) * 4], float)
        corners = np.array([label.corners or ((math.nan,) * 2,) * 4], float)
        for reason in geometry_faults(box, corners).values():
            raise ValueError(f"Plate {number}: {reason}.")
        if label.kind == IGNORE and label.quad is None:
            raise ValueError(f"Plate {number} is to be ignored and has no place; expected corners.")
        if label.empty:
            raise ValueError(f"Plate {number} has neither a place nor a text; expected one of them.")


def _with_box(label: Label, old: Sequence[Label]) -> Label:
    """A label whose box fits its corners where those were moved."""
    if (
        label.box is None
        or label.corners is None
        or any(label.corners == o.corners and label.box == o.box for o in old)
    ):
        return label
    x1, y1, x2, y2 = corner_box(np.array(label.corners, float)).tolist()
    return replace(label, box=(x1, y1, x2, y2))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - a link is another photograph here, as its path is


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other studios from writing into a folder meanwhile."""
    descriptor = None
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
