"""Heads: maps of one width to predictions (B, A, 1 + 4 n + 8) per anchor: score, box, corners.

n is 1 where a side's distance is one number, and reg_max + 1 where it is the expectation of a distribution
(Li et al., "Generalized focal loss", NeurIPS 2020, section 3.2). Anchors come level by level, row by row, cell by cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from alpr.layers import conv_norm_act, depthwise_separable

SCORE_BIAS = -4.595  # sigmoid = 0.01: at the start nearly every anchor is background
CORNERS = 8

Block = Callable[[int, int], nn.Module]
"""A 3x3 block of a tower: width in, width out."""


def prediction(width: int, outputs: int) -> nn.Conv2d:
    """A last convolution that begins near zero."""
    layer = nn.Conv2d(width, outputs, 3, padding=1)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def per_anchor(x: Tensor, size: int) -> Tensor:
    """(B, anchors * size, h, w) -> (B, h * w * anchors, size)."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, size)


class Tower(nn.Module):
    """One stride's tower, which score, box and corners share.

    One convolution predicts all three: engines compute channels in blocks of 8 or 16, and a score has only two.
    """

    def __init__(self, width_in: int, width: int, convs: int, block: Block, anchors: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.layers = nn.Sequential(*(block(width_in if i == 0 else width, width) for i in range(convs)))
        self.predict = prediction(width, anchors * size)
        with torch.no_grad():
            self.predict.bias[::size] = SCORE_BIAS  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        return per_anchor(self.predict(self.layers(x)), self.size)


class KpsHead(nn.Module):
    """SCRFD's head with keypoints: a tower of its own for every stride, with batch normalisation."""

    def __init__(
        self, width_in: int, width: int, convs: int, depthwise: bool, anchors: Sequence[int], bins: int
    ) -> None:
        super().__init__()
        block: Block = depthwise_separable if depthwise else conv_norm_act
        size = 1 + 4 * bins + CORNERS
        self.towers = nn.ModuleList(Tower(width_in, width, convs, block, count, size) for count in anchors)

    def forward(self, features: list[Tensor]) -> Tensor:
        return torch.cat([tower(f) for tower, f in zip(self.towers, features, strict=True)], 1)


def conv_group_norm_act(width_in: int, width: int) -> nn.Module:
    """A 3x3 convolution, group normalisation with up to 32 groups, ReLU."""
    groups = max(g for g in range(1, 33) if width % g == 0)
    return nn.Sequential(
        nn.Conv2d(width_in, width, 3, padding=1, bias=False), nn.GroupNorm(groups, width), nn.ReLU(inplace=True)
    )


class GflHead(nn.Module):
    """The head of generalised focal loss: one for all levels, with separate towers for the score and for what is where.

    Maps of several strides have different statistics, hence group normalisation and a learnt scale per level.
    """

    def __init__(self, width_in: int, width: int, convs: int, anchors: int, levels: int, bins: int) -> None:
        super().__init__()
        self.sides = 4 * bins
        self.score_tower, self.box_tower = (
            nn.Sequential(*(conv_group_norm_act(width_in if i == 0 else width, width) for i in range(convs)))
            for _ in range(2)
        )
        self.score = prediction(width, anchors)
        nn.init.constant_(self.score.bias, SCORE_BIAS)  # type: ignore[arg-type]
        self.box = prediction(width, anchors * self.sides)
        self.corner = prediction(width, anchors * CORNERS)
        self.scales = nn.Parameter(torch.ones(levels))

    def forward(self, features: list[Tensor]) -> Tensor:
        return torch.cat([self._level(f, scale) for f, scale in zip(features, self.scales, strict=True)], 1)

    def _level(self, x: Tensor, scale: Tensor) -> Tensor:
        where = self.box_tower(x)
        score = per_anchor(self.score(self.score_tower(x)), 1)
        box = per_anchor(self.box(where) * scale, self.sides)
        return torch.cat([score, box, per_anchor(self.corner(where), CORNERS)], -1)
