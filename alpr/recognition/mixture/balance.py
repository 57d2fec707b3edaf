"""How often each plate is drawn, so that rare first characters (provinces) and rare characters are learnt too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from alpr.plates.records import FloatArray


def balanced_weights(texts: Sequence[str], power: float) -> FloatArray:
    """The share of each plate in the draws: (N,), sum 1.

    All plates that begin with a character are drawn in proportion to their number to the power of 1 - `power`: 0
    leaves the shares as they are, 1 makes them equal. Among them a plate counts by the rarest of its other
    characters: one over the share of all plates that hold it, to `power`.

    Raises:
        ValueError: a power outside 0..1, or an empty text.
    """
    if not 0 <= power <= 1:
        raise ValueError(f"balance is {power}; expected 0 (off) to 1.")
    if not all(texts):
        raise ValueError(f"Text {list(texts).index('')} of {len(texts)} is empty; only texts can be balanced.")
    firsts = Counter(text[0] for text in texts)
    holders = Counter(character for text in texts for character in set(text[1:]))
    rarest = np.array([min((holders[c] for c in text[1:]), default=len(texts)) for text in texts], float)
    within = (rarest / max(1, len(texts))) ** -power
    sums = dict.fromkeys(firsts, 0.0)
    for text, weight in zip(texts, within.tolist(), strict=True):
        sums[text[0]] += weight
    wanted = np.array([firsts[text[0]] ** (1 - power) / sums[text[0]] for text in texts])
    return np.asarray(within * wanted / (within * wanted).sum())
