"""A manifest with its images as shards: tar files of the WebDataset layout, for disks that many machines share.

A sample is two members, `000000123.jpg` and `000000123.json`, the image's file as it was and its rows of the table.
Tools for WebDataset read the shards from front to back. This project reads them by place: `manifest.csv` beside them
names every image as a member of its shard (`alpr.images.tar_members`), so that the samplers draw any image at any step,
every image comes exactly once per lap on any number of machines and loader processes, and a run resumes exactly.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from alpr.data.columns import BOX_COLUMNS, CORNER_COLUMNS, ManifestError, Rejection
from alpr.data.manifest import Manifest, write_rejected
from alpr.data.scenes import Scenes
from alpr.files import LIST_BYTES, TEMPORARY_SUFFIX, file_sha256, open_regular, read_regular, write_atomically
from alpr.images.tar_members import BLOCK, member_of, member_path, read_bytes
from alpr.plates.values import read_as, strict_json
from alpr.reports.progress import progress_bar

INDEX = "shards.json"
TABLE = "manifest.csv"
REJECTED_TABLE = "manifest.rejected.csv"
DEFAULT_MB = 400.0


@dataclass(frozen=True)
class Shard:
    """A finished shard, as the index lists it."""

    file: str
    start: int  # the number of its first scene
    stop: int  # and of the first scene of the next shard
    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class _Index:
    """What `shards.json` says."""

    shard_mb: float
    manifest_sha256: str
    rows: int  # of the table
    images: int
    shards: tuple[Shard, ...]


class Placed(NamedTuple):
    """Where an image of a shard lies."""

    scene: int
    offset: int
    size: int


@dataclass(frozen=True)
class ShardReport:
    """What came of packing a manifest."""

    shards: tuple[Shard, ...]
    kept: int  # shards that were there already
    rejected: int  # images that could not be read
    table: Path


def make_shards(manifest: Manifest, folder: Path, shard_mb: float = DEFAULT_MB) -> ShardReport:
    """Packs a manifest's images, in its order, into `shard-000000.tar` and so on, and writes `manifest.csv`.

    Shards that are finished are kept, so an interrupted run goes on where it stopped. Images that cannot be read are
    left out and listed in `manifest.rejected.csv`.

    Args:
        shard_mb: a shard is closed when its images exceed so many megabytes.

    Raises:
        ManifestError: nothing to pack, or a folder with shards of another table or size.
        NotWritten: a full disk or a folder that may not be written to.
    """
    if shard_mb <= 0:
        raise ManifestError(f"A shard of {shard_mb} MB cannot be made; expected more than 0.")
    scenes = manifest.scenes()
    if not scenes:
        raise ManifestError("The table has no image to pack.")
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        left.unlink(missing_ok=True)
    digest = replace(manifest, source_sha256="").sha256  # of these rows: a selection keeps the hash of its file
    settings = {"shard_mb": shard_mb, "manifest_sha256": digest, "rows": manifest.rows}
    finished = _finished(folder, settings)
    shards: list[Shard] = []
    images: dict[int, str] = {}  # by row
    faults: dict[int, str] = {}  # by scene
    kept = start = 0
    with progress_bar("images") as progress:
        task = progress.add_task("Packing", total=len(scenes))
        while start < len(scenes):
            number = len(shards)
            path = folder / f"shard-{number:06d}.tar"
            before = finished[number] if number < len(finished) else None
            if before and path.is_file():
                shard, placed = before, _members(path)
                kept += 1
            else:
                stop = before.stop if before else _stop(scenes, start, int(shard_mb * 1e6))
                shard, placed = _pack(scenes, start, stop, path, faults)
                _write_index(folder, settings, [*shards, shard, *finished[number + 1 :]])
            for scene, offset, size in placed:
                rows = scenes.rows(scene)
                name = PurePosixPath(manifest.image[rows[0]]).name
                images.update(dict.fromkeys(rows, member_path(path.name, offset, size, name)))
            shards.append(shard)
            progress.advance(task, shard.stop - start)
            start = shard.stop
    lost = len(scenes) - sum(shard.images for shard in shards)
    _write_table(manifest, folder, images, faults)
    return ShardReport(tuple(shards), kept, lost, folder / TABLE)


def read_index(folder: Path) -> tuple[Shard, ...]:
    """The shards that the index of a folder lists.

    Raises:
        ManifestError: no index, or one that is none.
    """
    return _index(folder).shards


def damaged(folder: Path) -> list[str]:
    """A sentence for every shard that is missing or whose bytes are not those that were written."""
    found = []
    for shard in read_index(folder):
        path = folder / shard.file
        if not path.is_file():
            found.append(f"{path} is missing.")
        elif (now := file_sha256(path)) != shard.sha256:
            found.append(f"{path} has the SHA-256 {now}; the index says {shard.sha256}.")
    return found


def _stop(scenes: Scenes, start: int, limit: int) -> int:
    """Where a shard ends that begins with scene `start`: as soon as it exceeds the limit."""
    room = limit
    for scene in range(start, len(scenes)):
        if room <= 0:
            return scene
        room -= _size(scenes[scene].image) + 4 * BLOCK  # two headers, the labels, the padding
    return len(scenes)


def _size(path: Path) -> int:
    member = member_of(path)
    try:
        return path.stat().st_size if member is None else member.size
    except OSError:
        return 0  # said when it is read


def _pack(scenes: Scenes, start: int, stop: int, path: Path, faults: dict[int, str]) -> tuple[Shard, list[Placed]]:
    """Writes one shard; gives where its images lie, and adds to `faults` why others could not be read."""
    placed: list[Placed] = []
    digest, length = hashlib.sha256(), 0

    def chunks() -> Iterator[bytes]:
        nonlocal length
        for scene in range(start, stop):
            image = scenes[scene].image
            try:
                data = read_bytes(image)
            except OSError as error:
                faults[scene] = f"{image.name} cannot be read: {error.strerror or error}"
                continue
            if not data:
                faults[scene] = f"{image.name} is empty"
                continue
            placed.append(Placed(scene, length + BLOCK, len(data)))
            for suffix, content in ((image.suffix.lower(), data), (".json", _labels(scenes, scene))):
                for chunk in _member(f"{scene:09d}{suffix}", content):
                    digest.update(chunk)
                    length += len(chunk)
                    yield chunk
        end = bytes(2 * BLOCK)
        digest.update(end)
        length += len(end)
        yield end

    write_atomically(path, chunks())
    return Shard(path.name, start, stop, len(placed), length, digest.hexdigest()), placed


def _member(name: str, content: bytes) -> Iterator[bytes]:
    """A member of a tar file: header, content, padding. The time of 0 makes equal shards of equal tables."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    yield header.tobuf(tarfile.USTAR_FORMAT)
    yield content
    yield bytes(-len(content) % BLOCK)


def _labels(scenes: Scenes, scene: int) -> bytes:
    """A scene's rows as JSON; what a row does not know is left out."""
    manifest, rows = scenes.manifest, scenes.rows(scene)
    plates = []
    for row in rows:
        cells: dict[str, Any] = {name: getattr(manifest, name)[row] for name in ("text", "country", "split", "note")}
        cells.update({name: column[row] for name, column in manifest.extra.items()})
        numbers = [*manifest.box[row].tolist(), *manifest.corners[row].ravel().tolist()]
        cells.update({c: v for c, v in zip((*BOX_COLUMNS, *CORNER_COLUMNS), numbers, strict=True) if v == v})
        plates.append({name: cell for name, cell in cells.items() if cell != ""})
    return json.dumps(
        {"image": PurePosixPath(manifest.image[rows[0]]).name, "rows": plates}, ensure_ascii=False
    ).encode()


def _finished(folder: Path, settings: dict[str, Any]) -> list[Shard]:
    """The shards of an earlier run with the same settings.

    Raises:
        ManifestError: shards of another table or another size.
    """
    if not (folder / INDEX).is_file():
        return []
    index = _index(folder)
    before = {name: getattr(index, name) for name in settings}
    if before != settings:
        raise ManifestError(
            f"{folder} holds shards made with {json.dumps(before)}; now {json.dumps(settings)} is asked for. "
            "Remove the folder to make them again."
        )
    return list(index.shards)


def _index(folder: Path) -> _Index:
    try:
        return read_as(_Index, strict_json(read_regular(folder / INDEX, LIST_BYTES)))
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(f"{folder / INDEX} is no index of shards: {error}") from error


def _write_index(folder: Path, settings: dict[str, Any], shards: Sequence[Shard]) -> None:
    index = {**settings, "images": sum(s.images for s in shards), "shards": [asdict(s) for s in shards]}
    write_atomically(folder / INDEX, [json.dumps(index, indent=1).encode() + b"\n"])


def _members(path: Path) -> list[Placed]:
    """Where the images of a finished shard lie."""
    with open_regular(path, sys.maxsize) as file, tarfile.open(fileobj=file, mode="r:") as shard:
        return [
            Placed(int(PurePosixPath(m.name).stem), m.offset_data, m.size)
            for m in shard
            if not m.name.endswith(".json")
        ]


def _write_table(manifest: Manifest, folder: Path, images: dict[int, str], faults: dict[int, str]) -> None:
    """The manifest beside its shards, its rows in the order that they had."""
    scenes = manifest.scenes()
    lost = []
    for scene in range(len(scenes)):
        row = scenes.rows(scene)[0]
        if row not in images:
            why = faults.get(scene, "it could not be read when its shard was made")
            lost.append(Rejection(str(manifest.path(row).parent), 0, manifest.image[row], why))
    write_rejected([*manifest.rejected, *lost], folder / REJECTED_TABLE)
    if not images:
        raise ManifestError(f"No image could be packed into {folder}. The first: {lost[0]}.")
    kept = sorted(images)
    packed = replace(
        manifest.take(kept),
        folders=(folder,),
        folder_index=np.zeros(len(kept), np.int64),
        image=[images[row] for row in kept],
        tables=(),
        source_sha256="",
    )
    packed.write(folder / TABLE)
