"""tools/choose_looks.py: candidates are scored beside each other, from memory as from the network."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_bundle import scene, write_bundle

from alpr.detection.settings import DetectorSettings

CORNERS = ("tl_x", "tl_y", "tr_x", "tr_y", "br_x", "br_y", "bl_x", "bl_y")
COLUMNS = ("image", "text", "x1", "y1", "x2", "y2", "split", "note", "country", *CORNERS)


def table(folder: Path, rows: list[tuple[object, ...]]) -> Path:
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *((*row, *[""] * 10) for row in rows)])
    return folder / "labels.csv"


def test_every_candidate_is_scored(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    from choose_looks import main

    write_bundle(tmp_path / "tiny", DetectorSettings(input_px=320))
    for name in ("scenes", "blank"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "scenes" / "a.png"), scene())
    cv2.imwrite(str(tmp_path / "blank" / "b.png"), scene("A1"))  # a plate that nobody labelled
    scenes = table(tmp_path / "scenes", [("a.png", "皖A12", 200, 120, 320, 150, "train")])
    blank = table(tmp_path / "blank", [("b.png", "", "", "", "", "", "train")])
    looks = tmp_path / "looks.yaml"
    looks.write_text("{now: {}, again: {fine_px: 640, sure_score: 0.95}, deaf: {score_threshold: 0.95}}")
    main(looks, str(tmp_path / "tiny"), [scenes], None, [blank], "train", 400, tmp_path / "figures.json")
    found = json.loads((tmp_path / "figures.json").read_text())
    assert {name: one["tables"][str(scenes)]["found"] for name, one in found.items()} == {
        "now": 1.0,
        "again": 1.0,
        "deaf": 0.0,
    }
    assert [one["tables"][str(scenes)]["read"] for one in found.values()] == [1.0, 1.0, 0.0]
    assert [one["tables"][str(blank)]["false_per_picture"] for one in found.values()] == [1.0, 1.0, 0.0]
    assert [one["tables"][str(scenes)]["looks"] for one in found.values()] == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert found["again"]["settings"]["fine_px"] == 640 and "again" in capsys.readouterr().out


def test_an_answer_from_memory_owes_its_time(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    from choose_looks import Remembered

    calls = []

    def network(batch: np.ndarray) -> tuple[np.ndarray, ...]:
        calls.append(batch.shape)
        return np.array([[0.5, 0.01]]), np.ones((1, 2, 4)), np.ones((1, 2, 4, 2))

    remembered = Remembered(network, finds=True)
    first, again = (remembered(np.zeros((1, 8, 8, 3), np.uint8)) for _ in range(2))
    assert first[0].shape == again[0].shape == (1, 1) and again[2].shape == (1, 1, 4, 2)  # faint ones are forgotten
    remembered(np.zeros((1, 8, 6, 4), np.uint8))
    assert calls == [(1, 8, 8, 3), (1, 8, 6, 4)]
    remembered.owed = 0.0
    remembered.answers = {key: (outputs, spent + 5) for key, (outputs, spent) in remembered.answers.items()}
    remembered(np.zeros((1, 8, 8, 3), np.uint8))
    assert remembered.owed > 4
