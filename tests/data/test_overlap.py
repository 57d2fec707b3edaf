"""What parts of a data set share, by hand-made lists and by the official ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import ENVIRONMENT

from alpr.data.ccpd import CcpdLabel, encode_name
from alpr.data.columns import ManifestError
from alpr.data.manifest import Manifest
from alpr.data.overlap import (
    Part,
    as_markdown,
    as_text,
    matrix_rows,
    overlap_of,
    part_of_names,
    parts_of_files,
    parts_of_manifest,
)

CORNERS = ((10, 10), (60, 12), (60, 30), (10, 28))


def name(plate: str, image: int) -> str:
    """The CCPD name of one of a plate's images."""
    return encode_name(CcpdLabel(plate, (10, 10, 60, 30), CORNERS, "1", "9", "9", "100", str(image)))


A1, A2, B1, C1 = name("皖A00001", 1), name("皖A00001", 2), name("皖B00001", 1), name("皖C00001", 1)


def write_lists(folder: Path) -> list[Path]:
    """Three lists: A1 is in all, B1 in two; A2 shows the plate of A1; a name stands twice, one is no label."""
    lists = {"train": [A1, A2, A2], "ccpd_db": [A1, B1], "ccpd_fn": [B1, A1, C1, "0.jpg"]}
    for part, names in lists.items():
        (folder / f"{part}.txt").write_text("".join(f"ccpd_x/{n}\n" for n in names), encoding="utf-8")
    return [folder / f"{part}.txt" for part in lists]


def test_hand_made_lists(tmp_path: Path) -> None:
    overlap = overlap_of(parts_of_files(write_lists(tmp_path)))
    assert [(p.name, p.entries, p.unlabelled) for p in overlap.parts] == [
        ("train", 3, 0),
        ("ccpd_db", 2, 0),
        ("ccpd_fn", 4, 1),
    ]
    assert overlap.images.tolist() == [[2, 1, 1], [1, 2, 2], [1, 2, 4]]
    assert overlap.plates.tolist() == [[1, 1, 1], [1, 2, 2], [1, 2, 3]]
    assert (overlap.entries, overlap.distinct_images, overlap.distinct_plates) == (9, 5, 3)
    assert overlap.images_in == (3, 1, 1) and overlap.in_several == 2
    assert overlap.sentence() == (
        "9 entries in 3 parts: 5 distinct images, 2 of them in two parts or more (1 in 3); 3 distinct plates."
    )
    assert matrix_rows(overlap, "images")[1] == ["ccpd_db", "1 (50.0%)", "2", "2 (100.0%)"]
    assert as_markdown(overlap).count("| ccpd_fn | 1 (25.0%) | 2 (50.0%) | 4 |") == 1
    text = as_text(overlap).splitlines()
    assert len({len(line) for line in text[2:6]}) == 1 and text[0] == overlap.sentence()


def test_parts_that_share_nothing_or_are_none() -> None:
    apart = overlap_of([part_of_names("a", [A1]), part_of_names("b", ["ccpd_b/" + B1])])
    assert apart.images.tolist() == apart.plates.tolist() == [[1, 0], [0, 1]] and apart.in_several == 0
    assert "(" not in apart.sentence() and matrix_rows(apart, "plates")[0] == ["a", "1", "0"]
    empty = overlap_of([Part("np", 2, frozenset({"0.jpg", "1.jpg"}), frozenset(), 2)])
    assert matrix_rows(empty, "plates") == [["np", "0"]]
    for wrong in ([], [part_of_names("a", [A1])] * 2):
        with pytest.raises(ManifestError, match="each of another name"):
            overlap_of(wrong)


def test_a_table_by_split_and_subset(tmp_path: Path) -> None:
    images = [f"ccpd_base/{A1}", f"ccpd_base/{A1}", f"ccpd_base/{B1}", f"ccpd_db/{A1}", "street.jpg", "ccpd_np/0.jpg"]
    manifest = Manifest.of(
        tmp_path,
        images,
        text=["皖A00001", "second", "皖B00001", "皖A00001", "X1", ""],
        split=["train", "train", "val", "test", "", "test"],
        extra={"subset": ["ccpd_base", "ccpd_base", "ccpd_base", "ccpd_db", "", "ccpd_np"]},
    )
    parts = {part.name: part for part in parts_of_manifest(manifest)}
    assert list(parts) == ["train", "val", "ccpd_db", "no split", "ccpd_np"]
    assert (parts["train"].entries, len(parts["train"].plates), parts["ccpd_np"].unlabelled) == (1, 2, 1)
    assert np.array_equal(overlap_of(list(parts.values())).images[0], [1, 0, 1, 0, 0])
    manifest.write(tmp_path / "table.csv")
    (tmp_path / "ccpd_db.txt").write_text(f"ccpd_db/{C1}\n", encoding="utf-8")  # a part in two files is one part
    joined = {part.name: part for part in parts_of_files([tmp_path / "table.csv", tmp_path / "ccpd_db.txt"])}
    assert joined["ccpd_db"].images == {A1, C1} and joined["ccpd_db"].entries == 2


def test_the_command(tmp_path: Path) -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "alpr", "data", "overlap", *options]
        return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)

    files = [str(path) for path in write_lists(tmp_path)]
    html, figures = tmp_path / "o.html", tmp_path / "o.json"
    done = run(*files, "--markdown", "--output", str(html), "--json", str(figures))
    assert done.returncode == 0 and "| images in both | train | ccpd_db | ccpd_fn |" in done.stdout, done.stderr
    assert "1 (25.0%)" in html.read_text(encoding="utf-8")
    assert json.loads(figures.read_text())["images_in_parts"] == [3, 1, 1]
    wrong = run(str(html))
    assert wrong.returncode == 2 and "neither a list (.txt) nor a table (.csv)" in wrong.stderr


def test_the_official_lists(real_data: Path) -> None:
    """The figures that CCPD2019's five lists give; counted once by another program."""
    folder = real_data / "CCPD2019" / "splits"
    if not folder.is_dir():
        pytest.skip("The official lists of CCPD2019 are not there.")
    names = ("blur", "db", "fn", "rotate", "tilt")
    overlap = overlap_of(parts_of_files(folder / f"ccpd_{part}.txt" for part in names))
    assert (overlap.entries, overlap.distinct_images, overlap.distinct_plates) == (91_979, 74_743, 66_873)
    assert overlap.in_several == 15_667 and overlap.images_in[2:] == (1_264, 124, 19)
    pairs = {("blur", "db"): 3_838, ("fn", "tilt"): 4_808, ("rotate", "tilt"): 3_578, ("blur", "fn"): 2_522}
    assert {pair: overlap.images[names.index(pair[0]), names.index(pair[1])] for pair in pairs} == pairs
