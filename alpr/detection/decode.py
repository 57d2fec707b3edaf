"""From the detector's raw output to plates: threshold, NMS. Plain numpy; every stage of the project calls this."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpr.card import DetectorSettings
from alpr.geometry import box_iou, corner_box
from alpr.records import Detection, FloatArray

MAX_CANDIDATES = 1000
"""The most candidates that NMS looks at; a scene with many more is noise, and NMS is quadratic."""


def nms(boxes: FloatArray, scores: FloatArray, iou: float) -> npt.NDArray[np.intp]:
    """The indices of the boxes that greedy non-maximum suppression keeps, best score first.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,). Of equal scores the earlier box comes first.
        iou: a box that overlaps a better kept one by more than this is dropped.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[box_iou(boxes[best][None], boxes[order])[0] <= iou]
    return np.array(kept, dtype=np.intp)


def decode_detections(
    scores: FloatArray, boxes: FloatArray, corners: FloatArray, settings: DetectorSettings
) -> list[Detection]:
    """The plates of one image in pixels of the network input, best score first.

    Args:
        scores: (A,) 0..1.
        boxes: (A, 4) xyxy px of the network input.
        corners: (A, 4, 2) px of the network input.
        settings: the threshold, the overlap and the most plates.

    Raises:
        ValueError: arrays whose shapes do not belong together.
    """
    anchors = len(scores)
    if scores.shape != (anchors,) or boxes.shape != (anchors, 4) or corners.shape != (anchors, 4, 2):
        raise ValueError(
            f"The detector gave scores {scores.shape}, boxes {boxes.shape} and corners {corners.shape}; "
            "expected (A,), (A, 4) and (A, 4, 2)."
        )
    candidates = np.flatnonzero(scores >= settings.score_threshold)  # NaN is never above
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")[:MAX_CANDIDATES]]
    finite = np.isfinite(corners[candidates]).all(axis=(1, 2)) & np.isfinite(boxes[candidates]).all(axis=1)
    candidates = candidates[finite]
    # The hull of the corners, not the box: the corners are what a reader uses, and two tilted plates in a row
    # overlap less by them.
    kept = candidates[nms(corner_box(corners[candidates]), scores[candidates], settings.nms_iou)]
    return [
        Detection(corners[i].astype(np.float32), boxes[i].astype(np.float32), float(scores[i]))
        for i in kept[: settings.max_plates]
    ]
