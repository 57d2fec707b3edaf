"""The figures of pretraining: each stands beside what needs no learning."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from alpr.plates.charset import PAD
from alpr.plates.records import FloatArray


class ReconstructionScores(NamedTuple):
    """Of the hidden tokens' pixels in -1..1, and of the encoder."""

    pixel_mse: float
    pixel_mse_of_mean: float  # of giving every hidden pixel the mean colour of the crop's visible ones
    pixels_explained: float  # 1 - the first over the second
    representation_variance: float  # of the same token over the crops, mean over tokens and features; 0: collapsed


class ReconstructionMetrics:
    """Sums over batches; `merge` joins those of several processes."""

    def __init__(self) -> None:
        self.error = self.error_of_mean = 0.0
        self.values = self.crops = 0
        self.sum: FloatArray | float = 0.0  # (T, D) over the crops
        self.squares: FloatArray | float = 0.0

    def update(self, found: Tensor, pixels: Tensor, hidden: Tensor, representations: Tensor) -> None:
        """One batch.

        Args:
            found: predicted pixels of the hidden tokens, (B, M, P).
            pixels: of all tokens, (B, T, P).
            hidden: (B, T) bool.
            representations: the encoder's tokens of whole crops, (B, T, D).
        """
        of_tokens = pixels.view(*pixels.shape[:2], -1, 3)  # (B, T, P / 3, 3)
        seen = (~hidden)[..., None, None]
        colour = (of_tokens * seen).sum((1, 2)) / (seen.sum((1, 2)) * of_tokens.shape[2])  # (B, 3)
        truth = pixels[hidden].view(found.shape)
        mean = colour.repeat(1, truth.shape[-1] // 3)[:, None]
        self.error += float((found - truth).double().square().sum())
        self.error_of_mean += float((mean - truth).double().square().sum())
        self.values += truth.numel()
        self.crops += len(truth)
        self.sum = self.sum + representations.double().sum(0).cpu().numpy()
        self.squares = self.squares + representations.double().square().sum(0).cpu().numpy()

    def merge(self, other: ReconstructionMetrics) -> ReconstructionMetrics:
        """The figures of both."""
        merged = ReconstructionMetrics()
        for name in vars(merged):
            setattr(merged, name, getattr(self, name) + getattr(other, name))
        return merged

    def compute(self) -> ReconstructionScores:
        values, crops = max(1, self.values), max(1, self.crops)
        mse, of_mean = self.error / values, self.error_of_mean / values
        variance = self.squares / crops - np.square(self.sum / crops)
        return ReconstructionScores(mse, of_mean, 1 - mse / max(of_mean, 1e-12), float(np.mean(variance)))


class MaskedCharacterScores(NamedTuple):
    """Shares of characters that are named rightly, and nats."""

    hidden_accuracy: float
    hidden_accuracy_of_frequencies: float  # of naming the most frequent character of the slot
    hidden_loss: float
    visible_accuracy: float


class MaskedCharacterMetrics:
    """Counts over batches; `merge` joins those of several processes."""

    def __init__(self, slots: int, classes: int) -> None:
        self.slots, self.classes = slots, classes
        self.right = np.zeros(2)  # hidden, visible
        self.seen = np.zeros(2)
        self.nats = 0.0
        self.frequencies = np.zeros((slots, classes))  # of the hidden characters

    def update(self, logits: Tensor, ids: Tensor, chosen: Tensor) -> None:
        """One batch: (B, L, K+1) logits, (B, L) ids, (B, L) bool of the hidden characters."""
        right = logits.argmax(-1) == ids
        for k, these in enumerate((chosen, (ids != PAD) & ~chosen)):
            self.right[k] += int((right & these).sum())
            self.seen[k] += int(these.sum())
        self.nats += float(functional.cross_entropy(logits[chosen], ids[chosen], reduction="sum"))
        places = torch.nonzero(chosen)[:, 1].cpu().numpy()
        np.add.at(self.frequencies, (places, ids[chosen].cpu().numpy()), 1)

    def merge(self, other: MaskedCharacterMetrics) -> MaskedCharacterMetrics:
        """The figures of both."""
        merged = MaskedCharacterMetrics(self.slots, self.classes)
        for name in ("right", "seen", "nats", "frequencies"):
            setattr(merged, name, getattr(self, name) + getattr(other, name))
        return merged

    def compute(self) -> MaskedCharacterScores:
        hidden, visible = self.right / np.maximum(1, self.seen)
        seen = max(1.0, float(self.seen[0]))
        frequent = float(self.frequencies.max(1).sum()) / seen
        return MaskedCharacterScores(float(hidden), frequent, self.nats / seen, float(visible))
