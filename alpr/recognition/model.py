"""MaskOCR's recogniser: a ViT encoder and a decoder with one learned query per character slot.

Source: Lyu et al., "MaskOCR: text recognition with masked encoder-decoder pretraining", arXiv 2206.00311.
Deviations, because a query decoder trained from scratch stays at chance for more than 50,000 crops: a convolutional
stem in place of patches, a learned bias of the cross-attention that begins with evenly spaced slots, and an auxiliary
CTC head on the encoder's tokens, which training alone uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from alpr.layers import Attention, FeedForward, conv_norm_act, initialise_transformer, normalised_input

STEM_STRIDE = 8


@dataclass(frozen=True)
class MaskOcrSettings:
    """The shape of a network; the defaults are `fast`.

    Attributes:
        slots: the most characters of a plate.
        classes: the symbols and the padding.
        size: (height, width) of a crop in px, multiples of 8.
        stem_widths: channels of the stem's three convolutions of stride 2.
        width, heads: of the transformer.
        encoder_layers, decoder_layers, mlp_ratio, dropout: as usual.
        slot_bias: whether the cross-attention begins with evenly spaced slots.
    """

    slots: int
    classes: int
    size: tuple[int, int] = (48, 192)
    stem_widths: tuple[int, int, int] = (32, 64, 128)
    width: int = 192
    heads: int = 6
    encoder_layers: int = 4
    decoder_layers: int = 1
    mlp_ratio: float = 4.0
    dropout: float = 0.1
    slot_bias: bool = True

    def __post_init__(self) -> None:
        for name in ("size", "stem_widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.size[0] % STEM_STRIDE or self.size[1] % STEM_STRIDE:
            raise ValueError(f"The crop size {self.size} (height, width) is not a multiple of {STEM_STRIDE} px.")
        if self.slots < 1 or self.classes < 2:
            raise ValueError(f"{self.slots} slots and {self.classes} classes; expected at least 1 and 2.")

    @property
    def tokens(self) -> int:
        return self.token_grid[0] * self.token_grid[1]

    @property
    def token_grid(self) -> tuple[int, int]:
        """(rows, columns) of the tokens over the crop; they stand row by row."""
        return 1, self.size[1] // STEM_STRIDE


class ReadingLogits(NamedTuple):
    """What training needs: the slots' logits and the auxiliary head's."""

    slots: Tensor  # (B, L, K+1)
    ctc: Tensor  # (B, T, K+1), class 0 = blank


class ConvStem(nn.Module):
    """Three convolutions of stride 2, then one as high as what is left: (B, 3, H, W) -> (B, W / 8, D) tokens."""

    def __init__(self, widths: tuple[int, int, int], height: int, width: int) -> None:
        super().__init__()
        layers, channels = [], 3
        for stem_width in widths:
            layers.append(conv_norm_act(channels, stem_width, 3, 2))
            channels = stem_width
        self.convolutions = nn.Sequential(*layers)
        self.column = nn.Conv2d(channels, width, (height // STEM_STRIDE, 1))

    def forward(self, x: Tensor) -> Tensor:
        column: Tensor = self.column(self.convolutions(x))  # (B, D, 1, T)
        return column.squeeze(2).transpose(1, 2)


class EncoderLayer(nn.Module):
    """A pre-norm transformer block: (B, T, D) -> (B, T, D)."""

    def __init__(self, s: MaskOcrSettings) -> None:
        super().__init__()
        self.norm_attention, self.norm_mlp = nn.LayerNorm(s.width), nn.LayerNorm(s.width)
        self.attention = Attention(s.width, s.heads, s.dropout)
        self.mlp = FeedForward(s.width, s.mlp_ratio, s.dropout)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm_attention(x)
        x = x + self.attention(normed, normed)
        output: Tensor = x + self.mlp(self.norm_mlp(x))
        return output


class DecoderLayer(nn.Module):
    """Slots look at each other and at the tokens: (B, L, D), (B, T, D) -> (B, L, D)."""

    def __init__(self, s: MaskOcrSettings) -> None:
        super().__init__()
        self.norm_self, self.norm_cross, self.norm_mlp = (nn.LayerNorm(s.width) for _ in range(3))
        self.self_attention = Attention(s.width, s.heads, s.dropout)
        self.cross_attention = Attention(s.width, s.heads, s.dropout)
        self.mlp = FeedForward(s.width, s.mlp_ratio, s.dropout)
        self.slot_bias = nn.Parameter(slot_centre_bias(s.slots, s.tokens)) if s.slot_bias else None

    def forward(self, slots: Tensor, tokens: Tensor) -> Tensor:
        normed = self.norm_self(slots)
        slots = slots + self.self_attention(normed, normed)
        slots = slots + self.cross_attention(self.norm_cross(slots), tokens, self.slot_bias)
        output: Tensor = slots + self.mlp(self.norm_mlp(slots))
        return output


def slot_centre_bias(slots: int, tokens: int) -> Tensor:
    """(L, T): minus half the squared distance of a token from its slot's centre, in slot widths, at least -4.

    The slots begin evenly spaced over the crop; the bias is learnt from there.
    """
    centres = (torch.arange(slots) + 0.5) / slots
    places = (torch.arange(tokens) + 0.5) / tokens
    distance = (places[None, :] - centres[:, None]) * slots
    return (-0.5 * distance.square()).clamp(min=-4.0)


class MaskOcr(nn.Module):
    """The recogniser: uint8 crops (B, H, W, 3) BGR -> slot logits (B, L, K+1); class 0 is the padding."""

    no_decay = frozenset({"positions", "queries", "slot_bias"})

    def __init__(self, settings: MaskOcrSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.stem = ConvStem(s.stem_widths, s.size[0], s.width)
        self.positions = nn.Parameter(torch.empty(1, s.tokens, s.width).normal_(std=0.02))
        self.encoder = nn.Sequential(*(EncoderLayer(s) for _ in range(s.encoder_layers)), nn.LayerNorm(s.width))
        self.queries = nn.Parameter(torch.empty(1, s.slots, s.width).normal_(std=0.02))
        self.decoder = nn.ModuleList(DecoderLayer(s) for _ in range(s.decoder_layers))
        self.norm = nn.LayerNorm(s.width)
        self.classifier = nn.Linear(s.width, s.classes)
        self.ctc = nn.Linear(s.width, s.classes)
        self.apply(initialise_transformer)

    def embed(self, crops: Tensor) -> Tensor:
        """What the encoder takes of uint8 crops: the stem's tokens with their positions, (B, T, D)."""
        tokens: Tensor = self.stem(normalised_input(crops, self.positions.dtype)) + self.positions
        return tokens

    def encode(self, crops: Tensor) -> Tensor:
        """Tokens (B, T, D) of uint8 crops."""
        tokens: Tensor = self.encoder(self.embed(crops))
        return tokens

    def decode(self, tokens: Tensor) -> Tensor:
        """Slot logits (B, L, K+1) of tokens."""
        slots = self.queries.expand(tokens.shape[0], -1, -1)
        for layer in self.decoder:
            slots = layer(slots, tokens)
        logits: Tensor = self.classifier(self.norm(slots))
        return logits

    def training_logits(self, crops: Tensor) -> ReadingLogits:
        """Both heads' logits in float32, also under autocast."""
        tokens = self.encode(crops)
        return ReadingLogits(self.decode(tokens).float(), self.ctc(tokens).float())

    def forward(self, crops: Tensor) -> Tensor:
        return self.decode(self.encode(crops))
