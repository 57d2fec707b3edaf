"""Network blocks that both tasks use."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


def conv_norm_act(
    channels_in: int, channels_out: int, kernel: int = 3, stride: int | tuple[int, int] = 1, groups: int = 1
) -> nn.Module:
    """Convolution, batch normalisation, ReLU: (B, C_in, H, W) -> (B, C_out, H / stride, W / stride)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def depthwise_separable(channels_in: int, channels_out: int, stride: int = 1) -> nn.Module:
    """The MobileNetV1 block: a depthwise 3x3 and a pointwise convolution, each with norm and ReLU."""
    return nn.Sequential(
        conv_norm_act(channels_in, channels_in, 3, stride, groups=channels_in),
        conv_norm_act(channels_in, channels_out, 1),
    )


def normalised_input(images: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 (B, H, W, 3) BGR, as OpenCV gives it, to RGB (B, 3, H, W) in -1..1.

    It is the first operation of every network, so that no caller can normalise otherwise.
    """
    # Planes are swapped, not pixels: turning the innermost axis round costs ONNX Runtime a tenth of a detection.
    rgb = images.permute(0, 3, 1, 2)[:, [2, 1, 0]]
    # Convolutions keep to the layout that they are given, and train a quarter faster with channels last.
    return ((rgb.to(dtype) - 127.5) / 127.5).contiguous(memory_format=torch.channels_last)


class FeedForward(nn.Sequential):
    """The two linear layers of a transformer block: (..., D) -> (..., D)."""

    def __init__(self, width: int, ratio: float, dropout: float) -> None:
        hidden = int(width * ratio)
        super().__init__(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width), nn.Dropout(dropout)
        )


class Attention(nn.Module):
    """Multi-head attention of queries (B, L, D) over a memory (B, T, D), with an optional bias (L, T): (B, L, D).

    Args:
        head_width: of one head; None for width / heads.

    Raises:
        ValueError: a width that the heads cannot share.
    """

    def __init__(self, width: int, heads: int, dropout: float, head_width: int | None = None) -> None:
        super().__init__()
        if head_width is None and width % heads:
            raise ValueError(f"The width {width} is not a multiple of the {heads} heads.")
        self.heads, self.head_width = heads, width // heads if head_width is None else head_width
        self.inner = heads * self.head_width
        self.query = nn.Linear(width, self.inner)
        self.key_value = nn.Linear(width, 2 * self.inner)
        self.output = nn.Linear(self.inner, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, queries: Tensor, memory: Tensor, bias: Tensor | None = None, seen: list[Tensor] | None = None
    ) -> Tensor:
        """`seen` is given what the queries look at, the mean of the heads (B, L, T); it is not detached."""
        # The batch alone is -1, so that an exported graph computes no shapes while it runs.
        if queries is memory:  # one product in place of two
            weight = torch.cat([self.query.weight, self.key_value.weight])
            bias_of_all = torch.cat([self.query.bias, self.key_value.bias])
            joint = linear(memory, weight, bias_of_all).reshape(-1, memory.shape[1], 3 * self.heads, self.head_width)
            q, k, v = joint.transpose(1, 2).chunk(3, dim=1)  # (B, heads, T, head width) each
        else:
            q = self.query(queries).reshape(-1, queries.shape[1], self.heads, self.head_width).transpose(1, 2)
            joint = self.key_value(memory).reshape(-1, memory.shape[1], 2 * self.heads, self.head_width)
            k, v = joint.transpose(1, 2).chunk(2, dim=1)
        weights = q @ k.transpose(2, 3) * self.head_width**-0.5
        shares = (weights if bias is None else weights + bias).softmax(dim=-1)
        if seen is not None:
            seen.append(shares.mean(1))
        attended = shares.to(v.dtype) @ v
        joined: Tensor = self.dropout(self.output(attended.transpose(1, 2).reshape(-1, queries.shape[1], self.inner)))
        return joined


def initialise_transformer(module: nn.Module) -> None:
    """Truncated normal weights of deviation 0.02 and zero biases for linear layers, as in ViT."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
