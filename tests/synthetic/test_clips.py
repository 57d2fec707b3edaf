"""Synthetic clips: what the truth says is in the frames."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.plates.country import CountryPack
from alpr.synthetic.clips import Clip, ClipPlan

CLEAN = {"noise": 0.0, "blur_px": 0.0, "quality": 100, "shutter": 0.0}


@pytest.fixture(scope="module")
def pack() -> CountryPack:
    return CountryPack.find("de")


def test_the_verb_writes_a_video_and_its_truth(tmp_path: Path) -> None:
    words = ["synth", "clip", "--output", str(tmp_path / "a.mp4"), "--seconds", "1", "--fps", "10", "--crossing"]
    done = CliRunner().invoke(app, [*words, "--text", "BAB123", "--text", "MXY987"])
    assert done.exit_code == 0, done.output
    truth = json.loads((tmp_path / "a.truth.json").read_text(encoding="utf-8"))
    assert [v["text"] for v in truth["vehicles"]] == ["BAB123", "MXY987"] and truth["frames"] == 10
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 10
    first, second = (np.array([f["corners"] for f in v["frames"]])[:, :, 0].mean(axis=1) for v in truth["vehicles"])
    assert first[-1] > first[0] and second[-1] < second[0]


def test_plates_stand_where_the_truth_says(pack: CountryPack) -> None:
    plan = ClipPlan(seconds=1, fps=5, speed=1, width_px=(80, 160), **CLEAN)
    empty = Clip(ClipPlan(vehicles=0, seconds=1, fps=5, **CLEAN), pack).scene
    for frame in Clip(plan, pack, empty).frames():
        (plate,) = frame.plates
        x, y = (int(v) for v in plate.corners.mean(axis=0))
        assert plate.seen == 1 and frame.image[y - 8 : y + 8, x - 30 : x + 30].std() > 40  # dark letters on white
        assert np.abs(frame.image[:40].astype(int) - empty[:40]).max() <= 1  # the sky stays


def test_what_is_covered_is_said(pack: CountryPack) -> None:
    plan = ClipPlan(vehicles=2, crossing=True, seconds=2, fps=10, speed=0.5, occlude=0.2)
    shares = [plate.seen for frame in Clip(plan, pack).frames() for plate in frame.plates]
    assert min(shares) < 0.2 and max(shares) == 1


def test_the_same_plan_gives_the_same_pixels(pack: CountryPack) -> None:
    plan = ClipPlan(seconds=0.4, fps=10, seed=5)
    one, other = ([frame.image for frame in Clip(plan, pack).frames()] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[0], next(iter(Clip(ClipPlan(seconds=0.4, fps=10, seed=6), pack).frames())).image)


def test_speed_smears(pack: CountryPack) -> None:
    def sharpness(shutter: float) -> float:
        plan = ClipPlan(seconds=1, fps=10, speed=1, **{**CLEAN, "shutter": shutter})
        frame = list(Clip(plan, pack).frames())[5]
        x, y = (int(v) for v in frame.plates[0].corners.mean(axis=0))
        return float(cv2.Sobel(frame.image[y - 8 : y + 8, x - 30 : x + 30, 1], cv2.CV_32F, 1, 0).std())

    assert sharpness(0.5) < 0.7 * sharpness(0)


def test_wrong_plans_are_refused(pack: CountryPack) -> None:
    for wrong in ({"quality": 0}, {"fps": 0}, {"width_px": (2, 3)}, {"occlude": 1.0}):
        with pytest.raises(ValueError, match="expected"):
            ClipPlan(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fits no layout"):
        Clip(ClipPlan(), pack, texts=("??",))
