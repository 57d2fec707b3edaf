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
from typing import Any, overload

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
from alpr.data.photographs import in_splits, of_chosen, resolved_images, same, united
from alpr.data.table_reading import RawTable, read_table
from alpr.files import write_atomically
from alpr.plates.identity import identity
from alpr.plates.records import Plate, Scene

__all__ = ["COLUMNS", "Manifest", "ManifestError", "Rejection", "fold_of", "join_manifests", "read_manifest"]

Indices = npt.NDArray[np.int64]
_Paths = Path | str | Sequence[Path | str]
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
    """Labelled plates by column; entry i of every column is row i. Build one with `Manifest.of` or `read_manifest`."""

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
        scene_of, starts = _scene_numbers(self)
        spoilt = np.zeros(len(starts), bool)
        spoilt[scene_of[lost]] = True
        return self.take(~spoilt[scene_of]) if lost.any() else self

    def take(self, rows: npt.ArrayLike) -> Manifest:
        """The manifest of these rows only: indices, or one truth value per row."""
        chosen = np.asarray(rows)
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        listed: list[int] = index.tolist()
        texts: dict[str, Any] = {name: [getattr(self, name)[i] for i in listed] for name in _TEXT_FIELDS}
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
        scene_of, _ = _scene_numbers(chosen)
        return chosen.take(held[scene_of] if inside else ~held[scene_of])

    def _folds(self, folds: int) -> list[set[int]]:
        """The folds of every scene's plates; a scene without text has that of its image's name."""
        scene_of, starts = _scene_numbers(self)
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
        scene_of, starts = _scene_numbers(self)
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
        columns: dict[str, Sequence[str]] = {name: getattr(self, name) for name in _TEXT_FIELDS}
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


_TEXT_FIELDS = ("image", "text", "country", "split", "note")


class Scenes(Sequence[Scene]):
    """A manifest's photographs; a sequence that makes each Scene when it is asked for."""

    def __init__(self, manifest: Manifest, complete: bool = True) -> None:
        self.manifest, self.complete = manifest, complete
        scene_of, self._starts = _scene_numbers(manifest)
        self._order = np.argsort(scene_of, kind="stable")
        self._bounds = np.searchsorted(scene_of[self._order], np.arange(len(self._starts) + 1))

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> Scene: ...

    @overload
    def __getitem__(self, index: slice) -> list[Scene]: ...

    def __getitem__(self, index: int | slice) -> Scene | list[Scene]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        rows = self.rows(index)
        plates = [self.manifest.plate(row) for row in rows]
        return Scene(
            image=self.manifest.path(rows[0]),
            plates=tuple(plate for plate in plates if plate is not None),
            split=next((split for row in rows if (split := self.manifest.split[row])), None),
            complete=self.complete,
        )

    def rows(self, index: int) -> list[int]:
        """The manifest's rows that make a scene."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"Scene {index} of {len(self)} does not exist.")
        index %= len(self)
        rows: list[int] = self._order[self._bounds[index] : self._bounds[index + 1]].tolist()
        return rows


def where_from(scenes: Sequence[Scene], index: int, plate: int = 0) -> str:
    """Where a scene's plate was labelled, for a complaint: the table, the row and the image, as far as they are known.

    Args:
        plate: its number in the scene.
    """
    image = scenes[index].image
    if not isinstance(scenes, Scenes):
        return f"{image}, plate {plate + 1}"
    rows = scenes.rows(index)
    named = [row for row in rows if scenes.manifest.plate(row) is not None] or rows
    return f"{scenes.manifest.place(named[plate])} ({image.name})"


def _scene_numbers(manifest: Manifest) -> tuple[Indices, list[int]]:
    """Each row's scene, and each scene's first row; scenes count in the order of first mention."""
    _, first, of = np.unique(manifest.photographs, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(first), np.int64)
    number[order] = np.arange(len(first))
    starts: list[int] = first[order].tolist()
    return number[of.reshape(-1)], starts


def read_manifest(
    path: Path | str | Sequence[Path | str], *, splits: Collection[str] | None = None, strict: bool = False
) -> Manifest:
    """The labelled plates of one or several CSV files, this project's own or the reference's `alpr_annotation.csv`.

    A row that cannot be used is left out and listed in `rejected`, with the other rows of its image: a plate without
    a label would be learnt as background.

    Args:
        splits: only rows of these splits.
        strict: raise at the first row that cannot be used.

    Raises:
        ManifestError: a file without the columns, without one usable row, or without a row of the splits,
            or a file that cannot be read.
    """
    return united(_in_splits(_read_tables(path, strict), path, splits))


def read_sources(
    sources: Sequence[tuple[Sequence[Path | str], Collection[str] | None]], strict: bool = False
) -> list[Manifest]:
    """The labelled plates of several sources: the files and the splits of each, as `read_manifest` takes them.

    A photograph of several sources has the plates of all in each of them: what one source does not label would be
    learnt as background, and the same photograph could train in one and be held back in another.

    Raises:
        ManifestError: as `read_manifest`.
    """
    read = [_read_tables(paths, strict) for paths, _ in sources]
    whole = join_manifests(read)
    ends = np.cumsum([0, *(manifest.rows for manifest in read)])
    of = np.repeat(np.arange(len(read)), np.diff(ends))
    tables = np.array([os.path.realpath(table) for table in whole.tables], object)[whole.folder_index]
    asked = [
        set(rows.split) if splits is None else set(splits) for rows, (_, splits) in zip(read, sources, strict=True)
    ]
    found = []
    for k, (manifest, (paths, splits)) in enumerate(zip(read, sources, strict=True)):
        mine = of == k
        shown = np.isin(whole.photographs, whole.photographs[mine])
        others = shown & ~mine & ~np.isin(tables, tables[mine])  # a table that both take is there already
        if others.any():
            own = replace(whole, rejected=manifest.rejected, source_sha256=manifest.sha256)
            manifest = own.take(np.concatenate([np.flatnonzero(mine), np.flatnonzero(others)]))
            named = (np.arange(manifest.rows) < mine.sum()) & np.isin(manifest.split, list(asked[k]))
            manifest = of_chosen(manifest, named, asked[k].union(*(asked[i] for i in np.unique(of[others]))))
            if not manifest.rows:  # all of them were in splits of other sources
                raise ManifestError(f"{_named(paths)}: no row is left. The last: {manifest.rejected[-1]}.")
        else:
            manifest = _in_splits(manifest, paths, splits)
        found.append(united(manifest))
    return found


def _read_tables(path: _Paths, strict: bool) -> Manifest:
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(p) for p in path]
    if not paths:
        raise ManifestError("No manifest was given; expected the path of at least one CSV file.")
    resolved = [p.resolve() for p in paths]
    twice = sorted({str(p) for p, r in zip(paths, resolved, strict=True) if resolved.count(r) > 1})
    if twice:
        raise ManifestError(f"The manifest {', '.join(twice)} is given twice; its plates would count double.")
    return join_manifests([_read_one(p, strict) for p in paths])


def _named(path: _Paths) -> str:
    return str(path) if isinstance(path, str | Path) else ", ".join(map(str, path))


def _in_splits(manifest: Manifest, path: _Paths, splits: Collection[str] | None) -> Manifest:
    if splits is None:
        return manifest
    chosen = manifest.select(splits=splits)
    if not chosen.rows:
        found = ", ".join(repr(s) for s in sorted(set(manifest.split)))
        torn = chosen.rejected[len(manifest.rejected) :]
        but = f" Rows that were left out: {len(torn)}; the first: {torn[0]}." if torn else ""
        raise ManifestError(
            f"{_named(path)}: no row of split {', '.join(map(repr, sorted(splits)))}; found {found}.{but} "
            "For all rows give no split (data.split=null)."
        )
    return chosen


def _read_one(path: Path, strict: bool) -> Manifest:
    raw: RawTable = read_table(path)
    if strict and raw.rejected:
        more = f" (and {len(raw.rejected) - 1} more)" if len(raw.rejected) > 1 else ""
        raise ManifestError(f"{raw.rejected[0]}{more}.")
    if not raw.texts["image"]:
        why = f" All {len(raw.rejected)} were rejected; the first: {raw.rejected[0]}." if raw.rejected else ""
        raise ManifestError(f"{path} holds no usable row.{why}")
    extra = {name: cells for name, cells in raw.texts.items() if name not in _TEXT_FIELDS}
    return Manifest(
        folders=(path.parent,),
        folder_index=np.zeros(len(raw.texts["image"]), np.int64),
        box=raw.numbers[:, :4].copy(),
        corners=raw.numbers[:, 4:].reshape(-1, 4, 2).copy(),
        line=np.array(raw.line, np.int64),
        extra=extra,
        rejected=tuple(raw.rejected),
        tables=(str(path),),
        source_sha256=raw.sha256,
        **{name: raw.texts[name] for name in _TEXT_FIELDS},
    )


def join_manifests(manifests: Sequence[Manifest]) -> Manifest:
    """Several manifests as one; an extra column that one of them lacks is empty there."""
    if len(manifests) == 1:
        return manifests[0]
    offsets = np.cumsum([0, *(len(m.folders) for m in manifests)])
    names = list(dict.fromkeys(name for m in manifests for name in m.extra))
    hashes = "".join(m.sha256 for m in manifests)
    return Manifest(
        folders=tuple(folder for m in manifests for folder in m.folders),
        folder_index=np.concatenate([m.folder_index + o for m, o in zip(manifests, offsets, strict=False)]),
        box=np.concatenate([m.box for m in manifests]),
        corners=np.concatenate([m.corners for m in manifests]),
        extra={name: [c for m in manifests for c in m.extra.get(name, [""] * m.rows)] for name in names},
        line=np.concatenate([m.line for m in manifests]),
        rejected=tuple(r for m in manifests for r in m.rejected),
        tables=tuple(t for m in manifests for t in m.tables or [""] * len(m.folders)),
        source_sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        **{name: [cell for m in manifests for cell in getattr(m, name)] for name in _TEXT_FIELDS},
    )


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
