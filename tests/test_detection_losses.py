"""The detector's losses: identities, gradients, and what must not change them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from alpr.detection.losses import (
    DetectionLosses,
    DetectionLossSettings,
    aligned_iou,
    corner_loss,
    detection_losses,
    diou_loss,
    quality_focal_loss,
)
from alpr.detection.model import RawDetections, Scrfd, ScrfdSettings, make_anchors
from alpr.detection.module import DetectorModule
from alpr.detection.targets import ABSENT, IGNORED, PLATE, DetectionBatch

SETTINGS = DetectionLossSettings()
SMALL: dict[str, Any] = {
    "stem": (8, 8),
    "stage_blocks": (1, 1, 1, 1),
    "stage_widths": (8, 12, 16, 24),
    "neck_width": 8,
    "head_convs": 1,
    "head_width": 8,
}
A, B, C = (10.0, 10.0, 50.0, 24.0), (60.0, 30.0, 92.0, 42.0), (14.0, 40.0, 44.0, 50.0)


def batch_of(*images: list[tuple[float, ...]], kinds: list[list[int]] | None = None) -> DetectionBatch:
    """Images of 64x96 px with plates; a plate's corners are its box leaning by 2 px."""
    n = max(len(plates) for plates in images)
    boxes = torch.zeros(len(images), n, 4)
    corners = torch.zeros(len(images), n, 4, 2)
    listed = torch.full((len(images), n), ABSENT)
    for i, plates in enumerate(images):
        for j, (x1, y1, x2, y2) in enumerate(plates):
            boxes[i, j] = torch.tensor([x1, y1, x2, y2])
            corners[i, j] = torch.tensor([[x1 + 2, y1], [x2, y1], [x2 - 2, y2], [x1, y2]])
            listed[i, j] = PLATE if kinds is None else kinds[i][j]
    pixels = torch.randint(0, 256, (len(images), 64, 96, 3), dtype=torch.uint8, generator=torch.manual_seed(1))
    return DetectionBatch(pixels, boxes, corners, listed == PLATE, listed, torch.ones(len(boxes), dtype=torch.bool))


def raw_of(images: int, seed: int = 0) -> RawDetections:
    anchors = make_anchors([(8, 12), (4, 6), (2, 3)], torch.device("cpu"))
    n, generator = len(anchors.centres), torch.manual_seed(seed)
    parts = (
        torch.randn(images, n, generator=generator),
        torch.rand(images, n, 4, generator=generator) * 2,
        torch.randn(images, n, 4, 2, generator=generator),
    )
    return RawDetections(*(p.requires_grad_() for p in parts), anchors)


def losses(raw: RawDetections, batch: DetectionBatch, **settings: float) -> DetectionLosses:
    return detection_losses(raw, batch, DetectionLossSettings(**settings))


def gradients(losses: DetectionLosses, raw: RawDetections) -> tuple[Tensor, ...]:
    return torch.autograd.grad(losses.total, raw[:3], retain_graph=True, allow_unused=True, materialize_grads=True)


def test_quality_focal_without_focus_is_cross_entropy() -> None:
    logits, quality = torch.randn(50, generator=torch.manual_seed(0)), torch.rand(50, generator=torch.manual_seed(1))
    expected = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    torch.testing.assert_close(quality_focal_loss(logits, quality, beta=0.0), expected)
    assert quality_focal_loss(torch.tensor(0.0), torch.tensor(0.5)).item() == 0.0
    by_hand = 0.5**2 * torch.log(torch.tensor(2.0))  # the score is 0.5, the quality 1
    torch.testing.assert_close(quality_focal_loss(torch.tensor(0.0), torch.tensor(1.0), beta=2.0), by_hand)


def test_distance_iou() -> None:
    box = torch.tensor([[3.0, 4.0, 23.0, 9.0]])
    assert diou_loss(box, box).item() == pytest.approx(0.0, abs=1e-6)
    apart = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[4.0, 0.0, 6.0, 2.0]])
    assert diou_loss(*apart).item() == pytest.approx(1 + 16 / (36 + 4))
    half = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.0, 2.0, 1.0]])
    assert aligned_iou(*half).item() == pytest.approx(0.5)
    assert diou_loss(*half).item() == pytest.approx(0.5 + 0.25 / 8)


def test_corner_loss_by_hand() -> None:
    truth = torch.zeros(2, 4, 2)
    predicted = truth.clone()
    predicted[0, 2, 1] = 1.0
    predicted[1, 0, 0] = 0.5
    found = corner_loss(predicted, truth, beta=2.0)
    torch.testing.assert_close(found, torch.tensor([1 / 4, 0.25 / 4]))
    torch.testing.assert_close(corner_loss(predicted, truth, beta=0.1), torch.tensor([0.95, 0.45]))


@pytest.mark.parametrize("beta", [0.0, 1.5, 2.0])
def test_gradient_of_quality_focal(beta: float) -> None:
    logits = torch.randn(12, dtype=torch.float64, generator=torch.manual_seed(0), requires_grad=True)
    quality = torch.rand(12, dtype=torch.float64, generator=torch.manual_seed(1))
    assert torch.autograd.gradcheck(lambda z: quality_focal_loss(z, quality, beta), logits)


def test_gradient_of_boxes_and_corners() -> None:
    generator = torch.manual_seed(4)
    low = torch.rand(8, 2, dtype=torch.float64, generator=generator) * 8
    predicted = torch.cat([low, low + 3 + 5 * torch.rand(8, 2, dtype=torch.float64, generator=generator)], 1)
    target = predicted + torch.randn(8, 4, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(lambda p: diou_loss(p, target), predicted.requires_grad_())
    corners = torch.randn(5, 4, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: corner_loss(p, torch.zeros_like(p)), corners)


def test_gradient_of_the_sum() -> None:
    # The anchors' scores weigh boxes and corners as constants, so logits are not part of this check.
    batch, fixed = batch_of([A, B], [C]), raw_of(2)
    double = [t.detach().double() for t in fixed[:3]]
    anchors = fixed.anchors._replace(centres=fixed.anchors.centres.double(), strides=fixed.anchors.strides.double())
    batch = batch._replace(boxes=batch.boxes.double(), corners=batch.corners.double())
    anchors = anchors._replace(sides=anchors.sides.double())

    def without_score(distances: Tensor, corners: Tensor) -> Tensor:
        found = detection_losses(RawDetections(double[0], distances, corners, anchors), batch, SETTINGS)
        return found.box + found.corner

    inputs = (double[1].requires_grad_(), double[2].requires_grad_())
    assert torch.autograd.gradcheck(without_score, inputs, fast_mode=True)


@pytest.mark.parametrize("kinds", [None, [[ABSENT], [ABSENT]], [[IGNORED], [IGNORED]]])
def test_no_plate_in_the_batch(kinds: list[list[int]] | None) -> None:
    batch = batch_of([], []) if kinds is None else batch_of([A], [B], kinds=kinds)
    torch.manual_seed(0)
    network = Scrfd(ScrfdSettings(**SMALL))
    found = detection_losses(network.raw(batch.images), batch, SETTINGS)
    found.total.backward()
    assert bool(found.total.isfinite()) and found.score.item() > 0
    assert found.box.item() == found.corner.item() == 0
    slopes = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(bool(g.isfinite().all()) for g in slopes) and any(bool(g.any()) for g in slopes)


def test_an_unreadable_canvas_teaches_nothing() -> None:
    raw = raw_of(1)
    found = losses(raw, batch_of([(0.0, 0.0, 96.0, 64.0)], kinds=[[IGNORED]]))
    assert found.total.item() == 0
    assert not any(bool(g.any()) for g in gradients(found, raw))


def test_order_and_padding_of_plates_change_nothing() -> None:
    raw = raw_of(2)
    expected = losses(raw, batch_of([A, B], [C]))
    swapped = losses(raw, batch_of([B, A], [C]))
    filler = [(5.0, 5.0, 80.0, 60.0)] * 2
    padded = batch_of([*filler, A, B], [C, *filler], kinds=[[ABSENT, ABSENT, PLATE, PLATE], [PLATE, ABSENT, ABSENT]])
    padded = padded._replace(has_corners=torch.ones_like(padded.has_corners))
    for other in (swapped, losses(raw, padded)):
        for a, b in zip(expected, other, strict=True):
            torch.testing.assert_close(a, b)
        for a, b in zip(gradients(expected, raw), gradients(other, raw), strict=True):
            torch.testing.assert_close(a, b)
    turned = RawDetections(*(t.flip(0) for t in raw[:3]), raw.anchors)
    torch.testing.assert_close(losses(turned, batch_of([C], [A, B])).total, expected.total)


def test_each_anchor_is_held_to_its_own_plate() -> None:
    batch, raw = batch_of([A, B, C]), raw_of(1)
    centres, strides = raw.anchors.centres, raw.anchors.strides[:, None]
    middles = (batch.boxes[0, :, :2] + batch.boxes[0, :, 2:]) / 2
    own = (centres[:, None] - middles).square().sum(-1).argmin(1)  # the plates stand far apart
    for owner, right in ((own, True), ((own + 1) % 3, False)):
        box, corners = batch.boxes[0, owner], batch.corners[0, owner]
        distances = torch.cat([(centres - box[:, :2]) / strides, (box[:, 2:] - centres) / strides], 1)
        offsets = (corners - centres[:, None]) / strides[:, None]
        found = losses(RawDetections(raw.logits, distances[None], offsets[None], raw.anchors), batch)
        if right:
            assert found.box.item() == pytest.approx(0, abs=1e-5) and found.corner.item() == pytest.approx(0, abs=1e-5)
        else:
            assert found.box.item() > 1 and found.corner.item() > 1


def test_normalisers_are_clamped() -> None:
    raw = raw_of(1)
    sure = RawDetections(torch.full_like(raw.logits, -1e3).requires_grad_(), *raw[1:])
    found = losses(sure, batch_of([A]))
    assert all(bool(term.isfinite()) for term in found)
    assert all(bool(g.isfinite().all()) for g in gradients(found, sure))
    faint = RawDetections(torch.full_like(raw.logits, -14.0), *raw[1:])  # the scores sum to far less than the clamp
    assert losses(faint, batch_of([A])).box.item() < 0.1 * losses(raw, batch_of([A])).box.item()


def test_plates_without_corners_teach_boxes_only() -> None:
    raw, batch = raw_of(2), batch_of([A], [C])
    blind = batch._replace(has_corners=torch.zeros_like(batch.has_corners))
    found = losses(raw, blind)
    assert found.corner.item() == 0 and found.box.item() > 0
    assert not bool(gradients(found, raw)[2].any())
    half = batch._replace(has_corners=torch.tensor([[True], [False]]))
    slopes = gradients(losses(raw, half), raw)[2]
    assert bool(slopes[0].any()) and not bool(slopes[1].any())
    moved = half._replace(corners=half.corners + torch.tensor([0.0, 99.0])[:, None, None, None])
    assert losses(raw, moved).corner.item() == losses(raw, half).corner.item()


def test_logged_terms_sum_to_the_optimised_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    module = DetectorModule(SMALL, loss={"box_weight": 3.0, "corner_weight": 0.7})
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value.item()}))
    total = module.training_step((batch_of([A, B], [C]), []), 0)
    total.backward()
    assert set(logged) == {"train/total", "train/score", "train/box", "train/corner"}
    assert total.ndim == 0 and logged["train/total"] == total.item()
    assert logged["train/score"] + logged["train/box"] + logged["train/corner"] == pytest.approx(total.item(), rel=1e-6)
    assert min(logged.values()) > 0
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in module.network.parameters())


def test_weights_scale_their_terms() -> None:
    raw, batch = raw_of(2), batch_of([A, B], [C])
    once, twice = losses(raw, batch), losses(raw, batch, box_weight=4.0, corner_weight=6.0)
    assert twice.box.item() == pytest.approx(2 * once.box.item())
    assert twice.corner.item() == pytest.approx(3 * once.corner.item())
    assert twice.score.item() == once.score.item()
