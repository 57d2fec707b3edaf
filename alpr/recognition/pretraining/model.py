"""MaskOCR's two pretraining stages as functions and small modules: what is hidden, what is predicted, and the losses.

Source: Lyu et al., arXiv 2206.00311, section 3.2; the encoder's stage follows Chen et al., "Context autoencoder",
arXiv 2202.03026. Stage 1 hides tokens of unlabelled crops and predicts their pixels and representations; stage 2 hides
characters of rendered crops from a frozen encoder and has the decoder name them.

A convolutional stem looks beyond its own token, so hidden pixels are painted grey *before* it, and the hidden tokens
are dropped after it: nothing that is visible depends on a hidden pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from alpr.layers import Attention, FeedForward, initialise_transformer, normalised_input
from alpr.plates.charset import PAD
from alpr.recognition.model import EncoderLayer, MaskOcr, MaskOcrSettings

BLANK = 127
"""The grey level of hidden pixels; 0 after normalisation."""
COVERED = 0.25
"""A token lies under a character that takes this share of its width and of its height."""
Grid = tuple[int, int]


@dataclass(frozen=True)
class MaskedImageSettings:
    """Stage 1.

    Attributes:
        hidden: the share of a crop's tokens that is hidden.
        span_share: the share of crops whose masks hold whole-character spans; the others' are random tokens.
        span: a span's least and greatest width, as fractions of the crop's.
        alignment_weight: of the representations' term beside the pixels'.
        regressor_layers, decoder_layers: of the latent contextual regressor and of the image decoder.
    """

    hidden: float = 0.5
    span_share: float = 0.7
    span: tuple[float, float] = (1 / 8, 1 / 6)
    alignment_weight: float = 0.05
    regressor_layers: int = 2
    decoder_layers: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "span", tuple(self.span))
        if not (0 < self.hidden < 1 and 0 <= self.span_share <= 1 and 0 < self.span[0] <= self.span[1] < 1):
            raise ValueError(
                f"masked_image.hidden is {self.hidden}, span_share {self.span_share}, span {self.span}; expected "
                "0 < hidden < 1, 0 <= span_share <= 1 and 0 < least <= greatest < 1."
            )
        if self.regressor_layers < 1 or self.decoder_layers < 1:
            raise ValueError("masked_image.regressor_layers and decoder_layers must be at least 1.")


@dataclass(frozen=True)
class MaskedLanguageSettings:
    """Stage 2.

    Attributes:
        most_hidden: the most characters hidden of a plate; from 1 to so many are, and one stays visible.
        visible_weight: of the cross-entropy of the characters that are not hidden. 0 is the paper's loss. The
            characters of a plate hardly tell of each other, so with 0 the decoder learns little more than which
            characters are frequent; above 0 it also learns to read.
    """

    most_hidden: int = 3
    visible_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.most_hidden < 1 or self.visible_weight < 0:
            raise ValueError(
                f"masked_language.most_hidden is {self.most_hidden} and visible_weight {self.visible_weight}; "
                "expected at least 1 and at least 0."
            )


class MaskedImageLosses(NamedTuple):
    """Scalars: the sum that is minimised, the pixels' mean squared error, and the weighted alignment term."""

    total: Tensor
    pixels: Tensor
    alignment: Tensor


class MaskedLanguageLosses(NamedTuple):
    """Scalars in nats per character: the sum that is minimised, of the hidden and (weighted) of the visible ones."""

    total: Tensor
    hidden: Tensor
    visible: Tensor


class Reconstruction(NamedTuple):
    """What stage 1 predicts of the M hidden tokens of every crop."""

    pixels: Tensor  # (B, M, P) normalised RGB of each token's part of the crop
    representations: Tensor  # (B, M, D)


def token_masks(
    count: int, grid: Grid, settings: MaskedImageSettings, generator: torch.Generator | None = None
) -> Tensor:
    """Which tokens are hidden: (count, T) bool, equally many in every row, at least one hidden and one visible.

    Whole spans of columns, as wide as a character, are laid as long as they fit; random tokens fill the rest.
    """
    rows, columns = grid
    tokens = rows * columns
    hidden = min(tokens - 1, max(1, round(settings.hidden * tokens)))
    least, greatest = (max(1, round(share * columns)) for share in settings.span)
    tries = 2 * max(1, hidden // (least * rows))
    u = torch.rand(3, count, tries, generator=generator)
    widths = least + (u[0] * (greatest - least + 1)).long()
    starts = (u[1] * (columns - widths + 1)).long()
    spans = torch.rand(count, generator=generator) < settings.span_share
    column = torch.arange(columns)
    covered = torch.zeros(count, columns, dtype=torch.bool)
    for k in range(tries):
        begin, end = starts[:, k, None], (starts + widths)[:, k, None]
        more = covered | ((column >= begin) & (column < end) & spans[:, None])
        covered = torch.where(more.sum(1, keepdim=True) * rows <= hidden, more, covered)
    order = covered.repeat(1, rows).float() * 2 + torch.rand(count, tokens, generator=generator)
    chosen = order.topk(hidden, dim=1).indices
    return torch.zeros(count, tokens, dtype=torch.bool).scatter_(1, chosen, True)


def cells(hidden: Tensor, grid: Grid, size: tuple[int, int]) -> Tensor:
    """The pixels of tokens: (B, T) bool -> (B, H, W) bool."""
    of_tokens = hidden.view(-1, *grid)
    return of_tokens.repeat_interleave(size[0] // grid[0], 1).repeat_interleave(size[1] // grid[1], 2)


def blanked(crops: Tensor, hidden: Tensor, grid: Grid) -> Tensor:
    """The uint8 crops (B, H, W, 3) with the hidden tokens' pixels painted grey."""
    return crops.masked_fill(cells(hidden, grid, (crops.shape[1], crops.shape[2]))[..., None], BLANK)


def token_pixels(crops: Tensor, grid: Grid) -> Tensor:
    """The RGB in -1..1 of every token's part of the crop: uint8 (B, H, W, 3) BGR -> (B, T, P)."""
    b, h, w, _ = crops.shape
    rgb = normalised_input(crops, torch.float32).permute(0, 2, 3, 1)
    parts = rgb.reshape(b, grid[0], h // grid[0], grid[1], w // grid[1], 3)
    return parts.permute(0, 1, 3, 2, 4, 5).reshape(b, grid[0] * grid[1], -1)


def crops_of_pixels(pixels: Tensor, grid: Grid, size: tuple[int, int]) -> Tensor:
    """The inverse of `token_pixels`: (B, T, P) -> uint8 (B, H, W, 3) BGR."""
    parts = pixels.view(len(pixels), *grid, size[0] // grid[0], size[1] // grid[1], 3)
    rgb = parts.permute(0, 1, 3, 2, 4, 5).reshape(len(pixels), *size, 3)
    return (rgb.flip(-1) * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def encoded(network: MaskOcr, embedded: Tensor, kept: Tensor) -> Tensor:
    """The encoder's output of the kept tokens alone, zeros where the others were: (B, T, D), (B, T) -> (B, T, D).

    Crops that keep equally many tokens go through the encoder together.

    Raises:
        ValueError: a crop of which no token is kept.
    """
    counts = kept.sum(1)
    output = torch.zeros_like(embedded)
    for count in sorted(set(counts.tolist())):
        if not count:
            raise ValueError("A crop has no visible token; expected at least one.")
        chosen = kept & (counts == count)[:, None]
        tokens = network.encoder(embedded[chosen].view(-1, count, embedded.shape[-1]))
        output[chosen] = tokens.flatten(0, 1).to(output.dtype)
    return output


def encoded_visible(network: MaskOcr, crops: Tensor, hidden: Tensor) -> Tensor:
    """The representations (B, T, D) of the visible tokens, and zeros where tokens are hidden."""
    return encoded(network, network.embed(blanked(crops, hidden, network.settings.token_grid)), ~hidden)


@contextmanager
def steady_normalisation(module: nn.Module) -> Iterator[None]:
    """Batch normalisation by its running statistics, which are left as they are."""
    layers = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    modes = [layer.training for layer in layers]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.train(mode)


class RegressorLayer(nn.Module):
    """Mask queries look at the visible tokens: (B, M, D), (B, V, D) -> (B, M, D)."""

    def __init__(self, s: MaskOcrSettings) -> None:
        super().__init__()
        self.norm_cross, self.norm_mlp = nn.LayerNorm(s.width), nn.LayerNorm(s.width)
        self.cross_attention = Attention(s.width, s.heads, s.dropout)
        self.mlp = FeedForward(s.width, s.mlp_ratio, s.dropout)

    def forward(self, queries: Tensor, visible: Tensor) -> Tensor:
        queries = queries + self.cross_attention(self.norm_cross(queries), visible)
        output: Tensor = queries + self.mlp(self.norm_mlp(queries))
        return output


class MaskedImageModel(MaskOcr):
    """The recogniser with what stage 1 adds and later stages leave behind: regressor and image decoder.

    A hidden token's query is a learned vector plus the encoder's own position of that token.
    """

    no_decay = MaskOcr.no_decay | {"mask_query"}

    def __init__(self, settings: MaskOcrSettings, pretext: MaskedImageSettings) -> None:
        super().__init__(settings)
        s, (rows, columns) = settings, settings.token_grid
        self.mask_query = nn.Parameter(torch.empty(1, 1, s.width).normal_(std=0.02))
        self.regressor = nn.ModuleList(RegressorLayer(s) for _ in range(pretext.regressor_layers))
        self.regressor_norm = nn.LayerNorm(s.width)
        layers = (EncoderLayer(s) for _ in range(pretext.decoder_layers))
        self.image_decoder = nn.Sequential(
            *layers, nn.LayerNorm(s.width), nn.Linear(s.width, 3 * (s.size[0] // rows) * (s.size[1] // columns))
        )
        self.regressor.apply(initialise_transformer)
        self.image_decoder.apply(initialise_transformer)

    def representations(self, crops: Tensor, hidden: Tensor) -> Tensor:
        """The alignment's target (B, M, D), detached: the encoder's output of the hidden tokens alone.

        The stem sees the whole crop here, and here alone its batch normalisation gathers statistics: of whole crops,
        as the later stages show them.
        """
        with torch.no_grad():
            return self._chosen(encoded(self, self.embed(crops), hidden), hidden)

    def reconstruct(self, crops: Tensor, hidden: Tensor) -> Reconstruction:
        """Pixels and representations of the hidden tokens (B, T), from the visible ones; equally many in each crop."""
        with steady_normalisation(self):
            visible = self._chosen(encoded_visible(self, crops, hidden), ~hidden)
        places = self._chosen(self.positions.expand(len(crops), -1, -1), hidden)
        latents = self.mask_query + places
        for layer in self.regressor:
            latents = layer(latents, visible)
        latents = self.regressor_norm(latents)
        return Reconstruction(self.image_decoder(latents + places).float(), latents.float())

    @staticmethod
    def _chosen(tokens: Tensor, chosen: Tensor) -> Tensor:
        return tokens[chosen].view(len(tokens), -1, tokens.shape[-1])


def masked_image_losses(
    found: Reconstruction, pixels: Tensor, representations: Tensor, alignment_weight: float
) -> MaskedImageLosses:
    """Mean squared errors of the hidden tokens' pixels (B, M, P) and representations (B, M, D)."""
    of_pixels = functional.mse_loss(found.pixels, pixels)
    alignment = alignment_weight * functional.mse_loss(found.representations, representations.detach().float())
    return MaskedImageLosses(of_pixels + alignment, of_pixels, alignment)


def covered_tokens(places: Tensor, grid: Grid) -> Tensor:
    """Which tokens lie under which character: (B, L, 4) fractions of the crop, NaN for none -> (B, L, T) bool.

    The token in which a character's centre lies is always under it.
    """
    under = []
    for axis, count in ((1, grid[0]), (0, grid[1])):
        edges = torch.arange(count, device=places.device)
        low, high = places[..., axis, None] * count, places[..., axis + 2, None] * count  # (B, L, 1) in tokens
        share = torch.minimum(high, edges + 1.0) - torch.maximum(low, edges.float())
        centre = ((low + high) / 2).floor().clamp(0, count - 1)
        under.append((share > COVERED) | (centre == edges))
    return (under[0][..., :, None] & under[1][..., None, :]).flatten(-2)


def hidden_characters(slots: Tensor, most: int, generator: torch.Generator | None = None) -> Tensor:
    """A random choice of 1 to `most` characters of every text, one of which stays: (B, L) ids -> (B, L) bool.

    A text of one character loses none.
    """
    cpu = slots.cpu()
    characters = cpu != PAD
    limit = (characters.sum(1) - 1).clamp(max=most)
    count = ((torch.rand(len(cpu), generator=generator) * limit).long() + 1).minimum(limit)
    noise = torch.rand(cpu.shape, generator=generator).masked_fill(~characters, 2.0)
    return (noise.argsort(1).argsort(1) < count[:, None]).to(slots.device)


def hidden_tokens(places: Tensor, chosen: Tensor, grid: Grid) -> Tensor:
    """The tokens under the chosen characters (B, L): (B, T) bool. A crop whose every token would go keeps them all."""
    hidden = (covered_tokens(places, grid) & chosen[..., None]).any(1)
    return hidden & ~hidden.all(1, keepdim=True)


def masked_language_losses(
    logits: Tensor, slots: Tensor, chosen: Tensor, visible_weight: float
) -> MaskedLanguageLosses:
    """Cross-entropy of the hidden characters, and weighted of the visible ones: (B, L, K+1), (B, L), (B, L)."""
    each = functional.cross_entropy(logits.flatten(0, 1), slots.flatten(), reduction="none").view(slots.shape)
    visible = (slots != PAD) & ~chosen

    def mean(these: Tensor) -> Tensor:
        return (each * these).sum() / these.sum().clamp(min=1)

    of_hidden, of_visible = mean(chosen), visible_weight * mean(visible)
    return MaskedLanguageLosses(of_hidden + of_visible, of_hidden, of_visible)
