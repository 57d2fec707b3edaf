"""Where the time of a training step goes: data, forward, backward, update; and what the loader gives at most."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import lightning as L
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from alpr.optim import build_optimizer
from alpr.task import TaskModule
from alpr.training.fit import precision_of, quiet

WARM_UP_STEPS = 2


@dataclass(frozen=True)
class StepTimes:
    """Medians over some steps, in ms per image or crop.

    Attributes:
        data_ms: to read, augment and collate, in one loader process of one thread.
        forward_ms: the network and the losses.
        backward_ms: the gradients.
        update_ms: the optimiser.
        network_per_s: images that the network alone can train on in a second.
        loader_per_s: images that one loader process gives in a second.
    """

    batch_size: int
    precision: str
    threads: int
    data_ms: float
    forward_ms: float
    backward_ms: float
    update_ms: float

    @property
    def network_per_s(self) -> float:
        return 1000 / (self.forward_ms + self.backward_ms + self.update_ms)

    @property
    def loader_per_s(self) -> float:
        return 1000 / self.data_ms


def step_times(config: DictConfig, steps: int = 8) -> StepTimes:
    """Times real training steps of a configuration, data and network one after the other.

    Args:
        config: as `alpr train` composes it; nothing is written.
        steps: that count, after two that warm up.

    Raises:
        ValueError: data that cannot be used, or a wrong setting.
    """
    trainer, data, module = _prepared(config, 0)
    module.to(trainer.strategy.root_device).train()
    optimizer = build_optimizer(module.network, module.optim)
    times: list[tuple[float, float, float, float]] = []
    loader = data.train_dataloader()
    batches = iter(loader)
    for _ in range(steps + WARM_UP_STEPS):
        marks = [_now()]
        batch = _in_one_thread(batches)
        marks.append(_now())
        moved = module.transfer_batch_to_device(batch, trainer.strategy.root_device, 0)
        with trainer.precision_plugin.forward_context():
            loss = module.losses(moved).total
        marks.append(_now())
        torch.autograd.backward(loss)
        marks.append(_now())
        optimizer.step()
        optimizer.zero_grad()
        marks.append(_now())
        times.append((marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2], marks[4] - marks[3]))
    size = sum(loader.batch_sampler.counts)
    each = [1000 * median(column) / size for column in zip(*times[WARM_UP_STEPS:], strict=True)]
    return StepTimes(size, str(trainer.precision), torch.get_num_threads(), *each)


def loader_rate(config: DictConfig, workers: int, seconds: float = 5.0) -> float:
    """Images that so many loader processes give in a second, with nobody who trains on them.

    Args:
        config: as `alpr train` composes it.
        workers: processes, 1 or more.
        seconds: for which it is measured, after two batches of every process that warm up.

    Raises:
        ValueError: data that cannot be used, or a wrong setting.
    """
    _, data, _ = _prepared(config, workers)
    loader = data.train_dataloader()
    batches, size = iter(loader), sum(loader.batch_sampler.counts)
    for _ in range(WARM_UP_STEPS * workers):
        batches = batches if next(batches, None) is not None else iter(loader)
    given, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        if next(batches, None) is None:
            batches = iter(loader)
        else:
            given += size
    return given / (time.perf_counter() - started)


def _prepared(config: DictConfig, workers: int) -> tuple[L.Trainer, Any, TaskModule]:
    """A trainer, the data and the task of a configuration, ready for a first step."""
    quiet()
    L.seed_everything(config.seed, verbose=False)
    precision: Any = precision_of(config.trainer.precision, str(config.trainer.accelerator))
    trainer = L.Trainer(
        accelerator=config.trainer.accelerator, devices=1, precision=precision, logger=False, enable_checkpointing=False
    )
    data: Any = instantiate(config.data, workers=workers, _convert_="all")
    data.trainer = trainer
    module: TaskModule = instantiate(config.model, _convert_="all")
    plain: Any = OmegaConf.to_container(config, resolve=True)
    module.prepare(data, plain)
    return trainer, data, module


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _in_one_thread(batches: Any) -> Any:
    """The next batch as a loader process makes it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return next(batches)
    finally:
        torch.set_num_threads(threads)
