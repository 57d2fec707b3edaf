"""SCRFD with four corners: depthwise backbone, PAFPN neck and one head tower per stride.

Source: Guo et al., "Sample and computation redistribution for efficient face detection", ICLR 2022, and the
`scrfd_500m_bnkps` configuration of insightface; landmarks are a plate's four corners here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from alpr.layers import conv_norm_act, depthwise_separable, normalised_input

STRIDES = (8, 16, 32)
ANCHOR_SIDES = ((16, 32), (64, 128), (256, 512))  # px, two square anchors per cell
SCORE_BIAS = -4.595  # sigmoid = 0.01: at the start nearly every anchor is background


@dataclass(frozen=True)
class ScrfdSettings:
    """The shape of a network; the defaults are SCRFD-0.5GF.

    Attributes:
        stem: widths of the two stem convolutions; the first has stride 2.
        stage_blocks, stage_widths: blocks and channels at strides 4, 8, 16 and 32.
        neck_width: channels of the PAFPN.
        head_convs, head_width: depth and channels of each head tower.
    """

    stem: tuple[int, int] = (16, 16)
    stage_blocks: tuple[int, ...] = (2, 3, 2, 6)
    stage_widths: tuple[int, ...] = (40, 72, 152, 288)
    neck_width: int = 16
    head_convs: int = 2
    head_width: int = 64

    def __post_init__(self) -> None:
        for name in ("stem", "stage_blocks", "stage_widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.stage_blocks) != 4 or len(self.stage_widths) != 4:
            raise ValueError(
                f"SCRFD has four stages; found {len(self.stage_blocks)} stage_blocks, {len(self.stage_widths)} widths."
            )


class Anchors(NamedTuple):
    """The anchors of all levels, A in all: level by level, row by row, cell by cell, small before large."""

    centres: Tensor  # (A, 2) px
    sides: Tensor  # (A,) px
    strides: Tensor  # (A,) px
    counts: tuple[int, ...]  # per level


class RawDetections(NamedTuple):
    """What the head says per anchor, in units that losses use."""

    logits: Tensor  # (B, A)
    distances: Tensor  # (B, A, 4) from the anchor's centre to left, top, right, bottom, in strides
    corners: Tensor  # (B, A, 4, 2) from the anchor's centre, in strides
    anchors: Anchors
    bins: Tensor | None = None  # (B, A, 4, reg_max + 1) logits of the integral regression; None without it


class Detections(NamedTuple):
    """What a deployer gets per anchor, in px of the network input."""

    scores: Tensor  # (B, A) in 0..1
    boxes: Tensor  # (B, A, 4)
    corners: Tensor  # (B, A, 4, 2)


class Backbone(nn.Module):
    """MobileNetV1-like: (B, 3, H, W) -> features at strides 8, 16 and 32."""

    def __init__(self, settings: ScrfdSettings) -> None:
        super().__init__()
        first, second = settings.stem
        self.stem = nn.Sequential(conv_norm_act(3, first, 3, 2), depthwise_separable(first, second))
        stages, width = [], second
        for blocks, stage_width in zip(settings.stage_blocks, settings.stage_widths, strict=True):
            layers = [depthwise_separable(width, stage_width, stride=2)]
            layers += [depthwise_separable(stage_width, stage_width) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(*layers))
            width = stage_width
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[1:]


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


class Head(nn.Module):
    """One stride's tower, shared by score, box and corners: (B, C, h, w) -> (B, h * w * anchors, 1 + 4 + 8)."""

    def __init__(self, width_in: int, width: int, convs: int, anchors: int) -> None:
        super().__init__()
        self.anchors = anchors
        self.tower = nn.Sequential(*(depthwise_separable(width_in if i == 0 else width, width) for i in range(convs)))
        self.score = nn.Conv2d(width, anchors, 3, padding=1)
        self.box = nn.Conv2d(width, 4 * anchors, 3, padding=1)
        self.corner = nn.Conv2d(width, 8 * anchors, 3, padding=1)
        for convolution in (self.score, self.box, self.corner):
            nn.init.normal_(convolution.weight, std=0.01)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.score.bias, SCORE_BIAS)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.tower(x)
        b = x.shape[0]
        score, box, corner = (
            layer(x).permute(0, 2, 3, 1).reshape(b, -1, size)
            for layer, size in ((self.score, 1), (self.box, 4), (self.corner, 8))
        )
        return score, box, corner


class Scrfd(nn.Module):
    """The detector: uint8 images (B, H, W, 3) BGR, H and W multiples of 32, to `Detections`."""

    def __init__(self, settings: ScrfdSettings | None = None) -> None:
        super().__init__()
        settings = settings or ScrfdSettings()
        self.settings = settings
        self.backbone = Backbone(settings)
        self.neck = Pafpn(settings.stage_widths[1:], settings.neck_width)
        self.heads = nn.ModuleList(
            Head(settings.neck_width, settings.head_width, settings.head_convs, len(sides)) for sides in ANCHOR_SIDES
        )

    def raw(self, images: Tensor) -> RawDetections:
        """Per-anchor outputs in strides, for the losses, in float32 also under autocast."""
        features = self.neck(self.backbone(normalised_input(images, self.heads[0].score.weight.dtype)))  # type: ignore
        scores, boxes, corners = zip(*(head(f) for head, f in zip(self.heads, features, strict=True)), strict=True)
        anchors = make_anchors([(f.shape[2], f.shape[3]) for f in features], images.device)
        corner_offsets = torch.cat(corners, 1).float()
        return RawDetections(
            torch.cat(scores, 1).float().squeeze(-1),
            torch.cat(boxes, 1).float(),
            corner_offsets.reshape(corner_offsets.shape[0], -1, 4, 2),
            anchors,
        )

    def forward(self, images: Tensor) -> Detections:
        raw = self.raw(images)
        return Detections(raw.logits.sigmoid(), decode_boxes(raw), decode_corners(raw))


def make_anchors(sizes: Sequence[tuple[int, int]], device: torch.device) -> Anchors:
    """Anchors for feature maps of (h, w), one per stride; a cell's centre is at (j + 0.5, i + 0.5) strides."""
    centres, sides, strides, counts = [], [], [], []
    for (h, w), stride, anchor_sides in zip(sizes, STRIDES, ANCHOR_SIDES, strict=True):
        k = len(anchor_sides)
        ys = (torch.arange(h, device=device) + 0.5) * stride
        xs = (torch.arange(w, device=device) + 0.5) * stride
        cells = torch.stack([xs[None, :].expand(h, w), ys[:, None].expand(h, w)], dim=-1)  # (h, w, 2)
        centres.append(cells[:, :, None, :].expand(h, w, k, 2).reshape(-1, 2))
        cell_sides = torch.tensor(anchor_sides, dtype=torch.float32, device=device)
        sides.append(cell_sides.expand(h, w, k).reshape(-1))
        strides.append(torch.full_like(sides[-1], float(stride)))
        counts.append(h * w * k)
    return Anchors(torch.cat(centres), torch.cat(sides), torch.cat(strides), tuple(counts))


def decode_boxes(raw: RawDetections) -> Tensor:
    """Boxes (B, A, 4) in px."""
    px = raw.distances * raw.anchors.strides[:, None]
    return torch.cat([raw.anchors.centres - px[..., :2], raw.anchors.centres + px[..., 2:]], dim=-1)


def decode_corners(raw: RawDetections) -> Tensor:
    """Corners (B, A, 4, 2) in px."""
    return raw.anchors.centres[:, None, :] + raw.corners * raw.anchors.strides[:, None, None]
