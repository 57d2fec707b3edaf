"""Backbones: RGB images in -1..1 (B, 3, H, W) to features, fine to coarse, with their widths and true strides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from alpr.layers import conv_norm_act, depthwise_separable


class Backbone(nn.Module):
    """What every backbone says of the list of features that it gives.

    Attributes:
        widths, strides: channels and input pixels per cell of each feature.
    """

    widths: tuple[int, ...]
    strides: tuple[int, ...]


class StagedBackbone(Backbone):
    """A stem and four stages; the last three give features at strides 8, 16 and 32."""

    def __init__(self, stem: nn.Module, stages: Sequence[nn.Module], widths: Sequence[int]) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.widths, self.strides = tuple(widths[1:]), (8, 16, 32)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[1:]


def depthwise_backbone(stem: Sequence[int], blocks: Sequence[int], widths: Sequence[int]) -> StagedBackbone:
    """MobileNetV1-like, of SCRFD-0.5GF: a stem of two convolutions at stride 2, every stage begins with stride 2."""
    first, width = stem
    stages = []
    for count, stage_width in zip(blocks, widths, strict=True):
        layers = [depthwise_separable(width, stage_width, stride=2)]
        layers += [depthwise_separable(stage_width, stage_width) for _ in range(count - 1)]
        stages.append(nn.Sequential(*layers))
        width = stage_width
    return StagedBackbone(nn.Sequential(conv_norm_act(3, first, 3, 2), depthwise_separable(*stem)), stages, widths)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which averages where it halves the size.

    Source: He et al., "Bag of tricks for image classification", CVPR 2019, figure 2c (ResNet-D). The last norm begins
    at zero, so that the block begins as its shortcut.
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        second = nn.BatchNorm2d(width)
        nn.init.zeros_(second.weight)
        self.body = nn.Sequential(
            conv_norm_act(width_in, width, 3, stride), nn.Conv2d(width, width, 3, padding=1, bias=False), second
        )
        # Rounded up, as the strided convolution rounds: without it an export cannot prove that both have one size.
        shortcut: list[nn.Module] = [] if stride == 1 else [nn.AvgPool2d(stride, ceil_mode=True)]
        if stride != 1 or width_in != width:
            shortcut += [nn.Conv2d(width_in, width, 1, bias=False), nn.BatchNorm2d(width)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.body(x) + self.shortcut(x))


def residual_backbone(stem: Sequence[int], blocks: Sequence[int], widths: Sequence[int]) -> StagedBackbone:
    """Basic residual blocks, of SCRFD-2.5GF and 10GF: three convolutions and a 2x2 max pool reach stride 4."""
    convolutions, width = [], 3
    for i, stem_width in enumerate(stem):
        convolutions.append(conv_norm_act(width, stem_width, 3, 2 if i == 0 else 1))
        width = stem_width
    stages = []
    for i, (count, stage_width) in enumerate(zip(blocks, widths, strict=True)):
        layers = [BasicBlock(width, stage_width, 1 if i == 0 else 2)]
        layers += [BasicBlock(stage_width, stage_width, 1) for _ in range(count - 1)]
        stages.append(nn.Sequential(*layers))
        width = stage_width
    return StagedBackbone(nn.Sequential(*convolutions, nn.MaxPool2d(2)), stages, widths)


class TimmBackbone(Backbone):
    """Any backbone of timm, by name; what it says of its own strides and normalisation is believed, nothing else.

    Args:
        indices: of the features, as timm counts them; negative from the end.

    Raises:
        ValueError: a name that timm does not know, or a network that gives no features at these indices.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, name: str, pretrained: bool, indices: Sequence[int]) -> None:
        super().__init__()
        if set(name) & set(":/"):  # timm would fetch the architecture from there, and a checkpoint may name it
            raise ValueError(f"timm has no network {name!r}; expected the plain name of one, such as resnet18.")
        import timm  # it imports torchvision, which nothing else of the project needs

        try:
            self.network = timm.create_model(
                name, pretrained=pretrained, features_only=True, out_indices=tuple(indices)
            )
        except Exception as error:  # RuntimeError, AssertionError, IndexError and others, as the network has it
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"timm gives no features {tuple(indices)} of {name!r}: {reason}") from error
        described: Any = self.network  # timm attaches these to a plain module
        self.widths = tuple(described.feature_info.channels())
        self.strides = tuple(described.feature_info.reduction())
        mean, std = (torch.tensor(described.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
        # ((x + 1) / 2 - mean) / std
        self.register_buffer("scale", 0.5 / std, persistent=False)
        self.register_buffer("shift", (0.5 - mean) / std, persistent=False)
        self._freeze_what_gives_nothing()

    def _freeze_what_gives_nothing(self) -> None:
        """Some networks keep the stages after the last feature that was asked for: DDP waits for their gradients."""
        training = self.training
        features = self.eval()(torch.zeros(1, 3, 64, 64))  # in evaluation mode, so that no running mean moves
        parameters = list(self.network.parameters())
        gradients = torch.autograd.grad(sum(f.sum() for f in features), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)
        self.train(training)

    def forward(self, x: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.network(x * self.scale + self.shift)
        return features
