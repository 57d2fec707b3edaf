"""The evaluation with a predictor whose answers are known: a plate is a patch of one colour, its text that colour's."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from patch_world import BOXES, TEXTS, ColourRecogniser, PatchDetector, draw, plate, three_scenes, value
from rich.console import Console

from alpr import files
from alpr.detection.detect import Detector
from alpr.detection.settings import DetectorSettings
from alpr.evaluation.evaluate import common_folder, evaluate
from alpr.evaluation.outcomes import write_report
from alpr.evaluation.page import evaluation_page
from alpr.evaluation.report_grids import print_report
from alpr.images.prepare import read_image, rectify
from alpr.plates.geometry import box_corners, corner_box
from alpr.plates.records import Detection, FloatArray, ImageArray, Plate, Reading, Scene
from alpr.reader.parts import Parts


@pytest.fixture
def scenes(tmp_path: Path) -> list[Scene]:
    return three_scenes(tmp_path)


def test_a_perfect_predictor_scores_1(scenes: list[Scene]) -> None:
    report = evaluate(Parts(PatchDetector(), ColourRecogniser()), scenes)
    assert {f.name: f.value for f in report.figures} == {
        f"{name}{suffix}": 1.0
        for name in (
            *("read_on_true_corners", "read_on_predicted_corners", "read_on_box"),
            *("end_to_end_50", "end_to_end_70"),
        )
        for suffix in ("", "_without_province", "_without_prefix")
    } | {"found_50": 1.0, "found_70": 1.0, "found_90": 1.0}
    assert report.detection is not None
    assert (report.detection.plates, report.detection.recall_hull_90, report.detection.corner_error_p95) == (3, 1, 0)
    assert report.detection.false_positives_per_empty_image == 0
    assert (report.images, report.complete, report.errors) == (3, True, ())
    two_of_three = report.figure("end_to_end_50_without_province")
    assert two_of_three is not None and two_of_three.plates == 2  # ABC123 begins with no province


def test_a_predictor_that_swaps_two_plates_does_not(scenes: list[Scene]) -> None:
    swapped = TEXTS | {50: TEXTS[100], 100: TEXTS[50]}
    report = evaluate(Parts(PatchDetector(), ColourRecogniser(swapped)), scenes)
    assert value(report, "found_70") == 1
    assert value(report, "end_to_end_50") == pytest.approx(1 / 3)


def test_the_order_of_detections_does_not_matter(scenes: list[Scene]) -> None:
    report = evaluate(Parts(PatchDetector(lambda found: found[::-1]), ColourRecogniser()), scenes)
    assert value(report, "end_to_end_70") == 1


def test_a_wrong_province_counts_apart(scenes: list[Scene]) -> None:
    report = evaluate(Parts(PatchDetector(), ColourRecogniser(TEXTS | {50: "苏A12345"})), scenes)
    assert value(report, "end_to_end_50") == pytest.approx(2 / 3)
    assert value(report, "read_on_true_corners") == pytest.approx(2 / 3)
    assert value(report, "end_to_end_50_without_province") == 1
    assert report.on_true_corners is not None and report.on_true_corners.cer == pytest.approx(1 / 21)


def test_a_plate_found_loosely_is_read_end_to_end_at_50_not_at_70(scenes: list[Scene]) -> None:
    def widen(found: list[Detection]) -> list[Detection]:
        return [replace(d, corners=d.corners + np.array([[0, 0], [0, 0], [0, 20], [0, 20]])) for d in found[:1]]

    report = evaluate(Parts(PatchDetector(widen), ColourRecogniser()), scenes[1:2])  # 30 of 50 px high: IoU 0.6
    assert (value(report, "end_to_end_50"), value(report, "end_to_end_70")) == (1, 0)
    assert report.plates[0].iou == pytest.approx(0.6)
    assert report.plates[0].corner_error == pytest.approx(10 / 30)


def test_a_plate_that_is_hardly_touched_is_not_found_and_not_read(scenes: list[Scene]) -> None:
    def shift(found: list[Detection]) -> list[Detection]:
        return [replace(d, corners=d.corners + np.float32([36, 0])) for d in found]

    report = evaluate(Parts(PatchDetector(shift), ColourRecogniser()), scenes[1:2])  # 44 of 116 px: IoU 0.38
    assert report.plates[0].iou == pytest.approx(44 / 116)
    assert (value(report, "found_50"), value(report, "end_to_end_50")) == (0, 0)
    assert report.on_predicted_corners is None and report.false_positives == {"one.png": 1}


def test_a_plate_not_found_is_not_read(scenes: list[Scene]) -> None:
    report = evaluate(Parts(PatchDetector(lambda found: found[:1]), ColourRecogniser()), scenes)
    assert value(report, "found_50") == pytest.approx(2 / 3)
    assert value(report, "end_to_end_50") == pytest.approx(2 / 3)
    assert value(report, "read_on_predicted_corners") == 1
    assert report.on_predicted_corners is not None and report.on_predicted_corners.plates == 2
    assert value(report, "read_on_true_corners") == 1


def test_false_positives_are_counted_by_image(tmp_path: Path) -> None:
    truth = [Scene(draw(tmp_path / f"{i}.png", [(30, BOXES[0])] if i else []), ()) for i in range(3)]
    report = evaluate(Parts(PatchDetector()), truth)
    assert report.detection is not None
    assert report.detection.false_positives_per_empty_image == pytest.approx(2 / 3)
    assert report.false_positives == {"1.png": 1, "2.png": 1}
    assert report.figures == () and report.detection.recall_hull_50 is None


def test_a_predictor_that_finds_nothing(scenes: list[Scene]) -> None:
    report = evaluate(Parts(PatchDetector(lambda found: []), ColourRecogniser()), scenes)
    assert (value(report, "found_50"), value(report, "end_to_end_50")) == (0, 0)
    assert value(report, "read_on_predicted_corners") is None
    assert report.on_predicted_corners is None


def test_plates_of_unknown_text_count_for_detection_only(tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png", [(50, BOXES[0]), (100, BOXES[1])])
    truth = Scene(image, (plate(50, BOXES[0]), plate(100, BOXES[1], text=False)))
    report = evaluate(Parts(PatchDetector(), ColourRecogniser()), [truth])
    counts = {f.name: f.plates for f in report.figures}
    assert (counts["found_50"], counts["end_to_end_50"], counts["read_on_true_corners"]) == (2, 1, 1)


def test_plates_with_a_box_only_are_read_end_to_end_but_not_on_true_corners(tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png", [(50, BOXES[0])])
    truth = Scene(image, (plate(50, BOXES[0], corners=False),))
    report = evaluate(Parts(PatchDetector(), ColourRecogniser()), [truth])
    assert value(report, "end_to_end_70") == 1
    assert value(report, "read_on_true_corners") is None
    assert report.plates[0].width_px == 60 and report.plates[0].tilt_deg is None


def test_ready_made_crops_are_read_as_they_are(tmp_path: Path) -> None:
    truth = [Scene(draw(tmp_path / f"{c}.png", [(c, [0, 0, 200, 140])]), (Plate(TEXTS[c]),)) for c in (50, 100)]
    detector = PatchDetector()
    report = evaluate(Parts(detector, ColourRecogniser(TEXTS | {100: "皖AD1234"})), truth)
    assert value(report, "read_on_crops") == 0.5
    assert report.detection is None and detector.batches == []
    assert report.on_crops is not None and report.on_crops.cer == pytest.approx(1 / 15)
    assert {f.name for f in report.figures} == {
        f"read_on_crops{suffix}" for suffix in ("", "_without_province", "_without_prefix")
    }


def test_one_half_alone_gives_its_half_of_the_report(scenes: list[Scene]) -> None:
    found = evaluate(Parts(detector=PatchDetector()), scenes)
    assert [f.name for f in found.figures] == ["found_50", "found_70", "found_90"]
    read = evaluate(Parts(recogniser=ColourRecogniser()), scenes)
    assert {f.name for f in read.figures} == {
        f"read_on_{source}{suffix}"
        for source in ("true_corners", "box")
        for suffix in ("", "_without_province", "_without_prefix")
    }
    assert read.detection is None
    with pytest.raises(ValueError, match="neither a detector nor a recogniser"):
        evaluate(Parts(), scenes)


def test_an_unreadable_image_is_listed_and_skipped(scenes: list[Scene], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    report = evaluate(
        Parts(PatchDetector(), ColourRecogniser()), [Scene(bad, (plate(50, BOXES[0]),)), *scenes], batch=2
    )
    assert [e.image for e in report.errors] == ["bad.jpg"] and str(bad) in report.errors[0].error
    assert report.images == 3 and value(report, "end_to_end_50") == 1
    with pytest.raises(ValueError, match=r"None of 1 images.*bad\.jpg"):
        evaluate(Parts(PatchDetector()), [Scene(bad, ())])
    with pytest.raises(ValueError, match="no scene"):
        evaluate(Parts(PatchDetector()), [])


def test_an_image_that_the_detector_refuses_costs_only_itself(scenes: list[Scene]) -> None:
    class Fussy(PatchDetector):
        def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
            if any((image == 200).any() for image in images):
                raise ValueError("too bright")
            return super().detect(images)

    report = evaluate(Parts(Fussy(), ColourRecogniser()), scenes)
    assert report.images == 2 and value(report, "found_50") == 1
    assert "one.png" in report.errors[0].error and "too bright" in report.errors[0].error


def test_ctrl_c_leaves_a_partial_report(scenes: list[Scene]) -> None:
    class Stopped(PatchDetector):
        def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
            if self.batches:
                raise KeyboardInterrupt
            return super().detect(images)

    report = evaluate(Parts(Stopped(), ColourRecogniser()), scenes, batch=1)
    assert not report.complete and report.images == 1 and len(report.plates) == 2


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_the_batch_changes_nothing(scenes: list[Scene], batch: int) -> None:
    predictor = Parts(PatchDetector(lambda found: found[:1]), ColourRecogniser(TEXTS | {50: "苏A12345"}))
    whole = evaluate(predictor, scenes, batch=3)
    other = evaluate(predictor, scenes, batch=batch, workers=1)
    assert replace(other, seconds=0) == replace(whole, seconds=0)


def test_slices_by_hand(scenes: list[Scene]) -> None:
    groups = {scenes[0].image: {"subset": "dark"}, scenes[1].image: {"subset": "light"}}
    report = evaluate(Parts(PatchDetector(), ColourRecogniser(TEXTS | {50: "苏A12345"})), scenes, groups=groups)
    by = {(s.by, s.value): (s.plates, s.figures.get("end_to_end_50")) for s in report.slices}
    assert by == {
        ("split", "test"): (1, 1),
        ("split", "val"): (2, 0.5),
        ("folder", "blur"): (2, 0.5),
        ("folder", "tilt"): (1, 1),
        ("province", "皖"): (2, 0.5),
        ("province", "unknown"): (1, 1),
        ("plate height", "20-30 px"): (1, 0),
        ("plate height", "30-40 px"): (2, 1),
        ("plate width", "40-80 px"): (1, 0),
        ("plate width", "80-120 px"): (2, 1),
        ("text length", "6 characters"): (1, 1),
        ("text length", "7 characters"): (1, 0),
        ("text length", "8 characters"): (1, 1),
        ("subset", "dark"): (2, 0.5),
        ("subset", "light"): (1, 1),
        ("subset", "unknown"): (0, None),
        ("brightness", "40-80 grey"): (1, 0),
        ("brightness", "80-120 grey"): (1, 1),
        ("brightness", ">= 200 grey"): (1, 1),
    }


def test_slices_by_any_column_of_plates_and_the_page_shows_them(scenes: list[Scene]) -> None:
    columns = {scenes[0].image: [{"rows": "2"}, {"rows": ""}], scenes[1].image: [{"rows": "1"}]}
    predictor = Parts(PatchDetector(), ColourRecogniser(TEXTS | {50: "苏A12345"}))
    report = evaluate(predictor, scenes, columns=columns, slices=["rows", "country"])
    by = [(s.by, s.value, s.plates, s.figures["end_to_end_50"]) for s in report.slices]
    assert by == [("rows", "1", 1, 1), ("rows", "2", 1, 0), ("rows", "unknown", 1, 1), ("country", "CN", 3, 2 / 3)]
    page = evaluation_page(report, None).render()
    assert "By rows" in page and "By country" in page and "By split" not in page
    assert "By split" in evaluation_page(evaluate(predictor, scenes), None).render()


def test_slices_carry_corner_error_and_by_image_ap_and_false_positives(scenes: list[Scene]) -> None:
    groups = {s.image: {"manifest": "empty" if not s.plates else "full"} for s in scenes}
    wrong = Detection(box_corners(np.float32([0, 0, 9, 9])), np.float32([0, 0, 9, 9]), 0.9)

    def shifted(found: list[Detection]) -> list[Detection]:
        return [wrong, *(replace(d, corners=d.corners + np.float32([0, 2])) for d in found)]

    report = evaluate(Parts(PatchDetector(shifted)), scenes, groups=groups)
    by = {(s.by, s.value): s for s in report.slices}
    full, empty = by["manifest", "full"], by["manifest", "empty"]
    assert full.plates == 3 and full.figures["corner_error_median"] == pytest.approx(2 / 30)
    assert full.figures["false_positives_per_image"] == 1 and 0.4 < full.figures["ap_box_50"] < 1
    assert empty.plates == 0 and empty.figures == {"false_positives_per_image": 1, "false_positives_per_empty_image": 1}
    small = by["plate width", "40-80 px"]
    assert small.figures["corner_error_p95"] == pytest.approx(2 / 20) and "ap_box_50" not in small.figures
    assert small.figures["found_90"] == 0 and small.figures["found_70"] == 1


def test_an_ignored_plate_is_no_record_is_not_read_and_excuses_what_is_found_there(tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png", [(50, BOXES[0]), (100, BOXES[1])])
    truth = Scene(image, (plate(50, BOXES[0]), replace(plate(100, BOXES[1]), ignored=True)))
    report = evaluate(Parts(PatchDetector(), ColourRecogniser()), [truth])
    assert [p.text for p in report.plates] == [TEXTS[50]] and report.false_positives == {}
    assert report.on_true_corners is not None and report.on_true_corners.plates == 1
    assert report.detection is not None and report.detection.ap_hull_50_95 == pytest.approx(1)
    part = evaluate(Parts(PatchDetector()), [Scene(image, (plate(50, BOXES[0]),), complete=False)])
    assert part.false_positives == {} and value(part, "found_90") == 1


def test_ap_looks_below_the_threshold_and_everything_else_does_not(tmp_path: Path) -> None:
    boxes = np.array([[BOXES[0], BOXES[1], [150, 100, 170, 110]]], np.float32) / 2  # the input is half the image
    scores = np.array([[0.9, 0.2, 0.1]], np.float32)
    detector = Detector(
        lambda images: (scores, boxes, box_corners(boxes)), DetectorSettings(96, score_threshold=0.5, multiple=4)
    )
    image = np.zeros((140, 192, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    truth = Scene(tmp_path / "a.png", (plate(50, BOXES[0]), plate(100, BOXES[1])))
    report = evaluate(Parts(detector), [truth])
    assert report.detection is not None and report.detection.ap_box_50 == pytest.approx(1)
    assert (report.detection.detections, report.detection.recall_hull_50) == (1, 0.5)
    assert report.detection.false_positives_per_image == 0 and value(report, "found_50") == 0.5
    assert [p.input_width_px for p in report.plates] == [30, 40]
    assert detector.settings.score_threshold == 0.5  # the deployed one is not changed


def test_tilt_is_the_angle_of_the_text(tmp_path: Path) -> None:
    corners = np.array([[20, 20], [80, 80], [70, 90], [10, 30]], np.float32)
    truth = Scene(draw(tmp_path / "a.png", []), (Plate("A1", corners),))
    turned = Scene(truth.image, (Plate("A1", corners[[2, 3, 0, 1]]),))
    report = evaluate(Parts(recogniser=ColourRecogniser()), [truth, turned])
    assert [p.tilt_deg for p in report.plates] == [pytest.approx(45), pytest.approx(135)]


def test_common_folder() -> None:
    assert common_folder([Path("/a/b/c/1.jpg"), Path("/a/b/d/2.jpg"), Path("/a/b/3.jpg")]) == Path("/a/b")
    assert common_folder([Path("/a/b/1.jpg")]) == Path("/a/b")


def test_the_report_file_is_whole_or_absent(
    scenes: list[Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Parts(PatchDetector(), ColourRecogniser())
    report = evaluate(predictor, scenes, model={"name": "fake"}, manifests={"labels.csv": "0" * 64})
    path = tmp_path / "out" / "report.json"
    write_report(report, path)
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["model"] == {"name": "fake"} and data["manifests"] == {"labels.csv": "0" * 64}
    assert data["plates"][0]["on_predicted_corners"]["text"] == "皖A12345"
    assert data["plates"][0]["image"] == "blur/two.png" and str(tmp_path) not in path.read_text(encoding="utf-8")
    before = path.read_bytes()

    def full_disk(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(files.NotWritten, match="the disk is full"):
        write_report(report, path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["report.json"]


def test_the_table_names_figures_and_errors(scenes: list[Scene], tmp_path: Path) -> None:
    missing = Scene(tmp_path / "missing[1].png", ())
    report = evaluate(Parts(PatchDetector(), ColourRecogniser(TEXTS | {50: "苏A12345"})), [*scenes, missing])
    out = StringIO()
    print_report(report, Console(file=out, width=200))
    text = out.getvalue()
    for expected in ("end to end at IoU 0.5", "66.67 %", "皖 as 苏 1", "recall hull 50", "40-80 px", "missing[1].png"):
        assert expected in text


def test_real_scenes_with_a_predictor_that_knows_them(real_data: Path) -> None:
    """The labels themselves as predictions: every labelled place is found and no true crop is refused."""
    folder = real_data / "scenes" / "cn_street"
    by_image: dict[str, list[Plate]] = {}
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            numbers = [float(row[f"{c}_{a}"]) for c in ("tl", "tr", "br", "bl") for a in "xy"]
            quad = np.array(numbers, np.float32).reshape(4, 2)
            by_image.setdefault(row["image"], []).append(Plate(row["text"], quad, corner_box(quad), row["country"]))
    scenes = [Scene(folder / image, tuple(plates), "val") for image, plates in by_image.items()]
    known = {read_image(s.image).tobytes(): s.plates for s in scenes}

    class Knowing(ColourRecogniser):
        def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
            return [[Detection(p.corners, p.box, 1.0) for p in known[image.tobytes()]] for image in images]

        def read_plates(self, image: ImageArray, corners: Sequence[FloatArray]) -> list[Reading]:
            texts = {p.corners.tobytes(): p.text for p in known[image.tobytes()]}
            assert all(rectify(image, quad, (48, 192)).std() > 1 for quad in corners)
            return [Reading(texts[quad.tobytes()], 1.0, ()) for quad in corners]

    report = evaluate(Parts(Knowing(), Knowing()), scenes, crops=("corners", "detector"))
    assert report.images == 44 and len(report.plates) == 57 and not report.errors
    assert all(f.value == 1 for f in report.figures)
    assert report.detection is not None and report.detection.ap_box_50_95 == pytest.approx(1)


def test_evaluation_imports_no_torch(repository: Path) -> None:
    code = "import sys, alpr.evaluation.evaluate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["data.manfest=x"], "Did you mean data.manifest?"),
        (["+modl=x"], "Did you mean model?"),
        ([], "Nothing gives data.manifest"),
        (["data.manifest=x", "input_px=[320,big]"], "input_px is [320, 'big']; expected a size in px"),
        (["data.manifest=x", "batch=0"], "batch is 0; expected a whole number from 1"),
        (["data.manifest=x", "only=both"], "only is 'both'"),
    ],
)
def test_a_wrong_setting_is_one_sentence(arguments: list[str], sentence: str, repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "alpr", "evaluate", *arguments, *([f"output={tmp_path}"] * bool(arguments))]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and sentence in ran.stderr and "Traceback" not in ran.stderr
