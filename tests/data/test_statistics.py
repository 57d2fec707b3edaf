"""Statistics of a table and the page that shows them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from balanced_html import Balanced
from tiny_runs import ENVIRONMENT, REPOSITORY

from alpr.data.manifest import Manifest
from alpr.data.statistics import (
    Bins,
    Geometry,
    Look,
    Spread,
    crop_size,
    extreme_rows,
    jobs_for,
    look_at,
    random_rows,
    statistics,
)
from alpr.data.statistics_page import as_json, dataset_page

UPRIGHT = [[10, 10], [110, 10], [110, 35], [10, 35]]


def turned(degrees: float, length: float = 80, height: float = 20) -> list[list[float]]:
    """A plate whose top edge points down to the right by so many degrees."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    across, down = np.array([c, s]) * length, np.array([-s, c]) * height
    start = np.array([50.0, 50.0])
    return [list(p) for p in (start, start + across, start + across + down, start + down)]


def seven(folder: Path) -> Manifest:
    """One row of every completeness of label."""
    none = [[math.nan] * 2] * 4
    no_box, box = [math.nan] * 4, [0, 0, 40, 10]
    return Manifest.of(
        folder,
        ["a.png", "b.png", "b.png", "c.png", "d.png", "e.png", "f.png"],
        text=["AB1", "AB1", "", "", "CD22", "", ""],
        country=["DE", "DE", "", "", "FR", "", ""],
        corners=[UPRIGHT, none, turned(30), none, none, none, none],
        box=[no_box, box, no_box, box, no_box, box, no_box],
        split=["train"] * 5 + ["val"] * 2,
        extra={"kind": ["", "", "", "", "", "ignore", ""]},
    )


def test_every_row_is_counted_once_by_how_it_is_labelled(tmp_path: Path) -> None:
    manifest = seven(tmp_path)
    train, val = statistics(manifest, Geometry.of(manifest))
    assert (train.name, train.rows, train.images, train.texts, train.repeated) == ("train", 5, 4, 2, 1)
    assert vars(train.labels) == {
        "whole": 1, "box_and_text": 1, "corners_only": 1, "box_only": 1, "text_only": 1, "ignored": 0, "no_plate": 0,
    }  # fmt: skip
    assert (val.labels.ignored, val.labels.no_plate, val.rows, val.texts) == (1, 1, 2, 0)
    assert train.characters == {"2": 2, "A": 2, "B": 2, "1": 2, "C": 1, "D": 1}
    assert train.lengths == {3: 2, 4: 1} and train.countries == {"DE": 2, "FR": 1}
    assert train.regions == {"DE A": 2, "FR C": 1}
    assert statistics(manifest, Geometry.of(manifest), region_characters=2)[0].regions == {"DE AB": 2, "FR CD": 1}
    assert val.spreads["width"].n == 0  # a region to ignore is no plate


def test_sizes_and_tilt_are_those_of_the_corners_else_of_the_box(tmp_path: Path) -> None:
    geometry = Geometry.of(seven(tmp_path))
    assert geometry.width[:4] == pytest.approx([100, 40, 80, 40])
    assert geometry.height[:4] == pytest.approx([25, 10, 20, 10])
    assert geometry.tilt[[0, 2]] == pytest.approx([0, 30]) and np.isnan(geometry.tilt[[1, 3, 4, 5, 6]]).all()
    assert extreme_rows(-np.abs(geometry.tilt), np.ones(7, bool), 5) == [2, 0]
    assert extreme_rows(geometry.height, np.array([1, 0, 1, 1, 1, 1, 1], bool), 2) == [3, 5]


def test_spreads_and_bins_leave_out_what_is_unknown_and_nothing_else() -> None:
    values = np.array([1.0, 2.0, math.nan, 3.0, 100.0])
    assert Spread.of(values)[:3] == (4, 26.5, 1.0) and Spread.of(values).median == 2.5
    assert Bins.of(values, np.array([0.0, 2.0, 4.0])).counts == [1, 3]
    assert Bins.of(values, np.array([0.0, 2.0, 4.0])).percentages == [25, 75]
    assert Spread.of(np.array([math.nan])).n == 0


def painted(folder: Path) -> None:
    """A plate of grey 60 in an image of grey 200, and a striped crop."""
    scene = np.full((100, 200, 3), 200, np.uint8)
    cv2.fillPoly(scene, [np.array(UPRIGHT)], (60, 60, 60))
    cv2.imwrite(str(folder / "a.png"), scene)
    cv2.imwrite(str(folder / "b.png"), scene)
    stripes = np.zeros((30, 90, 3), np.uint8)
    stripes[:, ::6] = 255
    cv2.imwrite(str(folder / "d.png"), stripes)


def test_a_plate_is_looked_at_in_its_own_place(tmp_path: Path) -> None:
    painted(tmp_path)
    manifest = seven(tmp_path)
    looks: list[Look] = []
    for job in jobs_for(manifest, [0, 4]):
        found = look_at(job)
        assert not isinstance(found, str)
        looks += found
    plain, striped = looks
    assert plain.row == 0 and plain.crop.shape == (48, 192, 3)
    assert plain.brightness == pytest.approx(60, abs=3) and plain.share == pytest.approx(100 * 25 / 20_000)
    assert striped.crop.shape == (48, 144, 3) and math.isnan(striped.share) and striped.sharpness > 10 * plain.sharpness
    assert "cannot be read" in str(look_at(jobs_for(manifest, [3])[0]))
    assert len(jobs_for(manifest, [1, 2])) == 1  # an image is opened once
    assert crop_size(10, 1000) == (48, 384) and crop_size(1000, 10) == (48, 6)


def test_the_sample_is_of_every_split_and_always_the_same() -> None:
    n = 1000
    manifest = Manifest.of(
        Path(), [f"{i}.jpg" for i in range(n)], text="X", split=["train" if i % 10 else "val" for i in range(n)]
    )
    rows = random_rows(manifest, 50, seed=1)
    assert rows == random_rows(manifest, 50, seed=1) != random_rows(manifest, 50, seed=2)
    assert len(set(rows)) == 100 and sum(manifest.split[r] == "val" for r in rows) == 50
    assert random_rows(manifest, 0) == []


def fabricated(rows: int) -> Manifest:
    rng = np.random.default_rng(0)
    corners = np.array([turned(d) for d in rng.normal(0, 8, 997)])[np.arange(rows) % 997]
    letters = rng.integers(0, 26, (rows, 7))
    return Manifest.of(
        Path("/nowhere"),
        [f"{i}.jpg" for i in range(rows)],
        text=["".join(chr(65 + c) for c in row) for row in letters.tolist()],
        country="DE",
        corners=corners,
        split=["train" if i % 5 else "val" for i in range(rows)],
    )


def test_a_hundred_thousand_rows_make_a_small_page(tmp_path: Path) -> None:
    manifest = fabricated(100_000)
    geometry = Geometry.of(manifest)
    splits = statistics(manifest, geometry)
    dataset_page("Large", manifest, geometry, splits, {}).write(tmp_path / "large.html")
    assert (tmp_path / "large.html").stat().st_size < 1_000_000
    assert sum(sum(s.characters.values()) for s in splits) == 700_000


def test_the_command_writes_one_page_and_its_figures(tmp_path: Path) -> None:
    painted(tmp_path)
    manifest = seven(tmp_path)
    manifest.text[0] = "<b>&"
    manifest.write(tmp_path / "t.csv")
    page, figures = tmp_path / "r.html", tmp_path / "r.json"
    command = [sys.executable, "-m", "alpr", "data", "report", tmp_path / "t.csv", "--output", page, "--json", figures]
    done = subprocess.run([*command, "--workers", "0"], cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0 and "Images that cannot be read: 1. The first:" in done.stdout, (
        done.stdout + done.stderr
    )
    written = page.read_text(encoding="utf-8")
    parser = Balanced()
    parser.feed(written)
    assert not parser.open and "<b>" not in written and "&lt;b&gt;&amp;" in written
    assert written.count("data:image/jpeg") >= 4 and "The most tilted" in written
    read = json.loads(figures.read_text())
    assert [s["name"] for s in read] == ["train", "val"] and read[0]["labels"]["box_only"] == 1
    assert read[0]["spreads"]["brightness"]["n"] == 4 and read[1]["spreads"]["width"]["mean"] is None
    assert read[0]["characters"]["<"] == 1


def test_a_leak_and_an_unseen_character_are_said() -> None:
    manifest = Manifest.of(
        Path(), ["a.jpg", "b.jpg", "c.jpg"], text=["AB", "AB", "Z"], split=["train", "val", "val"],
        box=[[0, 0, 50, 11], [0, 0, 50, 12], [0, 0, 50, 20]],
    )  # fmt: skip
    geometry = Geometry.of(manifest)
    shown = dataset_page("t", manifest, geometry, statistics(manifest, geometry), {}).render()
    assert "Texts that stand in several splits: 1, e.g. AB." in shown and "train does not: Z." in shown
    assert "Plates lower than 12 px: 1," in shown
    assert as_json(statistics(manifest, geometry))[0]["spreads"]["tilt"]["mean"] is None
