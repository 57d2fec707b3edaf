"""The same held-back crops at every validation of stage 1, with what the network makes of their hidden parts."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from alpr.recognition.pretraining.data import PlainCrops, UnlabelledData
from alpr.recognition.pretraining.module import EncoderPretraining
from alpr.reports import sheets

PICTURES = 16
LARGEST_BYTES = 200_000


class ReconstructionSheet(Callback):
    """`reconstructions/epoch_000.jpg`, one sheet per validation: each crop, what was visible of it, and the guess.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "reconstructions"

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # At the start, where the averaged weights stand in; at the end they may be gone again.
        data = getattr(trainer, "datamodule", None)
        if trainer.sanity_checking or not trainer.is_global_zero or not isinstance(data, UnlabelledData):
            return
        assert isinstance(pl_module, EncoderPretraining)
        held = PlainCrops(data.val_crops, data.size, data.margin)
        places = np.unique(np.linspace(0, len(held) - 1, PICTURES).round().astype(int)).tolist()
        crops = [crop for crop in (held[i].crop for i in places) if crop is not None]
        if not crops:
            return
        masked, filled = pl_module.pictures(torch.from_numpy(np.stack(crops)))
        columns = zip(crops, masked.numpy(), filled.numpy(), strict=True)
        pictures = [np.vstack(three) for three in columns]
        path = self.folder / f"epoch_{trainer.current_epoch:03d}.jpg"
        sheets.write_jpeg(sheets.sheet(pictures, 4), path, LARGEST_BYTES)
