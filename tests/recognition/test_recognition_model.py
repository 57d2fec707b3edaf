"""The recogniser's network: shapes, positions, slots, and what the auxiliary head may not touch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from alpr.plates.charset import PAD, Charset
from alpr.plates.country import CountryPack
from alpr.recognition.decode import decode_logits
from alpr.recognition.model import MaskOcr, MaskOcrSettings, slot_centre_bias

SETTINGS = MaskOcrSettings(5, 11, (32, 96), (4, 6, 8), width=16, heads=2, encoder_layers=2, decoder_layers=2)


def network(settings: MaskOcrSettings = SETTINGS) -> MaskOcr:
    torch.manual_seed(0)
    return MaskOcr(settings).eval()


def crops(batch: int = 3, size: tuple[int, int] = (32, 96)) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (batch, *size, 3), dtype=np.uint8))


def one_hot(ids: list[int], classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[ids][None] * 20


@pytest.mark.parametrize(("size", "slots", "classes"), [((32, 96), 5, 11), ((48, 192), 8, 69), ((24, 64), 1, 2)])
def test_shapes(size: tuple[int, int], slots: int, classes: int) -> None:
    net = network(MaskOcrSettings(slots, classes, size, (4, 6, 8), 16, 2, 1))
    with torch.no_grad():
        logits, training = net(crops(3, size)), net.training_logits(crops(3, size))
    assert logits.shape == (3, slots, classes) and logits.dtype == torch.float32
    assert training.slots.shape == (3, slots, classes)
    assert training.ctc.shape == (3, 1, size[1] // 8, classes)
    assert torch.equal(training.slots, logits)
    assert bool(logits.isfinite().all())


def test_settings_that_fit_no_network_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        MaskOcrSettings(5, 11, (44, 96))
    with pytest.raises(ValueError, match="0 slots"):
        MaskOcrSettings(0, 11)
    with pytest.raises(ValueError, match="0 decoder_layers"):
        MaskOcrSettings(5, 11, decoder_layers=0)
    with pytest.raises(ValueError, match="multiple of the 3 heads"):
        MaskOcr(MaskOcrSettings(5, 11, width=16, heads=3))


@pytest.mark.parametrize(("slots", "tokens"), [(8, 24), (7, 24), (5, 12)])
def test_slots_begin_evenly_spaced(slots: int, tokens: int) -> None:
    bias = slot_centre_bias(slots, (1, tokens))
    assert bias.shape == (slots, tokens)
    for slot in range(slots):
        centre = (slot + 0.5) / slots
        for token in range(tokens):
            widths = ((token + 0.5) / tokens - centre) * slots
            assert bias[slot, token].item() == pytest.approx(max(-4.0, -0.5 * widths**2), abs=1e-5)
    weights = bias.softmax(-1)
    looks_at = weights @ ((torch.arange(tokens) + 0.5) / tokens)
    assert bool((looks_at.diff() > 0.5 / slots).all())  # from left to right, each slot at a place of its own
    torch.testing.assert_close(bias.flip(0, 1), bias)


def test_slots_speak_to_each_other_once_for_all_crops() -> None:
    """In training each crop has slots of its own, for dropout; the logits are the same without it."""
    net = network(replace(SETTINGS, dropout=0.0))
    tokens = net.encode(crops())
    torch.testing.assert_close(net.decode(tokens), net.train().decode(tokens))
    first, rows = net.decoder[0].self_attention, []  # type: ignore[union-attr]
    first.register_forward_hook(lambda _, given, __: rows.append(len(given[0])))
    net.decode(tokens), net.eval().decode(tokens)
    assert rows == [3, 1]


def test_the_bias_stands_in_every_cross_attention_and_can_be_switched_off() -> None:
    expected = slot_centre_bias(SETTINGS.slots, SETTINGS.token_grid)
    for layer in network().decoder:
        assert torch.equal(layer.slot_bias.detach(), expected) and layer.slot_bias.requires_grad  # type: ignore
    without = network(MaskOcrSettings(5, 11, (32, 96), (4, 6, 8), 16, 2, 1, slot_bias=False))
    assert not any("slot_bias" in name for name, _ in without.named_parameters())
    net = network()
    with torch.no_grad():
        before = net(crops())
        for layer in net.decoder:
            layer.slot_bias.copy_(expected.roll(6, dims=1))  # type: ignore[union-attr, operator]
        assert not torch.allclose(net(crops()), before, atol=1e-4)


def test_each_token_gets_its_own_position_once() -> None:
    # Every stage encodes through `encode`; one table, as long as the tokens, is added to them from the first on.
    net = network()
    tables = [p for name, p in net.named_parameters() if "position" in name]
    assert [t.shape for t in tables] == [(1, SETTINGS.tokens, SETTINGS.width)]
    seen: dict[str, torch.Tensor] = {}
    net.stem.register_forward_hook(lambda _m, _i, output: seen.update(stem=output))
    net.encoder.register_forward_pre_hook(lambda _m, inputs: seen.update(encoder=inputs[0]))
    with torch.no_grad():
        net(crops())
        torch.testing.assert_close(seen["encoder"] - seen["stem"], net.positions.expand(3, -1, -1), atol=1e-6, rtol=0)
        tokens = seen["encoder"]
        torch.testing.assert_close(net.encode(crops()), net.encoder(tokens))
        torch.testing.assert_close(net.training_logits(crops()).ctc[:, 0], net.ctc(net.encoder(tokens)))


def test_a_token_looks_at_its_own_columns() -> None:
    net = network()
    seen: list[torch.Tensor] = []
    net.stem.register_forward_hook(lambda _m, _i, output: seen.append(output))
    pixels = crops(1)
    changed = pixels.clone()
    changed[:, :, 52:56] = 255 - changed[:, :, 52:56]
    with torch.no_grad():
        net(pixels), net(changed)
    moved = (seen[0] - seen[1]).abs().sum(-1)[0]
    assert moved.argmax().item() in (6, 7) and not bool(moved[:5].any()) and not bool(moved[9:].any())


def test_the_auxiliary_head_is_no_part_of_the_deployed_network() -> None:
    net = network()
    with torch.no_grad():
        before = net(crops())
        net.ctc.weight.fill_(torch.nan)
        assert torch.equal(net(crops()), before)
        assert bool(net.training_logits(crops()).ctc.isnan().all())
    del net.ctc
    net(crops()).sum().backward()


def test_a_crop_reads_the_same_alone_and_in_a_batch() -> None:
    net = network()
    with torch.no_grad():
        torch.testing.assert_close(net(crops())[1:2], net(crops()[1:2]), atol=1e-5, rtol=1e-5)


def test_every_symbol_survives_encoding_and_decoding(china: CountryPack) -> None:
    charset, slots = china.charset, china.slots
    assert charset.symbols[66] == "9"  # the last of CCPD, which the reference implementation lost
    for symbol in charset.symbols:
        for text in (symbol, symbol * slots, f"A{symbol}8"):
            ids = charset.encode_padded(text, slots)
            reading = decode_logits(one_hot(ids, len(charset)), charset)[0]
            assert reading.text == text and len(reading.characters) == len(text)
            assert reading.score > 0.99
    assert decode_logits(one_hot(charset.encode_padded("A98", slots), len(charset)), charset)[0].text == "A98"


def test_padding_is_never_printed() -> None:
    charset = Charset("AB9")
    logits = np.random.default_rng(0).normal(0, 3, (200, 6, 4)).astype(np.float32)
    logits[:40, :, PAD] += 6
    for row, reading in zip(logits, decode_logits(logits, charset), strict=True):
        best = row.argmax(-1).tolist()
        length = best.index(PAD) if PAD in best else 6
        assert reading.text == "".join("AB9"[i - 1] for i in best[:length])
        shares = np.exp(row) / np.exp(row).sum(1, keepdims=True)
        expected = np.prod(shares.max(1)[:length]) * np.prod(shares[length:, PAD]) if length else 0.0
        assert reading.score == pytest.approx(float(expected), rel=1e-4)
    assert decode_logits(one_hot([PAD, 1, 2], 4), charset)[0].text == ""
    assert decode_logits(one_hot([1, PAD, 2], 4), charset)[0].text == "A"  # nothing after the end
