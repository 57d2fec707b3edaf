"""A training step on the CPU and on a GPU, in full and in half precision, compiled and as it is: the same loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tiny_runs import DETECTOR, RECOGNISER, make_data, overrides

from alpr.task import TaskModule
from alpr.training.configuration import composed

TASKS = pytest.mark.parametrize("settings", [DETECTOR, RECOGNISER], ids=["detector", "recogniser"])
DEVICES = pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]
        ),
    ],
)


def first_step(settings: tuple[str, ...], folder: Path) -> tuple[TaskModule, Any]:
    """A task and its first batch, the same for every device."""
    config = composed("train", overrides(settings, make_data(folder / "data"), folder / "run"))
    L.seed_everything(1, verbose=False)
    data: Any = instantiate(config.data, workers=0, _convert_="all")
    data.trainer = L.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    module: TaskModule = instantiate(config.model, _convert_="all")
    plain: Any = OmegaConf.to_container(config, resolve=True)
    module.prepare(data, plain)
    return module.train(), next(iter(data.train_dataloader()))


@TASKS
@DEVICES
def test_half_precision_has_the_same_loss_and_finite_gradients(
    settings: tuple[str, ...], device: str, tmp_path: Path
) -> None:
    module, batch = first_step(settings, tmp_path)
    there = torch.device(device)
    with torch.no_grad():
        full = module.losses(batch).total.item()  # in float32, on the CPU
    module = module.to(there)
    with torch.autocast(device, torch.bfloat16):
        loss = module.losses(module.transfer_batch_to_device(batch, there, 0)).total
    loss.backward()
    assert loss.item() == pytest.approx(full, rel=0.05) and loss.item() != full
    gradients = [p.grad for p in module.network.parameters() if p.grad is not None]
    assert len(gradients) > 5 and all(torch.isfinite(gradient).all() for gradient in gradients)


@TASKS
@DEVICES
def test_a_compiled_network_has_the_same_loss(settings: tuple[str, ...], device: str, tmp_path: Path) -> None:
    module, batch = first_step(settings, tmp_path)
    there = torch.device(device)
    module = module.to(there).eval()
    moved = module.transfer_batch_to_device(batch, there, 0)
    with torch.no_grad():
        plain = module.losses(moved).total.item()
        module.network.compile(backend="inductor" if device == "cuda" else "aot_eager")
        assert module.losses(moved).total.item() == pytest.approx(plain, rel=1e-3)
