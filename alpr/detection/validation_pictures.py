"""The same held-back scenes at every validation, with what the network finds in them: to see it learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback

from alpr.data.sampling import shares
from alpr.detection.datamodule import DetectionData, HeldScene, HeldScenes
from alpr.detection.metrics import true_box
from alpr.images.prepare import letterbox
from alpr.plates.records import Detection, ImageArray
from alpr.reports import drawing

PICTURES = 16
SIDE_PX = 224
LARGEST_BYTES = 200_000
FOLDER = "filmstrip"


class Filmstrip(Callback):
    """`filmstrip/epoch_000.jpg` of a run, a sheet per validation: labels green, light blue or grey, detections magenta.

    Without a data module there are no scenes to draw.
    """

    def __init__(self) -> None:
        self._scenes: list[HeldScene] = []

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        # At the start, where the averaged weights stand in; at the end they may be gone again.
        data = getattr(trainer, "datamodule", None)
        if trainer.sanity_checking or not trainer.is_global_zero or data is None:
            return
        self._scenes = self._scenes or evenly_chosen(data, PICTURES)
        if self._scenes:
            images = [held.image for held in self._scenes if held.image is not None]
            found = pl_module.detector().detect(images)
            pictures = [drawn(held, these) for held, these in zip(self._scenes, found, strict=True)]
            path = Path(trainer.default_root_dir) / FOLDER / f"epoch_{trainer.current_epoch:03d}.jpg"
            drawing.write_jpeg(drawing.sheet(pictures, 4), path, LARGEST_BYTES)


def evenly_chosen(data: DetectionData, count: int) -> list[HeldScene]:
    """Up to so many held-back scenes that can be read, the same at every call, as many from each source."""
    filled = {name: scenes for name, scenes in data.held.items() if scenes}
    chosen: list[HeldScene] = []
    for name, share in zip(filled, shares([1] * len(filled), max(count, len(filled))), strict=True):
        scenes = HeldScenes({name: filled[name]}, plantings=data.plantings)
        places = np.unique(np.linspace(0, len(scenes) - 1, min(share, len(scenes))).round().astype(int)).tolist()
        chosen += [held for held in (scenes[i] for i in places) if held.image is not None]
    return chosen[:count]


def drawn(held: HeldScene, found: list[Detection]) -> ImageArray:
    """A small picture of a scene with its labels and what was found in it."""
    assert held.image is not None
    canvas, box = letterbox(held.image, SIDE_PX, 32)
    picture = np.ascontiguousarray(canvas[: box.inner[0], : box.inner[1]])
    for plate in held.scene.plates:
        if plate.ignored:
            region = true_box(plate)
            if region is not None:
                drawing.draw_ignored(picture, box.forward(region.reshape(2, 2)).ravel())
        elif plate.corners is not None:
            drawing.draw_plate(picture, box.forward(plate.corners))
        elif plate.box is not None:
            drawing.draw_box(picture, box.forward(plate.box.reshape(2, 2)).ravel())
    for detection in found:
        drawing.draw_detection(picture, box.forward(detection.corners), detection.score)
    return picture
