"""Which rows show one photograph, however its path is spelt, and what becomes of plates that are labelled twice."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from alpr.data.columns import IGNORE, KIND_COLUMN, Booleans, Floats, Rejection
from alpr.plates.geometry import box_iou, corner_box
from alpr.plates.identity import identity

if TYPE_CHECKING:
    from alpr.data.manifest import Manifest

Indices = npt.NDArray[np.int64]
SAME_PLACE = 0.5
"""Two labels of a photograph that overlap by more than this mean the same plate."""


def resolved_images(folders: Sequence[Path], folder_index: Sequence[int], images: Sequence[str]) -> list[str]:
    """Each row's image as its real, absolute path: the same for every spelling of it and through links.

    Args:
        folders: what relative images are relative to.
        folder_index: of each row.
    """
    bases = [str(folder) for folder in folders]
    real: dict[str, str] = {}  # by folder as it is spelt
    known: dict[tuple[int, str], str] = {}
    for base, image in zip(folder_index, images, strict=True):
        if (base, image) in known:
            continue
        head, name = os.path.split(os.path.join(bases[base], image))  # noqa: PTH118, faster over many files
        if head not in real:
            real[head] = os.path.realpath(head)
        path = f"{real[head].rstrip(os.sep)}{os.sep}{name}"
        odd = name in ("", ".", "..") or os.path.islink(path)  # noqa: PTH114
        known[base, image] = os.path.realpath(path) if odd else path
    return [known[key] for key in zip(folder_index, images, strict=True)]


def same(names: Sequence[str]) -> Indices:
    """The group of each entry: (N,), the first entry of the same name; an empty name is a group of its own."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(n, i) if n else i for i, n in enumerate(names)], np.int64)


def groups_of_several(groups: Indices, keys: Sequence[object]) -> list[list[int]]:
    """The rows of each group (N,) in which more than one key stands, such as the spelling of a photograph's path."""
    first: dict[int, object] = {}
    several = {group for group, key in zip(groups.tolist(), keys, strict=True) if first.setdefault(group, key) != key}
    rows: defaultdict[int, list[int]] = defaultdict(list)
    if several:
        for row, group in enumerate(groups.tolist()):
            if group in several:
                rows[group].append(row)
    return list(rows.values())


def in_splits(manifest: Manifest, splits: Collection[str]) -> Manifest:
    """The rows of the photographs of some splits, see `of_chosen`."""
    return of_chosen(manifest, np.array([split in splits for split in manifest.split], bool), splits)


def of_chosen(manifest: Manifest, named: Booleans, allowed: Collection[str]) -> Manifest:
    """All rows of the photographs that some rows show; a row without a split goes with its photograph.

    A photograph that also stands in a split that is not allowed is left out as a whole, and its rows are listed as
    rejected: it would train and validate at once, or its other plates would be learnt as background.

    Args:
        named: (N,) the rows that choose photographs.
        allowed: the splits that chosen photographs may stand in.
    """
    foreign = np.array([bool(split) and split not in allowed for split in manifest.split], bool)
    if (named.all() and not foreign.any()) or not named.any():
        return manifest if named.all() else manifest.take(named)
    groups = manifest.photographs
    size = int(groups.max()) + 1
    wanted, torn = np.zeros(size, bool), np.full(size, -1, np.int64)
    wanted[groups[named]] = True
    torn[groups[foreign]] = np.flatnonzero(foreign)
    lost = np.flatnonzero(named & (torn[groups] >= 0)).tolist()
    rejected = []
    for row in lost:
        other = int(torn[groups[row]])
        reason = f"its photograph is also in split {manifest.split[other]!r} ({manifest.place(other)})"
        rejected.append(_rejection(manifest, row, reason))
    kept = manifest.take(wanted[groups] & (torn[groups] < 0))
    return replace_rejected(kept, rejected) if rejected else kept


def united(manifest: Manifest) -> Manifest:
    """The rows, each plate of a photograph once where tables, or spellings of its path, repeat it.

    Of a plate that is given two texts the place is kept without a text. What goes is listed as rejected. Repeated rows
    of one table and spelling stay: they are for the doctor.
    """
    keys = list(zip(manifest.folder_index.tolist(), manifest.image, strict=True))
    gone: dict[int, str] = {}
    silent: set[int] = set()
    for rows in groups_of_several(manifest.photographs, keys):
        _unite(manifest, rows, keys, gone, silent)
    if not gone:
        return manifest
    rejected = [_rejection(manifest, row, reason) for row, reason in sorted(gone.items())]
    whole = replace(manifest, text=["" if row in silent else text for row, text in enumerate(manifest.text)])
    return replace_rejected(whole.take(np.setdiff1d(np.arange(manifest.rows), list(gone))), rejected)


def _unite(
    manifest: Manifest, rows: Sequence[int], keys: Sequence[object], gone: dict[int, str], silent: set[int]
) -> None:
    """Compares the rows of one photograph: which go, with reasons, and which lose their texts."""
    kept: list[int] = []
    for row in rows:
        twin = next((k for k in kept if keys[k] != keys[row] and _repeats(manifest, k, row)), None)
        if twin is None:
            kept.append(row)
            continue
        first, second = sorted((twin, row), key=lambda i: (_ignored(manifest, i), not manifest.text[i], i))
        kept[kept.index(twin)] = first
        one, another = manifest.text[first], manifest.text[second]
        where = f"the plate of {manifest.place(first)}, by its photograph {manifest.image[first]}"
        gone[second] = f"it repeats {where}"
        if another and identity(one) != identity(another) and not _ignored(manifest, second):
            gone[second] = f"it gives the text {another!r} and not {one!r} to {where}; neither is taken"
            silent.add(first)
            if _hull(manifest, first) is None:  # nothing would be left to say that there is a plate
                gone[first] = f"{manifest.place(second)} gives it the text {another!r}; neither is taken"


def _ignored(manifest: Manifest, row: int) -> bool:
    return KIND_COLUMN in manifest.extra and manifest.extra[KIND_COLUMN][row] == IGNORE


def _repeats(manifest: Manifest, a: int, b: int) -> bool:
    """Whether two rows of a photograph mean one plate: by their places or, where one has none, by their texts.

    Rows of two splits contradict each other and stay, to be found.
    """
    if manifest.split[a] and manifest.split[b] and manifest.split[a] != manifest.split[b]:
        return False
    one, another = _hull(manifest, a), _hull(manifest, b)
    if one is None or another is None:
        texts = identity(manifest.text[a]), identity(manifest.text[b])
        # Two ready-made crops are one plate whatever they are said to read.
        return bool(texts[0]) and bool(texts[1]) and (texts[0] == texts[1] or (one is None and another is None))
    return bool(box_iou(one[None], another[None])[0, 0] > SAME_PLACE)


def _hull(manifest: Manifest, row: int) -> Floats | None:
    for hull in (corner_box(manifest.corners[row]), manifest.box[row]):
        if np.isfinite(hull).all():
            return np.asarray(hull, np.float64)
    return None


def _rejection(manifest: Manifest, row: int, reason: str) -> Rejection:
    table = manifest.tables[int(manifest.folder_index[row])] if manifest.tables else ""
    return Rejection(table, int(manifest.line[row]), manifest.image[row], reason)


def replace_rejected(manifest: Manifest, more: Sequence[Rejection]) -> Manifest:
    """The manifest with further rejected rows."""
    return replace(manifest, rejected=(*manifest.rejected, *more))
