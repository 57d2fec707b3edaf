"""The recogniser's losses as functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from alpr.plates.charset import PAD
from alpr.recognition.model import ReadingLogits
from alpr.recognition.targets import (
    UNKNOWN,
    UNSEEN,
    RecognitionBatch,
    cell_distances,
    text_lengths,
    token_targets,
)


@dataclass(frozen=True)
class RecognitionLossSettings:
    """Weights of the terms; those of country, kind and rows count where the network has such heads, and that of the
    places where rendered crops know where their characters stand."""

    ctc_weight: float = 1.0
    places_weight: float = 0.0
    label_smoothing: float = 0.0
    country_weight: float = 0.2
    kind_weight: float = 0.2
    row_weight: float = 0.2


class RecognitionLosses(NamedTuple):
    """Scalars: the sum that is minimised, the slots' cross-entropy in nats, and the weighted terms of other heads.

    Of a reader by CTC alone `slots` is that loss in nats per character, and `ctc` is 0.
    """

    total: Tensor
    slots: Tensor
    ctc: Tensor
    country: Tensor | None = None  # None without this head
    kind: Tensor | None = None  # None without this head
    rows: Tensor | None = None  # None without this head
    places: Tensor | None = None  # None without this term


def slot_loss(logits: Tensor, slots: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of every slot, padding included: (B, L, K+1), (B, L) -> scalar in nats."""
    return functional.cross_entropy(logits.flatten(0, 1), slots.flatten(), label_smoothing=smoothing)


def ctc_loss(logits: Tensor, slots: Tensor, rows: Tensor) -> Tensor:
    """Connectionist temporal classification on the encoder's tokens, as a mean per character: a scalar.

    A plate of one row is aligned to the columns, the mean of their tokens; one of several rows to the rows laid end
    to end, as it is read. A text that cannot be aligned to so many tokens (too many repeats) counts as zero.

    Args:
        logits: (B, R, C, K+1) of R rows of C tokens, class 0 = blank.
        slots: (B, L), padded with PAD.
        rows: (B,) rows of characters of each plate.

    Source: Graves et al., ICML 2006.
    """
    _, r, columns, _ = logits.shape
    ends = logits.flatten(1, 2)  # (B, R * C, K+1)
    if r > 1:
        one = torch.cat([logits.mean(1), ends[:, columns:]], 1)  # the columns, then what the length below leaves out
        ends = torch.where((rows == 1)[:, None, None], one, ends)
    tokens = torch.where(rows == 1, columns, r * columns)
    log_probabilities = ends.log_softmax(-1).transpose(0, 1)
    return functional.ctc_loss(log_probabilities, slots, tokens, text_lengths(slots), blank=PAD, zero_infinity=True)


def places_loss(logits: Tensor, slots: Tensor, places: Tensor, rows: Tensor) -> Tensor:
    """Mean cross-entropy of the encoder's tokens with the characters that stand there: a scalar in nats.

    Rendered crops know the places of their characters, so the auxiliary head need not find out by itself, as CTC does,
    which token shows which character; the mean is over the tokens whose target is known, 0 where none is. As in
    `ctc_loss`, a plate of one row is seen by the mean of the rows of tokens.

    Args:
        logits: (B, R, C, K+1) of R rows of C tokens, class 0 = no character.
        slots: (B, L), padded with PAD. places: (B, L, 4), see `token_targets`.
        rows: (B,) rows of characters of each plate.
    """
    _, r, columns, _ = logits.shape
    targets = token_targets(slots, places, r, columns)
    if r > 1:
        single = (rows == 1)[:, None, None]
        targets = torch.where(single, token_targets(slots, places, 1, columns), targets)
        logits = torch.where(single[..., None], logits.mean(1, keepdim=True), logits)
    total = functional.cross_entropy(logits.flatten(0, 2), targets.flatten(), ignore_index=UNSEEN, reduction="sum")
    return total / (targets != UNSEEN).sum().clamp(min=1)


def attention_loss(attention: Tensor, places: Tensor, rows: Tensor, grid: tuple[int, int]) -> Tensor:
    """Minus the logarithm of the attention that slots pay to their own character: a scalar, the mean of known places.

    Without it slots lean on what usually stands at their place, and double or drop characters where a crop is shifted.

    Args:
        attention: (B, L, T), sums of 1 over the tokens, which are listed row by row.
        places: (B, L, 4), see `token_targets`; the mean is 0 where no place is known.
        rows: (B,) rows of characters of each plate; one of one row may be seen in any row of tokens.
        grid: (rows, columns) of the tokens.
    """
    own = cell_distances(places, *grid)[1]  # (B, L, rows, columns)
    if grid[0] > 1:
        own = torch.where((rows == 1)[:, None, None, None], cell_distances(places, 1, grid[1])[1], own)
    own = own.flatten(2)
    known = own.any(-1)
    paid = (attention * own).sum(-1).clamp(min=1e-6)
    return -(paid.log() * known).sum() / known.sum().clamp(min=1)


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the crops that have a label: (B, C), (B,) -> scalar in nats; 0 where none has one."""
    total = functional.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum")
    return total / (labels != UNKNOWN).sum().clamp(min=1)


def recognition_losses(
    logits: ReadingLogits, batch: RecognitionBatch, settings: RecognitionLossSettings
) -> RecognitionLosses:
    """Slots' cross-entropy plus the auxiliary CTC term and those of country, kind and rows of one batch."""
    taught = batch.slots[:, 0] != UNKNOWN
    if bool(taught.all()):
        of_slots, of_ctc, of_places = _text_losses(logits, batch, settings)
    else:
        of_slots, of_ctc, of_places = _text_losses(*_those(taught, logits, batch), settings)
    total = of_slots + of_ctc
    if of_places is not None:
        total = total + of_places
    country = kind = None
    if logits.countries is not None:
        country = settings.country_weight * label_loss(logits.countries, batch.countries)
        total = total + country
    if logits.kinds is not None:
        kind = settings.kind_weight * label_loss(logits.kinds, batch.kinds)
        total = total + kind
    rows = None
    if logits.rows is not None and batch.cuts is not None:
        rows = settings.row_weight * label_loss(logits.rows, batch.cuts)
        total = total + rows
    return RecognitionLosses(total, of_slots, of_ctc, country, kind, rows, of_places)


def _those(taught: Tensor, logits: ReadingLogits, batch: RecognitionBatch) -> tuple[ReadingLogits, RecognitionBatch]:
    """The crops of which a text is taught: what their text's losses need."""
    places = None if batch.places is None else batch.places[taught]
    attention = None if logits.attention is None else logits.attention[taught]
    return (
        logits._replace(
            slots=None if logits.slots is None else logits.slots[taught], ctc=logits.ctc[taught], attention=attention
        ),
        batch._replace(slots=batch.slots[taught], rows=batch.rows[taught], places=places),
    )


def _text_losses(
    logits: ReadingLogits, batch: RecognitionBatch, settings: RecognitionLossSettings
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The slots' cross-entropy, and the weighted terms of the auxiliary CTC head and of the places; 0 of no crop."""
    if not len(batch.slots):
        nothing = logits.ctc.sum() + (0 if logits.slots is None else logits.slots.sum())  # 0, with a gradient
        return nothing, nothing, None
    of_ctc = logits.ctc.new_zeros(())
    if logits.slots is None:  # a reader by CTC alone: its text's loss stands in the slots' place
        of_slots = ctc_loss(logits.ctc, batch.slots, batch.rows)
    else:
        of_slots = slot_loss(logits.slots, batch.slots, settings.label_smoothing)
    if settings.ctc_weight and logits.slots is not None:
        of_ctc = settings.ctc_weight * ctc_loss(logits.ctc, batch.slots, batch.rows)
    if not (settings.places_weight and batch.places is not None):
        return of_slots, of_ctc, None
    of_places = places_loss(logits.ctc, batch.slots, batch.places, batch.rows)
    if logits.attention is not None:
        grid = logits.attention.shape[-1] // logits.ctc.shape[2], logits.ctc.shape[2]
        of_places = of_places + attention_loss(logits.attention, batch.places, batch.rows, grid)
    return of_slots, of_ctc, settings.places_weight * of_places
