"""The mean of several trainings' weights: where one goes on from the other, it is often better than either.

Source: Wortsman et al., "Model soups", ICML 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from alpr.recognition.module import RecogniserModule
from alpr.task import TaskModule
from alpr.training.runs import RunError, load_module


def averaged(paths: Sequence[Path], shares: Sequence[float] | None = None) -> TaskModule:
    """The last of several networks with the mean of all their weights, buffers of numbers included.

    Args:
        paths: run folders, whose best checkpoints count, checkpoints or safetensors files of one architecture.
        shares: the weight of each in the mean, 0 or more; None for equal ones.

    Raises:
        RunError: fewer than two, nothing there, networks of another kind, shape or alphabet, or shares of which no mean
            is made.
    """
    shares = [1.0] * len(paths) if shares is None else list(shares)
    if len(paths) < 2 or len(shares) != len(paths):
        raise RunError(f"{len(paths)} networks and {len(shares)} shares; expected at least two, and a share for each.")
    if not all(math.isfinite(share) and share >= 0 for share in shares) or sum(shares) <= 0:
        raise RunError(f"The shares are {shares}; expected numbers from 0 on, not all 0.")
    modules = [load_module(path) for path in paths]
    alphabets = {module.charset.symbols for module in modules if isinstance(module, RecogniserModule)}
    if len(alphabets) > 1:
        raise RunError(f"The networks' alphabets differ: {', '.join(sorted(alphabets))}; no mean can be made.")
    *others, result = [module.state_dict() for module in modules]
    for path, state in zip(paths, others, strict=False):
        if _shapes(state) != _shapes(result):
            raise RunError(f"{path} and {paths[-1]} hold networks of different shapes; no mean can be made.")
    total = sum(shares)
    for name, value in result.items():
        if value.is_floating_point():
            means = [state[name] * (share / total) for state, share in zip([*others, result], shares, strict=True)]
            value.copy_(sum(means[1:], means[0]))
    return modules[-1]


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
