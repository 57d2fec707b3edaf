"""Every rule of a protocol, on photographs whose figures are counted by hand (tests/hand_scored.py)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hand_scored import AWAY, LABEL, TEXTS, labels, name_of, plate, predictions

from alpr.data.corrections import Correction
from alpr.data.manifest import Manifest
from alpr.evaluation.intervals import wilson
from alpr.evaluation.protocols.matching import is_right
from alpr.evaluation.protocols.misses import Cause, budget_of, cause_of
from alpr.evaluation.protocols.published import OVERALL
from alpr.evaluation.protocols.report import ProtocolReport, protocol_report
from alpr.evaluation.protocols.rules import DetectionRule, Protocol, RecognitionRule
from alpr.plates.geometry import box_corners
from alpr.reader.predictions import Predicted

README = Protocol.read("ccpd2019")
PAPER = replace(README, recognition=RecognitionRule("detection", 0.6))


def scored(protocol: Protocol, trained: frozenset[str] | None = None, **more: object) -> ProtocolReport:
    return protocol_report(protocol, labels(Path("/photographs")), predictions(), trained=trained, **more)  # type: ignore[arg-type]


def share(report: ProtocolReport, name: str, column: str) -> Fraction:
    cell = report.cell(name, column)
    assert cell is not None
    return Fraction(cell.value).limit_denominator(1000)


def test_the_best_box_counts_above_its_iou_and_not_at_it() -> None:
    report = scored(README)
    assert share(report, "detected", "DB") == Fraction(4, 9)  # a f g i; b lies at 0.7 exactly, d and e have nothing
    assert share(report, "detected", "FN") == Fraction(3, 4)  # k l a; the best of j lies elsewhere
    assert share(report, "detected", OVERALL) == Fraction(7, 13)
    assert [c.images for c in report.columns] == [9, 0, 4, 0, 0, 0]


def test_the_readme_asks_for_no_iou_and_the_paper_for_one() -> None:
    readme, paper = scored(README), scored(PAPER)
    assert share(readme, "read", "DB") == Fraction(5, 9)  # a b c h i, h from a box that lies elsewhere
    assert share(paper, "read", "DB") == Fraction(3, 9)  # a b i; c lies at 0.6 exactly
    assert share(readme, "read", "FN") == share(paper, "read", "FN") == Fraction(1, 4)
    assert share(paper, "read", OVERALL) == Fraction(4, 13)


def test_six_of_seven_and_the_province_apart() -> None:
    report = scored(README)
    assert share(report, "read_all_but_one", "DB") == Fraction(6, 9)  # and g
    assert share(report, "read_all_but_one", "FN") == Fraction(2, 4)  # k and a; l has two wrong
    assert share(report, "read_without_province", "DB") == Fraction(6, 9)
    assert share(report, "read_province", "DB") == Fraction(5, 9)  # an empty text has none, g another
    assert share(scored(PAPER), "read_without_province", "DB") == Fraction(4, 9)  # a b g i
    assert share(report, "given_all", OVERALL) == 1 and report.cell("given_all", OVERALL).plates == 3  # type: ignore[union-attr]


def test_of_equally_good_boxes_the_worst_counts_where_the_protocol_says_so() -> None:
    assert share(scored(replace(README, ties="worst")), "detected", "DB") == Fraction(3, 9)  # not i either


def test_any_box_may_find_a_plate_where_the_protocol_says_so() -> None:
    report = scored(replace(README, candidates="all"))
    assert share(report, "detected", "DB") == Fraction(5, 9)  # and h
    assert share(report, "detected", "FN") == 1  # and j


def test_missing_plates_are_wrong_or_left_out() -> None:
    left_out = scored(replace(README, missing="left_out"))
    assert share(left_out, "read", "DB") == Fraction(5, 7)  # without d and e
    assert share(left_out, "detected", "DB") == Fraction(4, 9)
    assert [Path(p).name for p in scored(README).missing] == [name_of("d")]


def test_a_photograph_of_two_columns_counts_once_overall_where_the_protocol_says_so() -> None:
    report = scored(replace(README, repeated="once"))
    assert (report.overall.images, report.overall.plates) == (12, 12)
    assert share(report, "detected", OVERALL) == Fraction(6, 12)
    assert share(report, "detected", "FN") == Fraction(3, 4)


def test_the_overall_mean_of_columns_and_of_provinces() -> None:
    assert share(scored(replace(README, mean="columns")), "detected", OVERALL) == (Fraction(4, 9) + Fraction(3, 4)) / 2
    assert share(scored(replace(README, mean="provinces")), "detected", OVERALL) == (Fraction(6, 12) + 1) / 2


def test_plates_of_training_are_left_out_where_the_protocol_says_so() -> None:
    strict = replace(README, plates="not_in_training")
    report = scored(strict, frozenset({TEXTS["a"], "皖Z99999"}))
    assert (report.in_training, report.overall.plates, report.whole) == (2, 11, False)
    assert share(report, "detected", OVERALL) == Fraction(5, 11)
    with pytest.raises(ValueError, match=r"give data\.train"):
        scored(strict)
    assert scored(README, frozenset({TEXTS["a"]})).in_training == 0


def test_a_protocol_that_counts_no_row_says_what_it_counts() -> None:
    with pytest.raises(ValueError, match="No row counts under the protocol gfickel; it counts ccpd_challenge"):
        scored(Protocol.read("gfickel"))


def test_hulls_are_compared_where_the_protocol_says_so() -> None:
    """A base label, whose box is not the hull of its corners."""
    hull, box = np.array([100, 100, 200, 140.0]), np.array([100, 100, 160, 140.0])
    manifest = Manifest.of(Path("/p"), ["x.jpg"], text="皖A12345", box=box[None], corners=box_corners(hull)[None])
    found = [Predicted("x.jpg", (plate(hull, "皖A12345"),))]
    by_hull = Protocol.read("plain")
    assert protocol_report(by_hull, manifest, found).cell("detected", "all").value == 1  # type: ignore[union-attr]
    by_box = replace(by_hull, detection=DetectionRule("box", "box", 0.6))  # 60 / 100
    assert protocol_report(by_box, manifest, found).cell("detected", "all").value == 0  # type: ignore[union-attr]


def test_two_plates_in_an_image_each_have_their_own_detection() -> None:
    boxes = np.array([LABEL, AWAY], float)
    corners = np.stack([box_corners(box) for box in boxes])
    manifest = Manifest.of(Path("/p"), ["x.jpg", "x.jpg"], text=["皖A11111", "皖A22222"], box=boxes, corners=corners)
    other = plate((700, 700, 800, 740), "皖A33333", score=0.95)
    found = [Predicted("x.jpg", (plate(AWAY, "皖A22222"), other, plate(LABEL, "皖A1111", score=0.5)))]
    plain = Protocol.read("plain")
    report = protocol_report(plain, manifest, found)
    assert (share(report, "detected", "all"), share(report, "read", "all")) == (1, Fraction(1, 2))
    best = protocol_report(replace(plain, candidates="best"), manifest, found)  # the two best, one lies elsewhere
    assert share(best, "detected", "all") == Fraction(1, 2)


def test_crops_by_the_label_ask_for_no_detection() -> None:
    report = scored(replace(README, detection=None, recognition=RecognitionRule("corners", None, "without_province")))
    assert report.figure("detected") is None
    assert share(report, "read", OVERALL) == 1 and report.cell("read", OVERALL).plates == 3  # type: ignore[union-attr]


def test_a_system_that_only_detects_has_no_figures_of_reading() -> None:
    found = [
        Predicted(p.image, tuple(replace(q, reading=replace(q.reading, text="")) for q in p.plates))
        for p in predictions()
    ]
    report = protocol_report(README, labels(Path("/p")), found)
    assert report.figure("read") is None and report.figure("detected") is not None
    assert sum(report.budget.values()) == 0


def test_every_miss_has_one_cause_and_the_counts_sum_to_the_misses() -> None:
    report = scored(README)
    causes = {o.text: cause_of(o, README) for o in report.plates}
    expected = {
        "d": Cause.NOT_FOUND, "e": Cause.NOT_FOUND, "j": Cause.NOT_FOUND, "f": Cause.READ_WRONG,
        "g": Cause.LABEL_SUSPECT, "k": Cause.CORNERS_OFF, "l": Cause.GRAMMAR_WRONG,
    }  # fmt: skip
    assert causes == {text: expected.get(letter) for letter, text in TEXTS.items()}
    assert sum(report.budget.values()) == sum(is_right(README, o) is False for o in report.plates) == 7
    for changed in ({"repeated": "once"}, {"missing": "left_out"}, {"candidates": "all"}):
        protocol = replace(PAPER, **changed)
        other = scored(protocol)
        read = other.cell("read", OVERALL)
        assert read is not None and sum(other.budget.values()) == round(read.plates * (1 - read.value))


def test_a_corrected_label_is_suspect_whatever_else_fits() -> None:
    wrong = Correction("", TEXTS["j"], "皖B00000", "made up")
    report = scored(README, corrections=(wrong,))
    assert budget_of(README, report.plates)[Cause.LABEL_SUSPECT] == 2


@pytest.mark.parametrize(
    ("text", "text_score", "given", "cause"),
    [
        ("苏A12346", 0.98, None, Cause.READ_WRONG),  # not sure enough
        ("苏A12300", 0.999, None, Cause.READ_WRONG),  # three characters
        ("苏A12346", 0.999, None, Cause.LABEL_SUSPECT),
        ("苏A12346", 0.999, "苏A12346", Cause.LABEL_SUSPECT),
        ("苏A12346", 0.999, "沪A12346", Cause.READ_WRONG),  # the true corners say something else
        ("苏A12346", 0.999, "皖A12346", Cause.CORNERS_OFF),
    ],
)
def test_when_a_sure_reading_puts_the_label_in_doubt(
    text: str, text_score: float, given: str | None, cause: Cause
) -> None:
    outcome = next(o for o in scored(README).plates if o.text == TEXTS["g"])
    assert outcome.on_predicted_corners is not None and TEXTS["g"] == "皖A12346"
    reading = replace(outcome.on_predicted_corners, text=text, score=text_score)
    by_label = None if given is None else replace(reading, text=given)
    changed = replace(outcome, on_predicted_corners=reading, on_true_corners=by_label)
    assert cause_of(changed, README) is cause


def test_intervals_take_plates_not_photographs() -> None:
    """One plate ten times, always right, and one once, wrong: hardly more than one plate says."""
    n = 11
    box = np.array([LABEL] * n, float)
    text = ["皖A11111"] * 10 + ["皖A22222"]
    manifest = Manifest.of(Path("/p"), [f"{i}.jpg" for i in range(n)], text=text, box=box)
    found = [Predicted(f"{i}.jpg", (plate(LABEL, "皖A11111"),)) for i in range(n)]
    cell = protocol_report(Protocol.read("plain"), manifest, found).cell("read", OVERALL)
    assert cell is not None and cell.value == pytest.approx(10 / 11) and cell.effective == 1
    assert (cell.low, cell.high) == pytest.approx(wilson(10 / 11, 1))


def test_calibration_and_coverage_are_those_of_the_readings_that_count() -> None:
    report = scored(PAPER)
    # DB a b c, d e f, g h i; FN j k l a. The best boxes of h and j overlap nothing: nothing is read there.
    scores = [0.8] * 3 + [0.0, 0.0, 0.0, 0.995, 0.0, 0.8] + [0.0, 0.8, 0.8, 0.8]
    right = [True, True, False, False, False, False, False, False, True, False, False, False, True]
    in_08, in_1 = [r for s, r in zip(scores, right, strict=True) if s == 0.8], 1
    ece = (len(in_08) * abs(0.8 - sum(in_08) / len(in_08)) + in_1 * 0.995) / 13
    assert report.cell("read_ece", OVERALL).value == pytest.approx(ece)  # type: ignore[union-attr]
    assert report.cell("read_coverage", OVERALL).value == 0  # type: ignore[union-attr]
