"""Readers that name a character or none for every token, as CTC trains them, and MaskOCR's encoder as one of them.

Their greedy reading is folded into slots inside the network, so that whatever reads, calibrates, exports or serves a
recogniser of slots takes them as they are.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from alpr.plates.charset import PAD
from alpr.recognition.model import MaskOcr, MaskOcrSettings, ReadingLogits
from alpr.recognition.parts import DECODER

CERTAIN = 20.0
"""How far the padding's logit stands above the others in a slot of which no token doubts that it is empty."""


class ReaderShape(Protocol):
    """What the settings of every network that reads say."""

    @property
    def text_rows(self) -> int: ...

    @property
    def countries(self) -> tuple[str, ...]: ...

    @property
    def kinds(self) -> tuple[str, ...]: ...

    @property
    def row_cuts(self) -> tuple[float, ...]: ...


def greedy_slots(logits: Tensor, slots: int) -> Tensor:
    """The greedy reading of CTC as slots: (B, T, K+1) logits of tokens, class 0 = blank -> (B, L, K+1), 0 = padding.

    The best class of every token is taken, repeats are one character, blanks are none: Graves et al., ICML 2006, best
    path decoding. A character's slot holds the mean log-probabilities of its tokens; all of them have the same best
    class, so the mean has it too. The first empty slot holds those of the blank token that is least sure, since a
    character may be missing there; later ones are empty for certain. Characters beyond the slots are left out.
    """
    log_probabilities = logits.log_softmax(-1)
    best = logits.argmax(-1)  # (B, T)
    read = best != PAD
    begins = read & (best != functional.pad(best[:, :-1], (1, 0), value=PAD))
    number = begins.long().cumsum(1)  # of the character that a token shows, or that stands before it
    places = torch.arange(1, slots + 1, device=logits.device)[:, None]
    shows = ((number[:, None] == places) & read[:, None]).to(logits.dtype)  # (B, L, T)
    tokens = shows.sum(-1, keepdim=True)
    characters = (shows @ log_probabilities) / tokens.clamp(min=1)

    blank = log_probabilities[..., PAD].masked_fill(read, 0.0)  # (B, T)
    doubtful = blank.argmin(1)[:, None, None].expand(-1, 1, logits.shape[-1])
    missing = log_probabilities.gather(1, doubtful)  # (B, 1, K+1)
    empty = torch.zeros_like(missing) - CERTAIN * (torch.arange(logits.shape[-1], device=logits.device) != PAD)
    first = (places == number[:, -1][:, None, None] + 1) & ~read.all(1)[:, None, None]  # (B, L, 1)
    return torch.where(tokens > 0, characters, torch.where(first, missing, empty))


def expect_one_row(settings: ReaderShape) -> None:
    """Refuses what a reader of tokens has not.

    Raises:
        ValueError: plates of several rows of text, or heads for country, kind or rows.
    """
    if settings.text_rows > 1:
        raise ValueError(
            f"A reader by CTC alone reads one row of text; the layouts have {settings.text_rows}. "
            "Expected data.layouts of one row."
        )
    for name in ("countries", "kinds", "row_cuts"):
        if getattr(settings, name):
            raise ValueError(
                f"model.network.{name} is {list(getattr(settings, name))}; a reader by CTC alone has no such head, "
                "expected []."
            )


class CtcReader(nn.Module):
    """uint8 crops (B, H, W, 3) BGR -> slot logits (B, L, K+1), class 0 = padding; subclasses give the tokens'."""

    slots: int

    def token_logits(self, crops: Tensor) -> Tensor:
        """Logits (B, T, K+1) of T tokens from the left to the right, class 0 = blank."""
        raise NotImplementedError

    def training_logits(self, crops: Tensor) -> ReadingLogits:
        """The tokens' logits in float32, also under autocast; there are no slots to train."""
        return ReadingLogits(None, self.token_logits(crops).float()[:, None])

    def forward(self, crops: Tensor) -> Tensor:
        return greedy_slots(self.token_logits(crops), self.slots)


class MaskOcrCtc(CtcReader, MaskOcr):
    """MaskOCR's encoder and its auxiliary head alone: what the decoder adds is what this one lacks."""

    def __init__(self, settings: MaskOcrSettings) -> None:
        MaskOcr.__init__(self, settings)
        expect_one_row(settings)
        if settings.stem == "conv" and settings.token_grid[0] > 1:
            raise ValueError(f"token_rows is {settings.token_rows}; a reader by CTC alone expects 1 or null.")
        self.slots = settings.slots
        for part in DECODER:
            delattr(self, part)

    def token_logits(self, crops: Tensor) -> Tensor:
        return self.ctc_logits(self.encode(crops))[:, 0]
