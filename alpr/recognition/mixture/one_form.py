"""What the settings of `RecognitionData` say, in their one form; short and older spellings are read here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from alpr.data.source_settings import SOURCES, named, source_name, with_share
from alpr.recognition.mixture.short_words import GROUPED, SHORT, SHORT_RENDERED, STAYING
from alpr.recognition.mixture.sources import OWN, WHERE_RENDERED, PlateSource, RenderedPlates


class OneForm(NamedTuple):
    """Settings of `RecognitionData` with every value of its sources and rendered plates in them."""

    settings: dict[str, Any]
    notes: list[str]  # which older words were read as which


def one_form(given: Mapping[str, Any]) -> OneForm:
    """Reads data settings of any age; those that are in the one form stay as they are.

    `manifest` and `split` are the short form of a single source and stay. Older are `real` and `plates` beside them,
    `synthetic`, `glyph_bank`, `bank_share` and `without` of the run's own country, a list of sources, `samples`, and
    values that are grouped today.

    Args:
        given: plain values, of a composed configuration or of a run.json.

    Raises:
        ValueError: the short and the long form of sources at once, or sources or rendered plates that are wrong.
    """
    settings, notes = dict(given), list[str]()
    for key in [key for key in GROUPED if key in settings]:
        group = GROUPED[key]
        settings[group] = {**(settings.get(group) or {}), key: settings.pop(key)}
    balance = settings.pop("balance", None)
    sources = _sources(settings, notes)
    if balance is not None:
        notes.append(f"data.balance is {SOURCES}.NAME.balance")
        sources = {
            name: {**entry, "balance": balance if entry.get("balance") is None else entry["balance"]}
            for name, entry in sources.items()
        }
    rendered = _rendered(settings, notes)
    settings["sources"] = {each.name: _values(each) for each in PlateSource.each(sources)}
    settings["rendered"] = {each.name: _values(each) for each in RenderedPlates.each(rendered)}
    return OneForm(settings, notes)


def _sources(settings: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Takes what is said about sources out of settings; the sources by their names."""
    short = {key: settings.pop(key) for key in SHORT if key in settings}
    sources = settings.pop("sources", None) or {}
    if short.get("manifest", "") is None:
        del short["manifest"]
    if isinstance(sources, list | tuple):
        short = {key: value for key, value in short.items() if key == "manifest"}  # others were not read beside a list
    sources = named(sources, notes)
    if not short or (not sources and "manifest" not in short):
        return sources
    if len(sources) > 1:
        first = next(iter(short))
        raise ValueError(
            f"data.{first} ({short[first]!r}) is short for a single source, but data.sources has {len(sources)} "
            f"({', '.join(sources)}); give one form: data.manifest with data.sources=null, or "
            f"{SOURCES}.NAME.{SHORT[first]}."
        )
    name, entry = next(iter(sources.items()), ("", {}))
    if "manifest" in short:
        name = source_name(short["manifest"])
    notes += [f"data.{key} is {SOURCES}.{name}.{SHORT[key]}" for key in short if key not in STAYING]
    return {name: {**entry, **{SHORT[key]: value for key, value in short.items()}}}


def _rendered(settings: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Takes what is said about rendered plates out of settings; the packs by their names, the run's own first."""
    short = {key: settings.pop(key) for key in SHORT_RENDERED if key in settings}
    given = settings.pop("rendered", None) or {}
    older = isinstance(given, Mapping) and any(
        isinstance(entry, Mapping) and "samples" in entry for entry in given.values()
    )
    if not isinstance(given, Mapping) or not (short or older):
        return given
    rendered = {str(name): with_share(entry, f"{WHERE_RENDERED}.{name}", notes) for name, entry in given.items()}
    notes += [f"data.{key} is {WHERE_RENDERED}.{OWN}.{SHORT_RENDERED[key]}" for key in short]
    own = {"share": 32, **rendered.pop(OWN, {}), **{SHORT_RENDERED[key]: value for key, value in short.items()}}
    return {OWN: own, **rendered}


def _values(settings: PlateSource | RenderedPlates) -> dict[str, Any]:
    """All values of an entry, as JSON would give them back; a country pack is whole."""
    values = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(settings).items() if key != "name"}
    if isinstance(settings, RenderedPlates) and settings.name != OWN:
        values["pack"] = settings.whole_pack().to_dict()
    return values
