"""Which scenes train the detector, and which held-back scenes choose among its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from torch.utils.data import DataLoader, Dataset

from alpr.data.augment import PixelAugment, PixelSettings, SceneGeometry
from alpr.data.loading import single_thread
from alpr.data.manifest import Manifest, read_manifest
from alpr.data.sampling import StepSampler
from alpr.detection.data import DetectionSample, TrainingScenes, collate
from alpr.imaging import UnreadableImage, read_image
from alpr.records import ImageArray, Scene


class WholeScenes(Dataset[tuple[ImageArray | None, Scene, str]]):
    """Scenes as they are: the image (None where it cannot be read), the scene, and why."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self.scenes = scenes

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[ImageArray | None, Scene, str]:
        scene = self.scenes[index]
        try:
            return read_image(scene.image), scene, ""
        except UnreadableImage as error:
            return None, scene, str(error)


class DetectionData(L.LightningDataModule):
    """Scenes of one or several manifests.

    Args:
        manifest: CSV file or files, relative to `root` or absolute.
        split: only rows of this split; null for all.
        canvas: (height, width) px of training, multiples of 32.
        batch_size: per process.
        epoch_samples: images between two validations, over all processes; null for one pass over the scenes.
        holdout_fold: the tenth of the plates (0 to 9) that chooses checkpoints and is never trained on.
        workers: loader processes.
        geometry, pixels: see `SceneGeometry` and `PixelSettings`.
        strict: stop at a row or image that cannot be used, instead of counting and skipping it.
    """

    def __init__(
        self,
        manifest: str | Sequence[str],
        root: str = ".",
        split: str | None = "train",
        canvas: tuple[int, int] = (448, 448),
        batch_size: int = 16,
        epoch_samples: int | None = None,
        holdout_fold: int = 0,
        workers: int = 1,
        geometry: Mapping[str, Any] | None = None,
        pixels: Mapping[str, Any] | None = None,
        strict: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.start_step = 0  # of a resumed run; Lightning makes the loader before it restores its own count
        self.batch_size, self.workers, self.seed, self.strict = batch_size, workers, seed, strict
        self.canvas = (canvas[0], canvas[1])
        self.epoch_samples = epoch_samples
        self.geometry = SceneGeometry(**(geometry or {}))
        self.pixels = PixelAugment(PixelSettings(**(pixels or {})))
        names = [manifest] if isinstance(manifest, str) else list(manifest)
        self.manifest_name = ", ".join(names)
        rows = read_manifest(
            [Path(root) / name for name in names], splits=None if split is None else [split], strict=strict
        )
        self.manifest: Manifest = rows
        self.unlocated = len(rows.scenes()) - len(_located(rows.scenes()))
        self.train_scenes = _located(rows.select(fold=holdout_fold, inside=False).scenes())
        self.val_scenes = _located(rows.select(fold=holdout_fold, inside=True).scenes())
        for scenes, what in ((self.train_scenes, "trains"), (self.val_scenes, "is held back")):
            if not scenes:
                raise ValueError(f"{self.manifest_name}: no scene with a located plate {what} (split {split!r}).")

    def describe(self) -> str:
        """One sentence for the start of a run."""
        return (
            f"{len(self.train_scenes)} scenes train, {len(self.val_scenes)} held-back scenes choose the checkpoint; "
            f"{len(self.manifest.rejected)} rows were rejected, {self.unlocated} scenes left out because "
            "a plate in them has neither corners nor box."
        )

    def train_dataloader(self) -> DataLoader[DetectionSample]:
        trainer = self.trainer
        assert trainer is not None
        samples = self.epoch_samples or len(self.train_scenes)
        sampler = StepSampler(
            [len(self.train_scenes)],
            [self.batch_size],
            max(1, samples // (self.batch_size * trainer.world_size)),
            self.seed,
            first_step=lambda: max(trainer.global_step, self.start_step) * trainer.accumulate_grad_batches,
            rank=trainer.global_rank,
            world=trainer.world_size,
        )
        data = TrainingScenes(self.train_scenes, self.canvas, self.geometry, self.pixels, self.seed, self.strict)
        return DataLoader(
            data,
            batch_sampler=sampler,
            collate_fn=collate,
            num_workers=self.workers,
            worker_init_fn=single_thread,
            persistent_workers=self.workers > 0,
        )

    def val_dataloader(self) -> DataLoader[tuple[ImageArray | None, Scene, str]]:
        trainer = self.trainer
        assert trainer is not None
        mine = self.val_scenes[trainer.global_rank :: trainer.world_size]
        return DataLoader(WholeScenes(mine), batch_size=8, collate_fn=list, num_workers=0)


def _located(scenes: Sequence[Scene]) -> list[Scene]:
    """Scenes that say where their plates are, or that there are none."""
    return [s for s in scenes if all(p.corners is not None or p.box is not None for p in s.plates)]
