"""One photograph is one scene, over tables, sources and spellings of its path."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console
from tiny_detection import batch_of

from alpr.data.columns import ManifestError
from alpr.data.manifest import Manifest, fold_of
from alpr.data.new_split import Asked, write_split
from alpr.data.overlap import parts_of_manifest
from alpr.data.several_tables import read_manifest, read_sources
from alpr.data.splitting import leaks, plate_groups
from alpr.detection.datamodule import DetectionData
from alpr.detection.targets import IGNORED
from alpr.plates.country import CountryPack
from alpr.recognition.datamodule import RecognitionData

CAR, VAN = (200, 300, 360, 340), (400, 100, 500, 125)


def table(path: Path, image: list[str], box: tuple[float, ...] | None, **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    boxes = None if box is None else [box] * len(image)
    Manifest.of(path.parent, image, box=boxes, **columns).write(path)  # type: ignore[arg-type]
    return path


def two_tables(folder: Path, count: int = 40, spelling: str = "{}") -> tuple[Path, Path]:
    """Two tables that label another plate of the same photographs."""
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((400, 600, 3), i, np.uint8))
    cars = table(
        folder / "cars.csv", [f"{i}.png" for i in range(count)], CAR, text=[f"AB{i:03d}CD" for i in range(count)]
    )
    names = [spelling.format(f"{i}.png") for i in range(count)]
    return cars, table(folder / "vans.csv", names, VAN, text=[f"XY{i:03d}ZZ" for i in range(count)])


@pytest.mark.parametrize("spelling", ["{}", "./{}", "../here/{}", "absolute", "link"])
def test_a_photograph_of_two_tables_is_one_scene(tmp_path: Path, spelling: str) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    if spelling == "absolute":
        spelling = str(folder / "{}")
    elif spelling == "link":
        (tmp_path / "linked").symlink_to(folder)
        spelling = "../linked/{}"
    tables = two_tables(folder, spelling=spelling)
    rows = read_manifest(tables)
    scenes = rows.scenes()
    assert len(scenes) == 40 and all(len(scene.plates) == 2 for scene in scenes)
    held = rows.select(fold=0)
    of_plates = {i for i in range(40) if 0 in (fold_of(f"AB{i:03d}CD"), fold_of(f"XY{i:03d}ZZ"))}
    assert {int(scene.image.stem) for scene in held.scenes()} == of_plates
    assert all(len(scene.plates) == 2 for scene in held.scenes()) and len(of_plates) > 3
    train = rows.select(fold=0, inside=False).scenes()
    assert {int(scene.image.stem) for scene in train} == set(range(40)) - of_plates
    (part,) = parts_of_manifest(rows)
    assert part.entries == 40


def test_a_link_to_a_photograph_is_the_photograph(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((50, 50, 3), np.uint8))
    (tmp_path / "b.png").symlink_to("a.png")
    rows = read_manifest(
        table(tmp_path / "t.csv", ["a.png", "b.png", "c.png"], (1, 1, 40, 20), split=["train", "val", "train"])
    )
    assert len(rows.scenes()) == 2
    assert [leak.what for leak in leaks(rows)] == ["image"]


def test_two_sources_of_one_photograph_know_each_others_plates(tmp_path: Path) -> None:
    cars, _ = two_tables(tmp_path)
    sources = [{"manifest": "cars.csv", "name": "cars"}, {"manifest": "vans.csv", "name": "vans"}]
    data = DetectionData(root=str(tmp_path), sources=[{**s, "split": None} for s in sources])
    for source in data.sources:
        assert all(len(scene.plates) == 2 for scene in (*source.train, *source.held))
    trained = {scene.image.name for source in data.sources for scene in source.train}
    held = {scene.image.name for source in data.sources for scene in source.held}
    assert held and not trained & held
    alone = read_manifest(cars)
    assert data.sources[0].manifest.sha256 == alone.sha256


def test_a_reader_learns_its_own_texts_and_nobodys_plate_as_background(tmp_path: Path) -> None:
    two_tables(tmp_path, 30)
    sources = {name: {"manifest": f"{name}.csv", "split": None} for name in ("cars", "vans")}
    latin = CountryPack.find("latin").to_dict()
    data = RecognitionData(latin, root=str(tmp_path), sources=sources, rendered={}, negatives=1)
    for source, first in zip(data.sources, "AX", strict=True):
        assert {crop.text[0] for crop in (*source.train, *source.held)} == {first}
        scenes = source.negative_scenes()
        assert scenes is not None and all(len(scene.plates) == 2 for scene in scenes)
    train, held = ({crop.image.name for crop in crops} for crops in (data.train_plates, data.val_plates))
    assert held and not train & held and len(train | held) == 30


def test_sources_that_share_a_table_or_nothing_stay_as_they_are(tmp_path: Path) -> None:
    one = table(tmp_path / "one.csv", ["a.jpg", "b.jpg"], CAR, text=["A1", "B2"], split=["train", "extra"])
    other = table(tmp_path / "other.csv", ["c.jpg"], CAR, text="C3", split="train")
    read = read_sources([([one], ["train"]), ([one], ["extra"]), ([other], None)])
    assert [rows.text for rows in read] == [["A1"], ["B2"], ["C3"]]
    assert not any(rows.rejected for rows in read)


def test_a_photograph_of_two_splits_is_in_none(tmp_path: Path) -> None:
    cars = table(tmp_path / "cars.csv", ["0.jpg", "1.jpg", "2.jpg"], CAR, split=["train", "train", "val"])
    vans = table(tmp_path / "vans.csv", ["./0.jpg", "1.jpg"], VAN, split=["val", ""])
    train = read_manifest([cars, vans], splits=["train"])
    assert [len(scene.plates) for scene in train.scenes()] == [2] and train.image == ["1.jpg", "1.jpg"]
    assert [(r.row, r.image) for r in train.rejected] == [(2, "0.jpg")] and "'val'" in train.rejected[0].reason
    assert read_manifest([cars, vans], splits=["val"]).image == ["2.jpg"]
    one = table(tmp_path / "one.csv", ["0.jpg", "0.jpg"], CAR, split=["train", "val"])
    with pytest.raises(ManifestError, match="also in split 'val'"):
        read_manifest(one, splits=["train"])


def test_sources_agree_on_the_split_of_a_photograph(tmp_path: Path) -> None:
    cars = table(tmp_path / "cars.csv", list("abc"), CAR, split=["train", "val", "train"])
    vans = table(tmp_path / "vans.csv", [f"./{c}" for c in "abcd"], VAN)
    more = table(tmp_path / "more.csv", ["c", "e"], VAN, split="more")
    of_cars, of_vans, of_more = read_sources([([cars], ["train"]), ([vans], None), ([more], ["more"])])
    pictures = [{scene.image.name for scene in rows.scenes()} for rows in (of_cars, of_vans, of_more)]
    assert pictures == [{"a", "c"}, {"a", "c", "d"}, {"c", "e"}]  # b is scored by the first table's val
    assert [len(scene.plates) for scene in of_vans.scenes()] == [2, 2, 1]
    assert any("'val'" in r.reason for r in of_vans.rejected)
    with pytest.raises(ManifestError, match="no row is left"):
        read_sources([([cars], ["train"]), ([table(tmp_path / "b.csv", ["b"], VAN)], None)])


def test_a_plate_of_two_tables_is_one_plate(tmp_path: Path) -> None:
    cars = table(tmp_path / "cars.csv", list("abcde"), CAR, text=["AB 1", "AB2", "", "AB4", "AB5"])
    near = tuple(v + 3 for v in CAR)
    more = table(tmp_path / "more.csv", [f"./{c}" for c in "abcd"], near, text=["ab1", "XY2", "AB3", ""])
    table(tmp_path / "empty.csv", ["e"], None)
    rows = read_manifest([cars, more, tmp_path / "empty.csv"])
    scenes = {scene.image.name: scene.plates for scene in rows.scenes()}
    assert {name: [plate.text for plate in plates] for name, plates in scenes.items()} == {
        "a": ["AB 1"],
        "b": [None],  # the tables contradict each other: the place is known, the text is not
        "c": ["AB3"],
        "d": ["AB4"],
        "e": ["AB5"],
    }
    reasons = [r.reason for r in rows.rejected]
    assert len(reasons) == 4 and sum("neither is taken" in r for r in reasons) == 1


def test_a_crop_of_two_tables_is_one_crop(tmp_path: Path) -> None:
    one = table(tmp_path / "one.csv", ["a", "b"], None, text=["AB1", "AB2"])
    other = table(tmp_path / "other.csv", ["./a", "./b"], None, text=["ab-1", "XY2"])
    rows = read_manifest([one, other])
    assert rows.text == ["AB1"] and len(rows.rejected) == 3


@pytest.mark.parametrize("text", ["ab000cd", "AB-000CD", "AB 000CD", "\u200eAB000CD"])
def test_a_plate_is_held_back_however_it_is_written(text: str) -> None:
    rows = Manifest.of(Path(), ["a.jpg", "b.jpg"], text=["AB000CD", text], box=[CAR] * 2, split=["train", "val"])
    assert [rows.select(fold=fold).rows for fold in range(10)].count(2) == 1
    assert rows.plates(1).rows == 2
    assert [leak.what for leak in leaks(rows, {"text": plate_groups(rows)})] == ["text"]
    parts = parts_of_manifest(rows)
    assert parts[0].plates == parts[1].plates == {"AB000CD"}


def split(tmp_path: Path, shares: dict[str, float], **columns: object) -> tuple[str, Manifest]:
    count = len(columns["image"])  # type: ignore[arg-type]
    source = table(tmp_path / "m.csv", box=columns.pop("box", CAR), **columns)  # type: ignore[arg-type]
    said = StringIO()
    assert write_split(Asked(source, tmp_path / "out.csv", shares), Console(file=said, width=200))
    done = read_manifest(tmp_path / "out.csv")
    assert done.rows == count
    return said.getvalue(), done


def test_a_split_keeps_all_ways_to_write_a_plate_together(tmp_path: Path) -> None:
    ways = ["AB{}CD", "ab{}cd", "AB-{}CD", "AB {}CD"]
    texts = [way.format(f"{i:03d}") for i in range(30) for way in ways]
    said, done = split(tmp_path, {"train": 0.5, "val": 0.5}, image=[f"{i}.jpg" for i in range(120)], text=texts)
    assert "No leak" in said
    assert all(len(set(done.split[i : i + 4])) == 1 for i in range(0, 120, 4))


@pytest.mark.parametrize("box", [CAR, None])
@pytest.mark.parametrize("texts", [[""] * 10, ["AB1"] * 5 + [""] * 5])
def test_a_split_by_plate_says_what_it_cannot_keep_together(tmp_path: Path, texts: list[str], box: object) -> None:
    said, _ = split(tmp_path, {"train": 0.5, "val": 0.5}, image=[f"{i}.jpg" for i in range(10)], text=texts, box=box)
    unknown = texts.count("")
    if box or unknown == 10:
        assert "No leak" not in said and f"Plates without a text: {unknown} in 10 rows" in said
    else:  # rows without a plate
        assert "No leak" in said


def test_a_small_set_gives_every_split_a_plate(tmp_path: Path) -> None:
    shares = {"train": 0.9, "val": 0.05, "test": 0.05}
    _, done = split(tmp_path, shares, image=["a", "b", "c", "d"], text=["A1", "B2", "C3", "C3"])
    assert set(done.split) == set(shares)


def test_a_small_set_is_told_which_fold_would_hold_back(tmp_path: Path) -> None:
    texts = [text for i in range(40) if fold_of(text := f"AB{i:03d}CD") in (3, 7)][:3]
    folds = sorted({fold_of(text) for text in texts})
    path = table(tmp_path / "m.csv", ["a.jpg", "b.jpg", "c.jpg"], CAR, text=texts)
    with pytest.raises(ValueError, match=rf"data.holdout_fold={folds[0]} holds back \d") as said:
        DetectionData(str(path), split=None)
    assert len(folds) > 1
    assert all(f"holdout_fold={fold} " in str(said.value) for fold in folds)


def test_coordinates_as_shares_are_refused(tmp_path: Path) -> None:
    rows = [["a.jpg", 0.3, 0.5, 0.6, 0.9], ["b.jpg", 30, 50, 60, 90], ["c.jpg", 0, 0.25, 1, 1]]
    (tmp_path / "t.csv").write_text(
        "image,text,country,x1,y1,x2,y2,tl_x,tl_y,tr_x,tr_y,br_x,br_y,bl_x,bl_y,split,note\n"
        + "".join(f"{i},AB1,,{','.join(map(str, box))},,,,,,,,,,\n" for i, *box in rows),
        encoding="utf-8",
    )
    read = read_manifest(tmp_path / "t.csv")
    assert read.image == ["b.jpg"] and all("shares" in r.reason for r in read.rejected) and len(read.rejected) == 2


def test_a_training_stops_where_nothing_is_large_enough(tmp_path: Path) -> None:
    path = table(tmp_path / "m.csv", [f"{i}.jpg" for i in range(30)], CAR, text=[f"A{i}" for i in range(30)])
    data = DetectionData(str(path), split=None, batch_size=2)
    nothing = batch_of([(1.0, 1.0, 3.0, 3.0)], [(1.0, 1.0, 3.0, 3.0)], kinds=[[IGNORED], [IGNORED]])
    for _ in range(99):
        data._check_learnable(nothing)
    with pytest.raises(ValueError, match=r"first 200 canvases .* no plate that is large enough"):
        data._check_learnable(nothing)
    data = DetectionData(str(path), split=None, batch_size=2)
    data._check_learnable(batch_of([(10.0, 10.0, 50.0, 24.0)]))
    for _ in range(200):
        data.on_before_batch_transfer((nothing, []), 0)
    assert torch.is_tensor(nothing.kinds)
