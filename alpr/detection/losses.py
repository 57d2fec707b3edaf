"""The detector's losses as functions, and their weighted sum over a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from alpr.detection.model import RawDetections, decode_points
from alpr.detection.targets import Assignment, DetectionBatch, assign


@dataclass(frozen=True)
class DetectionLossSettings:
    """What is minimised. SCRFD: box 2, corners 0.1 (five landmarks of faces); plates live by their corners.

    Attributes:
        box: "diou" or "giou".
        assignment: which anchors learn a plate, "atss" or "iou"; see `alpr.detection.targets`.
        bins_weight: of the distribution focal loss; without effect on a network without bins.
        hull_weight: of the hull loss: where only a plate's box is labelled, the predicted corners must fill it. Not of
            the paper; what it gives is a quad of the right place and size, its tilt comes from plates with corners.
        trusted_score: a background anchor of an incompletely labelled scene that the network scores higher may see a
            plate that nobody labelled, and is ignored; 1 ignores none. What keeps the score of such anchors down are
            the completely labelled scenes of the mixture: without any, a mistake above this score is never unlearnt.
    """

    box: str = "diou"
    assignment: str = "atss"
    box_weight: float = 2.0
    corner_weight: float = 2.0
    bins_weight: float = 0.25
    hull_weight: float = 0.0
    focal_beta: float = 2.0
    corner_beta: float = 1 / 9
    trusted_score: float = 0.3

    def __post_init__(self) -> None:
        if self.box not in ("diou", "giou"):
            raise ValueError(f"loss.box is {self.box!r}; expected 'diou' or 'giou'.")
        if self.assignment not in ("atss", "iou"):
            raise ValueError(f"loss.assignment is {self.assignment!r}; expected 'atss' or 'iou'.")
        if not 0 < self.trusted_score <= 1:
            raise ValueError(f"loss.trusted_score is {self.trusted_score}; expected a score, 0 < score <= 1.")


class DetectionLosses(NamedTuple):
    """Scalars: the sum that is minimised, and its weighted terms."""

    total: Tensor
    score: Tensor
    box: Tensor
    corner: Tensor
    bins: Tensor  # 0 without integral regression
    hull: Tensor  # 0 where every plate has corners


def quality_focal_loss(logits: Tensor, quality: Tensor, beta: float = 2.0) -> Tensor:
    """|quality - sigmoid(logit)|^beta times the binary cross-entropy, element by element.

    Source: Li et al., "Generalized focal loss", NeurIPS 2020, equation 4. With beta 0 it is plain cross-entropy.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return (quality - logits.sigmoid()).abs().pow(beta) * cross_entropy


def aligned_iou(a: Tensor, b: Tensor) -> Tensor:
    """Boxes (P, 4) and (P, 4), pair by pair, to their intersection over union (P,)."""
    overlap = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    area_a = (a[:, 2:] - a[:, :2]).clamp(min=0).prod(-1)
    area_b = (b[:, 2:] - b[:, :2]).clamp(min=0).prod(-1)
    return overlap / (area_a + area_b - overlap).clamp(min=1e-7)


def diou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - IoU + squared centre distance / squared diagonal of the enclosing box: (P, 4), (P, 4) -> (P,).

    Source: Zheng et al., "Distance-IoU loss", AAAI 2020, equation 7.
    """
    between = ((predicted[:, :2] + predicted[:, 2:] - target[:, :2] - target[:, 2:]) / 2).square().sum(-1)
    low = torch.minimum(predicted[:, :2], target[:, :2])
    high = torch.maximum(predicted[:, 2:], target[:, 2:])
    diagonal = (high - low).square().sum(-1)
    return 1 - aligned_iou(predicted, target) + between / diagonal.clamp(min=1e-7)


def giou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - IoU + the part of the enclosing box that neither covers: (P, 4), (P, 4) -> (P,).

    Source: Rezatofighi et al., "Generalized intersection over union", CVPR 2019, algorithm 1.
    """
    iou = aligned_iou(predicted, target)
    areas = [(b[:, 2:] - b[:, :2]).clamp(min=0).prod(-1) for b in (predicted, target)]
    union = (areas[0] + areas[1]) / (1 + iou)  # IoU = I / U and U = A + B - I
    low = torch.minimum(predicted[:, :2], target[:, :2])
    enclosing = (torch.maximum(predicted[:, 2:], target[:, 2:]) - low).clamp(min=0).prod(-1)
    return 1 - iou + (enclosing - union) / enclosing.clamp(min=1e-7)


def distribution_focal_loss(logits: Tensor, distances: Tensor) -> Tensor:
    """Cross-entropy with the two bins about each distance, the nearer one counting more: (P, 4, n + 1) -> (P,).

    Source: Li et al., "Generalized focal loss", NeurIPS 2020, equation 6; the mean over a box's four sides.

    Args:
        distances: (P, 4) in strides; those out of the bins' reach count as the first or the last bin.
    """
    last = logits.shape[-1] - 1
    reached = distances.clamp(0, last)
    lower = reached.floor().clamp(max=last - 1)
    upper_share = reached - lower
    bins = lower.long()[..., None]
    likelihood = logits.log_softmax(-1)
    below, above = (likelihood.gather(-1, b).squeeze(-1) for b in (bins, bins + 1))
    return -((1 - upper_share) * below + upper_share * above).mean(-1)


def corner_loss(predicted: Tensor, target: Tensor, beta: float = 1 / 9) -> Tensor:
    """Smooth L1 of corners in strides, summed over a plate's eight numbers: (P, 4, 2), (P, 4, 2) -> (P,)."""
    return functional.smooth_l1_loss(predicted, target, beta=beta, reduction="none").sum((-1, -2))


def hull_loss(predicted: Tensor, boxes: Tensor, beta: float = 1 / 9) -> Tensor:
    """Smooth L1 between the hull of predicted corners and a box, summed over its four sides: (P, 4, 2), (P, 4) -> (P,).

    Both in strides.
    """
    hull = torch.cat([predicted.amin(-2), predicted.amax(-2)], -1)
    return functional.smooth_l1_loss(hull, boxes, beta=beta, reduction="none").sum(-1)


def detection_losses(
    raw: RawDetections,
    batch: DetectionBatch,
    settings: DetectionLossSettings,
    over_processes: Callable[[Tensor], Tensor] = lambda sums: sums,
) -> DetectionLosses:
    """Quality focal, box and corner loss of one batch; finite, with finite gradients, also where no plate is.

    Box and corner terms are weighted by the detached score of their anchor and divided by the sum of those weights.
    A corner off the canvas weighs like any other: a learnt plate's centre is on it, so what is seen of the plate says
    where its corners are, and the reader needs all four.

    Args:
        over_processes: gives the mean of a tensor over the processes of a training. With it the gradients, which are
            averaged over processes, are those of one process with the whole batch, however plates are spread.
    """
    assignment = assign(raw.anchors, batch.boxes, batch.kinds, settings.assignment)
    image, anchor = torch.nonzero(assignment.plate >= 0, as_tuple=True)  # (P,), (P,)
    plate = assignment.plate[image, anchor]
    predicted = decode_points(raw)[0][image, anchor]
    target = batch.boxes[image, plate]
    weight = raw.logits[image, anchor].detach().sigmoid()
    corner_weight = weight * batch.has_corners[image, plate]
    sums = torch.stack([weight.new_tensor(image.numel()), weight.sum(), corner_weight.sum()])
    # Clamped, so that a batch without a plate, or one whose plates all score nothing, divides by no zero.
    positives, weights, corner_weights = torch.maximum(over_processes(sums), sums.new_tensor([1, 1e-3, 1e-3 / 8]))

    quality = torch.zeros_like(raw.logits)
    quality[image, anchor] = aligned_iou(predicted.detach(), target)
    focal = quality_focal_loss(raw.logits, quality, settings.focal_beta)
    score = (focal * _counted(raw, batch, assignment, settings)).sum() / positives

    box_loss = diou_loss if settings.box == "diou" else giou_loss
    box = settings.box_weight * (box_loss(predicted, target) * weight).sum() / weights

    strides, centres = raw.anchors.strides[anchor][:, None], raw.anchors.centres[anchor]
    offsets = (batch.corners[image, plate] - centres[:, None]) / strides[..., None]
    corner = corner_loss(raw.corners[image, anchor], offsets, settings.corner_beta)
    corner = settings.corner_weight * (corner * corner_weight).sum() / (8 * corner_weights)

    bins = torch.zeros_like(box)
    if raw.bins is not None:
        sides = torch.cat([centres - target[:, :2], target[:, 2:] - centres], -1) / strides
        spread = distribution_focal_loss(raw.bins[image, anchor], sides)
        bins = settings.bins_weight * (spread * weight).sum() / weights

    sides = (target - centres.repeat(1, 2)) / strides
    apart = hull_loss(raw.corners[image, anchor], sides, settings.corner_beta)
    # By all weights, not by those of the boxes alone: a single box among corners is one plate, not the half of them.
    hull = settings.hull_weight * (apart * (weight - corner_weight)).sum() / (4 * weights)
    return DetectionLosses(score + box + corner + bins + hull, score, box, corner, bins, hull)


def _counted(
    raw: RawDetections, batch: DetectionBatch, assignment: Assignment, settings: DetectionLossSettings
) -> Tensor:
    """(B, A) bool: the anchors whose score is learnt."""
    background = assignment.plate < 0
    trusted = raw.logits.detach().sigmoid() > settings.trusted_score
    return assignment.counted & ~(background & trusted & ~batch.complete[:, None])
