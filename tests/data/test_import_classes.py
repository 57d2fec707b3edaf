"""Which classes become plates, and what labels of other classes may not spoil."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from foreign_labels import BOX, QUAD, lay_out

from alpr.data.columns import ManifestError
from alpr.data.importers.class_names import Meaning, meaning
from alpr.data.importers.formats import FORMATS
from alpr.data.importers.labels import Imported, Wanted


@pytest.mark.parametrize(
    ("says", "labels"),
    [
        (
            Meaning.PLATE,
            "plate Plates license_plate LicensePlate licenseplate number-plate numberplate plate_number plate_no "
            "front.plate LP Matrícula matricula Kfz-Kennzeichen Nummernschild plaque_immatriculation targa 车牌 车牌号 "
            "蓝色车牌 Registration(Plate)",
        ),
        (Meaning.UNSURE, "plate_holder plate_template steel-plate plate_hidden"),
        (
            Meaning.NO_PLATE,
            "no_plate noplate NoPlate not-plate sin_placa ohne-Kennzeichen 无车牌 plateless plate_missing",
        ),
        (Meaning.SHOWS_PLATE, "plate_char plateCharacters license-plate-digits plate_letter car_with_plate 车牌字符"),
        (Meaning.OTHER, "car template platelet plateau contemplate person texte slp nonplate unplated"),
        (Meaning.NOTHING, "0 12 object class_0"),
    ],
)
def test_a_name_goes_by_its_whole_words(says: Meaning, labels: str) -> None:
    assert {label: meaning(label) for label in labels.split()} == dict.fromkeys(labels.split(), says)
    assert meaning("car without plate") is Meaning.NO_PLATE and meaning("car with plate") is Meaning.SHOWS_PLATE


def coco(folder: Path, *classes: str, images: int = 1, wanted: Wanted | None = None) -> Imported:
    """An image with a label of each class, or `images` with one each, read."""
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(images)],
        "annotations": [
            {"id": i, "image_id": i % images, "category_id": i, "bbox": [10 * i, 20, 9, 5]} for i in range(len(classes))
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes)],
    }
    lay_out(folder, {"a.json": json.dumps(content)}, [f"{i}.jpg" for i in range(images)])
    return FORMATS["coco"].read(folder, wanted or Wanted())


def test_what_was_taken_and_what_not_is_said(tmp_path: Path) -> None:
    imported = coco(tmp_path, "no_plate", "car without plate", "template", "platelet", "plate")
    assert imported.manifest.box[:, 0].tolist() == [40]
    assert imported.notes[:2] == (
        "Taken for plates: plate (1).",
        "Left out as no plates: no_plate (1), car without plate (1), template (1), platelet (1).",
    )


def test_several_classes_or_none_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"may be, front plate \(1\), rear_plate \(1\); .*--classes"):
        coco(tmp_path, "front plate", "rear_plate", "car")
    with pytest.raises(ManifestError, match=r"may be, plate holder \(1\); .*--classes"):
        coco(tmp_path, "plate holder", "car")
    assert coco(tmp_path, "plate", "Plate").manifest.rows == 2
    both = coco(tmp_path, "front plate", "rear_plate", "car", wanted=Wanted(classes=("Front Plate", "rear_plate")))
    assert both.manifest.rows == 2
    for lone in ("car", "no_plate", "plate_char"):
        with pytest.raises(ManifestError, match=f"No class of .* found {lone}"):
            coco(tmp_path, lone)


def test_an_image_that_shows_a_plate_without_its_place_is_not_empty(tmp_path: Path) -> None:
    manifest = coco(tmp_path, "plate", "no_plate", "plate_char", "car", images=4).manifest
    assert manifest.image == ["0.jpg", "1.jpg", "3.jpg"]
    assert [r.image for r in manifest.rejected] == ["2.jpg"] and "plate_char" in manifest.rejected[0].reason


PLATE = {"label": "plate", "points": QUAD, "shape_type": "polygon"}
BAD = [
    {"label": "driver", "points": [[1, 1]], "shape_type": "point"},
    {"label": "wheel", "points": [], "shape_type": "polygon"},
    {"label": "window", "points": [["a", 1]], "shape_type": "polygon"},
    {"label": "road", "points": [[1, 1], [2, 2]], "shape_type": "line"},
]


def test_bad_shapes_of_other_classes_spoil_nothing_in_labelme(tmp_path: Path) -> None:
    content = {"imagePath": "a.jpg", "shapes": [PLATE, *BAD]}
    imported = FORMATS["labelme"].read(lay_out(tmp_path, {"a.json": json.dumps(content)}), Wanted(strict=True))
    assert imported.manifest.corners.tolist() == [QUAD] and not imported.manifest.rejected
    assert "4 labels of other classes have no place or faults; that changes nothing." in imported.notes


@pytest.mark.parametrize("bad", [BAD[0] | {"label": "plate"}, {"points": [[1, 1]], "shape_type": "point"}])
def test_a_bad_shape_that_may_be_a_plate_leaves_the_image_out(bad: dict, tmp_path: Path) -> None:
    files = {
        f"{n}.json": json.dumps({"imagePath": f"{n}.jpg", "shapes": s})
        for n, s in (("a", [PLATE, bad]), ("b", [PLATE]))
    }
    manifest = FORMATS["labelme"].read(lay_out(tmp_path, files, ["a.jpg", "b.jpg"]), Wanted()).manifest
    assert manifest.image == ["b.jpg"] and {r.image for r in manifest.rejected} == {"a.jpg"}


def test_a_voc_object_without_a_box_counts_only_as_a_plate(tmp_path: Path) -> None:
    sides = "".join(f"<{n}>{v}</{n}>" for n, v in zip(("xmin", "ymin", "xmax", "ymax"), (41, 21, 120, 50), strict=True))
    plate = f"<object><name>plate</name><bndbox>{sides}</bndbox></object>"
    xml = "<annotation><filename>{}.jpg</filename>{}<object><name>{}</name></object></annotation>"
    files = {"a.xml": xml.format("a", plate, "driver"), "b.xml": xml.format("b", plate, "plate")}
    manifest = FORMATS["voc"].read(lay_out(tmp_path, files, ["a.jpg", "b.jpg"]), Wanted()).manifest
    assert manifest.image == ["a.jpg"] and manifest.box.tolist() == [BOX]
    assert {r.image for r in manifest.rejected} == {"b.jpg"}


def test_a_dish_is_no_plate_in_open_images(tmp_path: Path) -> None:
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\n"
    rows = "a,x,/m/01jfm_,1,0.2,0.6,0.25,0.625,0\na,x,/m/050gv4,1,0,1,0,1,0\n"
    names = "/m/050gv4,Plate\n/m/01jfm_,Plaque\n"
    files = {"train-annotations-bbox.csv": head + rows, "class-descriptions-boxable.csv": names}
    manifest = FORMATS["open-images"].read(lay_out(tmp_path, files, ["train/a.jpg"]), Wanted()).manifest
    assert manifest.box.tolist() == [pytest.approx(BOX)] and not manifest.rejected
