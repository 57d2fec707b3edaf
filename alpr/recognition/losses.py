"""The recogniser's losses as functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from alpr.charset import PAD
from alpr.recognition.model import ReadingLogits
from alpr.recognition.targets import text_lengths


@dataclass(frozen=True)
class RecognitionLossSettings:
    """Weights of the terms."""

    ctc_weight: float = 1.0
    label_smoothing: float = 0.0


class RecognitionLosses(NamedTuple):
    """Scalars: the sum that is minimised, the slots' cross-entropy in nats, and the weighted CTC term."""

    total: Tensor
    slots: Tensor
    ctc: Tensor


def slot_loss(logits: Tensor, slots: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of every slot, padding included: (B, L, K+1), (B, L) -> scalar in nats."""
    return functional.cross_entropy(logits.flatten(0, 1), slots.flatten(), label_smoothing=smoothing)


def ctc_loss(logits: Tensor, slots: Tensor) -> Tensor:
    """Connectionist temporal classification on the encoder's tokens: (B, T, K+1), (B, L) -> scalar, per character.

    Source: Graves et al., ICML 2006. A text that cannot be aligned to T tokens (too many repeats) counts as zero.
    """
    lengths = text_lengths(slots)
    log_probabilities = logits.log_softmax(-1).transpose(0, 1)  # (T, B, K+1)
    tokens = torch.full_like(lengths, logits.shape[1])
    return functional.ctc_loss(log_probabilities, slots, tokens, lengths, blank=PAD, zero_infinity=True)


def recognition_losses(logits: ReadingLogits, slots: Tensor, settings: RecognitionLossSettings) -> RecognitionLosses:
    """Slots' cross-entropy plus the auxiliary CTC term of one batch."""
    of_slots = slot_loss(logits.slots, slots, settings.label_smoothing)
    if settings.ctc_weight == 0:
        return RecognitionLosses(of_slots, of_slots, of_slots.new_zeros(()))
    of_ctc = settings.ctc_weight * ctc_loss(logits.ctc, slots)
    return RecognitionLosses(of_slots + of_ctc, of_slots, of_ctc)
