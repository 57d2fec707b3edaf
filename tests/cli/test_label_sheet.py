"""Pages for checking labels by hand: the cross stands on the labelled corner, and noted corners are scored."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from alpr.data.manifest import Manifest
from alpr.doctor import label_sheets


def run(repository: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alpr", "data", "sheet", *map(str, arguments)]
    environment = {"PYTHONPATH": str(repository), "PATH": ""}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    names = [f"{i}.png" for i in range(6)]
    for name in names:
        cv2.imwrite(str(tmp_path / name), np.full((100, 200, 3), 90, np.uint8))
    quad = np.array([[3, 4], [120, 4], [120, 44], [3, 44]], float)
    Manifest.of(tmp_path, [*names, "0.png"], corners=[*[quad] * 6, np.full((4, 2), np.nan)]).write(tmp_path / "a.csv")
    return tmp_path / "a.csv"


def test_pages_and_table_then_the_score(repository: Path, manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(repository, manifest, "--plates", 6, "--output", out)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in out.iterdir()) == ["corners.csv", "page-1.png", "page-2.png"]
    assert cv2.imread(str(out / "page-1.png")).shape[0] == 5 * cv2.imread(str(out / "page-2.png")).shape[0]
    rows = list(csv.DictReader((out / "corners.csv").open(encoding="utf-8", newline="")))
    assert len(rows) == 24 and (rows[2]["corner"], rows[2]["labelled_x"], rows[2]["labelled_y"]) == ("br", "120", "44")
    again = run(repository, manifest, "--output", out)
    assert again.returncode == 2 and "may hold noted corners" in again.stderr
    empty = run(repository, manifest, "--score", out / "corners.csv")
    assert empty.returncode == 2 and "holds no noted corner" in empty.stderr
    for row, (dx, dy) in zip(rows, ((3, 4), (0, 4), (0, 0)), strict=False):
        row["x"], row["y"] = str(float(row["labelled_x"]) + dx), str(float(row["labelled_y"]) + dy)
    with (out / "corners.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    scored = run(repository, manifest, "--score", out / "corners.csv")
    assert "3 corners" in scored.stdout and "median 0.100, 95th percentile 0.122" in scored.stdout


def test_the_cross_stands_on_the_corner() -> None:
    image = np.full((100, 200, 3), 60, np.uint8)
    image[50:, 80:] = 200  # its corner is at (80, 50): the light block begins where the cross stands
    page = label_sheets.patch(image, np.array([80.0, 50.0]))
    pink = page[..., 2].astype(int) - page[..., 1] > 60
    x, y = np.argmax(pink.sum(axis=0)), np.argmax(pink.sum(axis=1))
    light = page[300, :, 0].astype(int) > 120
    assert abs(int(np.flatnonzero(light & (np.arange(light.size) > 40))[0]) - x) <= 1
    assert abs(int(np.flatnonzero((page[:, 320, 0] > 120) & (np.arange(len(page)) > 28))[0]) - y) <= 1
    blind = label_sheets.patch(image, np.array([80.0, 50.0]), (3, -4))
    assert not (blind[..., 2].astype(int) - blind[..., 1] > 60).any()
    moved = int(np.flatnonzero((blind[300, :, 0] > 120) & (np.arange(light.size) > 40))[0])
    assert abs(moved - (x - 3 * label_sheets.ZOOM)) <= 1
