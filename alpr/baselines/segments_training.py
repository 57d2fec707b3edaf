"""How the classifier of characters is trained: on rendered plates, which know where their characters stand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.console import Console

from alpr.baselines.ink import dark_on_light
from alpr.baselines.scikit_learn import one_against_all
from alpr.baselines.segments import FILE, HISTOGRAMS, KIND, NO_CHARACTER, Outlines, Segments, histogram, patch_of
from alpr.plates.country import CountryPack
from alpr.plates.geometry import box_iou
from alpr.plates.records import FloatArray, ImageArray
from alpr.plates.values import read_as
from alpr.recognition.decode import softmax
from alpr.reports.progress import progress_bar
from alpr.synthetic.renderer import PlacedCrop, PlateRenderer
from alpr.task import TaskData

SHARPNESS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
"""Among these the held-back characters choose."""
SAME, OTHER = 0.6, 0.45
"""An outline that overlaps a character's cell by more is that character's; one that overlaps all by less is none."""
_SEED = 11


class Characters(NamedTuple):
    """Histograms (N, F) and classes (N,), 0 for what is no character."""

    features: FloatArray
    classes: npt.NDArray[np.int64]


class RenderedPlates(TaskData):
    """Rendered plates of a country.

    Args:
        country: a pack, as plain values.
        layouts: their names; None for those of the fewest rows, see `CountryPack.reading`.
        plates: that train.
        held: more, which are held back.
    """

    def __init__(
        self,
        country: Mapping[str, Any],
        layouts: list[str] | None = None,
        plates: int = 2000,
        held: int = 200,
        seed: int = 1,
    ) -> None:
        super().__init__()
        self.pack = CountryPack.from_dict(country).reading(layouts)
        self.plates, self.held, self.seed = plates, held, seed
        self.renderer = PlateRenderer(self.pack)
        self.renderer.check_fonts()

    @property
    def manifests(self) -> dict[str, str]:
        pack = json.dumps(self.pack.to_dict(), ensure_ascii=False, sort_keys=True)
        return {f"rendered plates of {self.pack.code}": hashlib.sha256(pack.encode()).hexdigest()}

    def describe(self) -> str:
        return f"{self.plates} rendered plates of {self.pack.name} train, {self.held} more are held back."

    def crops(self, size: tuple[int, int], held: bool) -> Iterator[PlacedCrop]:
        """Plates as crops (h, w, 3); each depends on the seed and its number alone."""
        first = self.plates if held else 0
        for number in range(first, first + (self.held if held else self.plates)):
            random = np.random.default_rng((self.seed, _SEED, number))
            text, layout = self.renderer.draw_text(random)
            yield self.renderer.crop_of(text, layout, random, size, 0.0)


class CharacterTraining:
    """Trains the classes of `Segments`; see `alpr.training.one_pass`.

    Args:
        outlines: see `Outlines`.
        none: outlines of a plate that are no character, at most.
        jittered: boxes drawn about every character besides the outline that was found of it.
        c: the weight of errors, scikit-learn's C.
    """

    kind = KIND
    monitor = "accuracy"

    def __init__(
        self, outlines: Mapping[str, Any] | None = None, none: int = 6, jittered: int = 1, c: float = 0.3, seed: int = 1
    ) -> None:
        self.outlines = read_as(Outlines, dict(outlines or {}), ("outlines",))
        self.none, self.jittered, self.c, self.seed = none, jittered, c, seed

    def fit_whole(self, data: RenderedPlates, folder: Path) -> Mapping[str, float]:
        """Trains and writes `characters.safetensors`; the figures are those of plates that were held back."""
        train, held = self._characters(data, held=False), self._characters(data, held=True)
        charset = data.pack.charset
        known, labels = np.unique(train.classes, return_inverse=True)
        found, offsets = one_against_all(train.features, labels.tolist(), self.c, self.seed)
        weights = np.zeros((len(charset), HISTOGRAMS.getDescriptorSize()), np.float32)
        biases = np.full(len(charset), -10.0, np.float32)  # of a symbol that no plate shows
        weights[known], biases[known] = found, offsets
        margins = held.features @ weights.T + biases
        sharpness = min(SHARPNESS, key=lambda s: _loss(s * margins, held.classes))
        reader = Segments(charset, weights, biases, sharpness, data.pack.slots, self.outlines)
        characters = held.classes != NO_CHARACTER
        right = margins.argmax(axis=1) == held.classes
        figures = {
            "accuracy": float(right[characters].mean()),
            "rejected": float(right[~characters].mean()) if (~characters).any() else 1.0,
            "plates_read": self._read(reader, data),
        }
        reader.write(folder / FILE, figures)
        return figures

    def _characters(self, data: RenderedPlates, held: bool) -> Characters:
        features: list[FloatArray] = []
        classes: list[int] = []
        total = data.held if held else data.plates
        with progress_bar("plates", Console(stderr=True)) as bar:
            task = bar.add_task("held back" if held else "characters", total=total)
            for number, placed in enumerate(data.crops(self.outlines.size, held)):
                random = np.random.default_rng((self.seed, number, int(held)))
                for box, symbol in self._boxes(placed, data.pack.charset.encode(placed.text), random, held):
                    features.append(histogram(patch_of(self._grey(placed.crop), box)))
                    classes.append(symbol)
                bar.advance(task)
        return Characters(np.array(features, np.float32), np.array(classes))

    def _grey(self, crop: ImageArray) -> ImageArray:
        return dark_on_light(crop)

    def _boxes(
        self, placed: PlacedCrop, symbols: list[int], random: np.random.Generator, held: bool
    ) -> Iterator[tuple[FloatArray, int]]:
        """Boxes with their classes: outlines as they are found, and cells moved a little."""
        height, width = self.outlines.size
        cells = placed.places * np.array([width, height, width, height])
        outlines = np.array(self.outlines.boxes(self._grey(placed.crop))).reshape(-1, 4)
        overlaps = box_iou(outlines, cells)
        best = overlaps.max(axis=1, initial=0.0)
        for i in np.flatnonzero(best > SAME):
            yield outlines[i], symbols[int(overlaps[i].argmax())]
        others = np.flatnonzero(best < OTHER)
        for i in random.permutation(others)[: len(others) if held else self.none]:
            yield outlines[i], NO_CHARACTER
        for cell, symbol in () if held else zip(cells, symbols, strict=True):
            for _ in range(self.jittered):
                moved = random.normal(0, 0.04, 4) * np.tile([cell[2] - cell[0], cell[3] - cell[1]], 2)
                yield cell + moved, symbol

    def _read(self, reader: Segments, data: RenderedPlates) -> float:
        """The share of held-back plates whose whole text is read."""
        right = [reader.read_crop(placed.crop).text == placed.text for placed in data.crops(self.outlines.size, True)]
        return float(np.mean(right)) if right else 0.0


def _loss(logits: FloatArray, classes: npt.NDArray[np.int64]) -> float:
    shares = softmax(logits)[np.arange(len(classes)), classes]
    return float(-np.log(np.maximum(shares, 1e-9)).mean())
