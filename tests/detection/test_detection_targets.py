"""Which anchor learns which plate."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import oracles
import pytest
import torch
from torch import Tensor

from alpr.data.augment import PixelAugment, PixelSettings, SceneGeometry
from alpr.data.sampling import SampleKey
from alpr.detection.data import TrainingScenes
from alpr.detection.detect import Detector
from alpr.detection.model import Anchors, Scrfd, ScrfdSettings, make_anchors
from alpr.detection.settings import DetectorSettings
from alpr.detection.targets import ABSENT, IGNORED, PLATE, Assignment, assign, pairwise_iou
from alpr.plates.records import FloatArray, ImageBatch, Plate, Scene

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


def assigned(
    anchors: Anchors, *plates: tuple[float, ...], kinds: tuple[int, ...] | None = None, rule: str = "atss"
) -> Assignment:
    boxes = torch.tensor([plates], dtype=torch.float32).reshape(1, -1, 4)
    return assign(anchors, boxes, torch.tensor([kinds or (PLATE,) * len(plates)]).reshape(1, -1), rule)


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
    one = Anchors(*(t[::2] for t in both[:4]), tuple(c // 2 for c in both.counts))
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


@pytest.mark.parametrize("count", [1, 2, 4])
def test_assignment_by_overlap_equals_the_oracle(anchors: Anchors, count: int) -> None:
    rng = np.random.default_rng(10 + count)
    boxes = np.stack([random_plates(rng, count) for _ in range(8)])
    boxes[:, 0, 3] = boxes[:, 0, 1] + (boxes[:, 0, 2] - boxes[:, 0, 0]) * 0.8  # squarer: several anchors reach 0.35
    if count > 1:
        boxes[:4, 1] = boxes[:4, 0] + np.tile(rng.uniform(-6, 6, (4, 2)), 2) + [0, 0, 1.3, 0.7]
    found = assign(anchors, torch.from_numpy(boxes), torch.full(boxes.shape[:2], PLATE), "iou")
    levels = levels_of(anchors)
    several = 0
    for plate, truth in zip(found.plate, boxes, strict=True):
        expected = oracles.overlap_assignment(levels, truth.astype(float).tolist())
        assert owners(plate) == expected
        several += len(expected) > count
    assert several >= 4 and bool(found.counted.all())


def test_by_overlap_every_plate_keeps_its_best_anchor(anchors: Anchors) -> None:
    small, large = (36.0, 38.0, 48.0, 42.0), (32.0, 34.0, 68.0, 50.0)
    boxes = [box for level in levels_of(anchors) for box in level]
    best = max(range(len(boxes)), key=lambda i: oracles.overlap(small, boxes[i]))
    assert oracles.overlap(small, boxes[best]) < 0.35 <= oracles.overlap(large, boxes[best])
    found = owners(assigned(anchors, large, small, rule="iou").plate[0])
    assert found[best] == 1 and list(found.values()).count(1) == 1 and list(found.values()).count(0) > 1
    assert owners(assigned(anchors, large, rule="iou").plate[0])[best] == 0


@pytest.mark.parametrize("rule", ["atss", "iou"])
def test_regions_and_padding_learn_nothing_by_either_rule(anchors: Anchors, rule: str) -> None:
    region, plate = (8.0, 8.0, 90.0, 60.0), (30.0, 20.0, 70.0, 44.0)
    found = assigned(anchors, region, plate, (0.0, 0.0, 0.0, 0.0), kinds=(IGNORED, PLATE, ABSENT), rule=rule)
    assert set(owners(found.plate[0]).values()) == {1}
    assert torch.equal(found.plate, torch.where(found.plate >= 0, assigned(anchors, plate, rule=rule).plate + 1, -1))


@pytest.mark.parametrize("rule", ["atss", "iou"])
@pytest.mark.parametrize("size", [320, 640])
def test_every_width_learns_at_levels_of_its_size(size: int, rule: str) -> None:
    """Known mistake 17, anchors as large as the input: plates of 12 to 400 px have positives of about their size."""
    anchors = make_anchors([(size // s, size // s) for s in (8, 16, 32)], torch.device("cpu"))
    rng = np.random.default_rng(size)
    for width in (12, 16, 24, 48, 100, 200, 400):
        if width >= size:
            continue
        half = np.array([width / 2, width / 6])
        centres = rng.uniform(half, size - half, (20, 2))
        boxes = torch.from_numpy(np.concatenate([centres - half, centres + half], 1)[:, None].astype(np.float32))
        positive = assign(anchors, boxes, torch.full((20, 1), PLATE), rule).plate >= 0
        assert bool(positive.any(1).all())
        sides = anchors.sides.expand_as(positive)[positive]
        assert bool((sides >= 0.3 * width).all()) and bool((sides <= max(16, width)).all())
        assert bool((sides < size).all())
        strides = set(anchors.strides.expand_as(positive)[positive].tolist())
        allowed = {8.0} if width <= 48 else {8.0, 16.0} if width <= 100 else {16.0, 32.0}
        assert strides <= allowed, f"{width} px is learnt at strides {strides}"


@pytest.mark.parametrize("quadrant", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_plate_trains_the_cells_that_look_at_it_in_every_quadrant(quadrant: tuple[int, int]) -> None:
    """Known mistake 1: strides given to the head that are not the maps' own, so that x trained the cell of x / 2.

    With weights above 0 and a grey image, a bright patch moves the cells most that look at it.
    """
    torch.manual_seed(0)
    network = Scrfd(ScrfdSettings((8, 8), (1, 1, 1, 1), (8, 12, 16, 24), 8, 1, 8)).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.zeros_like(parameter) if name.endswith("score.bias") else parameter.abs())
    places = [(64 + 128 * x, 64 + 128 * y) for x in (0, 1) for y in (0, 1)]
    x, y = 64 + 128 * quadrant[0], 64 + 128 * quadrant[1]
    images = torch.full((2, 256, 256, 3), 128, dtype=torch.uint8)
    images[1, y - 8 : y + 8, x - 24 : x + 24] = 255
    with torch.no_grad():
        raw = network.raw(images)
    change = raw.logits[1] - raw.logits[0]
    moved = {}
    for px, py in places:
        trained = assigned(raw.anchors, (px - 24, py - 8, px + 24, py + 8)).plate[0] >= 0
        assert bool(((raw.anchors.centres[trained] - torch.tensor([px, py])).abs() <= torch.tensor([24, 8])).all())
        moved[px, py] = change[trained].mean().item()
    assert max(moved, key=lambda place: moved[place]) == (x, y)
    assert sorted(moved.values())[-1] > 3 * sorted(moved.values())[-2]


def test_training_and_inference_show_the_same_aspect_ratio(tmp_path: Path) -> None:
    """Known mistake 11: training letterboxed and inference squashed, so that plates were of another shape."""
    photo = np.zeros((1160, 720, 3), np.uint8)
    cv2.rectangle(photo, (240, 500), (479, 579), (255, 255, 255), -1)  # 240 x 80 px
    cv2.imwrite(str(tmp_path / "scene.png"), photo)
    corners = np.array([[240, 500], [480, 500], [480, 580], [240, 580]], np.float32)
    still = SceneGeometry(rotation_deg=0, shear=0, perspective=0, flip=0, stretch=0)
    dark = PixelAugment(PixelSettings(0, 0, 0, noise=0, jpeg=0, grey=0))
    scenes = TrainingScenes([[Scene(tmp_path / "scene.png", (Plate("A", corners),))]], (448, 320), still, dark, seed=1)
    shown = [scenes[SampleKey(0, 0, draw)].image for draw in range(3)]

    def network(images: ImageBatch) -> tuple[FloatArray, FloatArray, FloatArray]:
        shown.extend(images)
        return np.zeros((1, 1)), np.zeros((1, 1, 4)), np.zeros((1, 1, 4, 2))

    Detector(network, DetectorSettings(input_px=448)).detect([photo])
    assert len(shown) == 4
    for image in shown:
        rows, columns = np.nonzero(image[..., 0] > 200)
        ratio = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
        assert ratio == pytest.approx(3, rel=0.06)  # whole pixels


def test_a_plate_trains_the_cells_that_look_at_it(anchors: Anchors) -> None:
    """Known mistake 1."""
    for x, y in [(20, 20), (70, 40), (110, 80)]:
        found = assigned(anchors, (x - 15, y - 6, x + 15, y + 6)).plate[0]
        places = anchors.centres[found >= 0]
        assert len(places)
        assert bool(((places - torch.tensor([x, y])).abs() <= torch.tensor([15, 6])).all())


def test_each_positive_learns_its_own_plate(anchors: Anchors) -> None:
    """Known mistake 2: every positive of an image had the first plate's corners."""
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
