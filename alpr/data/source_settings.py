"""The settings of the sources that are mixed in every batch: reading them strictly, and what their shares come to."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from lightning.pytorch.utilities import rank_zero_only

from alpr.data.sampling import shares as in_proportion

S = TypeVar("S")
SOURCES = "data.sources"


def settings_of(kind: type[S], entry: Any, where: str, **fixed: Any) -> S:
    """An entry of a configuration as the dataclass of its settings.

    Args:
        where: the entry's key in full, for the sentences of errors.
        fixed: fields that the entry may not give.

    Raises:
        ValueError: no mapping, an unknown key, or a value out of its range.
    """
    known = [field.name for field in fields(kind) if field.name not in fixed]  # type: ignore[arg-type]
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} is {entry!r}; expected a mapping of some of {', '.join(known)}.")
    unknown = next((str(key) for key in entry if key not in known), None)
    if unknown is not None:
        near = difflib.get_close_matches(unknown, known, n=1)
        guess = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"{where} has the unknown key {unknown!r}; expected some of {', '.join(known)}.{guess}")
    return kind(**entry, **fixed)


def check_share(share: Any, where: str) -> None:
    """Refuses a share that is no number from 0.

    Raises:
        ValueError: the key, what was expected and what was found.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < float("inf"):
        raise ValueError(f"{where} is {share!r}; expected a number of 0 or more.")


def named(sources: Any, notes: list[str]) -> dict[str, Any]:
    """The sources of a configuration by their names, also of an older list with `name` and `samples` in its entries.

    Args:
        notes: takes what was read of an older form.

    Raises:
        ValueError: neither a mapping nor a list, an entry of a list without a manifest, or two of one name.
    """
    if isinstance(sources, Mapping):
        return {str(name): with_share(entry, f"{SOURCES}.{name}", notes) for name, entry in sources.items()}
    if not isinstance(sources, list | tuple):
        raise ValueError(f"{SOURCES} is {sources!r}; expected a mapping, {{NAME: {{manifest: TABLE}}}}.")
    notes.append(f"the list {SOURCES} is a mapping by names")
    found: dict[str, Any] = {}
    for number, entry in enumerate(sources):
        if not isinstance(entry, Mapping) or not entry.get("manifest"):
            raise ValueError(f"{SOURCES}[{number}] has no manifest; expected a CSV table of labelled plates.")
        name = entry.get("name") or source_name(entry["manifest"])
        if name in found:
            raise ValueError(f"Two of {SOURCES} are called {name}; give one of them a name of its own.")
        kept = {key: value for key, value in entry.items() if key != "name"}
        found[name] = with_share(kept, f"{SOURCES}.{name}", notes)
    return found


def with_share(entry: Any, where: str, notes: list[str]) -> Any:
    """An entry with `share` for the older `samples`."""
    if not isinstance(entry, Mapping) or "samples" not in entry:
        return entry
    notes.append(f"{where}.samples is {where}.share")
    return {("share" if key == "samples" else key): value for key, value in entry.items()}


@rank_zero_only
def note_older(notes: Sequence[str]) -> None:
    """Says which older words were read."""
    if notes:
        print(f"Note: {', '.join(notes)} now; the older words are still read.", file=sys.stderr)


def source_name(manifest: str | Sequence[str]) -> str:
    """What a source is called that nobody named: the folder of its first table."""
    first = Path(manifest if isinstance(manifest, str) else manifest[0])
    return first.parent.name or first.stem


def batch_counts(shares: Mapping[str, float], batch_size: int | None) -> list[int]:
    """The samples of every batch and process that come from each source, in the order of the shares.

    Args:
        shares: by what they belong to; those of 0 get nothing.
        batch_size: samples in all, shared in proportion, at least one each. None: the shares are the samples.

    Raises:
        ValueError: shares that are all 0, fractions that are no parts of 1 or that no batch size makes samples of, or
            a batch that cannot hold one of each.
    """
    named = ", ".join(f"{name} {share:g}" for name, share in shares.items())
    total = sum(shares.values())
    if not total:
        raise ValueError(f"The shares are all 0 ({named}); expected at least one crop per batch.")
    if any(share != int(share) for share in shares.values()) and (batch_size is None or abs(total - 1) > 1e-6):
        size = "no data.batch_size" if batch_size is None else f"data.batch_size {batch_size}"
        raise ValueError(
            f"The shares come to {total:g} ({named}) with {size}; expected whole numbers, or fractions that come to 1 "
            "of a data.batch_size."
        )
    if batch_size is None:
        return [int(share) for share in shares.values()]
    drawn = {name: share for name, share in shares.items() if share}
    counts = dict(zip(drawn, in_proportion(list(drawn.values()), batch_size), strict=True))
    return [counts.get(name, 0) for name in shares]
