"""Parts of a large run: each image in exactly one, killed and gone on with, joined, the same from any process."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest
from tiny_bundle import scene, write_bundle
from tiny_runs import ENVIRONMENT
from typer.testing import CliRunner, Result

from alpr.cli.main import app
from alpr.reader.image_records import read_images
from alpr.reader.many_images import ProgressLines
from alpr.reader.shares import Share, ShareError

TEXTS = [a + b for a in "皖AB123" for b in "AB12345"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, 42 photographs and one that is none, the same in a tar file beside a text."""
    root = tmp_path_factory.mktemp("shares")
    write_bundle(root / "tiny")
    (root / "images").mkdir()
    for i, text in enumerate(TEXTS):
        cv2.imwrite(str(root / "images" / f"{i:02}.png"), scene(text))
    (root / "images" / "07x.jpg").write_text("no image")
    (root / "note.txt").write_text("no image either")
    with tarfile.open(root / "all.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted((root / "images").iterdir()):
            tar.add(path, f"camera/{path.name}")
        tar.add(root / "note.txt", "camera/note.txt")
    return root


def run(root: Path, *words: object) -> Result:
    bundle = () if words[0] in ("merge", "data") else ("--bundle", root / "tiny", "--threads", "1")
    return CliRunner().invoke(app, [str(word) for word in (*words, *bundle)])


def records(path: Path) -> list[dict[str, Any]]:
    return plain(map(json.loads, path.read_text(encoding="utf-8").splitlines()))


def plain(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records without the times, which are never the same."""
    return [{key: value for key, value in record.items() if key != "ms"} for record in lines]


def by_image(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(lines, key=lambda record: str(record["image"]))


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "1", "a/b", "1/4/2", "-1/4", "1.0/4"])
def test_a_shard_is_one_of_n(root: Path, tmp_path: Path, text: str) -> None:
    result = run(root, "predict", root / "images", "--output", tmp_path / "a.jsonl", "--shard", text)
    assert result.exit_code == 2 and "expected K/N with 1 <= K <= N, such as 3/64." in result.stderr
    with pytest.raises(ShareError):
        Share.parse(text)


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_every_image_is_of_exactly_one_shard(n: int) -> None:
    names = [f"camera/{i}/皖 {i * i}.jpg" for i in range(20_000)]
    parts = [{name for name in names if Share(k, n).holds(name)} for k in range(1, n + 1)]
    assert sum(map(len, parts)) == len(names) and set.union(*parts) == set(names)
    assert max(map(len, parts)) < 1.4 * len(names) / n and min(map(len, parts)) > 0.6 * len(names) / n


def test_a_shard_needs_a_file(root: Path) -> None:
    result = run(root, "predict", root / "images", "--shard", "1/2")
    assert result.exit_code == 2 and "--shard is given without --output" in result.stderr


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_merged_shards_are_the_whole_run(root: Path, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    from alpr.reader.parquet import records_of

    whole, output = tmp_path / "whole.jsonl", tmp_path / f"read.{form}"
    run(root, "predict", root / "images", "--output", whole)
    for k in range(1, 4):
        assert run(root, "merge", output).exit_code == 2
        words = ("predict", root / "images", "--output", output, "--shard", f"{k}/3", "--format", form)
        assert run(root, *words).exit_code in (0, 1)
    merged = run(root, "merge", output)
    assert merged.exit_code == 0, merged.output
    assert f"{output}: 43 images, 42 plates. 1 could not be read" in merged.output
    assert by_image(plain(records_of(output))) == by_image(records(whole))
    assert len({path.name for path in tmp_path.glob(f"read-*-of-3.{form}")}) == 3


def test_a_merge_says_what_is_missing_or_wrong(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "read.jsonl"
    assert f"Beside {output} stands no shard" in run(root, "merge", output).stderr
    for k in (1, 3):
        run(root, "predict", root / "images", "--output", output, "--shard", f"{k}/3")
    assert "2 of 3 shards" in run(root, "merge", output).stderr
    assert "missing: read-2-of-3.jsonl" in run(root, "merge", output).stderr
    first, second = (Share(k, 3).file(output) for k in (1, 2))
    second.write_bytes(first.read_bytes())
    assert f"{second}, line 1: " in run(root, "merge", output).stderr and not output.exists()
    run(root, "predict", root / "images", "--output", output, "--shard", "2/3")
    line = first.read_text().splitlines()[0]
    with first.open("a") as file:
        file.write(line + "\n")
    assert "is given twice" in run(root, "merge", output).stderr
    run(root, "predict", root / "images", "--output", output, "--shard", "1/2")
    assert "shards of 2 and 3" in run(root, "merge", output).stderr


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_finished_shard_is_left_alone_and_takes_up_new_images(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    from alpr.reader.parquet import records_of

    images, output = tmp_path / "images", tmp_path / f"read.{form}"
    images.mkdir()
    for i in range(6):
        (images / f"{i}.png").write_bytes((root / "images" / f"{i:02}.png").read_bytes())
    words = ("predict", images, "--output", output, "--shard", "1/1", "--resume", "--format", form)
    run(root, *words)
    part = Share(1, 1).file(output)
    before = part.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr("alpr.cli.reading.Reader", None)  # nothing is opened
        again = run(root, *words)
    assert again.exit_code == 0 and f"{part} is finished: it holds all 6 images." in again.stderr
    assert part.stat().st_mtime_ns == before
    (images / "new.png").write_bytes((root / "images" / "09.png").read_bytes())
    more = run(root, *words)
    assert more.exit_code == 0 and "Goes on after 6 images" in more.stderr
    found = plain(records_of(part))
    assert [Path(r["image"]).name for r in found] == [*(f"{i}.png" for i in range(6)), "new.png"]
    assert found == plain(read_images([r["image"] for r in found], str(root / "tiny")))
    assert not list(tmp_path.glob("*.part"))


def killed_and_resumed(root: Path, output: Path, kills: int, *more: str) -> int:
    """A run that is killed so many times after the next few lines, and then ends; gives how often it was killed."""
    command = [sys.executable, "-m", "alpr", "predict", str(root / "images"), "--output", str(output)]
    command += ["--shard", "1/1", "--resume", "--bundle", str(root / "tiny"), "--threads", "1", *more]
    part, killed = Share(1, 1).file(output), 0
    unfinished = part.with_name(f"{part.name}.part")
    chance = random.Random(1)
    for _ in range(kills):
        slow = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        size = unfinished.stat().st_size if unfinished.is_file() else 0
        upto = size + chance.randrange(1, 2500)
        while slow.poll() is None and (not unfinished.is_file() or unfinished.stat().st_size < upto):
            time.sleep(0.002)
        if slow.poll() is None:
            slow.send_signal(signal.SIGKILL)
            killed += 1
        slow.wait()
    subprocess.run(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL, check=False)
    return killed


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_shard_goes_on_as_if_nothing_had_been(root: Path, tmp_path: Path) -> None:
    run(root, "predict", root / "images", "--output", tmp_path / "whole.jsonl")
    output = tmp_path / "read.jsonl"
    assert killed_and_resumed(root, output, 3) == 3
    assert records(Share(1, 1).file(output)) == records(tmp_path / "whole.jsonl")


def test_tar_files_and_lists_are_read_as_folders_are(root: Path, tmp_path: Path) -> None:
    run(root, "predict", root / "images", "--output", tmp_path / "whole.jsonl")
    made = run(root, "data", "list", root / "all.tar", "--output", tmp_path / "list.txt")
    assert made.exit_code == 0 and "43 images" in made.output
    assert "1 file of another type was not looked at (1 .txt)" in made.stderr
    run(root, "predict", root / "all.tar", "--output", tmp_path / "tar.jsonl")
    run(root, "predict", "--files-from", tmp_path / "list.txt", "--output", tmp_path / "list.jsonl")
    assert records(tmp_path / "tar.jsonl") == records(tmp_path / "list.jsonl")
    named = [{**record, "image": Path(record["image"]).name} for record in records(tmp_path / "tar.jsonl")]
    whole = [{**record, "image": Path(record["image"]).name} for record in records(tmp_path / "whole.jsonl")]
    assert [r for r in named if "error" not in r] == [r for r in whole if "error" not in r]
    assert [r["image"] for r in named] == [r["image"] for r in whole]


def test_a_tar_file_that_is_cut_short_is_told_of(root: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar"
    cut.write_bytes((root / "all.tar").read_bytes()[:4000])
    result = run(root, "predict", cut, root / "images" / "00.png", "--output", tmp_path / "a.jsonl")
    assert result.exit_code == 1 and f"The tar file {cut} cannot be read to its end" in result.stderr
    assert "error" not in records(tmp_path / "a.jsonl")[-1]


def test_copies_of_tar_members_stay_below_their_folder(root: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.add(root / "images" / "00.png", "../../away.png")
    run(root, "predict", tmp_path / "bad.tar", "--annotate", tmp_path / "out" / "copies", "--output", tmp_path / "a")
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.png")] == ["out/copies/bad.tar/away.png"]


def test_processes_give_what_one_gives(root: Path, tmp_path: Path) -> None:
    run(root, "predict", root / "images", "--output", tmp_path / "one.jsonl")
    two = run(root, "predict", root / "images", "--output", tmp_path / "two.jsonl", "--processes", "2")
    assert two.exit_code == 1 and records(tmp_path / "one.jsonl") == records(tmp_path / "two.jsonl")
    paths = [record["image"] for record in records(tmp_path / "one.jsonl")]
    read = partial(read_images, bundle=str(root / "tiny"))
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        pooled = [
            record for part in pool.map(read, (paths[i : i + 8] for i in range(0, len(paths), 8))) for record in part
        ]
    assert plain(pooled) == records(tmp_path / "one.jsonl")
    refused = run(root, "predict", root / "images", "--processes", "2", "--annotate", tmp_path / "copies")
    assert refused.exit_code == 2 and "expected records alone" in refused.stderr


def test_a_log_gets_a_line_a_minute(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr("alpr.reader.many_images.monotonic", lambda: now[0])
    lines = ProgressLines(7200, "images")
    for _ in range(240):
        now[0] += 0.5
        lines.advance()
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "120 of 7,200 images, 2.0 images/s, 59 min left" and len(told) == 2
