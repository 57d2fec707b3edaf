"""Which anchor learns which plate: ATSS over a whole batch at once.

Source: Zhang et al., "Bridging the gap between anchor-based and anchor-free detection via adaptive training sample
selection", CVPR 2020, algorithm 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from alpr.detection.model import Anchors

CANDIDATES = 9  # per plate and level
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
    low = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])
    high = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    return overlap / (area_a[..., :, None] + area_b[..., None, :] - overlap).clamp(min=1e-9)


@torch.no_grad()
def assign(anchors: Anchors, boxes: Tensor, kinds: Tensor) -> Assignment:
    """ATSS: (B, N, 4) boxes of the given kinds to the anchors that learn them.

    Per plate and level the nine nearest anchors are candidates; those with an overlap of at least mean + deviation and
    their centre inside the box are positive. An anchor that two plates claim learns the one it overlaps most.
    Deviation from the paper: a plate so small that no cell's centre lies in it gets its best candidate, because
    plates, unlike faces, are flatter than a stride.
    """
    b, n = boxes.shape[:2]
    a = anchors.centres.shape[0]
    if n == 0:
        nothing = boxes.new_full((b, a), -1, dtype=torch.int64)
        return Assignment(nothing, torch.ones_like(nothing, dtype=torch.bool))
    half = anchors.sides[:, None] / 2
    overlaps = pairwise_iou(boxes, torch.cat([anchors.centres - half, anchors.centres + half], -1)[None])  # (B, N, A)
    candidates = _nearest(anchors, (boxes[..., :2] + boxes[..., 2:]) / 2)  # (B, N, K)
    candidate_iou = overlaps.gather(-1, candidates)
    threshold = candidate_iou.mean(-1, keepdim=True) + candidate_iou.std(-1, keepdim=True)
    points = anchors.centres[candidates]  # (B, N, K, 2)
    margins = torch.cat([points - boxes[..., None, :2], boxes[..., None, 2:] - points], -1).amin(-1)
    side = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1).sqrt()
    positive = (candidate_iou >= threshold) & (margins > 0.001 * side[..., None])
    best = torch.zeros_like(positive).scatter(-1, candidate_iou.argmax(-1, keepdim=True), True)
    positive = torch.where(positive.any(-1, keepdim=True), positive, best) & (kinds == PLATE)[..., None]

    claims = torch.full_like(overlaps, -1.0)
    claims.scatter_(-1, candidates, torch.where(positive, candidate_iou, torch.full_like(candidate_iou, -1.0)))
    strongest, plate = claims.max(dim=1)  # (B, A)
    plate = torch.where(strongest >= 0, plate, torch.full_like(plate, -1))
    return Assignment(plate, ~(_inside_ignored(anchors, boxes, kinds) & (plate < 0)))


def _nearest(anchors: Anchors, centres: Tensor) -> Tensor:
    """The candidates of every plate, level by level: (B, N, 2) -> (B, N, K) anchor indices."""
    distances = (centres[:, :, None, :] - anchors.centres).square().sum(-1)
    chosen, first = [], 0
    for count in anchors.counts:
        level = distances[..., first : first + count]
        # Both anchors of a cell are equally near: a stable sort settles it alike on every device, `topk` does not.
        chosen.append(level.sort(dim=-1, stable=True).indices[..., :CANDIDATES] + first)
        first += count
    return torch.cat(chosen, -1)


def _inside_ignored(anchors: Anchors, boxes: Tensor, kinds: Tensor) -> Tensor:
    """(B, A) bool: the anchor's centre lies in an ignored region."""
    points = anchors.centres[:, None, :]  # (A, 1, 2)
    inside = ((points >= boxes[:, None, :, :2]) & (points <= boxes[:, None, :, 2:])).all(-1)  # (B, A, N)
    return (inside & (kinds == IGNORED)[:, None, :]).any(-1)
