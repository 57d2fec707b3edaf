"""Necks: features of several strides to as many, or more, of one width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def upsampled(x: Tensor, like: Tensor) -> Tensor:
    """By nearest neighbours to the size of the next finer map, which is twice as large or one cell less: 7 over 4.

    Cell j gets cell j // 2 in both cases.
    """
    return nn.functional.interpolate(x, size=like.shape[2:], mode="nearest")


class Pafpn(nn.Module):
    """Path aggregation (Liu et al., 2018) without norm or activation, as SCRFD has it."""

    def __init__(self, widths_in: Sequence[int], width: int) -> None:
        super().__init__()
        levels = len(widths_in)
        self.laterals = nn.ModuleList(nn.Conv2d(w, width, 1) for w in widths_in)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(levels))
        self.down = nn.ModuleList(nn.Conv2d(width, width, 3, 2, 1) for _ in range(levels - 1))
        self.fuse = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(levels - 1))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        tops = [lateral(f) for lateral, f in zip(self.laterals, features, strict=True)]
        for i in range(len(tops) - 1, 0, -1):
            tops[i - 1] = tops[i - 1] + nn.functional.interpolate(tops[i], scale_factor=2.0, mode="nearest")
        paths = [smooth(t) for smooth, t in zip(self.smooth, tops, strict=True)]
        for i, down in enumerate(self.down):
            paths[i + 1] = paths[i + 1] + down(paths[i])
        return [paths[0], *(fuse(p) for fuse, p in zip(self.fuse, paths[1:], strict=True))]


class Fusion(nn.Module):
    """Maps of one shape to one: their sum, or their mean by learnt weights >= 0; then a separable convolution.

    Source: Tan et al., "EfficientDet", CVPR 2020, section 3.3, fast normalised fusion.
    """

    def __init__(self, inputs: int, width: int, weighted: bool) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(inputs)) if weighted else None
        self.layers = nn.Sequential(
            nn.Hardswish(),
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, *maps: Tensor) -> Tensor:
        if self.weights is None:
            total = sum(maps[1:], maps[0])
        else:
            shares = self.weights.relu()
            shares = shares / (shares.sum() + 1e-4)
            total = sum((m * s for m, s in zip(maps[1:], shares[1:], strict=True)), maps[0] * shares[0])
        fused: Tensor = self.layers(total)
        return fused


class BifpnLayer(nn.Module):
    """One way down and one way up through all levels, with the inputs joining again on the way up."""

    def __init__(self, levels: int, width: int, weighted: bool) -> None:
        super().__init__()
        self.down = nn.ModuleList(Fusion(2, width, weighted) for _ in range(levels - 1))  # to finer maps
        self.up = nn.ModuleList(Fusion(3 if i < levels - 2 else 2, width, weighted) for i in range(levels - 1))
        # With padding 1 a pooled cell's centre lies where a strided convolution's does.
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        tops = list(features)
        for i in range(len(tops) - 2, -1, -1):
            tops[i] = self.down[i](features[i], upsampled(tops[i + 1], features[i]))
        paths = [tops[0]]
        for i, fuse in enumerate(self.up, start=1):
            middle = [tops[i]] if i < len(tops) - 1 else []  # the coarsest map has no way down
            paths.append(fuse(features[i], *middle, self.pool(paths[-1])))
        return paths


class Bifpn(nn.Module):
    """Weighted bidirectional pyramid of EfficientDet: `extra` coarser levels by max pool, then `repeats` layers.

    Source: Tan et al., "EfficientDet", CVPR 2020, figure 2d and section 3.
    """

    def __init__(self, widths_in: Sequence[int], width: int, extra: int, repeats: int, weighted: bool) -> None:
        super().__init__()
        levels = [*widths_in, *widths_in[-1:]] if extra else widths_in
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(w, width, 1, bias=False), nn.BatchNorm2d(width)) for w in levels
        )
        self.extra = extra
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.layers = nn.Sequential(*(BifpnLayer(len(widths_in) + extra, width, weighted) for _ in range(repeats)))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        maps = [lateral(f) for lateral, f in zip(self.laterals, features, strict=False)]
        for i in range(self.extra):
            maps.append(self.pool(self.laterals[-1](features[-1]) if i == 0 else maps[-1]))
        fused: list[Tensor] = self.layers(maps)
        return fused
