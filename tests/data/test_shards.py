"""Shards: what is in them, that trainings read the same from them as from files, and that faults lose nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import tarfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from tiny_runs import DETECTOR, RECOGNISER, overrides

from alpr import files as files_module
from alpr.data import shards
from alpr.data.columns import ManifestError
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest
from alpr.data.shards import INDEX, REJECTED_TABLE, TABLE, damaged, make_shards, read_index
from alpr.doctor.images import read_bytes as doctor_reads
from alpr.images.prepare import UnreadableImage, read_image
from alpr.images.tar_members import Member, member_of, member_path, read_bytes
from alpr.training.configuration import composed

GREEN = "ccpd_green/alpr_dataset.csv"
TASKS = {"detector": DETECTOR, "recogniser": RECOGNISER}


def pieces(folder: Path, texts: str = "ABCDE") -> Manifest:
    """Files of 1,000 bytes each with one text; the last image has two rows, the second file a name with dots."""
    names = [f"{'x.y' if i == 1 else i}.JPG" for i in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        (folder / name).write_bytes(text.encode() * 1000)
    return Manifest.of(
        folder,
        [*names, names[-1]],
        text=[*texts, "second"],
        split="train",
        extra={"kind": [*[""] * len(texts), "plate"]},
    )


def test_a_member_is_a_path() -> None:
    path = member_path("a/b-1.tar", 1536, 20, "x.y.jpg")
    assert member_of(Path("/r") / path) == Member("/r/a/b-1.tar", 1536, 20, "x.y.jpg")
    assert Path(path).name == "x.y.jpg"
    assert [member_of(p) for p in ("a.tar", "a.tar/x.jpg", "a/1+2/x.jpg", "a.tar/1+2/x/y.jpg")] == [None] * 4


def test_shards_hold_the_files_and_the_rows(tmp_path: Path) -> None:
    manifest = pieces(tmp_path)
    report = make_shards(manifest, tmp_path / "out", shard_mb=0.004)
    assert [s.images for s in report.shards] == [2, 2, 1] and not damaged(tmp_path / "out")
    packed = read_manifest(report.table, strict=True)
    assert packed.text == manifest.text and packed.extra == manifest.extra and packed.split == manifest.split
    for row in range(manifest.rows):
        assert read_bytes(packed.path(row)) == manifest.path(row).read_bytes()
        assert packed.path(row).name == manifest.path(row).name
    assert packed.image[4] == packed.image[5]
    # As tools for WebDataset read it: members of one key stand together, what follows the first dot is the kind.
    for shard in report.shards:
        with tarfile.open(tmp_path / "out" / shard.file) as tar:
            keys = [name.split(".", 1) for name in tar.getnames()]
        assert [kind for _, kind in keys] == ["jpg", "json"] * shard.images
        assert all(a[0] == b[0] for a, b in zip(keys[::2], keys[1::2], strict=True))
    with tarfile.open(tmp_path / "out" / "shard-000002.tar") as tar:
        labels = json.load(tar.extractfile("000000004.json"))  # type: ignore[arg-type]
    assert labels == {
        "image": "4.JPG",
        "rows": [{"text": "E", "split": "train"}, {"text": "second", "split": "train", "kind": "plate"}],
    }


def test_a_wrong_place_is_no_image(tmp_path: Path) -> None:
    make_shards(pieces(tmp_path), tmp_path / "out")
    member = member_of(read_manifest(tmp_path / "out" / TABLE).path(1))
    assert member is not None and doctor_reads is read_bytes
    for offset, size in ((member.offset + 512, member.size), (member.offset, member.size - 1), (0, 7), (10**9, 7)):
        with pytest.raises(UnreadableImage, match=r"holds no member of \d+ bytes at byte \d+"):
            read_image(member_path(member.tar, offset, size, "a.jpg"))
    with (tmp_path / "out" / "shard-000000.tar").open("r+b") as file:
        file.truncate(member.offset + 400)
    with pytest.raises(OSError, match="holds no member"):
        read_bytes(member_path(*member))
    assert "SHA-256" in damaged(tmp_path / "out")[0]


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, out = pieces(tmp_path), tmp_path / "out"
    make_shards(manifest, tmp_path / "whole", 0.004)
    replace, left = Path.replace, [3]  # a shard, the index, the next shard; then the disk is full

    def until_full(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", until_full)
    with pytest.raises(files_module.NotWritten, match="the disk is full"):
        make_shards(manifest, out, 0.004)
    monkeypatch.undo()
    assert len(read_index(out)) == 1 and not (out / TABLE).exists() and not list(out.glob(".*"))
    (out / ".shard-000001.tar.9.tmp").write_text("what a kill left")
    assert make_shards(manifest, out, 0.004).kept == 1
    (out / "shard-000000.tar").unlink()
    assert make_shards(manifest, out, 0.004).kept == 2
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert {path.name for path in out.iterdir()} == names
    assert all((out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes() for name in names)
    with pytest.raises(ManifestError, match=r"holds shards made with .*Remove the folder"):
        make_shards(manifest, out, 0.005)
    with pytest.raises(ManifestError, match="holds shards made with"):
        make_shards(manifest.take([0, 1]), out, 0.004)


def test_unreadable_images_are_left_out_and_listed(tmp_path: Path) -> None:
    manifest = pieces(tmp_path)
    manifest.path(0).unlink()
    manifest.path(3).write_bytes(b"")
    report = make_shards(manifest, tmp_path / "out", 0.004)
    assert report.rejected == 2 and read_manifest(report.table).text == ["B", "C", "E", "second"]
    listed = (tmp_path / "out" / REJECTED_TABLE).read_text()
    assert "0.JPG cannot be read: No such file" in listed and "3.JPG is empty" in listed
    pieces(tmp_path)  # mended files change no finished shard, and what the shards hold stays said
    again = make_shards(manifest, tmp_path / "out", 0.004)
    assert (again.kept, again.rejected) == (len(report.shards), 2)
    assert read_manifest(again.table).text == ["B", "C", "E", "second"]
    with pytest.raises(ManifestError, match="No image could be packed"):
        make_shards(Manifest.of(tmp_path, ["none.jpg"]), tmp_path / "none")
    with pytest.raises(ManifestError, match="no image to pack"):
        make_shards(manifest.take([]), tmp_path / "none")


@pytest.fixture(scope="module")
def packed(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of twenty scenes that train and those that are held back; beside them the table of the files."""
    folder = tmp_path_factory.mktemp("packed")
    whole = read_manifest(tiny_data / GREEN)
    train, held = (whole.select(fold=0, inside=inside).line - 2 for inside in (False, True))
    chosen = whole.take(sorted([*train[:20], *held]))
    chosen.write(folder / "files.csv")
    make_shards(read_manifest(folder / "files.csv"), folder / "shards", 0.2)
    assert len(read_index(folder / "shards")) > 2
    return folder


def data_of(task: str, folder: Path, table: str, epoch: int, workers: int, rank: int, world: int) -> Any:
    settings = [f"data.manifest={table}", f"data.epoch_samples={epoch}", f"data.workers={workers}"]
    data = instantiate(composed("train", overrides(TASKS[task], folder, folder, *settings)).data, _convert_="all")
    data.trainer = SimpleNamespace(world_size=world, global_rank=rank, global_step=0, accumulate_grad_batches=1)
    return data


@pytest.mark.parametrize("task", TASKS)
def test_shards_give_the_same_batches_as_files(task: str, packed: Path) -> None:
    files, members = (data_of(task, packed, t, 16, 0, 0, 1) for t in ("files.csv", f"shards/{TABLE}"))
    for loader in ("train_dataloader", "val_dataloader"):
        pairs = list(zip(getattr(files, loader)(), getattr(members, loader)(), strict=True))
        assert pairs
        for one, other in pairs:
            arrays = [arrays_of(batch) for batch in (one, other)]
            assert arrays[0] and len(arrays[0]) == len(arrays[1])
            assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(*arrays, strict=True))


def arrays_of(found: Any) -> list[np.ndarray]:
    """Every array in tuples, lists and dataclasses, in order."""
    if isinstance(found, torch.Tensor | np.ndarray):
        return [np.asarray(found)]
    if hasattr(found, "__dataclass_fields__"):
        return [a for name in found.__dataclass_fields__ for a in arrays_of(getattr(found, name))]
    return [a for part in found for a in arrays_of(part)] if isinstance(found, list | tuple) else []


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_with_two_loaders_each_read_every_image_once(task: str, packed: Path, tmp_path: Path) -> None:
    # A lap of twenty scenes: batches of two photographs in each of two processes, five steps.
    epoch = 20 if task == "detector" else 40  # the recogniser's batches hold two rendered crops as well
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=read_a_lap, args=(task, packed, epoch, rank, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    lines = [(path.name, line) for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert len({name for name, _ in lines}) == 4  # loader processes
    train = read_manifest(packed / "shards" / TABLE).select(fold=0, inside=False)
    assert len(train.image) == 20
    assert Counter(line for _, line in lines) == Counter(str(train.path(row)) for row in range(20))


def read_a_lap(task: str, packed: Path, epoch: int, rank: int, logs: Path) -> None:
    """One of two processes: draws its part of a lap; its loaders write down what they read."""
    from alpr.data import decoded_images
    from alpr.images import prepare

    def noted(path: str | Path) -> bytes:
        with (logs / str(os.getpid())).open("a") as log:
            log.write(f"{path}\n")
        return read_bytes(path)

    prepare.read_bytes = decoded_images.read_bytes = noted  # type: ignore[attr-defined]
    data = data_of(task, packed, f"shards/{TABLE}", epoch, 2, rank, 2)
    assert len(list(data.train_dataloader())) == 5


def test_the_index_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is no index of shards"):
        read_index(tmp_path)
    (tmp_path / INDEX).write_text('{"shards": [{"file": "a"}]}')
    with pytest.raises(ManifestError, match="is no index of shards"):
        read_index(tmp_path)
    (tmp_path / INDEX).write_text(
        '{"shard_mb": 1, "manifest_sha256": "", "rows": 1, "images": 1, "shards": [{"file": "a", "start": 0, '
        '"stop": 1, "images": 1, "bytes": "many", "sha256": ""}]}'
    )
    with pytest.raises(ManifestError, match=r"shards\[0\].bytes is 'many'; expected a whole number"):
        read_index(tmp_path)
    with pytest.raises(ManifestError, match="0 MB"):
        shards.make_shards(Manifest.of(tmp_path, []), tmp_path, 0)
