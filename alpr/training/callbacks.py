"""What watches a training: averaged weights, checkpoints, and lines that say how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
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
from lightning.pytorch.plugins.io import TorchCheckpointIO
from rich.console import Console
from torch import Tensor

from alpr.files import hashed_file
from alpr.runs.checkpoints import read_checkpoint

CONSOLE = Console()
TIMED_STEPS = 20
"""By so many the whole time is estimated."""


class WarmingEma(WeightAveraging):
    """The exponential moving average of the weights, which validates and is what a checkpoint's `state_dict` holds.

    The decay rises as (1 + n) / (10 + n) to its full value, so that short runs are not held back by their beginning.
    """

    def __init__(self, decay: float = 0.999) -> None:
        def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
            n = float(count)
            return averaged + (1 - min(decay, (1 + n) / (10 + n))) * (current - averaged)

        super().__init__(avg_fn=average)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.world_size > 1 and self._average_model is not None:
            # Every process averages the batch statistics of its own data; the first one's are what is saved.
            for buffer in self._average_model.buffers():
                torch.distributed.broadcast(buffer, 0)
        super().on_validation_epoch_start(trainer, pl_module)


class Patience(EarlyStopping):
    """Stops after so many validations without a better figure; at once if the run was killed as it stopped."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class BestCheckpoint(ModelCheckpoint):
    """`best.ckpt`: the weights of the best validation so far."""

    def __init__(self, folder: Path, monitor: str) -> None:
        super().__init__(folder, "best", monitor=monitor, mode="max", enable_version_counter=False)

    @property
    def path(self) -> str:
        return f"{self.dirpath}/best.ckpt"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # The folder of a run may have been moved or renamed since; Lightning would forget the best figure then.
        state = {**state_dict, "dirpath": self.dirpath}
        if state["best_model_path"]:
            state |= {"best_model_path": self.path, "kth_best_model_path": self.path}
            state["best_k_models"] = {self.path: state["best_model_score"]}
        super().load_state_dict(state)
        self.current_score = state["current_score"]


class LastCheckpoint(ModelCheckpoint):
    """`last.ckpt`, from which a killed run goes on: every so many steps, and at the end of every epoch.

    An epoch's last step is left to the epoch's end: Lightning skips the validation of an epoch that it resumes from
    between the last step and the validation.

    Args:
        before_save: is called before every file, so that nothing written besides is behind the checkpoint.
    """

    def __init__(self, folder: Path, steps: int, before_save: Callable[[], None]) -> None:
        super().__init__(folder, "last", every_n_train_steps=steps, enable_version_counter=False)
        self.before_save = before_save

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        within = (batch_idx + 1) % trainer.accumulate_grad_batches != 0
        if not trainer.is_last_batch and not within:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, {})

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Nothing: the epoch's end follows."""

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        self.before_save()
        super()._save_checkpoint(trainer, filepath)


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints whole with their hashes, and reads none that is not as it was written.

    They are renamed into their place: Lightning may copy them there from another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with hashed_file(target) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(Path(path))


class EpochLine(Callback):
    """One line per validation: figures, speed and the whole run's time left, above the bar or in a log file.

    Where the first is far away, a line before it says how long the training will take, by its first steps;
    validations come on top.
    """

    def __init__(self, monitor: str, shown: tuple[str, ...] = ()) -> None:
        self.monitor, self.shown = monitor, shown
        self._start, self._first_step = 0.0, 0
        self._warm: float | None = None
        self._said = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start, self._first_step = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        taken = trainer.global_step - self._first_step
        if taken == 1 and self._warm is None:
            self._warm = time.monotonic()  # this step started loaders and kernels, and does not count
        if taken == 1 + TIMED_STEPS and self._warm is not None and not self._said and trainer.is_global_zero:
            self._said = True
            steps = int(trainer.estimated_stepping_batches) - trainer.global_step
            left = steps * (time.monotonic() - self._warm) / TIMED_STEPS
            print(f"About {minutes(left)} to train, and the validations besides", flush=True)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero or trainer.state.fn != "fit":
            return
        self._said = True
        total = int(trainer.estimated_stepping_batches)
        rate = (trainer.global_step - self._first_step) / max(1e-9, time.monotonic() - self._start)
        left = (total - trainer.global_step) / max(rate, 1e-9)
        names = ("train/total", self.monitor, *self.shown)
        figures = {n.partition("/")[2]: float(trainer.callback_metrics.get(n, float("nan"))) for n in names}
        shown = "  ".join(f"{'loss' if n == 'total' else n} {value:.4f}" for n, value in figures.items())
        shown = "  ".join(filter(None, (shown, pl_module.remark(trainer.callback_metrics))))
        print(
            f"step {trainer.global_step}/{total}  {shown}  {rate:.2f} steps/s  {minutes(left)} left",
            flush=True,
        )


def training_callbacks(
    folder: Path,
    monitor: str,
    shown: tuple[str, ...],
    before_save: Callable[[], None],
    *,
    patience: int,
    checkpoint_steps: int,
    ema_decay: float,
) -> list[Callback]:
    """The callbacks of every run, the best checkpoint's and the last one's at the end, in this order.

    Args:
        monitor: the figure to choose by; higher is better.
        shown: the other figures of a validation to print.
        before_save: is called before every `last.ckpt`.
        patience: validations without a better figure before the run stops.
        checkpoint_steps: steps between two `last.ckpt`, from which a killed run goes on.
        ema_decay: of the averaged weights.

    Raises:
        ValueError: a setting out of its range.
    """
    if patience < 1 or checkpoint_steps < 1 or not 0 <= ema_decay < 1:
        raise ValueError(
            f"watch.patience is {patience}, watch.checkpoint_steps {checkpoint_steps}, watch.ema_decay {ema_decay}; "
            "expected at least 1, at least 1, and 0 <= ema_decay < 1."
        )
    checkpoints = folder / "checkpoints"
    return [
        WarmingEma(ema_decay),
        Patience(monitor, mode="max", patience=patience, check_finite=False),
        LearningRateMonitor("step"),
        *([RichProgressBar()] if CONSOLE.is_terminal else []),
        EpochLine(monitor, shown),
        BestCheckpoint(checkpoints, monitor),
        LastCheckpoint(checkpoints, checkpoint_steps, before_save),
    ]


def minutes(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
