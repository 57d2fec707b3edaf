"""`alpr data`: from labels to a checked table in splits, as a shell calls it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from alpr.cli.main import app
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, words)])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    names = [f"{i}.jpg" for i in range(20)]
    for i, name in enumerate(names):
        picture = np.random.default_rng(i).integers(0, 256, (60, 120, 3), np.uint8)
        cv2.imwrite(str(tmp_path / name), picture)
    quad = np.array([[20, 20], [80, 20], [80, 36], [20, 36]], float)
    texts = [f"\u4eacA{i:05d}" for i in range(20)]
    Manifest.of(tmp_path, names, corners=[quad] * 20, text=texts, country=["CN"] * 20).write(tmp_path / "labels.csv")
    return tmp_path / "labels.csv"


def test_a_table_goes_the_whole_way(table: Path, tmp_path: Path) -> None:
    mine, parts = tmp_path / "mine.csv", tmp_path / "split.csv"
    converted = run("convert", table, "--from", "manifest", "--output", mine)
    assert converted.exit_code == 0 and "20 plates in 20 images" in converted.stdout, converted.output
    checked = run("check", mine, "--output", tmp_path / "check.html", "--workers", 0)
    assert checked.exit_code in (0, 1) and (tmp_path / "check.html").is_file(), checked.output
    split = run("split", mine, "--by", "plate", "--output", parts)
    assert split.exit_code == 0 and set(read_manifest(parts).split) == {"train", "val", "test"}, split.output
    shown = run("report", parts, "--output", tmp_path / "r.html", "--images", 2, "--workers", 0)
    assert shown.exit_code == 0 and (tmp_path / "r.html").is_file(), shown.output
    shared = run("overlap", parts, "--output", tmp_path / "o.html", "--json", tmp_path / "o.json")
    assert shared.exit_code == 0 and (tmp_path / "o.json").is_file(), shared.output
    packed = run("shards", parts, "--output", tmp_path / "shards")
    assert packed.exit_code == 0 and "20 images in 1 shards" in packed.stdout, packed.output
    assert run("shards", "--check", "--output", tmp_path / "shards").exit_code == 0


def test_what_does_not_go_together(table: Path, tmp_path: Path) -> None:
    for words in (
        ("split", table),
        ("split", table, "--in-place", "--output", tmp_path / "b.csv"),
        ("shards", table, "--check", "--output", tmp_path / "s"),
        ("sheet", table),
        ("ccpd", "--dataset-path", tmp_path, "--names", table, "--output", tmp_path),
        ("check", table, "--fix", table, "--no-images"),
    ):
        done = run(*words)
        assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1, done.output


def test_a_pack_names_the_country_of_a_conversion(table: Path, tmp_path: Path, repository: Path) -> None:
    plain = Manifest.of(tmp_path, ["0.jpg"], text=["AB12"])
    plain.write(tmp_path / "plain.csv")
    pack = repository / "configs" / "country" / "br.yaml"
    done = run(
        "convert", tmp_path / "plain.csv", "--from", "manifest", "--country", pack, "--output", tmp_path / "b.csv"
    )
    assert done.exit_code == 0, done.output
