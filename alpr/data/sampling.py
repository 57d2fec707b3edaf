"""Which sample is drawn when: a pure function of (seed, step), so that a run resumes exactly at any step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Sampler

from alpr.plates.records import FloatArray


class SampleKey(NamedTuple):
    """One draw: which source, which of its items, and the number that seeds its augmentation."""

    source: int
    item: int
    draw: int

    def generator(self, seed: int) -> np.random.Generator:
        """The sample's own generator; workers and their number change nothing."""
        return np.random.default_rng((seed, self.source, self.draw))


def shares(weights: Sequence[float], total: int) -> list[int]:
    """Whole numbers in the proportion of the weights, by largest remainder; each is at least 1, their sum `total`.

    Raises:
        ValueError: a weight that is not above 0, or a total that is less than the number of weights.
    """
    if not weights or min(weights) <= 0:
        raise ValueError(f"The samples of the sources are {list(weights)}; expected numbers above 0.")
    if total < len(weights):
        raise ValueError(f"A batch of {total} cannot hold a sample of each of {len(weights)} sources.")
    spare = total - len(weights)  # each has its one; the rest is shared so as to come near the proportion
    wanted = np.maximum(0.0, np.array(weights, float) * total / sum(weights) - 1)
    exact = wanted * (spare / max(wanted.sum(), 1e-12))
    given = np.floor(exact + 1e-9).astype(int)
    for k in np.argsort(-(exact - given), kind="stable")[: spare - int(given.sum())]:
        given[k] += 1
    return [int(n) + 1 for n in given]


def systematic(weights: FloatArray, draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Items in proportion to their weights, in their own order: each comes as often as expected, within one draw.

    Source: systematic resampling, Kitagawa, J. Comput. Graph. Stat. 5(1), 1996.
    """
    ends = np.cumsum(weights)
    marks = (np.arange(draws) + rng.random()) * (ends[-1] / draws)
    return np.asarray(np.minimum(np.searchsorted(ends, marks, side="right"), len(ends) - 1), np.int64)


class StepSampler(Sampler[list[SampleKey]]):
    """Batches for one epoch of training, from wherever training stands.

    Source k gives `counts[k]` samples to every batch. Finite sources go round in a new order each time; a source of
    size None makes its items from the draw's generator. Epochs are a number of steps; they need not be a pass.
    A source with weights goes round in laps of its size too, in which each item comes as often as its weight says.

    Args:
        sizes: items per source, or None.
        counts: samples per source in each process's batch.
        steps_per_epoch: steps between two validations.
        first_step: gives the number of steps already taken whenever an epoch begins.
        rank, world: this process and the number of processes.
        weights: per source, how often each item is drawn relative to the others, (size,); None for all alike.

    Raises:
        ValueError: no sample at all in a batch, or an empty source that is drawn from.
    """

    def __init__(
        self,
        sizes: Sequence[int | None],
        counts: Sequence[int],
        steps_per_epoch: int,
        seed: int,
        first_step: Callable[[], int] = lambda: 0,
        rank: int = 0,
        world: int = 1,
        weights: Sequence[FloatArray | None] | None = None,
    ) -> None:
        if sum(counts) < 1 or steps_per_epoch < 1:
            raise ValueError(f"A batch of {sum(counts)} samples and {steps_per_epoch} steps per epoch; expected >= 1.")
        for k, (size, count) in enumerate(zip(sizes, counts, strict=True)):
            if count and size == 0:
                raise ValueError(f"Source {k} is empty, but {count} samples of every batch come from it.")
        self.sizes, self.counts = tuple(sizes), tuple(counts)
        self.steps_per_epoch = steps_per_epoch
        self.seed, self.first_step, self.rank, self.world = seed, first_step, rank, world
        self.weights = tuple(weights) if weights is not None else (None,) * len(self.sizes)
        self._orders: dict[tuple[int, int], np.ndarray] = {}

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[list[SampleKey]]:
        # A resumed epoch takes fewer; the loop that counts them stops. Counting here would go wrong where an epoch is
        # shortened (trainer.limit_train_batches) or gradients are accumulated over batches that do not divide it.
        first = self.first_step()
        for step in range(first, first + self.steps_per_epoch):
            yield self.batch(step)

    def batch(self, step: int) -> list[SampleKey]:
        """The keys of one step, in the order of the sources."""
        keys = []
        for source, (size, count) in enumerate(zip(self.sizes, self.counts, strict=True)):
            start = (step * self.world + self.rank) * count
            for draw in range(start, start + count):
                item = 0 if size is None else int(self._order(source, draw // size)[draw % size])
                keys.append(SampleKey(source, item, draw))
        return keys

    def _order(self, source: int, lap: int) -> np.ndarray:
        key = (source, lap)
        if key not in self._orders:
            for old in [k for k in self._orders if k[0] == source and k[1] < lap - 1]:
                del self._orders[old]
            rng, weights = np.random.default_rng((self.seed, source, lap)), self.weights[source]
            items = self.sizes[source] or 0
            self._orders[key] = rng.permutation(items if weights is None else systematic(weights, items, rng))
        return self._orders[key]


def single_thread(worker: int) -> None:
    """One thread per loader process: OpenCV's and torch's pools would fight the training for the cores."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
