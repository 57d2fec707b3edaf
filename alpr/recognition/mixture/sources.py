"""The sources of the recogniser's training, labelled sets and rendered plates: their settings, and what is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alpr.data.crop_corners import CORNERS, CROPS, DETECTOR, Detect, FoundCorners, find_corners
from alpr.data.manifest import Manifest
from alpr.data.scenes import Scenes
from alpr.data.source_settings import SOURCES, check_share, settings_of
from alpr.plates.charset import replaced
from alpr.plates.country import ALL_LAYOUTS, CountryPack
from alpr.plates.geometry import plate_height, plate_width
from alpr.plates.values import expect
from alpr.recognition.data import LabelledCrop, labelled_crops
from alpr.recognition.mixture.usable_labels import usable
from alpr.synthetic.glyph_bank import GlyphBank
from alpr.synthetic.renderer import PlateRenderer

OWN = "own"
"""The name of the run's own country among those that are rendered."""
WHERE_RENDERED = "data.rendered"
HALF = 0.5
"""Where two rows part on a plate of no known layout, as a fraction of its height."""


@dataclass(frozen=True)
class PlateSource:
    """One of the sets that are mixed in every batch.

    Attributes:
        name: for figures and messages; its key in data.sources.
        manifest: a CSV file or several, relative to the root of the data or absolute.
        share: its part of every batch, see `batch_counts`; 0 only holds back plates to choose by.
        split: only rows of this split; None for all.
        plates: only so many plates of these, a tenth of them held back; see `Manifest.plates`. None for all.
        crops: by which corners plates are cut: `corners` (labelled), `box` (upright), or `detector` (found by
            data.detector). Ready-made crops are taken as they are.
        read: whether texts are taught; without them plates teach their country and their rows alone, such as those of
            a script that this reader does not know. They choose no checkpoint.
        complete: whether every plate in its photographs is labelled; only then is their background cut as negatives.
        replace: characters to put in place of others in the labels, such as {O: "0"}; on top of data.replace.
        country: of all its plates, where its table names none: a code, or a name that only the country head knows.
        kind: of all its plates, where its table has no column `colour`; see `kind_label`.
        balance: see `balanced_weights`.
        permute: probability that characters of other plates take the place of a plate's own.
        rendered_first: probability that a rendered character takes the place of a plate's first: provinces.
        rectified: whether ready-made crops show the plate upright and to its edges, so that their characters can be
            replaced too; where a crop's do not stand where they should, they stay.
        geometry: settings of `CropGeometry` that differ from the augmentation's.
        pixels: settings of `PixelSettings` that differ from the augmentation's.

    Raises:
        ValueError: no manifest, or a value out of its range.
    """

    name: str
    manifest: str | Sequence[str] = ""
    share: float = 32
    split: str | None = "train"
    plates: int | None = None
    crops: str = CORNERS
    read: bool = True
    complete: bool = True
    replace: Mapping[str, Any] = field(default_factory=dict)
    country: str = ""
    kind: str = ""
    balance: float = 0.0
    permute: float = 0.0
    rendered_first: float = 0.0
    rectified: bool = False
    geometry: Mapping[str, Any] = field(default_factory=dict)
    pixels: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"{SOURCES}.{self.name}"
        if not self.manifest:
            raise ValueError(
                f"{where} has no manifest; expected a CSV table of labelled plates, or a list of them, from "
                f"{where}.manifest or, for a single source, data.manifest."
            )
        check_share(self.share, f"{where}.share")
        expect(self.crops in CROPS, f"{where}.crops", self.crops, f"one of {', '.join(CROPS)}")
        for key in ("balance", "permute", "rendered_first"):
            expect(0 <= getattr(self, key) <= 1, f"{where}.{key}", getattr(self, key), "0 to 1")
        if (self.permute or self.rendered_first) and self.crops != CORNERS:
            raise ValueError(
                f"{where}: characters are exchanged by true corners; crops is {self.crops!r}. "
                "Give crops: corners, or permute: 0 and rendered_first: 0."
            )

    @classmethod
    def each(cls, sources: Any) -> list[PlateSource]:
        """The sources of data.sources, in their order.

        Raises:
            ValueError: no source, or one that is wrong.
        """
        if not isinstance(sources, Mapping) or not sources:
            raise ValueError(
                f"Nothing gives the plates to train on; expected data.manifest=TABLE, or {SOURCES} as "
                f"{{NAME: {{manifest: TABLE}}}}; found {sources!r}."
            )
        return [settings_of(cls, entry, f"{SOURCES}.{name}", name=str(name)) for name, entry in sources.items()]

    @property
    def files(self) -> list[str]:
        return [self.manifest] if isinstance(self.manifest, str) else list(self.manifest)


def kind_label(crop: LabelledCrop, pack: CountryPack, of_source: str = "") -> str | None:
    """The kind of a labelled plate; None where it is not known.

    What the table's column `colour` says, else the source, else the kind of the layout that the table names, else that
    of the layouts which the text fits, where these agree.
    """
    named = {layout.name: layout.kind for layout in pack.layouts}
    return crop.kind or of_source or named.get(crop.layout or "") or pack.kind_of(crop.text)


def rows_label(crop: LabelledCrop, pack: CountryPack) -> tuple[int, float | None]:
    """How many rows a labelled plate has, and where two part.

    What the table's column `rows` says, else what the layout has that the text and the plate's shape fit.
    """
    aspect = None if crop.corners is None else float(plate_width(crop.corners) / plate_height(crop.corners))
    layout = pack.likely_layout(crop.text, crop.layout, aspect)
    rows = crop.rows or (1 if layout is None else layout.rows)
    if rows != 2:
        return rows, None
    return rows, HALF if layout is None or layout.row_cut is None else layout.row_cut


@dataclass(frozen=True)
class RenderedPlates:
    """Rendered plates of a country in every batch.

    Attributes:
        name: its key in data.rendered: the name of a country pack, or `own` for the run's country.
        pack: the country pack where the name does not say which: a YAML file, or its values.
        share: their part of every batch, see `batch_counts`.
        glyph_bank: glyphs of real plates for them (alpr synth glyphs), relative to the root of the data.
        bank_share: how many of them take these.
        without: ingredients that they lack, see `alpr.synthetic.renderer.INGREDIENTS`.
        read: whether their texts are taught, see `PlateSource`.
        replace: characters to put in place of others in their texts, one for one, such as {Ä: A} where the reader has
            no Ä; they are drawn as the pack says.
        layouts: which layouts are drawn, see `CountryPack.reading`; "all" that the reader has the rows for, and of
            the run's country all that it reads.
        country: what the country head learns of them in place of the pack's code, such as EU for each of its members.

    Raises:
        ValueError: a value out of its range, or no such pack.
    """

    name: str
    pack: str | Mapping[str, Any] | None = None
    share: float = 8
    glyph_bank: str | None = None
    bank_share: float = 0.8
    without: Sequence[str] = ()
    read: bool = True
    layouts: str | Sequence[str] | None = ALL_LAYOUTS
    replace: Mapping[str, Any] = field(default_factory=dict)
    country: str = ""

    def __post_init__(self) -> None:
        check_share(self.share, f"{WHERE_RENDERED}.{self.name}.share")
        for new in self.replace.values():
            expect(len(str(new)) == 1, f"{WHERE_RENDERED}.{self.name}.replace", new, "single characters")
        if self.name == OWN and self.pack is not None:
            raise ValueError(f"{WHERE_RENDERED}.{OWN} is the run's own country; it takes no pack, give country=NAME.")

    @classmethod
    def each(cls, rendered: Any) -> list[RenderedPlates]:
        """The entries of data.rendered; first the run's own country, which blank plates are of even at a share of 0.

        Raises:
            ValueError: an entry that is wrong.
        """
        given = rendered or {OWN: {"share": 32}}
        if not isinstance(given, Mapping):
            raise ValueError(f"{WHERE_RENDERED} is {given!r}; expected country packs as {{NAME: {{share: 8}}}}.")
        ordered = {OWN: {"share": 0}} | dict(given)
        return [settings_of(cls, entry, f"{WHERE_RENDERED}.{name}", name=str(name)) for name, entry in ordered.items()]

    def whole_pack(self) -> CountryPack:
        """The whole country pack; not of the run's own, which the run has.

        Raises:
            ValueError: no such pack.
        """
        if isinstance(self.pack, Mapping):
            return CountryPack.from_dict(self.pack, f"{WHERE_RENDERED}.{self.name}.pack")
        try:
            return CountryPack.find(self.name if self.pack is None else self.pack)
        except ValueError as error:
            raise ValueError(f"{WHERE_RENDERED}.{self.name}: {error}") from error

    def renderer(self, root: Path, country: CountryPack, reader: CountryPack) -> PlateRenderer:
        """What draws them.

        Args:
            country: their pack.
            reader: the recogniser's pack, which must be able to spell them.

        Raises:
            ValueError: a pack, its symbols, characters or rows that do not fit, or a glyph bank that is not its own.
        """
        pack = country.reading(self.layouts)
        if not self.read:
            return PlateRenderer(pack, without=self.without)
        pack = pack.within(reader.rows)
        lacking = sorted(set(replaced(pack.alphabet, self.replace)) - set(reader.alphabet))
        if lacking or pack.slots > reader.slots:
            symbols = f" and the symbols {' '.join(lacking)}" if lacking else ""
            raise ValueError(
                f"{WHERE_RENDERED}.{self.name}: plates of {pack.name} have {pack.slots} characters{symbols}; the "
                f"country pack {reader.code} reads up to {reader.slots} characters of {reader.alphabet}."
            )
        bank = None if self.glyph_bank is None else GlyphBank.read(root / self.glyph_bank, pack)
        return PlateRenderer(pack, bank=bank, bank_share=self.bank_share, without=self.without)


class LoadedPlates:
    """The plates of a source that train and those that are held back. `cut` makes the crops.

    Args:
        rows: of the source, as `read_sources` gives them.
        fold: the tenth of the plates that is held back.
        replacing: characters to put in place of others in the labels.

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

    def __init__(
        self, settings: PlateSource, root: Path, rows: Manifest, fold: int, strict: bool, replacing: Mapping[str, Any]
    ) -> None:
        self.settings, self.strict = settings, strict
        if replacing:
            rows = replace(rows, text=[replaced(text, replacing) for text in rows.text])
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
        read = self.settings.read
        both = [
            labelled_crops(scenes, self.settings.crops, found, texts=read)
            for scenes in ((self.train_scenes, self.held_scenes) if read else (self.train_scenes,))
        ]
        self.textless, self.unfound = sum(b.textless for b in both), sum(b.unfound for b in both)
        found_usable = [usable(b.crops, pack.charset if read else None, pack.slots, self.strict) for b in both]
        self.refused = [sentence for _, refused in found_usable for sentence in refused]
        packs = others or {}
        parts = [self._with_rows(part, pack, packs) for part, _ in found_usable]
        self.train, self.held = parts[0], parts[1] if read else []

    def _with_rows(
        self, crops: list[LabelledCrop], pack: CountryPack, others: Mapping[str, CountryPack]
    ) -> list[LabelledCrop]:
        """The crops with their kinds and rows; those of more rows than the recogniser reads are refused."""
        kept = []
        for crop in crops:
            own = others.get(crop.country or "", others.get(pack.code, pack))
            kind, (rows, cut) = kind_label(crop, own, self.settings.kind), rows_label(crop, own)
            if rows <= pack.rows or not self.settings.read:
                country = crop.country or self.settings.country or None
                kept.append(replace(crop, country=country, kind=kind, rows=rows, cut=cut))
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
