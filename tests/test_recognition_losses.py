"""The recogniser's losses and the figure they are held against."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional

from alpr.charset import PAD, Charset
from alpr.country import CountryPack
from alpr.recognition.losses import RecognitionLossSettings, ctc_loss, recognition_losses, slot_loss
from alpr.recognition.model import ReadingLogits
from alpr.recognition.module import RecogniserModule
from alpr.recognition.targets import UNKNOWN, RecognitionBatch, marginal_entropy, recognition_batch, text_lengths

CHARSET = Charset("ABC")
ONE_ROW = torch.ones(3, dtype=torch.int64)


def slots_of(*texts: str, slots: int = 4) -> torch.Tensor:
    return torch.tensor([CHARSET.encode_padded(text, slots) for text in texts])


def batch_of(slots: torch.Tensor, labels: torch.Tensor | None = None) -> RecognitionBatch:
    unknown = torch.full((len(slots),), UNKNOWN)
    labels = unknown if labels is None else labels
    crops = torch.zeros(len(slots), 4, 8, 3, dtype=torch.uint8)
    return RecognitionBatch(crops, slots, labels, labels, torch.ones_like(labels))


def logits_of(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, length, 4, dtype=torch.float64, generator=torch.manual_seed(seed))


def ctc(logits: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """Of one row of tokens: (B, T, K+1)."""
    return ctc_loss(logits[:, None], slots, torch.ones(len(slots), dtype=torch.int64))


def test_slot_loss_by_hand() -> None:
    logits, slots = logits_of(2, 4), slots_of("AC", "B")
    shares = logits.softmax(-1).numpy()
    terms = [-np.log(shares[i, j, slots[i, j]]) for i in range(2) for j in range(4)]  # padding is learnt as well
    assert slot_loss(logits, slots).item() == pytest.approx(np.mean(terms))


def test_without_smoothing_it_is_cross_entropy_and_with_it_no_class_is_certain() -> None:
    logits, slots = logits_of(3, 4), slots_of("AC", "B", "CCCC")
    plain = functional.cross_entropy(logits.reshape(-1, 4), slots.reshape(-1))
    torch.testing.assert_close(slot_loss(logits, slots, 0.0), plain)
    spread = -logits.log_softmax(-1).mean()
    torch.testing.assert_close(slot_loss(logits, slots, 0.2), 0.8 * plain + 0.2 * spread)


def test_ctc_equals_the_sum_over_all_alignments() -> None:
    slots = slots_of("AC", "B", "AA")
    logits = logits_of(3, 4)
    log_shares = logits.log_softmax(-1).numpy()
    expected = []
    for row, text in zip(log_shares, ("AC", "B", "AA"), strict=True):
        total = 0.0
        for path in product(range(4), repeat=4):
            kept = [s for i, s in enumerate(path) if s != PAD and (i == 0 or path[i - 1] != s)]
            if CHARSET.decode(kept) == text:
                total += np.exp(sum(row[i, s] for i, s in enumerate(path)))
        expected.append(-np.log(total) / len(text))
    assert ctc(logits, slots).item() == pytest.approx(np.mean(expected))


def test_ctc_aligns_one_row_to_the_columns_and_two_rows_end_to_end() -> None:
    """Each plate by its own rows, whatever stands beside it in the batch."""
    logits, slots = logits_of(3, 8).view(3, 2, 4, 4), slots_of("AC", "CAB", "AA")
    rows = torch.tensor([1, 2, 1])
    alone = [ctc(logits[i : i + 1].mean(1), slots[i : i + 1]) for i in (0, 2)]
    alone.append(ctc(logits[1:2].flatten(1, 2), slots[1:2]))
    torch.testing.assert_close(ctc_loss(logits, slots, rows), torch.stack(alone).mean())


def test_a_text_that_cannot_be_aligned_counts_as_zero() -> None:
    logits = logits_of(2, 4).requires_grad_()
    alone = ctc(logits[:1], slots_of("AB")).item()
    found = ctc(logits, slots_of("AB", "AAAA"))  # four equal letters need seven tokens
    assert found.item() == pytest.approx(alone / 2)
    found.backward()
    assert logits.grad is not None and bool(logits.grad.isfinite().all()) and not bool(logits.grad[1].any())


def test_gradients() -> None:
    slots = slots_of("AC", "BAB")
    logits, tokens = logits_of(2, 4).requires_grad_(), logits_of(2, 7, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: slot_loss(z, slots), logits)
    assert torch.autograd.gradcheck(lambda z: slot_loss(z, slots, 0.1), logits)
    assert torch.autograd.gradcheck(lambda z: ctc(z, slots), tokens)

    def total(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        given = RecognitionLossSettings(0.5, 0.1)
        return recognition_losses(ReadingLogits(a, b[:, None]), batch_of(slots), given).total

    assert torch.autograd.gradcheck(total, (logits, tokens))


def test_terms_sum_and_weights_scale() -> None:
    logits, slots = ReadingLogits(logits_of(3, 4), logits_of(3, 9)[:, None]), slots_of("AC", "B", "CAB")
    found = recognition_losses(logits, batch_of(slots), RecognitionLossSettings(ctc_weight=0.3))
    assert found.total.item() == pytest.approx(found.slots.item() + found.ctc.item())
    assert found.ctc.item() == pytest.approx(0.3 * ctc_loss(logits.ctc, slots, ONE_ROW).item())
    off = recognition_losses(logits, batch_of(slots), RecognitionLossSettings(ctc_weight=0.0))
    assert off.ctc.item() == 0 and off.total.item() == off.slots.item() == found.slots.item()


def test_order_of_crops_changes_nothing() -> None:
    a, b, slots = logits_of(3, 4), logits_of(3, 9)[:, None], slots_of("AC", "B", "CAB")
    settings = RecognitionLossSettings()
    expected = recognition_losses(ReadingLogits(a, b), batch_of(slots), settings)
    turned = recognition_losses(ReadingLogits(a.flip(0), b.flip(0)), batch_of(slots.flip(0)), settings)
    for one, other in zip(expected[:3], turned[:3], strict=True):
        torch.testing.assert_close(one, other)


def test_logged_terms_sum_to_the_optimised_loss(china: CountryPack, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    shape = {"stem_widths": (4, 6, 8), "width": 16, "heads": 2, "encoder_layers": 1}
    module = RecogniserModule(china.to_dict(), shape, {"ctc_weight": 0.4}, predictor={"size": (32, 128)})
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value.item()}))
    images = [np.full((32, 128, 3), i * 60, np.uint8) for i in range(3)]
    texts = ["皖A12345", "苏B987D9", "粤AD12345"]
    batch = recognition_batch(images, texts, module.charset, china.slots)
    total = module.training_step((batch, []), 0)
    total.backward()
    assert set(logged) == {"train/total", "train/slots", "train/ctc"}
    assert logged["train/slots"] + logged["train/ctc"] == pytest.approx(total.item(), rel=1e-6)
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in module.network.parameters())


def test_batches_hold_padded_ids() -> None:
    crops = [np.full((4, 8, 3), i, np.uint8) for i in range(2)]
    batch = recognition_batch(crops, ["AC", "CBAB"], CHARSET, 4)
    assert batch.slots.tolist() == [[1, 3, 0, 0], [3, 2, 1, 2]]
    assert batch.crops.shape == (2, 4, 8, 3) and batch.crops.dtype == torch.uint8
    assert text_lengths(batch.slots).tolist() == [2, 4]
    for wrong, says in (("", "0 characters"), ("ABCAB", "5 characters"), ("AX", "'X'")):
        with pytest.raises(ValueError, match=says):
            recognition_batch(crops, ["AC", wrong], CHARSET, 4)


def test_marginal_entropy_by_hand() -> None:
    # First slot: A half the time, B and C a quarter each; second: A or the padding; third: always padding.
    texts = ["A", "AA", "BA", "C"]
    first = 0.5 * np.log(2) + 0.5 * np.log(4)
    assert marginal_entropy(texts, CHARSET, 3) == pytest.approx((first + np.log(2) + 0) / 3)
    assert marginal_entropy(["AB"] * 5, CHARSET, 2) == 0.0
    # It is the loss of the best guess that does not look at the images.
    slots = slots_of(*texts, slots=3)
    shares = functional.one_hot(slots, 4).double().mean(0).clamp(min=1e-30)
    guess = shares.log().expand(4, -1, -1)
    assert slot_loss(guess, slots).item() == pytest.approx(marginal_entropy(texts, CHARSET, 3))
