"""A table with a new `split` column, proved not to leak: by plate, by near-duplicate image or by time in videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from alpr.data.columns import has_place
from alpr.data.fingerprints import NEAR_BITS, Indices, near_duplicates, try_fingerprint
from alpr.data.manifest import Manifest
from alpr.data.photographs import same
from alpr.data.processes import run_in_processes
from alpr.data.several_tables import read_manifest
from alpr.data.splitting import (
    FRAME_PATTERN,
    GAP,
    Count,
    Frames,
    connected,
    counts,
    frames_by_column,
    frames_by_name,
    image_keys,
    leaks,
    least_gap,
    plate_groups,
    split_groups,
    split_times,
    strata_of,
    with_split,
)
from alpr.data.statistics import ignored_rows
from alpr.files import file_sha256
from alpr.plates.country import PACKS, CountryPack

_MANY = 30


@dataclass(frozen=True)
class Asked:
    """What is split, how, and where it is written.

    Attributes:
        output: the new table; None to write over the one that was read.
        shares: of the rows, by the names of the splits.
        by: what stays together: plate, near-duplicate, both, or time for blocks of a video.
        seed: of the order in which groups are dealt.
        stratify: country, kind or other columns.
        distance: bits that near duplicates differ in.
        workers: processes that open images.
        time_column, video_column: columns with the frames' times and videos; None for the images' names and folders.
        time_pattern: how the images' names hold video and time.
        gap: time left out between blocks.
    """

    manifest: Path
    output: Path | None
    shares: Mapping[str, float]
    by: Sequence[str] = ("plate",)
    seed: int = 0
    stratify: Sequence[str] = ()
    distance: int = NEAR_BITS
    workers: int = 2
    time_column: str | None = None
    video_column: str | None = None
    time_pattern: str = FRAME_PATTERN
    gap: float = 0.0


def write_split(asked: Asked, console: Console) -> bool:
    """Splits, proves and writes; False where it leaks and nothing was written.

    Raises:
        ManifestError, OSError, RuntimeError, ValueError: a table, a column or a setting that cannot be used.
    """
    shares = asked.shares
    manifest = read_manifest(asked.manifest)
    output = _output(asked, manifest, console)
    packs = {pack.code: pack for pack in map(CountryPack.read, sorted(PACKS.glob("*.yaml")))}
    strata = strata_of(manifest, list(asked.stratify), packs)
    together: dict[str, Indices] = {}
    frames: Frames | None = None
    if "time" in asked.by:
        if len(asked.by) > 1 or asked.stratify:
            raise ValueError("--by time cuts videos into blocks; it goes with no other --by and not with --stratify.")
        frames = _frames(manifest, asked)
        split = split_times(frames, shares, asked.gap)
    else:
        if "plate" in asked.by:
            together["text"] = plate_groups(manifest)
            _say_without_text(manifest, console)
        if "near-duplicate" in asked.by:
            together["group of near duplicates"] = _alike(manifest, asked, console)
        groups = connected(manifest.rows, manifest.photographs, *together.values())
        sizes = np.bincount(groups)
        console.print(f"{manifest.rows:,} rows in {np.count_nonzero(sizes):,} groups; the largest has {sizes.max():,}.")
        split = split_groups(groups, strata, shares, asked.seed)
    done = with_split(manifest, split)
    console.print(_table(counts(done, strata, shares), shares))
    if not _proved(done, together, frames, asked.gap, console):
        return False
    done.write(output)
    console.print(f"{output}: SHA-256 {file_sha256(output)}, which run.json of every training names.")
    return True


def _without_text(manifest: Manifest) -> int:
    """The rows that show a plate and do not say which; where no row names a plate, all of them."""
    named = np.array([bool(text) for text in manifest.text], bool)
    shown = has_place(manifest.box, manifest.corners) | (not named.any())
    return int((shown & ~named & ~ignored_rows(manifest)).sum())


def _say_without_text(manifest: Manifest, console: Console) -> None:
    unknown = _without_text(manifest)
    if unknown:
        console.print(
            f"Plates without a text: {unknown:,} in {manifest.rows:,} rows. Several photographs of one such plate "
            "cannot be kept together; --by near-duplicate keeps like photographs, --by time blocks of a video.",
            style="yellow",
            markup=False,
        )


def _output(asked: Asked, manifest: Manifest, console: Console) -> Path:
    source = asked.manifest
    output = source if asked.output is None else asked.output
    if asked.output is not None and output.resolve() == source.resolve():
        raise ValueError(f"{output} is the table that was read; give --in-place to write over it.")
    if manifest.rejected:
        left_out = (
            f"Rows of {source} that cannot be used: {len(manifest.rejected):,}; the first: {manifest.rejected[0]}."
        )
        if asked.output is None:
            raise ValueError(f"{left_out} --in-place would lose them; mend them or give --output.")
        console.print(f"{left_out} They are left out of {output}.", style="yellow", markup=False)
    return output


def _frames(manifest: Manifest, asked: Asked) -> Frames:
    if asked.time_column:
        return frames_by_column(manifest, asked.time_column, asked.video_column)
    return frames_by_name(manifest, asked.time_pattern)


def _alike(manifest: Manifest, asked: Asked, console: Console) -> Indices:
    """The group of near duplicates of each row; an image that cannot be read is alone."""
    keys = image_keys(manifest)
    paths = list(dict.fromkeys(keys))
    found = list(run_in_processes(try_fingerprint, paths, workers=asked.workers, label="Fingerprints", unit="images"))
    hashes = [f.perceptual for f in found if not isinstance(f, str)]
    groups = near_duplicates(hashes, asked.distance)
    unreadable = [f for f in found if isinstance(f, str)]
    if unreadable:
        first = f"The first: {unreadable[0]} Each stays alone."
        console.print(f"Images that cannot be compared: {len(unreadable):,}. {first}", style="yellow", markup=False)
    of: dict[str, str] = {}
    named = iter(groups.tolist())
    for path, fingerprint in zip(paths, found, strict=True):
        of[path] = path if isinstance(fingerprint, str) else f"group {next(named)}"
    console.print(f"{len(paths):,} images, {len(set(of.values())):,} distinct at {asked.distance} bits.")
    return same([of[key] for key in keys])


def _table(rows: Sequence[Count], shares: Mapping[str, float]) -> Table:
    has_gap = any(row.rows.get(GAP) for row in rows)
    table = Table(title="Rows, and how many more or fewer than asked")
    table.add_column("stratum")
    for name in (*shares, *([GAP] if has_gap else [])):
        table.add_column(name, justify="right")
    chosen = [*rows[:_MANY], *rows[-1:]] if len(rows) > _MANY + 1 else rows
    for row in chosen:
        cells = [f"{row.rows.get(s, 0):,} ({row.rows.get(s, 0) - row.asked[s]:+.1f})" for s in shares]
        table.add_row(row.stratum, *cells, *([f"{row.rows.get(GAP, 0):,}"] if has_gap else []))
    if len(chosen) < len(rows):
        table.caption = f"Smaller strata that are not shown: {len(rows) - len(chosen):,}."
    return table


def _proved(
    done: Manifest, together: Mapping[str, Indices], frames: Frames | None, gap: float, console: Console
) -> bool:
    found = leaks(done, together)
    if frames is not None:
        apart = least_gap(frames, done.split)
        console.print(f"Frames of one video in different splits are at least {apart:g} apart (asked: {gap:g}).")
        if apart < gap:
            console.print("That is nearer than asked.", style="red")
            return False
    if found:
        console.print(f"Leaks: {len(found):,}; nothing was written. The first: {found[0]}.", style="red", markup=False)
        return False
    known = f"othing of the same {', '.join(['image', *together])} stands in two splits"
    unknown = _without_text(done) if "text" in together else 0
    if unknown:
        message = f"N{known}, but of {unknown:,} plates without a text nobody can say so."
        console.print(message, style="yellow", markup=False)
    else:
        console.print(f"No leak: n{known}.")
    if "text" not in together:
        shared = leaks(done, {"text": plate_groups(done)})
        if shared:
            console.print(
                f"Texts in several splits: {len(shared):,}, e.g. {shared[0].name}. This split is not by plate.",
                style="yellow",
                markup=False,
            )
    return True
