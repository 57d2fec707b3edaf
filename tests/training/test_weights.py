"""Weights as safetensors: half precision, rebuilt from the file alone, refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from alpr.detection.module import DetectorModule
from alpr.files import packaged
from alpr.plates.charset import Charset
from alpr.plates.country import CountryPack
from alpr.recognition.module import RecogniserModule
from alpr.runs.checkpoints import RunError, warm_start
from alpr.runs.weights import write_weights
from alpr.training.lineage import begun_with
from alpr.training.runs import load_detector, load_recogniser

SMALL = {"stem": [8, 8], "stage_blocks": [1, 1, 1, 1], "stage_widths": [8, 8, 16, 16], "head_width": 16}


def test_a_detector_is_rebuilt_from_its_file(tmp_path: Path) -> None:
    module = DetectorModule(network=SMALL, predictor={"input_px": 320}).eval()
    write_weights(module, tmp_path / "detector.safetensors")
    again = load_detector(tmp_path / "detector.safetensors")
    assert again.predictor == module.predictor and again.network.settings == module.network.settings
    for name, value in module.state_dict().items():
        assert torch.allclose(again.state_dict()[name].float(), value.float(), atol=1e-3, rtol=1e-3), name
    assert [p.name for p in tmp_path.iterdir()] == ["detector.safetensors"]


def test_a_recogniser_carries_its_country(tmp_path: Path, china: CountryPack) -> None:
    module = RecogniserModule(country=china.to_dict(), network={"width": 24, "heads": 2, "encoder_layers": 1})
    path = tmp_path / "recogniser.safetensors"
    write_weights(module, path)
    assert load_recogniser(path).pack == china
    fresh = RecogniserModule(country=china.to_dict(), network={"width": 24, "heads": 2, "encoder_layers": 1})
    warm_start(fresh, path)
    assert torch.allclose(fresh.network.queries, module.network.queries, atol=1e-4)
    with pytest.raises(RunError, match="holds the weights of a recogniser; expected those of a detector"):
        load_detector(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match="cannot be read as safetensors"):
        load_detector(tmp_path / "a.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(RunError, match="holds no settings"):
        load_detector(tmp_path / "b.safetensors")


def test_the_symbols_that_differ_are_named(tmp_path: Path, china: CountryPack) -> None:
    path = tmp_path / "recogniser.safetensors"
    tiny = {"width": 24, "heads": 2, "encoder_layers": 1}
    write_weights(RecogniserModule(country=china.to_dict(), network=tiny), path)
    module = RecogniserModule(country=china.to_dict(), network=tiny)
    symbols = module.charset.symbols
    for other, sentence in (
        (symbols.replace("皖", "Ö") + "Ä", r"Only the weights have 皖; only this run has Ä Ö\.$"),
        (symbols.replace("9", ""), r"\. Only the weights have 9\.$"),
    ):
        module.charset = Charset(other)
        with pytest.raises(RunError, match=sentence):
            warm_start(module, path)


def test_a_longer_alphabet_takes_the_classes_of_a_shorter_one(tmp_path: Path, china: CountryPack) -> None:
    """Classes go by their symbol, wherever it stands; a new symbol keeps what it began with."""
    path = tmp_path / "recogniser.safetensors"
    tiny = {"width": 24, "heads": 2, "encoder_layers": 1}
    small = RecogniserModule(country=china.to_dict(), network=tiny)
    write_weights(small, path)
    large = RecogniserModule(country={**china.to_dict(), "alphabet": "Ä" + china.alphabet[::-1]}, network=tiny)
    begun = large.network.classifier.weight[1].clone()
    assert warm_start(large, path).endswith("the symbols Ä are new.")
    for name in ("classifier", "ctc"):
        theirs, ours = getattr(small.network, name), getattr(large.network, name)
        for symbol in china.alphabet:
            old, new = small.charset.encode(symbol)[0], large.charset.encode(symbol)[0]
            assert torch.allclose(ours.weight[new], theirs.weight[old], atol=1e-3)
            assert torch.allclose(ours.bias[new], theirs.bias[old], atol=1e-3)
        assert torch.allclose(ours.weight[0], theirs.weight[0], atol=1e-3)
    assert torch.equal(large.network.classifier.weight[1], begun)


def test_a_run_may_begin_with_a_bundle(tmp_path: Path) -> None:
    recogniser, detector = (begun_with("world", kind) for kind in ("recogniser", "detector"))
    assert recogniser == packaged("model_bin") / "world" / "recogniser.safetensors" and recogniser.is_file()
    assert detector.name == "detector.safetensors"
    assert begun_with(recogniser.parent, "recogniser") == recogniser  # its folder
    assert begun_with(tmp_path, "recogniser") == tmp_path and begun_with(detector, "recogniser") == detector
    assert begun_with("nowhere", "recogniser") == Path("nowhere")
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(RunError, match=r"has no recogniser\.safetensors"):
        begun_with(tmp_path, "recogniser")
