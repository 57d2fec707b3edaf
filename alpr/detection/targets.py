"""Which anchor learns which plate: ATSS, or a plain overlap to compare with, over a whole batch at once.

Sources: Zhang et al., "Bridging the gap between anchor-based and anchor-free detection via adaptive training sample
selection", CVPR 2020, algorithm 1; Zhu et al., "TinaFace: strong but simple baseline for face detection", 2020.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from alpr.detection.model import Anchors

CANDIDATES = 9  # per plate and level
EQUALLY_NEAR = 16  # anchors at most, of those that may be the ninth nearest: eight cells about a centre, two in each
POSITIVE_IOU = 0.35  # of the plain overlap
ABSENT, PLATE, IGNORED = 0, 1, 2
"""What a row of `DetectionBatch` is: padding, a plate, or a region that is neither plate nor background."""


class DetectionBatch(NamedTuple):
    """B images with up to N plates each."""

    images: Tensor  # (B, H, W, 3) uint8 BGR
    boxes: Tensor  # (B, N, 4) px
    corners: Tensor  # (B, N, 4, 2) px; zeros where unknown
    has_corners: Tensor  # (B, N) bool
    kinds: Tensor  # (B, N) int64: ABSENT, PLATE or IGNORED
    complete: Tensor  # (B,) bool: every plate of the image is labelled; False where some may not be


class Assignment(NamedTuple):
    """The plate that each anchor learns."""

    plate: Tensor  # (B, A) int64: a row of the batch, or -1
    counted: Tensor  # (B, A) bool: False where background must not be learnt (ignored regions)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Boxes (..., N, 4) and (..., A, 4) to their intersection over union (..., N, A)."""
    left, top, right, bottom = a[..., :, None, :].unbind(-1)
    left_b, top_b, right_b, bottom_b = b[..., None, :, :].unbind(-1)
    width = (torch.minimum(right, right_b) - torch.maximum(left, left_b)).clamp(min=0)
    overlap = width * (torch.minimum(bottom, bottom_b) - torch.maximum(top, top_b)).clamp(min=0)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    return overlap / (area_a[..., :, None] + area_b[..., None, :] - overlap).clamp(min=1e-9)


@torch.no_grad()
def assign(anchors: Anchors, boxes: Tensor, kinds: Tensor, rule: str = "atss") -> Assignment:
    """(B, N, 4) boxes of the given kinds to the anchors that learn them.

    An anchor that two plates claim learns the one that claims it more strongly.

    Args:
        rule: "atss", see `atss_claims`, or "iou", see `overlap_claims`.
    """
    b, n = boxes.shape[:2]
    a = anchors.centres.shape[0]
    if n == 0:
        nothing = boxes.new_full((b, a), -1, dtype=torch.int64)
        return Assignment(nothing, torch.ones_like(nothing, dtype=torch.bool))
    half = anchors.sides[:, None] / 2
    overlaps = pairwise_iou(boxes, torch.cat([anchors.centres - half, anchors.centres + half], -1)[None])
    claims = (atss_claims if rule == "atss" else overlap_claims)(anchors, boxes, overlaps)
    strongest, plate = claims.masked_fill((kinds != PLATE)[..., None], -1.0).max(dim=1)  # (B, A)
    plate = torch.where(strongest >= 0, plate, torch.full_like(plate, -1))
    return Assignment(plate, ~(_inside_ignored(anchors, boxes, kinds) & (plate < 0)))


def atss_claims(anchors: Anchors, boxes: Tensor, overlaps: Tensor) -> Tensor:
    """How strongly each plate claims each anchor: its overlap, or -1 where it does not.

    Per plate and level the nine nearest anchors are candidates; those with an overlap of at least mean + deviation and
    their centre inside the box are positive.
    Deviation from the paper: a plate so small that no cell's centre lies in it gets its best candidate, because
    plates, unlike faces, are flatter than a stride.

    Args:
        boxes: (B, N, 4) px.
        overlaps: (B, N, A) of boxes and anchors.
    """
    candidates = _nearest(anchors, boxes)  # (B, N, K)
    candidate_iou = overlaps.gather(-1, candidates)
    threshold = candidate_iou.mean(-1, keepdim=True) + candidate_iou.std(-1, keepdim=True)
    points = anchors.centres[candidates]  # (B, N, K, 2)
    margins = torch.cat([points - boxes[..., None, :2], boxes[..., None, 2:] - points], -1).amin(-1)
    side = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1).sqrt()
    positive = (candidate_iou >= threshold) & (margins > 0.001 * side[..., None])
    best = torch.zeros_like(positive).scatter(-1, candidate_iou.argmax(-1, keepdim=True), True)
    positive = torch.where(positive.any(-1, keepdim=True), positive, best)
    return torch.full_like(overlaps, -1.0).scatter(-1, candidates, candidate_iou.masked_fill(~positive, -1.0))


def overlap_claims(anchors: Anchors, boxes: Tensor, overlaps: Tensor) -> Tensor:
    """How strongly each plate claims each anchor by overlap alone: at least 0.35, as TinaFace has it, else -1.

    Every plate also claims its best anchor, the nearest of equals, and more strongly (1 + overlap) than another plate
    may by the threshold. It is seldom its only one for faces and often for plates: no square overlaps a box of 3:1 by
    more than 0.42.

    Args:
        boxes: (B, N, 4) px.
        overlaps: (B, N, A) of boxes and anchors.
    """
    equals = overlaps >= overlaps.amax(-1, keepdim=True) * (1 - 1e-5)
    best = _distances(anchors, boxes).masked_fill(~equals, float("inf")).argmin(-1, keepdim=True)
    claims = overlaps.masked_fill(overlaps < POSITIVE_IOU, -1.0)
    return claims.scatter(-1, best, 1 + overlaps.gather(-1, best))


def _distances(anchors: Anchors, boxes: Tensor) -> Tensor:
    """Squared, between the centres of (B, N, 4) boxes and of the anchors: (B, N, A)."""
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    x, y = anchors.centres.unbind(-1)
    return (centres[..., :1] - x).square() + (centres[..., 1:] - y).square()


def _nearest(anchors: Anchors, boxes: Tensor) -> Tensor:
    """The candidates of every plate, level by level: (B, N, 4) -> (B, N, K) anchor indices."""
    chosen, first = [], 0
    for level in torch.split(_distances(anchors, boxes), list(anchors.counts), dim=-1):
        # Both anchors of a cell are equally near, and `topk` settles that differently from device to device: take
        # all that may tie, and of equals the first. Sorting whole levels would do too, at forty times the cost.
        several = min(CANDIDATES + EQUALLY_NEAR, level.shape[-1])
        indices = level.topk(several, dim=-1, largest=False).indices.sort(dim=-1).values
        order = level.gather(-1, indices).sort(dim=-1, stable=True).indices[..., :CANDIDATES]
        chosen.append(indices.gather(-1, order) + first)
        first += level.shape[-1]
    return torch.cat(chosen, -1)


def _inside_ignored(anchors: Anchors, boxes: Tensor, kinds: Tensor) -> Tensor:
    """(B, A) bool: the anchor's centre lies in an ignored region."""
    points = anchors.centres[:, None, :]  # (A, 1, 2)
    inside = ((points >= boxes[:, None, :, :2]) & (points <= boxes[:, None, :, 2:])).all(-1)  # (B, A, N)
    return (inside & (kinds == IGNORED)[:, None, :]).any(-1)
