"""Weights as safetensors: half precision, rebuilt from the file alone, refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from alpr.charset import Charset
from alpr.country import CountryPack
from alpr.detection.module import DetectorModule
from alpr.recognition.module import RecogniserModule
from alpr.runs import RunError, load_detector, load_recogniser, warm_start
from alpr.weights import write_weights

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
    other = {**china.to_dict(), "alphabet": china.alphabet[::-1]}
    with pytest.raises(
        RunError, match=r"has the alphabet 皖.*this run's is 9.* from the 1\. on in another order: 皖, here 9"
    ):
        warm_start(RecogniserModule(country=other, network={"width": 24, "heads": 2, "encoder_layers": 1}), path)
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
        (symbols + "Ä", r"\. Only this run has Ä\.$"),
        (symbols.replace("9", ""), r"\. Only the weights have 9\.$"),
    ):
        module.charset = Charset(other)
        with pytest.raises(RunError, match=sentence):
            warm_start(module, path)
