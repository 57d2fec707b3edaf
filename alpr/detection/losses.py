"""The detector's losses as functions, and their weighted sum over a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from alpr.detection.model import RawDetections, decode_boxes
from alpr.detection.targets import DetectionBatch, assign


@dataclass(frozen=True)
class DetectionLossSettings:
    """Weights of the terms. SCRFD: box 2, corners 0.1 (five landmarks of faces); plates live by their corners."""

    box_weight: float = 2.0
    corner_weight: float = 2.0
    focal_beta: float = 2.0
    corner_beta: float = 1 / 9


class DetectionLosses(NamedTuple):
    """Scalars: the sum that is minimised, and its weighted terms."""

    total: Tensor
    score: Tensor
    box: Tensor
    corner: Tensor


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


def corner_loss(predicted: Tensor, target: Tensor, beta: float = 1 / 9) -> Tensor:
    """Smooth L1 of corners in strides, summed over a plate's eight numbers: (P, 4, 2), (P, 4, 2) -> (P,)."""
    return functional.smooth_l1_loss(predicted, target, beta=beta, reduction="none").sum((-1, -2))


def detection_losses(raw: RawDetections, batch: DetectionBatch, settings: DetectionLossSettings) -> DetectionLosses:
    """Quality focal + DIoU + corner loss of one batch; finite, with finite gradients, also where no plate is.

    Box and corner terms are weighted by the detached score of their anchor and divided by the sum of those weights.
    """
    assignment = assign(raw.anchors, batch.boxes, batch.kinds)
    image, anchor = torch.nonzero(assignment.plate >= 0, as_tuple=True)  # (P,), (P,)
    plate = assignment.plate[image, anchor]
    predicted = decode_boxes(raw)[image, anchor]
    target = batch.boxes[image, plate]

    quality = torch.zeros_like(raw.logits)
    quality[image, anchor] = aligned_iou(predicted.detach(), target)
    focal = quality_focal_loss(raw.logits, quality, settings.focal_beta)
    score = (focal * assignment.counted).sum() / max(1, image.numel())

    weight = raw.logits[image, anchor].detach().sigmoid()
    box = settings.box_weight * (diou_loss(predicted, target) * weight).sum() / weight.sum().clamp(min=1e-3)

    offsets = batch.corners[image, plate] - raw.anchors.centres[anchor][:, None, :]
    strides = raw.anchors.strides[anchor][:, None, None]
    corner_weights = weight * batch.has_corners[image, plate]
    corner = corner_loss(raw.corners[image, anchor], offsets / strides, settings.corner_beta)
    corner = settings.corner_weight * (corner * corner_weights).sum() / (8 * corner_weights.sum()).clamp(min=1e-3)
    return DetectionLosses(score + box + corner, score, box, corner)
