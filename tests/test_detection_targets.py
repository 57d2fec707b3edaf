"""Which anchor learns which plate."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
import torch
from torch import Tensor

from alpr.detection.model import Anchors, make_anchors
from alpr.detection.targets import ABSENT, IGNORED, PLATE, Assignment, assign, pairwise_iou

CANVAS = (96, 128)


@pytest.fixture(scope="module")
def anchors() -> Anchors:
    return make_anchors([(CANVAS[0] // s, CANVAS[1] // s) for s in (8, 16, 32)], torch.device("cpu"))


def levels_of(anchors: Anchors) -> list[list[list[float]]]:
    half = anchors.sides[:, None] / 2
    boxes = torch.cat([anchors.centres - half, anchors.centres + half], 1).double().split(anchors.counts)
    return [level.tolist() for level in boxes]


def random_plates(rng: np.random.Generator, count: int) -> np.ndarray:
    width = np.exp(rng.uniform(np.log(9), np.log(90), count))
    height = np.maximum(3, width / rng.uniform(1.5, 4.5, count))
    x, y = rng.uniform(2, CANVAS[1] - 2, count), rng.uniform(2, CANVAS[0] - 2, count)
    return np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1).astype(np.float32)


def assigned(anchors: Anchors, *plates: tuple[float, ...], kinds: tuple[int, ...] | None = None) -> Assignment:
    boxes = torch.tensor([plates], dtype=torch.float32).reshape(1, -1, 4)
    return assign(anchors, boxes, torch.tensor([kinds or (PLATE,) * len(plates)]).reshape(1, -1))


def owners(plate: Tensor) -> dict[int, int]:
    return {i: int(p) for i, p in enumerate(plate.tolist()) if p >= 0}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_assignment_equals_the_oracle(anchors: Anchors, count: int) -> None:
    rng = np.random.default_rng(count)
    boxes = np.stack([random_plates(rng, count) for _ in range(8)])
    if count > 1:
        # Two plates that want the same anchors; of unlike sizes, so that no anchor overlaps both equally.
        boxes[:4, 1] = boxes[:4, 0] + np.tile(rng.uniform(-6, 6, (4, 2)), 2) + [0, 0, 1.3, 0.7]
    kinds = torch.full(boxes.shape[:2], PLATE)
    found = assign(anchors, torch.from_numpy(boxes), kinds)
    levels = levels_of(anchors)
    for plate, counted, truth in zip(found.plate, found.counted, boxes, strict=True):
        assert owners(plate) in oracles.atss(levels, truth.astype(float).tolist())
        assert bool(counted.all())


def test_the_same_with_one_anchor_per_cell() -> None:
    both = make_anchors([(12, 16), (6, 8), (3, 4)], torch.device("cpu"))
    one = Anchors(both.centres[::2], both.sides[::2], both.strides[::2], tuple(c // 2 for c in both.counts))
    rng = np.random.default_rng(7)
    boxes = np.stack([random_plates(rng, 3) for _ in range(8)])
    found = assign(one, torch.from_numpy(boxes), torch.full(boxes.shape[:2], PLATE))
    single = 0
    for plate, truth in zip(found.plate, boxes, strict=True):
        options = oracles.atss(levels_of(one), truth.astype(float).tolist())
        assert owners(plate) in options
        single += len(options) == 1
    assert single >= 4  # no two cells are equally near, so mostly there is one answer


def test_overlaps_equal_the_oracle() -> None:
    rng = np.random.default_rng(0)
    a, b = random_plates(rng, 6), random_plates(rng, 5)
    found = pairwise_iou(torch.from_numpy(a), torch.from_numpy(b))
    expected = [[oracles.overlap(p, q) for q in b.tolist()] for p in a.tolist()]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    assert np.max(expected) > 0.05


def test_a_plate_trains_the_cells_that_look_at_it(anchors: Anchors) -> None:
    for x, y in [(20, 20), (70, 40), (110, 80)]:
        found = assigned(anchors, (x - 15, y - 6, x + 15, y + 6)).plate[0]
        places = anchors.centres[found >= 0]
        assert len(places)
        assert bool(((places - torch.tensor([x, y])).abs() <= torch.tensor([15, 6])).all())


def test_each_positive_learns_its_own_plate(anchors: Anchors) -> None:
    plates = [(10.0, 10.0, 50.0, 24.0), (70.0, 12.0, 116.0, 28.0), (40.0, 60.0, 84.0, 75.0)]
    found = assigned(anchors, *plates).plate[0]
    assert {0, 1, 2} == set(owners(found).values())
    centres = torch.tensor([[(a + c) / 2, (b + d) / 2] for a, b, c, d in plates])
    for anchor, plate in owners(found).items():
        nearest = int((anchors.centres[anchor] - centres).square().sum(1).argmin())
        assert plate == nearest


def test_a_plate_flatter_than_a_stride_gets_its_best_anchor(anchors: Anchors) -> None:
    plate = (33.0, 36.6, 51.0, 39.4)  # rows of cells stand at 36, 40 and 48: no centre is inside
    inside = (anchors.centres[:, 1] > plate[1]) & (anchors.centres[:, 1] < plate[3])
    assert not bool(inside.any())
    found = owners(assigned(anchors, plate).plate[0])
    assert len(found) == 1
    (anchor,) = found
    overlaps = [oracles.overlap(plate, box) for level in levels_of(anchors) for box in level]
    assert overlaps[anchor] == pytest.approx(max(overlaps))


def test_ignored_regions_learn_nothing(anchors: Anchors) -> None:
    region = (8.0, 8.0, 90.0, 60.0)
    plate = (30.0, 20.0, 70.0, 34.0)
    found = assigned(anchors, region, plate, kinds=(IGNORED, PLATE))
    x, y = anchors.centres.T
    inside = (x >= region[0]) & (x <= region[2]) & (y >= region[1]) & (y <= region[3])
    positive = found.plate[0] >= 0
    assert set(owners(found.plate[0]).values()) == {1}
    assert bool(positive[inside].any())  # a plate within the region is learnt all the same
    assert torch.equal(found.counted[0], ~inside | positive)
    assert torch.equal(found.plate, torch.where(found.plate >= 0, assigned(anchors, plate).plate + 1, -1))


def test_no_plate_is_all_background(anchors: Anchors) -> None:
    for found in (
        assigned(anchors),
        assigned(anchors, (0.0, 0.0, 0.0, 0.0), kinds=(ABSENT,)),
        assigned(anchors, (20.0, 20.0, 60.0, 40.0), kinds=(ABSENT,)),
    ):
        assert bool((found.plate == -1).all()) and bool(found.counted.all())
        assert found.plate.shape == found.counted.shape == (1, len(anchors.centres))


def test_padding_and_order_of_plates_change_only_their_numbers(anchors: Anchors) -> None:
    a, b = (10.0, 10.0, 50.0, 24.0), (44.0, 14.0, 88.0, 30.0)
    first = assigned(anchors, a, b).plate
    swapped = assigned(anchors, b, a).plate
    padded = assigned(anchors, (1.0, 1.0, 90.0, 90.0), a, b, kinds=(ABSENT, PLATE, PLATE)).plate
    assert torch.equal(torch.where(first >= 0, 1 - first, -1), swapped)
    assert torch.equal(torch.where(first >= 0, first + 1, -1), padded)
