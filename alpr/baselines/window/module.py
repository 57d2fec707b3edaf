"""The window network in training, export and evaluation: wires network, loss and figures; no formula of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from alpr.baselines.window.data import WindowBatch
from alpr.baselines.window.figures import figures_of_table
from alpr.baselines.window.model import WindowLogits, WindowLosses, WindowNetwork, WindowSettings, right, window_losses
from alpr.baselines.window.windows import SIZE
from alpr.data.manifest import Manifest
from alpr.optim import OptimSettings
from alpr.plates.country import CountryPack
from alpr.task import TaskModule

NETWORK_FILE = "window.onnx"
TOLERANCE = 1e-3
"""Of the largest logit, between the network and its export."""


class WindowModule(TaskModule):
    """Trains `WindowNetwork`.

    Args:
        country, layouts: see `CountryPack.reading`; they give alphabet and slots.
        network: see `WindowSettings`, without slots and classes.
        optim: see `OptimSettings`.
    """

    network: WindowNetwork
    kind = "window network"
    monitor = "val/right"
    shown = ("val/read", "val/presence")

    def __init__(
        self,
        country: Mapping[str, Any],
        network: Mapping[str, Any] | None = None,
        optim: Mapping[str, Any] | None = None,
        seed: int = 0,
        layouts: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(OptimSettings(**(optim or {})), seed)
        self.save_hyperparameters()
        self.pack = CountryPack.from_dict(country).reading(layouts)
        shape = {**(network or {}), "slots": self.pack.slots, "classes": len(self.pack.charset)}
        self.network = WindowNetwork(WindowSettings(**shape))
        self.found: list[Tensor] = []

    def losses(self, batch: WindowBatch) -> WindowLosses:
        return window_losses(self.network.windows(batch.windows), batch.present, batch.slots)

    def training_step(self, batch: WindowBatch, batch_idx: int) -> Tensor:
        losses = self.losses(batch)
        self.refuse_non_finite(losses.total)
        for name, value in losses._asdict().items():
            self.log(f"train/{name}", value, prog_bar=name == "total", batch_size=len(batch.windows))
        return losses.total

    def on_validation_epoch_start(self) -> None:
        self.found = []

    @torch.no_grad()
    def validation_step(self, batch: WindowBatch, batch_idx: int) -> None:
        logits = self.network.windows(batch.windows)
        read = (logits.slots.argmax(-1) == batch.slots).all(1)
        said = (logits.presence > 0) == (batch.present > 0.5)
        self.found.append(torch.stack([right(logits, batch.present, batch.slots), read, said, batch.present > 0.5]))

    def on_validation_epoch_end(self) -> None:
        all_of_mine = torch.cat(self.found, 1).cpu()
        whole, read, said, there = torch.cat(self.gathered(all_of_mine), 1).float()
        self.log("val/right", whole.mean())
        self.log("val/read", (read * there).sum() / there.sum().clamp(min=1), prog_bar=True)
        self.log("val/presence", said.mean())

    @torch.no_grad()
    def logits(self, windows: Sequence[np.ndarray]) -> WindowLogits:
        """Of windows (64, 128) uint8 grey, on the CPU and in batches; the network is at rest."""
        parts = []
        for start in range(0, len(windows), 50):
            some = torch.from_numpy(np.stack(windows[start : start + 50])).to(next(self.network.parameters()).device)
            parts.append(self.network.windows(some))
        return WindowLogits(*(torch.cat(each).cpu() for each in zip(*parts, strict=True)))

    def evaluate(self, manifest: Manifest) -> Mapping[str, float]:
        """Presence and reading of windows around the table's plates, and of rendered ones; see `figures_of_table`."""
        self.network.eval()
        return figures_of_table(self.logits, self.pack, manifest)

    def export(self, folder: Path) -> Mapping[str, float]:
        """Writes `window.onnx`, of pictures of any size.

        Raises:
            ValueError: it gives other logits than the network.
        """
        network, path = self.network.cpu().float().eval(), folder / NETWORK_FILE
        pictures = [
            torch.from_numpy(np.random.default_rng(i).integers(0, 256, (1 + i, *size), np.uint8))
            for i, size in enumerate((SIZE, (96, 200)))
        ]
        torch.onnx.export(
            network, (pictures[1],), path, dynamo=True, external_data=False, verbose=False,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC},),
            input_names=["grey"], output_names=["windows"],
        )  # fmt: skip
        session, largest = onnxruntime.InferenceSession(path), 0.0
        with torch.no_grad():
            for picture in pictures:
                ours, theirs = network(picture).numpy(), session.run(None, {"grey": picture.numpy()})[0]
                largest = max(largest, float(np.abs(ours - theirs).max() / max(1.0, np.abs(ours).max())))
        if not largest <= TOLERANCE:
            raise ValueError(f"The logits differ by {largest:.3g} of the largest; at most {TOLERANCE} is allowed.")
        return {"logits": largest}
