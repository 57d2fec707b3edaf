"""Which plates train the recogniser, in which mixture, and which held-back plates choose among its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from alpr.data.augment import PixelAugment, PixelSettings
from alpr.data.crop_corners import DETECTOR, Detect
from alpr.data.manifest import fold_advice
from alpr.data.picture_sums import Sums, picture_sums
from alpr.data.sampling import StepSampler
from alpr.data.several_tables import read_sources
from alpr.data.source_settings import SOURCES, batch_counts, check_share, note_older, settings_of
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
from alpr.recognition.mixture.crops import CropGeometry, PhotographedCrops, RenderedCrops, Unfolding
from alpr.recognition.mixture.negatives import NegativeCrops
from alpr.recognition.mixture.one_form import one_form
from alpr.recognition.mixture.sources import (
    OWN,
    WHERE_RENDERED,
    LoadedPlates,
    PlateSource,
    RenderedPlates,
)
from alpr.recognition.preview import sheet_of
from alpr.recognition.targets import marginal_entropy
from alpr.task import OpenDetector, TaskData

ENTROPY_DRAWS = 5000


@dataclass(frozen=True)
class CropSettings:
    """Size (height, width) in px and margin of the crops, as the predictor makes them."""

    size: Sequence[int] = (48, 192)
    margin: float = 0.04


@dataclass(frozen=True)
class AugmentSettings:
    """How real crops are changed, see `CropGeometry` and `PixelSettings`; rendered ones have their own settings."""

    geometry: Mapping[str, Any] = field(default_factory=dict)
    pixels: Mapping[str, Any] = field(default_factory=dict)

    def geometry_of(self, source: Mapping[str, Any]) -> CropGeometry:
        """With what a source has of its own."""
        return CropGeometry(**{**self.geometry, **source})

    def pixels_of(self, source: Mapping[str, Any]) -> PixelAugment:
        """With what a source has of its own."""
        return PixelAugment(PixelSettings(**{**self.pixels, **source}))


@dataclass(frozen=True)
class HeadSettings:
    """What the batches' indices point into: the labels of the network's heads."""

    countries: Sequence[str] = ()
    kinds: Sequence[str] = ()
    row_cuts: Sequence[float] = ()


def recognition_data(**settings: Any) -> RecognitionData:
    """The data of settings in their one form, a short one or an older one; of an older one a note is printed.

    Raises:
        ValueError: see `one_form` and `RecognitionData`.
    """
    found = one_form(settings)
    note_older(found.notes)
    return RecognitionData(**found.settings)


class RecognitionData(TaskData):
    """Plates of labelled sets mixed with rendered plates and with crops that show no plate.

    Args:
        country: see `CountryPack`.
        sources: the labelled sets by their names; see `PlateSource`.
        rendered: what is rendered, by the packs' names; see `RenderedPlates`. None for the run's country alone.
        layouts: which layouts of the country are read and rendered, see `CountryPack.reading`.
        root: what manifests and glyph banks are relative to.
        negatives: the share of crops without a plate, with the text "".
        batch_size: crops of every batch and process, see `batch_counts`; None for the sum of the shares.
        replace: characters to put in place of others in all labels, such as {O: "0"}; a source's own come on top.
        detector: a bundle or a run whose corners cut the plates of sources with `crops: detector`; see `find_corners`.
        crop, augment, heads: see `CropSettings`, `AugmentSettings` and `HeadSettings`.
        epoch_samples: crops between two validations, over all processes.
        holdout_fold: the tenth of the plates (0 to 9) that chooses checkpoints and is never trained on.
        workers: loader processes.
        cache_mb: see `PhotographedCrops`; shared by the sources.
        strict: stop at a row, label or image that cannot be used, instead of counting and skipping it.
        unreviewed: take drafts that nobody reviewed for labels, see `reviewed_alone`.

    Raises:
        ValueError: a source, a pack or shares that are wrong; no plate to train on or to choose by; rendered plates
            that the country pack cannot spell; a country or kind that no plate has; or (strict) a label outside the
            alphabet or the slots.
    """

    def __init__(
        self,
        country: Mapping[str, Any],
        sources: Mapping[str, Mapping[str, Any]],
        rendered: Mapping[str, Mapping[str, Any]] | None = None,
        layouts: str | Sequence[str] | None = ALL_LAYOUTS,
        root: str = ".",
        negatives: float = 0,
        batch_size: int | None = None,
        replace: Mapping[str, Any] | None = None,
        detector: str | None = None,
        crop: Mapping[str, Any] | None = None,
        augment: Mapping[str, Any] | None = None,
        heads: Mapping[str, Any] | None = None,
        epoch_samples: int = 20_000,
        holdout_fold: int = 0,
        workers: int = 1,
        cache_mb: float = 400.0,
        strict: bool = False,
        seed: int = 0,
        unreviewed: bool = False,
    ) -> None:
        super().__init__()
        whole = CountryPack.from_dict(country)
        self.pack = whole.reading(layouts)
        self.rendered = RenderedPlates.each(rendered)
        packs = {each.name: whole if each.name == OWN else each.whole_pack() for each in self.rendered}
        self.renderers = [
            each.renderer(Path(root), self.pack if each.name == OWN else packs[each.name], self.pack)
            for each in self.rendered
        ]
        self.bank_files = [Path(root) / each.glyph_bank for each in self.rendered if each.glyph_bank is not None]
        cut = settings_of(CropSettings, crop or {}, "data.crop")
        self.size, self.margin = (cut.size[0], cut.size[1]), cut.margin
        self.augment = settings_of(AugmentSettings, augment or {}, "data.augment")
        self.augment.geometry_of({}), self.augment.pixels_of({})  # refuse them before the work
        labels = settings_of(HeadSettings, heads or {}, "data.heads")
        self.countries, self.kinds = list(labels.countries), list(labels.kinds)
        self.row_cuts = list(labels.row_cuts)
        self.unfolding = Unfolding() if self.row_cuts else None
        self.epoch_samples, self.workers, self.strict, self.seed = epoch_samples, workers, strict, seed
        self.cache_mb, self.replace = cache_mb, dict(replace or {})
        given = PlateSource.each(sources)
        self.counts = self._counts(given, negatives, batch_size)
        asked = [
            ([Path(root) / name for name in source.files], None if source.split is None else [source.split])
            for source in given
        ]
        self.sources = [
            LoadedPlates(source, Path(root), rows, holdout_fold, strict, {**self.replace, **source.replace})
            for source, rows in zip(given, read_sources(asked, strict, unreviewed), strict=True)
        ]
        self._whole = {packs[each.name].code: packs[each.name] for each in reversed(self.rendered)}
        self.holdout_fold, self.detector = holdout_fold, detector
        finders = [source.name for source in given if source.crops == DETECTOR]
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

    def _counts(self, sources: Sequence[PlateSource], negatives: float, batch_size: int | None) -> list[int]:
        """Crops of every batch and process: rendered of each country, of each source, negatives."""
        check_share(negatives, "data.negatives")
        shares = {f"{WHERE_RENDERED}.{each.name}": each.share for each in self.rendered}
        shares |= {f"{SOURCES}.{source.name}": source.share for source in sources}
        return batch_counts({**shares, "data.negatives": negatives}, batch_size)

    def _cut_all(self, detect: Detect | None, table: Path) -> None:
        for source in self.sources:
            source.cut(self.pack, None if detect is None else source.find(detect, table), self._whole)
        trains = sum(len(source.train) for source in self.sources)
        if not (trains and self.val_plates):
            files = ", ".join(name for source in self.sources for name in source.settings.files)
            splits = ", ".join(sorted({repr(source.settings.split) for source in self.sources}))
            raise ValueError(
                f"{files}: {trains} plates train and {len(self.val_plates)} are held back (split {splits}); "
                f"expected some of each. {' '.join(self.refused[:3])}"
                + ("" if self.val_plates else self._fold_advice())
            )
        empty = [source.settings.name for source, count in self._drawn_sources() if not source.train]
        if empty:
            raise ValueError(f"{', '.join(empty)}: no plate trains, but a share of every batch is to come from there.")
        for label, names, known in zip(("country", "kind"), (self.countries, self.kinds), self._labels(), strict=True):
            lacking = [name for name in names if name not in known]
            if lacking:
                raise ValueError(
                    f"No plate that trains has the {label} {', '.join(map(repr, lacking))}, which the network is to "
                    f"tell apart; there are {', '.join(map(repr, sorted(known))) or 'no labels'}."
                )

    def _fold_advice(self) -> str:
        sizes = np.sum([source.manifest.fold_sizes() for source in self.sources], axis=0)
        return f" Fold {self.holdout_fold} holds none back. {fold_advice(sizes)}"

    def _labels(self) -> tuple[set[str], set[str]]:
        """The countries and the kinds of the plates that train."""
        drawing = zip(self.rendered, self.renderers, self.counts, strict=False)
        rendered = [(each.country, renderer.pack) for each, renderer, count in drawing if count]
        crops = [crop for source, _ in self._drawn_sources() for crop in source.train]
        countries = {country or pack.code for country, pack in rendered} | {
            crop.country for crop in crops if crop.country
        }
        drawn = {layout.kind for _, pack in rendered for layout in pack.layouts if layout.share > 0 and layout.kind}
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

    def pictures(self, hashed: bool) -> dict[str, Sums]:
        return {", ".join(source.settings.files): picture_sums(source.manifest, hashed) for source in self.sources}

    def _drawn_sources(self) -> list[tuple[LoadedPlates, int]]:
        """The sources that crops of a batch come from, and how many."""
        counts = self.counts[len(self.rendered) : -1]
        return [(source, count) for source, count in zip(self.sources, counts, strict=True) if count]

    def weights(self) -> list[FloatArray | None]:
        """How often each plate of a source is drawn, in the order of `counts`; None for all alike."""
        powers = [source.settings.balance for source in self.sources]
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
        for each, renderer, count in zip(self.rendered, self.renderers, drawn, strict=False):
            for _ in range(count if each.read else 0):
                text, layout = renderer.draw_text(rng)
                kind = f"rendered {renderer.pack.code}", layout.name
                kinds.setdefault(kind, []).append(replaced(text, {**self.replace, **each.replace}))
        for source, count, weights in zip(self.sources, drawn[packs:-1], self.weights()[packs:-1], strict=True):
            if count and source.settings.read:
                texts = [source.train[i].text for i in rng.choice(len(source.train), size=count, p=weights)]
                kinds["source", source.settings.name] = texts
        if drawn[-1]:
            kinds["negatives", ""] = [""] * drawn[-1]
        return kinds

    def describe(self) -> str:
        """What trains and what chooses, a line per source with its share of a batch, for the start of a run."""
        whole, packs = sum(self.counts), len(self.rendered)
        rendered, negatives = sum(self.counts[:packs]), self.counts[-1]
        more = f", and {negatives} crops without a plate" if negatives else ""
        several = f"a mixture of {len(self.sources)} sources; " if len(self.sources) > 1 else ""
        real = whole - rendered - negatives
        lines = [f"{several}a batch holds {rendered} rendered and {real} real crops{more}."]
        for each, renderer, count in zip(self.rendered, self.renderers, self.counts, strict=False):
            bank = f", {each.bank_share:.0%} of them with {each.glyph_bank}" if each.glyph_bank else ""
            if count:
                lines.append(f"  rendered {each.name} ({renderer.pack.name}), {count} of {whole}{bank}")
        for source, count in zip(self.sources, self.counts[packs:-1], strict=True):
            lines.append(f"  {source.settings.name}, {count} of {whole} ({source.settings.crops}): {source.describe()}")
        return "\n".join(lines)

    def training_crops(self) -> TrainingCrops:
        """The augmented crops that train: rendered ones, those of each source, negatives."""
        crops: list[CropSource] = [
            RenderedCrops(
                renderer,
                self.size,
                self.margin,
                {**self.replace, **each.replace},
                each.read,
                self.unfolding,
                each.country,
            )
            for each, renderer in zip(self.rendered, self.renderers, strict=True)
        ]
        drawn_from = max(1, len(self._drawn_sources()))
        crops += [self._photographed(source, self.cache_mb / drawn_from) for source in self.sources]
        scenes = [found for source in self.sources if (found := source.negative_scenes()) is not None]
        pixels = self.augment.pixels_of({})
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
            self.augment.geometry_of(settings.geometry),
            self.augment.pixels_of(settings.pixels),
            exchange,
            settings.permute,
            cache_mb,
            settings.rendered_first,
            settings.read,
            self.unfolding,
        )

    def preview(self, count: int) -> tuple[ImageArray, str]:
        crops = self.training_crops()
        sampler = StepSampler([s.size for s in crops.sources], self.counts, 1, self.seed, weights=self.weights())
        keys = [key for step in range(-(-count // sum(self.counts))) for key in sampler.batch(step)]
        return sheet_of(crops, keys[:count], self.size), f"crops of {self.size[1]}x{self.size[0]} px"

    def train_dataloader(self) -> DataLoader[RecognitionSample]:
        crops = self.training_crops()
        collate = CropCollate(self.pack.charset, self.pack.slots, self.countries, self.kinds, self.row_cuts)
        sizes = [source.size for source in crops.sources]
        return training_loader(
            self, crops, sizes, self.counts, collate, epoch_samples=self.epoch_samples, weights=self.weights()
        )

    def val_dataloader(self) -> DataLoader[ValidationPlate]:
        trainer = self.trainer
        assert trainer is not None
        mine = self.val_plates[trainer.global_rank :: trainer.world_size]
        return DataLoader(ValidationPlates(mine), batch_size=32, collate_fn=list, num_workers=0)
