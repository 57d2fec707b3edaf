"""The reader as the second filter: a plate below the threshold counts when its text is credible."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_bundle import scene, write_bundle
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.detection.detect import Detector
from alpr.detection.settings import DetectorSettings
from alpr.evaluation.evaluate import evaluate
from alpr.plates.records import Detection, Plate, PlateReading, Reading, Scene
from alpr.reader.reader import Reader

CORNERS = np.array([[10, 10], [50, 10], [50, 20], [10, 20]], np.float32)
TRUE = np.array([[200, 120], [320, 120], [320, 150], [200, 150]], np.float32)


def plate(score: float, text: str = "A1", text_score: float = 0.9, state: str = "read") -> PlateReading:
    reading = Reading(text, text_score, (text_score,) * len(text), state=state)
    return PlateReading(Detection(CORNERS, np.array([10, 10, 50, 20], np.float32), score), reading)


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        (plate(0.7, "", 0.0), True),  # certain, whatever is read
        (plate(0.5), True),
        (plate(0.39), False),
        (plate(0.5, text_score=0.29), False),
        (plate(0.5, text_score=0.3), True),
        (plate(0.5, "", 0.9), False),
        (plate(0.5, state="unknown script"), False),
        (plate(0.5, state="unreadable"), False),
    ],
)
def test_what_counts(found: PlateReading, counts: bool) -> None:
    settings = DetectorSettings(score_threshold=0.6, credible_from=0.4, credible_text=0.3)
    detector = Detector(lambda batch: (batch, batch, batch), settings)
    assert detector.kept([found]) == ([found] if counts else [])
    assert detector.to_be_read().settings.score_threshold == 0.4
    assert detector.down_to(0.45, 50).kept([plate(0.5, "", 0.0)])  # a threshold of one's own: no text is asked for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles whose detector scores 0.9 below their threshold, and a photograph that reads with almost 1."""
    root = tmp_path_factory.mktemp("credible")
    for name, change in {"none": {}, "all": {"credible_from": 0.8}, "high": {"credible_from": 0.95}}.items():
        write_bundle(root / name, DetectorSettings(input_px=320, score_threshold=0.97, **change))
    text = DetectorSettings(input_px=320, score_threshold=0.97, credible_from=0.8, credible_text=1.0)
    write_bundle(root / "text", text)
    cv2.imwrite(str(root / "car.png"), scene())
    return root


@pytest.mark.parametrize(("bundle", "plates"), [("none", 0), ("all", 1), ("high", 0), ("text", 0)])
def test_a_reader_and_an_evaluation_keep_the_same(folder: Path, bundle: str, plates: int) -> None:
    reader = Reader(folder / bundle, threads=1)
    assert len(reader(str(folder / "car.png"))) == len(reader.read_timed(str(folder / "car.png")).plates) == plates
    labelled = Scene(folder / "car.png", (Plate("皖A12", TRUE),))
    report = evaluate(reader, [labelled])
    assert report.plates[0].on_predicted_corners is not None
    assert report.plates[0].on_predicted_corners.text == ("皖A12" if plates else "")


def test_a_threshold_of_ones_own_overrides(folder: Path) -> None:
    def found(bundle: str, *more: str) -> int:
        words = ["predict", str(folder / "car.png"), "--bundle", str(folder / bundle), "--threads", "1", *more]
        return len(json.loads(CliRunner().invoke(app, words).stdout)["plates"])

    assert found("all") == 1 and found("all", "--threshold", "0.95") == 0
    assert found("text") == 0 and found("text", "--threshold", "0.85") == 1


def test_it_is_shown(folder: Path) -> None:
    shown = CliRunner().invoke(app, ["info", str(folder / "all")]).stdout
    assert "0.97, or 0.8 where its text scores 0 or more" in shown
