"""CCPD on disk: subset folders, the official lists, and the tables made of them from names alone.

A CCPD2019 root holds `ccpd_base`, `ccpd_blur` and so on, and the official lists in `splits` (or `split`); a CCPD2020
root holds `ccpd_green` with the folders train, val and test. Every subset folder gets one `alpr_dataset.csv`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.table import Column, Table

from alpr.data.ccpd import EMPTY_SUBSET, SUBSETS, decode_name, decode_names, encode_name, split_of_subset
from alpr.data.columns import ManifestError, Rejection, geometry_faults
from alpr.data.manifest import Manifest, write_rejected
from alpr.data.processes import run_in_processes
from alpr.data.several_tables import join_manifests
from alpr.files import LIST_BYTES, read_regular
from alpr.images.prepare import IMAGE_SUFFIXES, UnreadableImage, read_image

TABLE = "alpr_dataset.csv"
REJECTED_TABLE = "alpr_dataset.rejected.csv"
NAMES_TABLE = "alpr_names.csv"
SPLIT_FOLDERS = ("train", "val", "test")
_LIST_FOLDERS = ("splits", "split")


@dataclass(frozen=True)
class SubsetReport:
    """What was made of one subset folder or name list."""

    subset: str
    plates: int
    empty: int  # photographs known to hold no plate
    rejected: int
    seconds: float
    table: Path
    note: str = ""

    @property
    def files_per_second(self) -> float:
        return (self.plates + self.empty + self.rejected) / max(self.seconds, 1e-9)


class _Job(NamedTuple):
    """An image to open, and the plate that it should show."""

    path: str
    box: tuple[float, ...]  # x1, y1, x2, y2; NaN where there is no plate


def subset_folders(root: Path, categories: Sequence[str] | None = None) -> tuple[list[Path], list[str]]:
    """The subset folders below a root (or the root itself, if it is one), and the names of those that are missing.

    Args:
        categories: the wanted subsets; all without them.

    Raises:
        ManifestError: no folder at `root`, an unknown category, or no subset folder at all.
    """
    unknown = sorted(set(categories or ()) - set(SUBSETS))
    if unknown:
        raise ManifestError(f"{', '.join(unknown)} is no CCPD subset; expected some of {', '.join(SUBSETS)}.")
    if not root.is_dir():
        raise ManifestError(f"{root} is no folder; expected one that holds ccpd_base, ccpd_green or another subset.")
    if root.absolute().name in SUBSETS and categories is None:
        return [root], []
    wanted = list(dict.fromkeys(categories or SUBSETS))
    found = [root / name for name in wanted if (root / name).is_dir()]
    missing = [name for name in wanted if not (root / name).is_dir()]
    if not found:
        held = sorted(p.name for p in root.iterdir())
        shown = ", ".join(held[:8]) + (", ..." if len(held) > 8 else "") if held else "nothing"
        raise ManifestError(f"{root} holds none of the folders {', '.join(wanted)}; found {shown}.")
    return found, missing


def image_names(folder: Path) -> list[str]:
    """The images of a subset folder, relative to it and sorted: its own and those of train, val and test."""
    names = _images_in(folder)
    for split in SPLIT_FOLDERS:
        if (folder / split).is_dir():
            names.extend(f"{split}/{name}" for name in _images_in(folder / split))
    return names


def _images_in(folder: Path) -> list[str]:
    return sorted(
        entry.name for entry in folder.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES and entry.name[0] != "."
    )


def official_splits(root: Path) -> dict[str, str]:
    """The split of each base image by the official lists `train.txt` and `val.txt`: {"ccpd_base/NAME.jpg": "val"}."""
    splits: dict[str, str] = {}
    for folder in _LIST_FOLDERS:
        for split in ("train", "val", "test"):
            path = root / folder / f"{split}.txt"
            if path.is_file():
                splits.update(dict.fromkeys(read_list(path), split))
    return splits


def read_list(path: Path) -> list[str]:
    """The lines of an official list, `ccpd_blur/NAME.jpg` each.

    Raises:
        ManifestError: a file that cannot be read or holds no line.
    """
    try:
        lines = [line.strip() for line in read_regular(path, LIST_BYTES).decode().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"The list {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    names = [line.removeprefix("./") for line in lines if line]
    if not names:
        raise ManifestError(f"The list {path} is empty; expected lines such as ccpd_blur/NAME.jpg.")
    return names


def manifest_of_names(folder: Path, names: Sequence[str], splits: Sequence[str], subsets: Sequence[str]) -> Manifest:
    """The manifest that CCPD names make; names that do not decode are in its `rejected`.

    Args:
        folder: what the names are relative to.
        names: paths whose last part is a CCPD name (or, in ccpd_np, any name).
        splits: one per name.
        subsets: one per name.
    """
    n = len(names)
    labelled = np.array([i for i, subset in enumerate(subsets) if subset != EMPTY_SUBSET], np.int64)
    columns = decode_names([names[i].rpartition("/")[2] for i in labelled.tolist()])
    reasons = {int(labelled[i]): reason for i, reason in columns.rejected}
    rows = labelled[columns.index]
    box, corners = np.full((n, 4), np.nan), np.full((n, 4, 2), np.nan)
    box[rows], corners[rows] = columns.box, columns.corners
    reasons.update(geometry_faults(box, corners))
    kept = [i for i in range(n) if i not in reasons]
    entries: dict[str, list[str]] = {"subset": list(subsets)}
    for name in ("text", "area", "tilt_h", "tilt_v", "brightness", "blurriness"):
        cells = [""] * n
        for row, cell in zip(rows.tolist(), getattr(columns, name), strict=True):
            cells[row] = cell
        entries[name] = cells
    chosen = {name: [cells[i] for i in kept] for name, cells in entries.items()}
    manifest = Manifest.of(
        folder,
        [names[i] for i in kept],
        text=chosen.pop("text"),
        country=["CN" if subsets[i] != EMPTY_SUBSET else "" for i in kept],
        box=box[kept],
        corners=corners[kept],
        split=[splits[i] for i in kept],
        extra=chosen,
    )
    rejected = tuple(Rejection(str(folder), 0, names[i], reasons[i]) for i in sorted(reasons))
    return replace(manifest, rejected=rejected)


def subset_manifest(folder: Path, official: Mapping[str, str] | None = None) -> Manifest:
    """The manifest of one subset folder, from its file names alone.

    Args:
        official: `official_splits` of the root; without them, base is all train.

    Raises:
        ManifestError: a folder without an image.
    """
    subset = folder.absolute().name
    names = image_names(folder)
    if not names:
        raise ManifestError(
            f"{folder} holds no image; expected files of the types {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    default = split_of_subset(subset)
    splits = []
    for name in names:
        inner, _, _ = name.rpartition("/")
        splits.append(inner or (official.get(f"{subset}/{name}", "") if official and default == "train" else default))
    return manifest_of_names(folder, names, splits, [subset] * len(names))


def create_table(
    folder: Path,
    *,
    official: Mapping[str, str] | None = None,
    verify: bool = False,
    workers: int = 1,
    output: Path | None = None,
) -> SubsetReport:
    """Writes `alpr_dataset.csv` (and the list of rejected names) into one subset folder.

    Args:
        output: write into `output/<subset>` instead, for photographs that lie where nothing may be written.

    Raises:
        ManifestError: a folder without an image.
        NotWritten: a full disk or a folder that may not be written to.
    """
    started = time.perf_counter()
    manifest = subset_manifest(folder, official)
    note = ""
    if verify and manifest.rows:
        manifest, note = verified(manifest, workers)
    place = folder
    if output is not None:
        place = output / folder.absolute().name
        place.mkdir(parents=True, exist_ok=True)
    manifest.write(place / TABLE)
    write_rejected(manifest.rejected, place / REJECTED_TABLE)
    unlisted = sum(not split for split in manifest.split)
    if unlisted:
        note = f"{unlisted} in no official list. {note}".strip()
    return _report(folder.absolute().name, manifest, time.perf_counter() - started, place / TABLE, note)


def _report(subset: str, manifest: Manifest, seconds: float, table: Path, note: str) -> SubsetReport:
    plates = sum(map(bool, manifest.text))
    return SubsetReport(subset, plates, manifest.rows - plates, len(manifest.rejected), seconds, table, note)


def verified(manifest: Manifest, workers: int) -> tuple[Manifest, str]:
    """The rows whose images open and show the place of their plate, and a note on the sizes seen (height x width)."""
    jobs = [_Job(str(manifest.path(row)), tuple(manifest.box[row].tolist())) for row in range(manifest.rows)]
    sizes: Counter[tuple[int, int]] = Counter()
    good = np.zeros(manifest.rows, bool)
    rejected = list(manifest.rejected)
    label = f"Opening {manifest.folders[0].absolute().name}"
    for row, found in enumerate(run_in_processes(_open, jobs, workers=workers, label=label, unit="images")):
        if isinstance(found, str):
            rejected.append(Rejection(str(manifest.folders[0]), 0, manifest.image[row], found))
        else:
            good[row] = True
            sizes[found] += 1
    seen = [f"{count} x {width}x{height}" for (height, width), count in sizes.most_common(3)]
    return replace(manifest.take(good), rejected=tuple(rejected)), "px: " + ", ".join(seen) if seen else ""


def _open(job: _Job) -> tuple[int, int] | str:
    """The (height, width) of an image, or why it cannot be used."""
    try:
        image = read_image(job.path, Path(job.path).name)
    except UnreadableImage as error:
        return str(error)
    height, width = image.shape[:2]
    x, y = (job.box[0] + job.box[2]) / 2, (job.box[1] + job.box[3]) / 2
    if x < 0 or y < 0 or x > width or y > height:  # all false where there is no plate
        return f"the plate's centre ({x:g}, {y:g}) lies outside the image of {width}x{height} px"
    return height, width


def tables_of_lists(root: Path, lists: Sequence[Path]) -> tuple[list[SubsetReport], Manifest]:
    """Reads official name lists into one manifest, `alpr_names.csv` below `root`; no image is opened or needed.

    Every name is decoded, encoded again and compared; one that changes is rejected. A name listed twice counts once.

    Raises:
        ManifestError: a list that cannot be read, or none of whose names decodes.
        NotWritten: a full disk or a folder that may not be written to.
    """
    seen: set[str] = set()
    reports, manifests = [], []
    for path in lists:
        started = time.perf_counter()
        listed = read_list(path)
        names = [name for name in dict.fromkeys(listed) if name not in seen]
        seen.update(names)
        subsets = [name.split("/")[-2] if "/" in name else path.stem for name in names]
        of_list = path.stem if path.stem in SPLIT_FOLDERS else ""
        splits = [of_list or split_of_subset(subset) for subset in subsets]
        manifest = _that_encode_again(manifest_of_names(root, names, splits, subsets))
        note = f"{len(listed) - len(names)} listed before" if len(listed) > len(names) else ""
        seconds = time.perf_counter() - started
        reports.append(_report(path.stem, manifest, seconds, root / NAMES_TABLE, note))
        manifests.append(manifest)
    whole = join_manifests(manifests)
    whole.write(root / NAMES_TABLE)
    write_rejected(whole.rejected, root / "alpr_names.rejected.csv")
    return reports, whole


def _that_encode_again(manifest: Manifest) -> Manifest:
    changed = {}
    for row, image in enumerate(manifest.image):
        name = image.rpartition("/")[2]
        if manifest.text[row] and encode_name(decode_name(name)) != name:
            changed[row] = f"the name encodes again as {encode_name(decode_name(name))}"
    if not changed:
        return manifest
    rejected = [Rejection(str(manifest.folders[0]), 0, manifest.image[row], why) for row, why in changed.items()]
    kept = np.array([row not in changed for row in range(manifest.rows)], bool)
    return replace(manifest.take(kept), rejected=(*manifest.rejected, *rejected))


def report_table(reports: Iterable[SubsetReport], what: str = "subset") -> Table:
    """The reports as a table to print, with a line of sums."""
    reports = list(reports)
    table = Table(what, *(Column(name, justify="right") for name in ("plates", "empty", "rejected", "files/s")), "note")
    for r in reports:
        table.add_row(
            r.subset, f"{r.plates:,}", f"{r.empty:,}", f"{r.rejected:,}", f"{r.files_per_second:,.0f}", r.note
        )
    if len(reports) > 1:
        whole = SubsetReport(
            "all",
            sum(r.plates for r in reports),
            sum(r.empty for r in reports),
            sum(r.rejected for r in reports),
            sum(r.seconds for r in reports),
            Path(),
        )
        table.add_section()
        table.add_row(
            "all", f"{whole.plates:,}", f"{whole.empty:,}", f"{whole.rejected:,}", f"{whole.files_per_second:,.0f}", ""
        )
    return table
