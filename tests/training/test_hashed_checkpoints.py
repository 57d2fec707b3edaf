"""Checkpoints are as their run wrote them, or none trains, exports or evaluates from them."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import DETECTOR, Scripts, overrides

from alpr.detection.module import DetectorModule
from alpr.files import hash_file
from alpr.runs.checkpoints import RunError, read_checkpoint, warm_start
from alpr.training.averaging import averaged
from alpr.training.callbacks import WholeFiles
from alpr.training.runs import load_detector, load_module

NETWORK = {"stem": (8, 8), "stage_blocks": (1, 1, 1, 1), "stage_widths": (8, 8, 16, 16), "neck_width": 8,
           "head_convs": 1, "head_width": 8}  # fmt: skip


def checkpoint(step: int = 0) -> dict[str, Any]:
    module = DetectorModule(network=NETWORK)
    return {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams), "global_step": step}


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_every_flipped_bit_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WholeFiles().save_checkpoint(checkpoint(), path)
    bits, draw = 8 * path.stat().st_size, random.Random(5)
    for bit in (draw.randrange(bits) for _ in range(30)):
        flip(path, bit)
        for read in (read_checkpoint, WholeFiles().load_checkpoint):
            with pytest.raises(RunError, match=rf"{name} is not as its run wrote it"):
                read(path)
        flip(path, bit)
    module = load_module(path)
    flip(path, bits // 2)
    uses: list[Callable[[], object]] = [
        lambda: load_detector(path),
        lambda: warm_start(module, path),
        lambda: averaged([path, path]),
    ]
    for use in uses:
        with pytest.raises(RunError, match=rf"{name} is not as its run wrote it"):
            use()


def test_a_kill_between_the_hash_and_the_file_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace = tmp_path / "last.ckpt", Path.replace

    def killed(self: Path, target: Path) -> Path:
        if Path(target) == path:
            raise KeyboardInterrupt
        return replace(self, target)

    WholeFiles().save_checkpoint(checkpoint(1), path)
    for step in (2, 3, 4, 5):  # killed again and again
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Path, "replace", killed)
            WholeFiles().save_checkpoint(checkpoint(step), path)
        assert read_checkpoint(path)["global_step"] == 1
    WholeFiles().save_checkpoint(checkpoint(6), path)
    assert read_checkpoint(path)["global_step"] == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.ckpt", "last.ckpt.sha256"]


def test_a_damaged_file_is_not_vouched_for_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, replace = tmp_path / "last.ckpt", Path.replace
    WholeFiles().save_checkpoint(checkpoint(1), path)
    flip(path, 8000)

    def killed(self: Path, target: Path) -> Path:
        if Path(target) == path:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", killed)
        WholeFiles().save_checkpoint(checkpoint(2), path)
    with pytest.raises(RunError, match="not as its run wrote it"):
        read_checkpoint(path)


def test_a_checkpoint_without_a_hash_is_read_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    WholeFiles().save_checkpoint(checkpoint(), path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_checkpoint(path)
    hash_file(path).unlink()
    with pytest.warns(UserWarning, match=r"best\.ckpt has no best\.ckpt\.sha256 beside it"):
        read_checkpoint(path)


def test_a_run_goes_on_from_no_damaged_checkpoint_and_no_other_pictures(
    scripts: Scripts, tiny_data: Path, tmp_path: Path
) -> None:
    data, run = shutil.copytree(tiny_data, tmp_path / "data"), tmp_path / "run"
    once = overrides(DETECTOR, data, run, "trainer.max_epochs=1")
    more = overrides(DETECTOR, data, run, "trainer.max_epochs=2")
    done = scripts.run("train.py", once)
    assert done.code == 0, done.text
    last = run / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    flip(last, 4 * len(before))
    done = scripts.run("train.py", more)
    assert done.code == 1 and "last.ckpt is not as its run wrote it" in done.text, done.text
    flip(last, 4 * len(before))
    assert last.read_bytes() == before
    picture = next((data / "ccpd_green").rglob("*.jpg"))
    whole = picture.read_bytes()
    picture.write_bytes(whole + b"more")
    done = scripts.run("train.py", more)
    assert done.code == 1 and "was trained on other pictures: ccpd_green/alpr_dataset.csv: bytes were" in done.text
    picture.write_bytes(whole)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (sums,) = record["pictures"].values()
    assert sums["pictures"] == 24 and set(sums) == {"pictures", "bytes"}
    del record["pictures"]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    for name in ("last.ckpt", "best.ckpt"):  # as an older run
        hash_file(run / "checkpoints" / name).unlink()
    done = scripts.run("train.py", more)
    assert done.code == 0 and "has no last.ckpt.sha256 beside it" in done.text, done.text
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["pictures"]
    assert hash_file(last).is_file()
