"""What the Lightning modules of both tasks share: optimiser, reproducible steps, and stopping with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from alpr.optim import OptimSettings, build_optimizer, lr_factor

T = TypeVar("T")


class TrainingFailed(RuntimeError):
    """A training that cannot go on; the sentence says what was seen and the likely causes."""


class Losses(Protocol):
    """The losses of a batch: their sum, which is minimised, beside whatever makes it up."""

    @property
    def total(self) -> Tensor: ...


class TaskModule(L.LightningModule):
    """A network in training. Subclasses set `network`, and give `training_step` and validation.

    Args:
        optim: see `OptimSettings`.
        seed: with the step's number it seeds dropout, so that a resumed run draws what an undisturbed one draws.
    """

    network: torch.nn.Module
    what: str
    """The kind of model, as people say it."""
    monitor: str
    """The figure that chooses among checkpoints; higher is better."""
    shown: tuple[str, ...] = ()
    """The figures of a validation that people want to see at once; `metrics.csv` has them all."""

    def describe(self) -> str:
        """What the network was made for, in a sentence for the first line of a run."""
        millions = sum(weights.numel() for weights in self.network.parameters()) / 1e6
        return f"a {self.what} of {millions:.1f} M parameters."

    def losses(self, batch: Any) -> Losses:
        """The losses of one training batch."""
        raise NotImplementedError

    def __init__(self, optim: OptimSettings, seed: int) -> None:
        super().__init__()
        self.optim, self.seed = optim, seed
        self.unreadable: set[str] = set()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = build_optimizer(self.network, self.optim)
        factor = lr_factor(self.optim, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        if isinstance(batch, list):  # validation: plain images, which the predictor's own code prepares
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        accumulated = self.trainer.accumulate_grad_batches
        batch = self.global_step * accumulated + batch_idx % accumulated
        torch.manual_seed((self.seed * 1_000_003 + batch) * 64 + self.global_rank)

    def report_unreadable(self, reasons: Sequence[str]) -> None:
        """Counts images that were skipped, and says each reason once."""
        for reason in reasons:
            if reason not in self.unreadable:
                self.unreadable.add(reason)
                if len(self.unreadable) <= 20:
                    print(f"Skipped, {len(self.unreadable)} so far: {reason}")

    def refuse_non_finite(self, loss: Tensor) -> None:
        """Stops a run whose loss is not finite.

        Raises:
            TrainingFailed: with the step and the likely causes.
        """
        if not torch.isfinite(loss):
            raise TrainingFailed(
                f"The loss is {loss.item()} at step {self.global_step}. Likely causes: a learning rate that is too "
                f"high (optim.lr is {self.optim.lr}), fp16 without scaling (trainer.precision), or corners far "
                "outside the images. The last checkpoint of the run is from before this step."
            )

    @property
    def batches_per_step(self) -> int:
        """Batches that one step of the optimiser learns from, over all processes."""
        return self.trainer.accumulate_grad_batches * self.trainer.world_size

    def mean_over_processes(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes; each of them must ask for it."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return value
        total = value.clone()
        torch.distributed.all_reduce(total)
        return total / torch.distributed.get_world_size()

    def gathered(self, value: T) -> list[T]:
        """The value of every process, in their order."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return [value]
        values: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(values, value)
        return values
