"""Learning rates at known steps, and which weights decay."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from alpr.detection.model import Scrfd
from alpr.optim import OptimSettings, build_optimizer, lr_factor, parameter_groups
from alpr.recognition.model import MaskOcr, MaskOcrSettings
from alpr.training.configuration import composed


def spared(network: nn.Module) -> set[str]:
    """The names of the parameters that do not decay."""
    decayed, free = parameter_groups(network, 0.3)
    assert decayed["weight_decay"] == 0.3 and free["weight_decay"] == 0.0
    names = {id(p): name for name, p in network.named_parameters()}
    ids = [[id(p) for p in group["params"]] for group in (decayed, free)]  # type: ignore[attr-defined]
    assert sorted(ids[0] + ids[1]) == sorted(names)  # each parameter once
    return {names[i] for i in ids[1]}


def test_norms_and_biases_of_the_detector_do_not_decay() -> None:
    network = Scrfd()
    expected = set()
    for prefix, module in network.named_modules():
        own = {f"{prefix}.{name}" for name, _ in module.named_parameters(recurse=False)}
        expected |= own if isinstance(module, nn.BatchNorm2d) else {name for name in own if name.endswith(".bias")}
    assert spared(network) == expected


def test_norms_biases_and_embeddings_of_the_recogniser_do_not_decay() -> None:
    network = MaskOcr(MaskOcrSettings(4, 10, (16, 64), (4, 4, 4), 16, 2, 2, 2))
    expected = {"positions", "queries", "decoder.0.slot_bias", "decoder.1.slot_bias"}
    for prefix, module in network.named_modules():
        own = {f"{prefix}.{name}" for name, _ in module.named_parameters(recurse=False)}
        norm = isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
        expected |= own if norm else {name for name in own if name.endswith(".bias")}
    assert spared(network) == expected


def test_frozen_weights_are_left_out() -> None:
    network = nn.Linear(3, 2)
    network.weight.requires_grad_(False)
    decayed, free = parameter_groups(network, 0.1)
    assert decayed["params"] == [] and free["params"] == [network.bias]


def test_cosine_at_known_steps() -> None:
    factor = lr_factor(OptimSettings(warmup=0.1, final_lr=0.01), 1000)
    assert factor(0) == pytest.approx(1 / 101)
    assert factor(49) == pytest.approx(50 / 101)
    assert factor(100) == pytest.approx(1.0)
    assert factor(550) == pytest.approx((1 + 0.01) / 2)
    assert factor(1000) == pytest.approx(0.01)
    assert factor(2000) == pytest.approx(0.01)
    rates = [factor(step) for step in range(1001)]
    assert rates[:101] == sorted(rates[:101]) and rates[100:] == sorted(rates[100:], reverse=True)


def test_multistep_at_known_steps() -> None:
    factor = lr_factor(OptimSettings(schedule="multistep", warmup=0.02, milestones=(0.5, 0.75)), 200)
    assert factor(0) == pytest.approx(1 / 5) and factor(3) == pytest.approx(4 / 5)
    found = [factor(step) for step in (4, 99, 100, 149, 150, 199)]
    assert found == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_without_warmup_the_first_step_is_a_full_one() -> None:
    assert lr_factor(OptimSettings(warmup=0), 10)(0) == 1.0


def test_the_optimiser_is_the_one_asked_for() -> None:
    network = nn.Linear(3, 2)
    adamw = build_optimizer(network, OptimSettings(lr=0.2))
    assert isinstance(adamw, torch.optim.AdamW) and [g["lr"] for g in adamw.param_groups] == [0.2, 0.2]
    sgd = build_optimizer(network, OptimSettings("sgd", lr=0.1, weight_decay=0.5))
    assert isinstance(sgd, torch.optim.SGD) and sgd.param_groups[0]["momentum"] == 0.9
    before = network.weight.detach().clone(), network.bias.detach().clone()
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    sgd.step()
    torch.testing.assert_close(network.weight.detach(), before[0] * (1 - 0.1 * 0.5))
    assert torch.equal(network.bias.detach(), before[1])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"name": "adam"}, "'adamw' or 'sgd'"), ({"schedule": "step"}, "'cosine' or 'multistep'"), ({"warmup": 1}, "< 1")],
)
def test_settings_that_do_not_exist_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        OptimSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", sorted((Path(__file__).parent.parent / "configs" / "experiment").glob("*.yaml")))
def test_another_optimiser_comes_with_its_own_rate(path: Path) -> None:
    """An experiment chooses an optimiser's file, not a rate, so that `optim=sgd` beside it is SGD's whole recipe."""
    own = OmegaConf.load(path.parent.parent / "optim" / "sgd.yaml")
    assert composed("train", [f"experiment={path.stem}", "optim=sgd"]).optim == own
    assert "lr" not in OmegaConf.load(path).get("optim", {})
