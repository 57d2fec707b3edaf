"""The recogniser's losses and the figure they are held against."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from alpr.plates.charset import PAD, Charset
from alpr.plates.country import CountryPack
from alpr.recognition.losses import (
    RecognitionLossSettings,
    attention_loss,
    ctc_loss,
    places_loss,
    recognition_losses,
    slot_loss,
)
from alpr.recognition.mixture.crops import RenderedCrops
from alpr.recognition.model import ReadingLogits
from alpr.recognition.module import RecogniserModule
from alpr.recognition.targets import (
    UNKNOWN,
    UNSEEN,
    RecognitionBatch,
    marginal_entropy,
    recognition_batch,
    text_lengths,
    token_targets,
)
from alpr.synthetic.renderer import PlateRenderer

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


def places_of(*cells: tuple[float, float, float, float], slots: int = 4) -> torch.Tensor:
    padded = torch.full((1, slots, 4), torch.nan)
    padded[0, : len(cells)] = torch.tensor(cells).view(-1, 4)
    return padded


def test_a_token_is_to_see_the_character_that_stands_there() -> None:
    places = places_of((0.05, 0.1, 0.30, 0.9), (0.32, 0.1, 0.60, 0.9), (0.62, 0.1, 0.95, 0.9))
    one = token_targets(slots_of("ABC"), places, 1, 12)[0, 0].tolist()
    assert one == [PAD, 1, 1, UNSEEN, UNSEEN, 2, 2, UNSEEN, 3, 3, 3, PAD]
    upper_and_lower = token_targets(slots_of("AB"), places_of((0.1, 0.0, 0.4, 0.5), (0.5, 0.5, 0.9, 1.0)), 2, 4)[0]
    assert upper_and_lower.tolist() == [[1, 1, PAD, PAD], [PAD, PAD, 2, UNSEEN]]
    thin = token_targets(slots_of("AB"), places_of((0.26, 0, 0.29, 1), (0.70, 0, 0.73, 1)), 1, 4)[0, 0]
    assert thin.tolist() == [PAD, 1, 2, PAD]  # narrower than a token: the nearest one
    assert bool((token_targets(slots_of("ABC"), places_of(), 2, 12) == UNSEEN).all())  # nothing is known


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 2), st.integers(3, 9))
def test_token_targets_equal_a_plain_loop(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.random((4, 2)), axis=1)
    heights = np.sort(rng.random((4, 2)), axis=1)
    cells = np.stack([edges[:, 0], heights[:, 0], edges[:, 1], heights[:, 1]], 1).astype(np.float32)
    symbols = rng.integers(1, 4, 4).tolist()
    expected = [[PAD] * columns for _ in range(rows)]
    away = [[abs((c + 0.5) / columns - (x1 + x2) / 2) for c in range(columns)] for x1, _, x2, _ in cells.tolist()]
    for r in range(rows):
        for c in range(columns):
            best, touched = None, False
            for (x1, y1, x2, y2), far, symbol in zip(cells.tolist(), away, symbols, strict=True):
                if min(int((y1 + y2) / 2 * rows), rows - 1) != r:
                    continue
                share = far[c] / (x2 - x1)
                touched |= share <= 0.5
                if (share <= 0.3 or far[c] == min(far)) and (best is None or share < best[0]):
                    best = share, symbol
            expected[r][c] = best[1] if best else UNSEEN if touched else PAD
    found = token_targets(torch.tensor([symbols]), torch.from_numpy(cells)[None], rows, columns)
    assert found[0].tolist() == expected


def test_places_are_learnt_where_they_are_known() -> None:
    slots = slots_of("AB", "CA")
    places = torch.cat([places_of((0.0, 0, 0.5, 1), (0.5, 0, 1.0, 1)), places_of()])
    logits = logits_of(2, 4)[:, None]  # one row of four tokens
    ones = torch.ones(2, dtype=torch.int64)
    targets = token_targets(slots, places, 1, 4)[0, 0]
    assert targets.tolist() == [1, 1, 2, 2]
    by_hand = -logits[0, 0].log_softmax(-1)[torch.arange(4), targets].mean()
    torch.testing.assert_close(places_loss(logits, slots, places, ones), by_hand)
    assert places_loss(logits, slots, places_of().expand(2, -1, -1), ones).item() == 0
    twice = logits.expand(-1, 2, -1, -1)  # a plate of one row is seen by the mean of the rows of tokens
    torch.testing.assert_close(places_loss(twice, slots, places, ones), by_hand)
    checked = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: places_loss(x, slots, places, ones), (checked,))


def test_slots_are_paid_for_looking_at_their_own_character() -> None:
    places = torch.cat([places_of((0.0, 0, 0.5, 1), (0.5, 0, 1.0, 1)), places_of()])
    ones = torch.ones(2, dtype=torch.int64)
    attention = torch.rand(2, 4, 4, dtype=torch.float64, generator=torch.manual_seed(0)).softmax(-1)
    by_hand = -(attention[0, 0, :2].sum().log() + attention[0, 1, 2:].sum().log()) / 2
    torch.testing.assert_close(attention_loss(attention, places, ones, (1, 4)), by_hand)
    assert attention_loss(attention, places_of().expand(2, -1, -1), ones, (1, 4)).item() == 0
    exact = torch.zeros(1, 4, 4, dtype=torch.float64)
    exact[0, 0, 0] = exact[0, 1, 3] = 1
    assert attention_loss(exact, places[:1], ones[:1], (1, 4)).item() == pytest.approx(0, abs=1e-9)
    checked = attention.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: attention_loss(x, places, ones, (1, 4)), (checked,))


def test_of_two_rows_each_character_is_sought_in_its_own_and_of_one_in_both() -> None:
    cells = places_of((0.0, 0.0, 0.5, 0.5), (0.0, 0.5, 0.5, 1.0))
    attention = torch.zeros(1, 4, 8)  # 2 rows of 4 tokens
    attention[0, 0, 0] = attention[0, 1, 1] = 1  # both look at the upper row
    two, one = torch.tensor([2]), torch.tensor([1])
    assert attention_loss(attention, cells, two, (2, 4)).item() == pytest.approx(-np.log(1e-6) / 2, rel=1e-5)
    assert attention_loss(attention, cells, one, (2, 4)).item() == pytest.approx(0, abs=1e-6)


def test_training_shows_what_the_slots_look_at(china: CountryPack) -> None:
    shape = {"stem_widths": (4, 6, 8), "width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 2}
    network = RecogniserModule(china.to_dict(), shape, predictor={"size": (32, 128)}).network.eval()
    crops = torch.zeros(2, 32, 128, 3, dtype=torch.uint8)
    with torch.no_grad():
        logits = network.training_logits(crops)
        torch.testing.assert_close(logits.slots, network(crops))  # what is exported is the same
    assert logits.attention is not None and logits.attention.shape == (2, china.slots, network.settings.tokens)
    torch.testing.assert_close(logits.attention.sum(-1), torch.ones(2, china.slots))


def test_rendered_crops_know_their_places_and_the_term_is_logged(china: CountryPack) -> None:
    renderer = RenderedCrops(PlateRenderer(china.reading(None)), (32, 128), 0.04)
    samples = [renderer.draw(0, np.random.default_rng(i)) for i in range(3)]
    texts, places = [s.text for s in samples], [s.places for s in samples]
    batch = recognition_batch(
        [s.crop for s in samples], [*texts], china.charset, china.slots, places=[*places[:2], None]
    )
    assert batch.places is not None
    assert (~batch.places[..., 0].isnan()).sum(1).tolist() == [len(texts[0]), len(texts[1]), 0]
    logits = ReadingLogits(torch.randn(3, china.slots, len(china.charset)), torch.randn(3, 1, 16, len(china.charset)))
    plain = recognition_losses(logits, batch, RecognitionLossSettings())
    more = recognition_losses(logits, batch, RecognitionLossSettings(places_weight=0.5))
    assert plain.places is None and more.places is not None
    torch.testing.assert_close(more.total - plain.total, more.places)
    full = places_loss(logits.ctc, batch.slots, batch.places, batch.rows)
    torch.testing.assert_close(more.places, 0.5 * full)


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
