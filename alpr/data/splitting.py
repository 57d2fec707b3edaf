"""Splits without leaks: rows that belong together stay together, and each kind of plate is shared out alike."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from alpr.data.columns import Floats, ManifestError
from alpr.data.fingerprints import Indices, join, members
from alpr.data.manifest import Manifest
from alpr.data.photographs import resolved_images, same
from alpr.plates.country import CountryPack
from alpr.plates.identity import identity

FRAME_PATTERN = r"(?P<video>.*)_t_(?P<time>\d+)"
"""Frames that are named after their video and their number, e.g. `gate_t_56.jpg`."""
GAP = "gap"
"""The split of the frames that are left out between two blocks."""
OTHER = "other"


class Leak(NamedTuple):
    """What stands in several splits: a plate's text, an image or a group of near duplicates, by its first row."""

    what: str
    name: str
    splits: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Count:
    """The rows of a stratum, by split, and how many were asked for."""

    stratum: str
    rows: Mapping[str, int]
    asked: Mapping[str, float]


def check_shares(shares: Mapping[str, float]) -> None:
    """Raises a ValueError unless the shares are 0..1, at least one is above 0, and they make 1 together."""
    if any(not 0 <= share <= 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        given = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise ValueError(f"The shares are {given}; expected numbers from 0 to 1 that make 1 together.")


def image_keys(manifest: Manifest) -> list[str]:
    """Each row's image as its real, absolute path: the same for `a/x.jpg`, `a/../a/x.jpg` and a link to it."""
    return resolved_images(manifest.folders, manifest.folder_index.tolist(), manifest.image)


def plate_groups(manifest: Manifest) -> Indices:
    """The plate of each row: (N,), the same number however its text is written; a row without a text is alone."""
    return same([identity(text) for text in manifest.text])


def connected(n: int, *groupings: Indices) -> Indices:
    """The connected components of n rows under several groupings, each (N,): (N,), named by their first rows."""
    groups = np.arange(n)
    for grouping in groupings:
        groups = join(groups, groups, grouping)
    return groups


def split_groups(groups: Indices, strata: Sequence[str], shares: Mapping[str, float], seed: int = 0) -> list[str]:
    """The split of every row: groups (N,) are kept whole, and every stratum gets its shares as far as that allows.

    Groups are dealt from the largest down, equal ones in random order, each where it lowers the chi-square distance to
    the asked counts most. Strata too small to give every split a row are dealt as one. Every split with a share gets a
    group where there are enough.

    Raises:
        ValueError: shares that do not make 1.
    """
    check_shares(shares)
    names = [name for name, share in shares.items() if share > 0]
    part = [shares[name] for name in names]
    pooled = pool_small(strata, 1 / min(part))
    totals = Counter(pooled)
    want = {stratum: [share * n for share in part] for stratum, n in totals.items()}
    rest = {stratum: list(counts) for stratum, counts in want.items()}
    listed = members(groups, least=1)
    order = np.random.default_rng(seed).permutation(len(listed)).tolist()
    chosen = [""] * len(pooled)
    for index in sorted(order, key=lambda i: -len(listed[i])):
        rows = listed[index]
        inside = Counter(pooled[row] for row in rows)
        costs = [sum(c * (c - 2 * rest[s][k]) / want[s][k] for s, c in inside.items()) for k in range(len(names))]
        best = costs.index(min(costs))
        for stratum, count in inside.items():
            rest[stratum][best] -= count
        for row in rows:
            chosen[row] = names[best]
    _fill_empty(chosen, listed, names)
    return chosen


def _fill_empty(chosen: list[str], groups: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """Gives a split without a row the smallest group of a split that has several, where there is one."""
    for name in names:
        dealt = Counter(chosen[rows[0]] for rows in groups)
        several = [rows for rows in groups if dealt[chosen[rows[0]]] > 1]
        if name not in dealt and several:
            for row in min(several, key=len):
                chosen[row] = name


def pool_small(strata: Sequence[str], least: float) -> list[str]:
    """The strata, those of fewer than `least` rows under one name."""
    counts = Counter(strata)
    return [s if counts[s] >= least - 1e-9 else OTHER for s in strata]


class Frames(NamedTuple):
    """The video of every row and its time in it (N,), in whatever unit the table or the names have."""

    video: list[str]
    time: Floats


def frames_by_name(manifest: Manifest, pattern: str = FRAME_PATTERN) -> Frames:
    """Videos and times from the images' names, without suffix, by a pattern with a group `time` and perhaps `video`.

    Frames of different folders are of different videos.

    Raises:
        ValueError: no such pattern.
        ManifestError: a name that does not fit, or a time that is no number.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"The pattern {pattern!r} is no regular expression: {error}.") from error
    if "time" not in compiled.groupindex:
        raise ValueError(f"The pattern {pattern!r} has no group named time; expected one such as {FRAME_PATTERN!r}.")
    video, times = [], []
    for row, key in enumerate(image_keys(manifest)):
        folder, name = os.path.split(key)
        match = compiled.fullmatch(os.path.splitext(name)[0])  # noqa: PTH122
        if match is None:
            raise ManifestError(f"The image {manifest.image[row]} does not fit the pattern {pattern!r}.")
        times.append(_time(match["time"], manifest.image[row]))
        video.append(f"{folder}/{match['video'] if 'video' in compiled.groupindex else ''}")
    return Frames(video, np.array(times))


def frames_by_column(manifest: Manifest, time: str, video: str | None = None) -> Frames:
    """Times, and perhaps videos, from columns of the table; without a column the images of a folder are a video.

    Raises:
        ManifestError: no such column, or a time that is no number.
    """
    for column in filter(None, (time, video)):
        if column not in manifest.extra:
            raise ManifestError(
                f"The table has no column {column}; found {', '.join(manifest.extra) or 'no extra one'}."
            )
    times = [_time(cell, image) for cell, image in zip(manifest.extra[time], manifest.image, strict=True)]
    videos = manifest.extra[video] if video else [os.path.dirname(key) for key in image_keys(manifest)]  # noqa: PTH120
    return Frames(list(videos), np.array(times))


def _time(text: str, image: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ManifestError(f"The time of {image} is {text!r}; expected a number.") from error


def split_times(frames: Frames, shares: Mapping[str, float], gap: float = 0.0) -> list[str]:
    """The split of every row: each video is cut into contiguous blocks, in the order of the shares.

    Frames of different splits of a video are at least `gap` apart: those nearer to a cut get the split `gap`.

    Raises:
        ValueError: shares that do not make 1, or a negative gap.
    """
    check_shares(shares)
    if gap < 0:
        raise ValueError(f"A gap of {gap:g}; expected 0 or more.")
    names = [name for name, share in shares.items() if share > 0]
    ends = np.cumsum([shares[name] for name in names])
    chosen = np.empty(len(frames.video), object)
    for rows in members(same([f"={video}" for video in frames.video]), least=1):
        times, of = np.unique(frames.time[rows], return_inverse=True)
        middles = (np.arange(len(times)) + 0.5) / len(times)
        block = np.minimum(np.searchsorted(ends, middles), len(names) - 1)
        cells = np.array(names, object)[block]
        for i in np.flatnonzero(np.diff(block)):
            cells[np.abs(times - (times[i] + times[i + 1]) / 2) < gap / 2] = GAP
        chosen[rows] = cells[of.reshape(-1)]
    listed: list[str] = chosen.tolist()
    return listed


def least_gap(frames: Frames, split: Sequence[str]) -> float:
    """The shortest time between two frames of one video in different splits; infinite where there are none."""
    kept = np.array([s != GAP for s in split], bool)
    codes = np.unique(np.array(list(split), str), return_inverse=True)[1]
    shortest = np.inf
    for rows in members(same([f"={video}" for video in frames.video])):
        inside = np.array(rows)[kept[rows]]
        inside = inside[np.argsort(frames.time[inside], kind="stable")]
        changes = np.diff(codes[inside]) != 0
        if changes.any():
            shortest = min(shortest, float(np.diff(frames.time[inside])[changes].min()))
    return shortest


def strata_of(manifest: Manifest, names: Iterable[str], packs: Mapping[str, CountryPack] | None = None) -> list[str]:
    """What each row is stratified by, e.g. "CN green small".

    Args:
        names: `country`; `kind`, which is the table's own column where it is filled in, else the layout in the
            country's pack, else the number of characters; or another column of the table.
        packs: by country code.

    Raises:
        ManifestError: a column that the table does not have.
    """
    columns = [_stratum_column(manifest, name, packs or {}) for name in names]
    if not columns:
        return ["all"] * manifest.rows
    return [" ".join(filter(None, cells)) or "unknown" for cells in zip(*columns, strict=True)]


def _stratum_column(manifest: Manifest, name: str, packs: Mapping[str, CountryPack]) -> list[str]:
    if name == "country":
        return manifest.country
    if name == "kind":
        own = manifest.extra.get("layout", [""] * manifest.rows)
        known: dict[tuple[str, str], str] = {}
        for key in zip(manifest.country, manifest.text, strict=True):
            if key not in known:
                known[key] = _kind(key[1], packs.get(key[0]))
        return [o or known[key] for o, key in zip(own, zip(manifest.country, manifest.text, strict=True), strict=True)]
    if name not in manifest.extra:
        found = ", ".join(dict.fromkeys(("country", "kind", *manifest.extra)))
        raise ManifestError(f"The table has no column {name} to stratify by; expected one of {found}.")
    return manifest.extra[name]


def _kind(text: str, pack: CountryPack | None) -> str:
    if not text:
        return "without text"
    layout = pack.layout_of(text) if pack else None
    return layout.name if layout else f"{len(text)} characters"


def leaks(manifest: Manifest, groups: Mapping[str, Indices] | None = None) -> list[Leak]:
    """The images, and what else is grouped, whose rows stand in several splits; none is the proof of a clean split.

    Rows of the split `gap` count for nothing.

    Args:
        groups: what a group is, e.g. "text", and each row's group (N,).
    """
    found = []
    kept = np.flatnonzero([split != GAP for split in manifest.split])
    number = {split: i for i, split in enumerate(set(manifest.split))}
    codes = np.array([number[split] for split in manifest.split], np.int64)
    for what, group in {"image": manifest.photographs, **(groups or {})}.items():
        low, high = np.full(manifest.rows, len(number)), np.full(manifest.rows, -1)
        np.minimum.at(low, group[kept], codes[kept])
        np.maximum.at(high, group[kept], codes[kept])
        leaking = kept[(low < high)[group[kept]]]
        for several in members(group[leaking]):
            rows = leaking[several].tolist()
            name = manifest.text[rows[0]] if what == "text" else manifest.image[rows[0]]
            found.append(Leak(what, name, tuple(sorted({manifest.split[row] for row in rows})), len(rows)))
    return found


def with_split(manifest: Manifest, split: Sequence[str]) -> Manifest:
    """The manifest with another `split` column; its hash is then that of the new table."""
    return replace(manifest, split=list(split), source_sha256="")


def counts(manifest: Manifest, strata: Sequence[str], shares: Mapping[str, float]) -> list[Count]:
    """Rows per split of every stratum, the largest first, and of all; asked are shares of the rows outside the gap."""
    table: dict[str, Counter[str]] = {}
    for stratum, split in zip(strata, manifest.split, strict=True):
        table.setdefault(stratum, Counter())[split] += 1
    ranked = sorted(table, key=lambda s: (-table[s].total(), s))
    whole = [("all", Counter(manifest.split))] if len(table) > 1 else []
    return [
        Count(name, rows, {s: share * (rows.total() - rows[GAP]) for s, share in shares.items()})
        for name, rows in [*((s, table[s]) for s in ranked), *whole]
    ]
