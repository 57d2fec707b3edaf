"""Which plates train the recogniser, in which mixture, and which held-back plates choose among its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from torch.utils.data import DataLoader

from alpr.country import CountryPack
from alpr.data.augment import PixelAugment, PixelSettings
from alpr.data.loading import single_thread
from alpr.data.manifest import Manifest, read_manifest
from alpr.data.sampling import StepSampler
from alpr.data.synthetic.plates import PlateRenderer
from alpr.recognition.data import (
    CropCollate,
    CropGeometry,
    CropSource,
    LabelledCrop,
    PhotographedCrops,
    RecognitionSample,
    RenderedCrops,
    TrainingCrops,
    ValidationPlate,
    ValidationPlates,
    labelled_crops,
)
from alpr.recognition.targets import marginal_entropy

ENTROPY_DRAWS = 5000


class RecognitionData(L.LightningDataModule):
    """Plates of manifests mixed with rendered plates.

    Args:
        country: see `CountryPack`.
        manifest: CSV file or files, relative to `root` or absolute.
        split: only rows of this split; null for all.
        synthetic: rendered plates per batch and process.
        real: plates of the manifests per batch and process.
        size, margin: of the crops, as the predictor makes them.
        epoch_samples: crops between two validations, over all processes.
        holdout_fold: the tenth of the plates (0 to 9) that chooses checkpoints and is never trained on.
        geometry, pixels: see `CropGeometry` and `PixelSettings`; they change real crops, rendered ones have their own.
        strict: stop at a row, label or image that cannot be used, instead of counting and skipping it.

    Raises:
        ValueError: no plate to train on or to choose by, or (strict) a label outside the alphabet or the slots.
    """

    def __init__(
        self,
        country: Mapping[str, Any],
        manifest: str | Sequence[str],
        root: str = ".",
        split: str | None = "train",
        synthetic: int = 32,
        real: int = 32,
        size: tuple[int, int] = (48, 192),
        margin: float = 0.04,
        epoch_samples: int = 20_000,
        holdout_fold: int = 0,
        workers: int = 1,
        geometry: Mapping[str, Any] | None = None,
        pixels: Mapping[str, Any] | None = None,
        strict: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.start_step = 0  # of a resumed run; Lightning makes the loader before it restores its own count
        self.pack = CountryPack.from_dict(country)
        self.size, self.margin = (size[0], size[1]), margin
        self.epoch_samples, self.workers, self.strict, self.seed = epoch_samples, workers, strict, seed
        self.geometry = CropGeometry(**(geometry or {}))
        self.pixels = PixelAugment(PixelSettings(**(pixels or {})))
        self.refused: list[str] = []
        self.holdout_fold = holdout_fold
        names = [manifest] if isinstance(manifest, str) else list(manifest)
        self.manifest_name = ", ".join(names)
        paths = [Path(root) / name for name in names]
        rows = read_manifest(paths, splits=None if split is None else [split], strict=strict)
        self.manifest: Manifest = rows
        self.train_plates = self._readable(labelled_crops(rows.select(fold=holdout_fold, inside=False).scenes()))
        self.val_plates = self._readable(labelled_crops(rows.select(fold=holdout_fold, inside=True).scenes()))
        if not (self.train_plates and self.val_plates):
            raise ValueError(
                f"{self.manifest_name}: {len(self.train_plates)} plates train and {len(self.val_plates)} are held "
                f"back (split {split!r}); expected some of each. {' '.join(self.refused[:3])}"
            )
        self.synthetic, self.real = synthetic, real
        if synthetic + real < 1:
            raise ValueError("data.synthetic and data.real are both 0; expected at least one crop per batch.")

    @property
    def manifests(self) -> dict[str, str]:
        """SHA-256 by manifest."""
        return {self.manifest_name: self.manifest.sha256}

    def _readable(self, crops: Sequence[LabelledCrop]) -> list[LabelledCrop]:
        """Crops whose text the country pack can print; the others are counted, or raise where strict."""
        charset, kept = self.pack.charset, []
        for crop in crops:
            try:
                charset.encode_padded(crop.text, self.pack.slots)
            except ValueError as error:
                if self.strict:
                    raise ValueError(f"{crop.image}: {error}") from error
                self.refused.append(f"{crop.image}: {error}")
                continue
            kept.append(crop)
        return kept

    def label_entropy(self) -> float:
        """The marginal entropy of the mixture's labels in nats per slot, by 5000 draws."""
        renderer, rng = PlateRenderer(self.pack), np.random.default_rng(self.seed)
        rendered = ENTROPY_DRAWS * self.synthetic // (self.synthetic + self.real)
        texts = [renderer.draw_text(rng)[0] for _ in range(rendered)]
        chosen = rng.integers(len(self.train_plates), size=ENTROPY_DRAWS - rendered)
        texts += [self.train_plates[i].text for i in chosen]
        return marginal_entropy(texts, self.pack.charset, self.pack.slots)

    def describe(self) -> str:
        """One sentence for the start of a run."""
        first = f": {self.refused[0]}" if self.refused else ""
        return (
            f"{len(self.train_plates)} real plates train, {len(self.val_plates)} held-back plates choose the "
            f"checkpoint; a batch holds {self.synthetic} rendered and {self.real} real crops. "
            f"{len(self.manifest.rejected)} rows were rejected, {len(self.refused)} labels do not fit the country "
            f"pack{first}."
        )

    def train_dataloader(self) -> DataLoader[RecognitionSample]:
        trainer = self.trainer
        assert trainer is not None
        sources: list[CropSource] = [
            RenderedCrops(PlateRenderer(self.pack), self.size, self.margin),
            PhotographedCrops(self.train_plates, self.size, self.margin, self.geometry, self.pixels),
        ]
        sampler = StepSampler(
            [source.size for source in sources],
            [self.synthetic, self.real],
            max(1, self.epoch_samples // ((self.synthetic + self.real) * trainer.world_size)),
            self.seed,
            first_step=lambda: max(trainer.global_step, self.start_step) * trainer.accumulate_grad_batches,
            rank=trainer.global_rank,
            world=trainer.world_size,
        )
        return DataLoader(
            TrainingCrops(sources, self.seed, self.strict),
            batch_sampler=sampler,
            collate_fn=CropCollate(self.pack.charset, self.pack.slots),
            num_workers=self.workers,
            worker_init_fn=single_thread,
            persistent_workers=self.workers > 0,
        )

    def val_dataloader(self) -> DataLoader[ValidationPlate]:
        trainer = self.trainer
        assert trainer is not None
        mine = self.val_plates[trainer.global_rank :: trainer.world_size]
        return DataLoader(ValidationPlates(mine), batch_size=32, collate_fn=list, num_workers=0)
