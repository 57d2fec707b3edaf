"""From the recogniser's logits to text. Plain numpy; every stage of the project calls this."""

from __future__ import annotations

import numpy as np

from alpr.charset import PAD, Charset
from alpr.records import FloatArray, Reading


def softmax(logits: FloatArray) -> FloatArray:
    """The softmax over the last axis, in float64."""
    # float64: a score is a product of slots, and batches of another size must give the same text and digits
    logits = np.asarray(logits, dtype=np.float64)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def decode_logits(logits: FloatArray, charset: Charset, temperature: float = 1.0) -> list[Reading]:
    """One reading per crop.

    The text is the best symbol of every slot before the first slot whose best class is PAD. Its score is the
    probability of exactly this string: the product of its characters' and of every later slot's PAD probability.

    Args:
        logits: (B, L slots, K+1 classes), class 0 = PAD.
        charset: the K symbols.
        temperature: the logits are divided by it first.

    Raises:
        ValueError: another number of dimensions or classes, logits that are not finite, or a temperature that is
            not above 0.
    """
    if logits.ndim != 3 or logits.shape[2] != len(charset):
        raise ValueError(
            f"The recogniser gave logits {logits.shape}; expected (B, L, {len(charset)}) "
            f"for {len(charset.symbols)} symbols and PAD."
        )
    if not np.isfinite(logits).all():
        raise ValueError("The recogniser gave logits that are not finite; its weights are damaged.")
    if not temperature > 0:
        raise ValueError(f"The temperature is {temperature}; expected a number above 0.")
    probabilities = softmax(np.asarray(logits, dtype=np.float64) / temperature)  # (B, L, K+1)
    ids = probabilities.argmax(axis=-1)  # (B, L)
    printed = np.logical_and.accumulate(ids != PAD, axis=1)  # True before the first PAD
    used = np.where(printed, probabilities.max(axis=-1), probabilities[..., PAD])  # (B, L)
    scores = used.prod(axis=1)
    lengths = printed.sum(axis=1)
    return [
        Reading(charset.decode(row[:length]), float(score), tuple(float(p) for p in slots[:length]))
        for row, length, slots, score in zip(ids, lengths, used, scores, strict=True)
    ]
