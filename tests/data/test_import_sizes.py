"""Labels against the picture: declared sizes, EXIF orientation, and shares where pixels are expected."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from foreign_labels import BOX, QUAD, lay_out, photograph

from alpr.data.columns import ManifestError
from alpr.data.importers.declared_sizes import Frame, _turned
from alpr.data.importers.formats import FORMATS
from alpr.data.importers.labels import Imported, Wanted
from alpr.data.manifest import Manifest


def turned_photograph(path: Path, orientation: int, stored: tuple[int, int]) -> Path:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", stored[::-1]).save(path, exif=exif)
    return path


def coco(folder: Path, declared: tuple[int, int], *boxes: list[float]) -> Imported:
    """Boxes x1, y1, x2, y2 of a.jpg, whose size is declared as (height, width), read."""
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": declared[0], "width": declared[1]}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for i, (x1, y1, x2, y2) in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "plate"}],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return FORMATS["coco"].read(folder, Wanted())


def in_voc(box: list[float], width: int, height: int) -> str:
    sides = "".join(f"<{n}>{v}</{n}>" for n, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    name = "<filename>a.jpg</filename>"
    return f"<annotation>{name}{size}<object><name>plate</name><bndbox>{sides}</bndbox></object></annotation>"


def in_labelme(box: list[float], width: int, height: int) -> str:
    shape = {"label": "plate", "points": [box[:2], box[2:]], "shape_type": "rectangle"}
    return json.dumps({"imagePath": "a.jpg", "shapes": [shape], "imageWidth": width, "imageHeight": height})


def in_cvat(box: list[float], width: int, height: int) -> str:
    sides = " ".join(f'{n}="{v}"' for n, v in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True))
    image = f'<image id="0" name="a.jpg" width="{width}" height="{height}"><box label="plate" {sides}/></image>'
    return f"<annotations>{image}</annotations>"


def in_roboflow(box: list[float], width: int, height: int) -> str:
    cells = ",".join(map(str, ("a.jpg", width, height, "plate", *box)))
    return f"filename,width,height,class,xmin,ymin,xmax,ymax\n{cells}\n"


DECLARING = {
    "voc": ("a.xml", in_voc),
    "labelme": ("a.json", in_labelme),
    "cvat": ("a.xml", in_cvat),
    "roboflow-csv": ("a.csv", in_roboflow),
}


@pytest.mark.parametrize("name", DECLARING)
def test_labels_of_a_resized_picture_are_scaled(name: str, tmp_path: Path) -> None:
    file, content = DECLARING[name]
    lay_out(tmp_path, {file: content([20.5, 10, 60, 25], 100, 40)})
    imported = FORMATS[name].read(tmp_path, Wanted())
    np.testing.assert_allclose(imported.manifest.box, [[41, 20, 120, 50]])
    assert any("were scaled (first a.jpg: 100x40 to 200x80)" in note for note in imported.notes)


@pytest.mark.parametrize("name", DECLARING)
def test_labels_of_another_ratio_are_left_out(name: str, tmp_path: Path) -> None:
    file, content = DECLARING[name]
    lay_out(tmp_path, {file: content([20.5, 10, 60, 25], 100, 60)})
    with pytest.raises(ManifestError, match="declare 100x60 px, the picture has 200x80: another ratio"):
        FORMATS[name].read(tmp_path, Wanted())


@pytest.mark.parametrize("size", [(80, 200), (0, 0), (27, 67)])
def test_a_size_that_agrees_or_says_nothing_changes_no_label(size: tuple[int, int], tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg", size if size[0] else (80, 200))
    imported = coco(tmp_path, size, [4, 2, 12, 5])
    np.testing.assert_array_equal(imported.manifest.box, [[4, 2, 12, 5]])
    assert imported.notes == ("Taken for plates: plate (1).",)


def test_a_size_may_be_rounded(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg", (80, 201))
    np.testing.assert_allclose(
        coco(tmp_path, (27, 67), [10, 5, 20, 10]).manifest.box[0], [30, 14.8, 60, 29.6], atol=0.05
    )


def test_an_unlabelled_picture_of_another_ratio_is_not_known_to_be_empty(tmp_path: Path) -> None:
    image = '<image id="0" name="{}" width="{}" height="80">{}</image>'
    box = '<box label="plate" xtl="1" ytl="1" xbr="20" ybr="9"/>'
    xml = f"<annotations>{image.format('a.jpg', 200, box)}{image.format('b.jpg', 90, '')}</annotations>"
    manifest = FORMATS["cvat"].read(lay_out(tmp_path, {"a.xml": xml}, ["a.jpg", "b.jpg"]), Wanted()).manifest
    assert manifest.image == ["a.jpg"] and [r.image for r in manifest.rejected] == ["b.jpg"]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_points_are_turned_as_opencv_turns_pictures(orientation: int, tmp_path: Path) -> None:
    from PIL import Image

    stored = np.zeros((40, 60, 3), np.uint8)
    stored[8:14, 40:48] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    rows, columns = np.nonzero(cv2.imread(str(tmp_path / "a.jpg"))[..., 0] > 128)
    turned = _turned(np.array([[40.0, 8], [48, 14]]), Frame(40, 60), orientation)
    np.testing.assert_array_equal(turned.min(axis=0), [columns.min(), rows.min()])
    np.testing.assert_array_equal(turned.max(axis=0), [columns.max() + 1, rows.max() + 1])


def test_labels_that_fit_only_the_stored_picture_are_turned(tmp_path: Path) -> None:
    turned_photograph(tmp_path / "a.jpg", 6, (60, 200))  # upright: 200 high, 60 wide
    imported = coco(tmp_path, (60, 200), [140, 20, 180, 30])
    np.testing.assert_array_equal(imported.manifest.box, [[30, 140, 40, 180]])
    assert any("drawn on the stored picture and were turned" in note for note in imported.notes)


def test_labels_that_fit_only_the_upright_picture_stay_whatever_size_is_declared(tmp_path: Path) -> None:
    turned_photograph(tmp_path / "a.jpg", 8, (60, 200))
    imported = coco(tmp_path, (60, 200), [20, 150, 50, 160])
    np.testing.assert_array_equal(imported.manifest.box, [[20, 150, 50, 160]])
    assert any("lie right on the upright picture" in note for note in imported.notes)


def test_labels_that_fit_both_ways_are_asked_about(tmp_path: Path) -> None:
    turned_photograph(tmp_path / "a.jpg", 6, (60, 200))
    with pytest.raises(ManifestError, match=r"first a\.jpg: the labels fit both ways.*--orientation"):
        coco(tmp_path, (60, 200), [10, 20, 50, 30])
    for answer, box in (("stored", [30, 10, 40, 50]), ("upright", [10, 20, 50, 30])):
        manifest = FORMATS["coco"].read(tmp_path, Wanted(orientation=answer)).manifest
        np.testing.assert_array_equal(manifest.box, [box])


def test_labels_that_fit_neither_way_or_cannot_be_turned_are_left_out(tmp_path: Path) -> None:
    turned_photograph(tmp_path / "a.jpg", 6, (60, 200))
    with pytest.raises(ManifestError, match="outside the 200x60 px that they declare, either way"):
        coco(tmp_path, (60, 200), [100, 20, 180, 50], [20, 150, 50, 160])
    photograph(tmp_path / "a.jpg", (200, 60))
    with pytest.raises(ManifestError, match="no EXIF orientation between them"):
        coco(tmp_path, (60, 200), [100, 20, 180, 50])


def test_an_orientation_that_leaves_the_size_is_asked_about_where_others_were_turned(tmp_path: Path) -> None:
    turned_photograph(tmp_path / "a.jpg", 6, (60, 200))
    turned_photograph(tmp_path / "b.jpg", 3, (60, 200))
    box = '<box label="plate" xtl="140" ytl="20" xbr="180" ybr="30"/>'
    images = "".join(f'<image name="{n}.jpg" width="200" height="60">{box}</image>' for n in "ab")
    lay_out(tmp_path, {"a.xml": f"<annotations>{images}</annotations>"}, [])
    with pytest.raises(ManifestError, match=r"first b\.jpg"):
        FORMATS["cvat"].read(tmp_path, Wanted())
    manifest = FORMATS["cvat"].read(tmp_path, Wanted(orientation="stored")).manifest
    np.testing.assert_array_equal(manifest.box, [[30, 140, 40, 180], [20, 30, 60, 40]])


def test_percent_of_a_swapped_size_are_asked_about_and_spread_over_the_picture(tmp_path: Path) -> None:
    turned_photograph(tmp_path / "a.jpg", 6, (60, 200))
    value = {"x": 10, "y": 20, "width": 50, "height": 30, "rectanglelabels": ["plate"]}
    result = {"id": "r", "original_width": 200, "original_height": 60, "value": value}
    task = {"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"result": [result]}]}
    lay_out(tmp_path, {"a.json": json.dumps([task])}, [])
    with pytest.raises(ManifestError, match="--orientation"):
        FORMATS["label-studio"].read(tmp_path, Wanted())
    manifest = FORMATS["label-studio"].read(tmp_path, Wanted(orientation="upright")).manifest
    np.testing.assert_allclose(manifest.box, [[6, 40, 36, 100]])


SHARES = [0.2, 0.25, 0.6, 0.625]


def test_shares_are_made_pixels_where_all_labels_are_shares(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg")
    imported = coco(tmp_path, (80, 200), SHARES)
    np.testing.assert_allclose(imported.manifest.box, [BOX])
    assert any("gave shares" in note for note in imported.notes)


def test_shares_follow_the_picture_where_no_size_is_declared(tmp_path: Path) -> None:
    points = [[x / 200, y / 80] for x, y in QUAD]
    line = "a.jpg\t" + json.dumps([{"transcription": "A1", "points": points}])
    imported = FORMATS["paddle-det"].read(lay_out(tmp_path, {"det.txt": line}), Wanted())
    np.testing.assert_allclose(imported.manifest.corners, [QUAD])
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(ManifestError, match="shares of the image's size, which is not declared"):
        FORMATS["paddle-det"].read(tmp_path, Wanted())


def test_shares_among_pixels_are_left_out(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg")
    with pytest.raises(ManifestError, match="within one pixel; expected pixels, and these are shares"):
        coco(tmp_path, (80, 200), BOX, SHARES)


def test_shares_in_voc(tmp_path: Path) -> None:
    manifest = FORMATS["voc"].read(lay_out(tmp_path, {"a.xml": in_voc(SHARES, 200, 80)}), Wanted()).manifest
    np.testing.assert_allclose(manifest.box, [BOX])


def test_shares_in_a_table_of_our_own(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg")
    Manifest.of(tmp_path, ["a.jpg", "b.jpg"], box=[SHARES, BOX]).write(tmp_path / "mixed.csv")
    mixed = FORMATS["manifest"].read(tmp_path / "mixed.csv", Wanted()).manifest
    assert mixed.image == ["b.jpg"] and "shares" in mixed.rejected[0].reason
    Manifest.of(tmp_path, ["a.jpg"], box=[SHARES]).write(tmp_path / "shares.csv")
    with pytest.raises(ManifestError, match="as shares of the image; expected px"):
        FORMATS["manifest"].read(tmp_path / "shares.csv", Wanted())
