"""Which plates train the recogniser, in which mixture, and which held-back plates choose among its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from alpr.data.augment import PixelAugment, PixelSettings
from alpr.data.crop_corners import DETECTOR, Detect
from alpr.data.sampling import StepSampler
from alpr.data.training_loader import training_loader
from alpr.files import file_sha256
from alpr.plates.charset import replaced
from alpr.plates.country import ALL_LAYOUTS, CountryPack
from alpr.plates.records import FloatArray, ImageArray
from alpr.recognition.data import (
    CropCollate,
    CropSource,
    LabelledCrop,
    RecognitionSample,
    TrainingCrops,
    ValidationPlate,
    ValidationPlates,
)
from alpr.recognition.mixture.balance import balanced_weights
from alpr.recognition.mixture.character_exchange import CharacterExchange
from alpr.recognition.mixture.crops import CropGeometry, PhotographedCrops, RenderedCrops
from alpr.recognition.mixture.negatives import NegativeCrops
from alpr.recognition.mixture.sources import LoadedPlates, PlateSource, RenderedPlates
from alpr.recognition.preview import sheet_of
from alpr.recognition.targets import marginal_entropy
from alpr.task import OpenDetector, TaskData

ENTROPY_DRAWS = 5000


class RecognitionData(TaskData):
    """Plates of manifests mixed with rendered plates and with crops that show no plate.

    Args:
        country: see `CountryPack`.
        layouts: which of its layouts are read and rendered, see `CountryPack.reading`.
        manifest: CSV file or files, relative to `root` or absolute; one source.
        sources: instead of a manifest, the sources to mix; see `PlateSource`.
        split: of the manifest's rows only those of this split; null for all.
        plates: only so many of the manifest's plates; see `PlateSource`.
        synthetic: rendered plates per batch and process.
        real: plates of the manifest per batch and process.
        negatives: crops without a plate per batch and process, with the text "".
        size, margin: of the crops, as the predictor makes them.
        epoch_samples: crops between two validations, over all processes.
        holdout_fold: the tenth of the plates (0 to 9) that chooses checkpoints and is never trained on.
        geometry, pixels: see `CropGeometry` and `PixelSettings`; they change real crops, rendered ones have their own.
        balance: see `balanced_weights`; a source may have its own.
        replace: characters to put in place of others in all labels, such as {O: "0"}; a source's own come on top.
        detector: a bundle or a run whose corners cut the plates of sources with `crops: detector`; see `find_corners`.
        cache_mb: see `PhotographedCrops`; shared by the sources.
        glyph_bank: glyphs of real plates for the rendered ones (alpr synth glyphs), relative to `root`.
        bank_share: how many rendered plates take them.
        without: ingredients that rendered plates lack, see `alpr.synthetic.renderer.INGREDIENTS`.
        countries, kinds: what the batches' indices point into: the labels of the network's heads.
        rendered: rendered plates of more countries, by any name; see `RenderedPlates`. The alphabet stays `country`'s.
        strict: stop at a row, label or image that cannot be used, instead of counting and skipping it.

    Raises:
        ValueError: neither manifest nor sources, or both; two sources of one name; no plate to train on or to choose
            by; rendered plates that the country pack cannot spell; a country or kind that no plate has; or (strict) a
            label outside the alphabet or the slots.
    """

    def __init__(
        self,
        country: Mapping[str, Any],
        manifest: str | Sequence[str] | None = None,
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
        sources: Sequence[Mapping[str, Any]] | None = None,
        negatives: int = 0,
        balance: float = 0.0,
        replace: Mapping[str, Any] | None = None,
        detector: str | None = None,
        cache_mb: float = 400.0,
        countries: Sequence[str] = (),
        kinds: Sequence[str] = (),
        rendered: Mapping[str, Mapping[str, Any]] | None = None,
        glyph_bank: str | None = None,
        bank_share: float = 0.8,
        without: Sequence[str] = (),
        plates: int | None = None,
        layouts: str | Sequence[str] | None = ALL_LAYOUTS,
    ) -> None:
        super().__init__()
        self.pack = CountryPack.from_dict(country).reading(layouts)
        own = RenderedPlates(country, synthetic, glyph_bank, bank_share, without, layouts)
        self.rendered = [own, *(_rendered(name, settings) for name, settings in (rendered or {}).items())]
        self.renderers = [each.renderer(Path(root), self.pack) for each in self.rendered]
        self.bank_files = [Path(root) / each.glyph_bank for each in self.rendered if each.glyph_bank is not None]
        self.size, self.margin = (size[0], size[1]), margin
        self.epoch_samples, self.workers, self.strict, self.seed = epoch_samples, workers, strict, seed
        self.negatives, self.balance, self.cache_mb = negatives, balance, cache_mb
        self.geometry, self.pixels = dict(geometry or {}), dict(pixels or {})
        self.countries, self.kinds = list(countries), list(kinds)
        CropGeometry(**self.geometry), PixelAugment(PixelSettings(**self.pixels))  # refuse them before the work
        self.replace = dict(replace or {})
        given = _settings(manifest, split, plates, real, sources, self.replace)
        if self.synthetic + sum(source.samples for source in given) < 1:
            names = "data.real" if sources is None else "the samples of data.sources"
            raise ValueError(f"data.synthetic and {names} are both 0; expected at least one crop per batch.")
        self.sources = [LoadedPlates(source, Path(root), holdout_fold, strict) for source in given]
        self.holdout_fold, self.detector = holdout_fold, detector
        finders = [source.label for source in given if source.crops == DETECTOR]
        if finders and detector is None:
            raise ValueError(f"{', '.join(finders)}: crops is 'detector', but data.detector names no bundle or run.")
        if not finders:
            self.detector = None
            self._cut_all(None, Path())

    def prepare(self, folder: Path, open_detector: OpenDetector) -> None:
        """Finds the corners by the detector that the data name, where sources ask for them."""
        if self.detector is not None:
            detect, checksum = open_detector(Path(self.detector))
            self.find_corners(detect, folder / f"found_corners_{checksum[:12]}.csv")

    def find_corners(self, detect: Detect, table: Path) -> None:
        """Cuts the plates by what a detector finds, where sources ask for it; to be called once, before training.

        Args:
            table: where what is found is kept, see `alpr.data.crop_corners.find_corners`.
        """
        self._cut_all(detect, table)

    def _cut_all(self, detect: Detect | None, table: Path) -> None:
        others = {plates.country.code: plates.country for plates in reversed(self.rendered)}
        for source in self.sources:
            source.cut(self.pack, None if detect is None else source.find(detect, table), others)
        trains = sum(len(source.train) for source in self.sources)
        if not (trains and self.val_plates):
            files = ", ".join(name for source in self.sources for name in source.settings.files)
            splits = ", ".join(sorted({repr(source.settings.split) for source in self.sources}))
            raise ValueError(
                f"{files}: {trains} plates train and {len(self.val_plates)} are held back (split {splits}); "
                f"expected some of each. {' '.join(self.refused[:3])}"
            )
        empty = [s.settings.label for s in self.sources if s.settings.samples and not s.train]
        if empty:
            raise ValueError(f"{', '.join(empty)}: no plate trains, but samples of every batch are to come from there.")
        for label, names, known in zip(("country", "kind"), (self.countries, self.kinds), self._labels(), strict=True):
            lacking = [name for name in names if name not in known]
            if lacking:
                raise ValueError(
                    f"No plate that trains has the {label} {', '.join(map(repr, lacking))}, which the network is to "
                    f"tell apart; there are {', '.join(map(repr, sorted(known))) or 'no labels'}."
                )

    def _labels(self) -> tuple[set[str], set[str]]:
        """The countries and the kinds of the plates that train."""
        packs = [r.pack for plates, r in zip(self.rendered, self.renderers, strict=True) if plates.samples]
        crops = [crop for source in self.sources if source.settings.samples for crop in source.train]
        countries = {pack.code for pack in packs} | {crop.country for crop in crops if crop.country}
        drawn = {layout.kind for pack in packs for layout in pack.layouts if layout.share > 0 and layout.kind}
        return countries, drawn | {crop.kind for crop in crops if crop.kind}

    @property
    def train_plates(self) -> list[LabelledCrop]:
        """The plates of all sources that train."""
        return [crop for source in self.sources for crop in source.train]

    @property
    def val_plates(self) -> list[LabelledCrop]:
        """The held-back plates of all sources."""
        return [crop for source in self.sources for crop in source.held]

    @property
    def refused(self) -> list[str]:
        """A sentence about every label, size or file that cannot be used."""
        return [sentence for source in self.sources for sentence in source.refused]

    @property
    def manifests(self) -> dict[str, str]:
        """SHA-256 by manifest, and of the glyph banks."""
        tables = {", ".join(source.settings.files): source.manifest.sha256 for source in self.sources}
        return {**tables, **{file.name: file_sha256(file) for file in self.bank_files}}

    @property
    def synthetic(self) -> int:
        """Rendered crops of every batch and process."""
        return sum(plates.samples for plates in self.rendered)

    @property
    def counts(self) -> list[int]:
        """Crops of every batch and process: rendered of each country, of each source, negatives."""
        rendered = [plates.samples for plates in self.rendered]
        return [*rendered, *(source.settings.samples for source in self.sources), self.negatives]

    def weights(self) -> list[FloatArray | None]:
        """How often each plate of a source is drawn, in the order of `counts`; None for all alike."""
        powers = [s.settings.balance if s.settings.balance is not None else self.balance for s in self.sources]
        balanced = [
            balanced_weights([crop.text for crop in source.train], power) if power and source.train else None
            for source, power in zip(self.sources, powers, strict=True)
        ]
        return [*[None] * len(self.rendered), *balanced, None]

    def label_entropy(self) -> float:
        """The marginal entropy of the mixture's labels in nats per slot, by 5000 draws."""
        texts = [text for texts in self._drawn_texts().values() for text in texts]
        return marginal_entropy(texts, self.pack.charset, self.pack.slots)

    def kind_entropy(self) -> float:
        """The same where the kind of a plate is known: a rendered one's layout, any other's source.

        A network that sees only colour and length comes down to about here, without reading a character.
        """
        kinds = self._drawn_texts().values()
        whole = sum(map(len, kinds))
        return sum(len(texts) / whole * marginal_entropy(texts, self.pack.charset, self.pack.slots) for texts in kinds)

    def _drawn_texts(self) -> dict[tuple[str, str], list[str]]:
        """About 5000 texts as training draws them, by their kind."""
        rng, packs = np.random.default_rng(self.seed), len(self.renderers)
        drawn = [ENTROPY_DRAWS * count // sum(self.counts) for count in self.counts]
        kinds: dict[tuple[str, str], list[str]] = {}
        for renderer, count in zip(self.renderers, drawn, strict=False):
            for _ in range(count):
                text, layout = renderer.draw_text(rng)
                kind = f"rendered {renderer.pack.code}", layout.name
                kinds.setdefault(kind, []).append(replaced(text, self.replace))
        for source, count, weights in zip(self.sources, drawn[packs:-1], self.weights()[packs:-1], strict=True):
            if count:
                texts = [source.train[i].text for i in rng.choice(len(source.train), size=count, p=weights)]
                kinds["source", source.settings.label] = texts
        if drawn[-1]:
            kinds["negatives", ""] = [""] * drawn[-1]
        return kinds

    def describe(self) -> str:
        """What trains and what chooses, in a sentence per source, for the start of a run."""
        more = f", and {self.negatives} crops without a plate" if self.negatives else ""
        real = sum(source.settings.samples for source in self.sources)
        batch = f"a batch holds {self.synthetic} rendered and {real} real crops{more}."
        if len(self.sources) == 1:
            return f"{batch} {self.sources[0].describe()}"
        lines = [
            f"  {s.settings.label}, {s.settings.samples} ({s.settings.crops}): {s.describe()}" for s in self.sources
        ]
        return "\n".join([f"a mixture of {len(lines)} sources; {batch}", *lines])

    def training_crops(self) -> TrainingCrops:
        """The augmented crops that train: rendered ones, those of each source, negatives."""
        crops: list[CropSource] = [
            RenderedCrops(renderer, self.size, self.margin, self.replace) for renderer in self.renderers
        ]
        drawn_from = max(1, sum(source.settings.samples > 0 for source in self.sources))
        for source in self.sources:
            crops.append(self._photographed(source, self.cache_mb / drawn_from))
        scenes = [found for source in self.sources if (found := source.negative_scenes()) is not None]
        pixels = PixelAugment(PixelSettings(**self.pixels))
        crops.append(NegativeCrops(scenes, self.renderers[0], self.size, self.margin, pixels))
        return TrainingCrops(crops, self.seed, self.strict)

    def _photographed(self, source: LoadedPlates, cache_mb: float) -> PhotographedCrops:
        settings = source.settings
        exchange = None
        if settings.permute or settings.rendered_first:
            exchange = CharacterExchange(source.train, self.pack, settings.rectified, self.renderers[0])
        return PhotographedCrops(
            source.train,
            self.size,
            self.margin,
            CropGeometry(**{**self.geometry, **settings.geometry}),
            PixelAugment(PixelSettings(**{**self.pixels, **settings.pixels})),
            exchange,
            settings.permute,
            cache_mb,
            settings.rendered_first,
        )

    def preview(self, count: int) -> tuple[ImageArray, str]:
        crops = self.training_crops()
        sampler = StepSampler([s.size for s in crops.sources], self.counts, 1, self.seed, weights=self.weights())
        keys = [key for step in range(-(-count // sum(self.counts))) for key in sampler.batch(step)]
        return sheet_of(crops, keys[:count], self.size), f"crops of {self.size[1]}x{self.size[0]} px"

    def train_dataloader(self) -> DataLoader[RecognitionSample]:
        crops = self.training_crops()
        collate = CropCollate(self.pack.charset, self.pack.slots, self.countries, self.kinds)
        sizes = [source.size for source in crops.sources]
        return training_loader(
            self, crops, sizes, self.counts, collate, epoch_samples=self.epoch_samples, weights=self.weights()
        )

    def val_dataloader(self) -> DataLoader[ValidationPlate]:
        trainer = self.trainer
        assert trainer is not None
        mine = self.val_plates[trainer.global_rank :: trainer.world_size]
        return DataLoader(ValidationPlates(mine), batch_size=32, collate_fn=list, num_workers=0)


def _rendered(name: str, settings: Mapping[str, Any]) -> RenderedPlates:
    if "pack" not in settings:
        raise ValueError(
            f"data.rendered.{name} has no country pack; expected an entry of the experiment's defaults such as "
            f"`- /country@data.rendered.{name}.pack: {name}`."
        )
    return RenderedPlates(**settings)


def _settings(
    manifest: str | Sequence[str] | None,
    split: str | None,
    plates: int | None,
    real: int,
    sources: Sequence[Mapping[str, Any]] | None,
    replace: Mapping[str, Any],
) -> list[PlateSource]:
    if (manifest is None) == (not sources):
        both = "both are" if sources else "neither is"
        raise ValueError(f"The data are one data.manifest, or data.sources with data.manifest=null; {both} given.")
    if not sources:
        assert manifest is not None
        return [PlateSource(manifest, real, split, plates, replace=replace)]
    given = [PlateSource(**{**source, "replace": {**replace, **source.get("replace", {})}}) for source in sources]
    labels = [source.label for source in given]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"Two of data.sources are called {', '.join(twice)}; give one of them a name of its own.")
    return given
