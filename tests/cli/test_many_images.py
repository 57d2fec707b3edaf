"""Runs over many images: going on after an interrupt, what is passed over, spreadsheets, pipes that are closed."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from tiny_bundle import scene, write_bundle
from tiny_runs import ENVIRONMENT
from typer.testing import CliRunner, Result

from alpr.cli.main import app
from alpr.reader.many_images import PassedOver, collect_images
from alpr.reader.reader import Reader
from alpr.reader.results import Results

TEXTS = ("A1", "B2", "A3", "B4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, four photographs and one that is none, between them."""
    root = tmp_path_factory.mktemp("many")
    write_bundle(root / "tiny")
    (root / "images").mkdir()
    for i, text in enumerate(TEXTS):
        cv2.imwrite(str(root / "images" / f"{i}.png"), scene(text))
    (root / "images" / "1x.jpg").write_text("no image")
    return root


def run(folder: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--bundle", str(folder / "tiny"), "--threads", "1"])


def records(path: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in record.items() if key != "ms"} for record in found]


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """The run is stopped before the record after so many is written."""
    write = Results.write

    def stopped(self: Results, record: Any) -> None:
        if self.form == "jsonl" and self.written == after:
            raise KeyboardInterrupt
        write(self, record)

    monkeypatch.setattr(Results, "write", stopped)


@pytest.mark.parametrize("torn", ["", '{"image": "half', '{"image": "half"}', "[]\n", "\udcff"])
def test_an_interrupted_run_goes_on_where_it_stood(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: str
) -> None:
    whole, output, texts = tmp_path / "whole.jsonl", tmp_path / "out.jsonl", tmp_path / "texts.txt"
    run(folder, "predict", folder / "images", "--output", whole)
    arguments = ("predict", folder / "images", "--output", output, "--texts", texts, "--resume")
    with monkeypatch.context() as patch:
        interrupt(patch, 3)
        assert run(folder, *arguments).exit_code == 130
    with (tmp_path / "out.jsonl.part").open("a", encoding="utf-8", errors="surrogateescape") as part:
        part.write(torn)
    opened: list[str] = []
    look = Reader.open
    monkeypatch.setattr(
        Reader, "open", lambda self, image, **more: (opened.append(image), look(self, image, **more))[1]
    )
    result = run(folder, *arguments)
    assert result.exit_code == 1 and "Goes on after 3 images" in result.stderr
    assert "1 of 5 images could not be read" in result.stderr  # in the first part
    assert [Path(path).name for path in opened] == ["2.png", "3.png"]
    assert records(output) == records(whole)
    assert texts.read_text().split() == list(TEXTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "texts.txt", "whole.jsonl"]


def test_without_resume_a_run_begins_anew(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl.part").write_text('{"image": "of another run"}\n')
    run(folder, "predict", folder / "images", "--output", tmp_path / "out.jsonl")
    assert len(records(tmp_path / "out.jsonl")) == 5


def test_resume_needs_lines_in_a_file(folder: Path, tmp_path: Path) -> None:
    for more in ((), ("--output", tmp_path / "a.csv", "--format", "csv")):
        result = run(folder, "predict", folder / "images", "--resume", *more)
        assert result.exit_code == 2 and "expected --output and --format jsonl" in result.stderr
    drafts = run(folder, "predict", folder / "images", "--resume", "--output", tmp_path / "a", "--drafts", "coco")
    assert drafts.exit_code == 2 and "--resume and --drafts are both given" in drafts.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of this kind there")
def test_two_runs_never_share_a_part_file(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    first = Results(output, "jsonl", ())
    first.open()
    first.write({"image": "a"})
    second = run(folder, "predict", folder / "images", "--output", output)
    assert second.exit_code == 2 and f"Another run is writing {output}.part" in second.stderr
    first.close()
    assert records(output) == [{"image": "a"}]
    run(folder, "predict", folder / "images", "--output", output)
    assert len(records(output)) == 5


def test_a_csv_is_safe_in_a_spreadsheet(tmp_path: Path) -> None:
    output = tmp_path / "plates.csv"
    results = Results(output, "csv", ("image", "text", "score"))
    results.open()
    cells = ["=1+1", "+1", "-1", "@x", "\tx", 'a "quoted", 皖', "two\nlines", "A1"]
    for cell in cells:
        results.write({"image": "a.jpg", "text": cell, "score": -0.5})
    results.close()
    assert output.read_bytes()[:3] == b"\xef\xbb\xbf"
    with output.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@x", "'\tx", *cells[5:]]
    assert {row["score"] for row in rows} == {"-0.5"}  # a number is no formula


def test_files_of_other_types_are_counted_and_said(folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), scene("A1"))
    jpeg = cv2.imencode(".jpg", scene("B2"))[1].tobytes()
    for name in ("b.jfif", "c.JPE", "d.mpo"):
        (tmp_path / name).write_bytes(jpeg)
    for name in ("1.heic", "2.HEIC", "anim.gif", "drive.mp4", "noted", ".hidden.heic", ".trash/x.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    passed_over = PassedOver()
    assert collect_images([str(tmp_path)], passed_over)[-1].path.name == "d.mpo" or not passed_over.suffixes[".heic"]
    assert passed_over.suffixes.total() == passed_over.suffixes[".heic"] + 3
    result = run(folder, "predict", tmp_path)
    assert [json.loads(line)["plates"][0]["text"] for line in result.stdout.splitlines()] == ["A1", "B2", "B2", "B2"]
    if passed_over.suffixes[".heic"]:  # else pillow-heif is installed, and they are images
        assert result.exit_code == 0
        assert "5 files of other types were not looked at (2 .heic, 1 " in result.stderr
        assert "1 .gif" in result.stderr and "1 .mp4" in result.stderr and "1 without a suffix" in result.stderr
        assert "alpr-train[heif]" in result.stderr and "alpr watch" in result.stderr
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "x.avi").write_bytes(b"x")
    none = run(folder, "predict", tmp_path / "video")
    assert none.exit_code == 2 and "holds no image" in none.stderr and "1 file of another type was" in none.stderr


def test_a_folder_that_cannot_be_listed_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), scene("A1"))
    (tmp_path / "locked").mkdir()
    scan: Callable[[Any], Iterator[Any]] = os.scandir

    def refused(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    result = run(folder, "predict", tmp_path)
    assert len(result.stdout.splitlines()) == 1 and result.exit_code == 1
    assert f"The folder {tmp_path / 'locked'} cannot be listed: Permission denied" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes there")
def test_a_closed_pipe_ends_a_run_as_it_ends_other_tools(folder: Path) -> None:
    words = ["predict", str(folder / "images"), "--bundle", str(folder / "tiny"), "--threads", "1"]
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "alpr", *words], stdout=write, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_damaged_photograph_is_read_and_said_to_be(folder: Path, tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", scene("A1", (20, 20), (480, 640)))[1].tobytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) * 3 // 4])
    (tmp_path / "whole.jpg").write_bytes(data[:-2])
    result = run(folder, "predict", tmp_path)
    cut, whole = (json.loads(line) for line in result.stdout.splitlines())
    assert cut["damaged"] is True and "damaged" not in whole and result.exit_code == 0
    assert cut["plates"][0]["text"] == whole["plates"][0]["text"] == "A1"
    assert "Of 1 of 2 images a part is missing" in result.stderr
    table = run(folder, "predict", tmp_path, "--format", "csv").stdout
    assert [row["damaged"] for row in csv.DictReader(table.splitlines())] == ["True", ""]


def test_a_threshold_of_detection(folder: Path) -> None:
    image = folder / "images" / "0.png"
    for threshold, plates in (("0.9", 1), ("0.95", 0)):
        result = run(folder, "predict", image, "--threshold", threshold)
        assert len(json.loads(result.stdout)["plates"]) == plates
    assert run(folder, "predict", image, "--threshold", "1.5").exit_code == 2
