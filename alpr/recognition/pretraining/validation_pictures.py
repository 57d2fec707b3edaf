"""The same held-back crops at every validation, with what the network restores in them: to see it learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from alpr.recognition.pretraining.data import PlainCrops
from alpr.reports import drawing

PICTURES = 16
LARGEST_BYTES = 200_000
FOLDER = "reconstructions"


class ReconstructionSheet(Callback):
    """`reconstructions/epoch_000.jpg` of a run, a sheet per validation: each crop, what was visible, and the guess."""

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        # At the start, where the averaged weights stand in; at the end they may be gone again.
        data = getattr(trainer, "datamodule", None)
        if trainer.sanity_checking or not trainer.is_global_zero or data is None:
            return
        held = PlainCrops(data.val_crops, data.size, data.margin)
        places = np.unique(np.linspace(0, len(held) - 1, PICTURES).round().astype(int)).tolist()
        crops = [crop for crop in (held[i].crop for i in places) if crop is not None]
        if not crops:
            return
        masked, filled = pl_module.pictures(torch.from_numpy(np.stack(crops)))
        columns = zip(crops, masked.numpy(), filled.numpy(), strict=True)
        pictures = [np.vstack(three) for three in columns]
        path = Path(trainer.default_root_dir) / FOLDER / f"epoch_{trainer.current_epoch:03d}.jpg"
        drawing.write_jpeg(drawing.sheet(pictures, 4), path, LARGEST_BYTES)
