"""Which sample is drawn when."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from alpr.data.sampling import SampleKey, StepSampler, shares
from alpr.data.training_loader import training_loader


def keys(sampler: StepSampler, steps: range) -> list[SampleKey]:
    return [key for step in steps for key in sampler.batch(step)]


def test_every_item_once_per_lap() -> None:
    sampler = StepSampler([12], [4], 3, seed=1)
    laps = [[k.item for k in keys(sampler, range(3 * lap, 3 * lap + 3))] for lap in range(4)]
    assert all(sorted(lap) == list(range(12)) for lap in laps)
    assert len({tuple(lap) for lap in laps}) == 4  # a new order each time


def test_a_lap_may_end_within_a_batch() -> None:
    sampler = StepSampler([5], [4], 3, seed=1)
    items = [k.item for k in keys(sampler, range(5))]
    assert all(sorted(items[i : i + 5]) == list(range(5)) for i in range(0, 20, 5))
    assert [k.draw for k in keys(sampler, range(5))] == list(range(20))


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    sizes, counts = [7, None], [3, 2]
    forward = StepSampler(sizes, counts, 4, seed=9)
    in_order = [forward.batch(step) for step in range(40)]
    for step in reversed(range(40)):  # also backwards, over many laps, and by another object
        assert forward.batch(step) == in_order[step] == StepSampler(sizes, counts, 4, seed=9).batch(step)
    other = StepSampler(sizes, counts, 4, seed=10)
    assert [other.batch(step) for step in range(40)] != in_order


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_work(world: int) -> None:
    ranks = [StepSampler([50, None], [4, 2], 5, seed=2, rank=r, world=world) for r in range(world)]
    alone = StepSampler([50, None], [4 * world, 2 * world], 5, seed=2)
    for step in range(30):
        together = [key for rank in ranks for key in rank.batch(step)]
        assert len(set(together)) == len(together)
        assert set(together) == set(alone.batch(step))


def test_a_run_goes_on_where_it_stood() -> None:
    whole = [keys(StepSampler([11, None], [3, 1], 4, seed=5), range(step, step + 1)) for step in range(12)]
    for stopped in (0, 3, 4, 5, 11):
        taken = stopped
        sampler = StepSampler([11, None], [3, 1], 4, seed=5, first_step=lambda: taken)  # noqa: B023
        resumed = []
        while taken < 12:  # epoch after epoch; of a begun one the training loop takes what is left
            epoch = list(sampler)
            assert len(epoch) == 4
            left = 4 - taken % 4
            resumed += epoch[:left]
            taken += left
        assert resumed == whole[stopped:]
    assert len(sampler) == 4


def test_the_loader_of_a_resumed_run_begins_at_its_step() -> None:
    """Lightning makes it before it restores its own count; each step takes as many batches as gradients are summed."""

    def first(steps_taken: int, start_step: int) -> list[SampleKey]:
        trainer = SimpleNamespace(global_step=steps_taken, accumulate_grad_batches=2, world_size=2, global_rank=1)
        module = SimpleNamespace(trainer=trainer, start_step=start_step, workers=0, seed=3)
        loader = training_loader(module, range(10), [10], [4], list, epoch_samples=80)  # type: ignore[arg-type]
        assert len(loader) == 10
        return next(iter(loader.batch_sampler))  # type: ignore[arg-type]

    expected = StepSampler([10], [4], 10, seed=3, rank=1, world=2)
    assert first(0, 0) == expected.batch(0)
    assert first(0, 7) == first(7, 7) == first(7, 0) == expected.batch(14)


def test_sources_are_mixed_by_count() -> None:
    sampler = StepSampler([5, None, 0], [3, 2, 0], 4, seed=0)
    for step in range(8):
        assert Counter(k.source for k in sampler.batch(step)) == {0: 3, 1: 2}
    made = [k for k in keys(sampler, range(8)) if k.source == 1]
    assert {k.item for k in made} == {0} and [k.draw for k in made] == list(range(16))


def test_each_draw_has_its_own_generator() -> None:
    numbers = {
        float(SampleKey(source, item, draw).generator(seed).random())
        for seed in range(3)
        for source in range(3)
        for draw in range(20)
        for item in (0, 5)
    }
    assert len(numbers) == 3 * 3 * 20  # the item does not count: it follows from the draw
    a, b = (SampleKey(1, 0, 4).generator(7) for _ in range(2))
    assert np.array_equal(a.random(5), b.random(5))


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="0 samples"):
        StepSampler([4], [0], 2, seed=0)
    with pytest.raises(ValueError, match="0 steps"):
        StepSampler([4], [1], 0, seed=0)
    with pytest.raises(ValueError, match="Source 1 is empty"):
        StepSampler([4, 0], [1, 1], 2, seed=0)


@pytest.mark.parametrize(
    ("weights", "total", "expected"),
    [
        ([1], 16, [16]),
        ([4, 3, 3], 10, [4, 3, 3]),
        ([1, 1, 1], 16, [6, 5, 5]),  # the largest remainder; the first on a tie
        ([0.7, 0.2, 0.1], 16, [11, 3, 2]),
        ([1000, 1, 1], 8, [6, 1, 1]),  # each at least one
        ([5, 5], 2, [1, 1]),
    ],
)
def test_shares_of_a_batch(weights: list[float], total: int, expected: list[int]) -> None:
    assert shares(weights, total) == expected


def test_shares_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="batch of 2 cannot hold"):
        shares([1, 1, 1], 2)
    with pytest.raises(ValueError, match="above 0"):
        shares([1, 0], 4)
