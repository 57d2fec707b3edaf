"""Where the photographs and drawings of a table come from, and on what terms: `datasets/sources.yaml` and its like.

A file of sources is a mapping of folders to entries, or one entry alone, for all tables that nothing else
knows. A set that `alpr synth` writes carries its own in `source.yaml` beside the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from alpr.files import SMALL_BYTES, packaged, read_regular, write_atomically
from alpr.plates.values import Fault, Place, located, read_as, read_with_lines

BESIDE = "source.yaml"
"""An entry, of the tables of its folder."""
KNOWN = packaged("datasets") / "sources.yaml"
"""The sets that this project names."""
NONE_STATED = "none stated"
"""The licence of a set whose origin states none."""


class OriginError(ValueError):
    """A file of sources that cannot be read, or a table of which none is known; the sentence names it."""


@dataclass(frozen=True)
class Origin:
    """What is known of a set.

    Attributes:
        licence: that of its origin's licence file, `NONE_STATED`, or `own`; "" where `photographs_of` says it.
        origin: the repository that it comes from, or the program that drew it.
        what, terms, photographs: what it shows, what else to know of its terms, and whose photographs these are.
        made_from: what drew it, such as a country pack and typefaces with their licences.
        photographs_of: tables of whose photographs it is made; theirs are its licences too.
    """

    licence: str = ""
    origin: str = ""
    what: str = ""
    terms: str = ""
    photographs: str = ""
    made_from: tuple[str, ...] = ()
    photographs_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origins:
    """Entries by folder, such as `crops/br`; the entry "" is for whatever nothing else knows."""

    entries: Mapping[str, Origin] = field(default_factory=dict)

    def find(self, table: str | Path) -> Origin | None:
        """The entry of the longest folder that a table lies in, wherever that lies; None without one."""
        parts = Path(table).parts
        for name in sorted(filter(None, self.entries), key=len, reverse=True):
            folder = Path(name).parts
            if any(parts[i : i + len(folder)] == folder for i in range(len(parts) - len(folder) + 1)):
                return self.entries[name]
        return None


def read_origins(path: Path) -> Origins:
    """A file of sources.

    Raises:
        OriginError: a file that cannot be read, an unknown key, or an entry without a licence.
    """
    try:
        data, lines = read_with_lines(read_regular(path, SMALL_BYTES).decode())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OriginError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict) or not data:
        raise OriginError(f"{path} holds no entry; expected `licence: own`, or entries by folder.")
    try:
        if not all(isinstance(entry, dict) for entry in data.values()):
            return Origins({"": _entry(data, ())})
        return Origins({str(name): _entry(entry, (str(name),)) for name, entry in data.items()})
    except Fault as fault:
        raise OriginError(located(str(path), fault, lines)) from fault


def _entry(data: Any, place: Place) -> Origin:
    found = read_as(Origin, data, place)
    if not found.licence and not found.photographs_of:
        raise Fault(place, "an entry has no licence; expected one, such as `licence: own`.")
    texts = {key: value.strip() for key, value in vars(found).items() if isinstance(value, str)}
    return replace(found, **texts)  # type: ignore[arg-type]


def origin_beside(table: Path) -> Origin | None:
    """The entry in `source.yaml` beside a table; None without one.

    Raises:
        OriginError: a file that is no entry.
    """
    path = table.parent / BESIDE
    return read_origins(path).entries.get("") if path.is_file() else None


def write_origin(folder: Path, origin: Origin) -> None:
    """Writes `source.yaml` into a folder.

    Raises:
        NotWritten: a folder that cannot be written to.
    """
    values = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(origin).items() if v}
    text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=110)
    write_atomically(folder / BESIDE, [text.encode()])


def named_once(values: Iterable[str]) -> str:
    """Texts such as the licences of several sets, each named once, without the empty ones."""
    return "; ".join(dict.fromkeys(value for value in values if value))
