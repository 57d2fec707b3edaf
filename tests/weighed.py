"""The two modules with a figure to choose by that tells any two states of the averaged weights apart, and a death wish.

ALPR_TEST_DIE=PLACE:STEP kills the process there, as a power cut would, unless it began at that step or later.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import torch
from torch import Tensor

from alpr.detection.module import DetectorModule
from alpr.recognition.module import RecogniserModule
from alpr.task import TaskModule


def figure(module: TaskModule) -> float:
    total = sum((p.detach().double() * 1e3).sin().sum() for p in module.network.parameters())
    return float(torch.as_tensor(total)) % 1.0


def maybe_die(module: TaskModule, place: str, saves: int = 0) -> None:
    wish, _, step = os.environ.get("ALPR_TEST_DIE", "").partition(":")
    if wish == place and module.global_step == int(step) and saves in (0, 2):
        os.kill(os.getpid(), signal.SIGKILL)


class _Weighed(TaskModule):
    monitor = "val/figure"
    _saves: tuple[int, int] = (0, 0)

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("val/figure", figure(self))
        maybe_die(self, "validation")

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        maybe_die(self, "step")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        step, count = self._saves
        self._saves = (self.global_step, count + 1 if step == self.global_step else 1)
        maybe_die(self, "second_save", self._saves[1])


class WeighedDetector(_Weighed, DetectorModule):
    monitor = "val/figure"


class WeighedRecogniser(_Weighed, RecogniserModule):
    monitor = "val/figure"


class Diverging(RecogniserModule):
    """Its loss is not a number at step 4."""

    def refuse_non_finite(self, loss: Tensor) -> None:
        super().refuse_non_finite(loss * float("nan") if self.global_step == 4 else loss)
