"""From the recogniser's logits to text. Plain numpy; every stage of the project calls this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpr.plates.charset import PAD, Charset
from alpr.plates.records import FloatArray, Reading
from alpr.plates.slots import Slots
from alpr.recognition.grammar import Grammar, string_probability


@dataclass(frozen=True)
class Decoding:
    """What a reading holds beyond the best text, and which text is the best.

    Attributes:
        grammar: replaces a text that fits no layout of the country; None leaves every text as it is read.
        min_score: a reading with a lower score is not certain; with None nothing is said of that.

    Raises:
        ValueError: a score outside 0..1.
    """

    grammar: Grammar | None = None
    min_score: float | None = None

    def __post_init__(self) -> None:
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise ValueError(f"The lowest score is {self.min_score}; expected 0 to 1.")


TINY = 1e-12
"""The lowest probability whose logarithm is taken."""
PLAIN = Decoding()
"""The best text as it is read, and nothing else."""


def softmax(logits: FloatArray) -> FloatArray:
    """The softmax over the last axis, in float64."""
    # float64: a score is a product of slots, and batches of another size must give the same text and digits
    logits = np.asarray(logits, dtype=np.float64)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def mean_logits(looks: Sequence[FloatArray], temperature: float = 1.0) -> FloatArray:
    """Logits whose softmax at this temperature is the mean of those of several looks at the same crops."""
    probabilities = np.mean([softmax(np.asarray(look, dtype=np.float64) / temperature) for look in looks], axis=0)
    return np.asarray(temperature * np.log(np.maximum(probabilities, TINY)))


def read_classes(logits: FloatArray) -> npt.NDArray[np.intp]:
    """The class (B, L) that a text stands for in every slot: the best one up to the first PAD, PAD from there on."""
    ids = logits.argmax(axis=-1)
    return np.where(np.logical_and.accumulate(ids != PAD, axis=1), ids, PAD)


def check_logits(logits: FloatArray, charset: Charset) -> None:
    """Refuses what no recogniser of this alphabet may give.

    Raises:
        ValueError: another number of dimensions or classes, or logits that are not finite.
    """
    if logits.ndim != 3 or logits.shape[2] != len(charset):
        raise ValueError(
            f"The recogniser gave logits {logits.shape}; expected (B, L, {len(charset)}) "
            f"for {len(charset.symbols)} symbols and PAD."
        )
    if not np.isfinite(logits).all():
        raise ValueError("The recogniser gave logits that are not finite; its weights are damaged.")


def decode_logits(
    logits: FloatArray, charset: Charset, temperature: float = 1.0, decoding: Decoding = PLAIN
) -> list[Reading]:
    """One reading per crop.

    The text is the best symbol of every slot before the first slot whose best class is PAD. Its score is the
    probability of exactly this string: the product of its characters' and of every later slot's PAD probability. The
    text "" has score 0: nothing was read.

    Args:
        logits: (B, L slots, K+1 classes), class 0 = PAD.
        charset: the K symbols.
        temperature: the logits are divided by it first.

    Raises:
        ValueError: another number of dimensions or classes, logits that are not finite, or a temperature that is
            not above 0.
    """
    check_logits(logits, charset)
    if not temperature > 0:
        raise ValueError(f"The temperature is {temperature}; expected a number above 0.")
    probabilities = softmax(np.asarray(logits, dtype=np.float64) / temperature)  # (B, L, K+1)
    return [
        _reading(crop, tuple(i for i in row if i != PAD), Slots(answer, charset, temperature), decoding)
        for crop, row, answer in zip(probabilities, read_classes(logits).tolist(), logits, strict=True)
    ]


def decode_labels(logits: FloatArray, names: Sequence[str]) -> list[tuple[str, float]]:
    """The best name of every crop and its probability, of the logits (B, C) of a head for countries or kinds.

    Raises:
        ValueError: another number of dimensions or classes, or logits that are not finite.
    """
    if logits.ndim != 2 or logits.shape[1] != len(names):
        raise ValueError(f"A head gave logits {logits.shape}; expected (B, {len(names)}) for {', '.join(names)}.")
    if not np.isfinite(logits).all():
        raise ValueError("A head gave logits that are not finite; its weights are damaged.")
    return [(names[row.argmax()], float(row.max())) for row in softmax(logits)]


def _reading(probabilities: FloatArray, ids: tuple[int, ...], slots: Slots, decoding: Decoding) -> Reading:
    raw, charset = ids, slots.charset
    explained = None if decoding.grammar is None else decoding.grammar.explain(probabilities, ids)
    if explained is not None:
        ids = explained.ids
    score = string_probability(probabilities, ids) if ids else 0.0
    return Reading(
        text=charset.decode(ids),
        score=score,
        characters=tuple(float(p) for p in probabilities[np.arange(len(ids)), ids]),
        rule=None if explained is None else explained.rule,
        raw_text=None if ids == raw else charset.decode(raw),
        certain=None if decoding.min_score is None else score >= decoding.min_score,
        slots=slots,
    )
