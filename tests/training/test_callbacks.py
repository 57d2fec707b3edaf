"""The lines of a training, and how its weights are averaged."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn

from alpr.training import callbacks


def test_the_whole_time_is_estimated_by_real_steps_without_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    line = callbacks.EpochLine("val/x")
    trainer = SimpleNamespace(global_step=100, estimated_stepping_batches=721, is_global_zero=True)
    line.on_train_start(trainer, None)  # type: ignore[arg-type]
    for step in range(101, 140):
        for _ in range(2):  # gradients of two batches are summed up: the count moves with the second
            line.on_train_batch_end(trainer)  # type: ignore[arg-type]
        clock[0] += 60 if step == 101 else 3.0
        trainer.global_step = step
        line.on_train_batch_end(trainer)  # type: ignore[arg-type]
        if step == 120:
            assert not capsys.readouterr().out
    assert capsys.readouterr().out == "About 30 min to train, and the validations besides\n"  # 600 steps of 3 s


class Weight(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros((), dtype=torch.float64))


@pytest.mark.parametrize(("step", "decay"), [(1, 2 / 11), (10, 11 / 20), (100, 101 / 110), (100_000, 0.999)])
def test_the_averages_decay_rises_to_its_full_value(step: int, decay: float) -> None:
    """The averaged weights are 0 and the current ones 1, so what is left of the former is the decay."""
    average, module = callbacks.WarmingEma(0.999), Weight()
    trainer = SimpleNamespace(global_step=step)
    average.setup(trainer, module, "fit")  # type: ignore[arg-type]
    averaged = average._average_model
    assert averaged is not None
    averaged.n_averaged.fill_(step)
    with torch.no_grad():
        module.weight.fill_(1.0)
    average.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
    assert 1 - averaged.module.weight.item() == pytest.approx(decay, abs=1e-9)
    assert averaged.n_averaged.item() == step + 1


def test_a_moved_runs_best_checkpoint_is_beside_it(tmp_path: Path) -> None:
    before = callbacks.BestCheckpoint(tmp_path / "before", "val/x")
    before.best_model_path = before.kth_best_model_path = before.path
    before.best_model_score = before.kth_value = before.current_score = torch.tensor(0.9)
    before.best_k_models = {before.path: torch.tensor(0.9)}
    after = callbacks.BestCheckpoint(tmp_path / "after", "val/x")
    after.load_state_dict(before.state_dict())
    assert after.best_model_path == after.kth_best_model_path == str(tmp_path / "after" / "best.ckpt")
    assert after.best_k_models == {after.path: torch.tensor(0.9)} and after.best_model_score == 0.9
    assert not after.check_monitor_top_k(_trainer(), torch.tensor(0.8))
    assert after.check_monitor_top_k(_trainer(), torch.tensor(0.95))


def _trainer() -> Any:
    return SimpleNamespace(strategy=SimpleNamespace(reduce_boolean_decision=lambda decision: decision))
