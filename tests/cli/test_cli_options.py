"""The command's options beside the results: blurred copies, plates alone, providers, decoding ahead, info and bench."""

from __future__ import annotations

import json
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

from alpr import provenance
from alpr.benchmark import reader_speed
from alpr.cli.main import app
from alpr.detection.detect import Detector
from alpr.images.prepare import read_image
from alpr.reader import reader
from alpr.reader.card import DataSource, ModelCard, TrainingRun


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, and images: two with a plate, one without, one that is none."""
    root = tmp_path_factory.mktemp("options")
    write_bundle(root / "tiny")
    (root / "images").mkdir()
    cv2.imwrite(str(root / "images" / "a.png"), scene("皖A12", size=(480, 640)))
    (root / "images" / "b.jpg").write_text("no image")
    cv2.imwrite(str(root / "images" / "c.png"), np.full((60, 80, 3), 90, np.uint8))
    cv2.imwrite(str(root / "images" / "d.png"), scene("B3", (30, 40)))
    return root


def run(folder: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--bundle", str(folder / "tiny"), "--threads", "1"])


def plates_of(result: Result) -> list[Any]:
    records = [json.loads(line) for line in result.stdout.splitlines()]
    return [{key: value for key, value in record.items() if key != "ms"} for record in records]


def test_the_texts_alone(folder: Path, tmp_path: Path) -> None:
    texts = tmp_path / "new" / "plates.txt"
    result = run(folder, "predict", folder / "images", "--texts", texts)
    assert result.exit_code == 1 and len(result.stdout.splitlines()) == 4
    assert texts.read_text(encoding="utf-8") == "皖A12\nB3\n"
    assert [path.name for path in texts.parent.iterdir()] == ["plates.txt"]
    run(folder, "predict", folder / "images", "--texts", texts, "--min-score", "1")  # nothing is that certain
    assert texts.read_text(encoding="utf-8") == ""
    crop = tmp_path / "crop.png"
    cv2.imwrite(str(crop), scene("B12A", (0, 0), (24, 96), 96))
    run(folder, "read", crop, "--texts", texts)
    assert texts.read_text(encoding="utf-8") == "B12A\n"


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_decoding_ahead_changes_nothing(folder: Path, workers: int) -> None:
    found = run(folder, "predict", folder / "images", "--workers", workers)
    assert plates_of(found) == plates_of(run(folder, "predict", folder / "images", "--workers", 0))
    assert found.exit_code == 1 and "1 of 4 images could not be read" in found.stderr


def test_an_interrupt_while_decoding_ahead_ends_cleanly(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reader.Reader, "read_timed", interrupted)
    result = run(folder, "predict", folder / "images", "--workers", 2)
    assert result.exit_code == 130 and "Interrupted after 0 of 4 images" in result.stderr


def test_providers_are_chosen_and_reported(folder: Path) -> None:
    image = folder / "images" / "a.png"
    found = run(folder, "predict", image, "--provider", "CPUExecutionProvider")
    assert found.exit_code == 0 and found.stderr == "Networks run on CPUExecutionProvider.\n"
    lacking = run(folder, "predict", image, "--provider", "NoneExecutionProvider")
    assert lacking.exit_code == 2 and "has no provider NoneExecutionProvider here; it has" in lacking.stderr


def test_blurred_copies_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    result = run(folder, "predict", folder / "images", "--blur", tmp_path / "safe")
    assert sorted(path.name for path in (tmp_path / "safe").iterdir()) == ["a.png", "c.png", "d.png"]
    assert "皖A12" in result.stdout  # the results know the plate, the copies do not
    before, after = (cv2.imread(str(place / "a.png")) for place in (folder / "images", tmp_path / "safe"))
    plate = after[120:150, 200:320]
    assert np.ptp(plate.reshape(-1, 3), axis=0).max() <= 32 and (before[:60] == after[:60]).all()
    again = run(folder, "predict", tmp_path / "safe" / "a.png")
    assert all(not plate["text"] or plate["text"] != "皖A12" for plate in plates_of(again)[0]["plates"])


def test_an_orientation_is_applied_and_no_metadata_is_copied(folder: Path, tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", scene("A1", size=(240, 480)))[1].tobytes()
    # one entry of the first directory: 0x0112, orientation 6; what follows stands for the place of the photograph
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0GPS 48.1374 N"
    tagged = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "turned.jpg").write_bytes(tagged)
    assert read_image(tagged).shape == (480, 240, 3)
    run(folder, "predict", tmp_path / "in", "--blur", tmp_path / "out")
    copy = (tmp_path / "out" / "turned.jpg").read_bytes()
    assert b"Exif" not in copy and b"GPS" not in copy and read_image(copy).shape == (480, 240, 3)


def test_a_lower_threshold_blurs_more_and_reports_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubtful = replace(ModelCard.read(folder / "tiny").detector, score_threshold=0.95)  # the plate has 0.9
    bundle = write_bundle(tmp_path / "tiny", doubtful)
    options = ["predict", str(folder / "images" / "a.png"), "--bundle", str(bundle), "--blur", str(tmp_path / "out")]
    thresholds = []
    down_to = Detector.down_to
    monkeypatch.setattr(Detector, "down_to", lambda self, *to: thresholds.append(to) or down_to(self, *to))
    original = cv2.imread(str(folder / "images" / "a.png"))
    for more, covered in ((["--blur-threshold", "0.92"], False), (["--blur-threshold", "0.9"], True), ([], True)):
        result = CliRunner().invoke(app, [*options, *more])
        assert result.exit_code == 0 and plates_of(result)[0]["plates"] == []
        assert (cv2.imread(str(tmp_path / "out" / "a.png")) != original).any() == covered
    assert [score for score, _ in thresholds] == [0.92, 0.9, 0.475]


@pytest.mark.parametrize("option", ["--blur", "--annotate"])
def test_copies_never_take_the_place_of_an_image(folder: Path, tmp_path: Path, option: str) -> None:
    """Also of another image that is to be read."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for name in ("one/x.png", "one/y.png", "two/y.png"):
        cv2.imwrite(str(tmp_path / name), scene("A1"))
    before = (tmp_path / "two" / "y.png").read_bytes()
    inputs = [tmp_path / "one", tmp_path / "two" / "y.png"]
    result = run(folder, "predict", *inputs, option, tmp_path / "two")
    assert result.exit_code == 2 and "y.png is one of the images to read" in result.stderr and result.stdout == ""
    assert (tmp_path / "two" / "y.png").read_bytes() == before
    both = run(folder, "predict", *inputs, "--blur", tmp_path / "out", "--annotate", tmp_path / "out")
    assert both.exit_code == 2 and "expected different folders" in both.stderr


def test_info_says_what_a_bundle_is(folder: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "tiny")
    card = ModelCard.read(bundle)
    figures = [
        {"name": "end_to_end_50", "value": 0.95, "plates": 100, "low": 0.9, "high": 0.98},
        {"name": "found_50", "value": 1.0, "plates": 100, "low": 1.0, "high": 1.0},
        {"name": "read_on_box", "value": 0.5, "plates": 100, "low": 0.4, "high": 0.6},
        {"name": "found_70", "value": "many"},
    ]
    bins = [
        {"low_px": 48, "high_px": 64, "plates": 20, "read": 9},
        {"low_px": 64, "high_px": 96, "plates": 40, "read": 39},
    ]
    readable = {"image": {"width_px": 64, "bins": bins}, "input": {"width_px": None, "bins": []}}
    replace(
        card,
        recogniser=replace(card.recogniser, threshold_99=0.75),
        metrics={"manifests": {"val.csv": "0" * 64}, "figures": figures, "readable": readable, "scored": 3},
        data=(DataSource("train.csv", "0" * 64, "CC BY 4.0", "somebody/set"), DataSource("old.csv", "1" * 64, "")),
        training=(TrainingRun("reader_run", 3),),
    ).write(bundle)
    text = CliRunner().invoke(app, ["info", str(bundle)]).stdout
    for part in (
        "Testland (CN), fp32",
        "detector.onnx",
        card.detector_file.sha256,
        "on val.csv",
        " 95.0 %  found and every character right (88.8 to 97.8, 100 plates)",  # Wilson's, whatever is stored
        "100.0 %  found (IoU > 0.5) (96.3 to 100.0, 100 plates)",
        "64 px wide in the photograph (39 of 40 plates 64 to 96 px wide were read; narrower ones were read worse)",
        "detection   0.3",
        "--precision 99    score >= 0.75",
        "--precision 99.9  not known",
        "these plates were scored at least 3 times before or with these figures",
        "train.csv: CC BY 4.0 (from somebody/set)\n  old.csv: no licence stated\n",
        "reader_run (seed 3)",
    ):
        assert part in text
    assert "read_on_box" not in text and "many" not in text
    plain = CliRunner().invoke(app, ["info", str(folder / "tiny")]).stdout
    assert plain.count("not measured") == 2 and "commit not known" in plain and "not stated" in plain
    found = json.loads(CliRunner().invoke(app, ["info", str(bundle), "--json"]).stdout)
    assert found["readable"]["image"]["width_px"] == 64 and found["thresholds"]["reading_99"] == 0.75
    assert "CPUExecutionProvider" in found["machine"]["providers"] and found["files"][0]["bytes"] > 0


def test_info_refuses_a_bundle_that_was_changed(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "tiny")
    (bundle / "recogniser.onnx").write_bytes(b"x")
    result = CliRunner().invoke(app, ["info", str(bundle)])
    assert result.exit_code == 2 and "recogniser.onnx has SHA-256" in result.stderr and result.stdout == ""


def test_bench_measures_a_bundle(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "source_commit", lambda: ("a" * 40, False))
    monkeypatch.setattr(reader_speed, "EARLY_IMAGES", 3)
    out = tmp_path / "bench.json"
    result = run(folder, "bench", folder / "images" / "a.png", "--repeat", 5, "--output", out)
    assert result.exit_code == 0 and "tiny: " in result.stdout and "1.00 plates per image" in result.stdout
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["repeats"] == 5 and written["environment"]["commit"] == "a" * 40
    if sys.platform == "linux":
        assert written["memory"]["early_images"] == 3 and written["memory"]["last_mb"] > 20
    noise = run(folder, "bench", "--repeat", 1)
    assert noise.exit_code == 0 and "1 images 1 times" in noise.stdout
    assert run(folder, "bench", tmp_path / "none").exit_code == 2


def test_info_and_bench_need_no_torch(folder: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from alpr.cli.main import app\n"
        "for words in (['info'], ['bench', '--repeat', '1', '--bundle']):\n"
        "    done = CliRunner().invoke(app, [*words, sys.argv[1]])\n"
        "    assert done.exit_code == 0 or 'commit' in done.stderr, done.stderr\n"
        "print([m for m in ('torch', 'hydra') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, folder / "tiny"], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
