"""What watches a training: averaged weights, checkpoints, and lines that say how far it is."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    WeightAveraging,
)
from rich.console import Console
from torch import Tensor

from alpr.training import TaskModule

CONSOLE = Console()


class WarmingEma(WeightAveraging):
    """The exponential moving average of the weights, which validates and is what a checkpoint's `state_dict` holds.

    The decay rises as (1 + n) / (10 + n) to its full value, so that short runs are not held back by their beginning.
    """

    def __init__(self, decay: float = 0.999) -> None:
        def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
            n = float(count)
            return averaged + (1 - min(decay, (1 + n) / (10 + n))) * (current - averaged)

        super().__init__(avg_fn=average)


class EpochLine(Callback):
    """One line per validation: figures, speed and time left; what a log file shows instead of a progress bar."""

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self._start, self._first_step = 0.0, 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start, self._first_step = time.monotonic(), trainer.global_step

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero or trainer.state.fn != "fit":
            return
        total = int(trainer.estimated_stepping_batches)
        rate = (trainer.global_step - self._first_step) / max(1e-9, time.monotonic() - self._start)
        left = (total - trainer.global_step) / max(rate, 1e-9)
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        chosen = metrics.pop(self.monitor, float("nan"))
        shown = "  ".join(f"{k[4:]} {v:.4f}" for k, v in sorted(metrics.items()))
        loss = trainer.callback_metrics.get("train/total")
        print(
            f"step {trainer.global_step}/{total}  {self.monitor[4:]} {chosen:.4f}  "
            f"loss {float('nan') if loss is None else float(loss):.3f}  {shown}  "
            f"{rate:.2f} steps/s  {minutes(left)} left",
            flush=True,
        )


def training_callbacks(
    folder: Path, monitor: str, *, patience: int, checkpoint_steps: int, ema_decay: float
) -> list[Callback]:
    """The callbacks of every run.

    Args:
        monitor: the figure to choose by; higher is better.
        patience: validations without a better figure before the run stops.
        checkpoint_steps: steps between two `last.ckpt`, from which a killed run goes on.
    """
    checkpoints = folder / "checkpoints"
    return [
        WarmingEma(ema_decay),
        EarlyStopping(monitor, mode="max", patience=patience, check_finite=False),
        LearningRateMonitor("step"),
        RichProgressBar(leave=False) if CONSOLE.is_terminal else EpochLine(monitor),
        ModelCheckpoint(checkpoints, "best", monitor=monitor, mode="max", enable_version_counter=False),
        ModelCheckpoint(checkpoints, "last", every_n_train_steps=checkpoint_steps, enable_version_counter=False),
    ]


def minutes(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def estimated_seconds(trainer: L.Trainer, module: TaskModule, data: Any, steps: int = 5) -> float:
    """How long the whole training will take: a few real batches through a copy of the module, nothing is changed.

    Validation is not counted.
    """
    data.trainer = trainer
    loader = iter(data.train_dataloader())
    device = trainer.strategy.root_device
    scratch = copy.deepcopy(module).to(device).train()
    optimizer = torch.optim.SGD(scratch.parameters(), lr=0.0)
    spent = []
    with torch.random.fork_rng():
        for _ in range(steps):
            start = time.monotonic()
            batch = scratch.transfer_batch_to_device(next(loader), device, 0)
            with trainer.precision_plugin.forward_context():
                loss = scratch.losses(batch)[0]
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if device.type == "cuda":
                torch.cuda.synchronize()
            spent.append(time.monotonic() - start)
    del loader
    per_step = sorted(spent[1:])[len(spent[1:]) // 2]  # the first step starts workers and kernels
    total = trainer.max_epochs * len(data.train_dataloader().batch_sampler) if trainer.max_epochs else trainer.max_steps
    return per_step * max(0, total - trainer.global_step)
