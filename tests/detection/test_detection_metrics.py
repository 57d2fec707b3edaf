"""Detection metrics against hand-computed cases and faster-coco-eval."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from alpr.detection.metrics import (
    DetectionMetrics,
    average_precision,
    corner_error,
    false_positives,
    match_boxes,
    match_plates,
    quad_iou,
)
from alpr.plates.geometry import box_corners
from alpr.plates.records import Detection, Plate, Scene


def detection(box: list[float], score: float = 0.9, own_box: list[float] | None = None) -> Detection:
    array = np.array(box, np.float32)
    return Detection(box_corners(array), array if own_box is None else np.array(own_box, np.float32), score)


def plate(box: list[float], with_box: bool = True, with_corners: bool = True) -> Plate:
    array = np.array(box, np.float32)
    return Plate("A1", box_corners(array) if with_corners else None, array if with_box else None)


def scene(*plates: Plate) -> Scene:
    return Scene(Path("a.jpg"), plates)


def scores(*pairs: tuple[list[Detection], Scene]) -> DetectionMetrics:
    metrics = DetectionMetrics()
    for detections, truth in pairs:
        metrics.update(detections, truth)
    return metrics


def random_pairs(seed: int, images: int = 30) -> list[tuple[list[Detection], Scene]]:
    """Scenes of 0-4 plates; detections near them, twice, or anywhere; many equal scores."""
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(images):
        boxes = [[x, y, x + w, y + h] for x, y, w, h in generator.uniform([0, 0, 40, 12], [300, 300, 90, 30], (4, 4))]
        boxes = boxes[: generator.integers(0, 5)]
        found = []
        for box in boxes * 2:
            if generator.random() < 0.7:
                near = (np.array(box) + generator.normal(0, 2.5, 4)).tolist()
                found.append(detection(near, round(float(generator.random()), 1)))
        if generator.random() < 0.5:
            found.append(detection([400, 400, 450, 420], round(float(generator.random()), 1)))
        pairs.append((found, scene(*map(plate, boxes))))
    return pairs


def test_matching_takes_the_best_pair_first_and_each_box_once() -> None:
    true = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], float)
    predicted = np.array([[3, 0, 13, 10], [0, 0, 10, 9], [50, 50, 60, 60]], float)
    pairs = {(m.detection, m.plate): m.iou for m in match_boxes(predicted, true)}
    assert pairs == {(1, 0): pytest.approx(0.9), (0, 1): pytest.approx(90 / 110)}


def test_matching_takes_each_plate_once_though_one_detection_is_the_best_of_both() -> None:
    true = np.array([[0, 0, 10, 10], [1, 0, 11, 10]], float)
    assert [(m.detection, m.plate) for m in match_boxes(true[:1], true)] == [(0, 0)]


def test_matching_skips_plates_without_a_place_and_keeps_indices() -> None:
    plates = [Plate("TEXT"), plate([0, 0, 10, 10])]
    assert [(m.plate, m.detection) for m in match_plates([detection([0, 0, 10, 10])], plates)] == [(1, 0)]


def test_a_box_that_is_not_finite_matches_nothing() -> None:
    assert match_boxes(np.full((1, 4), np.nan), np.array([[0, 0, 10, 10]], float)) == []


def test_recall_counts_ious_strictly_above_each_threshold() -> None:
    # IoU 1, 0.8, 0.6 and exactly 0.5 of plates 10 px wide
    truth = scene(*(plate([0, 20 * i, 10, 20 * i + 10]) for i in range(4)))
    found = [detection([0, 20 * i, w, 20 * i + 10]) for i, w in enumerate((10, 8, 6, 5))]
    result = scores((found, truth)).compute()
    assert (result.recall_hull_50, result.recall_hull_70, result.recall_hull_90) == (0.75, 0.5, 0.25)
    assert (result.recall_box_50, result.recall_box_70, result.recall_box_90) == (0.75, 0.5, 0.25)
    assert result.false_positives_per_image == 1


@pytest.mark.parametrize(("width", "found"), [(9, False), (11, True)])
def test_a_plate_is_found_at_055_and_not_at_045(width: int, found: bool) -> None:
    """IoU 0.45 and 0.55 of a plate 20 px wide, in every figure that says found."""
    truth, near = scene(plate([0, 0, 20, 10])), detection([0, 0, width, 10])
    pairs = match_plates([near], truth.plates)
    assert [m.iou for m in pairs] == [pytest.approx(width / 20)]
    assert false_positives([near], truth, pairs) == ([] if found else [0])
    result = scores(([near], truth)).compute()
    assert (result.recall_hull_50, result.recall_box_50, result.ap_box_50, result.ap_hull_50) == (found,) * 4
    assert result.false_positives_per_image == (not found)
    assert (result.polygon_iou is not None, result.corner_error_median is not None) == (found, found)


def test_hull_and_box_are_measured_apart() -> None:
    truth = scene(Plate("A", box_corners(np.array([0, 0, 10, 10.0])), np.array([0, 0, 20, 10.0])))
    result = scores(([detection([0, 0, 10, 10], own_box=[0, 0, 16, 10])], truth)).compute()
    assert result.recall_hull_90 == 1
    assert (result.recall_box_70, result.recall_box_90) == (1, 0)
    assert result.ap_box_50 == pytest.approx(1)
    assert result.ap_box_50_95 == pytest.approx(0.7)  # IoU 0.8 passes seven of ten thresholds


def test_a_plate_without_corners_is_found_by_its_box_and_has_no_corner_error() -> None:
    result = scores(([detection([0, 0, 10, 10])], scene(plate([0, 0, 10, 10], with_corners=False)))).compute()
    assert result.recall_hull_90 == 1
    assert result.corner_error_median is None and result.polygon_iou is None


def test_a_plate_without_a_box_counts_for_the_hull_only() -> None:
    result = scores(([detection([0, 0, 10, 10])], scene(plate([0, 0, 10, 10], with_box=False)))).compute()
    assert (result.recall_hull_50, result.recall_box_50, result.ap_box_50) == (1, None, pytest.approx(1))


def test_corner_error_is_a_fraction_of_the_labelled_height() -> None:
    true = box_corners(np.array([0, 0, 100, 20.0]))
    moved = true + np.array([[3, 4], [0, 0], [0, 0], [0, 0]])
    assert corner_error(moved, true) == pytest.approx(5 / 4 / 20)


def test_corner_error_median_and_95th_percentile() -> None:
    pairs = []
    for shift in range(5):
        pairs.append(([detection([shift, 0, 100 + shift, 20])], scene(plate([0, 0, 100, 20]))))
    result = scores(*pairs).compute()
    assert result.corner_error_median == pytest.approx(2 / 20)
    assert result.corner_error_p95 == pytest.approx(3.8 / 20)


def test_quad_iou_is_0_for_mirrored_and_self_crossing_quads() -> None:
    quad = box_corners(np.array([0, 0, 100, 20.0]))
    assert quad_iou(quad, quad) == pytest.approx(1)
    assert quad_iou(quad[[1, 0, 3, 2]], quad) == 0
    assert quad_iou(quad[[0, 1, 3, 2]], quad) == 0


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_ap_equals_faster_coco_eval(seed: int, regions: bool) -> None:
    coco = pytest.importorskip("faster_coco_eval")
    pairs = random_pairs(seed)
    if regions:  # an ignored region that holds every false detection at (400, 400) wholly, and touches no other
        pairs = [(found, Scene(s.image, (*s.plates, ignored([398, 398, 460, 430])))) for found, s in pairs]
    result = scores(*pairs).compute()
    images = [{"id": i} for i in range(len(pairs))]
    truths, found = [], []
    for i, (detections, truth) in enumerate(pairs):
        for plate in truth.plates:
            box = np.asarray(plate.box, float)
            xywh = [*box[:2], *(box[2:] - box[:2])]
            area = float(xywh[2] * xywh[3])
            common = {"image_id": i, "category_id": 1, "bbox": list(map(float, xywh))}
            truths.append({**common, "id": len(truths) + 1, "area": area, "iscrowd": int(plate.ignored)})
        for d in detections:
            box = np.asarray(d.box, float)
            xywh = [*map(float, box[:2]), *map(float, box[2:] - box[:2])]
            found.append({"image_id": i, "category_id": 1, "bbox": xywh, "score": d.score})
    dataset = coco.COCO({"images": images, "annotations": truths, "categories": [{"id": 1, "name": "plate"}]})
    evaluation = coco.COCOeval_faster(dataset, dataset.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert 0.1 < evaluation.stats[0] < 0.9  # the case is not a trivial one
    assert result.ap_box_50_95 == pytest.approx(evaluation.stats[0], abs=1e-9)
    assert result.ap_box_50 == pytest.approx(evaluation.stats[1], abs=1e-9)
    assert (result.ap_box_50 != scores(*random_pairs(seed)).compute().ap_box_50) == regions


def test_ap_by_hand() -> None:
    # right, wrong, right of 4 plates: recall 1/4 at precision 1, 1/2 at 2/3, then nothing
    hits = np.array([True, False, True])
    value = average_precision(np.array([0.9, 0.8, 0.7]), hits, 4)
    assert value == pytest.approx((26 * 1 + 25 * 2 / 3) / 101)


def test_empty_cases() -> None:
    nothing = DetectionMetrics().compute()
    assert all(v is None or v == 0 for v in asdict(nothing).values())
    missed = scores(([], scene(plate([0, 0, 10, 10])))).compute()
    assert (missed.recall_hull_50, missed.recall_box_50, missed.ap_box_50, missed.ap_box_50_95) == (0, 0, 0, 0)
    assert missed.corner_error_median is None and missed.false_positives_per_empty_image is None
    false = scores(([detection([0, 0, 10, 10]), detection([50, 50, 60, 60])], scene())).compute()
    assert (false.false_positives_per_image, false.false_positives_per_empty_image) == (2, 2)
    assert false.recall_hull_50 is None and false.ap_box_50 is None
    both = scores(([], scene())).compute()
    assert (both.images, both.empty_images, both.false_positives_per_empty_image) == (1, 1, 0)


def test_a_ready_made_crop_is_left_out() -> None:
    result = scores(([detection([0, 0, 10, 10])], scene(Plate("TEXT")))).compute()
    assert (result.images, result.detections) == (0, 0)


def ignored(box: list[float]) -> Plate:
    return Plate(box=np.array(box, np.float32), ignored=True)


def test_an_ignored_region_is_no_plate_and_what_lies_in_it_is_no_false_positive() -> None:
    truth = scene(plate([0, 0, 10, 10]), ignored([20, 0, 60, 40]))
    inside, half, outside = [22, 2, 32, 12], [15, 0, 25, 10], [80, 0, 90, 10]
    result = scores(
        ([detection(b, 0.9 - i / 10) for i, b in enumerate((inside, half, [0, 0, 10, 10], outside))], truth)
    )
    figures = result.compute()
    assert (figures.plates, figures.recall_hull_50, figures.recall_box_90, figures.empty_images) == (1, 1, 1, 0)
    assert figures.false_positives_per_image == 2  # exactly half of `half` is in the region: not more than half
    assert figures.ap_hull_50 == figures.ap_box_50 == pytest.approx(0.5)  # behind `half`, not behind `inside`
    whole = scores(([detection([20, 0, 60, 40])], scene(ignored([20, 0, 60, 40])))).compute()
    assert (whole.plates, whole.images, whole.recall_hull_50, whole.false_positives_per_image) == (0, 1, None, 0)
    on_both = scene(plate([20, 0, 30, 10]), ignored([15, 0, 60, 40]))
    assert scores(([detection([20, 0, 30, 10])], on_both)).compute().ap_hull_50_95 == pytest.approx(1)


def test_a_scene_labelled_in_part_gives_recall_and_no_false_positive_or_precision() -> None:
    part = Scene(Path("a.jpg"), (plate([0, 0, 10, 10]), plate([100, 0, 110, 10])), complete=False)
    found = [detection([50, 50, 60, 60], 0.9), detection([0, 0, 10, 10], 0.5)]
    alone = scores((found, part)).compute()
    assert (alone.plates, alone.recall_hull_50, alone.corner_error_median) == (2, 0.5, 0)
    assert (alone.false_positives_per_image, alone.ap_box_50) == (None, None)
    empty = scores((found, Scene(Path("a.jpg"), (), complete=False))).compute()
    assert (empty.empty_images, empty.false_positives_per_empty_image) == (0, None)
    both = scores((found, part), (found[1:], scene(plate([0, 0, 10, 10])))).compute()
    assert (both.plates, both.ap_box_50, both.false_positives_per_image) == (3, pytest.approx(1), 0)


def test_ap_does_not_end_at_the_threshold_while_recall_and_false_positives_do() -> None:
    truth = scene(plate([0, 0, 10, 10]), plate([100, 0, 110, 10]))
    low = [detection([0, 0, 10, 10], 0.9), detection([100, 0, 110, 10], 0.1), detection([50, 50, 60, 60], 0.05)]
    metrics = DetectionMetrics()
    metrics.update(low[:1], truth, low)
    result = metrics.compute()
    assert (result.recall_hull_50, result.recall_box_50, result.detections) == (0.5, 0.5, 1)
    assert (result.false_positives_per_image, result.ap_box_50, result.ap_hull_50) == (0, 1, pytest.approx(1))


def test_shards_merge_to_the_whole_and_are_not_changed() -> None:
    pairs = random_pairs(7)
    whole = scores(*pairs).compute()
    first, second = scores(*pairs[:11]), scores(*pairs[11:])
    before = first.compute()
    assert first.merge(second).compute() == whole
    assert first.compute() == before
    assert DetectionMetrics().merge(first).compute() == before


def test_plates_and_detections_may_come_in_any_order() -> None:
    distinct = [
        ([Detection(d.corners, d.box, i + j / 100) for j, d in enumerate(found)], s)
        for i, (found, s) in enumerate(random_pairs(3))
    ]
    turned = [(found[::-1], Scene(s.image, s.plates[::-1])) for found, s in distinct]
    one, other = asdict(scores(*distinct).compute()), asdict(scores(*turned).compute())
    assert one == pytest.approx(other)
