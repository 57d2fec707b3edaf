"""How well detections find labelled plates: matching, recall, AP, corner error and false positives.

Two kinds of box are told apart, as data sets differ in what their boxes mean:

* *hull*: the upright hull of four corners. A detection's is the hull of its corners; a plate's that of its labelled
  corners, or its labelled box where no corners are labelled. "Found" means hull IoU above a threshold.
* *box*: the box itself. A detection's own box against the labelled box.

An ignored region is no plate, and a detection that lies in one is not wrong. A scene that is labelled in part says
nothing of false positives or precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alpr.plates.geometry import box_iou, corner_box, is_convex_clockwise, plate_height, polygon_iou
from alpr.plates.records import Detection, FloatArray, Plate, Scene

RECALL_IOUS = (0.5, 0.7, 0.9)
FOUND_IOU = 0.5
COCO_IOUS = tuple(0.5 + 0.05 * i for i in range(10))
COCO_MAX_DETECTIONS = 100
AP_SCORE = 0.01
"""AP is measured on detections down to this score: a curve that ends at a deployer's threshold has lost its tail."""
LIES_IN = 0.5
LEFT_OUT = -1
"""Stands in place of a hit or a miss: the detection lies in an ignored region."""

Counts = npt.NDArray[np.int64]
Hits = npt.NDArray[np.int8]


class Match(NamedTuple):
    """One detection paired with one plate."""

    plate: int
    detection: int
    iou: float


def true_hull(plate: Plate) -> FloatArray | None:
    """The hull of a plate's corners, else its labelled box, (4,) px; None where the plate has no place."""
    return plate.box if plate.corners is None else corner_box(plate.corners)


def true_box(plate: Plate) -> FloatArray | None:
    """A plate's labelled box, else the hull of its corners, (4,) px; None where the plate has no place."""
    return plate.box if plate.box is not None else true_hull(plate)


def predicted_hulls(detections: Sequence[Detection]) -> FloatArray:
    """The hulls of the detections' corners: (N, 4) px."""
    return _stack([corner_box(np.asarray(d.corners)) for d in detections])


def match_boxes(predicted: FloatArray, true: FloatArray) -> list[Match]:
    """One-to-one pairs of overlapping boxes, the best IoU first, so that every threshold sees the same pairs.

    Args:
        predicted: (N, 4) px. A box that is not finite matches nothing.
        true: (M, 4) px.
    """
    ious = np.nan_to_num(box_iou(predicted, true), nan=0.0)
    pairs: list[Match] = []
    order = np.argsort(-ious, axis=None, kind="stable")
    used_predicted: set[int] = set()
    used_true: set[int] = set()
    for flat in order[: int(np.count_nonzero(ious > 0))]:
        i, j = divmod(int(flat), len(true))
        if i not in used_predicted and j not in used_true:
            used_predicted.add(i)
            used_true.add(j)
            pairs.append(Match(plate=j, detection=i, iou=float(ious[i, j])))
    return pairs


def match_plates(detections: Sequence[Detection], plates: Sequence[Plate]) -> list[Match]:
    """One-to-one pairs of detections and plates by hull IoU, the best first; indices into both sequences.

    A plate without a place and an ignored one are in no pair.
    """
    hulls = [(i, hull) for i, p in enumerate(plates) if not p.ignored and (hull := true_hull(p)) is not None]
    pairs = match_boxes(predicted_hulls(detections), _stack([hull for _, hull in hulls]))
    return [pair._replace(plate=hulls[pair.plate][0]) for pair in pairs]


def lie_in(boxes: FloatArray, regions: FloatArray) -> npt.NDArray[np.bool_]:
    """Which boxes (N, 4) lie in one of the regions (M, 4) with more than half of their own area: (N,)."""
    top_left = np.maximum(boxes[:, None, :2], regions[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=-1)
    area = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=-1)
    return np.asarray((shared > LIES_IN * area[:, None]).any(axis=1))


def ignored_regions(scene: Scene) -> FloatArray:
    """The hulls of a scene's ignored regions: (M, 4) px."""
    return _stack([hull for plate in scene.plates if plate.ignored and (hull := true_hull(plate)) is not None])


def false_positives(detections: Sequence[Detection], scene: Scene, pairs: Sequence[Match]) -> list[int]:
    """The detections that find no plate (hull IoU > 0.5) and lie in no ignored region: their indices.

    Args:
        pairs: of the detections with the scene's plates.
    """
    right = {pair.detection for pair in pairs if pair.iou > FOUND_IOU}
    spared = lie_in(predicted_hulls(detections), ignored_regions(scene))
    return [i for i in range(len(detections)) if i not in right and not spared[i]]


def corner_error(predicted: FloatArray, true: FloatArray) -> float:
    """The mean distance of the four corners, as a fraction of the labelled plate's height; both (4, 2) px."""
    distance = np.linalg.norm(np.asarray(predicted, np.float64) - np.asarray(true, np.float64), axis=-1).mean()
    return float(distance / max(float(plate_height(np.asarray(true, np.float64))), 1e-9))


def quad_iou(predicted: FloatArray, true: FloatArray) -> float:
    """Polygon IoU of two quads (4, 2); 0 where the predicted one is no convex quad in the order of reading."""
    return polygon_iou(predicted, true) if is_convex_clockwise(predicted) else 0.0


def coco_hits(predicted: FloatArray, true: FloatArray) -> npt.NDArray[np.bool_]:
    """Which boxes are true positives at each of COCO's ten IoUs: (10, N).

    Args:
        predicted: (N, 4), the best score first.
        true: (M, 4).

    Source: COCOeval.evaluateImg: each detection in turn takes the free plate of the highest IoU, the later on a tie.
    """
    ious = np.nan_to_num(box_iou(predicted, true), nan=0.0)
    hits = np.zeros((len(COCO_IOUS), len(predicted)), dtype=bool)
    for t, threshold in enumerate(COCO_IOUS):
        free = np.ones(len(true), dtype=bool)
        for i in range(len(predicted)):
            candidates = np.where(free, ious[i], -1.0)
            best = len(true) - 1 - int(np.argmax(candidates[::-1])) if len(true) else -1
            if best >= 0 and candidates[best] >= threshold - 1e-10:
                free[best] = False
                hits[t, i] = True
    return hits


def precision_at_recalls(scores: FloatArray, hits: npt.NDArray[np.bool_], plates: int) -> FloatArray | None:
    """COCO's curve: precision, made monotone, at the 101 recalls 0, 0.01 ... 1; None where there is no plate.

    Args:
        scores: (N,) of all detections of all images; equal scores keep their order.
        hits: (N,) true positives.
        plates: the number of labelled plates.
    """
    if plates == 0:
        return None
    hits = hits[np.argsort(-scores, kind="stable")]
    true_positives = np.cumsum(hits)
    recall = true_positives / plates
    precision = true_positives / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0.0, 1.0, 101), side="left")
    return np.asarray(np.append(envelope, 0.0)[at])


def average_precision(scores: FloatArray, hits: npt.NDArray[np.bool_], plates: int) -> float | None:
    """COCO's AP, the mean of `precision_at_recalls`; None where there is no plate."""
    curve = precision_at_recalls(scores, hits, plates)
    return None if curve is None else float(curve.mean())


@dataclass(frozen=True)
class PrecisionCurve:
    """Precision at the recalls 0, 0.01 ... 1 of the detections' hulls.

    Attributes:
        iou: "0.5", or "0.5:0.95" for the mean of the curves at COCO's ten IoUs.
        average: its mean, the average precision.
    """

    iou: str
    average: float
    precision: tuple[float, ...]


@dataclass(frozen=True)
class DetectionScores:
    """Figures of a set of scenes; None where there is nothing to measure.

    Attributes:
        images: scenes that count (all but those whose plates have no place).
        empty_images: scenes known to be empty.
        plates: labelled plates with corners or a box, the ignored ones aside.
        detections: those above the detector's score threshold.
        recall_hull_50: the share of plates with hull IoU > 0.5 (0.7, 0.9).
        recall_box_50: the share of plates with a labelled box whose IoU with a detection's box is > 0.5 (0.7, 0.9).
        ap_box_50: COCO's AP of the detections' boxes at IoU 0.5, against the labelled box, else the hull, on
            wholly labelled scenes. It counts detections below the score threshold too, where they are given.
        ap_box_50_95: the mean of AP over IoU 0.5, 0.55 ... 0.95.
        ap_hull_50, ap_hull_50_95: the same of the hulls of the detections' corners, against the hull.
        polygon_iou: the mean over found plates with labelled corners.
        corner_error_median: mean distance of the four corners / plate height, over found plates with labelled corners.
        corner_error_p95: its 95th percentile.
        false_positives_per_image: detections that find no plate (hull IoU > 0.5) and lie in no ignored region, per
            wholly labelled image.
        false_positives_per_empty_image: the same over the scenes known to be empty.
    """

    images: int
    empty_images: int
    plates: int
    detections: int
    recall_hull_50: float | None
    recall_hull_70: float | None
    recall_hull_90: float | None
    recall_box_50: float | None
    recall_box_70: float | None
    recall_box_90: float | None
    ap_box_50: float | None
    ap_box_50_95: float | None
    ap_hull_50: float | None
    ap_hull_50_95: float | None
    polygon_iou: float | None
    corner_error_median: float | None
    corner_error_p95: float | None
    false_positives_per_image: float | None
    false_positives_per_empty_image: float | None


@dataclass
class DetectionMetrics:
    """Sums over scenes; `compute` may be called at any time."""

    images: int = 0
    complete_images: int = 0  # wholly labelled
    empty_images: int = 0
    plates: int = 0
    complete_plates: int = 0  # in wholly labelled images
    boxes: int = 0  # plates with a labelled box
    detections: int = 0
    found_hull: Counts = field(default_factory=lambda: np.zeros(len(RECALL_IOUS), np.int64))
    found_box: Counts = field(default_factory=lambda: np.zeros(len(RECALL_IOUS), np.int64))
    false_positives: int = 0
    false_positives_in_empty: int = 0
    polygon_ious: list[float] = field(default_factory=list)
    corner_errors: list[float] = field(default_factory=list)
    scores: list[FloatArray] = field(default_factory=list)  # per image (N,)
    hits_box: list[Hits] = field(default_factory=list)  # per image (10, N)
    hits_hull: list[Hits] = field(default_factory=list)  # per image (10, N)

    def update(
        self, detections: Sequence[Detection], scene: Scene, candidates: Sequence[Detection] | None = None
    ) -> None:
        """Adds one scene. A scene whose plates all have no place (a ready-made crop) is left out.

        Args:
            detections: those above the detector's threshold.
            candidates: those down to a low score (`AP_SCORE`), which only AP counts; None: the detections themselves.
        """
        if scene.plates and all(true_hull(plate) is None for plate in scene.plates):
            return
        located = [plate for plate in scene.plates if not plate.ignored and true_hull(plate) is not None]
        pairs = match_plates(detections, located)
        self.images += 1
        self.plates += len(located)
        self.detections += len(detections)
        self.found_hull += _found(pairs)
        labelled = _stack([plate.box for plate in located if plate.box is not None])
        self.boxes += len(labelled)
        self.found_box += _found(match_boxes(_stack([d.box for d in detections]), labelled))
        for pair in pairs:
            corners = located[pair.plate].corners
            if pair.iou > FOUND_IOU and corners is not None:
                predicted = detections[pair.detection].corners
                self.polygon_ious.append(quad_iou(predicted, corners))
                self.corner_errors.append(corner_error(predicted, corners))
        if scene.complete:
            wrong = len(false_positives(detections, scene, pairs))
            self.complete_images += 1
            self.false_positives += wrong
            if not scene.plates:
                self.empty_images += 1
                self.false_positives_in_empty += wrong
            self._add_ranking(detections if candidates is None else candidates, scene, located)

    def _add_ranking(self, candidates: Sequence[Detection], scene: Scene, located: Sequence[Plate]) -> None:
        scores = np.array([d.score for d in candidates], dtype=np.float64)
        order = np.argsort(-scores, kind="stable")[:COCO_MAX_DETECTIONS]
        regions = ignored_regions(scene)
        boxes, hulls = _stack([d.box for d in candidates])[order], predicted_hulls(candidates)[order]
        self.complete_plates += len(located)
        self.scores.append(scores[order])
        self.hits_box.append(_hits(boxes, [true_box(plate) for plate in located], regions))
        self.hits_hull.append(_hits(hulls, [true_hull(plate) for plate in located], regions))

    def add(self, other: DetectionMetrics) -> None:
        """Adds the sums of another, which is not changed."""
        for f in fields(self):  # numbers and arrays are added, lists joined, in place
            mine = getattr(self, f.name)
            mine += getattr(other, f.name)
            setattr(self, f.name, mine)

    def merge(self, other: DetectionMetrics) -> DetectionMetrics:
        """The sums of both; neither is changed."""
        merged = DetectionMetrics()
        merged.add(self)
        merged.add(other)
        return merged

    def compute(self) -> DetectionScores:
        """The figures so far."""
        hull = [_share(int(n), self.plates) for n in self.found_hull]
        box = [_share(int(n), self.boxes) for n in self.found_box]
        scores = np.concatenate([np.zeros(0), *self.scores])
        ap_box, ap_hull = (self._average_precisions(scores, hits) for hits in (self.hits_box, self.hits_hull))
        errors = self.corner_errors
        return DetectionScores(
            images=self.images,
            empty_images=self.empty_images,
            plates=self.plates,
            detections=self.detections,
            recall_hull_50=hull[0],
            recall_hull_70=hull[1],
            recall_hull_90=hull[2],
            recall_box_50=box[0],
            recall_box_70=box[1],
            recall_box_90=box[2],
            ap_box_50=ap_box[0] if ap_box else None,
            ap_box_50_95=float(np.mean(ap_box)) if ap_box else None,
            ap_hull_50=ap_hull[0] if ap_hull else None,
            ap_hull_50_95=float(np.mean(ap_hull)) if ap_hull else None,
            polygon_iou=float(np.mean(self.polygon_ious)) if self.polygon_ious else None,
            corner_error_median=float(np.median(errors)) if errors else None,
            corner_error_p95=float(np.percentile(errors, 95)) if errors else None,
            false_positives_per_image=_share(self.false_positives, self.complete_images),
            false_positives_per_empty_image=_share(self.false_positives_in_empty, self.empty_images),
        )

    def curves(self) -> tuple[PrecisionCurve, ...]:
        """Precision against recall at IoU 0.5 and over COCO's ten; none where there is no plate or no detection."""
        curves = self._curves(np.concatenate([np.zeros(0), *self.scores]), self.hits_hull)
        if not curves or not any(map(len, self.scores)):
            return ()
        both = {"0.5": curves[0], "0.5:0.95": np.mean(curves, axis=0)}
        return tuple(PrecisionCurve(iou, float(c.mean()), tuple(c.round(4).tolist())) for iou, c in both.items())

    def _average_precisions(self, scores: FloatArray, hits: Sequence[Hits]) -> list[float]:
        """AP at each of COCO's ten IoUs; empty where there is no plate."""
        return [float(curve.mean()) for curve in self._curves(scores, hits)]

    def _curves(self, scores: FloatArray, hits: Sequence[Hits]) -> list[FloatArray]:
        joined = np.concatenate([np.zeros((len(COCO_IOUS), 0), dtype=np.int8), *hits], axis=1)
        found = []
        for row in joined:
            counted = row != LEFT_OUT
            curve = precision_at_recalls(scores[counted], row[counted] > 0, self.complete_plates)
            if curve is not None:
                found.append(curve)
        return found


def _stack(boxes: Sequence[FloatArray | None]) -> FloatArray:
    return np.array([box for box in boxes if box is not None], dtype=np.float64).reshape(-1, 4)


def _found(pairs: Sequence[Match]) -> Counts:
    return np.array([sum(pair.iou > iou for pair in pairs) for iou in RECALL_IOUS], dtype=np.int64)


def _hits(predicted: FloatArray, true: Sequence[FloatArray | None], regions: FloatArray) -> Hits:
    """1 for a hit, 0 for a miss, LEFT_OUT for a miss in an ignored region: (10, N)."""
    hits = coco_hits(predicted, _stack(true))
    return np.where(~hits & lie_in(predicted, regions), LEFT_OUT, hits).astype(np.int8)


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
