"""One labelled set as a source of the recogniser's training: its settings, and what is read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from alpr.data.crop_corners import CORNERS, CROPS, DETECTOR, Detect, FoundCorners, find_corners
from alpr.data.manifest import Manifest, Scenes
from alpr.plates.charset import replaced
from alpr.plates.country import ALL_LAYOUTS, CountryPack
from alpr.recognition.data import LabelledCrop, labelled_crops
from alpr.recognition.mixture.usable_labels import usable
from alpr.synthetic.glyph_bank import GlyphBank
from alpr.synthetic.renderer import PlateRenderer


@dataclass(frozen=True)
class PlateSource:
    """One of the sets that are mixed in every batch.

    Attributes:
        manifest: a CSV file or several, relative to the root of the data or absolute.
        samples: its crops in every batch and process; 0 only holds back plates to choose by.
        split: only rows of this split; None for all.
        plates: only so many plates of these, a tenth of them held back; see `Manifest.plates`. None for all.
        name: for figures and messages; the manifest's folder where none is given.
        crops: by which corners plates are cut: `corners` (labelled), `box` (upright), or `detector` (found by
            data.detector). Ready-made crops are taken as they are.
        complete: whether every plate in its photographs is labelled; only then is their background cut as negatives.
        replace: characters to put in place of others in the labels, such as {O: "0"}.
        kind: of all its plates, where its table has no column `colour`; see `kind_label`.
        balance: see `balanced_weights`; None for data.balance.
        permute: probability that characters of other plates take the place of a plate's own.
        rendered_first: probability that a rendered character takes the place of a plate's first: provinces.
        rectified: whether ready-made crops show the plate upright and to its edges, so that their characters can be
            replaced too; where a crop's do not stand where they should, they stay.
        geometry: settings of `CropGeometry` that differ from the augmentation's.
        pixels: settings of `PixelSettings` that differ from the augmentation's.

    Raises:
        ValueError: a value out of its range.
    """

    manifest: str | Sequence[str]
    samples: int = 32
    split: str | None = "train"
    plates: int | None = None
    name: str = ""
    crops: str = CORNERS
    complete: bool = True
    replace: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""
    balance: float | None = None
    permute: float = 0.0
    rendered_first: float = 0.0
    rectified: bool = False
    geometry: Mapping[str, Any] = field(default_factory=dict)
    pixels: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.crops not in CROPS:
            raise ValueError(f"Source {self.label!r}: crops is {self.crops!r}; expected one of {', '.join(CROPS)}.")
        if self.samples < 0 or not 0 <= self.permute <= 1 or not 0 <= (self.balance or 0) <= 1:
            raise ValueError(
                f"Source {self.label!r}: samples {self.samples}, permute {self.permute}, balance {self.balance}; "
                "expected 0 or more, and two numbers from 0 to 1."
            )
        if not 0 <= self.rendered_first <= 1:
            raise ValueError(f"Source {self.label!r}: rendered_first is {self.rendered_first}; expected 0 to 1.")
        if (self.permute or self.rendered_first) and self.crops != CORNERS:
            raise ValueError(
                f"Source {self.label!r}: characters are exchanged by true corners; crops is {self.crops!r}. "
                "Give crops: corners, or permute: 0 and rendered_first: 0."
            )

    @property
    def files(self) -> list[str]:
        return [self.manifest] if isinstance(self.manifest, str) else list(self.manifest)

    @property
    def label(self) -> str:
        return self.name or Path(self.files[0]).parent.name or Path(self.files[0]).stem


def kind_label(crop: LabelledCrop, pack: CountryPack, of_source: str = "") -> str | None:
    """The kind of a labelled plate; None where it is not known.

    What the table's column `colour` says, else the source, else the kind of the layout that the table names, else that
    of the layouts which the text fits, where these agree.
    """
    named = {layout.name: layout.kind for layout in pack.layouts}
    return crop.kind or of_source or named.get(crop.layout or "") or pack.kind_of(crop.text)


@dataclass(frozen=True)
class RenderedPlates:
    """Rendered plates of one more country in every batch.

    Attributes:
        pack: see `CountryPack`, as plain values; an experiment's entry `- /country@data.rendered.br.pack: br` gives it.
        samples: its plates in every batch and process.
        glyph_bank, bank_share, without: see `RecognitionData`.
        layouts: which of its layouts are drawn, see `CountryPack.reading`; "all" that the reader has the rows for.
    """

    pack: Mapping[str, Any]
    samples: int = 8
    glyph_bank: str | None = None
    bank_share: float = 0.8
    without: Sequence[str] = ()
    layouts: str | Sequence[str] | None = ALL_LAYOUTS

    @cached_property
    def country(self) -> CountryPack:
        """The whole country pack."""
        return CountryPack.from_dict(self.pack)

    def renderer(self, root: Path, reader: CountryPack) -> PlateRenderer:
        """What draws them.

        Args:
            reader: the recogniser's pack, which must be able to spell them.

        Raises:
            ValueError: a pack, its symbols, characters or rows that do not fit, or a glyph bank that is not its own.
        """
        pack = self.country.reading(self.layouts).within(reader.rows)
        lacking = sorted(set(pack.alphabet) - set(reader.alphabet))
        if lacking or pack.slots > reader.slots or self.samples < 0:
            symbols = f" and the symbols {' '.join(lacking)}" if lacking else ""
            raise ValueError(
                f"data.rendered: plates of {pack.name} have {pack.slots} characters{symbols}; samples is "
                f"{self.samples}; the country pack {reader.code} reads up to {reader.slots} characters of "
                f"{reader.alphabet}."
            )
        bank = None if self.glyph_bank is None else GlyphBank.read(root / self.glyph_bank, pack)
        return PlateRenderer(pack, bank=bank, bank_share=self.bank_share, without=self.without)


class LoadedPlates:
    """The plates of a source that train and those that are held back. `cut` makes the crops.

    Args:
        rows: of the source, as `read_sources` gives them.
        fold: the tenth of the plates that is held back.

    Attributes:
        train, held: the crops.
        refused: a sentence about every label, size or file that cannot be used.
        textless: plates without a text.
        unfound: plates that the detector did not find.

    Raises:
        ValueError: a table that cannot be used.
    """

    train: list[LabelledCrop]
    held: list[LabelledCrop]

    def __init__(self, settings: PlateSource, root: Path, rows: Manifest, fold: int, strict: bool) -> None:
        self.settings, self.strict = settings, strict
        if settings.replace:
            rows = replace(rows, text=[replaced(text, settings.replace) for text in rows.text])
        if settings.plates is not None:
            rows = rows.plates(settings.plates)
        self.manifest: Manifest = rows
        files = [root / name for name in settings.files]
        self.train_scenes, self.held_scenes = (
            rows.select(fold=fold, inside=inside).texts_of(files).scenes(complete=settings.complete)
            for inside in (False, True)
        )
        self.train, self.held = [], []
        self.refused: list[str] = []
        self.textless = self.unfound = 0

    def find(self, detect: Detect, table: Path) -> FoundCorners:
        """Looks for the plates of this source, if it is cut by found corners."""
        if self.settings.crops != DETECTOR:
            return {}
        return find_corners(detect, [*self.train_scenes, *self.held_scenes], table)

    def cut(
        self, pack: CountryPack, found: FoundCorners | None = None, others: Mapping[str, CountryPack] | None = None
    ) -> None:
        """Makes the crops.

        Args:
            pack: the recogniser's; it decides which texts can be used.
            others: whole packs of countries by their code, which know how many rows a plate has; plates of another
                country than these are `pack`'s.

        Raises:
            ValueError: strict, and a label, size or file that cannot be used.
        """
        both = [labelled_crops(scenes, self.settings.crops, found) for scenes in (self.train_scenes, self.held_scenes)]
        self.textless, self.unfound = sum(b.textless for b in both), sum(b.unfound for b in both)
        (self.train, refused), (self.held, more) = (
            usable(b.crops, pack.charset, pack.slots, self.strict) for b in both
        )
        self.refused = refused + more
        packs = others or {}
        self.train, self.held = (self._with_rows(part, pack, packs) for part in (self.train, self.held))

    def _with_rows(
        self, crops: list[LabelledCrop], pack: CountryPack, others: Mapping[str, CountryPack]
    ) -> list[LabelledCrop]:
        """The crops with their kinds and rows; those of more rows than the recogniser reads are refused."""
        kept = []
        for crop in crops:
            own = others.get(crop.country or "", others.get(pack.code, pack))
            kind, rows = kind_label(crop, own, self.settings.kind), own.rows_of(crop.text, crop.layout)
            if rows <= pack.rows:
                kept.append(replace(crop, kind=kind, rows=rows))
                continue
            sentence = (
                f"{crop.place or crop.image}: the plate {crop.text!r} has {rows} rows of text, this run reads "
                f"{pack.rows}; data.layouts={ALL_LAYOUTS} reads both."
            )
            if self.strict:
                raise ValueError(sentence)
            self.refused.append(sentence)
        return kept

    def negative_scenes(self) -> Scenes | None:
        """The training photographs whose background may be cut: every plate is labelled and has a place."""
        if not self.settings.complete:
            return None
        located = self.train_scenes.manifest.located()
        return located.scenes() if located.rows else None

    def describe(self) -> str:
        """What trains, what chooses and what is left out, in one sentence."""
        parts = [
            f"{len(self.manifest.rejected)} rows were rejected, {len(self.refused)} labels do not fit the country pack"
        ]
        if self.textless:
            parts.append(f"{self.textless} plates have no text")
        if self.settings.crops == DETECTOR:
            parts.append(f"{self.unfound} plates were not found by the detector")
        first = f": {self.refused[0].rstrip('.')}" if self.refused else ""
        return (
            f"{len(self.train)} real plates train, {len(self.held)} held-back plates choose the checkpoint; "
            f"{', '.join(parts)}{first if len(parts) == 1 else f'. The first{first}' if first else ''}."
        )
