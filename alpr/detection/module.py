"""The detector in training: wires network, loss, optimiser and metrics; no formula of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from alpr.card import DetectorSettings
from alpr.detection.detect import Detector, DetectorNetwork
from alpr.detection.losses import DetectionLosses, DetectionLossSettings, detection_losses
from alpr.detection.metrics import DetectionMetrics
from alpr.detection.model import Scrfd, ScrfdSettings
from alpr.detection.targets import DetectionBatch
from alpr.optim import OptimSettings
from alpr.records import FloatArray, ImageArray, ImageBatch, Scene
from alpr.training import TaskModule


def torch_detector(network: nn.Module) -> DetectorNetwork:
    """A network as the callable that `Detector` takes, in full precision on the device where its weights are."""

    @torch.no_grad()
    def detect(images: ImageBatch) -> tuple[FloatArray, FloatArray, FloatArray]:
        device = next(network.parameters()).device
        with torch.autocast(device.type, enabled=False):
            scores, boxes, corners = network(torch.from_numpy(images).to(device))
        return scores.cpu().numpy(), boxes.cpu().numpy(), corners.cpu().numpy()

    return detect


class DetectorModule(TaskModule):
    """Trains `Scrfd`. Every argument is plain values, so that a checkpoint rebuilds the module from what it holds.

    Args:
        network: see `ScrfdSettings`.
        loss: see `DetectionLossSettings`.
        optim: see `OptimSettings`.
        predictor: see `alpr.card.DetectorSettings`; validation and export use it.

    Raises:
        TypeError: a setting that does not exist.
        ValueError: a setting out of its range.
    """

    network: Scrfd
    what = "detector"
    monitor = "val/mean_iou"
    shown = ("val/recall_hull_50", "val/recall_hull_70", "val/corner_error_median")

    def __init__(
        self,
        network: Mapping[str, Any] | None = None,
        loss: Mapping[str, Any] | None = None,
        optim: Mapping[str, Any] | None = None,
        predictor: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(OptimSettings(**(optim or {})), seed)
        self.save_hyperparameters()
        self.network = Scrfd(ScrfdSettings(**(network or {})))
        self.loss = DetectionLossSettings(**(loss or {}))
        self.predictor = DetectorSettings(**(predictor or {}))
        self.metrics: dict[str, DetectionMetrics] = {}  # by source

    def losses(self, batch: tuple[DetectionBatch, list[str]]) -> DetectionLosses:
        return detection_losses(self.network.raw(batch[0].images), batch[0], self.loss)

    def training_step(self, batch: tuple[DetectionBatch, list[str]], batch_idx: int) -> Tensor:
        self.report_unreadable(batch[1])
        losses = self.losses(batch)
        self.refuse_non_finite(losses.total)
        for name, value in losses._asdict().items():
            self.log(f"train/{name}", value, prog_bar=name == "total", batch_size=len(batch[0].images))
        return losses.total

    def detector(self) -> Detector:
        """The network behind the predictor's own code, as it stands now."""
        return Detector(torch_detector(self.network), self.predictor)

    def on_validation_epoch_start(self) -> None:
        self.metrics = {}

    def validation_step(self, batch: list[tuple[ImageArray | None, Scene, str, str]], batch_idx: int) -> None:
        self.report_unreadable([reason for image, _, reason, _ in batch if image is None])
        read = [(image, scene, source) for image, scene, _, source in batch if image is not None]
        for found, (_, scene, source) in zip(self.detector().detect([r[0] for r in read]), read, strict=True):
            self.metrics.setdefault(source, DetectionMetrics()).update(found, scene)

    def on_validation_epoch_end(self) -> None:
        by_source: dict[str, DetectionMetrics] = {}
        for part in self.gathered(self.metrics):
            for source, metrics in part.items():
                by_source[source] = by_source.get(source, DetectionMetrics()).merge(metrics)
        merged = DetectionMetrics()
        for source in sorted(by_source):
            merged = merged.merge(by_source[source])
            recall = by_source[source].compute().recall_hull_50
            if len(by_source) > 1 and recall is not None:
                self.log(f"val/recall_hull_50_{source}", recall, rank_zero_only=False)
        scores = merged.compute()
        for name, value in asdict(scores).items():
            if isinstance(value, float):
                self.log(f"val/{name}", value, rank_zero_only=False)
        # One figure to choose by: the polygon IoU over all plates, 0 for those that were not found.
        mean_iou = (scores.recall_hull_50 or 0.0) * (scores.polygon_iou or 0.0)
        self.log("val/mean_iou", mean_iou, prog_bar=True)
