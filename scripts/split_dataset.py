"""Writes a table's `split` column so that nothing leaks: by plate, by near-duplicate image or by time in videos."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from alpr.data.columns import ManifestError
from alpr.data.fingerprints import NEAR_BITS, Indices, near_duplicates, try_fingerprint
from alpr.data.manifest import Manifest, read_manifest
from alpr.data.processes import run_in_processes
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
    same,
    split_groups,
    split_times,
    strata_of,
    with_split,
)
from alpr.files import file_sha256
from alpr.plates.country import CountryPack

_MANY = 30
_PACKS = Path(__file__).resolve().parent.parent / "configs" / "country"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path, help="the table, in the form of datasets/README.md")
    for name, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        parser.add_argument(f"--{name}", type=float, default=share, metavar="SHARE", help=f"({share})")
    parser.add_argument(
        "--by",
        nargs="+",
        choices=("plate", "near-duplicate", "time"),
        default=["plate"],
        help="what stays together: the rows of a text, of images that look alike, both, or blocks of a video (plate)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order in which groups are dealt (0)")
    parser.add_argument(
        "--stratify", default="", metavar="COLUMNS", help="country, kind or other columns, with commas: country,kind"
    )
    parser.add_argument(
        "--distance", type=int, default=NEAR_BITS, help=f"bits that near duplicates differ in ({NEAR_BITS})"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that open images (2)")
    parser.add_argument("--time-column", metavar="NAME", help="a column of the table with the frames' times")
    parser.add_argument(
        "--video-column", metavar="NAME", help="a column with the video; without it, the image's folder"
    )
    parser.add_argument(
        "--time-pattern", default=FRAME_PATTERN, metavar="REGEX", help="how the images' names hold video and time"
    )
    parser.add_argument("--gap", type=float, default=0.0, help="time left out between blocks; those rows get 'gap' (0)")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--output", type=Path, help="the new table")
    where.add_argument("--in-place", action="store_true", help="write over the table that was read")
    return parser.parse_args()


def main() -> int:
    """Runs the command; the exit code: 0 all well, 1 nothing was written, 130 interrupted."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        return _split(parse_arguments(), console)
    except (ManifestError, OSError, RuntimeError, ValueError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; nothing was written.", style="yellow")
        return 130


def _split(arguments: argparse.Namespace, console: Console) -> int:
    shares = {name: getattr(arguments, name) for name in ("train", "val", "test")}
    manifest = read_manifest(arguments.manifest)
    output = _output(arguments, manifest, console)
    packs = {pack.code: pack for pack in map(CountryPack.read, sorted(_PACKS.glob("*.yaml")))}
    strata = strata_of(manifest, filter(None, arguments.stratify.split(",")), packs)
    together: dict[str, Indices] = {}
    frames: Frames | None = None
    if "time" in arguments.by:
        if len(arguments.by) > 1 or arguments.stratify:
            raise ValueError("--by time cuts videos into blocks; it goes with no other --by and not with --stratify.")
        frames = _frames(manifest, arguments)
        split = split_times(frames, shares, arguments.gap)
    else:
        if "plate" in arguments.by:
            together["text"] = same(manifest.text)
        if "near-duplicate" in arguments.by:
            together["group of near duplicates"] = _alike(manifest, arguments, console)
        groups = connected(manifest.rows, same(image_keys(manifest)), *together.values())
        sizes = np.bincount(groups)
        console.print(f"{manifest.rows:,} rows in {np.count_nonzero(sizes):,} groups; the largest has {sizes.max():,}.")
        split = split_groups(groups, strata, shares, arguments.seed)
    done = with_split(manifest, split)
    console.print(_table(counts(done, strata, shares), shares))
    if not _proved(done, together, frames, arguments.gap, console):
        return 1
    done.write(output)
    console.print(f"{output}: SHA-256 {file_sha256(output)}, which run.json of every training names.")
    return 0


def _output(arguments: argparse.Namespace, manifest: Manifest, console: Console) -> Path:
    source: Path = arguments.manifest
    output: Path = source if arguments.in_place else arguments.output
    if not arguments.in_place and output.resolve() == source.resolve():
        raise ValueError(f"{output} is the table that was read; give --in-place to write over it.")
    if manifest.rejected:
        left_out = (
            f"Rows of {source} that cannot be used: {len(manifest.rejected):,}; the first: {manifest.rejected[0]}."
        )
        if arguments.in_place:
            raise ValueError(f"{left_out} --in-place would lose them; mend them or give --output.")
        console.print(f"{left_out} They are left out of {output}.", style="yellow", markup=False)
    return output


def _frames(manifest: Manifest, arguments: argparse.Namespace) -> Frames:
    if arguments.time_column:
        return frames_by_column(manifest, arguments.time_column, arguments.video_column)
    return frames_by_name(manifest, arguments.time_pattern)


def _alike(manifest: Manifest, arguments: argparse.Namespace, console: Console) -> Indices:
    """The group of near duplicates of each row; an image that cannot be read is alone."""
    keys = image_keys(manifest)
    paths = list(dict.fromkeys(keys))
    found = list(
        run_in_processes(try_fingerprint, paths, workers=arguments.workers, label="Fingerprints", unit="images")
    )
    hashes = [f.perceptual for f in found if not isinstance(f, str)]
    groups = near_duplicates(hashes, arguments.distance)
    unreadable = [f for f in found if isinstance(f, str)]
    if unreadable:
        first = f"The first: {unreadable[0]} Each stays alone."
        console.print(f"Images that cannot be compared: {len(unreadable):,}. {first}", style="yellow", markup=False)
    of: dict[str, str] = {}
    named = iter(groups.tolist())
    for path, fingerprint in zip(paths, found, strict=True):
        of[path] = path if isinstance(fingerprint, str) else f"group {next(named)}"
    console.print(f"{len(paths):,} images, {len(set(of.values())):,} distinct at {arguments.distance} bits.")
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
    console.print(f"No leak: nothing of the same {', '.join(['image', *together])} stands in two splits.")
    if "text" not in together:
        shared = leaks(done, {"text": same(done.text)})
        if shared:
            console.print(
                f"Texts in several splits: {len(shared):,}, e.g. {shared[0].name}. This split is not by plate.",
                style="yellow",
                markup=False,
            )
    return True


if __name__ == "__main__":
    sys.exit(main())
