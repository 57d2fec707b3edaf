"""Characters separated and classified, trained through the door on rendered plates, with a plain fit of classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from alpr.baselines import segments_training
from alpr.baselines.array_files import write_arrays
from alpr.baselines.ink import dark_on_light
from alpr.baselines.segments import FILE, HISTOGRAMS, KIND, Outlines, Segments, _Found, apart, in_one_row, patch_of
from alpr.data.manifest import Manifest
from alpr.evaluation.command import run
from alpr.plates.country import CountryPack
from alpr.plates.records import FloatArray, ImageArray
from alpr.synthetic.renderer import PlateRenderer
from alpr.training.configuration import composed
from alpr.training.one_pass import fit_one_pass


def plate(text: str, ink: int = 20, ground: int = 230) -> ImageArray:
    """A clean plate of 112x512 px with a frame round widely set characters."""
    image = np.full((112, 512, 3), ground, np.uint8)
    cv2.rectangle(image, (4, 4), (507, 107), (ink, ink, ink), 3)
    for i, symbol in enumerate(text):
        cv2.putText(image, symbol, (28 + 66 * i, 86), cv2.FONT_HERSHEY_SIMPLEX, 2.2, (ink, ink, ink), 7, cv2.LINE_AA)
    return image


def plain_classes(features: FloatArray, labels: Sequence[int], c: float, seed: int) -> tuple[FloatArray, FloatArray]:
    x = np.concatenate([features, np.ones((len(features), 1))], axis=1).astype(np.float64)
    y = np.where(np.arange(max(labels) + 1) == np.array(labels)[:, None], 1.0, -1.0)
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y).T
    return weights[:, :-1].astype(np.float32), weights[:, -1].astype(np.float32)


@pytest.mark.parametrize(("ink", "ground"), [(20, 230), (235, 40)])
def test_every_character_of_a_framed_plate_has_a_box(ink: int, ground: int) -> None:
    boxes = Outlines().boxes(dark_on_light(plate("AB7K29", ink, ground)))
    for i in range(6):
        middle = 28 + 66 * i + 22
        near = [box for box in boxes if box[0] < middle < box[2] and box[2] - box[0] < 66]
        assert near, f"character {i} is in none of {boxes}"


def test_a_patch_keeps_the_shape_of_a_character() -> None:
    grey = np.full((50, 50), 200, np.uint8)
    grey[5:45, 20:30] = 50
    patch = patch_of(grey, np.array([20.0, 5.0, 30.0, 45.0]))
    assert patch.shape == (28, 28)
    grey[5:45, 20:21] = 200  # else there is no contrast to stretch
    rows, columns = np.nonzero(patch_of(grey, np.array([20.0, 5.0, 30.0, 45.0])) < 100)
    assert np.ptp(rows) + 1 == 22 and np.ptp(columns) + 1 <= 6


def test_the_surest_of_overlapping_characters_stays_and_strangers_leave_the_row() -> None:
    def at(x: float, y: float = 30, share: float = 0.9, high: float = 50) -> _Found:
        return _Found(np.array([x, y, x + 30, y + high]), 1, share)

    kept = apart([at(0, share=0.5), at(10, share=0.8), at(60)])
    assert [(float(one.box[0]), one.share) for one in kept] == [(60, 0.9), (10, 0.8)]
    tilted = [at(60 * i, 20 + 4 * i) for i in range(5)]
    strange = [at(320, 70), at(400, 20, high=90)]
    assert len(in_one_row([*tilted, *strange])) == 5


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segments")
    patch = pytest.MonkeyPatch()
    patch.setattr(segments_training, "one_against_all", plain_classes)
    few = ["data.plates=60", "data.held=10", f"output_dir={folder}"]
    fit_one_pass(composed("train", ["experiment=segment_characters", "country=br", *few]))
    patch.undo()
    return folder


def test_it_is_trained_and_recorded(trained: Path) -> None:
    record = json.loads((trained / "run.json").read_text(encoding="utf-8"))
    assert (record["status"], record["kind"]) == ("finished", KIND)
    assert record["result"]["val/accuracy"] > 0.5  # 36 classes, 60 plates
    assert list(record["manifests"]) == ["rendered plates of BR"]


def test_it_reads_through_the_door_of_evaluation(trained: Path, tmp_path: Path) -> None:
    renderer = PlateRenderer(
        CountryPack.find("br").reading(None), without=("paint", "tilt", "resolution", "sensor", "cut")
    )
    random = np.random.default_rng(3)
    texts = []
    for i in range(6):
        crop, text = renderer.crop(random, (112, 512), 0.0)
        cv2.imwrite(str(tmp_path / f"{i}.png"), crop)
        texts.append(text)
    Manifest.of(tmp_path, [f"{i}.png" for i in range(6)], text=texts).write(tmp_path / "labels.csv")
    words = [f"baseline.run={trained}", f"data.manifest={tmp_path / 'labels.csv'}", f"output={tmp_path / 'out'}"]
    assert run(composed("evaluate", ["baseline=segments", *words]))
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["on_crops"]["cer"] < 0.4 and report["ms"]["read"] >= 0
    assert report["made_with"]["model_bytes"] == (trained / FILE).stat().st_size


def test_boxes_of_characters_are_in_the_reading(trained: Path) -> None:
    reader = Segments.read(trained / FILE)
    reading = reader.read_crop(plate("ABC1234"))
    assert len(reading.boxes) == len(reading.text) == len(reading.characters) > 3
    assert [box[0] for box in reading.boxes] == sorted(box[0] for box in reading.boxes)
    assert all(0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1 for x1, y1, x2, y2 in reading.boxes)
    assert reader.read_crop(np.full((112, 512, 3), 128, np.uint8)).text == ""


def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    settings = {"alphabet": "AB", "sharpness": 1.0, "most": 7, "outlines": {}}
    right = {"weights": np.zeros((3, HISTOGRAMS.getDescriptorSize())), "biases": np.zeros(3)}
    write_arrays(tmp_path / FILE, KIND, right, settings)
    assert Segments.read(tmp_path / FILE).most == 7
    write_arrays(tmp_path / FILE, KIND, right, settings | {"alphabet": "ABC"})
    with pytest.raises(ValueError, match=r"its weights are \(3, 324\); expected \(4, 324\)"):
        Segments.read(tmp_path / FILE)
