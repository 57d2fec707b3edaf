"""Says whether a recogniser has begun to read, how many crops that took, and what to check where it has not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

REMIND_CROPS = 20_000
WINDOW_CROPS = 2_000
LEFT = 0.9
"""Chance is left where the mean loss of a window is below this share of `kind_entropy`."""
HALF = 0.5
CHECK = (
    "Check the labels (alpr data preview draws them beside their crops), the alphabet and the number of "
    "slots (country), and optim.lr; keep network.slot_bias and loss.ctc_weight on."
)
PATCHES = (
    "Patches need several times the crops of stem=conv before they leave the plateau: begin with the pretraining, "
    "experiment=pretrain_encoder and then experiment=pretrain_decoder, or with the weights of another run (warm_start)."
)


@dataclass(frozen=True)
class ExpectedCurve:
    """When a run of an experiment has usually begun to read; a run that is later is told so.

    Attributes:
        left_chance_after: crops by which the loss has left chance; None where that is not known.
        crops_to_half: crops by which half of the held-back plates are read; None where that is not known.

    Raises:
        ValueError: another entry, or a number of crops below 1.
    """

    left_chance_after: int | None = None
    crops_to_half: int | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any] | None) -> ExpectedCurve:
        """What `watch.expected` of a configuration says; None says nothing."""
        given = dict(values or {})
        known = list(cls.__dataclass_fields__)
        if set(given) - set(known) or not all(v is None or (isinstance(v, int) and v > 0) for v in given.values()):
            raise ValueError(f"watch.expected is {given}; expected {' and '.join(known)}, each in crops, 1 or more.")
        return cls(**given)


class PlateauWatch(Callback):
    """Compares the slots' loss with what guessing costs, in words and in figures.

    The loss is averaged over windows of 2,000 crops. Knowing only the kind of a plate (its colour and length) brings
    it to `kind_entropy`, where it may stay for long; not before it is clearly below does the network read.

    Args:
        label_entropy: the labels' marginal entropy in nats per slot.
        kind_entropy: the same where a plate's kind is known.
        crops_per_batch: of one process.
        patches: whether the network's stem is one of patches.
        expected: a run that is behind this curve is told so, again every 20,000 crops.

    Attributes:
        left_chance_after: the crops seen when a window's loss had first left chance, or None.
        crops_to_half: the crops seen when half of the held-back plates were first read right, or None.
    """

    def __init__(
        self,
        label_entropy: float,
        kind_entropy: float,
        crops_per_batch: int,
        patches: bool,
        expected: ExpectedCurve | None = None,
    ) -> None:
        self.label_entropy, self.kind_entropy = label_entropy, kind_entropy
        self.crops_per_batch, self.patches = crops_per_batch, patches
        self.expected = expected or ExpectedCurve()
        self.left_chance_after: int | None = None
        self.crops_to_half: int | None = None
        self._sum, self._batches, self._mean = 0.0, 0, 0.0  # of the window, and of the last whole one

    def state_dict(self) -> dict[str, Any]:
        return {"window": [self._sum, self._batches, self._mean], **self.figures()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sum, self._batches, self._mean = state_dict["window"]
        self.left_chance_after = state_dict["left_chance_after"]
        self.crops_to_half = state_dict["crops_to_half"]

    def figures(self) -> dict[str, int | None]:
        """What `run.json` keeps."""
        return {"left_chance_after": self.left_chance_after, "crops_to_half": self.crops_to_half}

    def crops_seen(self, trainer: L.Trainer) -> int:
        """Crops that the optimiser's steps have learnt from, over all processes and resumptions."""
        return trainer.global_step * trainer.accumulate_grad_batches * trainer.world_size * self.crops_per_batch

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            print(
                f"Guessing costs {self.label_entropy:.2f} nats per slot, the labels' marginal entropy; "
                f"{self.kind_entropy:.2f} where the kind of a plate is known. "
                "A slots' loss that stays there has read nothing yet."
            )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        pl_module.log("train/label_entropy", self.label_entropy)
        self._sum += float(trainer.callback_metrics["train/slots"])
        self._batches += 1
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not trainer.is_last_batch:
            return
        seen = self.crops_seen(trainer)
        if self._batches * self.crops_per_batch * trainer.world_size >= WINDOW_CROPS:
            self._mean, self._sum, self._batches = self._sum / self._batches, 0.0, 0
            if self.left_chance_after is None and self._mean < LEFT * self.kind_entropy:
                self.left_chance_after = seen
                self._say(trainer, f"After {seen:,} crops the loss has left chance: {self._state()}.")
        step = self.crops_per_batch * trainer.accumulate_grad_batches * trainer.world_size
        if self.left_chance_after is None and _late(seen, step, self.expected.left_chance_after):
            more = f" {PATCHES}" if self.patches else ""
            self._say(
                trainer,
                f"Still at chance after {seen:,} crops, where this experiment had left it after "
                f"{self.expected.left_chance_after:,}: {self._state()}. A plateau or a bug. {CHECK}{more}",
            )
        elif self.crops_to_half is None and _late(seen, step, self.expected.crops_to_half):
            self._say(
                trainer,
                f"After {seen:,} crops less than half of the held-back plates are read; this experiment had read "
                f"half after {self.expected.crops_to_half:,}. Few or poor labels, or a low optim.lr, make it slower.",
            )

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        accuracy = float(trainer.callback_metrics.get("val/accuracy", 0.0))
        if self.crops_to_half is None and accuracy >= HALF and not trainer.sanity_checking:
            self.crops_to_half = self.crops_seen(trainer)
            self._say(trainer, f"After {self.crops_to_half:,} crops {accuracy:.1%} of the held-back plates are read.")

    def _state(self) -> str:
        return (
            f"the slots' loss is {self._mean:.2f} nats, the labels' marginal entropy {self.label_entropy:.2f}, "
            f"{self.kind_entropy:.2f} where the kind of a plate is known"
        )

    def _say(self, trainer: L.Trainer, sentence: str) -> None:
        if trainer.is_global_zero:
            print(sentence, flush=True)


def _late(seen: int, step: int, expected: int | None) -> bool:
    """Whether a step passes what was expected, or a reminder's number of crops behind it."""
    if expected is None or seen < expected:
        return False
    return seen - step < expected or (seen - expected) // REMIND_CROPS > (seen - step - expected) // REMIND_CROPS
