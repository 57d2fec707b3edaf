"""Crops of plates, each with the number of its rows of text, from a table's column `rows`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from alpr.data.manifest import Manifest
from alpr.data.sampling import SampleKey
from alpr.data.several_tables import read_manifest
from alpr.data.training_loader import training_loader
from alpr.images.prepare import read_image, resize_crop
from alpr.plates.records import ImageArray
from alpr.reports import drawing
from alpr.task import TaskData

Sample = tuple[ImageArray, bool]


class RowsBatch(NamedTuple):
    """Crops (B, H, W, 3) uint8, and whether each has two rows (B,)."""

    crops: Tensor
    two: Tensor


def labelled_crops(manifest: Manifest, size: tuple[int, int]) -> list[Sample]:
    """Every crop of a table, and whether it has two rows."""
    crops = [resize_crop(read_image(manifest.path(row)), size) for row in range(manifest.rows)]
    return list(zip(crops, (rows == "2" for rows in manifest.extra["rows"]), strict=True))


def batch_of(samples: Sequence[Sample]) -> RowsBatch:
    crops, two = zip(*samples, strict=True)
    return RowsBatch(torch.from_numpy(np.stack(crops)), torch.tensor(two, dtype=torch.float32))


class Noisy(Dataset[Sample]):
    """Crops with noise of their draw's own."""

    def __init__(self, samples: Sequence[Sample], seed: int) -> None:
        self.samples, self.seed = samples, seed

    def __getitem__(self, key: SampleKey) -> Sample:
        crop, two = self.samples[key.item]
        noise = key.generator(self.seed).normal(0, 8, crop.shape)
        return np.clip(crop + noise, 0, 255).astype(np.uint8), two


class RowsData(TaskData):
    """The crops of one table; a tenth of the plates chooses the checkpoint."""

    def __init__(
        self,
        manifest: str,
        root: str,
        size: tuple[int, int],
        batch_size: int,
        epoch_samples: int,
        workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.batch_size, self.epoch_samples, self.workers, self.seed = batch_size, epoch_samples, workers, seed
        rows = read_manifest(Path(root) / manifest)
        self._manifests = {manifest: rows.sha256}
        self.train, self.held = (
            labelled_crops(rows.select(fold=0, inside=inside), (size[0], size[1])) for inside in (False, True)
        )

    @property
    def manifests(self) -> dict[str, str]:
        return self._manifests

    def preview(self, count: int) -> tuple[ImageArray, str]:
        return drawing.sheet([crop for crop, _ in self.train[:count]]), "crops of one row or two"

    def train_dataloader(self) -> DataLoader[Sample]:
        noisy = Noisy(self.train, self.seed)
        counts = [self.batch_size]
        return training_loader(self, noisy, [len(self.train)], counts, batch_of, epoch_samples=self.epoch_samples)

    def val_dataloader(self) -> DataLoader[Sample]:
        return DataLoader(self.held, batch_size=8, collate_fn=batch_of)  # type: ignore[arg-type]
