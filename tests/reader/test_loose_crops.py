"""Ready-made crops that are loose: the plate is looked for inside them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_bundle import scene, write_bundle
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.detection.settings import DetectorSettings
from alpr.evaluation.evaluate import evaluate
from alpr.plates.records import Plate, Scene
from alpr.reader.reader import Reader

LOOSE = scene("A123", at=(33, 21), size=(60, 200))  # the plate is 120 x 30 px of it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("loose")
    write_bundle(root / "always", DetectorSettings(input_px=320, crops_below=1.0))
    write_bundle(root / "never", DetectorSettings(input_px=320))
    cv2.imwrite(str(root / "loose.png"), LOOSE)
    return root


def test_the_plate_is_looked_for_where_the_plain_reading_is_in_doubt(folder: Path) -> None:
    reader = Reader(folder / "always", threads=1)
    plain = reader.recogniser.read([LOOSE])[0]
    assert plain.text != "A123"
    (found,) = reader.read_crops([LOOSE])
    assert found.text == "A123" and found.score > plain.score
    assert reader.read_crops([LOOSE], as_is=True) == [plain]
    assert Reader(folder / "never", threads=1).read_crops([LOOSE]) == [plain]


def test_a_crop_without_a_plate_keeps_its_reading(folder: Path) -> None:
    reader = Reader(folder / "always", threads=1)
    grey = np.full((30, 90, 3), 140, np.uint8)
    assert reader.read_crops([grey, LOOSE])[0] == reader.recogniser.read([grey])[0]


def test_the_verb_reads_so_and_as_it_is_where_asked(folder: Path) -> None:
    def text(bundle: str, *more: str) -> str:
        words = ["read", str(folder / "loose.png"), "--bundle", str(folder / bundle), "--threads", "1", *more]
        return str(json.loads(CliRunner().invoke(app, words).stdout)["text"])

    assert text("always") == "A123" and text("always", "--as-is") == text("never") != "A123"


def test_an_evaluation_reads_crops_as_the_verb_does(folder: Path) -> None:
    crop = Scene(folder / "loose.png", (Plate("A123"),))
    for bundle, right in (("always", True), ("never", False)):
        (record,) = evaluate(Reader(folder / bundle, threads=1), [crop]).plates
        assert record.on_crop is not None and (record.on_crop.text == "A123") == right
