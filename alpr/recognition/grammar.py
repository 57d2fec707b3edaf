"""Readings that fit a country's layouts: the most probable string of a layout in place of one that fits none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alpr.plates.charset import PAD, Charset
from alpr.plates.country import CountryPack
from alpr.plates.records import FloatArray

EXCEPTIONS = 1e-3


class Spelling(NamedTuple):
    """A layout as the classes it allows: (n characters, K+1) bool, without PAD."""

    rule: str
    allowed: npt.NDArray[np.bool_]


class Explained(NamedTuple):
    """A text as class ids without padding, and the layout that it fits."""

    ids: tuple[int, ...]
    rule: str


class Grammar:
    """The layouts of a country pack, as rules for decoding. Only probability decides between them.

    A text that fits a layout is kept. Another one gives way to the most probable string that fits one, unless that
    string's probability is less than `exceptions` times the text's own: a foreign plate is not bent into a domestic
    one. Slots are independent, so the best string of a layout is its best allowed symbol in every slot.

    Args:
        charset: the recogniser's; it holds the pack's whole alphabet.
        exceptions: the share of plates that fit no layout of the pack.

    Raises:
        ValueError: a symbol of a layout that the charset does not have, or a share outside 0..1.
    """

    def __init__(self, pack: CountryPack, charset: Charset, exceptions: float = EXCEPTIONS) -> None:
        if not 0 <= exceptions <= 1:
            raise ValueError(f"The share of exceptions is {exceptions}; expected 0 to 1.")
        self.exceptions = exceptions
        self.spellings = [Spelling(rule, _allowed(symbols, charset)) for rule, symbols in pack.spellings()]

    def explain(self, probabilities: FloatArray, ids: tuple[int, ...]) -> Explained | None:
        """The text that is read in place of `ids`, perhaps the same one; None where no layout explains it.

        Args:
            probabilities: (L, K+1) of one crop.
            ids: the text that was read, without padding; nothing read stays nothing.
        """
        for rule, allowed in self.spellings:
            if len(ids) == len(allowed) and allowed[np.arange(len(ids)), ids].all():
                return Explained(ids, rule)
        if not ids:
            return None
        best, best_score = None, 0.0
        for rule, allowed in self.spellings:
            if len(allowed) > len(probabilities):
                continue
            candidates = np.where(allowed, probabilities[: len(allowed)], 0.0)
            chosen = tuple(int(i) for i in candidates.argmax(axis=1))
            score = string_probability(probabilities, chosen)
            if score > best_score and candidates.max(axis=1).min() > 0:
                best, best_score = Explained(chosen, rule), score
        return best if best_score >= self.exceptions * string_probability(probabilities, ids) else None


def string_probability(probabilities: FloatArray, ids: tuple[int, ...]) -> float:
    """The probability of exactly one string: its symbols, then PAD in every later slot. (L, K+1) of one crop."""
    printed = probabilities[np.arange(len(ids)), ids]
    return float(printed.prod() * probabilities[len(ids) :, PAD].prod())


def _allowed(symbols: tuple[str, ...], charset: Charset) -> npt.NDArray[np.bool_]:
    allowed = np.zeros((len(symbols), len(charset)), dtype=bool)
    for row, here in zip(allowed, symbols, strict=True):
        row[charset.encode(here)] = True
    return allowed
