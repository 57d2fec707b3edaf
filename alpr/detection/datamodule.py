"""Which scenes train the detector, and which held-back scenes choose among its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import DataLoader, Dataset

from alpr.data.augment import PixelAugment, PixelSettings, SceneGeometry
from alpr.data.decoded_images import Photographs
from alpr.data.manifest import Manifest, fold_advice
from alpr.data.picture_sums import Sums, picture_sums
from alpr.data.sampling import StepSampler, shares
from alpr.data.scenes import where_from
from alpr.data.several_tables import read_sources
from alpr.data.source_settings import SOURCES, check_share, named, note_older, settings_of, source_name
from alpr.data.training_loader import training_loader
from alpr.detection.data import DetectionSample, TrainingScenes, collate
from alpr.detection.preview import sheet_of
from alpr.detection.targets import PLATE, DetectionBatch
from alpr.images.prepare import UnreadableImage, read_image
from alpr.plates.records import ImageArray, Scene
from alpr.synthetic.planting import Planting, PlantSettings
from alpr.task import TaskData

_HELD_SEED = 5
_LEARNABLE_WITHIN = 200
"""A training stops when so many scenes with plates were drawn and none of them was large enough to learn."""


class HeldScene(NamedTuple):
    """A scene to validate on, as it is."""

    image: ImageArray | None  # None where it cannot be read
    scene: Scene
    reason: str  # why it cannot
    source: str


class HeldScenes(Dataset[HeldScene]):
    """The held-back scenes of some sources, one source after the other; of them every `world`-th from `rank` on.

    Scenes of a source with a planting get plates as in training, the same ones every time.
    """

    def __init__(
        self,
        sources: Mapping[str, Sequence[Scene]],
        rank: int = 0,
        world: int = 1,
        plantings: Mapping[str, Planting | None] | None = None,
    ) -> None:
        self.sources, self.plantings = sources, plantings or {}
        self.places = [(name, i) for name, scenes in sources.items() for i in range(len(scenes))][rank::world]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> HeldScene:
        name, i = self.places[index]
        scene = self.sources[name][i]
        try:
            image = read_image(scene.image)
        except UnreadableImage as error:
            return HeldScene(None, scene, f"{where_from(self.sources[name], i)}: {error}", name)
        planting = self.plantings.get(name)
        if planting is not None:
            image, plates = planting(image, scene.plates, np.random.default_rng((i, _HELD_SEED)))
            scene = replace(scene, plates=plates)
        return HeldScene(image, scene, "", name)


@dataclass(frozen=True)
class SceneSource:
    """One of the sets that are mixed in every batch.

    Attributes:
        name: for figures and messages; its key in data.sources.
        manifest: a CSV file or several, relative to the root of the data or absolute.
        share: its part of every batch, in proportion to the other sources' shares.
        split: only rows of this split; None for all.
        complete: whether every plate in its scenes is labelled. Where not, background that looks like a plate is
            not held against the detector.
        plant: plates of a country to put into its scenes, see `PlantSettings`; they have corners then.
    """

    name: str
    manifest: str | Sequence[str] = ""
    share: float = 1.0
    split: str | None = "train"
    complete: bool = True
    plant: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.manifest:
            raise ValueError(f"{SOURCES}.{self.name} has no manifest; expected a CSV table of labelled plates.")
        check_share(self.share, f"{SOURCES}.{self.name}.share")

    @property
    def files(self) -> list[str]:
        return [self.manifest] if isinstance(self.manifest, str) else list(self.manifest)


class LoadedSource(NamedTuple):
    """The scenes of a source."""

    settings: SceneSource
    manifest: Manifest
    train: Sequence[Scene]
    held: Sequence[Scene]
    unlocated: int  # scenes left out because one of their plates has neither corners nor box
    planting: Planting | None


class DetectionData(TaskData):
    """Scenes of one source or of a mixture.

    Args:
        manifest: CSV file or files, relative to `root` or absolute; one source.
        sources: instead of a manifest, the sources to mix by their names; see `SceneSource`.
        split: of the manifest's rows only those of this split; null for all.
        canvas: (height, width) px of training, multiples of 32.
        batch_size: per process.
        epoch_samples: images between two validations, over all processes; null for one pass over the scenes.
        holdout_fold: the tenth of the plates (0 to 9) that chooses checkpoints and is never trained on; scenes
            without a text go by the name of their image.
        workers: loader processes.
        geometry, pixels: see `SceneGeometry` and `PixelSettings`.
        mosaic: probability of a canvas with four scenes.
        max_side, cache_mb: see `Photographs`; the cache is one per loader process.
        strict: stop at a row, a plate or an image that cannot be used, instead of counting and skipping it.
        unreviewed: take drafts that nobody reviewed for labels, see `reviewed_alone`.

    Raises:
        ValueError: neither manifest nor sources, or both; two sources of one name; nothing to train or choose on.
    """

    def __init__(
        self,
        manifest: str | Sequence[str] | None = None,
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
        sources: Mapping[str, Mapping[str, Any]] | None = None,
        mosaic: float = 0.0,
        max_side: int | None = None,
        cache_mb: float = 0.0,
        unreviewed: bool = False,
    ) -> None:
        super().__init__()
        self.batch_size, self.workers, self.seed, self.strict = batch_size, workers, seed, strict
        self.canvas = (canvas[0], canvas[1])
        self.epoch_samples = epoch_samples
        self.geometry = SceneGeometry(**(geometry or {}))
        self.pixels = PixelAugment(PixelSettings(**(pixels or {})))
        self.mosaic, self.photographs = mosaic, Photographs(max_side, cache_mb)
        given = _settings(manifest, split, sources)
        splits = [None if source.split is None else [source.split] for source in given]
        files = [[Path(root) / name for name in source.files] for source in given]
        read = read_sources(list(zip(files, splits, strict=True)), strict, unreviewed)
        self.sources = [_loaded(source, rows, holdout_fold) for source, rows in zip(given, read, strict=True)]
        self.counts = shares([source.share for source in given], batch_size)
        self._unlearnt: int | None = 0  # canvases drawn so far, none with a plate to learn; None once there was one
        self.held = {source.settings.name: source.held for source in self.sources}
        self.plantings = {source.settings.name: source.planting for source in self.sources}
        if not any(self.held.values()):
            names = ", ".join(name for source in given for name in source.files)
            sizes = np.sum([source.manifest.located().fold_sizes() for source in self.sources], axis=0)
            raise ValueError(
                f"{names}: no scene with a located plate is held back (fold {holdout_fold}). {fold_advice(sizes)}"
            )

    @property
    def manifests(self) -> dict[str, str]:
        """SHA-256 by manifest."""
        return {", ".join(source.settings.files): source.manifest.sha256 for source in self.sources}

    def pictures(self, hashed: bool) -> dict[str, Sums]:
        return {", ".join(source.settings.files): picture_sums(source.manifest, hashed) for source in self.sources}

    def describe(self) -> str:
        """What trains and what chooses, in a sentence per source, for the start of a run."""
        lines = [
            f"{len(source.train)} scenes train, {len(source.held)} held-back scenes choose the checkpoint; "
            f"{len(source.manifest.rejected)} rows were rejected, {source.unlocated} scenes left out because "
            "a plate in them has neither corners nor box."
            + (f" {source.planting.describe()}" if source.planting else "")
            for source in self.sources
        ]
        if len(lines) == 1:
            return lines[0]
        named = zip(self.sources, self.counts, lines, strict=True)
        return "\n".join(
            [
                f"a mixture of {len(lines)} sources.",
                *(f"  {s.settings.name}, {count} of {self.batch_size}: {line}" for s, count, line in named),
            ]
        )

    def training_scenes(self) -> TrainingScenes:
        """The augmented canvases that train."""
        return TrainingScenes(
            [source.train for source in self.sources],
            self.canvas,
            self.geometry,
            self.pixels,
            self.seed,
            mosaic=self.mosaic,
            photographs=self.photographs,
            strict=self.strict,
            plantings=[source.planting for source in self.sources],
        )

    def preview(self, count: int) -> tuple[ImageArray, str]:
        sampler = StepSampler([len(source.train) for source in self.sources], self.counts, 1, self.seed)
        keys = [key for step in range(-(-count // self.batch_size)) for key in sampler.batch(step)]
        height, width = self.canvas
        return sheet_of(self.training_scenes(), keys[:count]), f"canvases of {width}x{height} px"

    def train_dataloader(self) -> DataLoader[DetectionSample]:
        sizes = [len(source.train) for source in self.sources]
        epoch = self.epoch_samples or sum(sizes)
        return training_loader(self, self.training_scenes(), sizes, self.counts, collate, epoch_samples=epoch)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """The batch as it is.

        Raises:
            ValueError: the first batches of a training hold no plate that is large enough to learn.
        """
        if self._unlearnt is not None and self.trainer is not None and self.trainer.training:
            self._check_learnable(batch[0])
        return batch

    def _check_learnable(self, batch: DetectionBatch) -> None:
        if bool((batch.kinds == PLATE).any()):
            self._unlearnt = None
            return
        self._unlearnt = (self._unlearnt or 0) + len(batch.kinds)
        if self._unlearnt >= _LEARNABLE_WITHIN / (self._share_with_plates() or 1.0):
            files = ", ".join(name for source in self.sources for name in source.settings.files)
            raise ValueError(
                f"{files}: the first {self._unlearnt} canvases of {self.canvas[0]}x{self.canvas[1]} px hold no plate "
                "that is large enough to learn. Boxes and corners are expected in px of their images, not as shares "
                "of them; `alpr data check` says what is wrong with a table."
            )

    def _share_with_plates(self) -> float:
        """The share of canvases whose scene has a plate."""
        shown = [1.0 if source.planting else _share_with_plates(source.train) for source in self.sources]
        return float(np.average(shown, weights=self.counts))

    def val_dataloader(self) -> DataLoader[HeldScene]:
        trainer = self.trainer
        assert trainer is not None
        mine = HeldScenes(self.held, trainer.global_rank, trainer.world_size, self.plantings)
        return DataLoader(mine, batch_size=8, collate_fn=list, num_workers=0)


def _share_with_plates(scenes: Sequence[Scene]) -> float:
    """The share of scenes that show a plate to learn."""
    return sum(any(not plate.ignored for plate in scene.plates) for scene in scenes) / max(1, len(scenes))


def _settings(
    manifest: str | Sequence[str] | None, split: str | None, sources: Mapping[str, Mapping[str, Any]] | None
) -> list[SceneSource]:
    if (manifest is None) == (not sources):
        both = "both are" if sources else "neither is"
        raise ValueError(f"The data are one data.manifest, or data.sources with data.manifest=null; {both} given.")
    if not sources:
        assert manifest is not None
        return [SceneSource(source_name(manifest), manifest, split=split)]
    notes: list[str] = []
    entries = named(sources, notes)
    note_older(notes)
    return [settings_of(SceneSource, entry, f"{SOURCES}.{name}", name=name) for name, entry in entries.items()]


def _loaded(source: SceneSource, rows: Manifest, fold: int) -> LoadedSource:
    """Holds back a tenth of a source's rows.

    Raises:
        ValueError: no scene that trains.
    """
    located = rows.located()
    train, held = (
        located.select(fold=fold, inside=inside).scenes(complete=source.complete) for inside in (False, True)
    )
    if not train:
        raise ValueError(
            f"{', '.join(source.files)}: no scene with a located plate trains (split {source.split!r})."
            + (f" {len(located.scenes())} scenes are held back by fold {fold}." if len(held) else "")
        )
    planting = Planting(PlantSettings(**source.plant)) if source.plant is not None else None
    return LoadedSource(source, rows, train, held, len(rows.scenes()) - len(located.scenes()), planting)
