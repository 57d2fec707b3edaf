"""The command `alpr`, as a shell calls it: its lines are a contract that other tools rely on."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_bundle import scene, write_bundle
from typer.testing import CliRunner, Result

from alpr import __version__
from alpr.cli.main import app
from alpr.reader.card import ModelCard
from alpr.reader.many_images import InputError, collect_images
from alpr.reader.results import Results


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle and a folder of four images: two with a plate, one without, one that is no image."""
    root = tmp_path_factory.mktemp("cli")
    write_bundle(root / "tiny")
    (root / "images" / "sub").mkdir(parents=True)
    cv2.imwrite(str(root / "images" / "a.png"), scene("皖A12", size=(480, 640)))
    (root / "images" / "b.jpg").write_text("no image")
    cv2.imwrite(str(root / "images" / "c.png"), np.full((60, 80, 3), 90, np.uint8))
    cv2.imwrite(str(root / "images" / "sub" / "a.png"), scene("B3", (30, 40)))
    (root / "images" / "notes.txt").write_text("not looked at")
    return root


def run(folder: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--bundle", str(folder / "tiny"), "--threads", "1"])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_predict_gives_one_object_per_image_in_order(folder: Path) -> None:
    result = run(folder, "predict", folder / "images")
    assert result.exit_code == 1 and "1 of 4 images could not be read" in result.stderr
    a, bad, empty, sub = lines(result.stdout)
    images = folder / "images"
    assert [r["image"] for r in (a, bad, empty, sub)] == [
        str(images / n) for n in ("a.png", "b.jpg", "c.png", "sub/a.png")
    ]
    assert list(a) == ["image", "width", "height", "plates", "ms"]
    assert (a["width"], a["height"]) == (640, 480)
    assert list(a["ms"]) == ["decode", "detect", "read"] and all(ms >= 0 for ms in a["ms"].values())
    (plate,) = a["plates"]
    assert list(plate) == ["corners", "box", "score", "text", "text_score", "characters"]
    assert plate["corners"] == [[200, 120], [320, 120], [320, 150], [200, 150]]
    assert plate["box"] == [200, 120, 320, 150] and plate["score"] == 0.9
    assert plate["text"] == "皖A12" and len(plate["characters"]) == 4 and plate["text_score"] > 0.99
    assert set(bad) == {"image", "error"} and "no image that OpenCV can decode" in bad["error"]
    assert empty["plates"] == []
    assert sub["plates"][0]["text"] == "B3"


def test_good_images_alone_end_with_0(folder: Path) -> None:
    result = run(folder, "predict", folder / "images" / "*.png", folder / "images" / "a.png")
    assert result.exit_code == 0 and result.stderr == ""
    assert len(lines(result.stdout)) == 2  # each once


def test_csv_has_a_row_per_plate_and_loses_no_image(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "plates.csv"
    result = run(folder, "predict", folder / "images", "--format", "csv", "--output", output)
    assert result.exit_code == 1 and result.stdout == ""
    assert output.read_bytes().startswith("\ufeffimage,".encode())
    with output.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["image"]).name for row in rows] == ["a.png", "b.jpg", "c.png", "a.png"]
    assert rows[0]["text"] == "皖A12" and rows[0]["br_x"] == "320.0" and rows[0]["plate"] == "1"
    assert len(rows[0]["characters"].split()) == 4
    assert "no image" in rows[1]["error"] and rows[2]["plate"] == ""
    assert [p.name for p in output.parent.iterdir()] == ["plates.csv"]


def test_read_takes_crops(folder: Path, tmp_path: Path) -> None:
    crop = tmp_path / "crop.png"
    cv2.imwrite(str(crop), scene("B12A", (0, 0), (24, 96), 96))
    result = run(folder, "read", crop, tmp_path / "gone.png", "--annotate", tmp_path / "drawn")
    assert result.exit_code == 1
    good, gone = lines(result.stdout)
    assert list(good) == ["image", "text", "text_score", "characters"] and good["text"] == "B12A"
    assert set(gone) == {"image", "error"} and "gone.png cannot be read" in gone["error"]
    assert cv2.imread(str(tmp_path / "drawn" / "crop.png")) is not None
    table = run(folder, "read", crop, "--format", "csv").stdout.splitlines()
    assert table[0] == "image,text,text_score,characters,damaged,error" and table[1].startswith(f"{crop},B12A,")


def test_annotated_copies_keep_their_places(folder: Path, tmp_path: Path) -> None:
    run(folder, "predict", folder / "images", folder / "images" / "sub" / "a.png", "--annotate", tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*")) == ["a.png", "c.png", "sub/a.png"]
    original, drawn = (cv2.imread(str(p / "a.png")) for p in (folder / "images", tmp_path))
    assert original.shape == drawn.shape and (original != drawn).any()
    names = [
        str(item.name) for item in collect_images([str(folder / "images/a.png"), str(folder / "images/sub/a.png")])
    ]
    assert names == ["a.png", "a_2.png"]


def test_an_annotated_copy_never_takes_its_images_place(folder: Path) -> None:
    before = (folder / "images" / "a.png").read_bytes()
    result = run(folder, "predict", folder / "images", "--annotate", folder / "images")
    assert result.exit_code == 2 and "a.png is one of the images to read" in result.stderr
    assert (folder / "images" / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predict", "{empty}"], "holds no image; expected files ending in"),
        (["predict", "{empty}/*.jpg"], "matches no file"),
        (["predict", "{images}", "--output", "{images}"], "is a folder; expected a file"),
    ],
)
def test_nothing_to_begin_with_ends_with_2(folder: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    result = run(folder, *[a.format(empty=tmp_path, images=folder / "images") for a in arguments])
    assert result.exit_code == 2 and sentence in result.stderr and result.stdout == ""


def test_a_bundle_that_is_none_ends_with_2(folder: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["predict", str(folder / "images"), "--bundle", str(tmp_path)])
    assert result.exit_code == 2 and "is no bundle" in result.stderr
    assert CliRunner().invoke(app, ["predict", str(folder / "images"), "--threads", "0"]).exit_code == 2


def test_a_full_disk_loses_nothing_that_was_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("an earlier run\n")
    write = Results.write

    def fails(self: Results, record: Any) -> None:
        if self.written == 2:
            raise OSError(28, "No space left on device")
        write(self, record)

    monkeypatch.setattr(Results, "write", fails)
    result = run(folder, "predict", folder / "images", "--output", output)
    assert result.exit_code == 1 and "Stopped after 2 of 4 images" in result.stderr
    assert "No space left" in result.stderr and str(output) + ".part" in result.stderr
    assert len(lines((tmp_path / "out.jsonl.part").read_text(encoding="utf-8"))) == 2
    assert output.read_text() == "an earlier run\n"


def test_an_interrupted_run_keeps_what_it_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Results.write

    def interrupted(self: Results, record: Any) -> None:
        if self.written == 1:
            raise KeyboardInterrupt
        write(self, record)

    monkeypatch.setattr(Results, "write", interrupted)
    result = run(folder, "predict", folder / "images", "--output", tmp_path / "out.jsonl")
    assert result.exit_code == 130 and "Interrupted after 1 of 4 images" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl.part"]
    assert len(lines((tmp_path / "out.jsonl.part").read_text(encoding="utf-8"))) == 1


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no /dev/null here")
def test_a_device_is_written_to_and_never_replaced(folder: Path) -> None:
    assert run(folder, "predict", folder / "images" / "a.png", "--output", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device() and not Path("/dev/null.part").exists()


def test_hidden_files_are_not_looked_at(tmp_path: Path) -> None:
    for name in (".hidden/a.jpg", "._b.jpg", "c.JPG", "d/e.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [str(item.name) for item in collect_images([str(tmp_path)])] == ["c.JPG", "d/e.webp"]
    (tmp_path / "[x].jpg").write_text("x")
    assert len(collect_images([str(tmp_path / "[x].jpg")])) == 1  # a file that is there is no glob
    assert len(collect_images([str(tmp_path / "**" / "*.webp")])) == 1
    with pytest.raises(InputError):
        collect_images([str(tmp_path / "?.tif")])


def _shell(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    code = (
        "import sys, atexit; from alpr.cli.main import main\n"
        "atexit.register(lambda: print([m for m in ('torch', 'onnx') if m in sys.modules], file=sys.stderr))\n"
        "main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, env=os.environ | environment
    )


def test_in_a_shell_without_utf8_and_without_torch(folder: Path) -> None:
    done = _shell(
        "predict",
        folder / "images" / "a.png",
        "--bundle",
        folder / "tiny",
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert done.returncode == 0 and done.stderr.decode().strip() == "[]"
    assert lines(done.stdout.decode("utf-8"))[0]["plates"][0]["text"] == "皖A12"


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"alpr {__version__}\n")


def test_predict_looks_at_the_size_it_is_told(folder: Path) -> None:
    (small,) = lines(run(folder, "predict", folder / "images" / "a.png", "--input-px", 320).stdout)
    assert len(small["plates"]) == 1
    wrong = run(folder, "predict", folder / "images" / "a.png", "--input-px", 321)
    assert wrong.exit_code == 2 and "input_px is 321" in wrong.stderr


def test_options_of_reading_add_keys_and_change_no_other(folder: Path) -> None:
    image = folder / "images" / "a.png"
    (plain,) = lines(run(folder, "predict", image).stdout)[0]["plates"]
    options = ("--grammar", "--top", 2, "--min-score", 1)
    (more,) = lines(run(folder, "predict", image, *options).stdout)[0]["plates"]
    assert list(more) == [*plain, "rule", "raw_text", "certain", "alternatives"]
    assert {key: more[key] for key in plain} == plain
    assert (more["rule"], more["raw_text"], more["certain"]) == ("plain", None, False)
    assert more["alternatives"][0]["text"] == "皖A12" and len(more["alternatives"]) == 2
    table = run(folder, "predict", image, *options, "--format", "csv").stdout.splitlines()
    assert table[0].endswith(",error,rule,raw_text,certain,alternatives")
    assert ",plain,,False,皖A12 " in table[1]
    (crop,) = lines(run(folder, "read", image, "--min-score", 0).stdout)
    assert list(crop) == ["image", "text", "text_score", "characters", "certain"] and crop["certain"]


def test_a_precision_needs_a_calibrated_bundle(folder: Path, tmp_path: Path) -> None:
    image = folder / "images" / "a.png"
    unknown = run(folder, "predict", image, "--precision", 99)
    assert unknown.exit_code == 2 and "No score is known above which 99 %" in unknown.stderr
    both = run(folder, "predict", image, "--precision", 99, "--min-score", 0.5)
    assert both.exit_code == 2 and "both given" in both.stderr
    assert run(folder, "predict", image, "--precision", 95).exit_code == 2
    calibrated = write_bundle(tmp_path / "calibrated")
    card = ModelCard.read(calibrated)
    sure = replace(card.recogniser, threshold_99=0.5, threshold_999=1.0)
    replace(card, recogniser=sure).write(calibrated)
    for precision, certain in (("99", True), ("99.9", False)):
        done = CliRunner().invoke(
            app, ["predict", str(image), "--bundle", str(calibrated), "--precision", precision, "--threads", "1"]
        )
        assert lines(done.stdout)[0]["plates"][0]["certain"] is certain
