"""What adapters to other people's systems write: a line per picture that `alpr` takes; a run that was cut goes on."""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from alpr.data.manifest import Manifest
from alpr.reader.predictions import read_predictions

TOOLS = Path(__file__).resolve().parent.parent / "tools" / "peers"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("peer_tables", TOOLS / "tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A scene of two plates, a crop, a picture that is none, one of another split."""
    names = ["scene.png", "scene.png", "crop.png", "gone.png", "other.png"]
    for name in ("scene.png", "crop.png", "other.png"):
        cv2.imwrite(str(tmp_path / name), np.full((40, 80, 3), 90, np.uint8))
    box = np.full((5, 4), np.nan, np.float32)
    box[0], box[1] = (1, 1, 20, 10), (30, 1, 60, 10)
    Manifest.of(tmp_path, names, text=["A1", "B2", "C3", "D4", "E5"], box=box, split=["val"] * 4 + ["train"]).write(
        tmp_path / "labels.csv"
    )
    return tmp_path / "labels.csv"


def given(table: Path, split: str | None = "val") -> argparse.Namespace:
    return argparse.Namespace(table=table, output=table.parent / "out" / "p.jsonl", split=split)


def test_a_line_per_picture_that_alpr_reads(tables: ModuleType, table: Path) -> None:
    asked: list[bool] = []

    def read(image: np.ndarray, crop: bool) -> list[Any]:
        asked.append(crop)
        corners = [[1, 1], [20, 1], [20, 10], [1, 10.004]]
        return [tables.Plate(corners, np.float32(0.8), "AB12", 0.75)]

    tables.run(given(table), read)
    found = {one.image: one for one in read_predictions(table.parent / "out" / "p.jsonl")}
    assert list(found) == ["scene.png", "crop.png", "gone.png"] and asked == [False, True]
    [plate] = found["scene.png"].plates
    assert plate.reading.text == "AB12" and plate.detection.score == pytest.approx(0.8)
    assert plate.detection.corners[3].tolist() == [1, 10]
    assert [(one.by, one.reading.text) for one in found["crop.png"].labelled] == [("image", "AB12")]
    assert "gone.png" in found["gone.png"].error and found["scene.png"].ms["all"] >= 0


def test_a_run_that_was_cut_off_goes_on(tables: ModuleType, table: Path) -> None:
    options = given(table)
    options.output.parent.mkdir()
    options.output.write_text(json.dumps({"image": "scene.png", "plates": []}) + '\n{"image": "cro', encoding="utf-8")
    tables.run(options, lambda image, crop: [])
    lines = [json.loads(line) for line in options.output.read_text(encoding="utf-8").splitlines()]
    assert [line["image"] for line in lines] == ["scene.png", "crop.png", "gone.png"]
    assert "ms" not in lines[0] and lines[1]["labelled"][0]["text"] == ""


def test_what_a_package_raises_is_told_of_its_picture(tables: ModuleType, table: Path) -> None:
    def broken(image: np.ndarray, crop: bool) -> list[Any]:
        raise IndexError("off the edge")

    tables.run(given(table, None), broken)
    found = read_predictions(table.parent / "out" / "p.jsonl")
    assert [one.error for one in found if one.image != "gone.png"] == ["IndexError: off the edge"] * 3
    with pytest.raises(ValueError, match="no row of the split test"):
        tables.pictures_of(table, "test")
