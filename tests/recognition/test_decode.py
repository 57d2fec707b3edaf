"""Decoding of both networks against slow plain versions and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alpr.detection.decode import MAX_CANDIDATES, decode_detections, nms
from alpr.detection.detect import Detector
from alpr.detection.settings import DetectorSettings
from alpr.plates.charset import Charset
from alpr.plates.geometry import box_corners
from alpr.recognition.decode import decode_logits, softmax

CHARSET = Charset("AB1")


def slow_nms(boxes: np.ndarray, scores: np.ndarray, limit: float) -> list[int]:
    """Greedy NMS written out, one pair at a time."""

    def iou(a: np.ndarray, b: np.ndarray) -> float:
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        shared = max(0.0, width) * max(0.0, height)
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
        return shared / union if union > 0 else 0.0

    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(iou(boxes[i], boxes[j]) <= limit for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("seed", range(20))
def test_nms_equals_the_slow_one(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = int(generator.integers(0, 60))
    low = generator.uniform(0, 50, (count, 2))
    boxes = np.concatenate([low, low + generator.uniform(0, 40, (count, 2))], axis=1).astype(np.float32)
    scores = generator.integers(0, 10, count).astype(np.float32) / 10  # with ties
    for limit in (0.0, 0.3, 0.45, 1.0):
        assert nms(boxes, scores, limit).tolist() == slow_nms(boxes, scores, limit)


def test_an_overlap_that_equals_the_threshold_keeps_both() -> None:
    boxes, scores = np.array([[0, 0, 4, 4], [0, 0, 4, 2]], np.float32), np.array([0.9, 0.8], np.float32)  # IoU 0.5
    for limit, kept in ((0.5, 2), (0.4999, 1)):
        assert len(nms(boxes, scores, limit)) == kept
        found = decode_detections(scores, boxes, box_corners(boxes), DetectorSettings(nms_iou=limit, corner_vote=None))
        assert len(found) == kept


def _decode(
    scores: list[float], boxes: list[list[float]], settings: DetectorSettings
) -> list[tuple[float, list[float]]]:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    corners = box_corners(array).astype(np.float32)
    found = decode_detections(np.array(scores, np.float32), array, corners, settings)
    return [(round(d.score, 4), d.box.tolist()) for d in found]


def test_threshold_order_and_the_most_plates() -> None:
    apart = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]
    scores = [0.5, 0.2999, 0.9, 0.5]
    settings = DetectorSettings(score_threshold=0.5)
    assert _decode(scores, apart, settings) == [(0.9, apart[2]), (0.5, apart[0]), (0.5, apart[3])]
    assert len(_decode(scores, apart, DetectorSettings(max_plates=2))) == 2
    assert _decode([], [], settings) == []


def test_overlap_is_judged_by_the_corners_hull_and_not_by_the_box() -> None:
    boxes = np.array([[0, 0, 100, 100], [0, 0, 100, 100]], np.float32)
    corners = box_corners(np.array([[0, 0, 40, 40], [50, 50, 100, 100]], np.float32))
    scores = np.array([0.8, 0.7], np.float32)
    assert len(decode_detections(scores, boxes, corners, DetectorSettings())) == 2
    corners = box_corners(np.array([[0, 0, 40, 40], [0, 0, 40, 41]], np.float32))
    apart = np.array([[0, 0, 1, 1], [50, 50, 60, 60]], np.float32)
    assert len(decode_detections(scores, apart, corners, DetectorSettings())) == 1


def test_values_that_are_no_numbers_are_refused() -> None:
    boxes = np.array([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], np.float32)
    scores = np.array([0.0, 0.9, 0.9], np.float32)
    assert len(decode_detections(scores, boxes, box_corners(boxes), DetectorSettings())) == 2
    for i, damaged in ((0, scores), (1, boxes), (2, box_corners(boxes))):
        outputs = [scores, boxes, box_corners(boxes)]
        outputs[i] = damaged.copy()
        outputs[i][1] = (np.nan, np.inf, -np.inf)[i]
        with pytest.raises(ValueError, match="outputs that are not finite; its weights are damaged"):
            decode_detections(*outputs, DetectorSettings())
    boxes[0] = np.inf  # of a score that nobody asks for, as half precision may give
    assert len(decode_detections(scores, boxes, box_corners(boxes), DetectorSettings())) == 2


def test_of_many_candidates_the_best_survive() -> None:
    generator = np.random.default_rng(0)
    count = 20_000
    low = generator.uniform(0, 600, (count, 2))
    boxes = np.concatenate([low, low + generator.uniform(5, 60, (count, 2))], axis=1).astype(np.float32)
    scores = generator.uniform(0.3, 1, count).astype(np.float32)
    found = decode_detections(scores, boxes, box_corners(boxes), DetectorSettings(max_plates=MAX_CANDIDATES))
    assert found[0].score == scores.max()
    best = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    assert len(found) == len(slow_nms(boxes[best], scores[best], 0.45))


def _cluster(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, boxes and corners of 40 candidates around each of 4 plates, and of 40 anywhere."""
    middles = np.array([[100, 60], [300, 60], [100, 200], [150, 215]], np.float32)
    quad = np.array([[-30, -12], [30, -8], [30, 12], [-30, 8]], np.float32)
    corners = [quad + middle + generator.normal(0, 3, (40, 4, 2)) for middle in middles]
    corners.append(quad + generator.uniform(0, 600, (40, 1, 2)))
    joined = np.concatenate(corners).astype(np.float32)
    boxes = np.concatenate([joined.min(1), joined.max(1)], axis=1) + 1
    return generator.uniform(0, 1, len(joined)).astype(np.float32), boxes, joined


@pytest.mark.parametrize("seed", range(5))
def test_the_vote_equals_the_slow_one_and_moves_corners_only(seed: int) -> None:
    scores, boxes, corners = _cluster(np.random.default_rng(seed))
    plain = decode_detections(scores, boxes, corners, DetectorSettings(corner_vote=None))
    voted = decode_detections(scores, boxes, corners, DetectorSettings(corner_vote=0.6))
    assert [d.score for d in voted] == [d.score for d in plain]
    moved = 0
    for before, after in zip(plain, voted, strict=True):
        total, quad, box = 0.0, np.zeros((4, 2)), np.zeros(4)
        for i in range(len(scores)):
            pair = np.stack([corners[i], before.corners])
            hulls = np.concatenate([pair.min(1), pair.max(1)], axis=1)
            if scores[i] >= before.score / 2 and len(slow_nms(hulls, np.array([0.0, 1.0]), 0.6)) == 1:
                total, quad, box = total + scores[i], quad + scores[i] * corners[i], box + scores[i] * boxes[i]
        np.testing.assert_allclose(after.corners, quad / total, rtol=1e-4)
        np.testing.assert_allclose(after.box, box / total, rtol=1e-4)
        moved += not np.allclose(after.corners, before.corners)
    assert moved >= 4


@pytest.mark.parametrize("vote", [None, 0.5])
def test_a_lower_threshold_gives_the_same_plates_and_more_behind_them(vote: float | None) -> None:
    """So that an evaluation that looks lower, for AP, reports exactly what is deployed."""
    arrays = _cluster(np.random.default_rng(0))
    detector = Detector(lambda images: arrays_of(arrays), DetectorSettings(320, score_threshold=0.7, corner_vote=vote))
    image = np.zeros((320, 320, 3), np.uint8)
    (deployed,), (low,) = detector.detect([image]), detector.down_to(0.01, 100).detect([image])
    sure = detector.sure(low)
    assert 4 <= len(deployed) == len(sure) < len(low)
    for one, other in zip(deployed, sure, strict=True):
        assert one.score == other.score and (one.corners == other.corners).all() and (one.box == other.box).all()
    few = Detector(detector.network, DetectorSettings(320, score_threshold=0.0, max_plates=2))
    assert len(few.sure(low)) == 2


def arrays_of(arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, boxes, corners = arrays
    return scores[None], boxes[None], corners[None]


def test_a_flat_candidate_votes_for_itself() -> None:
    boxes = np.array([[5, 5, 5, 5]], np.float32)
    (found,) = decode_detections(np.array([0.9], np.float32), boxes, box_corners(boxes), DetectorSettings())
    assert (found.corners == 5).all()


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"scores \(2,\), boxes \(3, 4\)"):
        decode_detections(np.zeros(2), np.zeros((3, 4)), np.zeros((2, 4, 2)), DetectorSettings())


def _logits(rows: list[list[float]]) -> np.ndarray:
    """Logits of one crop from probabilities per slot: PAD, A, B, 1."""
    return np.log(np.array([rows], dtype=np.float32))


def test_the_text_ends_at_the_first_pad_and_the_rest_counts_as_padding() -> None:
    rows = [[0.1, 0.7, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1], [0.2, 0.1, 0.6, 0.1], [0.7, 0.1, 0.1, 0.1]]
    (reading,) = decode_logits(_logits(rows), CHARSET)
    assert reading.text == "A"
    assert reading.characters == pytest.approx([0.7])
    assert reading.score == pytest.approx(0.7 * 0.6 * 0.2 * 0.7)  # the B of slot 3 is not read


def test_an_empty_text_and_a_full_one() -> None:
    rows = [[0.9, 0.05, 0.03, 0.02], [0.1, 0.2, 0.6, 0.1]]
    (reading,) = decode_logits(_logits(rows), CHARSET)
    assert (reading.text, reading.characters) == ("", ())
    assert reading.score == 0  # not 0.9 * 0.1: it is no plate's score
    (reading,) = decode_logits(_logits([[0.1, 0.1, 0.1, 0.7], [0.1, 0.2, 0.6, 0.1]]), CHARSET)
    assert (reading.text, reading.score) == ("1B", pytest.approx(0.42))


def test_temperature_changes_the_score_and_not_the_text() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 5, 4)).astype(np.float32)
    cold, plain, hot = (decode_logits(logits, CHARSET, t) for t in (0.5, 1.0, 20.0))
    assert [r.text for r in cold] == [r.text for r in plain] == [r.text for r in hot]
    a, b = logits[0, 0].astype(float), plain[0]
    assert softmax(a / 2).tolist() == pytest.approx([math.exp(v / 2) / sum(math.exp(w / 2) for w in a) for v in a])
    full = [i for i, r in enumerate(plain) if len(r.text) == 5]
    assert full and all(cold[i].score > plain[i].score > hot[i].score for i in full)
    assert b.score <= min((*b.characters, 1.0))


def test_scores_are_the_probabilities_of_the_strings() -> None:
    """Over two slots the strings with their padding are disjoint events: together they have probability 1."""
    logits = np.random.default_rng(1).normal(0, 2, (1, 2, 4))
    p = softmax(logits)[0]
    (reading,) = decode_logits(logits, CHARSET)
    ids = [*CHARSET.encode(reading.text), 0, 0][:2]
    assert reading.score == pytest.approx(p[0, ids[0]] * p[1, ids[1]])


def test_large_logits_do_not_overflow_and_wrong_ones_are_named() -> None:
    (reading,) = decode_logits(np.array([[[0.0, 1e4, -1e4, 0.0]]]), CHARSET)
    assert (reading.text, reading.score) == ("A", 1.0)
    assert decode_logits(np.zeros((0, 5, 4)), CHARSET) == []
    for logits, temperature, sentence in (
        (np.zeros((1, 5, 3)), 1.0, r"\(1, 5, 3\); expected \(B, L, 4\)"),
        (np.zeros((5, 4)), 1.0, r"\(5, 4\)"),
        (np.zeros((1, 5, 4)), 0.0, "temperature is 0"),
        (np.full((1, 5, 4), np.nan), 1.0, "not finite"),
    ):
        with pytest.raises(ValueError, match=sentence):
            decode_logits(logits, CHARSET, temperature)
