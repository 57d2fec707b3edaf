"""The mean of several trainings' weights: where one goes on from the other, it is often better than either.

Source: Wortsman et al., "Model soups", ICML 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from alpr.runs.checkpoints import RunError
from alpr.task import TaskModule
from alpr.training.runs import load_module


def averaged(
    paths: Sequence[Path], shares: Sequence[float] | None = None, task: type[TaskModule] | None = None
) -> TaskModule:
    """The last of several networks with the mean of all their weights, buffers of numbers included.

    Args:
        paths: run folders, whose best checkpoints count, checkpoints or safetensors files of one architecture.
        shares: the weight of each in the mean, 0 or more; None for equal ones.
        task: the class of networks of one's own; None for those of this package.

    Raises:
        RunError: fewer than two, nothing there, networks of another kind, shape or alphabet, or shares of which no mean
            is made.
    """
    shares = [1.0] * len(paths) if shares is None else list(shares)
    if len(paths) < 2 or len(shares) != len(paths):
        raise RunError(f"{len(paths)} networks and {len(shares)} shares; expected at least two, and a share for each.")
    if not all(math.isfinite(share) and share >= 0 for share in shares) or sum(shares) <= 0:
        raise RunError(f"The shares are {shares}; expected numbers from 0 on, not all 0.")
    modules = [load_module(path, task) for path in paths]
    *others, result = [module.state_dict() for module in modules]
    last = modules[-1]
    for path, module, state in zip(paths, modules, others, strict=False):
        pair = f"{path} and {paths[-1]}"
        if module.kind != last.kind:
            raise RunError(f"{pair} hold a {module.kind} and a {last.kind}; no mean can be made.")
        if _shapes(state) != _shapes(result):
            raise RunError(f"{pair} hold networks of different shapes; no mean can be made.")
        if module.outputs() != last.outputs():
            raise RunError(f"{pair} have {module.outputs()} and {last.outputs()}; no mean can be made.")
    total = sum(shares)
    for name, value in result.items():
        if value.is_floating_point():
            means = [state[name] * (share / total) for state, share in zip([*others, result], shares, strict=True)]
            value.copy_(sum(means[1:], means[0]))
    return last


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
