"""The mean of several networks' weights: every weight and running figure, and nothing that does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_runs import Scripts

from alpr.detection.module import DetectorModule
from alpr.plates.country import CountryPack
from alpr.recognition.module import RecogniserModule
from alpr.runs.checkpoints import RunError
from alpr.runs.weights import write_weights
from alpr.training.averaging import averaged
from alpr.training.runs import load_recogniser

TINY = {"stem_widths": (4, 8, 16), "width": 16, "heads": 2, "encoder_layers": 1}


def written(path: Path, china: CountryPack, value: float, **network: int) -> Path:
    """A recogniser of which every number is the value, those of its running statistics too."""
    module = RecogniserModule(china.to_dict(), network=TINY | network, predictor={"size": (16, 64)})
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.fill_(value)
    write_weights(module, path)
    return path


def test_the_mean_of_networks_has_the_settings_of_the_last(tmp_path: Path, china: CountryPack) -> None:
    paths = [written(tmp_path / f"{value}.safetensors", china, value) for value in (1.0, 2.0, 6.0)]
    for shares, mean in ((None, 3.0), ([1, 2, 1], 2.75), ([0, 0, 0.5], 6.0)):
        found = averaged(paths, shares)
        assert isinstance(found, RecogniserModule) and found.predictor.size == (16, 64) and not found.training
        numbers = [value for value in found.state_dict().values() if value.is_floating_point()]
        assert len(numbers) > 40 and all(torch.allclose(value, torch.tensor(mean)) for value in numbers)
        assert any("running_var" in name for name in found.state_dict())


def test_what_has_no_mean_is_refused(tmp_path: Path, china: CountryPack) -> None:
    first, wide = written(tmp_path / "a.safetensors", china, 1), written(tmp_path / "b.safetensors", china, 1, width=24)
    other, reordered = tmp_path / "c.safetensors", {**china.to_dict(), "alphabet": china.alphabet[::-1]}
    write_weights(RecogniserModule(reordered, network=TINY, predictor={"size": (16, 64)}), other)
    write_weights(DetectorModule(predictor={"input_px": 320}), tmp_path / "detector.safetensors")
    for paths, shares, sentence in (
        ([first], None, "1 networks and 1 shares"),
        ([first, first], [1.0], "2 networks and 1 shares"),
        ([first, first], [1.0, -1.0], "numbers from 0 on"),
        ([first, first], [0.0, 0.0], "not all 0"),
        ([first, wide], None, r"a\.safetensors and .*b\.safetensors hold networks of different shapes"),
        ([first, other], None, r"c\.safetensors have the alphabet .* and the alphabet "),
        ([tmp_path / "detector.safetensors", first], None, "hold a detector and a recogniser"),
        ([first, tmp_path / "nothing"], None, "is no checkpoint and no run folder"),
    ):
        with pytest.raises(RunError, match=sentence):
            averaged(paths, shares)


def test_the_command_writes_what_can_be_loaded(tmp_path: Path, china: CountryPack, scripts: Scripts) -> None:
    paths = [str(written(tmp_path / f"{value}.safetensors", china, value)) for value in (1.0, 5.0)]
    output = tmp_path / "mean.safetensors"
    verb = "alpr/__main__.py"
    done = scripts.run(verb, ["average", *paths, "--share", "3", "--share", "1", "--output", str(output)])
    assert done.code == 0, done.text
    assert torch.allclose(load_recogniser(output).network.classifier.weight, torch.tensor(2.0))
    refused = scripts.run(verb, ["average", *paths, "--output", str(tmp_path / "mean.ckpt")])
    assert refused.code == 2 and "mean.ckpt does not end in .safetensors" in refused.text
    assert not (tmp_path / "mean.ckpt").exists()
