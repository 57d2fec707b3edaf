"""The pictures of an evaluation: the surest errors, the worst detections, and sheets of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from patch_world import TEXTS, ColourRecogniser, PatchDetector, three_scenes

from alpr.evaluation import gallery as gallery_module
from alpr.evaluation.evaluate import evaluate
from alpr.evaluation.gallery import LABEL, DetectionGallery, Gallery, contact_sheet, write_picture
from alpr.evaluation.outcomes import PlateRecord
from alpr.plates.geometry import box_corners
from alpr.plates.records import Detection, Plate, Reading, Scene
from alpr.reader.parts import Parts


def test_the_gallery_keeps_the_surest_errors_and_plates_not_found(tmp_path: Path) -> None:
    gallery = Gallery()
    predictor = Parts(PatchDetector(lambda found: found[:1]), ColourRecogniser(TEXTS | {50: "苏A12345"}))
    evaluate(predictor, three_scenes(tmp_path), gallery=gallery)
    assert [(m.true, m.read) for m in gallery.misses] == [("皖AD12345", None), ("皖A12345", "苏A12345")]
    assert (gallery.misses[0].crop[24, 96] == 100).all()
    small = Gallery(limit=2)
    image = np.zeros((50, 100, 3), np.uint8)
    for score in (0.1, 0.9, 0.5, 0.7):
        record = PlateRecord("a", 0, "", text="A", on_crop=Reading(f"{score}", score, ()))
        small.add(image, Plate("A"), record)
    assert [m.read for m in small.misses] == ["0.9", "0.7"]


@pytest.mark.parametrize("font", [True, False])
def test_the_contact_sheet_shows_every_crop(font: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not font:
        monkeypatch.setattr(gallery_module, "_font_file", lambda: None)
    gallery = Gallery()
    for i in range(6):
        record = PlateRecord("a", 0, "", "皖A1", iou=0.0 if i < 3 else 0.9, on_crop=Reading("皖A7", i / 10, ()))
        gallery.add(np.full((48, 192, 3), 10 * i, np.uint8), Plate("皖A1"), record)
    sheet = contact_sheet(gallery.misses, columns=5)
    assert sheet.shape[1] == 5 * 200 and [int(sheet[20, 100 + 200 * i, 0]) for i in range(5)] == [0, 10, 20, 50, 40]
    assert (sheet[54:96, :200] < 100).any()  # something is written below the crop
    write_picture(sheet, tmp_path / "worst.jpg")
    assert cv2.imread(str(tmp_path / "worst.jpg")).shape == sheet.shape
    with pytest.raises(ValueError, match="none is given"):
        contact_sheet([])


def test_the_drawn_detections_are_the_worst_and_others_at_random(tmp_path: Path) -> None:
    def gallery(seed: int) -> DetectionGallery:
        gallery = DetectionGallery(worst=3, random=3, seed=seed)
        image = np.full((300, 400, 3), 90, np.uint8)
        labelled = np.array([100, 100, 200, 140], np.float32)
        truth = Scene(tmp_path / "a.png", (Plate("A", box_corners(labelled), labelled),))
        for i in range(30):
            off = labelled + np.float32(i % 10 / 2)
            found = [] if i == 17 else [Detection(box_corners(off), off, 0.5)]
            gallery.add(image, truth, found, f"{i}.png")
            gallery.add(image, Scene(tmp_path / "b.png", ()), found, "empty.png")
        return gallery

    drawn = gallery(0).drawn
    names = [d.captions[1] for d in drawn]
    assert names[:3] == ["17.png", "9.png", "19.png"] and len(set(names)) == 6
    assert drawn[0].captions[0] == "not found; 0 detections in the image"
    error = np.hypot(4.5, 4.5) / 40
    assert (
        drawn[1].captions[0].startswith(f"corner error {error:.3f}, IoU 0.7") and "score 0.50" in drawn[1].captions[0]
    )
    assert [d.captions[1] for d in gallery(0).drawn] == names != [d.captions[1] for d in gallery(1).drawn]
    near = drawn[1].picture[:, 292:]
    # The labelled plate, 100 px wide, is 288 / 1.4 px wide in the middle of the enlargement.
    green = np.abs(near.astype(int) - LABEL).max(axis=-1) < 80
    xs = np.flatnonzero(green.any(axis=0))
    assert (xs.min() + xs.max() + 1) / 2 == pytest.approx(144, abs=1.5)
    assert xs.max() - xs.min() == pytest.approx(288 / 1.4, abs=2)
    assert gallery(0).sheet(columns=4).shape == (2 * 340, 4 * 588, 3)
    with pytest.raises(ValueError, match="at least one scene"):
        DetectionGallery().sheet()
