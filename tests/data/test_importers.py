"""Foreign formats: literal files of each as its own tools write them, and every format there and back."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from foreign_labels import BOX, LITERAL, QUAD, QUAD_ARRAY, VOC, lay_out, photograph

from alpr.data.columns import ManifestError
from alpr.data.importers.class_names import means_plate
from alpr.data.importers.corner_order import mend_order
from alpr.data.importers.formats import FORMATS, export, guess, written_formats
from alpr.data.importers.labels import Imported, Wanted
from alpr.data.importers.places import image_size, split_of_folders, split_of_name
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest


@pytest.mark.parametrize(("name", "files", "images", "rows"), LITERAL, ids=[case[0] for case in LITERAL])
def test_a_literal_file_of_the_format(name: str, files: dict, images: list, rows: list, tmp_path: Path) -> None:
    source = lay_out(tmp_path / "set", files, images)
    assert guess(source) == name
    manifest = FORMATS[name].read(source, Wanted()).manifest
    assert not manifest.rejected
    assert list(zip(manifest.image, manifest.text, manifest.split, strict=True)) == [(r[0], r[1], r[4]) for r in rows]
    nothing = [np.nan] * 4
    np.testing.assert_allclose(manifest.box, [r[2] or nothing for r in rows], atol=1e-9)
    np.testing.assert_allclose(manifest.corners, [r[3] or [[np.nan] * 2] * 4 for r in rows], atol=1e-9)
    assert all(manifest.path(row).is_file() for row in range(manifest.rows))


def test_what_else_a_label_says(tmp_path: Path) -> None:
    source = lay_out(tmp_path, LITERAL[0][1], LITERAL[0][2])
    imported = FORMATS["coco"].read(source, Wanted(country="FR"))
    assert imported.manifest.extra["kind"] == ["", "ignore", ""]
    assert imported.manifest.country == ["GB", "FR", ""]
    assert "Left out as no plates: car (1)." in imported.notes
    assert "1 texts held spaces, which were taken out." in imported.notes


def full_manifest(folder: Path) -> Manifest:
    """Plates with all that a manifest can hold, in two splits; one image holds none."""
    names = [f"{split}/{i}.jpg" for split in ("train", "val") for i in range(3)]
    for name in names:
        photograph(folder / name)
    quads = QUAD_ARRAY + np.stack([np.arange(6), np.zeros(6)], axis=1)[:, None]
    quads[-1] = np.nan
    boxes = np.concatenate([quads.min(axis=1), quads.max(axis=1)], axis=1)
    texts = [*(f"皖AE98{i}N" for i in range(1, 6)), ""]
    countries = ["CN"] * 5 + [""]
    splits = ["train"] * 3 + ["val"] * 3
    return Manifest.of(folder, names, text=texts, country=countries, box=boxes, corners=quads, split=splits)


@pytest.mark.parametrize("name", written_formats())
def test_there_and_back(name: str, tmp_path: Path) -> None:
    manifest = full_manifest(tmp_path / "from")
    held = FORMATS[name].holds
    lost = export(manifest, name, tmp_path / "to")
    source = tmp_path / "to" / "manifest.csv" if name == "manifest" else tmp_path / "to"
    back = FORMATS[name].read(source, Wanted()).manifest
    assert not back.rejected
    place = {manifest.path(row).resolve(): row for row in range(manifest.rows)}
    rows = [place[back.path(row).resolve()] for row in range(back.rows)]
    assert sorted(rows) == list(range(6 if "empty" in held else 5))
    assert ("1 images without a plate were left out." in lost) == ("empty" not in held)
    if name not in ("gfickel", "ccpd"):  # their splits are those of CCPD's folders
        assert [manifest.split[row] for row in rows] == back.split
    if "text" in held:
        assert [manifest.text[row] for row in rows] == back.text
    else:
        assert "5 texts were dropped." in lost
    if "box" in held and ("both" in held or "corners" not in held):
        np.testing.assert_allclose(back.box, manifest.box[rows], atol=1e-3)
    if "corners" in held:
        np.testing.assert_allclose(back.corners, manifest.corners[rows], atol=1e-3)
    else:
        assert "5 quads of corners were dropped." in lost


@pytest.mark.parametrize("name", [name for name, each in FORMATS.items() if "kind" in each.holds])
def test_regions_to_ignore_come_back(name: str, tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg")
    boxes = [BOX, [150, 5, 170, 13]]
    manifest = Manifest.of(tmp_path, ["a.jpg"] * 2, text=["AB1", ""], box=boxes, extra={"kind": ["", "ignore"]})
    export(manifest, name, tmp_path / "to")
    source = tmp_path / "to" / "manifest.csv" if name == "manifest" else tmp_path / "to"
    assert FORMATS[name].read(source, Wanted()).manifest.extra["kind"] == ["", "ignore"]


def test_a_scene_that_cannot_be_held_whole_is_left_out(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg")
    corners = [QUAD, np.full((4, 2), np.nan)]
    manifest = Manifest.of(tmp_path, ["a.jpg"] * 2, box=[BOX, [150, 5, 170, 13]], corners=corners)
    lost = export(manifest, "yolo-obb", tmp_path / "to")
    assert "1 images were left out: a plate of theirs has no corners." in lost
    assert not list((tmp_path / "to").rglob("*.txt"))
    export(manifest, "yolo-pose", tmp_path / "pose")
    back = FORMATS["yolo-pose"].read(tmp_path / "pose", Wanted()).manifest
    assert np.isfinite(back.corners).all(axis=(1, 2)).tolist() == [True, False]


def test_images_of_one_name_stay_apart(tmp_path: Path) -> None:
    names = ["one/a.jpg", "two/a.jpg", "two/a.png"]
    for name in names:
        photograph(tmp_path / name)
    export(Manifest.of(tmp_path, names, box=[BOX] * 3), "yolo", tmp_path / "to", "copy")
    assert len(list((tmp_path / "to" / "images").iterdir())) == len(list((tmp_path / "to" / "labels").iterdir())) == 3


TURNED = QUAD_ARRAY[:, ::-1][::-1] + 0.0  # upright: turned by 90 degrees, clockwise


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("reverse", [False, True])
def test_corners_are_mended_where_the_shape_decides(start: int, reverse: bool) -> None:
    given = np.roll(QUAD_ARRAY, -start, axis=0)
    given = np.concatenate([given[:1], given[:0:-1]]) if reverse else given
    mended = mend_order(given[None])
    np.testing.assert_array_equal(mended.corners[0], QUAD_ARRAY)
    assert mended.anticlockwise[0] == reverse and mended.other_start[0] == (start > 0) and not mended.undecided[0]


def test_corners_that_the_shape_does_not_decide_stay() -> None:
    square = np.array([[10.0, 10], [20, 10], [20, 20], [10, 20]])
    quads = np.array([TURNED, np.roll(TURNED, 1, axis=0), np.roll(square, 1, axis=0), square])
    mended = mend_order(quads)
    np.testing.assert_array_equal(mended.corners, quads)
    assert mended.undecided.tolist() == [True, True, True, False]


def test_crossed_corners_are_mended_and_a_dent_is_not() -> None:
    crossed = QUAD_ARRAY[[0, 1, 3, 2]]
    dented = np.array([[0.0, 0], [50, 0], [25, 5], [25, 40]])
    mended = mend_order(np.array([crossed, dented]))
    np.testing.assert_array_equal(mended.corners, [QUAD_ARRAY, dented])
    assert mended.crossed.tolist() == [True, False]


def test_mending_is_counted_and_can_be_forbidden(tmp_path: Path) -> None:
    line = "a.jpg\t" + json.dumps([{"transcription": "A1", "points": [QUAD[k] for k in (2, 3, 0, 1)]}])
    source = lay_out(tmp_path, {"det.txt": line})
    imported = FORMATS["paddle-det"].read(source, Wanted())
    assert imported.notes == ("1 of 1 quads began at another corner and were mended.",)
    np.testing.assert_array_equal(imported.manifest.corners[0], QUAD)
    kept = FORMATS["paddle-det"].read(source, Wanted(keep_order=True))
    np.testing.assert_array_equal(kept.manifest.corners[0], np.roll(QUAD_ARRAY, 2, axis=0))


def test_named_key_points_decide_the_order(tmp_path: Path) -> None:
    turned = TURNED.tolist()
    points = [v for k in (1, 2, 3, 0) for v in (*turned[k], 2)]
    names = ["top_right", "bottom_right", "bottom_left", "top_left"]
    category = {"id": 1, "name": "plate", "keypoints": names}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": points}],
        "categories": [category],
    }
    source = lay_out(tmp_path, {"a.json": json.dumps(content)})
    np.testing.assert_array_equal(FORMATS["coco"].read(source, Wanted()).manifest.corners[0], TURNED)


def yolo_of(tmp_path: Path, **lines: str) -> Path:
    files = {f"labels/{stem}.txt": line for stem, line in lines.items()}
    images = [f"images/{stem}.jpg" for stem in lines if stem != "missing"]
    return lay_out(tmp_path, {"data.yaml": "names: {0: plate}\n", **files}, images)


GOOD = "0 0.4 0.4375 0.4 0.375\n"


def test_bad_records_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    faults = {
        "nan": "0 nan 0.4 0.1 0.1\n",
        "text": "0 x 0.4 0.1 0.1\n",
        "short": "0 0.4 0.4\n",
        "pixels": "0 60 30 40 20\n",
        "negative": GOOD + "0 0.5 0.5 -0.1 0.1\n",
        "missing": GOOD,
    }
    source = yolo_of(tmp_path, good=GOOD, empty="", **faults)
    manifest = FORMATS["yolo"].read(source, Wanted()).manifest
    assert sorted(manifest.image) == ["images/empty.jpg", "images/good.jpg"]
    reasons = {Path(r.file).stem: r.reason for r in reversed(manifest.rejected)}
    for stem, says in [("nan", "nan"), ("text", "expected numbers"), ("short", "3 cells"), ("pixels", "shares")]:
        assert says in reasons[stem]
    assert "no area" in reasons["negative"] or "another label" in reasons["negative"]
    assert sum("another label of this image" in r.reason for r in manifest.rejected) == 1
    assert "no image of this name" in reasons["missing"]
    with pytest.raises(ManifestError, match=r"\.txt"):
        FORMATS["yolo"].read(source, Wanted(strict=True))


def test_open_images_of_other_tools_have_names_for_codes_and_tables_in_a_folder(tmp_path: Path) -> None:
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n"
    boxes = f"{head}a,,license_plate,1,0.2,0.6,0.25,0.625\na,,car,1,0,1,0,1\n"
    files = {"annotations/train-annotations-bbox.csv": boxes}
    found = FORMATS["open-images"].read(lay_out(tmp_path, files, ["images/train/a.jpg"]), Wanted())
    assert found.manifest.image == ["images/train/a.jpg"] and found.manifest.box[0].tolist() == pytest.approx(BOX)
    assert found.manifest.split == ["train"]


def test_label_studio_counts_the_pixels_of_voc_from_zero(tmp_path: Path) -> None:
    owned = VOC.replace("<folder>", "<owner><name>Label Studio</name></owner><folder>")
    source = lay_out(tmp_path, {"Annotations/a.xml": owned}, ["JPEGImages/a.jpg"])
    box = [float(v) for v in re.findall(r"<[xy]m..>(.*?)<", VOC)]
    assert FORMATS["voc"].read(source, Wanted()).manifest.box[0].tolist() == box[:4]


def test_voc_coordinates_from_zero_are_taken_as_they_stand(tmp_path: Path) -> None:
    source = lay_out(tmp_path, {"a.xml": VOC.replace("<xmin>1<", "<xmin>0<")})
    imported = FORMATS["voc"].read(source, Wanted())
    np.testing.assert_array_equal(imported.manifest.box[0], [41, 21, 120, 50])
    assert any("as they stand" in note for note in imported.notes)


def test_a_turned_cvat_box_gives_corners(tmp_path: Path) -> None:
    box = '<box label="plate" xtl="10" ytl="30" xbr="90" ybr="50" rotation="30.0"></box>'
    xml = f'<annotations><image id="0" name="a.jpg" width="200" height="80">{box}</image></annotations>'
    manifest = FORMATS["cvat"].read(lay_out(tmp_path, {"x.xml": xml}), Wanted()).manifest
    edge = manifest.corners[0, 1] - manifest.corners[0, 0]
    np.testing.assert_allclose(edge, [80 * np.cos(np.pi / 6), 80 * np.sin(np.pi / 6)])
    np.testing.assert_allclose(manifest.corners[0].mean(axis=0), [50, 40])


@pytest.mark.parametrize(
    ("label", "yes"),
    [("plate", True), ("License_Plate", True), ("number-plate", True), ("placa", True), ("LP", True), ("car", False)],
)
def test_which_classes_are_plates(label: str, yes: bool) -> None:
    assert means_plate(label) == yes


def test_classes_can_be_named_and_must_be_where_none_is_known(tmp_path: Path) -> None:
    source = yolo_of(tmp_path, a="0 0.4 0.4375 0.4 0.375\n1 0.5 0.5 1 1\n")
    (source / "data.yaml").write_text("names: [front, rear]\n")
    with pytest.raises(ManifestError, match=r"found front \(1\), rear \(1\).*--classes"):
        FORMATS["yolo"].read(source, Wanted())
    for named in ("front", "0"):
        assert FORMATS["yolo"].read(source, Wanted(classes=(named,))).manifest.box.tolist() == [pytest.approx(BOX)]
    (source / "labels/a.txt").write_text(GOOD)
    (source / "data.yaml").unlink()
    imported = FORMATS["yolo"].read(source, Wanted())
    assert imported.notes == ("The only class, '0', was taken for the plates.",)


def test_labels_that_are_texts(tmp_path: Path) -> None:
    shapes = [{"label": "AB 123", "points": QUAD, "shape_type": "polygon"}]
    source = lay_out(tmp_path, {"a.json": json.dumps({"shapes": shapes, "imagePath": "a.jpg"})})
    assert FORMATS["labelme"].read(source, Wanted(label_is_text=True)).manifest.text == ["AB123"]


def test_a_guess_is_made_only_where_it_is_certain(tmp_path: Path) -> None:
    lay_out(tmp_path / "both", {"a.xml": VOC, "a.txt": GOOD})
    with pytest.raises(ManifestError, match="may be voc or yolo; name it with --from"):
        guess(tmp_path / "both")
    lay_out(tmp_path / "none", {"a.txt": "hello\n"})
    with pytest.raises(ManifestError, match="no known format"):
        guess(tmp_path / "none")


def test_splits_of_names() -> None:
    assert [split_of_name(n) for n in ("train2017", "instances_val", "Testing", "contest", "valid")] == [
        *("train", "val", "test", "", "val")
    ]
    assert split_of_folders("data/train/images/val_3.jpg") == "train"


def test_the_size_is_that_of_the_picture_as_it_is_read(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == (30, 20) == cv2.imread(str(tmp_path / "a.jpg")).shape[:2]
    photograph(tmp_path / "b.png", (5, 7))
    assert image_size(tmp_path / "b.png") == (5, 7)


def test_sizes_come_from_the_headers(tmp_path: Path) -> None:
    big = photograph(tmp_path / "a.jpg", (300, 400))
    big.write_bytes(big.read_bytes()[:1000])  # nothing is left to decode
    assert image_size(big) == (300, 400)


def test_the_command(tmp_path: Path, repository: Path) -> None:
    source = yolo_of(tmp_path / "set", a=GOOD, bad="0 nan 0 0 0\n")
    command = [sys.executable, "-m", "alpr", "data", "convert", str(source), "--output"]
    table = tmp_path / "set" / "manifest.csv"
    done = subprocess.run([*command, str(table)], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "YOLO boxes: 1 plates in 1 images" in done.stdout and "1 records rejected" in done.stdout
    assert read_manifest(table).image == ["images/a.jpg"]
    assert "nan" in (tmp_path / "set" / "manifest.rejected.csv").read_text()
    imported: Imported = FORMATS["manifest"].read(table, Wanted())
    assert imported.manifest.box.tolist() == [pytest.approx(BOX)]


def test_the_official_names_of_ccpd(real_data: Path) -> None:
    lists = real_data / "CCPD2019" / "splits" / "ccpd_blur.txt"
    if not lists.is_file():
        pytest.skip(f"No official list at {lists}.")
    manifest = FORMATS["ccpd"].read(lists, Wanted()).manifest
    assert guess(lists) == "ccpd" and manifest.rows > 20000 and set(manifest.split) == {"test"}
