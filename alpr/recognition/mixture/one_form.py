"""What the settings of `RecognitionData` say, in their one form; short and older spellings are read here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from alpr.data.source_settings import source_name
from alpr.recognition.mixture.short_words import GROUPED, SHORT, SHORT_RENDERED, STAYING
from alpr.recognition.mixture.sources import OWN, WHERE_RENDERED, WHERE_SOURCES, PlateSource, RenderedPlates


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
        notes.append(f"data.balance is {WHERE_SOURCES}.NAME.balance")
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
        notes.append(f"the list {WHERE_SOURCES} is a mapping by names")
        sources = _named(sources)
        short = {key: value for key, value in short.items() if key == "manifest"}  # others were not read beside a list
    if not isinstance(sources, Mapping):
        raise ValueError(f"{WHERE_SOURCES} is {sources!r}; expected a mapping, {{NAME: {{manifest: TABLE}}}}.")
    sources = {str(name): _shared(entry, f"{WHERE_SOURCES}.{name}", notes) for name, entry in sources.items()}
    if not short or (not sources and "manifest" not in short):
        return sources
    if len(sources) > 1:
        first = next(iter(short))
        raise ValueError(
            f"data.{first} ({short[first]!r}) is short for a single source, but data.sources has {len(sources)} "
            f"({', '.join(sources)}); give one form: data.manifest with data.sources=null, or "
            f"{WHERE_SOURCES}.NAME.{SHORT[first]}."
        )
    name, entry = next(iter(sources.items()), ("", {}))
    if "manifest" in short:
        name = source_name(short["manifest"])
    notes += [f"data.{key} is {WHERE_SOURCES}.{name}.{SHORT[key]}" for key in short if key not in STAYING]
    return {name: {**entry, **{SHORT[key]: value for key, value in short.items()}}}


def _named(sources: list[Any] | tuple[Any, ...]) -> dict[str, Any]:
    """A list of sources by their names.

    Raises:
        ValueError: an entry without a manifest, or two of one name.
    """
    named: dict[str, Any] = {}
    for number, entry in enumerate(sources):
        if not isinstance(entry, Mapping) or not entry.get("manifest"):
            raise ValueError(f"{WHERE_SOURCES}[{number}] has no manifest; expected a CSV table of labelled plates.")
        name = entry.get("name") or source_name(entry["manifest"])
        if name in named:
            raise ValueError(f"Two of {WHERE_SOURCES} are called {name}; give one of them a name of its own.")
        named[name] = {key: value for key, value in entry.items() if key != "name"}
    return named


def _rendered(settings: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Takes what is said about rendered plates out of settings; the packs by their names, the run's own first."""
    short = {key: settings.pop(key) for key in SHORT_RENDERED if key in settings}
    given = settings.pop("rendered", None) or {}
    older = isinstance(given, Mapping) and any(
        isinstance(entry, Mapping) and "samples" in entry for entry in given.values()
    )
    if not isinstance(given, Mapping) or not (short or older):
        return given
    rendered = {str(name): _shared(entry, f"{WHERE_RENDERED}.{name}", notes) for name, entry in given.items()}
    notes += [f"data.{key} is {WHERE_RENDERED}.{OWN}.{SHORT_RENDERED[key]}" for key in short]
    own = {"share": 32, **rendered.pop(OWN, {}), **{SHORT_RENDERED[key]: value for key, value in short.items()}}
    return {OWN: own, **rendered}


def _shared(entry: Any, where: str, notes: list[str]) -> Any:
    """An entry with `share` for `samples`."""
    if not isinstance(entry, Mapping) or "samples" not in entry:
        return entry
    notes.append(f"{where}.samples is {where}.share")
    return {("share" if key == "samples" else key): value for key, value in entry.items()}


def _values(settings: PlateSource | RenderedPlates) -> dict[str, Any]:
    """All values of an entry, as JSON would give them back; a country pack is whole."""
    values = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(settings).items() if key != "name"}
    if isinstance(settings, RenderedPlates) and settings.name != OWN:
        values["pack"] = settings.country().to_dict()
    return values
