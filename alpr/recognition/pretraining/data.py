"""What pretraining learns from: crops without their texts for the encoder, rendered plates with the places of their
characters for the decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from alpr.data.augment import PixelAugment, PixelSettings
from alpr.data.manifest import Manifest
from alpr.data.picture_sums import Sums, picture_sums
from alpr.data.sampling import SampleKey
from alpr.data.several_tables import read_manifest
from alpr.data.training_loader import training_loader
from alpr.images.prepare import UnreadableImage, read_image, rectify, resize_crop
from alpr.plates.charset import Charset
from alpr.plates.country import ALL_LAYOUTS, CountryPack
from alpr.plates.geometry import FlatQuad, box_corners
from alpr.plates.records import Scene
from alpr.recognition.data import CropSource, LabelledCrop, RecognitionSample, TrainingCrops
from alpr.recognition.mixture.crops import CropGeometry, PhotographedCrops, RenderedCrops
from alpr.recognition.targets import recognition_batch
from alpr.synthetic.glyph_bank import GlyphBank
from alpr.synthetic.renderer import PlacedCrop, PlateRenderer
from alpr.task import TaskData

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
ENTROPY_DRAWS = 5000


class PlacedBatch(NamedTuple):
    """B rendered crops with their texts and the places of their characters."""

    crops: Tensor  # (B, H, W, 3) uint8 BGR
    slots: Tensor  # (B, L) int64, padded with PAD
    places: Tensor  # (B, L, 4) x1, y1, x2, y2 as fractions of the crop, NaN in padded slots


def unlabelled_crops(scenes: Sequence[Scene]) -> list[LabelledCrop]:
    """Every plate with a place, and every image of one plate without a place, which is a ready-made crop; no texts.

    A plate of which only the box is known is cut by its box; regions to ignore are left out.
    """
    crops = []
    for scene in scenes:
        for plate in scene.plates:
            corners = plate.corners
            if corners is None and plate.box is not None:
                corners = box_corners(plate.box)
            if not plate.ignored and (corners is not None or len(scene.plates) == 1):
                crops.append(LabelledCrop(scene.image, corners, ""))
    return crops


def folder_of_crops(folder: Path) -> Manifest:
    """The images in and below a folder, each a ready-made crop.

    Raises:
        ValueError: a folder without images.
    """
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.suffix.lower() in IMAGES)
    if not names:
        raise ValueError(f"{folder} holds no image ({', '.join(IMAGES)}).")
    return Manifest.of(folder, names)


class CropOnly(NamedTuple):
    """One crop, or the reason why it could not be read."""

    crop: np.ndarray | None
    unreadable: str | None


class PlainCrops(Dataset[CropOnly]):
    """Crops as the predictor would make them, without augmentation."""

    def __init__(self, crops: Sequence[LabelledCrop], size: tuple[int, int], margin: float) -> None:
        self.crops, self.size, self.margin = crops, size, margin

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> CropOnly:
        source = self.crops[index]
        try:
            image = read_image(source.image)
            if source.corners is None:
                return CropOnly(resize_crop(image, self.size), None)
            return CropOnly(rectify(image, source.corners, self.size, self.margin), None)
        except (UnreadableImage, FlatQuad) as error:
            return CropOnly(None, str(error))


def crops_alone(samples: Sequence[RecognitionSample | CropOnly]) -> tuple[Tensor, list[str]]:
    """The crops (B, H, W, 3) that could be read, and the reasons of the others.

    Raises:
        ValueError: no crop of the batch could be read.
    """
    reasons = [s.unreadable for s in samples if s.unreadable]
    crops = [s.crop for s in samples if s.crop is not None]
    if not crops:
        raise ValueError(f"No crop of a whole batch of {len(samples)} could be read. The first: {reasons[0]}")
    return torch.from_numpy(np.stack(crops)), reasons


class _PretrainingData(TaskData):
    """What both stages' data share: the loader of training batches, exact to the step."""

    def __init__(self, size: tuple[int, int], margin: float, epoch_samples: int, workers: int, seed: int) -> None:
        super().__init__()
        self.size, self.margin = (size[0], size[1]), margin
        self.epoch_samples, self.workers, self.seed = epoch_samples, workers, seed

    def loader(
        self, data: Dataset[Any], sizes: Sequence[int | None], counts: Sequence[int], collate: Callable[..., Any]
    ) -> DataLoader[Any]:
        return training_loader(self, data, sizes, counts, collate, epoch_samples=self.epoch_samples)


class UnlabelledData(_PretrainingData):
    """Crops for stage 1. No label is needed: texts are ignored where there are any.

    Args:
        country: of the rendered crops, see `CountryPack`.
        layouts: which of its layouts are rendered, see `CountryPack.reading`.
        manifest: tables or folders of ready-made crops, relative to `root` or absolute. A row without a place and
            without a text says that there is no plate, so crops without labels are given as a folder.
        split: only rows of this split; null for all. Folders have none and are taken whole.
        synthetic: rendered crops per batch and process, whose texts are not used.
        real: crops of the manifests per batch and process.
        size, margin: of the crops, as the predictor makes them.
        epoch_samples: crops between two validations, over all processes.
        holdout_fold: the tenth of the plates (by text where known, else by the image's name) that is never trained on.
        geometry, pixels: see `CropGeometry` and `PixelSettings`.
        strict: stop at a row or image that cannot be used, instead of counting and skipping it.

    Raises:
        ValueError: no crop to train on or to choose by.
    """

    def __init__(
        self,
        country: Mapping[str, Any],
        manifest: str | Sequence[str],
        root: str = ".",
        split: str | None = "train",
        synthetic: int = 0,
        real: int = 64,
        size: tuple[int, int] = (48, 192),
        margin: float = 0.04,
        epoch_samples: int = 20_000,
        holdout_fold: int = 0,
        workers: int = 1,
        geometry: Mapping[str, Any] | None = None,
        pixels: Mapping[str, Any] | None = None,
        strict: bool = False,
        seed: int = 0,
        layouts: str | Sequence[str] | None = ALL_LAYOUTS,
    ) -> None:
        super().__init__(size, margin, epoch_samples, workers, seed)
        self.pack, self.strict = CountryPack.from_dict(country).reading(layouts), strict
        self.synthetic, self.real = synthetic, real
        self.geometry = CropGeometry(**(geometry or {}))
        self.pixels = PixelAugment(PixelSettings(**(pixels or {})))
        names = [manifest] if isinstance(manifest, str) else list(manifest)
        self._rows: dict[str, Manifest] = {}
        self.train_crops: list[LabelledCrop] = []
        self.val_crops: list[LabelledCrop] = []
        self.rejected = 0
        for name in names:
            self._rows[name] = self._add(Path(root) / name, split, holdout_fold)
        if not (self.train_crops and self.val_crops):
            raise ValueError(
                f"{', '.join(names)}: {len(self.train_crops)} crops train and {len(self.val_crops)} are "
                f"held back (split {split!r}); expected some of each."
            )
        if synthetic + real < 1:
            raise ValueError("data.synthetic and data.real are both 0; expected at least one crop per batch.")

    @property
    def manifests(self) -> dict[str, str]:
        return {name: rows.sha256 for name, rows in self._rows.items()}

    def pictures(self, hashed: bool) -> dict[str, Sums]:
        return {name: picture_sums(rows, hashed) for name, rows in self._rows.items()}

    def _add(self, path: Path, split: str | None, fold: int) -> Manifest:
        """Takes the crops of a table or folder; gives its rows."""
        is_folder = path.is_dir()
        rows = (
            folder_of_crops(path)
            if is_folder
            else read_manifest(path, splits=None if split is None else [split], strict=self.strict)
        )
        self.rejected += len(rows.rejected)
        for inside, kept in ((False, self.train_crops), (True, self.val_crops)):
            chosen = rows.select(fold=fold, inside=inside)
            if is_folder:
                kept += [LabelledCrop(chosen.path(row), None, "") for row in range(chosen.rows)]
            else:
                kept += unlabelled_crops(chosen.scenes())
        return rows

    def describe(self) -> str:
        """One sentence for the start of a run."""
        return (
            f"{len(self.train_crops)} crops without texts train, {len(self.val_crops)} held-back crops choose the "
            f"checkpoint; a batch holds {self.real} of them and {self.synthetic} rendered ones. "
            f"{self.rejected} rows were rejected."
        )

    def train_dataloader(self) -> DataLoader[Any]:
        sources: list[CropSource] = [
            RenderedCrops(PlateRenderer(self.pack), self.size, self.margin),
            PhotographedCrops(self.train_crops, self.size, self.margin, self.geometry, self.pixels),
        ]
        data = TrainingCrops(sources, self.seed, self.strict)
        return self.loader(data, [source.size for source in sources], [self.synthetic, self.real], crops_alone)

    def val_dataloader(self) -> DataLoader[Any]:
        trainer = self.trainer
        assert trainer is not None
        mine = self.val_crops[trainer.global_rank :: trainer.world_size]
        return DataLoader(PlainCrops(mine, self.size, self.margin), batch_size=64, collate_fn=crops_alone)


class RenderedPlaces(Dataset[PlacedCrop]):
    """Rendered plates with the places of their characters, one per key; keys of source 1 are held back."""

    def __init__(self, renderer: PlateRenderer, size: tuple[int, int], margin: float, seed: int) -> None:
        self.renderer, self.size, self.margin, self.seed = renderer, size, margin, seed

    def __getitem__(self, key: SampleKey) -> PlacedCrop:
        rng = key.generator(self.seed)
        return self.renderer.crop_of(*self.renderer.draw_text(rng), rng, self.size, self.margin)


@dataclass(frozen=True)
class PlacedCollate:
    """Rendered plates to a batch."""

    charset: Charset
    slots: int

    def __call__(self, samples: Sequence[PlacedCrop]) -> tuple[PlacedBatch, list[str]]:
        crops, texts, places = zip(*((s.crop, s.text, s.places) for s in samples), strict=True)
        batch = recognition_batch(crops, texts, self.charset, self.slots, places=places)
        assert batch.places is not None
        return PlacedBatch(batch.crops, batch.slots, batch.places), []


class PlacedData(_PretrainingData):
    """Rendered plates for stage 2.

    Args:
        country: see `CountryPack`.
        layouts: which of its layouts are rendered, see `CountryPack.reading`.
        batch_size: plates per batch and process.
        val_samples: plates of held-back seeds that choose the checkpoint, over all processes.
        size, margin: of the crops, as the predictor makes them.
        epoch_samples: crops between two validations, over all processes.
    """

    def __init__(
        self,
        country: Mapping[str, Any],
        batch_size: int = 64,
        val_samples: int = 500,
        size: tuple[int, int] = (48, 192),
        margin: float = 0.04,
        epoch_samples: int = 20_000,
        workers: int = 1,
        seed: int = 0,
        root: str = ".",
        glyph_bank: str | None = None,
        bank_share: float = 0.8,
        layouts: str | Sequence[str] | None = ALL_LAYOUTS,
    ) -> None:
        super().__init__(size, margin, epoch_samples, workers, seed)
        if batch_size < 1 or val_samples < 1:
            raise ValueError(f"data.batch_size is {batch_size} and val_samples {val_samples}; expected at least 1.")
        self.pack = CountryPack.from_dict(country).reading(layouts)
        bank = None if glyph_bank is None else GlyphBank.read(Path(root) / glyph_bank, self.pack)
        self.renderer = PlateRenderer(self.pack, bank=bank, bank_share=bank_share)
        self.batch_size, self.val_samples = batch_size, val_samples

    def label_entropy(self) -> float:
        """Nats per character that knowing the slot alone leaves, by 5000 draws: the frequencies' own entropy."""
        renderer, rng = self.renderer, np.random.default_rng(self.seed)
        texts = [renderer.draw_text(rng)[0] for _ in range(ENTROPY_DRAWS)]
        nats = 0.0
        for slot in range(self.pack.slots):
            _, counts = np.unique([text[slot] for text in texts if slot < len(text)], return_counts=True)
            nats -= float((counts * np.log(counts / counts.sum())).sum())
        return nats / sum(map(len, texts))

    def describe(self) -> str:
        """One sentence for the start of a run."""
        return (
            f"Every batch holds {self.batch_size} rendered plates; {self.val_samples} of other seeds choose the "
            f"checkpoint. Who knows only the slot of a hidden character is left with {self.label_entropy():.2f} nats."
        )

    def train_dataloader(self) -> DataLoader[Any]:
        return self.loader(self._rendered(), [None], [self.batch_size], self._collate())

    def val_dataloader(self) -> DataLoader[Any]:
        trainer = self.trainer
        assert trainer is not None
        mine = range(trainer.global_rank, self.val_samples, trainer.world_size)
        keys = [SampleKey(1, 0, draw) for draw in mine]
        return DataLoader(self._rendered(), sampler=keys, batch_size=64, collate_fn=self._collate())

    def _rendered(self) -> RenderedPlaces:
        return RenderedPlaces(self.renderer, self.size, self.margin, self.seed)

    def _collate(self) -> PlacedCollate:
        return PlacedCollate(self.pack.charset, self.pack.slots)
