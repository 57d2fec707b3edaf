"""What the networks of a bundle were trained on, each source with its origin and its licence, for the card.

A source's entry is looked for in the file that `sources=` names, in the card of the bundle that weights came with, in
`source.yaml` beside the table, and in `datasets/sources.yaml`. For what none of them knows there is the one entry
without a folder of `sources=`, or `licence=`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alpr.data.origins import KNOWN, Origin, OriginError, Origins, named_once, origin_beside, read_origins
from alpr.plates.country import CountryPack
from alpr.reader.card import CARD_FILE, CardError, DataSource, ModelCard
from alpr.recognition.mixture.sources import OWN
from alpr.runs.checkpoints import best_checkpoint, run_folder
from alpr.synthetic.glyph_bank import GlyphBank
from alpr.synthetic.ingredients import drawn
from alpr.training.lineage import line_of, texts_of
from alpr.training.record import RunRecord

BANK = ".npz"
DRAWN = "drawn in training"


@dataclass(frozen=True)
class Network:
    """A network that goes into a bundle: its weights, and the pack that its own rendered plates are of, if any."""

    path: str
    pack: CountryPack | None = None


@dataclass
class _Finder:
    """Looks for the entries of sources; notes those that nothing knows.

    Attributes:
        roots: the folders that the names of tables may be relative to.
        carried: sources by name and hash, from the cards beside bundled weights.
    """

    given: Origins
    known: Origins
    licence: str
    roots: list[Path] = field(default_factory=lambda: [Path()])
    carried: dict[tuple[str, str], DataSource] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def source(self, name: str, digest: str, config: Mapping[str, Any]) -> DataSource:
        """A manifest, several that were read as one, or a glyph bank."""
        carried = self.carried.get((name, digest))
        if carried is not None and self.given.find(name) is None:
            return carried
        if name.endswith(BANK):
            entry = self.bank(name, config)
            return self._data_source(name, digest, [] if entry is None else [entry])
        return self._data_source(
            name, digest, [e for table in name.split(", ") if (e := self.table(table)) is not None]
        )

    @property
    def own(self) -> Origin | None:
        """The entry of what nothing else knows."""
        return self.given.entries.get("") or (Origin(licence=self.licence) if self.licence else None)

    def table(self, name: str) -> Origin | None:
        """The entry of a table."""
        given = self.given.find(name)
        beside = (origin_beside(root / name) for root in self.roots)
        found = given or next((entry for entry in beside if entry is not None), None) or self.known.find(name)
        found = found or next(
            (e for r in self.roots if (e := self.known.find((r / name).absolute())) is not None), None
        )
        found = found or self.own
        if found is None:
            self.unknown.append(name)
            return None
        return self._with_photographs(found)

    def bank(self, name: str, config: Mapping[str, Any]) -> Origin | None:
        """The entry of a glyph bank: the tables whose photographs it averages stand in its file."""
        given = self.given.find(name)
        if given is not None:
            return given
        paths = [root / text for text in texts_of(config) if text.endswith(name) for root in self.roots]
        file = next((path for path in paths if path.is_file()), None)
        if file is None:
            if self.own is None:
                self.unknown.append(name)
            return self.own
        tables = tuple(GlyphBank.read(file).sources)
        return self._with_photographs(Origin(origin="alpr synth glyphs", what="glyphs", photographs_of=tables))

    def _with_photographs(self, entry: Origin) -> Origin:
        """An entry with the licences and the origins of the tables of whose photographs it is made."""
        parts = {table: self.table(table) for table in entry.photographs_of}
        found = [part for part in parts.values() if part is not None]
        return replace(
            entry,
            licence=named_once([entry.licence, *(part.licence for part in found)]),
            origin=named_once([entry.origin, *(part.origin for part in found)]),
            photographs=named_once([entry.photographs, *(part.photographs for part in found)]),
            made_from=(*entry.made_from, *(f"photographs of {short_name(table)}" for table in parts)),
        )

    @staticmethod
    def _data_source(name: str, digest: str, entries: list[Origin]) -> DataSource:
        return DataSource(
            name,
            digest,
            named_once(entry.licence for entry in entries),
            named_once(entry.origin for entry in entries),
            named_once(entry.photographs for entry in entries),
            tuple(dict.fromkeys(part for entry in entries for part in entry.made_from)),
        )


def data_sources(networks: Iterable[Network], sources: str | None = None, licence: str = "") -> tuple[DataSource, ...]:
    """The sources of a bundle's networks, those of earlier trainings that they began with among them.

    Args:
        sources: a file of entries of the user's own.
        licence: of the sources that no entry is found for.

    Raises:
        OriginError: sources of which nothing is known; the sentence names them and says what to do.
        RunError, CardError: weights whose training cannot be read.
    """
    finder = _Finder(
        Origins() if sources is None else read_origins(Path(sources)),
        read_origins(KNOWN) if KNOWN.is_file() else Origins(),
        licence,
    )
    found: dict[tuple[str, str], DataSource] = {}
    for network in networks:
        weights = best_checkpoint(network.path)
        record = RunRecord.read(run_folder(weights))
        config: Mapping[str, Any] = {} if record is None else record.config
        data = config.get("data", {})
        if isinstance(data, Mapping) and data.get("root"):
            finder.roots.append(Path(str(data["root"])))
        if record is None:
            finder.carried |= _carried(weights)
        names = [(name, digest) for run in line_of(weights) for name, digest in run["data"].items()]
        for name, digest in names:
            found.setdefault((name, digest), finder.source(name, digest, config))
        for source in _rendered(data, network.pack):
            found.setdefault((source.name, source.sha256), source)
    if finder.unknown:
        raise OriginError(
            f"No origin and licence is known of {', '.join(dict.fromkeys(finder.unknown))}: add an entry to "
            f"datasets/sources.yaml, or give sources=FILE.yaml, which for photographs of your own is the one line "
            f"`licence: own`."
        )
    return tuple(found.values())


def _carried(weights: Path) -> dict[tuple[str, str], DataSource]:
    """The sources in the card beside a bundle's weights; older cards say nothing of their origin, so those are left."""
    if not (weights.parent / CARD_FILE).is_file():
        return {}
    try:
        card = ModelCard.read(weights.parent)
    except CardError:
        return {}
    return {(source.name, source.sha256): source for source in card.data if source.origin}


def _rendered(data: Any, pack: CountryPack | None) -> Iterator[DataSource]:
    """The plates that a training draws itself, by its configuration: no table lists them.

    Raises:
        ValueError: a country whose pack is no longer there.
    """
    if not isinstance(data, Mapping):
        return
    rendered = {name: each for name, each in (data.get("rendered") or {}).items() if each.get("share")}
    packs = [pack] if pack is not None and OWN in rendered else []
    packs += [CountryPack.from_dict(each["pack"]) for name, each in rendered.items() if name != OWN]
    for each in packs:
        digest = hashlib.sha256(json.dumps(each.to_dict(), ensure_ascii=False, sort_keys=True).encode()).hexdigest()
        yield _drawn(each, f"rendered plates of {each.code}", digest)
    planting = [source.get("plant") or {} for source in (data.get("sources") or {}).values()]
    for country in dict.fromkeys(str(plant["country"]) for plant in planting if plant.get("country")):
        pack = CountryPack.find(country)
        yield _drawn(pack, f"plates of {pack.code} in photographs of others", "")  # the run keeps the pack's name alone


def _drawn(pack: CountryPack, name: str, digest: str) -> DataSource:
    entry = drawn(pack, DRAWN)
    return DataSource(name, digest, entry.licence, entry.origin, entry.photographs, entry.made_from)


def short_name(table: str) -> str:
    """The last folders of a table's path, such as `crops/br`: a card names no place of a machine."""
    return "/".join(Path(table).absolute().parent.parts[-2:])
