"""Readers by CTC alone: their greedy reading against the definition, their shapes, and what they refuse."""

from __future__ import annotations

from itertools import groupby, product
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from alpr.export.onnx_bundle import export_recogniser
from alpr.export.parity import check_recogniser
from alpr.plates.charset import PAD, Charset
from alpr.plates.country import CountryPack
from alpr.reader.sessions import OnnxRecogniser
from alpr.recognition.architectures import ARCHITECTURES, reading_network
from alpr.recognition.ctc import greedy_slots
from alpr.recognition.decode import decode_logits
from alpr.recognition.losses import RecognitionLossSettings, recognition_losses
from alpr.recognition.model import ReadingLogits
from alpr.recognition.module import RecogniserModule, torch_recogniser
from alpr.recognition.read import Recogniser
from alpr.recognition.targets import recognition_batch
from alpr.runs.checkpoints import RunError, warm_start
from alpr.runs.weights import write_weights
from alpr.training.configuration import composed

REPOSITORY = Path(__file__).resolve().parents[2]
BY_CTC = [name for name in ARCHITECTURES if name != "maskocr"]
SMALL = {
    "maskocr": {"stem_widths": (4, 6, 8), "width": 16, "heads": 2, "encoder_layers": 1},
    "maskocr_ctc": {"stem_widths": (4, 6, 8), "width": 16, "heads": 2, "encoder_layers": 1},
    "lprnet": {"widths": (8, 8, 16)},
    "crnn": {"widths": (4, 4, 8, 8), "hidden": 8},
}


def pack() -> CountryPack:
    return CountryPack.read(REPOSITORY / "configs" / "country" / "br.yaml").reading(None)


def module_of(name: str, size: tuple[int, int] = (32, 96)) -> RecogniserModule:
    torch.manual_seed(1)
    network = {"architecture": name, **SMALL[name]}
    return RecogniserModule(pack().to_dict(), network=network, predictor={"size": size}, layouts=None).eval()


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(k for k, _ in groupby(path) if k != PAD)


def texts(logits: torch.Tensor, slots: int, classes: int) -> list[tuple[int, ...]]:
    symbols = "ABCDEFGH"[: classes - 1]
    readings = decode_logits(greedy_slots(logits, slots).numpy(), Charset(symbols))
    return [tuple(symbols.index(c) + 1 for c in reading.text) for reading in readings]


def test_the_slots_read_what_the_most_probable_path_says() -> None:
    """All paths of all tokens are tried; the best one, collapsed, is the text of the slots."""
    tokens, classes = 5, 3
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (200, tokens, classes)))
    paths = list(product(range(classes), repeat=tokens))
    which = torch.tensor(paths)  # (paths, T)
    chances = logits.log_softmax(-1)[:, torch.arange(tokens), which].sum(-1)  # (B, paths)
    expected = [collapsed(paths[best]) for best in chances.argmax(1).tolist()]
    assert len(set(expected)) > 12
    assert texts(logits, tokens, classes) == expected


@pytest.mark.parametrize("slots", [1, 3, 24])
def test_long_texts_are_cut_at_the_slots(slots: int) -> None:
    logits = torch.from_numpy(np.random.default_rng(1).normal(0, 2, (64, 24, 9)))
    expected = [collapsed(tuple(row))[:slots] for row in logits.argmax(-1).tolist()]
    assert max(map(len, expected)) > min(slots, 8) - 1
    assert texts(logits, slots, 9) == expected


def test_a_repeat_is_one_character_and_a_blank_parts_two() -> None:
    one_hot = torch.eye(3, dtype=torch.float64)
    assert texts(9 * one_hot[[1, 1, 0, 1, 2, 2]][None], 6, 3) == [(1, 1, 2)]
    assert texts(9 * one_hot[[0, 0, 0, 0]][None], 6, 3) == [()]
    assert texts(9 * one_hot[[1, 2, 1, 2]][None], 4, 3) == [(1, 2, 1, 2)]


def test_a_doubtful_blank_lowers_the_score() -> None:
    """A character that may be missing is said by the first empty slot; the later ones are sure."""
    sure = torch.tensor([[9.0, 0, 0], [0, 9.0, 0], [9.0, 0, 0]])[None]
    doubt = sure.clone()
    doubt[0, 2] = torch.tensor([1.0, 0, 0.9])
    certain, doubtful = (decode_logits(greedy_slots(x, 3).numpy(), Charset("AB"))[0] for x in (sure, doubt))
    assert certain.text == doubtful.text == "A"
    assert certain.score > 0.99 and doubtful.score == pytest.approx(float(doubt[0, 2].softmax(-1)[0]), rel=1e-3)


@pytest.mark.parametrize("name", BY_CTC)
def test_a_module_is_rebuilt_trains_and_reads(name: str) -> None:
    module = module_of(name)
    assert type(module.network) is ARCHITECTURES[name][1]
    crops = np.random.default_rng(0).integers(0, 256, (3, 32, 96, 3), dtype=np.uint8)
    batch = recognition_batch(list(crops), ["ABC1D23", "ABC1234", ""], module.charset, module.pack.slots, empty=True)
    module.train()
    losses = module.losses((batch, []))
    assert losses.ctc.item() == 0 and losses.slots.item() == losses.total.item() > 0
    losses.total.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in module.network.parameters())
    logits = module.network.training_logits(batch.crops)
    assert logits.slots is None and logits.ctc.shape == (3, 1, module.network.settings.tokens, len(module.charset))
    module.eval()
    (slots,) = torch_recogniser(module.network)(crops)
    assert slots.shape == (3, module.pack.slots, len(module.charset))
    assert module.describe().startswith(f"reads up to {module.pack.slots} of ")


def test_no_text_taught_leaves_a_gradient() -> None:
    ctc = torch.zeros((2, 1, 4, 3), requires_grad=True)
    batch = recognition_batch([np.zeros((2, 2, 3), np.uint8)] * 2, [None, None], Charset("AB"), 2)
    total = recognition_losses(ReadingLogits(None, ctc), batch, RecognitionLossSettings()).total
    total.backward()
    assert total.item() == 0 and ctc.grad is not None


@pytest.mark.parametrize("name", BY_CTC)
def test_the_exported_network_reads_the_same(name: str, tmp_path: Path) -> None:
    module = module_of(name)
    for part in module.network.modules():  # larger logits, so that characters are read and no two classes tie
        if isinstance(part, torch.nn.Linear | torch.nn.Conv2d):
            part.weight.data *= 2
    export_recogniser(module.network, tmp_path / "r.onnx", module.predictor)
    exported = Recogniser(
        OnnxRecogniser(tmp_path / "r.onnx", module.predictor, len(module.charset)), module.predictor, module.charset
    )
    crops = [np.random.default_rng(i).integers(0, 256, (32, 96, 3), dtype=np.uint8) for i in range(12)]
    assert check_recogniser(module.recogniser(), exported, crops).texts == 24
    assert any(reading.text for reading in exported.read(crops))


@pytest.mark.parametrize("name", BY_CTC)
def test_the_network_of_its_yaml_has_the_tokens_that_it_says(name: str) -> None:
    config = OmegaConf.to_container(composed("train", [f"model={name}", "data=plates", "name=a"]).model, resolve=True)
    assert isinstance(config, dict)
    settings = {**config["network"], "slots": 8, "classes": 11, "size": tuple(config["predictor"]["size"])}
    network = reading_network(settings).eval()
    with torch.no_grad():
        found = network.token_logits(torch.zeros((1, *settings["size"], 3), dtype=torch.uint8))  # type: ignore[operator]
    assert found.shape == (1, network.settings.tokens, 11)


@pytest.mark.parametrize("name", ["lprnet", "crnn"])
@pytest.mark.parametrize("size", [(48, 192), (32, 100), (64, 128)])
def test_crops_of_other_sizes_give_the_tokens_that_are_told(name: str, size: tuple[int, int]) -> None:
    network = reading_network({"architecture": name, **SMALL[name]}, slots=8, classes=5, size=size).eval()
    with torch.no_grad():
        found = network.token_logits(torch.zeros((2, *size, 3), dtype=torch.uint8))  # type: ignore[operator]
    assert found.shape == (2, network.settings.tokens, 5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"architecture": "lprnett"}, "expected one of maskocr, maskocr_ctc, lprnet, crnn"),
        ({"architecture": "lprnet", "text_rows": 2}, "one row of text; the layouts have 2"),
        ({"architecture": "maskocr_ctc", "text_rows": 2}, "one row of text; the layouts have 2"),
        ({"architecture": "crnn", "countries": ("BR", "US")}, "no such head"),
        ({"architecture": "crnn", "size": (24, 94)}, "multiple of 16"),
        ({"architecture": "lprnet", "size": (8, 94)}, "10 px or more"),
        ({"architecture": "lprnet", "size": (24, 12)}, "gives 6 tokens; expected at least 8"),
    ],
)
def test_what_fits_no_such_reader_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        reading_network({"slots": 8, "classes": 5, "size": (32, 96), **settings})


def test_it_begins_with_the_encoder_of_another_reader(tmp_path: Path) -> None:
    whole, alone, other = module_of("maskocr"), module_of("maskocr_ctc"), module_of("lprnet")
    for weights in alone.network.parameters():
        weights.data.zero_()
    write_weights(whole, tmp_path / "whole.safetensors")
    said = warm_start(alone, tmp_path / "whole.safetensors")
    assert "encoder and heads" in said
    for name in ("ctc.weight", "stem.column.weight"):
        torch.testing.assert_close(
            alone.network.state_dict()[name], whole.network.state_dict()[name], atol=1e-4, rtol=0
        )
    assert not any(name.startswith("decoder") for name in alone.network.state_dict())
    with pytest.raises(RunError, match="its network is MaskOcr; this run's is LprNet"):
        warm_start(other, tmp_path / "whole.safetensors")
