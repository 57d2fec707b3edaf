"""What a recogniser answers to one crop: a distribution over the alphabet in every slot, and its likely texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from alpr.plates.charset import PAD, Charset


class Alternative(NamedTuple):
    """A text that a crop may show, and the natural logarithm of its probability. That of "" is no character at all."""

    text: str
    log_probability: float

    @property
    def score(self) -> float:
        """The probability, 0..1."""
        return math.exp(self.log_probability)


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """The slots of one crop; they are independent of each other.

    Attributes:
        logits: (L slots, K+1 classes), class 0 = PAD, as the network gave them.
        charset: the K symbols.
        temperature: the logits are divided by it.
    """

    logits: npt.NDArray[np.floating[Any]]
    charset: Charset
    temperature: float = 1.0

    @property
    def log_probabilities(self) -> npt.NDArray[np.float64]:
        """(L, K+1): natural logarithms of the classes' probabilities in every slot."""
        scaled = np.asarray(self.logits, dtype=np.float64) / self.temperature
        scaled = scaled - scaled.max(axis=-1, keepdims=True)
        return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True)))

    def alternatives(self, n: int) -> list[Alternative]:
        """The n most probable texts, best first; fewer where no other has a probability above 0."""
        best = most_probable(self.log_probabilities, n) if n > 0 else []
        return [Alternative(self.charset.decode(ids), log_probability) for ids, log_probability in best]


def most_probable(log_probabilities: npt.NDArray[np.float64], n: int) -> list[tuple[tuple[int, ...], float]]:
    """The most probable strings of one crop with their log-probabilities, best first; none of probability 0.

    A string of n characters is its symbols in the first n slots and PAD in all others, the empty string included; slots
    are independent. Strings are disjoint events, so their probabilities sum to at most 1; the rest belongs to symbols
    behind a PAD, which print nothing. Exact: whatever follows a prefix, a better prefix of its length makes a better
    string, so of every length only the n best prefixes matter.

    Args:
        log_probabilities: (L, K+1) of one crop; minus infinity is allowed.
        n: how many.
    """
    if n < 1:
        return []
    ends = np.append(np.cumsum(log_probabilities[::-1, PAD])[::-1], 0.0)  # (L+1,): PAD in every slot from here on
    prefixes: list[tuple[int, ...]] = [()]
    scores = np.zeros(1)
    found: list[tuple[tuple[int, ...], float]] = [((), float(ends[0]))]
    for slot, row in enumerate(log_probabilities):
        longer = scores[:, None] + row[None, PAD + 1 :]  # (prefixes, K)
        order = np.argsort(-longer, axis=None, kind="stable")[:n]
        starts, symbols = np.unravel_index(order, longer.shape)
        prefixes = [(*prefixes[i], int(k) + PAD + 1) for i, k in zip(starts, symbols, strict=True)]
        scores = longer[starts, symbols]
        found += [(ids, float(p)) for ids, p in zip(prefixes, scores + ends[slot + 1], strict=True)]
    return [pair for pair in sorted(found, key=lambda pair: -pair[1])[:n] if math.exp(pair[1]) > 0]
