"""What the slots and the CTC head learn of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from alpr.charset import PAD, Charset
from alpr.records import ImageArray

UNKNOWN = -1
"""The index of a country or kind that has no label; losses pass over it."""


class RecognitionBatch(NamedTuple):
    """B crops with their texts."""

    crops: Tensor  # (B, H, W, 3) uint8 BGR
    slots: Tensor  # (B, L) int64, padded with PAD; of a crop without a plate all are PAD
    countries: Tensor  # (B,) int64 indices into a list of countries, UNKNOWN where there is no label
    kinds: Tensor  # (B,) int64 indices into a list of kinds of plates, UNKNOWN where there is no label
    rows: Tensor  # (B,) int64, how many rows of characters the plate has


def recognition_batch(
    crops: Sequence[ImageArray],
    texts: Sequence[str],
    charset: Charset,
    slots: int,
    *,
    empty: bool = False,
    countries: Sequence[int] | None = None,
    kinds: Sequence[int] | None = None,
    rows: Sequence[int] | None = None,
) -> RecognitionBatch:
    """One batch from crops of equal size and their texts.

    Args:
        empty: whether texts may be empty, as those of crops without a plate are.
        countries, kinds: indices, UNKNOWN where there is no label; None for no label at all.
        rows: of characters; None for one row each.

    Raises:
        ValueError: a text that is empty, longer than the slots, or has a character outside the alphabet.
    """
    ids = [charset.encode_padded(text, slots, empty=empty) for text in texts]
    nothing = [UNKNOWN] * len(ids)
    return RecognitionBatch(
        torch.from_numpy(np.stack(crops)),
        torch.tensor(ids, dtype=torch.int64),
        torch.tensor(nothing if countries is None else countries, dtype=torch.int64),
        torch.tensor(nothing if kinds is None else kinds, dtype=torch.int64),
        torch.tensor([1] * len(ids) if rows is None else rows, dtype=torch.int64),
    )


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
