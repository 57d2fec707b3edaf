"""The detector in training: wires network, loss, optimiser and metrics; no formula of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from alpr.detection.detect import Detector, DetectorNetwork
from alpr.detection.losses import DetectionLosses, DetectionLossSettings, detection_losses
from alpr.detection.metrics import AP_SCORE, COCO_MAX_DETECTIONS, DetectionMetrics
from alpr.detection.model import RawDetections, Scrfd, ScrfdSettings
from alpr.detection.settings import DetectorSettings
from alpr.detection.targets import DetectionBatch
from alpr.detection.validation_pictures import Filmstrip
from alpr.optim import OptimSettings
from alpr.plates.records import FloatArray, ImageArray, ImageBatch, Scene
from alpr.task import TaskModule, TrainingFailed

PATIENCE_IMAGES = 20_000
PATIENCE_VALIDATIONS = 3


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
        predictor: see `alpr.detection.settings.DetectorSettings`; validation and export use it.
        compile: whether `torch.compile` makes training faster, after a minute of compiling.

    Raises:
        TypeError: a setting that does not exist.
        ValueError: a setting out of its range.
    """

    network: Scrfd
    kind = "detector"
    monitor = "val/mean_iou"
    shown = ("val/recall_hull_50", "val/recall_hull_70", "val/corner_error_median")

    def __init__(
        self,
        network: Mapping[str, Any] | None = None,
        loss: Mapping[str, Any] | None = None,
        optim: Mapping[str, Any] | None = None,
        predictor: Mapping[str, Any] | None = None,
        seed: int = 0,
        compile: bool = False,
    ) -> None:
        super().__init__(OptimSettings(**(optim or {})), seed)
        self.save_hyperparameters()
        if (network or {}).get("pretrained"):  # what is rebuilt from a checkpoint has its weights there, not on the net
            self.hparams["network"] = {**(network or {}), "pretrained": False}
        self.network = Scrfd(ScrfdSettings(**(network or {})))
        self.loss = DetectionLossSettings(**(loss or {}))
        self.predictor = DetectorSettings(**(predictor or {}))
        self.metrics: dict[str, DetectionMetrics] = {}  # by source
        # The function, not the network: a compiled network has other names for its weights and cannot be copied.
        self._raw: Callable[[Scrfd, Tensor], RawDetections] = torch.compile(Scrfd.raw) if compile else Scrfd.raw
        self._batch_images = self._blind_validations = 0

    def configure_callbacks(self) -> list[Callback]:
        return [Filmstrip()]

    def losses(
        self,
        batch: tuple[DetectionBatch, list[str]],
        over_processes: Callable[[Tensor], Tensor] = lambda sums: sums,
    ) -> DetectionLosses:
        return detection_losses(self._raw(self.network, batch[0].images), batch[0], self.loss, over_processes)

    def training_step(self, batch: tuple[DetectionBatch, list[str]], batch_idx: int) -> Tensor:
        self.report_unreadable(batch[1])
        losses = self.losses(batch, self.mean_over_processes)
        self.refuse_non_finite(losses.total)
        self._batch_images = len(batch[0].images)
        for name, value in losses._asdict().items():
            self.log(f"train/{name}", value, prog_bar=name == "total", batch_size=self._batch_images)
        return losses.total

    def detector(self) -> Detector:
        """The network behind the predictor's own code, as it stands now."""
        return Detector(torch_detector(self.network), self.predictor)

    def on_validation_epoch_start(self) -> None:
        self.metrics = {}

    def validation_step(self, batch: list[tuple[ImageArray | None, Scene, str, str]], batch_idx: int) -> None:
        self.report_unreadable([reason for image, _, reason, _ in batch if image is None])
        read = [(image, scene, source) for image, scene, _, source in batch if image is not None]
        detector = self.detector()
        low = detector.down_to(AP_SCORE, COCO_MAX_DETECTIONS).detect([image for image, _, _ in read])
        for found, (_, scene, source) in zip(low, read, strict=True):
            self.metrics.setdefault(source, DetectionMetrics()).update(detector.sure(found), scene, found)

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
        self._refuse_blindness(scores.recall_hull_50)

    def _refuse_blindness(self, recall: float | None) -> None:
        """Stops a run that has found no plate in three validations and 20,000 images.

        Raises:
            TrainingFailed: with the likely causes.
        """
        self._blind_validations = self._blind_validations + 1 if recall == 0 else 0
        if self._blind_validations < PATIENCE_VALIDATIONS:
            return
        images = self.global_step * self.batches_per_step * self._batch_images
        if images >= PATIENCE_IMAGES:
            raise TrainingFailed(
                f"No plate was found in {self._blind_validations} validations in a row, after {images} images: the "
                "detector learns nothing. Likely causes: a learning rate that is too high or too low (optim.lr is "
                f"{self.optim.lr}), labels in other units or of another image size than the files, plates lower on the "
                "canvas (data.canvas) than the smallest that is learnt, or corners in another order than clockwise "
                "from the top left of the text."
            )
