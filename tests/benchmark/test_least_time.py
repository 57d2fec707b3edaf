"""The floor of a reading: the networks' work counted by shapes, against torch's own count."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from alpr.benchmark.least_time import Floor, floor_of, multiply_adds, peak_gmac_s
from alpr.detection.settings import DetectorSettings
from alpr.export.onnx_bundle import export_detector


class Toy(nn.Module):
    """A strided, a grouped and a pointwise convolution, and a product of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 13, 1)
        )
        self.linear = nn.Linear(13, 13)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        maps = self.layers(image.permute(0, 3, 1, 2).float())
        anchors = self.linear(maps.flatten(2).transpose(1, 2))
        return anchors[..., 0], anchors[..., 1:5], anchors[..., 5:].unflatten(-1, (4, 2))


def test_work_is_counted_as_torch_counts_it(tmp_path: Path) -> None:
    export_detector(Toy(), tmp_path / "toy.onnx", DetectorSettings(input_px=96))
    with FlopCounterMode(display=False) as counter:
        Toy()(torch.zeros((1, 64, 96, 3), dtype=torch.uint8))
    assert multiply_adds(tmp_path / "toy.onnx", (1, 64, 96, 3)) == counter.get_total_flops() // 2
    assert multiply_adds(tmp_path / "toy.onnx", (1, 128, 96, 3)) == counter.get_total_flops()


def test_the_floor_is_decoding_and_work_at_the_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alpr.benchmark.least_time.multiply_adds", lambda path, shape: {"d": 3e8, "r": 1e8}[path.name])
    monkeypatch.setattr("alpr.benchmark.least_time.peak_gmac_s", lambda: 100.0)
    floor = floor_of((Path("d"), Path("r")), (64, 96), (48, 192), decode_ms=2.0, whole_ms=12.0)
    assert floor == Floor(2.0, (64, 96), 0.3, 0.1, 100.0, 6.0, 0.5)


def test_the_peak_is_a_number_of_this_machine() -> None:
    assert 0.1 < peak_gmac_s(rounds=1) < 10_000
