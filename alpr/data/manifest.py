"""The one table of labelled plates: a row is a plate, rows of one image make a scene.

A row with neither box, corners nor text says that its image is known to hold no plate. `image` is relative to the
folder of the CSV file, or absolute. Other columns than those of `COLUMNS` are kept as text in `extra`; of them `kind`
may say `ignore`: a region that is neither a plate to learn nor background, and `colour` names the kind of plate.
The table is held by columns: an object per row would be too much for the 355,000 of CCPD.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alpr.data.columns import (
    BOX_COLUMNS,
    COLOUR_COLUMN,
    COLUMNS,
    CORNER_COLUMNS,
    IGNORE,
    KIND_COLUMN,
    REJECTED_COLUMNS,
    Booleans,
    Floats,
    ManifestError,
    Rejection,
    as_cells,
    as_numbers,
    geometry_faults,
    has_place,
    kind_faults,
    number_cells,
)
from alpr.data.photographs import in_splits, resolved_images, same
from alpr.data.scenes import Scenes, scene_numbers
from alpr.files import write_atomically
from alpr.plates.identity import identity
from alpr.plates.records import Plate

__all__ = ["COLUMNS", "Manifest", "ManifestError", "Rejection", "fold_of"]

Indices = npt.NDArray[np.int64]
_CHUNK_ROWS = 16384


def fold_of(text: str, folds: int = 10) -> int:
    """The fold 0..folds-1 that a plate's text belongs to: the same on every machine and in every version."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % folds


def fold_advice(sizes: Sequence[int], key: str = "data.holdout_fold") -> str:
    """Which setting would hold back how many scenes, for a set too small for the fold that was chosen.

    Args:
        sizes: of `Manifest.fold_sizes`.
    """
    whole = int(sum(sizes))
    some = [f"{key}={fold} holds back {size}" for fold, size in enumerate(sizes) if 0 < size < whole]
    return f"Of {whole} scenes {', '.join(some[:3])}." if some else f"No fold of these {whole} scenes would."


@dataclass(frozen=True, eq=False)
class Manifest:
    """Labelled plates by column; entry i of every column is row i. Made by `Manifest.of` or `read_manifest`."""

    folders: tuple[Path, ...]  # what relative images are relative to
    folder_index: Indices  # (N,) into `folders`
    image: list[str]
    text: list[str]  # "" where unknown, like the other text columns
    country: list[str]
    box: Floats  # (N, 4) px, NaN where unknown
    corners: Floats  # (N, 4, 2) px, NaN where unknown
    split: list[str]
    note: list[str]
    line: Indices  # (N,) in the file that was read, as a text editor counts; 0 where there was none
    extra: dict[str, list[str]] = field(default_factory=dict)
    rejected: tuple[Rejection, ...] = ()
    tables: tuple[str, ...] = ()  # the files that were read, one for each of `folders`
    source_sha256: str = ""  # of the files that were read; a selection keeps it

    @classmethod
    def of(
        cls,
        folder: Path,
        image: Sequence[str],
        *,
        text: Iterable[str | None] | str | None = None,
        country: Iterable[str | None] | str | None = None,
        box: Any = None,
        corners: Any = None,
        split: Iterable[str | None] | str | None = None,
        note: Iterable[str | None] | str | None = None,
        extra: Mapping[str, Iterable[str | None] | str] | None = None,
    ) -> Manifest:
        """A manifest from columns; a text column may be one value for all rows.

        Args:
            folder: what `image` is relative to.
            box: (N, 4) px, NaN where unknown.
            corners: (N, 4, 2) px, NaN where unknown.

        Raises:
            ManifestError: columns of different lengths, or a box or corners that cannot be used.
        """
        n = len(image)
        manifest = cls(
            folders=(folder,),
            folder_index=np.zeros(n, np.int64),
            image=list(image),
            text=as_cells(text, n, "text"),
            country=as_cells(country, n, "country"),
            box=as_numbers(box, n, (4,)),
            corners=as_numbers(corners, n, (4, 2)),
            split=as_cells(split, n, "split"),
            note=as_cells(note, n, "note"),
            line=np.zeros(n, np.int64),
            extra={name: as_cells(values, n, name) for name, values in (extra or {}).items()},
        )
        located = has_place(manifest.box, manifest.corners)
        faults = geometry_faults(manifest.box, manifest.corners)
        for row, reason in sorted((kind_faults(manifest.extra.get(KIND_COLUMN, []), located) | faults).items()):
            raise ManifestError(f"Entry {row} ({manifest.image[row]}): {reason}.")
        return manifest

    @property
    def rows(self) -> int:
        return len(self.image)

    @property
    def sha256(self) -> str:
        """The hash of the files that were read, or of the table as it would be written beside its images."""
        if self.source_sha256:
            return self.source_sha256
        digest = hashlib.sha256()
        for chunk in self._as_csv(self.folders[0] if self.folders else Path()):
            digest.update(chunk)
        return digest.hexdigest()

    @cached_property
    def photographs(self) -> Indices:
        """The photograph of each row: (N,), the same number for all spellings of its path, through links and tables."""
        return same(resolved_images(self.folders, self.folder_index.tolist(), self.image))

    def path(self, row: int) -> Path:
        """The image of a row."""
        folder: Path = self.folders[int(self.folder_index[row])]
        return folder / self.image[row]

    def place(self, row: int) -> str:
        """Where a row stands, for a complaint: its file and line, else its number."""
        if self.line[row] and self.tables:
            return f"{self.tables[int(self.folder_index[row])]}, row {self.line[row]}"
        return f"entry {row}"

    def plate(self, row: int) -> Plate | None:
        """The plate of a row, or None where the row says that there is none."""
        box, corners = self.box[row], self.corners[row]
        has_box, has_corners, text = box[0] == box[0], corners[0, 0] == corners[0, 0], self.text[row]
        if not (has_box or has_corners or text):
            return None
        return Plate(
            text=text or None,
            corners=corners.astype(np.float32) if has_corners else None,
            box=box.astype(np.float32) if has_box else None,
            country=self.country[row] or None,
            ignored=KIND_COLUMN in self.extra and self.extra[KIND_COLUMN][row] == IGNORE,
            kind=(self.extra[COLOUR_COLUMN][row] or None) if COLOUR_COLUMN in self.extra else None,
        )

    def scenes(self, complete: bool = True) -> Scenes:
        """The photographs with their plates, in the order of first mention; each is made when it is asked for.

        Args:
            complete: whether every plate in them is labelled.
        """
        return Scenes(self, complete)

    def texts_of(self, tables: Collection[Path]) -> Manifest:
        """The manifest with the texts of these tables alone; the plates that others label keep their places."""
        own = {os.path.realpath(table) for table in tables}
        foreign = [bool(table) and os.path.realpath(table) not in own for table in self.tables]
        if not any(foreign):
            return self
        texts = zip(self.folder_index.tolist(), self.text, strict=True)
        silent = replace(self, text=["" if foreign[base] else text for base, text in texts])
        silent.__dict__["photographs"] = self.photographs
        return silent

    def located(self) -> Manifest:
        """The rows of the scenes that say where their plates are, or that there are none."""
        lost = np.array([bool(text) for text in self.text], bool) & ~has_place(self.box, self.corners)
        scene_of, starts = scene_numbers(self)
        spoilt = np.zeros(len(starts), bool)
        spoilt[scene_of[lost]] = True
        return self.take(~spoilt[scene_of]) if lost.any() else self

    def take(self, rows: npt.ArrayLike) -> Manifest:
        """The manifest of these rows only: indices, or one truth value per row."""
        chosen = np.asarray(rows)
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        listed: list[int] = index.tolist()
        texts: dict[str, Any] = {name: [getattr(self, name)[i] for i in listed] for name in TEXT_FIELDS}
        taken = replace(
            self,
            folder_index=self.folder_index[index],
            line=self.line[index],
            box=self.box[index],
            corners=self.corners[index],
            extra={name: [cells[i] for i in listed] for name, cells in self.extra.items()},
            **texts,
        )
        if "photographs" in self.__dict__:  # looking at the files again would take a while
            taken.__dict__["photographs"] = self.photographs[index]
        return taken

    def select(
        self, *, splits: Collection[str] | None = None, fold: int | None = None, inside: bool = True, folds: int = 10
    ) -> Manifest:
        """The rows of some splits, and of them the scenes inside (or outside) one fold of the plates.

        A scene is inside when any of its plates is; a scene without text goes by the name of its image. So with
        fold 0 of 10, `inside=False` trains and `inside=True` is held back, and no plate of CCPD is in both. A scene of
        several splits is in none, see `alpr.data.photographs.in_splits`.

        Raises:
            ManifestError: one text instead of a collection of splits, or a fold that does not exist.
        """
        if isinstance(splits, str):
            raise ManifestError(f"splits is the text {splits!r}; expected a collection, such as [{splits!r}].")
        if fold is not None and not 0 <= fold < folds:
            raise ManifestError(f"Fold {fold} does not exist; expected 0 to {folds - 1}.")
        chosen = self if splits is None else in_splits(self, splits)
        if fold is None:
            return chosen
        held: Booleans = np.array([fold in its for its in chosen._folds(folds)], bool)
        scene_of, _ = scene_numbers(chosen)
        return chosen.take(held[scene_of] if inside else ~held[scene_of])

    def _folds(self, folds: int) -> list[set[int]]:
        """The folds of every scene's plates; a scene without text has that of its image's name."""
        scene_of, starts = scene_numbers(self)
        its: list[set[int]] = [set() for _ in starts]
        for scene, text in zip(scene_of.tolist(), self.text, strict=True):
            if text:
                its[scene].add(fold_of(identity(text), folds))
        for scene, found in enumerate(its):
            if not found:
                found.add(fold_of(Path(self.image[starts[scene]]).name, folds))
        return its

    def fold_sizes(self, folds: int = 10) -> list[int]:
        """How many scenes each fold holds back, see `select`."""
        counts = Counter(fold for its in self._folds(folds) for fold in its)
        return [counts[fold] for fold in range(folds)]

    def plates(self, count: int) -> Manifest:
        """The scenes of so many plates, all of them where there are fewer: a smaller count's lie in a larger one's.

        Plates are told apart by their texts and drawn by these alone, so the same ones come in every run. A scene
        stays whole, so that a scene of several plates may bring more.

        Raises:
            ManifestError: a count below 1.
        """
        if count < 1:
            raise ManifestError(f"{count} plates were asked for; expected at least 1.")
        plates = [identity(text) for text in self.text]
        wanted = set(sorted(set(plates) - {""}, key=lambda plate: fold_of(plate, 2**64))[:count])
        scene_of, starts = scene_numbers(self)
        kept = np.zeros(len(starts), bool)
        kept[[scene for scene, plate in zip(scene_of.tolist(), plates, strict=True) if plate in wanted]] = True
        return self.take(kept[scene_of])

    def write(self, path: Path) -> None:
        """Writes the table as CSV. Images below the file's folder are written relative to it, others absolute.

        Raises:
            NotWritten: a full disk or a folder that cannot be written to; a table that stood there still stands.
        """
        write_atomically(path, self._as_csv(path.parent))

    def _as_csv(self, folder: Path) -> Iterator[bytes]:
        names = (*COLUMNS, *self.extra)
        numbers = np.concatenate([self.box, self.corners.reshape(-1, 8)], axis=1)
        columns: dict[str, Sequence[str]] = {name: getattr(self, name) for name in TEXT_FIELDS}
        columns["image"] = self._images_from(folder)
        columns.update(self.extra)
        yield csv_bytes([names])
        for start in range(0, self.rows, _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            cells = {name: cells[part] for name, cells in columns.items()}
            cells.update({c: number_cells(numbers[part, i]) for i, c in enumerate((*BOX_COLUMNS, *CORNER_COLUMNS))})
            yield csv_bytes(zip(*(cells[name] for name in names), strict=True))

    def _images_from(self, folder: Path) -> list[str]:
        prefixes = []
        for base in self.folders:
            if base.resolve() == folder.resolve():
                prefixes.append("")
            elif base.resolve().is_relative_to(folder.resolve()):
                prefixes.append(base.resolve().relative_to(folder.resolve()).as_posix() + "/")
            else:
                prefixes.append(base.resolve().as_posix() + "/")
        if prefixes == [""]:
            return self.image
        return [
            image if image.startswith("/") or Path(image).is_absolute() else prefixes[base] + image
            for base, image in zip(self.folder_index.tolist(), self.image, strict=True)
        ]


TEXT_FIELDS = ("image", "text", "country", "split", "note")


def write_rejected(rejected: Sequence[Rejection], path: Path) -> None:
    """Lists what was left out as CSV (file, row, image, reason); without any, an older list is removed.

    Raises:
        NotWritten: a full disk or a folder that cannot be written to.
    """
    if rejected:
        write_atomically(path, [csv_bytes([REJECTED_COLUMNS]), csv_bytes(rejected)])
    else:
        path.unlink(missing_ok=True)


def csv_bytes(rows: Iterable[Iterable[Any]]) -> bytes:
    """Rows as UTF-8 CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
