"""The one table: reading, refusing, grouping, selecting and writing."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpr import files
from alpr.data.columns import COLUMNS, CORNER_COLUMNS, convex_clockwise, number_cells
from alpr.data.manifest import Manifest, ManifestError, fold_of
from alpr.data.scenes import where_from
from alpr.data.several_tables import join_manifests, read_manifest
from alpr.plates.geometry import is_convex_clockwise

SQUARE = (1.0, 2.0, 11.0, 2.5, 11.0, 6.0, 1.0, 5.5)


def row(**cells: object) -> dict[str, object]:
    return {"image": "a.jpg", "text": "B123", "country": "DE", "split": "train", **cells}


def with_corners(*values: object, **cells: object) -> dict[str, object]:
    return row(**dict(zip(CORNER_COLUMNS, values, strict=True)), **cells)


def table(path: Path, *rows: dict[str, object], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_rows_of_an_image_make_a_scene(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t.csv",
        with_corners(*SQUARE, x1=1, y1=2, x2=11, y2=6),
        row(image="b.jpg", text="", split="val"),
        row(text="C9", country=""),
        row(image=tmp_path / "far" / "c.jpg", text="", x1=0, y1=0, x2=5.5, y2=5),
    )
    manifest = read_manifest(path)
    scenes = manifest.scenes()
    assert manifest.rows == 4 and len(scenes) == 3 and not manifest.rejected
    assert [scene.image for scene in scenes] == [tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "far" / "c.jpg"]
    first, second = scenes[0].plates
    assert first.corners is not None and first.corners.dtype == np.float32
    assert first.corners.tolist() == [[1, 2], [11, 2.5], [11, 6], [1, 5.5]]
    assert first.box is not None and first.box.tolist() == [1, 2, 11, 6] and first.country == "DE"
    assert (second.text, second.corners, second.box, second.country) == ("C9", None, None, None)
    assert scenes[1].plates == () and scenes[1].split == "val"
    assert scenes[-1].plates[0].text is None
    assert scenes[0:2][1].image == scenes[1].image and scenes.rows(0) == [0, 2]
    with pytest.raises(IndexError):
        scenes[3]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (with_corners(*SQUARE[:7], "x"), "column bl_y holds 'x'"),
        (with_corners(*SQUARE[:7], "nan"), "column bl_y holds 'nan'"),
        (with_corners(*SQUARE[:7], "inf"), "column bl_y holds 'inf'"),
        (with_corners(*SQUARE[:7], " "), "half given: bl_y missing"),
        (row(x1=3, y2=4), "half given: y1, x2 missing"),
        (with_corners(*SQUARE[:4], *SQUARE[6:], *SQUARE[4:6]), "crossed"),
        (with_corners(*SQUARE[6:], *SQUARE[4:6], *SQUARE[2:4], *SQUARE[:2]), "not clockwise"),
        (with_corners(1, 1, 2, 2, 3, 3, 4, 4), "flat"),
        (with_corners(*[5] * 8), "flat"),
        (row(x1=3, y1=4, x2=3, y2=9), "no area"),
        (row(image=""), "column image is empty"),
    ],
)
def test_a_bad_row_is_left_out_with_its_place_and_reason(tmp_path: Path, bad: dict[str, object], says: str) -> None:
    path = table(
        tmp_path / "t.csv", row(image="good.jpg"), {"image": "b.jpg", **bad} | {"note": "n"}, row(image="c.jpg")
    )
    manifest = read_manifest(path)
    assert manifest.image == ["good.jpg", "c.jpg"]
    (rejection,) = manifest.rejected
    assert rejection.row == 3 and rejection.file == str(path) and says in rejection.reason
    with pytest.raises(ManifestError, match=r"t\.csv, row 3"):
        read_manifest(path, strict=True)


def test_regions_to_ignore(tmp_path: Path) -> None:
    columns = (*COLUMNS, "kind")
    path = table(
        tmp_path / "t.csv",
        row(x1=1, y1=1, x2=9, y2=5, kind="plate"),
        row(text="", x1=20, y1=1, x2=29, y2=5, kind="ignore"),
        row(image="b.jpg", text="", x1=20, y1=1, x2=29, y2=5, kind="ignored"),
        row(image="c.jpg", text="", kind="ignore"),
        columns=columns,
    )
    manifest = read_manifest(path)
    (scene,) = manifest.scenes()
    assert [(p.ignored, p.text) for p in scene.plates] == [(False, "B123"), (True, None)]
    assert [(r.row, r.reason) for r in manifest.rejected] == [
        (4, "column kind holds 'ignored'; expected plate, ignore or nothing"),
        (5, "a region to ignore has neither box nor corners; expected one of them"),
    ]
    assert manifest.place(1) == f"{path}, row 3"
    manifest.write(tmp_path / "again.csv")
    assert [p.ignored for p in read_manifest(tmp_path / "again.csv").scenes()[0].plates] == [False, True]
    with pytest.raises(ManifestError, match=r"Entry 0 .*kind holds 'x'"):
        Manifest.of(tmp_path, ["a"], extra={"kind": "x"})


def test_rows_keep_their_place_through_joins_and_selections(tmp_path: Path) -> None:
    first = table(tmp_path / "a.csv", row(image="x.jpg", split="val"), row(image="bad.jpg", x1="?"), row())
    second = table(tmp_path / "b.csv", row(image="y.jpg"))
    both = read_manifest([first, second], splits=["train"])
    assert [both.place(i) for i in range(both.rows)] == [f"{first}, row 4", f"{second}, row 2"]
    assert where_from(both.scenes(), 1) == f"{second}, row 2 (y.jpg)"
    assert Manifest.of(tmp_path, ["z.jpg"]).place(0) == "entry 0"


def test_scenes_with_a_plate_that_stands_anywhere_are_left_out(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t.csv",
        row(image="a.jpg", x1=1, y1=1, x2=9, y2=5),
        row(image="b.jpg", x1=1, y1=1, x2=9, y2=5),
        row(image="b.jpg"),
        row(image="empty.jpg", text=""),
    )
    assert read_manifest(path).located().image == ["a.jpg", "empty.jpg"]


def test_the_other_plates_of_a_spoilt_image_go_too(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", row(), row(x1="left"), row(image="b.jpg"))
    manifest = read_manifest(path)
    assert manifest.image == ["b.jpg"]
    assert [r.row for r in manifest.rejected] == [2, 3]
    assert "another plate of this image was left out (row 3)" in manifest.rejected[0].reason


def test_short_long_and_blank_lines(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", row(), row(image="b.jpg"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "", lines[1], "c.jpg,X", lines[2] + ",more", lines[2]]) + "\n")
    manifest = read_manifest(path)
    assert manifest.image == ["a.jpg"]  # b.jpg lost one of its rows
    assert [(r.row, r.image) for r in manifest.rejected] == [(4, "c.jpg"), (5, "b.jpg"), (6, "b.jpg")]
    assert "2 cells; the header has 17" in manifest.rejected[0].reason


@pytest.mark.parametrize("missing", ["image", "text", "tl_x", "split", "note"])
def test_a_missing_column_is_named_with_what_was_found(tmp_path: Path, missing: str) -> None:
    path = table(tmp_path / "t.csv", row(), columns=tuple(c for c in COLUMNS if c != missing))
    with pytest.raises(ManifestError, match=rf"t\.csv lacks the column {missing}; found .*country"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (("|".join(COLUMNS) + "\n").encode(), "lacks the columns image"),
        ((",".join((*COLUMNS, "text")) + "\n").encode(), "column text more than once"),
        ((",".join(COLUMNS) + "\n").encode(), "holds no usable row"),
        (b"\xff\xfe\x00broken", "UTF-8"),
        ((",".join(COLUMNS) + "\n").encode() + "皖".encode("gbk") + b"," * 16 + b"\n", "UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ManifestError, match=says):
        read_manifest(tmp_path / "t.csv")


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere\.csv cannot be read: No such file"):
        read_manifest(tmp_path / "nowhere.csv")
    with pytest.raises(ManifestError, match="cannot be read: Is a directory"):
        read_manifest(tmp_path)
    with pytest.raises(ManifestError, match="No manifest was given"):
        read_manifest([])


def test_splits_and_joining(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = table(tmp_path / "t.csv", row(), row(image="b.jpg", split="val"))
    second = table(tmp_path / "other" / "t.csv", {**row(), "lamp": "on"}, columns=(*COLUMNS, "lamp"))
    both = read_manifest([first, second])
    assert [scene.image for scene in both.scenes()] == [
        tmp_path / "a.jpg",
        tmp_path / "b.jpg",
        tmp_path / "other" / "a.jpg",
    ]
    assert both.extra == {"lamp": ["", "", "on"]}
    assert read_manifest([first, second], splits={"val"}).image == ["b.jpg"]
    assert len({both.sha256, read_manifest(first).sha256, read_manifest(second).sha256}) == 3
    with pytest.raises(ManifestError, match="no row of split 'test'; found 'train', 'val'"):
        read_manifest(first, splits=["test"])
    with pytest.raises(ManifestError, match="expected a collection"):
        read_manifest(first, splits="train")
    with pytest.raises(ManifestError, match="given twice"):
        read_manifest([first, tmp_path / "other" / ".." / "t.csv"])
    both.write(tmp_path / "joined.csv")
    again = read_manifest(tmp_path / "joined.csv")
    assert again.image == ["a.jpg", "b.jpg", "other/a.jpg"]
    assert [s.image for s in again.scenes()] == [s.image for s in both.scenes()]
    both.write(tmp_path / "other" / "joined.csv")
    assert read_manifest(tmp_path / "other" / "joined.csv").image[0] == str(tmp_path / "a.jpg")


numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 3))
cells = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Z")), min_size=1, max_size=12)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            cells, cells, numbers, numbers, st.floats(3, 900), st.booleans(), st.sampled_from(["train", "val", ""])
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_written_reads_back(tmp_path_factory: pytest.TempPathFactory, entries: list[tuple]) -> None:  # type: ignore[type-arg]
    folder = tmp_path_factory.getbasetemp() / "round"
    folder.mkdir(exist_ok=True)
    corners = np.array([[[x, y], [x + w, y], [x + w, y + w], [x, y + w]] for _, _, x, y, w, _, _ in entries])
    corners[[not has for *_, has, _ in entries]] = np.nan
    manifest = Manifest.of(
        folder,
        [f"{i}{name.replace('/', '')}.jpg" for i, (name, *_) in enumerate(entries)],
        text=[entry[1] for entry in entries],
        country="CN",
        corners=corners,
        split=[entry[-1] for entry in entries],
        extra={"lamp": [entry[0] for entry in entries]},
    )
    manifest.write(folder / "t.csv")
    again = read_manifest(folder / "t.csv", strict=True)
    for name in ("image", "text", "country", "split", "note", "extra"):
        assert getattr(again, name) == getattr(manifest, name)
    assert np.array_equal(again.corners, corners, equal_nan=True) and np.isnan(again.box).all()
    assert again.sha256 == manifest.sha256
    assert join_manifests([again]) is again


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=4, max_size=4))
def test_many_quads_at_once_are_judged_as_one_by_one(points: list[tuple[int, int]]) -> None:
    quad = np.array(points, np.float64)
    assert convex_clockwise(quad[None])[0] == is_convex_clockwise(quad)


def test_number_cells() -> None:
    assert number_cells(np.array([1.0, -2.0])) == ["1", "-2"]
    assert number_cells(np.array([1.0, np.nan, 0.1])) == ["1", "", "0.1"]


def test_folds_are_the_same_everywhere() -> None:
    assert [fold_of(text) for text in ("皖AD20939", "B123", "")] == [9, 8, 2]  # must never change
    assert fold_of("B123", 3) == int(hashlib.sha256(b"B123").hexdigest()[:16], 16) % 3
    counts = np.bincount([fold_of(f"皖A{i:05}") for i in range(20000)], minlength=10)
    assert counts.min() > 1800 and counts.max() < 2200


def test_a_held_back_tenth(tmp_path: Path) -> None:
    texts = [f"X{i:04}" for i in range(300)]
    images = [f"{i // 2}.jpg" for i in range(300)] + [f"empty{i}.jpg" for i in range(300)]
    manifest = Manifest.of(tmp_path, images, text=texts + [""] * 300, split="train")
    held, rest = manifest.select(fold=0), manifest.select(fold=0, inside=False)
    assert held.rows + rest.rows == 600
    assert not set(held.image) & set(rest.image)
    chosen = {t for t in texts if fold_of(t) == 0}
    assert chosen <= set(held.text) and not chosen & set(rest.text)
    assert {scene.image.name for scene in held.scenes() if scene.plates} == {
        f"{i // 2}.jpg" for i, t in enumerate(texts) if t in chosen
    }
    assert 10 < sum(not text for text in held.text) < 55  # about a tenth of the scenes without text
    moved = Manifest.of(tmp_path / "elsewhere", images, text=texts + [""] * 300, split="train").select(fold=0)
    assert moved.image == held.image
    with pytest.raises(ManifestError, match="Fold 10 does not exist"):
        manifest.select(fold=10)


def test_a_plate_is_held_back_however_it_is_written(tmp_path: Path) -> None:
    ways = [(f"AB{i:03}CD", f"ab-{i:03} cd") for i in range(40)]
    manifest = Manifest.of(tmp_path, [f"{i}.jpg" for i in range(80)], text=[text for pair in ways for text in pair])
    held = manifest.select(fold=0, folds=4)
    assert 0 < held.rows < 80 and {text for pair in ways if pair[0] in held.text for text in pair} == set(held.text)


def test_so_many_plates(tmp_path: Path) -> None:
    texts = [f"X{i // 2:04}" for i in range(60)]  # every plate twice
    images = [f"{i}.jpg" for i in range(59)] + ["58.jpg", "empty.jpg"]  # the last two plates in one scene
    manifest = Manifest.of(tmp_path, images, text=[*texts, ""])
    few, more = manifest.plates(5), manifest.plates(12)
    assert len(set(few.text)) in (5, 6) and set(few.text) < set(more.text) and len(set(more.text)) in (12, 13)
    assert all(few.text.count(text) == 2 for text in few.text) and "" not in few.text
    assert set(Manifest.of(tmp_path, images[::-1], text=["", *texts[::-1]]).plates(5).text) == set(few.text)
    assert manifest.plates(30).rows == manifest.plates(1000).rows == 60
    with pytest.raises(ManifestError, match="0 plates were asked for; expected at least 1"):
        manifest.plates(0)


def test_columns_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="text has 1 entries for 2 rows"):
        Manifest.of(tmp_path, ["a", "b"], text=["X"])
    with pytest.raises(ManifestError, match="shape"):
        Manifest.of(tmp_path, ["a", "b"], box=np.zeros((1, 4)))
    with pytest.raises(ManifestError, match="crossed"):
        Manifest.of(tmp_path, ["a"], corners=np.zeros((1, 4, 2)))


REFERENCE_HEADER = (
    "image_path,left,top,right,bottom,kp1_x,kp1_y,kp2_x,kp2_y,kp3_x,kp3_y,kp4_x,kp4_y,"
    "ocr_1,ocr_2,ocr_3,ocr_4,ocr_5,ocr_6,ocr_7"
)


def test_the_table_of_the_reference_loads_unchanged(tmp_path: Path) -> None:
    folder = tmp_path / "ccpd_weather"
    folder.mkdir()
    path = folder / "alpr_annotation.csv"
    path.write_text(
        f"{REFERENCE_HEADER}\n"
        "/home/me/ccpd_weather/a-b&c.jpg,151,285,417,398,417,398,179,377,151,285,389,306,1,1,5,34,33,26,13\n"
        "|C:\\data\\d,e.jpg|,151,285,417,398,417,398,179,377,151,285,389,306,1,1,5,34,33,26,13\n"
        "/home/me/f.jpg,151,285,417,398,417,398,179,377,151,285,389,306,1,1,5,34,33,26,35\n"
        "/home/me/g.jpg,151,285,417,398,417,398,179,377,151,285,389,306,1,1,5,34,33,26,\n"
    )
    manifest = read_manifest(path)
    assert manifest.image == ["a-b&c.jpg", "d,e.jpg"] and manifest.text == ["皖AE981N"] * 2
    assert manifest.split == ["test"] * 2 and manifest.country == ["CN"] * 2
    assert manifest.corners[0].tolist() == [[151, 285], [389, 306], [417, 398], [179, 377]]
    assert manifest.box[0].tolist() == [151, 285, 417, 398]
    assert manifest.path(0) == folder / "a-b&c.jpg"
    assert [r.row for r in manifest.rejected] == [4, 5]
    assert "no character" in manifest.rejected[0].reason and "whole numbers" in manifest.rejected[1].reason
    path.write_text(REFERENCE_HEADER.replace(",kp4_y", "") + "\n")
    with pytest.raises(ManifestError, match="lacks the column kp4_y"):
        read_manifest(path)


def test_a_fault_behind_the_first_piece_of_a_long_table_is_named_by_its_row(tmp_path: Path) -> None:
    """Tables are read in pieces of 16,384 rows; the twenty thousandth row lies in the second one."""
    header = "image,text,country,split,x1,y1,x2,y2,tl_x,tl_y,tr_x,tr_y,br_x,br_y,bl_x,bl_y,note"
    lines = {i: f"{i}.jpg,B{i},DE,train,{i % 90},2,{i % 90 + 10},9,,,,,,,,," for i in range(2, 20_051)}
    lines[20_000] = lines[20_000].replace(",2,", ",two,")
    lines[20_010] = "short.jpg,B1,DE"
    lines[30] = "20000.jpg,C1,DE,train,1,2,3,4,,,,,,,,,"  # another plate of the image that loses one
    path = tmp_path / "long.csv"
    path.write_text("\n".join([header, *lines.values()]) + "\n", encoding="utf-8")
    manifest = read_manifest(path)
    assert [(r.row, r.image) for r in manifest.rejected] == [
        (30, "20000.jpg"), (20_000, "20000.jpg"), (20_010, "short.jpg"),
    ]  # fmt: skip
    assert "row 20000" in manifest.rejected[0].reason and "'two'" in manifest.rejected[1].reason
    assert manifest.rejected[2].reason == "the row has 3 cells; the header has 17"
    assert manifest.rows == len(lines) - 3 and manifest.line[-1] == 20_050
    last = manifest.plate(manifest.rows - 1)
    assert last is not None and last.text == "B20050" and last.box is not None and last.box[0] == 20_050 % 90
    with pytest.raises(ManifestError, match=r"row 30.*and 2 more"):
        read_manifest(path, strict=True)


def test_a_fault_behind_the_first_piece_of_the_references_table_is_named_by_its_row(tmp_path: Path) -> None:
    good = "/home/me/{}.jpg,151,285,417,398,417,398,179,377,151,285,389,306,1,1,5,34,33,26,13"
    lines = {i: good.format(i) for i in range(2, 20_051)}
    lines[20_000] = lines[20_000].removesuffix("13") + "99"
    path = tmp_path / "alpr_annotation.csv"
    path.write_text("\n".join([REFERENCE_HEADER, *lines.values()]) + "\n", encoding="utf-8")
    manifest = read_manifest(path)
    assert [(r.row, r.image) for r in manifest.rejected] == [(20_000, "20000.jpg")]
    assert "character 7 has the index '98'" in manifest.rejected[0].reason and manifest.rows == len(lines) - 1


def test_a_full_disk_leaves_no_half_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(files.NotWritten, match="the disk is full") as error:
        Manifest.of(tmp_path, ["a.jpg"], text="X").write(tmp_path / "t.csv")
    assert str(error.value).startswith(str(tmp_path / "t.csv"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(files.NotWritten, match="No such file or directory"):
        Manifest.of(tmp_path, ["a.jpg"], text="X").write(tmp_path / "nowhere" / "t.csv")


def test_real_tables_load_unchanged(real_data: Path) -> None:
    tables = sorted(real_data.glob("*/*/labels.csv"))
    if not tables:
        pytest.skip("No labels.csv below the folder of real photographs.")
    manifest = read_manifest(tables, strict=True)
    with_lines = sum(len(path.read_text(encoding="utf-8").splitlines()) - 1 for path in tables)
    assert manifest.rows == with_lines
    scenes = manifest.scenes()
    assert sum(len(scene.plates) for scene in scenes) == manifest.rows > len(scenes)
    assert all(scene.image.is_file() for scene in scenes)
