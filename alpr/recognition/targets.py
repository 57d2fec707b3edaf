"""What the slots and the CTC head learn of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from alpr.plates.charset import PAD, Charset
from alpr.plates.records import FloatArray, ImageArray

UNKNOWN = -1
"""The index of a country, a kind, rows or a text that has no label; losses pass over it."""
UNSEEN = -1
"""The target of a token of which is not known what it sees; losses pass over it."""
CORE = 0.6
"""The middle share of a character's cell whose tokens must name it."""


class RecognitionBatch(NamedTuple):
    """B crops with their texts."""

    crops: Tensor  # (B, H, W, 3) uint8 BGR
    slots: Tensor  # (B, L) int64, padded with PAD: all of a crop without a plate; UNKNOWN where no text is taught
    countries: Tensor  # (B,) int64 indices into a list of countries, UNKNOWN where there is no label
    kinds: Tensor  # (B,) int64 indices into a list of kinds of plates, UNKNOWN where there is no label
    rows: Tensor  # (B,) int64, how many rows of characters the crop has
    places: Tensor | None = None  # (B, L, 4) x1, y1, x2, y2 of each character's cell as fractions of the crop, else NaN
    cuts: Tensor | None = None  # (B,) int64: 0 for one row, k for two parted at the k-th of a list of cuts, or UNKNOWN


def recognition_batch(
    crops: Sequence[ImageArray],
    texts: Sequence[str | None],
    charset: Charset,
    slots: int,
    *,
    empty: bool = False,
    countries: Sequence[int] | None = None,
    kinds: Sequence[int] | None = None,
    rows: Sequence[int] | None = None,
    cuts: Sequence[int] | None = None,
    places: Sequence[FloatArray | None] | None = None,
) -> RecognitionBatch:
    """One batch from crops of equal size and their texts.

    Args:
        texts: None of a crop of which no text is taught.
        empty: whether texts may be empty, as those of crops without a plate are.
        countries, kinds, cuts: indices, UNKNOWN where there is no label; None for no label at all.
        rows: of characters; None for one row each.
        places: (N, 4) of each text's characters, None where they are not known; None for none at all.

    Raises:
        ValueError: a text that is empty, longer than the slots, or has a character outside the alphabet.
    """
    untaught = [UNKNOWN] * slots
    ids = [untaught if text is None else charset.encode_padded(text, slots, empty=empty) for text in texts]
    nothing = [UNKNOWN] * len(ids)
    return RecognitionBatch(
        torch.from_numpy(np.stack(crops)),
        torch.tensor(ids, dtype=torch.int64),
        torch.tensor(nothing if countries is None else countries, dtype=torch.int64),
        torch.tensor(nothing if kinds is None else kinds, dtype=torch.int64),
        torch.tensor([1] * len(ids) if rows is None else rows, dtype=torch.int64),
        None if places is None else _padded(places, slots),
        torch.tensor(nothing if cuts is None else cuts, dtype=torch.int64),
    )


def _padded(places: Sequence[FloatArray | None], slots: int) -> Tensor:
    padded = np.full((len(places), slots, 4), np.nan, np.float32)
    for row, known in zip(padded, places, strict=True):
        if known is not None:
            row[: len(known)] = known
    return torch.from_numpy(padded)


def token_targets(slots: Tensor, places: Tensor, rows: int, columns: int) -> Tensor:
    """What each token sees of characters whose places are known: (B, L), (B, L, 4) -> (B, rows, columns) int64.

    A token is a character's where its centre lies in the middle of the character's cell, or where it is the nearest to
    that middle; PAD where it lies in no cell; UNSEEN between the two, and in crops whose places are not known.

    Args:
        slots: class ids, padded with PAD. places: x1, y1, x2, y2 as fractions of the crop; NaN where not known.
    """
    far, core = cell_distances(places, rows, columns)
    distance, owner = torch.where(core, far, torch.inf).min(1)  # (B, rows, columns): of the nearest character's middle
    seen = slots.gather(1, owner.flatten(1)).view_as(owner)
    free = torch.where((far <= 0.5).any(1), UNSEEN, PAD)
    targets = torch.where(distance.isinf(), free, seen)
    return torch.where(places[..., 0].isnan().all(1)[:, None, None], UNSEEN, targets)


def cell_distances(places: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """How far the tokens' centres are from the middle of each character's cell, and which tokens are the character's.

    Args:
        places: (B, L, 4) as of `token_targets`.

    Returns:
        (B, L, rows, columns) in widths of the cell, infinite in other rows and where the place is not known; and bool,
        the tokens in the middle of the cell and the nearest one.
    """
    known = ~places[..., 0].isnan()  # (B, L)
    x1, y1, x2, y2 = places.nan_to_num(-9.0).unbind(-1)
    row = ((y1 + y2) / 2 * rows).floor().clamp(0, rows - 1)  # (B, L)
    in_row = known[..., None] & (row[:, :, None] == torch.arange(rows, device=places.device))  # (B, L, rows)
    centres = (torch.arange(columns, device=places.device) + 0.5) / columns
    away = (centres - ((x1 + x2) / 2)[..., None]).abs()  # (B, L, columns)
    share = away / (x2 - x1).clamp(min=1e-6)[..., None]
    core = (share <= CORE / 2) | (away == away.amin(-1, keepdim=True))
    far = torch.where(in_row[..., None], share[:, :, None], torch.inf)
    return far, in_row[..., None] & core[:, :, None]


def text_lengths(slots: Tensor) -> Tensor:
    """The number of characters of each padded text: (B, L) -> (B,)."""
    return (slots != PAD).sum(-1)


def marginal_entropy(texts: Sequence[str], charset: Charset, slots: int) -> float:
    """The mean entropy per slot of the labels' own distribution, in nats.

    A loss that stays there has learnt the frequencies of the characters and nothing of the images. An empty text is
    that of a crop without a plate.
    """
    counts = np.zeros((slots, len(charset)))
    for text in texts:
        for slot, symbol in enumerate(charset.encode_padded(text, slots, empty=True)):
            counts[slot, symbol] += 1
    shares = counts / max(1, len(texts))
    terms = np.where(shares > 0, -shares * np.log(np.maximum(shares, 1e-12)), 0)
    return float(terms.sum(1).mean())
