"""One row of text or two: a network that is neither detector nor recogniser, in training, export and evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import onnxruntime
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn import functional
from weighed import _Weighed

from alpr.data.manifest import Manifest
from alpr.files import write_json
from alpr.optim import OptimSettings
from alpr.task import Result, TaskModule
from third_network.data import RowsBatch, batch_of, labelled_crops

NETWORK_FILE = "plate_rows.onnx"
TOLERANCE = 1e-4


class RowsLosses(NamedTuple):
    total: Tensor


class RowsNetwork(nn.Module):
    """(B, H, W, 3) uint8 BGR -> logits (B,) of two rows."""

    def __init__(self, size: tuple[int, int], width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(width * size[0], 1)

    def forward(self, crops: Tensor) -> Tensor:
        profile = self.stem(crops.permute(0, 3, 1, 2).float() / 255).relu().mean(3)
        return self.head(self.dropout(profile.flatten(1)))[:, 0]


class Counted(Callback):
    """`validations.txt` of a run, a line per validation."""

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        with (Path(trainer.default_root_dir) / "validations.txt").open("a", encoding="utf-8") as file:
            file.write(f"step {trainer.global_step}\n")


class RowsModule(TaskModule):
    """Learns by binary cross-entropy whether a plate has two rows."""

    network: RowsNetwork
    kind = "counter of rows"
    monitor = "val/accuracy"

    def __init__(self, size: Sequence[int], width: int, optim: Mapping[str, Any] | None = None, seed: int = 0) -> None:
        super().__init__(OptimSettings(**(optim or {})), seed)
        self.save_hyperparameters()
        self.size = (size[0], size[1])
        self.network = RowsNetwork(self.size, width)
        self.right: list[bool] = []
        self.share: float | None = None

    def prepare(self, data: Any, config: Mapping[str, Any]) -> None:
        self.share = float(np.mean([two for _, two in data.train]))

    def configure_callbacks(self) -> list[Callback]:
        return [Counted()]

    def remark(self, metrics: Mapping[str, Tensor]) -> str:
        return f"({self.share:.0%} of two rows)"

    def figures(self) -> Mapping[str, float | None]:
        return {"share_of_two": self.share}

    def finish(self, folder: Path, data: Any, config: Mapping[str, Any]) -> list[Result]:
        write_json(folder / "rows.json", {"threshold": 0.5})
        return [Result("threshold", "0.5", str(folder / "rows.json"))]

    def losses(self, batch: RowsBatch) -> RowsLosses:
        return RowsLosses(functional.binary_cross_entropy_with_logits(self.network(batch.crops), batch.two))

    def training_step(self, batch: RowsBatch, batch_idx: int) -> Tensor:
        total = self.losses(batch).total
        self.refuse_non_finite(total)
        self.log("train/total", total)
        return total

    def on_validation_epoch_start(self) -> None:
        self.right = []

    @torch.no_grad()
    def validation_step(self, batch: RowsBatch, batch_idx: int) -> None:
        self.right += ((self.network(batch.crops) > 0) == (batch.two > 0.5)).tolist()

    def on_validation_epoch_end(self) -> None:
        self.log("val/accuracy", float(np.mean(self.right)))

    def export(self, folder: Path) -> Mapping[str, float]:
        crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, *self.size, 3), np.uint8))
        path, dynamic = folder / NETWORK_FILE, ({0: torch.export.Dim.DYNAMIC},)
        names = {"input_names": ["crop"], "output_names": ["two_rows"]}
        torch.onnx.export(
            self.network,
            (crops,),
            path,
            dynamo=True,
            external_data=False,
            dynamic_shapes=dynamic,
            verbose=False,
            **names,
        )
        session = onnxruntime.InferenceSession(path)
        with torch.no_grad():
            logits = self.network(crops).numpy()
        difference = max(
            float(np.abs(session.run(None, {"crop": crops[:count].numpy()})[0] - logits[:count]).max())
            for count in (1, 3)
        )
        if not difference <= TOLERANCE:
            raise ValueError(f"The logits differ by {difference:.3g}; at most {TOLERANCE} is allowed.")
        return {"logits": difference}

    @torch.no_grad()
    def evaluate(self, manifest: Manifest) -> Mapping[str, float]:
        batch = batch_of(labelled_crops(manifest, self.size))
        right = (self.network(batch.crops) > 0) == (batch.two > 0.5)
        return {"plates": len(right), "accuracy": float(right.float().mean())}


class WeighedRows(_Weighed, RowsModule):
    """The same with a figure that tells any two states apart, and a death wish."""

    monitor = "val/figure"
