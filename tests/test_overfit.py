"""Each network learns a handful of images by heart, seen through the predictor's own code. Whatever breaks the chain
from target to loss to decoded result breaks this."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alpr.detection.data import DetectionSample, collate
from alpr.detection.metrics import DetectionMetrics
from alpr.detection.module import DetectorModule
from alpr.detection.targets import PLATE
from alpr.optim import build_optimizer
from alpr.plates.country import CountryPack
from alpr.plates.geometry import corner_box
from alpr.plates.records import Scene
from alpr.recognition.metrics import RecognitionMetrics
from alpr.recognition.module import RecogniserModule
from alpr.recognition.targets import recognition_batch
from alpr.synthetic.renderer import PlateRenderer
from alpr.synthetic.scenes import SceneRenderer
from alpr.task import TaskModule


def learn(module: TaskModule, batch: object, steps: int) -> list[float]:
    """The losses of a few steps on one batch, at a steady rate that falls at the end."""
    optimizer = build_optimizer(module.network, module.optim)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 4 * (1 - step / steps)))
    module.train()
    history = []
    for _ in range(steps):
        loss = module.losses(batch)[0]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        history.append(loss.item())
    module.eval()
    return history


def test_the_detector_learns_four_scenes(china: CountryPack, tmp_path_factory: pytest.TempPathFactory) -> None:
    size = (160, 256)
    renderer = SceneRenderer(PlateRenderer(china), size, (45.0, 110.0))
    folder = tmp_path_factory.mktemp("scenes")
    images, scenes, samples = [], [], []
    for i in range(4):
        image, plates = renderer.scene(np.random.default_rng(i))
        corners = np.stack([p.corners for p in plates if p.corners is not None])
        images.append(image)
        scenes.append(Scene(folder / f"{i}.png", tuple(plates)))
        samples.append(DetectionSample(image, corner_box(corners), corners, np.array([True]), np.array([PLATE])))
    torch.manual_seed(0)
    shape = {"stem": (8, 16), "stage_blocks": (1, 1, 1, 1), "stage_widths": (16, 32, 48, 64), "head_width": 32}
    module = DetectorModule(shape, optim={"lr": 5e-3}, predictor={"input_px": 256})

    def scores() -> DetectionMetrics:
        metrics = DetectionMetrics()
        for found, scene in zip(module.detector().detect(images), scenes, strict=True):
            metrics.update(found, scene)
        return metrics

    module.eval()
    assert scores().compute().ap_box_50 == 0
    history = learn(module, collate(samples), 160)
    result = scores().compute()
    assert history[-1] < 0.2 * history[0]
    assert result.ap_box_50 == pytest.approx(1.0)
    assert result.recall_hull_70 == 1.0
    assert result.polygon_iou is not None and result.polygon_iou > 0.85


def test_the_recogniser_learns_eight_crops(china: CountryPack) -> None:
    renderer = PlateRenderer(china)
    size = (32, 128)
    crops, texts = zip(*(renderer.crop(np.random.default_rng(i), size) for i in range(8)), strict=True)
    assert len(set(texts)) == 8 and {len(t) for t in texts} == {7, 8}
    torch.manual_seed(0)
    shape = {"stem_widths": (16, 24, 32), "width": 64, "heads": 4, "encoder_layers": 1, "dropout": 0.0}
    optim = {"lr": 3e-3, "weight_decay": 0.0}
    module = RecogniserModule(china.to_dict(), shape, optim=optim, predictor={"size": size})
    batch = recognition_batch(crops, texts, module.charset, china.slots)

    def scores() -> RecognitionMetrics:
        metrics = RecognitionMetrics()
        for reading, text in zip(module.recogniser().read(crops), texts, strict=True):
            metrics.update(reading, text)
        return metrics

    module.eval()
    assert scores().compute().accuracy == 0
    history = learn(module, (batch, []), 150)
    result = scores().compute()
    assert history[-1] < 0.05 * history[0]
    assert result.accuracy == 1.0 and result.character_accuracy == 1.0
    assert min(r.score for r in module.recogniser().read(crops)) > 0.9
