"""Parameter groups, optimisers and learning-rate schedules as plain functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn, optim


@dataclass(frozen=True)
class OptimSettings:
    """How weights are updated.

    Attributes:
        name: "adamw" or "sgd" (momentum 0.9, as in SCRFD).
        lr: the learning rate at its highest.
        weight_decay: applied to matrices and kernels only, never to biases, norms or embeddings.
        schedule: "cosine" (to `final_lr`), or "multistep" (times 0.1 at each of `milestones`).
        warmup: the fraction of all steps in which the rate rises linearly from 0.
        final_lr: the rate at the end of the cosine, as a fraction of `lr`.
        milestones: fractions of all steps.
    """

    name: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.05
    schedule: str = "cosine"
    warmup: float = 0.05
    final_lr: float = 0.01
    milestones: tuple[float, ...] = (0.69, 0.85)

    def __post_init__(self) -> None:
        if self.name not in ("adamw", "sgd"):
            raise ValueError(f"optim.name is {self.name!r}; expected 'adamw' or 'sgd'.")
        if self.schedule not in ("cosine", "multistep"):
            raise ValueError(f"optim.schedule is {self.schedule!r}; expected 'cosine' or 'multistep'.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"optim.warmup is {self.warmup}; expected a fraction of all steps, 0 <= warmup < 1.")


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Two groups: kernels and matrices with decay; biases, norms and the network's `no_decay` names without."""
    spared: set[str] = getattr(module, "no_decay", set())
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            kept = parameter.ndim < 2 or name.rpartition(".")[2] in spared
            (free if kept else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def build_optimizer(module: nn.Module, settings: OptimSettings) -> optim.Optimizer:
    """The optimiser over a network's parameters."""
    groups = parameter_groups(module, settings.weight_decay)
    if settings.name == "sgd":
        return optim.SGD(groups, lr=settings.lr, momentum=0.9)
    return optim.AdamW(groups, lr=settings.lr)


def lr_factor(settings: OptimSettings, total_steps: int) -> Callable[[int], float]:
    """The learning rate of a step (0-based) as a fraction of `settings.lr`."""
    warmup_steps = settings.warmup * total_steps

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        if settings.schedule == "multistep":
            return 0.1 ** sum(step >= m * total_steps for m in settings.milestones)
        done = min(1.0, (step - warmup_steps) / max(1.0, total_steps - warmup_steps))
        return settings.final_lr + (1 - settings.final_lr) * 0.5 * (1 + math.cos(math.pi * done))

    return factor
