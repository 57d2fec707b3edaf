"""What a task is: a network in training and its data, as training, export and evaluation ask for them.

Nothing that trains, resumes, averages, exports or evaluates knows which task it holds; the task says it here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from alpr.data.crop_corners import Detect
from alpr.data.manifest import Manifest
from alpr.data.picture_sums import Sums
from alpr.optim import OptimSettings, build_optimizer, lr_factor
from alpr.plates.records import ImageArray

T = TypeVar("T")
OpenDetector = Callable[[Path], tuple[Detect, str]]
"""Opens the detector of a bundle, a run folder or a checkpoint; gives it with the SHA-256 of its file."""


class TrainingFailed(RuntimeError):
    """A training that cannot go on; the sentence says what was seen and the likely causes."""


class Losses(Protocol):
    """The losses of a batch: their sum, which is minimised, beside whatever makes it up."""

    @property
    def total(self) -> Tensor: ...


class Result(NamedTuple):
    """A line of the table that a training ends with."""

    what: str
    value: str
    where: str


class TaskData(L.LightningDataModule):
    """What trains a network, and what chooses among its checkpoints. Subclasses give both loaders."""

    start_step = 0
    """Of a resumed run: Lightning makes the loader before it restores its own count."""

    @property
    def manifests(self) -> dict[str, str]:
        """SHA-256 of every table and file that the data come from; a run goes on with the same ones only."""
        return {}

    def pictures(self, hashed: bool) -> dict[str, Sums]:
        """The pictures of every table, see `picture_sums`; a run goes on with the same ones only."""
        return {}

    def prepare(self, folder: Path, open_detector: OpenDetector) -> None:
        """What takes long or needs a detector, once before training or preview; by default nothing.

        Args:
            folder: where what is found may be kept; it need not be there.
        """

    def describe(self) -> str:
        """What trains and what chooses, in a sentence or more, for the start of a run."""
        return f"Data of {', '.join(self.manifests) or 'no table'}."

    def preview(self, count: int) -> tuple[ImageArray, str]:
        """The first so many samples of a training on one sheet (H, W, 3), and what they are, such as their size.

        Raises:
            ValueError: data of which there is no preview.
        """
        raise ValueError(f"{type(self).__name__} has no preview; expected data of scenes or of labelled plates.")


class TaskModule(L.LightningModule):
    """A network in training. Subclasses set `network` and `kind`, and give `training_step` and validation.

    All arguments of a subclass are plain values that `save_hyperparameters` keeps, so that a checkpoint rebuilds the
    module. Callbacks of its own come from Lightning's `configure_callbacks`; `trainer.default_root_dir` is the folder
    of the run.

    Args:
        optim: see `OptimSettings`.
        seed: with the step's number it seeds dropout, so that a resumed run draws what an undisturbed one draws.
    """

    network: torch.nn.Module
    kind: str
    """The kind of network, as people say it; checkpoints and run.json hold it, and nothing else has the same."""
    monitor: str
    """The figure that chooses among checkpoints; higher is better."""
    shown: tuple[str, ...] = ()
    """The figures of a validation that people want to see at once; `metrics.csv` has them all."""
    teacher_path: str | None = None
    """The weights that it learns from besides its data; run.json holds their SHA-256."""

    def __init__(self, optim: OptimSettings, seed: int) -> None:
        super().__init__()
        self.optim, self.seed = optim, seed
        self.unreadable: set[str] = set()

    def losses(self, batch: Any) -> Losses:
        """The losses of one training batch."""
        raise NotImplementedError

    # A run, from its beginning to its end.

    def describe(self) -> str:
        """What the network was made for, in a sentence for the first line of a run."""
        millions = sum(weights.numel() for weights in self.network.parameters()) / 1e6
        return f"a {self.kind} of {millions:.1f} M parameters."

    def prepare(self, data: Any, config: Mapping[str, Any]) -> None:
        """Takes what it must know before the first step; by default nothing.

        Args:
            data: its data module, which is prepared.
            config: of the whole run, plain values.

        Raises:
            ValueError: a setting or a teacher that does not fit.
        """

    def remark(self, metrics: Mapping[str, Tensor]) -> str:
        """What the line of a validation says besides the figures to show; by default nothing."""
        return ""

    def figures(self) -> Mapping[str, float | None]:
        """What run.json keeps of the training besides the figures of a validation; by default nothing."""
        return {}

    def finish(self, folder: Path, data: Any, config: Mapping[str, Any]) -> list[Result]:
        """What follows a training that has ended well, in the first process; lines for the table at its end.

        Args:
            folder: of the run.
            data: its data module.
            config: of the whole run, plain values.
        """
        return []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["kind"] = self.kind

    # The weights of another run, to begin with or to average.

    def part_of(self, name: str) -> str:
        """The part of the network that a weight belongs to; parts are taken from other runs one by one."""
        return "network"

    def parts_of(self, kind: str, settings: Mapping[str, Any]) -> set[str]:
        """The parts of another checkpoint that are worth taking over.

        Args:
            kind, settings: of that checkpoint.

        Raises:
            ValueError: a kind that has none.
        """
        if kind != self.kind:
            raise ValueError(f"The weights to begin with are those of a {kind}; this run trains a {self.kind}.")
        return {"network"}

    def adapted(
        self, weights: dict[str, Tensor], settings: Mapping[str, Any], parts: set[str]
    ) -> tuple[dict[str, Tensor], str]:
        """The weights of another checkpoint's parts as this network takes them, and what is new here, in words.

        Raises:
            ValueError: weights that mean something else.
        """
        return weights, ""

    def began_with(self, parts: set[str]) -> None:
        """Is told which parts came from another run."""

    def outputs(self) -> str:
        """What the outputs stand for, such as an alphabet: networks of equal shapes have a mean where this is equal."""
        return ""

    # What is done with a network that is not one of a bundle; alpr export and alpr evaluate with task=CLASS.

    def export(self, folder: Path) -> Mapping[str, float]:
        """Writes what is deployed into a folder, after comparing it with the network; gives the differences found.

        Raises:
            ValueError: a difference that is too large, or a network that is exported otherwise.
        """
        raise ValueError(f"A {self.kind} has no export of its own; a bundle takes detector=RUN recogniser=RUN.")

    def evaluate(self, manifest: Manifest) -> Mapping[str, float]:
        """Its figures on a table of labelled plates.

        Raises:
            ValueError: a table that cannot be used, or a network that is evaluated otherwise.
        """
        raise ValueError(f"A {self.kind} has no evaluation of its own; give detector=RUN and/or recogniser=RUN.")

    # What a step needs.

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
