"""Splits: nothing on two sides, shares per stratum, blocks in time, and the hash of the split in every run."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter, deque
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_fingerprints import picture
from tiny_runs import ENVIRONMENT, REPOSITORY

from alpr.data.columns import ManifestError
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest
from alpr.data.splitting import (
    GAP,
    Frames,
    connected,
    counts,
    frames_by_column,
    frames_by_name,
    leaks,
    least_gap,
    same,
    split_groups,
    split_times,
    strata_of,
    with_split,
)
from alpr.plates.country import CountryPack

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def fabricated(rows: int, seed: int = 0) -> Manifest:
    """Plates seen one to nine times, some two in an image, of two countries and two lengths."""
    rng = np.random.default_rng(seed)
    country = ["CN" if rng.random() < 0.7 else "DE" for _ in range(rows)]
    text = [f"{c}{rng.integers(rows // 4):04d}{'X' * (i % 7 == 0)}" for i, c in enumerate(country)]
    image = [f"{rng.integers(rows)}.jpg" for _ in range(rows)]
    return Manifest.of(Path(), image, text=text, country=country)


def components(groupings: list[list[int]]) -> list[int]:
    """By breadth-first search: the first row of each row's component."""
    n = len(groupings[0])
    neighbours: list[set[int]] = [set() for _ in range(n)]
    for grouping in groupings:
        for i in range(n):
            for j in range(n):
                if grouping[i] == grouping[j]:
                    neighbours[i].add(j)
    found = [-1] * n
    for start in range(n):
        queue = deque([start] if found[start] < 0 else [])
        while queue:
            i = queue.popleft()
            if found[i] < 0:
                found[i] = start
                queue.extend(neighbours[i])
    return found


def test_groups_are_the_components_of_all_that_belongs_together() -> None:
    rng = np.random.default_rng(1)
    for n in (1, 40, 60):
        groupings = [same([str(v) for v in rng.integers(0, n, n)]) for _ in range(2)]
        assert connected(n, *groupings).tolist() == components([g.tolist() for g in groupings])
    assert same(["a", "", "a", ""]).tolist() == [0, 1, 0, 3]  # two plates without text are not one plate


def test_no_text_and_no_image_is_on_two_sides_and_strata_get_their_shares() -> None:
    manifest = fabricated(3000)
    texts = same(manifest.text)
    strata = strata_of(manifest, ["country", "kind"])
    assert set(strata) == {"CN 6 characters", "CN 7 characters", "DE 6 characters", "DE 7 characters"}
    done = with_split(manifest, split_groups(texts, strata, SHARES, seed=4))
    assert not [leak for leak in leaks(done, {"text": texts}) if leak.what == "text"]
    for count in counts(done, strata, SHARES):
        assert all(abs(count.rows[s] - count.asked[s]) <= max(9, 0.03 * count.asked[s]) for s in SHARES), count
    # Plates seen often are shared out too, instead of all lying in the largest split.
    often = {t for t, n in Counter(manifest.text).items() if n >= 5}
    seen = Counter(s for t, s in zip(done.text, done.split, strict=True) if t in often)
    assert min(seen["val"], seen["test"]) > 0.04 * seen.total()


def test_the_seed_decides() -> None:
    manifest = fabricated(500)
    one, again, other = (split_groups(same(manifest.text), ["all"] * 500, SHARES, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert set(split_groups(same(manifest.text), ["all"] * 500, {"train": 1.0, "val": 0.0}, 1)) == {"train"}
    with pytest.raises(ValueError, match=r"The shares are train 0.8, val 0.1; expected"):
        split_groups(same(manifest.text), ["all"] * 500, {"train": 0.8, "val": 0.1})


def test_many_small_strata_still_give_val_and_test_their_rows() -> None:
    strata = [f"region {i // 2}" for i in range(400)]
    split = Counter(split_groups(np.arange(400), strata, SHARES))
    assert split == {"train": 320, "val": 40, "test": 40}


def test_kinds_come_from_the_column_the_pack_or_the_length(china: CountryPack) -> None:
    manifest = Manifest.of(
        Path(), list("abcde"), text=["皖A12345", "皖AD12345", "ABC", "", "B1"], country=["CN", "CN", "DE", "", "DE"],
        extra={"layout": ["", "", "", "", "motorcycle"], "camera": list("12121")},
    )  # fmt: skip
    kinds = strata_of(manifest, ["country", "kind"], {"CN": china})
    assert kinds == ["CN blue", "CN green small", "DE 3 characters", "without text", "DE motorcycle"]
    assert strata_of(manifest, ["camera"]) == list("12121") and strata_of(manifest, []) == ["all"] * 5
    with pytest.raises(ManifestError, match=r"no column colour .*; expected one of country, kind, layout, camera"):
        strata_of(manifest, ["colour"])


def test_a_leak_is_found() -> None:
    manifest = Manifest.of(
        Path("d"),
        ["a.jpg", "x/../a.jpg", "b.jpg", "c.jpg"],
        text=["A", "B", "B", ""],
        split=["train", "test", "gap", "val"],
    )
    found = leaks(manifest, {"text": same(manifest.text)})  # B is in test and in the gap, which counts for nothing
    assert [(leak.what, leak.splits) for leak in found] == [("image", ("test", "train"))]
    split = with_split(manifest, ["train", "train", "val", "val"])
    found = leaks(split, {"text": same(split.text)})
    assert [(leak.what, leak.name, leak.splits, leak.rows) for leak in found] == [("text", "B", ("train", "val"), 2)]


def test_videos_are_cut_into_blocks_with_a_gap() -> None:
    image = [f"{v}_t_{t}.jpg" for v in ("gate", "yard") for t in range(100) for _ in range(2)]
    manifest = Manifest.of(Path(), image[::-1])
    frames = frames_by_name(manifest)
    for gap in (0, 1, 5, 25, 60):
        split = split_times(frames, SHARES, gap)
        assert least_gap(frames, split) >= max(gap, 1)
        for rows in (range(200), range(200, 400)):
            in_time = [split[i] for i in sorted(rows, key=lambda i: frames.time[i]) if split[i] != GAP]
            assert in_time == sorted(in_time, key=list(SHARES).index)  # contiguous, train first
    assert Counter(split_times(frames, SHARES)) == {"train": 320, "val": 40, "test": 40}
    assert Counter(split_times(frames, SHARES, 4))[GAP] == 2 * 2 * 2 * 4  # videos, cuts, rows per frame, frames
    assert least_gap(frames, ["train", "val"] * 200) == 0
    assert least_gap(Frames(["a", "b"], np.array([1.0, 1.0])), ["train", "val"]) == np.inf


def test_times_that_cannot_be_known_are_refused() -> None:
    manifest = Manifest.of(
        Path(), ["v/a_t_1.jpg", "w/a_t_2.jpg"], extra={"seconds": ["1.5", "soon"], "ride": ["r", "r"]}
    )
    assert len(set(frames_by_name(manifest).video)) == 2 and frames_by_name(manifest).time.tolist() == [1, 2]
    with pytest.raises(ManifestError, match=r"time of w/a_t_2.jpg is 'soon'; expected a number"):
        frames_by_column(manifest, "seconds")
    with pytest.raises(ManifestError, match="no column frame; found seconds, ride"):
        frames_by_column(manifest, "frame")
    with pytest.raises(ManifestError, match=r"a_t_1.jpg does not fit"):
        frames_by_name(manifest, r"f(?P<time>\d+)")
    with pytest.raises(ValueError, match="no group named time"):
        frames_by_name(manifest, r"(\d+)")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alpr", "data", "split", *map(str, arguments)]
    environment = {**ENVIRONMENT, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)


def test_the_command_keeps_near_duplicates_and_their_plates_together(tmp_path: Path) -> None:
    images, texts = [], []
    for i in range(40):
        scene = picture(i)
        for j, quality in enumerate((90, 50)[: 1 + (i < 15)]):
            images.append(f"{i}_{j}.jpg")
            texts.append(f"T{i // 2 if j else 100 + i}")
            cv2.imwrite(str(tmp_path / images[-1]), scene, [cv2.IMWRITE_JPEG_QUALITY, quality])
    (tmp_path / "broken.jpg").write_text("no picture")
    source, output = tmp_path / "t.csv", tmp_path / "split.csv"
    Manifest.of(tmp_path, [*images, "broken.jpg"], text=[*texts, "Q"], extra={"mine": "kept"}).write(source)
    before = source.read_bytes()
    shares = ("--train", 0.6, "--val", 0.2, "--test", 0.2)
    done = run(source, "--by", "plate", "--by", "near-duplicate", "--workers", 0, "--output", output, *shares)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Images that cannot be compared: 1. The first:" in done.stdout
    assert "41 distinct" in done.stdout and "No leak" in done.stdout
    assert source.read_bytes() == before
    split = read_manifest(output)
    assert split.extra == {"mine": ["kept"] * split.rows} and set(split.split) == {"train", "val", "test"}
    assert hashlib.sha256(output.read_bytes()).hexdigest() in done.stdout
    of = dict(zip(split.image, split.split, strict=True))
    for i in range(0, 14, 2):  # joined by picture and, between i and i + 1, by text
        assert len({of[f"{i + k}_{j}.jpg"] for k in (0, 1) for j in (0, 1)}) == 1


def test_the_command_does_not_write_over_its_source_unasked(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    Manifest.of(tmp_path, [f"{i}.jpg" for i in range(20)], text=[f"T{i}" for i in range(20)]).write(source)
    refused = run(source, "--output", source)
    assert refused.returncode == 2 and "give --in-place" in refused.stderr
    assert run(source, "--in-place", "--stratify", "kind").returncode == 0
    assert Counter(read_manifest(source).split) == {"train": 16, "val": 2, "test": 2}
    with source.open("a") as file:
        file.write(",".join(["bad.jpg", "T", "", "1", *[""] * 13]) + "\n")
    lost = run(source, "--in-place")
    assert lost.returncode == 2 and "would lose them" in lost.stderr


def test_the_hash_of_a_run_follows_the_split(tmp_path: Path) -> None:
    """run.json holds `data.manifest.sha256` (test_training.py): of the whole file, whichever split is chosen."""
    source = Manifest.of(tmp_path, ["a.jpg", "b.jpg"], text=["A", "B"])
    hashes = []
    for split in (["train", "val"], ["val", "train"]):
        with_split(source, split).write(tmp_path / "t.csv")
        chosen = read_manifest(tmp_path / "t.csv", splits=["train"])
        assert chosen.sha256 == hashlib.sha256((tmp_path / "t.csv").read_bytes()).hexdigest()
        assert chosen.sha256 == chosen.select(fold=0, inside=False).sha256 == with_split(source, split).sha256
        hashes.append(chosen.sha256)
    assert hashes[0] != hashes[1]
