"""The networks beside SCRFD-0.5GF: their published sizes, true strides, other necks and heads, and where cells look."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from tiny_runs import REPOSITORY
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from alpr.detection.backbones import BasicBlock, TimmBackbone
from alpr.detection.model import Scrfd, ScrfdSettings, expectation
from alpr.detection.necks import Fusion, upsampled
from alpr.training.configuration import composed

EXPERIMENTS = sorted(
    path.stem
    for path in (REPOSITORY / "configs" / "experiment").glob("*detector.yaml")
    if path.stem != "hog_detector"  # no network
)
RESIDUAL = ScrfdSettings((4, 4, 8), (1, 1, 1, 1), (8, 12, 16, 24), neck_width=8, head_width=8, block="residual")
ODD = ScrfdSettings(  # one tiny network with every part that SCRFD-0.5GF lacks: tracing takes seconds
    (4, 4, 8), (1, 1, 1, 1), (8, 8, 8, 8), block="residual", neck="bifpn", neck_width=8, extra_levels=1,
    fusion="weighted", head="gfl", head_convs=1, head_width=8, reg_max=8, anchor_sides=((16,), (32,), (64,), (128,)),
)  # fmt: skip
TIMM = ScrfdSettings(
    timm="lcnet_035", timm_indices=(2, 3), neck="bifpn", neck_width=8, extra_levels=1, fusion="weighted",
    head="gfl", head_convs=1, head_width=8, reg_max=8, anchor_sides=((16,), (32,), (48,)),
)  # fmt: skip


def shape_of(config: DictConfig) -> ScrfdSettings:
    return ScrfdSettings(**OmegaConf.to_container(config.model.network))


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(
    ("name", "giga", "plain", "with_points"),
    [("scrfd_500m", 0.5, 0.57, 0.57), ("scrfd_2500m", 2.5, 0.67, 0.82), ("scrfd_10g", 10.0, 3.86, 4.23)],
)
def test_the_published_sizes(name: str, giga: float, plain: float, with_points: float) -> None:
    """Parameters in millions and multiply-adds in thousands of millions at 640x480, as published.

    The published plain models share one tower over all strides; those with keypoints have one for each, as here. So a
    plain model is ours with one tower and without corners. No multiply-adds are published for keypoints: they are
    the plain model's, which its name gives, and those of the corners' part of the last convolutions.
    """
    settings = shape_of(composed("train", [f"model={name}", "name=a", "data.manifest=b.csv"]))
    network = Scrfd(settings).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros((1, 480, 640, 3), dtype=torch.uint8))
    taps = 9 * settings.head_width
    corner_outputs = 2 * 8
    corner_giga = sum(480 * 640 // stride**2 for stride in (8, 16, 32)) * corner_outputs * taps / 1e9
    tower = parameters(network.head.towers[0]) - corner_outputs * (taps + 1)  # type: ignore[index, arg-type]
    found = counter.get_total_flops() / 2e9
    assert found - corner_giga == pytest.approx(giga, rel=0.05)
    assert found == pytest.approx(giga + corner_giga, rel=0.10)
    assert (parameters(network.backbone, network.neck) + tower) / 1e6 == pytest.approx(plain, rel=0.05)
    assert parameters(network) / 1e6 == pytest.approx(with_points, rel=0.10)


def test_the_reference_detector_has_its_published_size() -> None:
    network = Scrfd(shape_of(composed("train", ["experiment=reference_detector"])))
    assert parameters(network) / 1e6 == pytest.approx(9.06, rel=0.01)
    assert network.strides == (4, 8, 16, 32, 64)
    raw = network.eval().raw(torch.zeros((1, 224, 224, 3), dtype=torch.uint8))
    assert raw.anchors.counts == tuple(side**2 for side in (56, 28, 14, 7, 4))
    assert raw.bins is not None and raw.bins.shape == (1, 4181, 4, 17)


@pytest.mark.parametrize(("name", "indices"), [("lcnet_035", (-3, -2, -1)), ("mobilenetv3_small_050", (1, 2, 3))])
def test_strides_are_those_of_the_backbone(name: str, indices: tuple[int, ...]) -> None:
    settings = ScrfdSettings(timm=name, timm_indices=indices, neck="bifpn", extra_levels=1, anchor_sides=((16,),) * 4)
    network = Scrfd(settings).eval()
    height, width = 256, 384
    with torch.no_grad():
        features = network.neck(network.backbone(torch.zeros(1, 3, height, width)))
        anchors = network.raw(torch.zeros((1, height, width, 3), dtype=torch.uint8)).anchors
    first = 0
    for feature, count, stride in zip(features, anchors.counts, network.strides, strict=True):
        assert feature.shape[2:] == (height // stride, width // stride)
        level = anchors.centres[first : first + count]
        assert anchors.strides[first : first + count].unique().tolist() == [stride]
        assert level[1].tolist() == [stride, 0] and level[-1].tolist() == [width - stride, height - stride]
        first += count
    assert network.strides == ((8, 16, 32, 64) if indices[0] < 0 else (4, 8, 16, 32))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_no_level_has_only_anchors_as_large_as_the_input(experiment: str) -> None:
    config = composed("train", [f"experiment={experiment}"])
    smallest = [min(sides) for sides in shape_of(config).anchor_sides]
    assert max(smallest) < max(config.data.canvas)
    assert smallest == sorted(smallest)


@pytest.mark.parametrize("name", ["lcnet_035", "mobilenetv3_small_050"])
def test_a_timm_backbone_gets_the_colours_it_was_trained_on(name: str) -> None:
    backbone = TimmBackbone(name, False, (-1,))
    mean, std = (torch.tensor(backbone.network.pretrained_cfg[k]).view(3, 1, 1) for k in ("mean", "std"))  # type: ignore
    pixels = torch.rand(3, 4, 4)
    given = (2 * pixels - 1) * backbone.scale + backbone.shift
    torch.testing.assert_close(given, (pixels - mean) / std)


def gradient_centroid(network: Scrfd, level: int, cell: int) -> float:
    """Where along x the cell looks on average, in px, for a network with weights above 0."""
    image = torch.ones(1, 3, 384, 384, requires_grad=True)
    maps = network.neck(network.backbone(image))
    (gradient,) = torch.autograd.grad(maps[level][0, :, cell, cell].sum(), image)
    weight = gradient.sum((0, 1, 2))
    return float((weight * (torch.arange(384) + 0.5)).sum() / weight.sum())


@pytest.mark.parametrize(("settings", "tolerance"), [(ScrfdSettings(), 1.0), (RESIDUAL, 0.25 * 32)])
def test_a_cell_looks_at_its_anchor(settings: ScrfdSettings, tolerance: float) -> None:
    # A convolution of stride 2 with padding 1 is centred on pixel 2 j, whose middle is 2 j + 0.5. The pooled shortcuts
    # of residual blocks lie half a cell further, so those look between the anchor and the middle of the cell.
    network = Scrfd(settings).eval()
    found = []
    for seed in range(2):
        torch.manual_seed(seed)
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                parameter.data = torch.rand_like(parameter) / parameter[0].numel()
            elif name.endswith("weight"):
                parameter.data = torch.rand_like(parameter) + 0.5
        found.append([gradient_centroid(network, i, 192 // s) - 192 for i, s in enumerate(network.strides)])
    offsets = np.abs(np.mean(found, 0))
    assert (offsets <= np.minimum(tolerance, 0.35 * np.array(network.strides))).all(), offsets


def test_distributions_give_their_mean() -> None:
    certain = torch.full((1, 2, 4, 17), -30.0)
    certain[..., 5] = 30.0
    assert torch.allclose(expectation(certain), torch.full((1, 2, 4), 5.0))
    even = torch.full((3, 17), -30.0)
    even[:, 2:4] = 1.0
    assert torch.allclose(expectation(even), torch.full((3,), 2.5))
    raw = Scrfd(ScrfdSettings(reg_max=16)).eval().raw(torch.zeros((2, 64, 64, 3), dtype=torch.uint8))
    assert raw.bins is not None and raw.bins.shape == (*raw.distances.shape, 17)
    torch.testing.assert_close(raw.distances, expectation(raw.bins))
    assert Scrfd().eval().raw(torch.zeros((1, 32, 32, 3), dtype=torch.uint8)).bins is None


def test_a_finer_cell_gets_the_coarser_one_over_it() -> None:
    for fine in range(3, 40):
        coarse = torch.arange((fine + 1) // 2, dtype=torch.float32).expand(1, 1, 1, -1)
        expected = torch.arange(fine) // 2
        assert upsampled(coarse, torch.zeros(1, 1, 1, fine)).flatten().tolist() == expected.tolist()


def test_fusion_weighs_by_shares() -> None:
    fusion = Fusion(2, 4, weighted=True)
    fusion.layers = nn.Identity()  # type: ignore[assignment]
    assert fusion.weights is not None
    fusion.weights.data = torch.tensor([3.0, 1.0])
    first, second = torch.full((1, 4, 2, 2), 4.0), torch.full((1, 4, 2, 2), 8.0)
    torch.testing.assert_close(fusion(first, second), torch.full((1, 4, 2, 2), 5.0), atol=1e-3, rtol=0)
    fusion.weights.data = torch.tensor([3.0, -1.0])  # never below 0
    torch.testing.assert_close(fusion(first, second), first, atol=1e-3, rtol=0)
    plain = Fusion(2, 4, weighted=False)
    plain.layers = nn.Identity()  # type: ignore[assignment]
    assert torch.equal(plain(first, second), first + second)


def test_a_residual_block_begins_as_its_shortcut() -> None:
    block = BasicBlock(4, 4, 1).eval()
    x = torch.rand(1, 4, 6, 6)
    assert torch.equal(block(x), x)


def test_a_graph_of_other_shapes_has_free_sizes() -> None:
    # The first step of an export, in which a size that is not free shows; writing ONNX takes as long again.
    torch.manual_seed(0)
    network = Scrfd(ODD).eval()
    free = dict.fromkeys(range(3), torch.export.Dim.DYNAMIC)
    with torch.no_grad():
        example = torch.zeros((2, 96, 160, 3), dtype=torch.uint8)
        graph = torch.export.export(network, (example,), dynamic_shapes=(free,)).module()
        for shape in ((1, 96, 160, 3), (3, 160, 96, 3)):
            images = torch.randint(0, 256, shape, dtype=torch.uint8)
            for found, wanted in zip(graph(images), network(images), strict=True):
                torch.testing.assert_close(found, wanted)


def test_a_step_trains_every_weight() -> None:
    network = Scrfd(TIMM).train()
    raw = network.raw(torch.randint(0, 256, (2, 96, 128, 3), dtype=torch.uint8))
    (raw.logits.sum() + raw.distances.square().sum() + raw.corners.square().sum()).backward()
    assert not [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"neck": "fpn"}, "neck is 'fpn'; expected pafpn or bifpn"),
        ({"block": "residual"}, "residual stem has 3 convolutions"),
        ({"anchor_sides": ((16,), (32,))}, "anchor_sides has 2 levels; the network has 3"),
        ({"extra_levels": 1}, "A pafpn has the backbone's levels"),
        ({"timm": "no_such_net"}, "timm gives no features .* of 'no_such_net'"),
        ({"timm": "lcnet_035", "timm_indices": (1, 3, 4)}, r"strides are \[4, 16, 32\]; expected each to be twice"),
        ({"head": "gfl", "anchor_sides": ((8,), (16, 32), (64,))}, "equally many"),
        ({"reg_max": -1}, "reg_max is -1"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Scrfd(ScrfdSettings(**wrong))  # type: ignore[arg-type]
