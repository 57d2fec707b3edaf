"""The detector's losses: identities, gradients, and what must not change them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracles
import pytest
import torch
from tiny_detection import SMALL, A, B, C, batch_of
from torch import Tensor
from torch.nn import functional

from alpr.detection.losses import (
    DetectionLosses,
    DetectionLossSettings,
    aligned_iou,
    corner_loss,
    detection_losses,
    diou_loss,
    distribution_focal_loss,
    giou_loss,
    hull_loss,
    quality_focal_loss,
)
from alpr.detection.model import RawDetections, Scrfd, ScrfdSettings, make_anchors
from alpr.detection.module import DetectorModule
from alpr.detection.targets import ABSENT, IGNORED, PLATE, DetectionBatch, assign

SETTINGS = DetectionLossSettings()
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else []), *(["mps"] if torch.mps.is_available() else [])]


def raw_of(images: int, seed: int = 0) -> RawDetections:
    anchors = make_anchors([(8, 12), (4, 6), (2, 3)], torch.device("cpu"))
    n, generator = len(anchors.centres), torch.manual_seed(seed)
    parts = (
        torch.randn(images, n, generator=generator),
        torch.rand(images, n, 4, generator=generator) * 2,
        torch.randn(images, n, 4, 2, generator=generator),
    )
    return RawDetections(*(p.requires_grad_() for p in parts), anchors)


def losses(raw: RawDetections, batch: DetectionBatch, **settings: Any) -> DetectionLosses:
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


def test_box_losses_equal_the_oracle() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 40, (40, 2))
    a = np.concatenate([low, low + rng.uniform(4, 40, (40, 2))], 1)
    b = a + rng.normal(0, 12, (40, 4)) * (rng.random((40, 1)) < 0.7)
    b[:, 2:] = np.maximum(b[:, 2:], b[:, :2] + 2)
    expected = np.array([oracles.box_losses(p, q) for p, q in zip(a.tolist(), b.tolist(), strict=True)])
    a_, b_ = torch.from_numpy(a), torch.from_numpy(b)
    np.testing.assert_allclose(diou_loss(a_, b_).numpy(), expected[:, 0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(giou_loss(a_, b_).numpy(), expected[:, 1], rtol=1e-9, atol=1e-12)
    assert (expected[:, 1] > 1).any() and (expected < 1e-9).any()  # some apart, some the same


def test_generalized_iou_by_hand() -> None:
    box = torch.tensor([[3.0, 4.0, 23.0, 9.0]])
    assert giou_loss(box, box).item() == pytest.approx(0.0, abs=1e-6)
    apart = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[4.0, 0.0, 6.0, 2.0]])
    assert giou_loss(*apart).item() == pytest.approx(1 + 4 / 12)
    inside_out = torch.tensor([[5.0, 5.0, 1.0, 1.0]], requires_grad=True)  # an untrained network may give it
    giou_loss(inside_out, box).sum().backward()
    assert inside_out.grad is not None and bool(inside_out.grad.isfinite().all())


def test_distribution_focal_equals_the_oracle() -> None:
    generator = torch.manual_seed(2)
    logits = torch.randn(30, 4, 9, dtype=torch.float64, generator=generator) * 2
    distances = torch.rand(30, 4, dtype=torch.float64, generator=generator) * 12 - 2  # some out of reach either way
    distances[:3] = torch.tensor([0.0, 3.0, 8.0, 7.0])
    expected = [oracles.distribution_focal(z, d) for z, d in zip(logits.tolist(), distances.tolist(), strict=True)]
    found = distribution_focal_loss(logits, distances)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_distribution_focal_at_a_bin_is_cross_entropy() -> None:
    logits = torch.randn(6, 4, 9, generator=torch.manual_seed(0))
    whole = torch.randint(0, 9, (6, 4), generator=torch.manual_seed(1))
    expected = functional.cross_entropy(logits.reshape(-1, 9), whole.reshape(-1), reduction="none").reshape(6, 4)
    torch.testing.assert_close(distribution_focal_loss(logits, whole.float()), expected.mean(1))
    beyond = torch.full((6, 4), 80.0), torch.full((6, 4), 8.0)
    torch.testing.assert_close(*(distribution_focal_loss(logits, d) for d in beyond))


def test_distribution_focal_is_least_where_the_expectation_is_right() -> None:
    distances = torch.tensor([[2.3, 0.0, 7.9, 5.5]], dtype=torch.float64)
    near = (1 - (torch.arange(9) - distances[..., None]).abs()).clamp(min=0)
    logits = (near + 1e-12).log().requires_grad_()
    torch.testing.assert_close((logits.softmax(-1) * torch.arange(9)).sum(-1), distances)
    distribution_focal_loss(logits, distances).sum().backward()
    assert logits.grad is not None and logits.grad.abs().max() < 1e-9


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
    assert torch.autograd.gradcheck(lambda p: giou_loss(p, target), predicted)
    logits = torch.randn(8, 4, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    distances = torch.rand(8, 4, dtype=torch.float64, generator=generator) * 7 - 1
    assert torch.autograd.gradcheck(lambda z: distribution_focal_loss(z, distances), logits)
    corners = torch.randn(5, 4, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: corner_loss(p, torch.zeros_like(p)), corners)


def test_gradient_of_the_sum() -> None:
    # The anchors' scores weigh boxes and corners as constants, so logits are not part of this check.
    batch, fixed = batch_of([A, B], [C]), raw_of(2)
    double = [t.detach().double() for t in fixed[:3]]
    anchors = fixed.anchors._replace(points=fixed.anchors.points.double(), strides=fixed.anchors.strides.double())
    batch = batch._replace(boxes=batch.boxes.double(), corners=batch.corners.double())
    anchors = anchors._replace(sides=anchors.sides.double())

    def without_score(distances: Tensor, corners: Tensor) -> Tensor:
        found = detection_losses(RawDetections(double[0], distances, corners, anchors), batch, SETTINGS)
        return found.box + found.corner

    inputs = (double[1].requires_grad_(), double[2].requires_grad_())
    assert torch.autograd.gradcheck(without_score, inputs, fast_mode=True)


def nothing_to_learn() -> dict[str, DetectionBatch]:
    no_rows = batch_of([A], [B])
    no_rows = no_rows._replace(
        boxes=no_rows.boxes[:, :0],
        corners=no_rows.corners[:, :0],
        has_corners=no_rows.has_corners[:, :0],
        kinds=no_rows.kinds[:, :0],
    )
    ignored = batch_of([A], [B], kinds=[[IGNORED], [IGNORED]])
    return {
        "no rows": no_rows,
        "padding only": batch_of([A], [B], kinds=[[ABSENT], [ABSENT]]),
        "all ignored": ignored,
        "all incomplete": batch_of([], [])._replace(complete=torch.zeros(2, dtype=torch.bool)),
        "ignored and incomplete": ignored._replace(complete=torch.zeros(2, dtype=torch.bool)),
    }


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", nothing_to_learn())
def test_no_plate_in_the_batch(case: str, device: str) -> None:
    """Known mistake 14: a normaliser of 0."""
    batch = DetectionBatch(*(t.to(device) for t in nothing_to_learn()[case]))
    torch.manual_seed(0)
    network = Scrfd(ScrfdSettings(**SMALL)).to(device)
    raw = network.raw(batch.images)
    bins = torch.zeros(*raw.distances.shape, 5, device=device, requires_grad=True)
    for settings in (SETTINGS, DetectionLossSettings(box="giou", assignment="iou")):
        found = detection_losses(raw._replace(bins=bins), batch, settings)
        found.total.backward(retain_graph=True)
        assert bool(found.total.isfinite()) and found.score.item() > 0
        assert found.box.item() == found.corner.item() == found.bins.item() == 0
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
    """Known mistake 2: the corners of an image's first plate for all of its positives."""
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
    """Known mistake 14."""
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
    assert set(logged) == {"train/total", "train/score", "train/box", "train/corner", "train/bins", "train/hull"}
    assert total.ndim == 0 and logged["train/total"] == total.item()
    assert logged["train/score"] + logged["train/box"] + logged["train/corner"] == pytest.approx(total.item(), rel=1e-6)
    assert logged.pop("train/bins") == logged.pop("train/hull") == 0 and min(logged.values()) > 0
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in module.network.parameters())


def test_weights_scale_their_terms() -> None:
    raw, batch = raw_of(2), batch_of([A, B], [C])
    once, twice = losses(raw, batch), losses(raw, batch, box_weight=4.0, corner_weight=6.0)
    assert twice.box.item() == pytest.approx(2 * once.box.item())
    assert twice.corner.item() == pytest.approx(3 * once.corner.item())
    assert twice.score.item() == once.score.item()


def with_bins(raw: RawDetections, seed: int = 5) -> RawDetections:
    """The distances as the expectation of bins, which reach 4 strides."""
    bins = torch.randn(*raw.distances.shape, 5, generator=torch.manual_seed(seed)).requires_grad_()
    return raw._replace(bins=bins, distances=(bins.softmax(-1) * torch.arange(5)).sum(-1))


def test_bins_are_learnt_beside_the_box() -> None:
    raw, batch = with_bins(raw_of(2)), batch_of([A, B], [C])
    assert raw.bins is not None
    found = losses(raw, batch)
    assert found.total.item() == pytest.approx(sum(t.item() for t in found[1:]), rel=1e-6)
    assert losses(raw, batch, bins_weight=0.5).bins.item() == pytest.approx(2 * found.bins.item())
    plate = assign(raw.anchors, batch.boxes, batch.kinds).plate
    image, anchor = torch.nonzero(plate >= 0, as_tuple=True)
    total, weights = 0.0, 0.0
    for i, a in zip(image.tolist(), anchor.tolist(), strict=True):
        box, (x, y) = batch.boxes[i, plate[i, a]].tolist(), raw.anchors.centres[a].tolist()
        stride, weight = raw.anchors.strides[a].item(), raw.logits[i, a].sigmoid().item()
        sides = [(d - e) / stride for d, e in ((x, box[0]), (y, box[1]), (box[2], x), (box[3], y))]
        total += weight * oracles.distribution_focal(raw.bins[i, a].tolist(), sides)
        weights += weight
    assert found.bins.item() == pytest.approx(0.25 * total / weights, rel=1e-5)
    (slope,) = torch.autograd.grad(found.bins, raw.bins)
    assert torch.equal(slope.flatten(2).any(-1), plate >= 0)  # the positives' bins, and no others


def test_settings_choose_box_loss_and_assignment() -> None:
    raw, batch = raw_of(2), batch_of([A, B], [C])
    usual = losses(raw, batch)
    assert losses(raw, batch, box="giou").box.item() != usual.box.item()
    assert losses(raw, batch, box="giou").corner.item() == usual.corner.item()
    assert losses(raw, batch, assignment="iou").corner.item() != usual.corner.item()
    for wrong in ({"box": "ciou"}, {"assignment": "simota"}, {"trusted_score": 0.0}):
        with pytest.raises(ValueError, match=f"loss.{next(iter(wrong))} is .*; expected"):
            DetectionLossSettings(**wrong)


@pytest.mark.parametrize("beta", [0.0, 2.0])
def test_the_score_learns_the_overlap_of_the_predicted_box(beta: float) -> None:
    """Neither 1 nor the anchor's overlap, and of each anchor with its own plate; what it learns from moves no box."""
    raw, batch = raw_of(2), batch_of([A, B], [C])
    plate = assign(raw.anchors, batch.boxes, batch.kinds).plate
    total, qualities = 0.0, []
    for i, a in np.ndindex(*plate.shape):
        score, quality = raw.logits[i, a].sigmoid().item(), 0.0
        if plate[i, a] >= 0:
            (x, y), stride = raw.anchors.centres[a].tolist(), raw.anchors.strides[a].item()
            left, top, right, bottom = (stride * d for d in raw.distances[i, a].tolist())
            quality = oracles.overlap((x - left, y - top, x + right, y + bottom), batch.boxes[i, plate[i, a]].tolist())
            qualities.append(quality)
        entropy = -quality * math.log(score) - (1 - quality) * math.log(1 - score)
        total += abs(quality - score) ** beta * entropy
    found = losses(raw, batch, focal_beta=beta).score
    assert found.item() == pytest.approx(total / len(qualities), rel=1e-5)
    assert min(qualities) < 0.1 and max(qualities) > 0.2  # the boxes of this network are no plates
    slopes = torch.autograd.grad(found, raw[:3], allow_unused=True, materialize_grads=True)
    assert bool(slopes[0].any()) and not bool(slopes[1].any()) and not bool(slopes[2].any())


@pytest.mark.parametrize("score", [0.29, 0.31])
def test_what_may_be_an_unlabelled_plate_is_not_punished(score: float) -> None:
    """Two plates, one of them labelled: in a scene labelled in part the network may go on calling the other one so."""
    raw, batch = raw_of(1), batch_of([A])
    centres = raw.anchors.centres
    other = ((centres - torch.tensor([76.0, 36.0])).abs() < torch.tensor([16.0, 6.0])).all(-1)  # in B, not labelled
    logits = torch.where(other, torch.logit(torch.tensor(score)), torch.tensor(-4.0))[None].requires_grad_()
    raw = raw._replace(logits=logits)
    in_part = batch._replace(complete=torch.tensor([False]))
    slopes = [torch.autograd.grad(losses(raw, b).score, logits)[0][0] for b in (batch, in_part)]
    assert bool(other.any()) and bool((slopes[0][other] > 0).all())
    assert bool((slopes[1][other] == 0).all()) == (score > 0.3)
    assert torch.equal(slopes[0][~other], slopes[1][~other])  # plates are learnt and background punished all the same
    positive = assign(raw.anchors, batch.boxes, batch.kinds).plate[0] >= 0
    sure = raw._replace(logits=torch.where(positive, 4.0, logits.detach()).requires_grad_())
    slope = torch.autograd.grad(losses(sure, in_part).score, sure.logits)[0][0]
    assert bool(slope[positive].all())  # a labelled plate is learnt however sure the network is


def test_a_corner_off_the_canvas_is_learnt_like_any_other() -> None:
    raw = raw_of(1)
    cut = batch_of([(-14.0, 10.0, 26.0, 24.0)])  # two corners left of the canvas
    slope = gradients(losses(raw, cut), raw)[2][0]
    learnt = slope.abs().sum((1, 2)) > 0
    assert bool(learnt.any()) and bool((slope[learnt].abs().sum(-1) > 0).all())


@pytest.mark.parametrize("empty", [False, True])
def test_processes_together_learn_what_one_would(empty: bool) -> None:
    """The mean of two processes' gradients is that of one with both batches, also where one process has no plate."""
    raw, batch = raw_of(2), batch_of([A, B], [] if empty else [C])
    halves = [RawDetections(*(t[i : i + 1] for t in raw[:3]), raw.anchors) for i in range(2)]
    batches = [DetectionBatch(*(t[i : i + 1] for t in batch)) for i in range(2)]
    sums: list[Tensor] = []

    def note(value: Tensor) -> Tensor:
        sums.append(value)
        return value

    for half, own in zip(halves, batches, strict=True):
        detection_losses(half, own, SETTINGS, note)
    found = [
        detection_losses(half, own, SETTINGS, lambda _: (sums[0] + sums[1]) / 2).total
        for half, own in zip(halves, batches, strict=True)
    ]
    whole = losses(raw, batch).total
    assert torch.stack(found).mean().item() == pytest.approx(whole.item(), rel=1e-5)
    for a, b in zip(
        torch.autograd.grad(torch.stack(found).mean(), raw[:3]), torch.autograd.grad(whole, raw[:3]), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_hull_loss_draws_the_corners_of_a_box_only_plate_to_its_box_and_no_others() -> None:
    box = torch.tensor([[1.0, 2.0, 9.0, 5.0]])
    filling = torch.tensor([[[1.0, 2.5], [8.5, 2.0], [9.0, 4.5], [1.5, 5.0]]])
    assert hull_loss(filling, box).item() == 0.0
    assert hull_loss(filling + torch.tensor([2.0, 0.0]), box).item() == pytest.approx(2 * (2.0 - 1 / 18))
    corners = (filling + 0.3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda c: hull_loss(c, box.double()), corners)

    network = Scrfd(ScrfdSettings(**SMALL))  # type: ignore[arg-type]
    settings = DetectionLossSettings(hull_weight=1.0)
    known = batch_of([A, B])
    assert detection_losses(network.raw(known.images), known, settings).hull.item() == 0.0
    boxes_only = known._replace(has_corners=torch.zeros_like(known.has_corners))
    losses = detection_losses(network.raw(known.images), boxes_only, settings)
    assert losses.corner.item() == 0.0 and losses.hull.item() > 0.0
    assert losses.total.item() == pytest.approx(sum(t.item() for t in losses[1:]), rel=1e-5)
    assert detection_losses(network.raw(known.images), boxes_only, DetectionLossSettings()).hull.item() == 0.0
