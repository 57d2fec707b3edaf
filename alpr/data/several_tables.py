"""One or several tables read as one manifest, and the tables of several sources that show the same photographs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from alpr.data.columns import REVIEWED_COLUMN, ManifestError, Rejection
from alpr.data.manifest import TEXT_FIELDS, Manifest
from alpr.data.photographs import of_chosen, replace_rejected, united
from alpr.data.table_reading import RawTable, read_table

_Paths = Path | str | Sequence[Path | str]


def read_manifest(
    path: Path | str | Sequence[Path | str],
    *,
    splits: Collection[str] | None = None,
    strict: bool = False,
    unreviewed: bool = False,
) -> Manifest:
    """The labelled plates of one or several CSV files, this project's own or the reference's `alpr_annotation.csv`.

    A row that cannot be used is left out and listed in `rejected`, with the other rows of its image: a plate without
    a label would be learnt as background.

    Args:
        splits: only rows of these splits.
        strict: raise at the first row that cannot be used.
        unreviewed: take the drafts of a table with the column `reviewed`, see `reviewed_alone`.

    Raises:
        ManifestError: a file without the columns, without one usable row, or without a row of the splits,
            or a file that cannot be read.
    """
    return united(_in_splits(_read_tables(path, strict, unreviewed), path, splits))


def read_sources(
    sources: Sequence[tuple[Sequence[Path | str], Collection[str] | None]],
    strict: bool = False,
    unreviewed: bool = False,
) -> list[Manifest]:
    """The labelled plates of several sources: the files and the splits of each, as `read_manifest` takes them.

    A photograph of several sources has the plates of all in each of them: what one source does not label would be
    learnt as background, and the same photograph could train in one and be held back in another.

    Raises:
        ManifestError: as `read_manifest`.
    """
    read = [_read_tables(paths, strict, unreviewed) for paths, _ in sources]
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


def _read_tables(path: _Paths, strict: bool, unreviewed: bool) -> Manifest:
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(p) for p in path]
    if not paths:
        raise ManifestError("No manifest was given; expected the path of at least one CSV file.")
    resolved = [p.resolve() for p in paths]
    twice = sorted({str(p) for p, r in zip(paths, resolved, strict=True) if resolved.count(r) > 1})
    if twice:
        raise ManifestError(f"The manifest {', '.join(twice)} is given twice; its plates would count double.")
    return join_manifests([_read_one(p, strict, unreviewed) for p in paths])


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


def _read_one(path: Path, strict: bool, unreviewed: bool) -> Manifest:
    raw: RawTable = read_table(path)
    if strict and raw.rejected:
        more = f" (and {len(raw.rejected) - 1} more)" if len(raw.rejected) > 1 else ""
        raise ManifestError(f"{raw.rejected[0]}{more}.")
    if not raw.texts["image"]:
        why = f" All {len(raw.rejected)} were rejected; the first: {raw.rejected[0]}." if raw.rejected else ""
        raise ManifestError(f"{path} holds no usable row.{why}")
    extra = {name: cells for name, cells in raw.texts.items() if name not in TEXT_FIELDS}
    whole = Manifest(
        folders=(path.parent,),
        folder_index=np.zeros(len(raw.texts["image"]), np.int64),
        box=raw.numbers[:, :4].copy(),
        corners=raw.numbers[:, 4:].reshape(-1, 4, 2).copy(),
        line=np.array(raw.line, np.int64),
        extra=extra,
        rejected=tuple(raw.rejected),
        tables=(str(path),),
        source_sha256=raw.sha256,
        **{name: raw.texts[name] for name in TEXT_FIELDS},
    )
    return whole if unreviewed else reviewed_alone(whole, path)


def reviewed_alone(manifest: Manifest, path: Path) -> Manifest:
    """The photographs of a table of which a person reviewed every row; the others' rows are listed as rejected.

    A table without the column `reviewed` is as it is.

    Raises:
        ManifestError: not one row is left.
    """
    cells = manifest.extra.get(REVIEWED_COLUMN)
    if cells is None or all(cells):
        return manifest
    drafts = {image for image, cell in zip(manifest.image, cells, strict=True) if not cell}
    kept = np.array([image not in drafts for image in manifest.image], bool)
    if not kept.any():
        raise ManifestError(
            f"{path}: not one photograph is reviewed, all {manifest.rows:,} rows are drafts; review them in alpr "
            "studio or, to train on drafts, set data.unreviewed=true."
        )
    reason = "its photograph is a draft, not yet reviewed"
    rejected = [
        Rejection(str(path), int(manifest.line[row]), manifest.image[row], reason)
        for row in np.flatnonzero(~kept).tolist()
    ]
    return replace_rejected(manifest.take(kept), rejected)


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
        **{name: [cell for m in manifests for cell in getattr(m, name)] for name in TEXT_FIELDS},
    )
