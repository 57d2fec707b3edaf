"""CCPD names, both ways, and the tables made of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpr import files
from alpr.data import ccpd
from alpr.data.ccpd import CcpdLabel, CcpdNameError, decode_name, decode_names, encode_name, plate_indices, plate_text
from alpr.data.ccpd_folders import (
    REJECTED_TABLE,
    TABLE,
    create_table,
    image_names,
    official_splits,
    subset_folders,
    tables_of_lists,
)
from alpr.data.columns import ManifestError
from alpr.data.several_tables import read_manifest
from alpr.plates.country import CountryPack
from alpr.plates.geometry import corner_box, is_convex_clockwise

BLUE = "0359-5_21-151&285_417&398-417&398_179&377_151&285_389&306-0_0_4_33_32_25_12-59-4.jpg"
BASE = "1-18_16-193&286_541&526-537&526_193&409_197&286_541&403-0_0_7_31_25_26_21-78-85.jpg"
GREEN = "00490885416667-92_92-329&464_445&506-443&506_329&501_332&464_445&473-0_0_3_26_24_33_27_33-98-23.jpg"


def test_a_blue_name_by_hand() -> None:
    label = decode_name(BLUE)
    assert label.box == (151, 285, 417, 398)
    assert label.corners == ((151, 285), (389, 306), (417, 398), (179, 377))
    assert (label.area, label.tilt_h, label.tilt_v) == ("0359", "5", "21")
    assert (label.brightness, label.blurriness) == ("59", "4")


def test_texts_by_hand() -> None:
    # Indices counted by hand in the tables of the CCPD README.
    assert decode_name(BLUE).text == "皖AE981N"
    assert decode_name(GREEN).text == "皖AD20939"
    assert plate_text(["10", "3", "32", "27", "31", "20", "1"]) == "苏D837WB"


def test_the_alphabet_is_that_of_the_country_pack(china: CountryPack) -> None:
    assert len(ccpd.PROVINCES) == 34 and len(ccpd.LETTERS) == 25 and len(ccpd.CHARACTERS) == 35
    assert set(ccpd.PROVINCES[:-1]) | set(ccpd.CHARACTERS[:-1]) == set(china.alphabet) - set("港澳使领挂")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("1234.jpg", "1 fields"),
        (BLUE.replace(".jpg", ""), "no file type"),
        (BLUE.replace("-59-", "-x-"), "'brightness' is 'x'"),
        (BLUE.replace("151&285_417&398", "151&285_417"), "'box'"),
        (BLUE.replace("417&398_179", "417&398&179"), "'vertices'"),
        (BLUE.replace("5_21", "521"), "'tilts'"),
        (BLUE.replace("0_0_4", "0_0"), "'plate'"),
        (BLUE.replace("0_0_4", "33_0_4"), "character 1 has the index 33, which means 'no character'"),
        (BLUE.replace("0_0_4", "0_24_4"), "character 2 has the index 24"),
        (BLUE.replace("_25_12-", "_25_34-"), "character 7 has the index 34"),
        (BLUE.replace("0_0_4", "0_0_35"), "expected 0 to 33"),
        (BLUE.replace("151&285_417&398", "0151&285_417&398"), "leading zeros"),
    ],
)
def test_what_is_no_label_is_refused_with_its_field(name: str, says: str) -> None:
    with pytest.raises(CcpdNameError, match=says):
        decode_name(name)
    columns = decode_names([BLUE, name, GREEN])
    assert columns.index == [0, 2]
    assert len(columns.rejected) == 1 and columns.rejected[0][0] == 1 and says in columns.rejected[0][1]


@given(
    province=st.integers(0, 32),
    letter=st.integers(0, 23),
    rest=st.lists(st.integers(0, 33), min_size=5, max_size=6),
    points=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 4000)), min_size=6, max_size=6),
    digits=st.tuples(*[st.text("0123456789", min_size=1, max_size=18)] * 5),
    suffix=st.sampled_from([".jpg", ".JPG", ".png"]),
)
def test_every_name_encodes_again(province, letter, rest, points, digits, suffix) -> None:
    area, tilt_h, tilt_v, brightness, blurriness = digits
    name = "-".join(
        (
            area,
            f"{tilt_h}_{tilt_v}",
            "_".join(f"{x}&{y}" for x, y in points[:2]),
            "_".join(f"{x}&{y}" for x, y in points[2:]),
            "_".join(map(str, (province, letter, *rest))),
            brightness,
            blurriness + suffix,
        )
    )
    label = decode_name(name)
    assert encode_name(label) == name
    right_bottom, left_bottom, left_top, right_top = points[2:]
    assert label.corners == (left_top, right_top, right_bottom, left_bottom)
    assert plate_indices(label.text) == [province, letter, *rest]
    columns = decode_names([name])  # the fast path says the same as the plain one
    assert columns.text == [label.text] and columns.area == [f"0.{area}"]
    assert columns.box[0].tolist() == list(label.box)
    assert columns.corners[0].tolist() == [list(point) for point in label.corners]
    assert (columns.tilt_h, columns.tilt_v) == ([tilt_h], [tilt_v])
    assert (columns.brightness, columns.blurriness) == ([brightness], [blurriness])


@pytest.mark.parametrize("old", ["95_113", "154&", "0_0_22"])
def test_a_number_of_thousands_of_digits_is_refused_or_kept(old: str) -> None:
    """Python refuses to read such a number; found by fuzzing."""
    name = "025-95_113-154&383_386&473-386&473_177&454_154&383_363&402-0_0_22_27_27_33_16-37-15.jpg"
    long = name.replace(old, "9" * 5000 + old)
    if old == "95_113":
        assert encode_name(decode_name(long)) == long  # tilts stay text
    else:
        with pytest.raises(CcpdNameError):
            decode_name(long)
        assert decode_names([long]).index == []


@settings(max_examples=300)
@given(st.text("0123456789-_&.jpg", max_size=80))
def test_any_text_decodes_or_is_refused(name: str) -> None:
    try:
        label = decode_name(name)
    except CcpdNameError as error:
        assert decode_names([name]).rejected == [(0, str(error))]
    else:
        assert encode_name(label) == name


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"text": "皖AE981"}, "6 characters"),
        ({"text": "皖IE981N"}, "character 2 of '皖IE981N' is 'I'"),
        ({"text": "皖AO981N"}, "character 3"),
        ({"box": (-1, 0, 5, 5)}, "0 or more"),
        ({"area": "0.5"}, "'area'"),
    ],
)
def test_what_a_name_cannot_hold_is_refused(change: dict[str, object], says: str) -> None:
    label: CcpdLabel = decode_name(BLUE)._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(CcpdNameError, match=says):
        encode_name(label)


# ---- folders


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.full((1160, 720, 3), 90, np.uint8))
    return folder


def test_a_subset_table_from_names(tmp_path: Path) -> None:
    folder = fill(tmp_path / "ccpd_base", BLUE, BASE)
    (folder / "holiday.jpg").touch()
    (folder / "Thumbs.db").touch()
    report = create_table(folder)
    assert (report.plates, report.empty, report.rejected) == (2, 0, 1)
    manifest = read_manifest(folder / TABLE)
    assert manifest.image == [BLUE, BASE] and manifest.split == ["train", "train"] and manifest.country == ["CN"] * 2
    assert manifest.extra["subset"] == ["ccpd_base"] * 2 and manifest.extra["area"] == ["0.0359", "0.1"]
    scene = manifest.scenes()[1]
    assert scene.image == folder / BASE
    assert scene.plates[0].text == "皖AH712X"
    assert is_convex_clockwise(scene.plates[0].corners)
    rejected = (folder / REJECTED_TABLE).read_text()
    assert "holiday.jpg" in rejected and "1 fields" in rejected and "Thumbs" not in rejected
    (folder / "holiday.jpg").unlink()
    create_table(folder)
    assert not (folder / REJECTED_TABLE).exists()  # a list of an earlier run would mislead


def test_crossed_vertices_in_a_name_are_rejected(tmp_path: Path) -> None:
    crossed = BLUE.replace("417&398_179&377_151&285_389&306", "179&377_417&398_151&285_389&306")
    folder = fill(tmp_path / "ccpd_tilt", BLUE, crossed)
    assert create_table(folder).rejected == 1
    assert "crossed" in (folder / REJECTED_TABLE).read_text()


def test_green_takes_the_split_from_its_folders(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        fill(tmp_path / "ccpd_green" / split, GREEN)
    create_table(tmp_path / "ccpd_green")
    manifest = read_manifest(tmp_path / "ccpd_green" / TABLE)
    assert manifest.split == ["train", "val", "test"]
    assert manifest.image == [f"{split}/{GREEN}" for split in manifest.split]
    assert len(manifest.scenes()) == 3


def test_np_is_empty_scenes(tmp_path: Path) -> None:
    folder = fill(tmp_path / "ccpd_np", "17.jpg", "18.jpg")
    assert create_table(folder).empty == 2
    scenes = read_manifest(folder / TABLE).scenes()
    assert [scene.plates for scene in scenes] == [(), ()] and scenes[0].split == "test"


@pytest.mark.parametrize("lists", ["split", "splits"])
def test_base_follows_the_official_lists(tmp_path: Path, lists: str) -> None:
    fill(tmp_path / "ccpd_base", BLUE, BASE, GREEN)
    (tmp_path / lists).mkdir()
    (tmp_path / lists / "train.txt").write_text(f"ccpd_base/{BASE}\n")
    (tmp_path / lists / "val.txt").write_text(f"ccpd_base/{BLUE}\n")
    report = create_table(tmp_path / "ccpd_base", official=official_splits(tmp_path))
    manifest = read_manifest(tmp_path / "ccpd_base" / TABLE)
    assert dict(zip(manifest.image, manifest.split, strict=True)) == {BASE: "train", BLUE: "val", GREEN: ""}
    assert "1 in no official list" in report.note


def test_missing_folders_are_named_and_nothing_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="found nothing"):
        subset_folders(tmp_path)
    fill(tmp_path / "ccpd_base")
    folders, missing = subset_folders(tmp_path, ["ccpd_base", "ccpd_weather"])
    assert folders == [tmp_path / "ccpd_base"] and missing == ["ccpd_weather"]
    with pytest.raises(ManifestError, match="holds no image"):
        create_table(tmp_path / "ccpd_base")
    with pytest.raises(ManifestError, match="ccpd_bse is no CCPD subset"):
        subset_folders(tmp_path, ["ccpd_bse"])
    with pytest.raises(ManifestError, match="is no folder"):
        subset_folders(tmp_path / "nowhere")


def test_verify_leaves_out_what_does_not_open(tmp_path: Path) -> None:
    folder = fill(tmp_path / "ccpd_blur", BLUE, BASE)
    text = GREEN.replace("-98-", "-1-")
    (folder / text).write_text("no picture")
    whole = (folder / BLUE).read_bytes()
    (folder / GREEN).write_bytes(whole[: len(whole) // 2])
    far = BLUE.replace("151&285_417&398", "1510&285_1700&398")
    fill(folder, far)
    report = create_table(folder, verify=True)
    assert (report.plates, report.rejected) == (2, 3)
    rejected = (folder / REJECTED_TABLE).read_text()
    assert "no image that OpenCV can decode" in rejected and "truncated JPEG" in rejected and "outside" in rejected
    assert "2 x 720x1160" in report.note


def test_a_full_disk_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "ccpd_db", BLUE)
    create_table(folder)
    before = (folder / TABLE).read_bytes()
    fill(folder, BASE)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(files.NotWritten, match=r"alpr_dataset\.csv was not written: the disk is full"):
        create_table(folder)
    assert (folder / TABLE).read_bytes() == before
    assert sorted(image_names(folder)) == sorted([BLUE, BASE]) and not list(folder.glob(".*"))


def test_name_lists(tmp_path: Path) -> None:
    (tmp_path / "ccpd_blur.txt").write_text(f"ccpd_blur/{BLUE}\nccpd_blur/nonsense.jpg\n")
    (tmp_path / "test.txt").write_text(f"ccpd_blur/{BLUE}\nccpd_db/{BLUE}\n")
    (tmp_path / "val.txt").write_text(f"ccpd_base/{BASE}\n")
    lists = [tmp_path / f"{name}.txt" for name in ("ccpd_blur", "test", "val")]
    reports, manifest = tables_of_lists(tmp_path, lists)
    assert [(r.plates, r.rejected) for r in reports] == [(1, 1), (1, 0), (1, 0)]
    assert manifest.split == ["test", "test", "val"] and manifest.extra["subset"] == [
        "ccpd_blur",
        "ccpd_db",
        "ccpd_base",
    ]
    assert read_manifest(tmp_path / "alpr_names.csv").image == manifest.image
    (tmp_path / "val.txt").write_text("\n")
    with pytest.raises(ManifestError, match=r"val\.txt is empty"):
        tables_of_lists(tmp_path, lists)


def test_the_script_says_what_is_missing_and_goes_on(tmp_path: Path, repository: Path) -> None:
    fill(tmp_path / "ccpd_base", BLUE)
    fill(tmp_path / "ccpd_tilt")
    command = [sys.executable, str(repository / "scripts" / "create_dataset.py"), "--dataset_path", str(tmp_path)]
    run = subprocess.run(
        [*command, "--categories", "ccpd_tilt", "ccpd_np", "ccpd_base"],
        env={"PYTHONPATH": str(repository), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1, run.stderr
    assert "Not there: ccpd_np" in run.stdout and "ccpd_tilt holds no image" in run.stdout
    assert (tmp_path / "ccpd_base" / TABLE).is_file()


# ---- real names


def official_names(real_data: Path) -> list[str]:
    lists = sorted((real_data / "CCPD2019" / "splits").glob("*.txt"))
    if not lists:
        pytest.skip("The official lists of CCPD2019 are not there.")
    return [line.rpartition("/")[2] for path in lists for line in path.read_text().split()]


def test_all_official_names_decode_and_encode_again(real_data: Path) -> None:
    names = official_names(real_data)
    columns = decode_names(names)
    assert not columns.rejected and len(columns.text) == len(names)
    assert np.array_equal(corner_box(columns.corners), columns.box)  # holds in every official test list
    assert all(encode_name(decode_name(name)) == name for name in names)


def test_real_folders(real_data: Path) -> None:
    folders = [
        real_data / "CCPD2019" / "ccpd_base",
        *(real_data / "CCPD2020" / "ccpd_green" / s for s in ("train", "val")),
    ]
    for folder in folders:
        names = [path.name for path in folder.iterdir()]
        columns = decode_names(names)
        assert names and not columns.rejected
        assert [encode_name(decode_name(name)) for name in names] == names
        assert {len(text) for text in columns.text} == ({7} if folder.name == "ccpd_base" else {8})
