"""The loader of training batches of every network: exact to the step, each process with its own samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import lightning as L
from torch.utils.data import DataLoader, Dataset

from alpr.data.sampling import StepSampler, single_thread
from alpr.plates.records import FloatArray


class StepData(Protocol):
    """What a data module says of its loader; `start_step` is that of a resumed run, 0 for another."""

    trainer: L.Trainer | None
    start_step: int
    workers: int
    seed: int


def training_loader(
    module: StepData,
    data: Dataset[Any],
    sizes: Sequence[int | None],
    counts: Sequence[int],
    collate: Callable[..., Any],
    *,
    epoch_samples: int,
    weights: Sequence[FloatArray | None] | None = None,
) -> DataLoader[Any]:
    """Batches of the samples that the step says, see `StepSampler`.

    Args:
        sizes, counts, weights: of the sources, see `StepSampler`.
        epoch_samples: between two validations, over all processes.
    """
    trainer = module.trainer
    assert trainer is not None
    sampler = StepSampler(
        sizes,
        counts,
        max(1, epoch_samples // (sum(counts) * trainer.world_size)),
        module.seed,
        # Lightning makes the loader of a resumed run before it restores its own count of steps.
        first_step=lambda: max(trainer.global_step, module.start_step) * trainer.accumulate_grad_batches,
        rank=trainer.global_rank,
        world=trainer.world_size,
        weights=weights,
    )
    return DataLoader(
        data,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=module.workers,
        worker_init_fn=single_thread,
        persistent_workers=module.workers > 0,
    )
