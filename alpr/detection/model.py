"""The detector: a backbone, a neck and a head, from settings; what its outputs mean, and where its anchors stand.

Source: Guo et al., "Sample and computation redistribution for efficient face detection", ICLR 2022, and the `bnkps`
configurations of insightface; landmarks are a plate's four corners here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from alpr.detection.backbones import Backbone, TimmBackbone, depthwise_backbone, residual_backbone
from alpr.detection.heads import CORNERS, GflHead, KpsHead
from alpr.detection.necks import Bifpn, Pafpn
from alpr.layers import normalised_input

STRIDES = (8, 16, 32)
ANCHOR_SIDES = ((16, 32), (64, 128), (256, 512))  # px, two square anchors per cell
CHOICES = {
    "block": ("depthwise", "residual"),
    "neck": ("pafpn", "bifpn"),
    "fusion": ("sum", "weighted"),
    "head": ("kps", "gfl"),
}


@dataclass(frozen=True)
class ScrfdSettings:
    """The shape of a network; the defaults are SCRFD-0.5GF.

    Attributes:
        stem: widths of the stem's convolutions, the first of which has stride 2; two depthwise, three residual.
        stage_blocks, stage_widths: blocks and channels at strides 4, 8, 16 and 32.
        neck_width: channels of the neck.
        head_convs, head_width: depth and channels of each head tower.
        block: "depthwise" or "residual", of the stages; the towers of a "kps" head are depthwise with the first.
        reg_max: 0: a box's sides are numbers; n: each is the expectation of a distribution over 0..n strides.
        anchor_sides: px, of the square anchors of a cell, level by level.
        timm: the name of a timm backbone in place of stem and stages.
        pretrained: begin with timm's weights, which it downloads.
        timm_indices: which of its features, as timm counts; negative from the end.
        neck: "pafpn" or "bifpn"; the rest is of the latter only.
        neck_repeats: how many layers.
        extra_levels: coarser levels than the backbone's, each of twice the stride.
        fusion: "sum", or "weighted" by learnt shares.
        head: "kps", a tower per stride, or "gfl", one for all with separate towers for score and box.

    Raises:
        ValueError: a value out of its choices, or lists whose lengths do not belong together.
    """

    stem: tuple[int, ...] = (16, 16)
    stage_blocks: tuple[int, ...] = (2, 3, 2, 6)
    stage_widths: tuple[int, ...] = (40, 72, 152, 288)
    neck_width: int = 16
    head_convs: int = 2
    head_width: int = 64
    block: str = "depthwise"
    reg_max: int = 0
    anchor_sides: tuple[tuple[float, ...], ...] = ANCHOR_SIDES
    timm: str | None = None
    pretrained: bool = False
    timm_indices: tuple[int, ...] = (-3, -2, -1)
    neck: str = "pafpn"
    neck_repeats: int = 1
    extra_levels: int = 0
    fusion: str = "sum"
    head: str = "kps"

    def __post_init__(self) -> None:
        for name in ("stem", "stage_blocks", "stage_widths", "timm_indices"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "anchor_sides", tuple(tuple(sides) for sides in self.anchor_sides))
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected {' or '.join(choices)}.")
        if len(self.stage_blocks) != 4 or len(self.stage_widths) != 4:
            raise ValueError(
                f"SCRFD has four stages; found {len(self.stage_blocks)} stage_blocks, {len(self.stage_widths)} widths."
            )
        convolutions = 2 if self.block == "depthwise" else 3
        if self.timm is None and len(self.stem) != convolutions:
            raise ValueError(f"A {self.block} stem has {convolutions} convolutions; found the widths {self.stem}.")
        if self.reg_max < 0:
            raise ValueError(f"reg_max is {self.reg_max}; expected 0, for none, or the last bin of a distribution.")
        if self.neck == "pafpn" and self.extra_levels:
            raise ValueError(f"A pafpn has the backbone's levels; extra_levels is {self.extra_levels}, expected 0.")
        if self.head == "gfl" and len({len(sides) for sides in self.anchor_sides}) > 1:
            raise ValueError("A gfl head is shared by all levels; anchor_sides must have equally many in each.")

    @property
    def bins(self) -> int:
        """Outputs per side of a box."""
        return self.reg_max + 1


class Anchors(NamedTuple):
    """The anchors of all levels, A in all: level by level, row by row, cell by cell, small before large."""

    points: Tensor  # (A, 12) px: the centre x, y six times, for two sides and four corners
    sides: Tensor  # (A,) px
    strides: Tensor  # (A,) px
    units: Tensor  # (A, 12) px per unit of an offset: the stride, negative for the distances to the left and top edges
    counts: tuple[int, ...]  # per level

    @property
    def centres(self) -> Tensor:
        """(A, 2) px."""
        return self.points[:, :2]


class Offsets(NamedTuple):
    """What the head says per anchor, the box's four distances and the corners' eight numbers in one row."""

    logits: Tensor  # (B, A)
    offsets: Tensor  # (B, A, 12) in strides
    anchors: Anchors
    bins: Tensor | None  # as in RawDetections


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


class Scrfd(nn.Module):
    """The detector: uint8 images (B, H, W, 3) BGR, H and W multiples of 32, to `Detections`.

    Attributes:
        strides: input pixels per cell of each level, as the backbone says.

    Raises:
        ValueError: anchors for another number of levels than there are, or levels whose strides do not double.
    """

    def __init__(self, settings: ScrfdSettings | None = None) -> None:
        super().__init__()
        settings = settings or ScrfdSettings()
        self.settings = settings
        self.backbone = _backbone(settings)
        strides = list(self.backbone.strides)
        for _ in range(settings.extra_levels):
            strides.append(2 * strides[-1])
        if any(coarse != 2 * fine for fine, coarse in pairwise(strides)):
            raise ValueError(f"The levels' strides are {strides}; expected each to be twice the one before.")
        if len(settings.anchor_sides) != len(strides):
            raise ValueError(
                f"anchor_sides has {len(settings.anchor_sides)} levels; the network has {len(strides)}, "
                f"of strides {strides}."
            )
        self.strides = tuple(strides)
        self.neck = _neck(settings, self.backbone.widths)
        self.head = _head(settings, len(strides))

    def raw(self, images: Tensor) -> RawDetections:
        """Per-anchor outputs in strides, for the losses, in float32 also under autocast."""
        logits, offsets, anchors, bins = self._offsets(images)
        corners = offsets[..., 4:].reshape(*logits.shape, 4, 2)
        return RawDetections(logits, offsets[..., :4], corners, anchors, bins)

    def forward(self, images: Tensor) -> Detections:
        logits, offsets, anchors, _ = self._offsets(images)
        return Detections(logits.sigmoid(), *_decoded(offsets, anchors))

    def _offsets(self, images: Tensor) -> Offsets:
        dtype = next(self.head.parameters()).dtype
        features = self.neck(self.backbone(normalised_input(images, dtype)))
        predictions: Tensor = self.head(features).float()
        sizes = [(f.shape[2], f.shape[3]) for f in features]
        anchors = make_anchors(sizes, images.device, self.strides, self.settings.anchor_sides)
        bins = self.settings.bins
        if not self.settings.reg_max:
            logits, offsets = torch.split(predictions, [1, 4 + CORNERS], -1)
            return Offsets(logits.squeeze(-1), offsets, anchors, None)
        logits, sides, corners = torch.split(predictions, [1, 4 * bins, CORNERS], -1)
        spread = sides.reshape(*sides.shape[:2], 4, bins)
        return Offsets(logits.squeeze(-1), torch.cat([expectation(spread), corners], -1), anchors, spread)


def _backbone(settings: ScrfdSettings) -> Backbone:
    if settings.timm is not None:
        return TimmBackbone(settings.timm, settings.pretrained, settings.timm_indices)
    build = depthwise_backbone if settings.block == "depthwise" else residual_backbone
    return build(settings.stem, settings.stage_blocks, settings.stage_widths)


def _neck(settings: ScrfdSettings, widths: Sequence[int]) -> nn.Module:
    if settings.neck == "pafpn":
        return Pafpn(widths, settings.neck_width)
    weighted = settings.fusion == "weighted"
    return Bifpn(widths, settings.neck_width, settings.extra_levels, settings.neck_repeats, weighted)


def _head(settings: ScrfdSettings, levels: int) -> nn.Module:
    shape = settings.neck_width, settings.head_width, settings.head_convs
    anchors = [len(sides) for sides in settings.anchor_sides]
    if settings.head == "kps":
        return KpsHead(*shape, settings.block == "depthwise", anchors, settings.bins)
    return GflHead(*shape, anchors[0], levels, settings.bins)


def expectation(bins: Tensor) -> Tensor:
    """The mean of distributions over 0..n, from their logits: (..., n + 1) -> (...).

    Source: Li et al., "Generalized focal loss", NeurIPS 2020, equation 5.
    """
    places = torch.arange(bins.shape[-1], dtype=bins.dtype, device=bins.device)
    return bins.softmax(-1) @ places


def make_anchors(
    sizes: Sequence[tuple[int, int]],
    device: torch.device,
    strides: Sequence[int] = STRIDES,
    sides: Sequence[Sequence[float]] = ANCHOR_SIDES,
) -> Anchors:
    """Anchors for feature maps of (h, w), one per stride; those of cell (i, j) stand at (j, i) strides.

    Not at the middle of the cell's square: a strided 3x3 convolution with padding 1 is centred on the pixel of index
    j * stride, so that is where a cell looks.
    """
    points, lengths, steps, units, counts = [], [], [], [], []
    for (h, w), stride, anchor_sides in zip(sizes, strides, sides, strict=True):
        k = len(anchor_sides)
        ys = torch.arange(h, dtype=torch.float32, device=device) * stride
        xs = torch.arange(w, dtype=torch.float32, device=device) * stride
        # As wide as they are used: in ONNX Runtime a sum costs less than tiling what is narrower.
        x, y = (xs.new_tensor(unit * 6 * k) for unit in ([1.0, 0.0], [0.0, 1.0]))
        points.append((xs[None, :, None] * x + ys[:, None, None] * y).reshape(-1, 12))
        cell_sides = torch.tensor(anchor_sides, dtype=torch.float32, device=device)
        lengths.append(cell_sides.expand(h, w, k).reshape(-1))
        steps.append(torch.full((h * w * k,), float(stride), device=device))
        units.append(xs.new_tensor(2 * [-float(stride)] + 10 * [float(stride)]).expand(h * w * k, 12))
        counts.append(h * w * k)
    return Anchors(torch.cat(points), torch.cat(lengths), torch.cat(steps), torch.cat(units), tuple(counts))


def decode_points(raw: RawDetections) -> tuple[Tensor, Tensor]:
    """Boxes (B, A, 4) and corners (B, A, 4, 2) in px."""
    return _decoded(torch.cat([raw.distances, raw.corners.flatten(-2)], dim=-1), raw.anchors)


def _decoded(offsets: Tensor, anchors: Anchors) -> tuple[Tensor, Tensor]:
    # Together and flat: with an innermost axis of 2 these sums are the slowest nodes in ONNX Runtime.
    points = offsets * anchors.units + anchors.points
    return points[..., :4], points[..., 4:].reshape(*points.shape[:2], 4, 2)
