"""MaskOCR's recogniser: a ViT encoder and a decoder with one learned query per character slot.

Source: Lyu et al., "MaskOCR: text recognition with masked encoder-decoder pretraining", arXiv 2206.00311.
Deviations, because a query decoder trained from scratch stays at chance for more than 50,000 crops: a convolutional
stem as a choice beside patches, a learned bias of the cross-attention that begins with evenly spaced slots, and an
auxiliary CTC head on the encoder's tokens, which training alone uses. Each is a setting of every size.

Optional heads name the plate's country and kind, from the mean of the encoder's tokens.

Tokens stand in a grid of rows and columns and are listed row by row. A text of two rows is read row by row too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from alpr.layers import Attention, FeedForward, conv_norm_act, initialise_transformer, normalised_input

STEM_STRIDE = 8
STEMS = ("conv", "patch")


@dataclass(frozen=True)
class MaskOcrSettings:
    """The shape of a network; the defaults are `fast`.

    Attributes:
        slots: the most characters of a plate.
        classes: the symbols and the padding.
        size: (height, width) of a crop in px; a multiple of 8, or of the patch.
        stem_widths: channels of the convolutional stem's three convolutions of stride 2.
        width, heads: of the transformer.
        encoder_layers, decoder_layers, mlp_ratio, dropout: as usual.
        slot_bias: whether the cross-attention begins with evenly spaced slots.
        stem: "conv", or "patch" for the paper's linear projection of patches.
        stem_stride_x: px of a crop's width per token of the convolutional stem, 8 or 4.
        token_rows: rows of tokens that the convolutional stem gives; None for as many as the text has.
        patch: (height, width) px of a patch; strips as high as the crop give one row of tokens.
        text_rows: the most rows of text on a plate.
        encoder_head_width: of the encoder's heads, where it is not width / heads.
        decoder_mlp_ratio: of the decoder, where it is not mlp_ratio.
        countries, kinds: what the heads for a plate's country and kind tell apart; empty for no such head.
        row_cuts: a head tells plates of one row and those of two that are cut here apart; see `RecogniserSettings`.

    Raises:
        ValueError: a setting out of its range, a crop that the stem cannot divide, or a head of fewer than two names.
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
    stem: str = "conv"
    stem_stride_x: int = 8
    token_rows: int | None = None
    patch: tuple[int, int] = (48, 8)
    text_rows: int = 1
    encoder_head_width: int | None = None
    decoder_mlp_ratio: float | None = None
    countries: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    row_cuts: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("size", "stem_widths", "patch", "countries", "kinds", "row_cuts"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("countries", "kinds"):
            names = getattr(self, name)
            if len(names) == 1 or len(set(names)) < len(names):
                raise ValueError(f"{name} is {list(names)}; expected at least two different names, or none.")
        if self.slots < 1 or self.classes < 2:
            raise ValueError(f"{self.slots} slots and {self.classes} classes; expected at least 1 and 2.")
        if self.encoder_layers < 1 or self.decoder_layers < 1:
            raise ValueError(
                f"{self.encoder_layers} encoder_layers, {self.decoder_layers} decoder_layers; expected 1 or more each."
            )
        if self.text_rows < 1:
            raise ValueError(f"A text of {self.text_rows} rows; expected at least 1.")
        if self.row_cuts and self.text_rows > 1:
            raise ValueError(f"row_cuts unfold plates to one row of text; text_rows is {self.text_rows}, expected 1.")
        if self.stem not in STEMS:
            raise ValueError(f"stem is {self.stem!r}; expected one of {', '.join(STEMS)}.")
        if self.stem == "conv":
            self._check_convolutions()
        else:
            self._check_patches()

    def _check_convolutions(self) -> None:
        if self.size[0] % STEM_STRIDE or self.size[1] % STEM_STRIDE:
            raise ValueError(f"The crop size {self.size} (height, width) is not a multiple of {STEM_STRIDE} px.")
        if self.stem_stride_x not in (4, 8):
            raise ValueError(f"stem_stride_x is {self.stem_stride_x}; expected 8 or 4.")
        rows, left = self.token_grid[0], self.size[0] // STEM_STRIDE
        if rows < 1 or left % rows:
            raise ValueError(
                f"A crop {self.size[0]} px high leaves {left} rows behind the stem, which cannot become {rows} rows of "
                f"tokens; expected token_rows to divide {left}, or another crop height."
            )

    def _check_patches(self) -> None:
        if len(self.patch) != 2 or min(self.patch) < 1:
            raise ValueError(f"patch is {list(self.patch)}; expected [height, width], at least 1 px each.")
        for side, crop, patch in zip(("height", "width"), self.size, self.patch, strict=True):
            if crop % patch:
                near = [n for n in range(1, crop + 1) if crop % n == 0]
                raise ValueError(
                    f"The crop's {side} of {crop} px is not a multiple of the patch's {patch} px ({crop % patch} px "
                    f"are left over); expected one of {', '.join(map(str, near))}."
                )
        if self.token_rows not in (None, self.token_grid[0]):
            raise ValueError(
                f"token_rows is {self.token_rows}, but patches {self.patch[0]} px high give {self.token_grid[0]} rows; "
                "expected token_rows=null, since it belongs to stem=conv."
            )

    @property
    def token_grid(self) -> tuple[int, int]:
        """(rows, columns) of the tokens, which are listed row by row."""
        if self.stem == "patch":
            return self.size[0] // self.patch[0], self.size[1] // self.patch[1]
        rows = self.text_rows if self.token_rows is None else self.token_rows
        return rows, self.size[1] // self.stem_stride_x

    @property
    def tokens(self) -> int:
        rows, columns = self.token_grid
        return rows * columns


class ReadingLogits(NamedTuple):
    """What training needs: the logits of the slots and of every other head."""

    slots: Tensor | None  # (B, L, K+1); None of a network that reads by CTC alone
    ctc: Tensor  # (B, R, C, K+1) of R rows of C tokens, class 0 = blank
    countries: Tensor | None = None  # (B, C); None without this head
    kinds: Tensor | None = None  # (B, K'); None without this head
    rows: Tensor | None = None  # (B, 1 + cuts): one row, or two and where they part; None without this head
    attention: Tensor | None = None  # (B, L, T): how much each slot looks at each token in the last layer, sums of 1


class ConvStem(nn.Module):
    """Three convolutions of stride 2, then one as high as a row of tokens: (B, 3, H, W) -> (B, T, D).

    The third convolution keeps the columns where the stem's stride along the width is 4.
    """

    def __init__(self, s: MaskOcrSettings) -> None:
        super().__init__()
        first, second, third = s.stem_widths
        self.convolutions = nn.Sequential(
            conv_norm_act(3, first, 3, 2),
            conv_norm_act(first, second, 3, 2),
            conv_norm_act(second, third, 3, (2, s.stem_stride_x // 4)),
        )
        height = s.size[0] // STEM_STRIDE // s.token_grid[0]
        self.column = nn.Conv2d(third, s.width, (height, 1), (height, 1))

    def forward(self, x: Tensor) -> Tensor:
        grid: Tensor = self.column(self.convolutions(x))  # (B, D, rows, columns)
        return grid.flatten(2).transpose(1, 2)


class PatchStem(nn.Module):
    """A linear projection of each patch: (B, 3, H, W) -> (B, T, D)."""

    def __init__(self, s: MaskOcrSettings) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, s.width, s.patch, s.patch)

    def forward(self, x: Tensor) -> Tensor:
        grid: Tensor = self.projection(x)  # (B, D, rows, columns)
        return grid.flatten(2).transpose(1, 2)


class EncoderLayer(nn.Module):
    """A pre-norm transformer block: (B, T, D) -> (B, T, D)."""

    def __init__(self, s: MaskOcrSettings) -> None:
        super().__init__()
        self.norm_attention, self.norm_mlp = nn.LayerNorm(s.width), nn.LayerNorm(s.width)
        self.attention = Attention(s.width, s.heads, s.dropout, s.encoder_head_width)
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
        self.mlp = FeedForward(s.width, s.mlp_ratio if s.decoder_mlp_ratio is None else s.decoder_mlp_ratio, s.dropout)
        bias = slot_centre_bias(s.slots, s.token_grid, s.text_rows) if s.slot_bias else None
        self.slot_bias = None if bias is None else nn.Parameter(bias)

    def forward(self, slots: Tensor, tokens: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        """`seen` is given what the slots look at (B, L, T)."""
        normed = self.norm_self(slots)
        slots = slots + self.self_attention(normed, normed)
        slots = slots + self.cross_attention(self.norm_cross(slots), tokens, self.slot_bias, seen)
        output: Tensor = slots + self.mlp(self.norm_mlp(slots))
        return output


def slot_centre_bias(slots: int, grid: tuple[int, int], text_rows: int = 1) -> Tensor:
    """(L, T): minus half the squared distance of a token from its slot's centre, in slot widths, at least -4.

    The slots begin evenly spaced over the crop, in every row of tokens alike; the bias is learnt from there.

    With `text_rows` R > 1 the same network reads plates of one row and of R rows, so a slot begins at two places:
    where it stands if the text has one row, and where it stands if the R rows, laid end to end, hold evenly spaced
    slots. The bias is the logarithm of the mean of both attentions; the content decides between them. (Evenly spaced
    columns alone would send a second row's first slots to the middle of the plate.)

    Args:
        grid: (rows, columns) of the tokens.
    """
    rows, columns = grid
    centres = (torch.arange(slots) + 0.5) / slots
    places = (torch.arange(columns) + 0.5) / columns
    one_row = _nearness((places - centres[:, None]) * slots)[:, None].expand(slots, rows, columns)
    if text_rows == 1:
        return one_row.flatten(1)
    line = torch.arange(text_rows)[:, None]  # a token may stand over several rows of text: the nearest one counts
    token_row = torch.arange(rows)
    over = (token_row * text_rows < (line + 1) * rows) & ((token_row + 1) * text_rows > line * rows)  # (R, rows)
    end_to_end = (line + places) / text_rows  # (R, columns)
    near = _nearness((end_to_end - centres[:, None, None]) * slots)[:, :, None]  # (L, R, 1, columns)
    several = near.masked_fill(~over[None, :, :, None], -4.0).amax(1)  # (L, rows, columns)
    return (torch.logaddexp(one_row, several) - math.log(2)).flatten(1)


def _nearness(slot_widths: Tensor) -> Tensor:
    return (-0.5 * slot_widths.square()).clamp(min=-4.0)


def _label_head(width: int, names: Sequence[object]) -> nn.Sequential | None:
    """A layer norm and a linear classifier of pooled tokens: (B, D) -> (B, names); None where there are no names."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, len(names))) if names else None


class MaskOcr(nn.Module):
    """The recogniser: uint8 crops (B, H, W, 3) BGR -> slot logits (B, L, K+1); class 0 is the padding.

    With heads for country, kind or rows it gives a tuple: behind the slot logits those of the countries (B, C), of the
    kinds (B, K') and of the rows (B, 1 + cuts), as far as there are such heads.
    """

    no_decay = frozenset({"positions", "queries", "slot_bias"})

    def __init__(self, settings: MaskOcrSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.stem = ConvStem(s) if s.stem == "conv" else PatchStem(s)
        self.positions = nn.Parameter(torch.empty(1, s.tokens, s.width).normal_(std=0.02))
        self.encoder = nn.Sequential(*(EncoderLayer(s) for _ in range(s.encoder_layers)), nn.LayerNorm(s.width))
        self.queries = nn.Parameter(torch.empty(1, s.slots, s.width).normal_(std=0.02))
        self.decoder = nn.ModuleList(DecoderLayer(s) for _ in range(s.decoder_layers))
        self.norm = nn.LayerNorm(s.width)
        self.classifier = nn.Linear(s.width, s.classes)
        self.ctc = nn.Linear(s.width, s.classes)
        self.country_head, self.kind_head = _label_head(s.width, s.countries), _label_head(s.width, s.kinds)
        self.row_head = _label_head(s.width, ("one row", *s.row_cuts) if s.row_cuts else ())
        self.apply(initialise_transformer)

    def embed(self, crops: Tensor) -> Tensor:
        """The encoder's input (B, T, D) of uint8 crops: what the stem sees, with positions, row by row."""
        stem: Tensor = self.stem(normalised_input(crops, self.positions.dtype))
        return stem + self.positions

    def encode(self, crops: Tensor) -> Tensor:
        """Tokens (B, T, D) of uint8 crops, row by row."""
        tokens: Tensor = self.encoder(self.embed(crops))
        return tokens

    def decode(self, tokens: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        """Slot logits (B, L, K+1) of tokens; `seen` is given what the slots of each layer look at (B, L, T)."""
        # What the slots say to each other before they see a token is the same for every crop, and a constant when
        # exported; in training dropout makes it differ.
        slots = self.queries.expand(tokens.shape[0], -1, -1) if self.training else self.queries
        for layer in self.decoder:
            slots = layer(slots, tokens, seen)
        logits: Tensor = self.classifier(self.norm(slots))
        return logits

    def ctc_logits(self, tokens: Tensor) -> Tensor:
        """The auxiliary head's logits (B, R, C, K+1) of tokens (B, T, D), R rows of C columns.

        Where there are more rows of tokens than of text, as with square patches, those of one row of text are averaged.
        """
        s, (rows, columns) = self.settings, self.settings.token_grid
        b, _, width = tokens.shape
        grid = tokens.reshape(b, rows, columns, width)
        if rows > s.text_rows and rows % s.text_rows == 0:
            grid = grid.reshape(b, s.text_rows, rows // s.text_rows, columns, width).mean(2)
        logits: Tensor = self.ctc(grid)
        return logits

    def label_logits(self, tokens: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Logits of countries (B, C), kinds (B, K') and rows (B, 1 + cuts) of tokens (B, T, D); None without a head."""
        pooled, heads = tokens.mean(1), (self.country_head, self.kind_head, self.row_head)
        countries, kinds, rows = (None if head is None else head(pooled) for head in heads)
        return countries, kinds, rows

    def training_logits(self, crops: Tensor) -> ReadingLogits:
        """All heads' logits in float32, also under autocast."""
        tokens = self.encode(crops)
        countries, kinds, rows = (None if logits is None else logits.float() for logits in self.label_logits(tokens))
        seen: list[Tensor] = []
        slots = self.decode(tokens, seen).float()
        return ReadingLogits(slots, self.ctc_logits(tokens).float(), countries, kinds, rows, seen[-1].float())

    def forward(self, crops: Tensor) -> Tensor | tuple[Tensor, ...]:
        tokens = self.encode(crops)
        logits, labels = self.decode(tokens), [found for found in self.label_logits(tokens) if found is not None]
        return (logits, *labels) if labels else logits
