"""The detector's network: where its cells look, what its outputs mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alpr.detection.model import (
    ANCHOR_SIDES,
    STRIDES,
    RawDetections,
    Scrfd,
    ScrfdSettings,
    decode_points,
    make_anchors,
)
from alpr.layers import normalised_input

SMALL = ScrfdSettings((8, 8), (1, 1, 1, 1), (8, 12, 16, 24), neck_width=8, head_convs=1, head_width=8)


def network(seed: int = 0) -> Scrfd:
    torch.manual_seed(seed)
    return Scrfd(SMALL).eval()


def noise(size: tuple[int, int], batch: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (batch, *size, 3), dtype=np.uint8))


def test_anchors_stand_where_strided_convolutions_look() -> None:
    anchors = make_anchors([(8, 12), (4, 6), (2, 3)], torch.device("cpu"))
    expected = []
    for (rows, columns), stride, sides in zip([(8, 12), (4, 6), (2, 3)], STRIDES, ANCHOR_SIDES, strict=True):
        for row in range(rows):
            for column in range(columns):
                expected += [(column * stride, row * stride, side, stride) for side in sides]
    found = torch.cat([anchors.centres, anchors.sides[:, None], anchors.strides[:, None]], 1)
    assert torch.equal(found, torch.tensor(expected))
    assert anchors.counts == (192, 48, 12) and sum(anchors.counts) == len(found)


@pytest.mark.parametrize("size", [(32, 32), (64, 160), (160, 96)])
def test_outputs_of_rectangular_images(size: tuple[int, int]) -> None:
    anchors = sum(2 * (size[0] // s) * (size[1] // s) for s in (8, 16, 32))
    with torch.no_grad():
        found = network()(noise(size))
        raw = network().raw(noise(size))
    assert found.scores.shape == (2, anchors) and found.boxes.shape == (2, anchors, 4)
    assert found.corners.shape == (2, anchors, 4, 2)
    assert all(t.dtype == torch.float32 and bool(t.isfinite().all()) for t in found)
    assert sum(raw.anchors.counts) == anchors == len(raw.anchors.centres)
    assert raw.anchors.centres.amax(0).tolist() == [size[1] - 8, size[0] - 8]  # they cover the image and no more
    assert raw.anchors.centres.amin(0).tolist() == [0, 0]


@pytest.mark.parametrize("place", [(44, 36), (204, 212), (76, 172), (236, 100)])
def test_a_cell_sees_the_place_where_its_anchor_stands(place: tuple[int, int]) -> None:
    # With weights above 0 and a mid-grey image the network is a wide blur: a bright patch moves those cells most that
    # look at it. A stride or an order of cells other than the anchors' would show here.
    net = network()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(parameter.abs())
        for tower in net.head.towers:  # type: ignore[union-attr]
            tower.predict.bias.zero_()  # type: ignore[union-attr, operator]
    images = torch.full((2, 256, 288, 3), 128, dtype=torch.uint8)
    x, y = place
    images[1, y - 4 : y + 4, x - 4 : x + 4] = 255
    with torch.no_grad():
        raw = net.raw(images)
    change = raw.logits[1] - raw.logits[0]
    assert change.max() > 0
    first = 0
    for count, stride in zip(raw.anchors.counts, STRIDES, strict=True):
        most = first + int(change[first : first + count].argmax())
        distance = (raw.anchors.centres[most] - torch.tensor(place)).abs().max()
        assert distance <= stride, f"stride {stride}: the cell at {raw.anchors.centres[most].tolist()} sees {place}"
        first += count


def test_known_offsets_decode_to_their_boxes_and_corners() -> None:
    anchors = make_anchors([(4, 6), (2, 3), (1, 2)], torch.device("cpu"))
    rng = np.random.default_rng(3)
    n = len(anchors.centres)
    corners = rng.uniform(-20, 60, (2, n, 4, 2)).astype(np.float32)
    low, high = rng.uniform(-20, 20, (2, n, 2)), rng.uniform(21, 60, (2, n, 2))
    boxes = np.concatenate([low, high], -1).astype(np.float32)
    centres, strides = anchors.centres.numpy(), anchors.strides.numpy()
    left_top = (centres - boxes[..., :2]) / strides[:, None]
    right_bottom = (boxes[..., 2:] - centres) / strides[:, None]
    raw = RawDetections(
        torch.zeros(2, n),
        torch.from_numpy(np.concatenate([left_top, right_bottom], -1)),
        torch.from_numpy((corners - centres[:, None]) / strides[:, None, None]),
        anchors,
    )
    found_boxes, found_corners = decode_points(raw)
    np.testing.assert_allclose(found_boxes.numpy(), boxes, atol=1e-4)
    np.testing.assert_allclose(found_corners.numpy(), corners, atol=1e-4)


def test_forward_is_the_decoded_raw_output() -> None:
    net = network()
    with torch.no_grad():
        found, raw = net(noise((64, 96))), net.raw(noise((64, 96)))
    centre, stride = raw.anchors.centres.numpy(), raw.anchors.strides.numpy()
    np.testing.assert_allclose(found.scores.numpy(), 1 / (1 + np.exp(-raw.logits.numpy())), rtol=1e-5)
    for i in (0, 17, 150, -1):
        left, top, right, bottom = raw.distances[1, i].numpy() * stride[i]
        x, y = centre[i]
        np.testing.assert_allclose(found.boxes[1, i], [x - left, y - top, x + right, y + bottom], rtol=1e-5)
        expected = centre[i] + stride[i] * raw.corners[1, i].numpy()
        np.testing.assert_allclose(found.corners[1, i], expected, rtol=1e-5)


def test_an_image_gives_the_same_alone_and_in_a_batch() -> None:
    net = network()
    images = noise((64, 96), batch=3)
    with torch.no_grad():
        together, alone = net(images), net(images[1:2])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:2], b, atol=1e-4, rtol=1e-5)


def test_background_is_the_first_guess() -> None:
    with torch.no_grad():
        scores = network()(noise((64, 96))).scores
    assert scores.mean().item() == pytest.approx(0.01, abs=0.003)


def test_the_input_is_blue_green_red_as_opencv_gives_it() -> None:
    red = torch.tensor([0, 0, 255], dtype=torch.uint8).expand(1, 2, 5, 3)
    rgb = normalised_input(red, torch.float32)
    assert rgb.shape == (1, 3, 2, 5)
    assert rgb[0, :, 0, 0].tolist() == [1.0, -1.0, -1.0]


def test_a_network_with_another_number_of_stages_is_refused() -> None:
    with pytest.raises(ValueError, match="four stages; found 3"):
        ScrfdSettings(stage_blocks=(1, 1, 1))
