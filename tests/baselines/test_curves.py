"""Precision against recall, times and sizes in a report and on its page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from patch_world import PatchDetector, three_scenes

from alpr.detection.metrics import DetectionMetrics
from alpr.evaluation.evaluate import evaluate
from alpr.evaluation.page import evaluation_page
from alpr.plates.geometry import box_corners
from alpr.plates.records import Detection, Plate, Scene
from alpr.reader.parts import Parts


def detection(box: list[float], score: float) -> Detection:
    return Detection(box_corners(np.array(box, np.float32)), np.array(box, np.float32), score)


def test_a_curve_is_what_can_be_counted_by_hand() -> None:
    plates = [Plate("A", None, np.array([x, 0, x + 40, 10], np.float32)) for x in (0, 100)]
    metrics = DetectionMetrics()
    # Right, wrong, right with an IoU of 0.5 to 0.55: precision 1 up to a recall of a half, two thirds to the end.
    found = [detection([0, 0, 40, 10], 0.9), detection([300, 0, 340, 10], 0.8), detection([100, 0, 121, 10], 0.7)]
    metrics.update(found, Scene(Path("a.png"), tuple(plates)))
    at_50, over_all = metrics.curves()
    assert (at_50.iou, over_all.iou) == ("0.5", "0.5:0.95")
    assert at_50.precision[:51] == (1.0,) * 51 and at_50.precision[51:] == pytest.approx((2 / 3,) * 50, abs=1e-4)
    assert over_all.precision[60] == pytest.approx(2 / 3 / 10, abs=1e-4)  # one of ten IoUs reaches so far
    scores = metrics.compute()
    assert (at_50.average, over_all.average) == pytest.approx((scores.ap_hull_50, scores.ap_hull_50_95))


def test_nothing_is_drawn_where_nothing_has_a_score(tmp_path: Path) -> None:
    scenes = three_scenes(tmp_path)
    none = evaluate(Parts(PatchDetector(lambda found: [])), scenes)
    assert none.curves == () and "Precision against recall" not in evaluation_page(none, None).render()
    some = evaluate(Parts(PatchDetector()), scenes)
    page = evaluation_page(some, None).render()
    assert "IoU 0.5, AP 100.0 %" in page and "IoU 0.5:0.95, AP 100.0 %" in page
    assert set(some.ms) == {"decode", "detect"} and min(some.ms.values()) >= 0
