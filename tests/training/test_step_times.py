"""Where a training step's time goes: measured on real steps of both tasks, with nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_runs import DETECTOR, RECOGNISER, make_data, overrides

from alpr.training.configuration import composed
from alpr.training.step_times import loader_rate, step_times


@pytest.mark.parametrize("settings", [DETECTOR, RECOGNISER], ids=["detector", "recogniser"])
def test_the_times_of_a_step_are_per_image_and_leave_nothing(settings: tuple[str, ...], tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    config = composed("train", overrides(settings, data, tmp_path / "run"))
    times = step_times(config, steps=2)
    assert times.batch_size == (config.data.batch_size or 4)  # of the recogniser two real and two rendered crops
    assert min(times.data_ms, times.forward_ms, times.backward_ms, times.update_ms) > 0
    spent = times.forward_ms + times.backward_ms + times.update_ms
    assert times.network_per_s == pytest.approx(1000 / spent) and times.loader_per_s == pytest.approx(
        1000 / times.data_ms
    )
    assert loader_rate(config, workers=1, seconds=0.2) > 0
    assert not (tmp_path / "run").exists()
