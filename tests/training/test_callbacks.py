"""The lines of a training: an estimate after the first steps, once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

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
