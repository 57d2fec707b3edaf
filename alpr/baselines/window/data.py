"""Windows that train the network: rendered plates over the backgrounds of photographs, and backgrounds alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from alpr.baselines.window.windows import SIZE, Window, background, noisy, with_plate
from alpr.data.decoded_images import Photographs
from alpr.data.picture_sums import Sums, picture_sums
from alpr.data.sampling import SampleKey, shares
from alpr.data.several_tables import read_sources
from alpr.data.training_loader import training_loader
from alpr.images.prepare import UnreadableImage
from alpr.plates.charset import Charset
from alpr.plates.country import CountryPack
from alpr.plates.records import ImageArray, Scene
from alpr.reports import drawing
from alpr.synthetic.renderer import PlateRenderer
from alpr.task import TaskData

HELD_SEED = 11
_UNREADABLE = 5  # scenes in a row that cannot be read


class WindowBatch(NamedTuple):
    """N windows (N, 64, 128) uint8 grey, whether each shows a plate (N,), and its text (N, L), padded."""

    windows: Tensor
    present: Tensor
    slots: Tensor


class Windows:
    """Draws windows; the photographs of the scenes are their backgrounds."""

    def __init__(self, scenes: Sequence[Scene], renderer: PlateRenderer, photographs: Photographs) -> None:
        self.scenes, self.renderer, self.photographs = scenes, renderer, photographs

    def draw(self, plate: bool, rng: np.random.Generator) -> Window:
        """A window with a rendered plate, or a background alone.

        Raises:
            UnreadableImage: several photographs one after the other cannot be read.
        """
        behind = self._background(rng)
        return with_plate(behind, self.renderer, rng) if plate else Window(noisy(behind, rng), False, "")

    def _background(self, rng: np.random.Generator) -> ImageArray:
        for left in reversed(range(_UNREADABLE)):
            scene = self.scenes[int(rng.integers(len(self.scenes)))]
            try:
                image, scale = self.photographs.read(scene.image)
            except UnreadableImage:
                if not left:
                    raise
                continue
            return background(image, scene.plates, scale, rng)
        raise AssertionError


class TrainingWindows(Dataset[Window]):
    """Source 0 draws plates, source 1 backgrounds."""

    def __init__(self, windows: Windows, seed: int) -> None:
        self.windows, self.seed = windows, seed

    def __getitem__(self, key: SampleKey) -> Window:
        return self.windows.draw(key.source == 0, key.generator(self.seed))


class Collate:
    """Windows to a batch."""

    def __init__(self, charset: Charset, slots: int) -> None:
        self.charset, self.slots = charset, slots

    def __call__(self, windows: Sequence[Window]) -> WindowBatch:
        greys, there, texts = zip(*windows, strict=True)
        ids = [self.charset.encode_padded(text, self.slots, empty=True) for text in texts]
        return WindowBatch(
            torch.from_numpy(np.stack(greys)), torch.tensor(there, dtype=torch.float32), torch.tensor(ids)
        )


class WindowData(TaskData):
    """Plates of a country over photographs; the photographs of a tenth of the plates choose the checkpoint.

    Args:
        manifest: a table of photographs in which every plate is labelled with its place; their plates are never shown.
        root: what relative tables lie below.
        split: of the table's rows; null for all.
        country, layouts: see `CountryPack.reading`.
        backgrounds: the share of the windows that have no plate at all.
        batch_size, epoch_samples, workers, seed: as elsewhere.
        val_samples: windows that choose, the same ones each time.
        max_side, cache_mb: see `Photographs`.

    Raises:
        ValueError: no photograph to train or to choose on, or a share outside 0 to 1.
    """

    def __init__(
        self,
        manifest: str | Sequence[str],
        country: Mapping[str, Any],
        root: str = ".",
        split: str | None = "train",
        layouts: str | Sequence[str] | None = None,
        backgrounds: float = 0.3,
        batch_size: int = 50,
        epoch_samples: int = 20_000,
        val_samples: int = 500,
        holdout_fold: int = 0,
        workers: int = 1,
        max_side: int | None = 1280,
        cache_mb: float = 400,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 < backgrounds < 1:
            raise ValueError(f"data.backgrounds is {backgrounds}; expected a share between 0 and 1.")
        self.batch_size, self.epoch_samples, self.workers, self.seed = batch_size, epoch_samples, workers, seed
        self.counts = shares([1 - backgrounds, backgrounds], batch_size)
        self.val_samples = val_samples
        self.pack = CountryPack.from_dict(country).reading(layouts)
        self.files = [manifest] if isinstance(manifest, str) else list(manifest)
        paths = [Path(root) / name for name in self.files]
        self.rows = read_sources([(paths, None if split is None else [split])])[0].located()
        self.train, self.held = (
            list(self.rows.select(fold=holdout_fold, inside=inside).scenes()) for inside in (False, True)
        )
        if not self.train or not self.held:
            raise ValueError(
                f"{', '.join(self.files)}: {len(self.train)} photographs train and {len(self.held)} are held back "
                f"(fold {holdout_fold}); expected some of both."
            )
        self.photographs = Photographs(max_side, cache_mb)
        self.renderer = PlateRenderer(self.pack)

    @property
    def manifests(self) -> dict[str, str]:
        return {", ".join(self.files): self.rows.sha256}

    def pictures(self, hashed: bool) -> dict[str, Sums]:
        return {", ".join(self.files): picture_sums(self.rows, hashed)}

    def describe(self) -> str:
        return (
            f"a batch holds {self.counts[0]} windows with a rendered plate ({self.pack.name}) and {self.counts[1]} "
            f"backgrounds alone, over {len(self.train)} photographs; {self.val_samples} windows over {len(self.held)} "
            "others choose the checkpoint."
        )

    def training_windows(self) -> TrainingWindows:
        return TrainingWindows(Windows(self.train, self.renderer, self.photographs), self.seed)

    def preview(self, count: int) -> tuple[ImageArray, str]:
        windows = self.training_windows()
        drawn = [windows[SampleKey(int(i % 10 >= 7), 0, i)] for i in range(count)]
        greys = [np.repeat(window.grey[..., None], 3, axis=2) for window in drawn]
        return drawing.sheet(greys), f"windows of {SIZE[1]}x{SIZE[0]} px"

    def train_dataloader(self) -> DataLoader[Window]:
        collate = Collate(self.pack.charset, self.pack.slots)
        return training_loader(
            self, self.training_windows(), [None, None], self.counts, collate, epoch_samples=self.epoch_samples
        )

    def val_dataloader(self) -> DataLoader[Window]:
        trainer = self.trainer
        assert trainer is not None
        windows = Windows(self.held, self.renderer, self.photographs)
        mine = range(trainer.global_rank, self.val_samples, trainer.world_size)
        plates = self.counts[0] / self.batch_size
        drawn = [windows.draw(i < plates * self.val_samples, np.random.default_rng((HELD_SEED, i))) for i in mine]
        collate = Collate(self.pack.charset, self.pack.slots)
        return DataLoader(drawn, batch_size=50, collate_fn=collate, num_workers=0)  # type: ignore[arg-type]
