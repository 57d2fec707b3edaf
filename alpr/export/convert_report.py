"""What a converted bundle is judged by: its readings beside the original's, and its time, in turns with others'."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter, sleep
from typing import Any

import numpy as np

from alpr.export.target import Networks
from alpr.plates.records import ImageBatch
from alpr.provenance import Provenance

RUNS_AT_ONCE = 5
PAUSE_S = 0.02
"""Between two networks: the threads of a pool go on spinning for a while after its last run."""


@dataclass(frozen=True)
class Score:
    """The plates of a manifest read right, from the image to the text, and the readings that are not fp32's."""

    plates: int
    right: int
    changed: int

    @property
    def accuracy(self) -> float:
        return self.right / self.plates


@dataclass(frozen=True)
class Latency:
    """Milliseconds per image of a batch of one: the best, which a busy machine disturbs least, and the median.

    `times_faster` than fp32 is the median over the rounds of the ratio within a round.
    """

    best_ms: float
    median_ms: float
    times_faster: float


@dataclass(frozen=True)
class TargetReport:
    """What became of a target. `lost` is in points, on the manifest that lost most; `refused` says why, or is ""."""

    target: str
    files: Mapping[str, int]  # bytes by name
    megabytes: float
    scores: Mapping[str, Score]
    accuracy: Mapping[str, float]
    changed: int
    lost: float
    latency: Mapping[str, Latency]  # by network and threads: "detector_1", "recogniser_2"
    operators: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    made_with: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ConversionReport:
    """Every target of one run, side by side."""

    created: str
    bundle: str
    sha256: Mapping[str, str]
    manifests: Mapping[str, str]
    calibration: str | None
    detector_input: tuple[int, ...]
    rounds: int
    targets: tuple[TargetReport, ...]
    environment: Provenance


def score_of(read: Sequence[tuple[str, str]], before: Sequence[tuple[str, str]]) -> Score:
    """The score of readings beside those of the original."""
    changed = sum(now != then for (_, now), (_, then) in zip(read, before, strict=True))
    return Score(len(read), sum(label == text for label, text in read), changed)


def time_networks(
    opened: Mapping[str, Networks], canvas: ImageBatch, crop: ImageBatch, rounds: int
) -> dict[str, dict[str, Latency]]:
    """The latency of every target's detector and recogniser; the first target is what the others are compared with."""
    result: dict[str, dict[str, Latency]] = {name: {} for name in opened}
    for which, batch in zip(Networks._fields, (canvas, crop), strict=True):
        networks = {name: getattr(networks, which) for name, networks in opened.items()}
        times = {name: np.array(values) for name, values in _in_turns(networks, batch, rounds).items()}
        reference = next(iter(times.values())).min(axis=1)
        for name, values in times.items():
            ratio = float(np.median(reference / values.min(axis=1)))
            result[name][which] = Latency(float(values.min()), float(np.median(values)), ratio)
    return result


def _in_turns(
    networks: Mapping[str, Callable[[ImageBatch], object]], batch: ImageBatch, rounds: int
) -> dict[str, list[list[float]]]:
    """Milliseconds of every run, by round."""
    times: dict[str, list[list[float]]] = {name: [] for name in networks}
    for _ in range(rounds):
        for name, network in networks.items():
            sleep(PAUSE_S)
            network(batch)
            block = []
            for _ in range(RUNS_AT_ONCE):
                started = perf_counter()
                network(batch)
                block.append(1000 * (perf_counter() - started))
            times[name].append(block)
    return times
