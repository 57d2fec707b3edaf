"""From the detector's raw output to plates: threshold, NMS, vote. Plain numpy; every stage calls this."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpr.detection.settings import DetectorSettings
from alpr.plates.geometry import box_iou, corner_box
from alpr.plates.records import Detection, FloatArray

MAX_CANDIDATES = 1000
"""The most candidates that NMS looks at; a scene with many more is noise, and NMS is quadratic."""
VOTE_SHARE = 0.5
"""A candidate votes on a plate's corners when its score is at least this share of the plate's."""


def nms(boxes: FloatArray, scores: FloatArray, iou: float) -> npt.NDArray[np.intp]:
    """The indices of the boxes that greedy non-maximum suppression keeps, best score first.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,). Of equal scores the earlier box comes first.
        iou: a box that overlaps a better kept one by more than this is dropped.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    return order[_unsuppressed(box_iou(boxes[order], boxes[order]) > iou)]


def _unsuppressed(overlapping: npt.NDArray[np.bool_]) -> list[int]:
    """Which of the boxes, best first, overlap no better one that is kept: (N, N) -> at most N places."""
    free = np.ones(len(overlapping), dtype=bool)
    kept = []
    for i, row in enumerate(overlapping):
        if free[i]:
            kept.append(i)
            free &= ~row
    return kept


def decode_detections(
    scores: FloatArray, boxes: FloatArray, corners: FloatArray, settings: DetectorSettings
) -> list[Detection]:
    """The plates of one image in pixels of the network input, best score first.

    With a lower threshold the same plates come first, and more behind them: who votes depends on the plate's own
    score and not on the threshold.

    Args:
        scores: (A,) 0..1.
        boxes: (A, 4) xyxy px of the network input.
        corners: (A, 4, 2) px of the network input.
        settings: the threshold, the overlaps and the most plates.

    Raises:
        ValueError: arrays whose shapes do not belong together, scores that are not finite, or a place whose score
            counts that is not.
    """
    anchors = len(scores)
    if scores.shape != (anchors,) or boxes.shape != (anchors, 4) or corners.shape != (anchors, 4, 2):
        raise ValueError(
            f"The detector gave scores {scores.shape}, boxes {boxes.shape} and corners {corners.shape}; "
            "expected (A,), (A, 4) and (A, 4, 2)."
        )
    lowest = settings.score_threshold * (1.0 if settings.corner_vote is None else VOTE_SHARE)
    candidates = np.flatnonzero(scores >= lowest)
    candidates = candidates[(-scores[candidates]).argsort(kind="stable")[:MAX_CANDIDATES]]
    places = np.concatenate([boxes[candidates], corners[candidates].reshape(-1, 8)], axis=1)  # (N, 12)
    if not (np.isfinite(scores).all() and np.isfinite(places).all()):  # NaN is never above: it would find nothing
        raise ValueError("The detector gave outputs that are not finite; its weights are damaged.")
    scores, corners = scores[candidates], places[:, 4:].reshape(-1, 4, 2)
    # The hull of the corners, not the box: the corners are what a reader uses, and two tilted plates in a row
    # overlap less by them.
    hulls = corner_box(corners)
    overlaps = box_iou(hulls, hulls)
    sure = int(np.count_nonzero(scores >= settings.score_threshold))  # the first of them, as they are sorted
    detections = []
    for i in _unsuppressed(overlaps[:sure, :sure] > settings.nms_iou)[: settings.max_plates]:
        place = places[i]
        if settings.corner_vote is not None:
            voters = (overlaps[i] > settings.corner_vote) & (scores >= VOTE_SHARE * scores[i])
            voters[i] = True  # also where its hull is empty and overlaps nothing
            weights = scores[voters]
            place = (weights / weights.sum()) @ places[voters]
        place = place.astype(np.float32)
        detections.append(Detection(place[4:].reshape(4, 2), place[:4], float(scores[i])))
    return detections
