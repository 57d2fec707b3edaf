"""The same held-back scenes at every validation, with what the network finds in them: to see it learn."""

from __future__ import annotations

import heapq
import math
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback

from alpr.data.sampling import shares
from alpr.detection.datamodule import DetectionData, HeldScene, HeldScenes
from alpr.detection.metrics import false_positives, match_plates, true_box, true_hull
from alpr.files import write_rows
from alpr.images.prepare import letterbox
from alpr.plates.records import Detection, ImageArray
from alpr.reports import drawing
from alpr.task import HELD_BACK_FILE, is_better

PICTURES = 16
SIDE_PX = 224
LARGEST_BYTES = 200_000
FOLDER = "filmstrip"
FOUND_IOU = 0.5
BINS = 10


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


class WorstScenes(Callback):
    """`worst/epoch_000.jpg` of a run, the held-back scenes in which most is wrong, and two tables per validation.

    `confusion/epoch_000.csv` counts plates that are found (hull IoU > 0.5), that are not, and detections that are no
    plate; `calibration/epoch_000.csv` has the share of detections that are plates by score, and `held_back.csv` every
    plate of the best validation, where there is one process. With several all are of the first one's scenes.
    """

    def __init__(self) -> None:
        self._worst: list[tuple[float, int, ImageArray]] = []
        self._scored: list[tuple[float, bool]] = []  # of each detection outside ignored regions: is it a plate
        self._held: list[tuple[str, int, str, int, int]] = []
        self._plates = self._seen = 0

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._worst, self._scored, self._held, self._plates, self._seen = [], [], [], 0, 0

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: list[HeldScene], *_: Any
    ) -> None:
        if trainer.is_global_zero:
            read = (HeldScene(*each) for each in batch if each[0] is not None)
            for held, found in zip(read, outputs, strict=True):
                self._add(held, found)

    def _add(self, held: HeldScene, found: list[Detection]) -> None:
        pairs = [pair for pair in match_plates(found, held.scene.plates) if pair.iou > FOUND_IOU]
        ious = {pair.plate: pair.iou for pair in pairs}
        for i, plate in enumerate(held.scene.plates):
            if not plate.ignored and true_hull(plate) is not None:
                iou = ious.get(i, 0.0)
                self._held.append((str(held.scene.image), i, plate.text or "", int(iou > 0.5), int(iou > 0.7)))
        wrong = set(false_positives(found, held.scene, pairs))
        hits = {pair.detection for pair in pairs}
        self._scored += [(each.score, i in hits) for i, each in enumerate(found) if i in hits or i in wrong]
        plates = sum(not plate.ignored and true_hull(plate) is not None for plate in held.scene.plates)
        self._plates, self._seen = self._plates + plates, self._seen + 1
        badness = plates - sum(pair.iou for pair in pairs) + len(wrong) / 2
        if badness > 0 and (len(self._worst) < PICTURES or badness > self._worst[0][0]):
            heapq.heappush(self._worst, (badness, self._seen, drawn(held, found)))
            if len(self._worst) > PICTURES:
                heapq.heappop(self._worst)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        folder, name = Path(trainer.default_root_dir), f"epoch_{trainer.current_epoch:03d}"
        worst = [picture for *_, picture in sorted(self._worst, key=lambda entry: entry[:2], reverse=True)]
        if worst:
            drawing.write_jpeg(drawing.sheet(worst, 4), folder / "worst" / f"{name}.jpg", LARGEST_BYTES)
        if is_better(trainer, pl_module.monitor) and trainer.world_size == 1:
            write_rows(folder / HELD_BACK_FILE, ("image", "plate", "label", "found_50", "found_70"), self._held)
        right = sum(hit for _, hit in self._scored)
        counts = [("plate", right, self._plates - right), ("no plate", len(self._scored) - right, "")]
        write_rows(folder / "confusion" / f"{name}.csv", ("labelled", "found", "not found"), counts)
        header = ("score above", "up to", "detections", "mean score", "share right")
        write_rows(folder / "calibration" / f"{name}.csv", header, _by_score(self._scored))


def _by_score(scored: list[tuple[float, bool]]) -> list[tuple[float, float, int, float, float]]:
    """Ten bins of the score, those without a detection left out: (above, up to, detections, mean score, share)."""
    rows = []
    for i in range(BINS):
        inside = [each for each in scored if min(BINS - 1, max(0, math.ceil(each[0] * BINS) - 1)) == i]
        if inside:
            scores, hits = zip(*inside, strict=True)
            mean, share = sum(scores) / len(inside), sum(hits) / len(inside)
            rows.append((i / BINS, (i + 1) / BINS, len(inside), round(mean, 4), round(share, 4)))
    return rows


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
