"""Sources of crops side by side, audited labels, replaced characters and the page of the worst readings."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from patch_world import BOXES, TEXTS, ColourRecogniser, PatchDetector, draw, plate, scene, value
from rich.console import Console

from alpr.data.corrections import read_corrections
from alpr.evaluation.evaluate import evaluate
from alpr.evaluation.gallery import Gallery
from alpr.evaluation.page import evaluation_page
from alpr.evaluation.report_grids import print_report
from alpr.plates.records import Plate, Scene
from alpr.reader.parts import Parts

HEAD = "image,text,correction,reason\n"


def table(path: Path, text: str) -> Path:
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def test_sources_stand_side_by_side_and_say_what_is_missing(tmp_path: Path) -> None:
    boxes_only = Scene(draw(tmp_path / "a.png", [(50, BOXES[0])]), (plate(50, BOXES[0], corners=False),))
    missed = scene(tmp_path, "b.png", (100, BOXES[1]))
    predictor = Parts(PatchDetector(lambda found: [d for d in found if d.box[0] == 20]), ColourRecogniser())
    report = evaluate(predictor, [boxes_only, missed])
    assert report.end_to_end is not None and report.end_to_end.plates == 2 and report.end_to_end.accuracy == 0.5
    assert report.on_predicted_corners is not None and report.on_predicted_corners.plates == 1
    assert report.on_true_corners is not None and report.on_true_corners.plates == 1
    assert report.on_box is not None and report.on_box.plates == 2 and report.unavailable == {}
    alone = evaluate(predictor, [boxes_only], crops=["corners", "box"])
    assert alone.unavailable == {
        "on_true_corners": "no labelled corners",
        "end_to_end": "not asked for",
        "on_predicted_corners": "not asked for",
    }
    crops = evaluate(predictor, [Scene(missed.image, (Plate("X"),))])
    assert crops.unavailable["on_box"] == "no labelled place" and crops.plates[0].height_px == 140
    out = StringIO()
    print_report(crops, Console(file=out, width=200))
    assert "no labelled corners" in out.getvalue() and "ready-made crops" in out.getvalue()


def test_accuracy_is_raw_and_audited(tmp_path: Path) -> None:
    scenes = [scene(tmp_path, f"{c}.png", (c, BOXES[0])) for c in (50, 100, 200)]
    corrections = read_corrections(
        table(
            tmp_path / "c.csv",
            f"x/50.png,{TEXTS[50]},苏A12345,the province\n,{TEXTS[100]},unreadable,mud\n,Z99,Z98,elsewhere\n",
        )
    )
    predictor = Parts(PatchDetector(), ColourRecogniser(TEXTS | {50: "苏A12345", 100: "wrong"}))
    report = evaluate(predictor, scenes, corrections=corrections)
    assert value(report, "end_to_end_50") == pytest.approx(1 / 3) and report.audit is not None
    audited = {f.name: (f.value, f.plates) for f in report.audit.figures}
    assert audited["end_to_end_50"] == (1, 2) and audited["found_50"] == (1, 3)
    assert [c.text for c in report.audit.applied] == [TEXTS[50], TEXTS[100]]
    out = StringIO()
    print_report(report, Console(file=out, width=200))
    assert "Names no plate here: Z99 reads Z98" in out.getvalue() and "100.00 % of 2" in out.getvalue()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (",,B,why\n", "row 2 is .*expected an image or a text"),
        (",A,B,\n", "and a reason"),
        (",A,A,why\n", "is the label's own text"),
        (",A,B,why\n,A,C,why\n", "row 3: A is corrected twice"),
    ],
)
def test_a_correction_that_says_too_little_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_corrections(table(tmp_path / "c.csv", text))
    (tmp_path / "d.csv").write_text("image,text\n", encoding="utf-8")
    with pytest.raises(ValueError, match="expected the columns image,text,correction,reason"):
        read_corrections(tmp_path / "d.csv")


def test_the_committed_corrections_are_read(repository: Path) -> None:
    assert len(read_corrections(repository / "datasets" / "corrections.csv")) >= 4


def test_replaced_characters_count_as_equal_in_labels_and_readings(tmp_path: Path) -> None:
    crop = Scene(draw(tmp_path / "a.png", [(50, [0, 0, 200, 140])]), (Plate("O0A"),))
    predictor = Parts(recogniser=ColourRecogniser({50: "0OA"}))
    assert value(evaluate(predictor, [crop]), "read_on_crops") == 0
    report = evaluate(predictor, [crop], replaced={"O": "0"})
    assert value(report, "read_on_crops") == 1 and report.plates[0].text == "00A" and report.replaced == {"O": "0"}


def test_mistakes_among_symbols_that_look_alike_are_marked_and_counted_apart(tmp_path: Path) -> None:
    crop = Scene(draw(tmp_path / "a.png", [(50, [0, 0, 200, 140])]), (Plate("0A8X"),))
    predictor = Parts(recogniser=ColourRecogniser({50: "OAZ"}))
    report = evaluate(predictor, [crop], confusable=("0OQ", "8B"))
    out = StringIO()
    print_report(report, Console(file=out, width=200))
    assert "0 as O 1 (alike), 8 as nothing 1, X as Z 1" in out.getvalue()
    assert "look alike, by the country's pack: 1 of 3 wrong characters." in out.getvalue()
    written = evaluation_page(report, None).render()
    assert written.count("<td>yes</td>") == 1 and ": 1 of 3 wrong characters." in written
    plain = evaluation_page(evaluate(predictor, [crop]), None).render()
    assert "look alike" not in plain


def test_the_page_marks_what_differs_and_shows_unsure_plates(tmp_path: Path) -> None:
    scenes = [scene(tmp_path, f"{c}<b>.png", (c, BOXES[0])) for c in (50, 100, 200)]
    gallery = Gallery()
    predictor = Parts(PatchDetector(), ColourRecogniser(TEXTS | {50: "苏A1234"}))
    report = evaluate(predictor, scenes, gallery=gallery)
    written = evaluation_page(report, gallery).render()
    assert "<mark>皖</mark>A1234<mark>5</mark><br><mark>苏</mark>A1234<mark>·</mark> 90.0 %" in written
    assert [m.read for m in gallery.unsure] == [TEXTS[100], TEXTS[200]]
    assert len(re.findall("<img ", written)) == 3 and "<b>.png" not in written and "True (rows)" in written
    assert 'alt="' in written and "&lt;mark" not in written
    named = evaluation_page(report, None).render()
    assert "苏A1234" in named and "0.900" in named and "<img " not in named
    nothing = evaluate(Parts(PatchDetector(lambda found: [])), scenes, gallery=(empty := Gallery()))
    assert "Not found" in evaluation_page(nothing, empty).render()
