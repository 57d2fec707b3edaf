"""Recognition metrics against slow plain versions and hand-computed cases."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache

import numpy as np
import oracles
import pytest

from alpr.plates.records import Reading
from alpr.recognition.metrics import (
    CharacterScore,
    Confusion,
    Edit,
    LengthScore,
    ProvinceScore,
    RecognitionMetrics,
    align,
    area_under_risk,
    coverage_at_precision,
    edit_distance,
    expected_calibration_error,
    reliability,
    risk_coverage,
)


def reading(text: str, score: float = 0.9) -> Reading:
    return Reading(text, score, (1.0,) * len(text))


def scores(*pairs: tuple[str, str]) -> RecognitionMetrics:
    metrics = RecognitionMetrics()
    for i, (true, read) in enumerate(pairs):
        metrics.update(reading(read, 0.5 + 0.01 * (i % 40)), true)
    return metrics


def slow_distance(a: str, b: str) -> int:
    """The recursive definition."""

    @lru_cache(None)
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        same = distance(i - 1, j - 1) + (a[i - 1] != b[j - 1])
        return min(same, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(a), len(b))


def random_texts(seed: int, count: int) -> list[tuple[str, str]]:
    generator = np.random.default_rng(seed)

    def text(least: int) -> str:
        return "".join(generator.choice(list("皖AB0"), generator.integers(least, 8)))

    return [(text(1), text(0)) for _ in range(count)]


def test_edit_distance_equals_the_recursive_definition() -> None:
    for true, read in random_texts(0, 300):
        assert edit_distance(true, read) == slow_distance(true, read)


def test_an_alignment_spells_both_texts() -> None:
    for true, read in random_texts(1, 100):
        edits = align(true, read)
        assert "".join(e.true for e in edits) == true
        assert "".join(e.read for e in edits) == read


def test_an_alignment_finds_the_character_left_out() -> None:
    assert align("皖A12", "皖12") == [Edit("皖", "皖"), Edit("A", ""), Edit("1", "1"), Edit("2", "2")]


def test_figures_by_hand() -> None:
    metrics = scores(("皖A123", "皖A123"), ("皖A123", "苏A123"), ("皖B8", "皖BB"), ("皖C77", "皖77"))
    result = metrics.compute()
    assert result.plates == 4
    assert result.accuracy == 1 / 4
    assert result.accuracy_without_first == 2 / 4
    assert result.character_accuracy == (5 + 4 + 2 + 2) / 17  # of 皖C77, read 皖77: 皖 and the 7 at place 3
    assert result.cer == 3 / 17
    assert result.by_length == (LengthScore(3, 1, 0.0), LengthScore(4, 1, 0.0), LengthScore(5, 2, 0.5))
    assert result.confusions == (Confusion("8", "B", 1), Confusion("C", "", 1), Confusion("皖", "苏", 1))


def test_without_the_first_character_the_lengths_must_agree() -> None:
    result = scores(("A", ""), ("皖A1", "A1")).compute()
    assert result.accuracy_without_first == 0


def test_one_character_too_many_is_wrong() -> None:
    result = scores(("AB", "ABC")).compute()
    assert (result.accuracy, result.character_accuracy, result.cer) == (0, 1, 0.5)


def test_the_most_frequent_confusion_comes_first() -> None:
    result = scores(("0", "D"), ("8", "B"), ("8", "B")).compute()
    assert result.confusions[0] == Confusion("8", "B", 2)


def test_calibration_error_by_hand() -> None:
    # bin (0.9, 1]: mean score 0.95, half right; bin (0.4, 0.5]: 0.5, all right
    values, right = [0.92, 0.98, 0.5], [True, False, True]
    assert expected_calibration_error(values, right) == pytest.approx(2 / 3 * 0.45 + 1 / 3 * 0.5)
    # 0.5 lies in the bin of 0.45, not of 0.55
    assert expected_calibration_error([0.45, 0.5, 0.55], [True, True, False]) == pytest.approx((1.05 + 0.55) / 3)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0
    assert expected_calibration_error([], []) is None


def test_calibration_error_equals_a_slow_version() -> None:
    generator = np.random.default_rng(0)
    values = generator.random(200).tolist()
    right = (generator.random(200) < 0.6).tolist()
    expected = 0.0
    for low in range(10):
        inside = [i for i, v in enumerate(values) if low / 10 < v <= (low + 1) / 10]
        if inside:
            gap = np.mean([values[i] for i in inside]) - np.mean([right[i] for i in inside])
            expected += len(inside) / 200 * abs(float(gap))
    assert expected_calibration_error(values, right) == pytest.approx(expected)


def test_coverage_equals_trying_every_threshold() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        values = generator.integers(0, 12, 40) / 12
        right = generator.random(40) < values
        best = 0.0
        for threshold in set(values.tolist()):
            kept = values >= threshold
            if right[kept].mean() >= 0.8:
                best = max(best, float(kept.mean()))
        assert coverage_at_precision(values.tolist(), right.tolist(), 0.8) == pytest.approx(best)


def test_coverage_does_not_part_equal_scores() -> None:
    assert coverage_at_precision([0.9, 0.9], [True, False], 0.99) == 0
    assert coverage_at_precision([0.9, 0.8], [True, False], 0.99) == 0.5
    assert coverage_at_precision([0.9] * 100, [True] * 99 + [False], 0.99) == 1
    assert coverage_at_precision([], [], 0.99) is None


def test_empty_cases() -> None:
    nothing = RecognitionMetrics().compute()
    assert all(v is None or v in (0, ()) for v in asdict(nothing).values())
    unread = scores(("AB", "")).compute()
    assert (unread.accuracy, unread.character_accuracy, unread.cer) == (0, 0, 1)
    with pytest.raises(ValueError, match="'AB' is empty"):
        RecognitionMetrics().update(reading("AB"), "")


def test_shards_merge_to_the_whole_and_are_not_changed() -> None:
    pairs = random_texts(2, 60)
    whole = RecognitionMetrics()
    first, second = RecognitionMetrics(), RecognitionMetrics()
    for i, (true, read) in enumerate(pairs):
        for metrics in (whole, first if i < 25 else second):
            metrics.update(reading(read, i / 60), true)
    before = first.compute()
    assert first.merge(second).compute() == whole.compute()
    assert first.compute() == before
    assert RecognitionMetrics().merge(first).compute() == before


def test_the_risk_curve_and_its_area_by_hand() -> None:
    values, right = [0.9, 0.8, 0.8, 0.1], [True, False, True, True]
    curve = risk_coverage(values, right)
    assert [(p.threshold, p.coverage, p.risk, p.kept) for p in curve] == [
        (0.9, 0.25, 0, 1),
        (0.8, 0.75, 1 / 3, 3),
        (0.1, 1.0, 0.25, 4),
    ]
    assert area_under_risk(curve) == pytest.approx(0.5 / 3 + 0.25 / 4)
    assert area_under_risk(risk_coverage([0.5, 0.4], [False, False])) == 1
    assert area_under_risk(()) is None


def test_area_and_coverage_equal_slow_versions_in_any_order() -> None:
    generator = np.random.default_rng(1)
    for _ in range(30):
        values = (generator.integers(0, 15, 30) / 15).tolist()
        right = (generator.random(30) < values).tolist()
        curve = risk_coverage(values, right)
        np.testing.assert_allclose([(p.coverage, p.risk) for p in curve], oracles.risk_curve(values, right))
        assert area_under_risk(curve) == pytest.approx(oracles.area_under_risk(values, right))
        assert coverage_at_precision(values, right, 0.8) == pytest.approx(oracles.coverage_at(values, right, 0.8))
        assert risk_coverage(values[::-1], right[::-1]) == curve


def test_every_province_counts_once_in_the_macro_average() -> None:
    pairs = [("皖A1", "皖A1"), ("皖A2", "皖A2"), ("皖A3", "皖A3"), ("苏B1", "皖B1"), ("ABC", "xxx")]
    result = scores(*pairs).compute()
    assert result.macro_accuracy == 0.5 == oracles.macro_accuracy(pairs[:4])  # ABC has no province
    assert result.by_province == (ProvinceScore("皖", 3, 1, 1), ProvinceScore("苏", 1, 0, 1))
    assert scores(("ABC", "ABC")).compute().macro_accuracy is None


def test_the_prefix_is_two_characters() -> None:
    assert scores(("皖A12", "苏B12"), ("皖A12", "皖A1")).compute().accuracy_without_prefix == 0.5


def test_an_upside_down_or_empty_reading_by_hand() -> None:
    # 皖A69 upside down: the province and the order are lost
    result = scores(("皖A69", "69V皖"), ("皖A69", "")).compute()
    assert (result.accuracy, result.accuracy_without_prefix, result.character_accuracy) == (0, 0, 0)
    assert result.cer == (4 + 4) / 8
    assert result.by_character == tuple(CharacterScore(c, 2, 0.0) for c in "69A皖")


def test_characters_are_counted_where_the_texts_align() -> None:
    result = scores(("A1", "1"), ("A1", "A1")).compute()
    assert result.by_character == (CharacterScore("1", 2, 1.0), CharacterScore("A", 2, 0.5))


def test_a_reliability_bin_holds_its_readings() -> None:
    (low, high) = reliability([0.0, 0.1, 0.95], [False, True, True])
    assert (low.low, low.high, low.readings, low.mean_score, low.accuracy) == (0, 0.1, 2, 0.05, 0.5)
    assert (high.low, high.readings, high.accuracy) == (0.9, 1, 1)


def test_a_long_curve_is_thinned_and_ends_at_full_coverage() -> None:
    metrics = RecognitionMetrics()
    for i in range(1000):
        metrics.update(reading("A", i / 1000), "A")
    curve = metrics.compute().risk_coverage
    assert len(curve) == 100 and curve[-1].coverage == 1 and curve[0].coverage < 0.02
