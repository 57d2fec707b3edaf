"""A method plugs in by its YAML, alone or with the other half of a bundle; what is drawn here is found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from patch_world import value
from tiny_bundle import scene, write_bundle

from alpr.baselines.contours import in_reading_order
from alpr.baselines.methods import FoundBy, ReadBy, method
from alpr.data.manifest import Manifest
from alpr.evaluation.command import run
from alpr.evaluation.evaluate import evaluate
from alpr.plates.geometry import box_corners
from alpr.plates.records import Detection, ImageArray, Plate, Reading, Scene
from alpr.training.configuration import complaint_about, composed

BOX = (200.0, 120.0, 320.0, 150.0)


class Everywhere:
    """Two candidates: the plate of `tiny_bundle.scene`, and a doubtful one beside it."""

    def locate(self, image: ImageArray) -> list[Detection]:
        boxes = (np.array(BOX, np.float32), np.array([10, 10, 60, 30], np.float32))
        return [Detection(box_corners(box), box, score) for box, score in zip(boxes, (0.8, 0.3), strict=True)]


class Spelt:
    """Reads the width of a crop."""

    def read_crop(self, crop: ImageArray) -> Reading:
        text = f"{crop.shape[0]}x{crop.shape[1]}"
        return Reading(text, 1.0, (1.0,) * len(text))


def striped(path: Path, box: Sequence[int]) -> Path:
    """A grey photograph with a white plate of black strokes in it."""
    image = np.full((480, 640, 3), 120, np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = 250
    for x in range(x1 + 8, x2 - 8, 14):
        image[y1 + 6 : y2 - 6, x : x + 5] = 0
    assert cv2.imwrite(str(path), image)
    return path


def evaluated(folder: Path, *words: str) -> dict[str, Any]:
    config = composed("evaluate", [f"data.manifest={folder / 'labels.csv'}", f"output={folder / 'out'}", *words])
    assert run(config)
    report: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    return report


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    boxes = [[200, 120, 360, 165], [60, 300, 240, 350]]
    names = [striped(tmp_path / f"{i}.png", box).name for i, box in enumerate(boxes)]
    Manifest.of(tmp_path, names, box=np.array(boxes, np.float32), text="AB12").write(tmp_path / "labels.csv")
    return tmp_path


@pytest.mark.parametrize("name", ["contours", "sobel"])
def test_a_drawn_plate_is_found_alone(name: str, photographs: Path) -> None:
    report = evaluated(photographs, f"baseline={name}")
    found = {figure["name"]: figure["value"] for figure in report["figures"]}
    assert found["found_70"] == 1 and not any("read" in key or "end" in key for key in found)
    assert report["on_true_corners"] is None and report["model"]["name"]


def test_the_other_half_comes_from_the_bundle(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    cv2.imwrite(str(tmp_path / "a.png"), scene("皖A12"))
    Manifest.of(tmp_path, ["a.png"], box=np.array([BOX], np.float32), text="皖A12").write(tmp_path / "labels.csv")
    report = evaluated(tmp_path, "baseline=contours", f"bundle={bundle}")
    assert {f["name"]: f["value"] for f in report["figures"]}["end_to_end_70"] == 1
    assert report["model"]["bundle"] == "bundle" and len(report["model"]["bundle's recogniser"]) == 64
    alone = evaluated(tmp_path, "baseline=contours", f"bundle={bundle}", "only=detector")
    assert alone["on_box"] is None


def test_settings_of_a_method_are_keys(photographs: Path) -> None:
    assert complaint_about(["baseline=sobel", "baseline.most=3", "data.manifest=a.csv"], "evaluate") is None
    wrong = complaint_about(["baseline=sobel", "baseline.mots=3", "data.manifest=a.csv"], "evaluate")
    assert wrong is not None and "'mots'" in wrong and "most" in wrong
    unknown = complaint_about(["baseline=seance", "data.manifest=a.csv"], "evaluate")
    assert unknown is not None and "contours" in unknown
    few = evaluated(photographs, "baseline=sobel", "baseline.threshold=1.0")
    assert few["detection"]["detections"] == 0 and few["detection"]["ap_hull_50"] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["baseline=sobel", "detector=run"], "baseline and detector are both given"),
        (["baseline=sobel", "only=recogniser"], "has no recogniser; bundle=BUNDLE gives one"),
        (["baseline=sobel", "predictions=a.jsonl"], "predictions and baseline are both given"),
        (["baseline=sobel", "baseline.threshold=2"], "threshold is 2; expected 0 to 1"),
    ],
)
def test_what_does_not_go_together_is_said(words: list[str], sentence: str, photographs: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        evaluated(photographs, *words)


def test_doubtful_candidates_count_for_average_precision_alone(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), scene())
    labels = [Scene(tmp_path / "a.png", (Plate("皖A12", None, np.array([10, 10, 60, 30], np.float32)),))]
    report = evaluate(method("everywhere", Everywhere(), threshold=0.5), labels)
    assert value(report, "found_50") == 0 and report.detection is not None
    assert report.detection.detections == 1 and report.detection.ap_hull_50 == pytest.approx(0.5)


def test_crops_have_the_size_that_the_reader_asks_for() -> None:
    reads = ReadBy(Spelt(), (32, 100))
    assert [r.text for r in reads.read([np.zeros((9, 9, 3), np.uint8)])] == ["32x100"]
    image = np.zeros((200, 400, 3), np.uint8)
    flat = np.zeros((4, 2), np.float32)
    assert [r.text for r in reads.read_plates(image, [box_corners(np.array(BOX, np.float32)), flat])] == ["32x100", ""]
    assert [d.score for d in FoundBy(Everywhere()).sure(Everywhere().locate(image))] == [0.8]


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("degrees", [-30, 0, 30])
def test_four_points_are_put_in_reading_order(first: int, turned: bool, degrees: int) -> None:
    along = np.deg2rad(degrees)
    turn = np.array([[np.cos(along), -np.sin(along)], [np.sin(along), np.cos(along)]])
    true = (np.array([[-50, -12], [50, -12], [50, 12], [-50, 12]]) @ turn.T + 200).astype(np.float32)
    given = np.roll(true, first, axis=0)
    assert np.allclose(in_reading_order(given[::-1] if turned else given), true)
