"""A detector in training: every parameter learns, one backward pass a step, and when it stops."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from tiny_detection import SMALL, A, B, C, batch_of

from alpr.detection.metrics import DetectionMetrics
from alpr.detection.model import Scrfd, ScrfdSettings
from alpr.detection.module import DetectorModule
from alpr.plates.geometry import corner_box
from alpr.plates.records import Detection, Plate, Scene
from alpr.task import TrainingFailed


def test_every_parameter_learns_from_the_first_step() -> None:
    """Known mistake 12: a head trained on a frozen, randomly initialised neck whose BatchNorm statistics moved."""
    torch.manual_seed(0)
    module = DetectorModule(SMALL).train()
    frozen = [n for n, p in module.network.named_parameters() if not p.requires_grad]
    assert frozen == []  # so no norm moves beside frozen weights
    batch = batch_of([A, (100.0, 60.0, 180.0, 90.0)], [(10.0, 20.0, 310.0, 120.0)])  # for strides 8, 16 and 32
    pixels = torch.randint(0, 256, (2, 160, 320, 3), dtype=torch.uint8, generator=torch.manual_seed(1))
    module.losses((batch._replace(images=pixels), [])).total.backward()
    idle = [n for n, p in module.network.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert idle == []


def test_one_backward_pass_per_step_over_the_logged_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known mistake 13: a backward pass per term and level, and a logged loss that was not the optimised one."""
    passes: list[float] = []
    original = torch.autograd.backward

    def counted(tensors: Any, *args: Any, **kwargs: Any) -> None:
        passes.append(tensors.item())
        original(tensors, *args, **kwargs)

    monkeypatch.setattr(torch.autograd, "backward", counted)
    logged: list[float] = []

    class Noted(DetectorModule):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            logged.append(self.trainer.callback_metrics["train/total"].item())

    torch.manual_seed(0)
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    batches = [(batch_of([A, B], [C]), []), (batch_of([C]), []), (batch_of([], []), [])]
    trainer.fit(Noted(SMALL), torch.utils.data.DataLoader(batches, batch_size=None))
    assert len(passes) == 3 and logged == pytest.approx(passes) and len(set(passes)) == 3


def test_a_loss_that_is_not_finite_stops() -> None:
    """Known mistake 14: a check that printed and went on."""
    module = DetectorModule(SMALL)
    with torch.no_grad():
        for parameter in module.network.head.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(TrainingFailed, match=r"The loss is nan at step 0\. Likely causes"):
        module.training_step((batch_of([A, B], [C]), []), 0)


def test_a_detector_that_finds_nothing_stops_with_the_likely_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = DetectorModule(SMALL)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    monkeypatch.setattr(DetectorModule, "batches_per_step", 2)
    plate = Plate("A", np.array([[4, 4], [40, 4], [40, 16], [4, 16]], np.float32))

    def validate(found: bool, steps: int) -> None:
        monkeypatch.setattr(DetectorModule, "global_step", steps)
        module.training_step((batch_of([A, B], [C]), []), 0)
        module.on_validation_epoch_start()
        corners = plate.corners
        assert corners is not None
        detections = [Detection(corners, corner_box(corners), 0.9)] if found else []
        module.metrics.setdefault("green", DetectionMetrics()).update(detections, Scene(Path("a.png"), (plate,)))
        module.on_validation_epoch_end()

    for found, steps in ((False, 10), (False, 20), (False, 30), (False, 4999), (True, 5000), (False, 6000)):
        validate(found, steps)  # too early, or something was found between
    validate(False, 6500)
    with pytest.raises(
        TrainingFailed, match=r"in 3 validations in a row, after 28000 images.*learning rate.*data.canv"
    ):
        validate(False, 7000)


def test_a_dense_network_runs_channels_last() -> None:
    """uint8 images (B, H, W, 3) are channels-last as they come, and every layer keeps to it: no setting is needed."""
    network = Scrfd(ScrfdSettings(**SMALL))
    seen: list[bool] = []
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_pre_hook(
                lambda _, x: seen.append(x[0].is_contiguous(memory_format=torch.channels_last))
            )
    network.raw(batch_of([A], [B]).images)
    assert len(seen) > 20 and all(seen)


def test_compiling_changes_no_name_and_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def compile(function: Any) -> Any:
        compiled.append(function)
        return lambda *arguments: function(*arguments)

    monkeypatch.setattr(torch, "compile", compile)
    torch.manual_seed(0)
    plain, fast = DetectorModule(SMALL), DetectorModule(SMALL, compile=True)
    fast.load_state_dict(plain.state_dict(), strict=True)
    assert compiled == [Scrfd.raw]
    batch = (batch_of([A, B], [C]), [])
    assert fast.losses(batch).total.item() == plain.losses(batch).total.item()
    copied = copy.deepcopy(fast)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    assert copied.losses(batch).total.item() != fast.losses(batch).total.item()
    copied.losses(batch).total.backward()
    assert all(p.grad is None for p in fast.parameters())
