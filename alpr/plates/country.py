"""Country packs: everything that is particular to a country's plates, read from one YAML file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from alpr.files import SMALL_BYTES, packaged, read_regular
from alpr.plates.charset import Charset
from alpr.plates.layout import Layout
from alpr.plates.pack_reading import read_layout
from alpr.plates.values import Fault, Place, check_keys, located, read_with_lines

ALL_LAYOUTS = "all"
PACKS = packaged("configs") / "country"
"""The folder of the packs that travel with the package."""


@dataclass(frozen=True)
class CountryPack:
    """A country's alphabet and plate layouts.

    Attributes:
        code: ISO 3166 alpha-2.
        alphabet: every symbol that a plate may print, in the order of the class ids.
        classes: a one-letter key per set of symbols, for the layouts' patterns.
        confusable: groups of symbols that look alike; reports count mistakes among them apart.
        regions: the codes that plates begin with, and the names of what they stand for; empty where there are none.
    """

    code: str
    name: str
    alphabet: str
    classes: dict[str, str]
    layouts: tuple[Layout, ...]
    confusable: tuple[str, ...] = ()
    regions: dict[str, str] = field(default_factory=dict)

    @property
    def charset(self) -> Charset:
        return Charset(self.alphabet)

    @property
    def slots(self) -> int:
        """The most characters a plate has."""
        return max(layout.slots for layout in self.layouts)

    @property
    def rows(self) -> int:
        """The most rows a plate has."""
        return max(layout.rows for layout in self.layouts)

    def reading(self, layouts: str | Sequence[str] | None) -> CountryPack:
        """The same country with only those layouts that a reader is to read; slots and rows follow them.

        Args:
            layouts: their names; "all" for every layout; None for those of the fewest rows.

        Raises:
            ValueError: no name, or a name that no layout has.
        """
        if layouts == ALL_LAYOUTS:
            return self
        if layouts is None:
            return self.within(min(layout.rows for layout in self.layouts))
        names = [layouts] if isinstance(layouts, str) else list(layouts)
        known = [layout.name for layout in self.layouts]
        if unknown := [name for name in names if name not in known] or ([] if names else ["none"]):
            raise ValueError(
                f"{self.name} has no layout {', '.join(map(repr, unknown))}; expected some of "
                f"{', '.join(map(repr, known))}, {ALL_LAYOUTS!r}, or null for those of the fewest rows."
            )
        return replace(self, layouts=tuple(layout for layout in self.layouts if layout.name in names))

    def within(self, rows: int) -> CountryPack:
        """The same country with only the layouts of at most so many rows.

        Raises:
            ValueError: there is none.
        """
        kept = tuple(layout for layout in self.layouts if layout.rows <= rows)
        if not kept:
            fewest = min(layout.rows for layout in self.layouts)
            raise ValueError(f"Every layout of {self.name} has {fewest} rows or more; expected one of at most {rows}.")
        return replace(self, layouts=kept)

    def layout_of(self, text: str) -> Layout | None:
        """The first layout whose pattern the text fits, or None."""
        return next((layout for layout in self.layouts if layout.form_of(text, self.classes) is not None), None)

    def likely_layout(self, text: str, name: str | None = None, aspect: float | None = None) -> Layout | None:
        """The layout of a plate: the named one, else of those that its text fits the one of the nearest aspect.

        Args:
            aspect: width by height of the plate as it was photographed; None, where that is not known, for one of the
                fewest rows.
        """
        fitting = [found for found in self.layouts if found.name == name] or [
            found for found in self.layouts if found.form_of(text, self.classes) is not None
        ]
        if aspect is None:
            return min(fitting, key=lambda found: found.rows, default=None)
        away = {found.name: abs(math.log(found.size_mm[1] / found.size_mm[0] / aspect)) for found in fitting}
        return min(fitting, key=lambda found: away[found.name], default=None)

    def kind_of(self, text: str) -> str | None:
        """The kind of the layouts that the text fits; None where they have several kinds, or none."""
        kinds = {layout.kind for layout in self.layouts if layout.form_of(text, self.classes) is not None}
        return (kinds.pop() or None) if len(kinds) == 1 else None

    def spellings(self) -> list[tuple[str, tuple[str, ...]]]:
        """A layout's name and the symbols allowed at each character, once for every length it may have."""
        return [
            (layout.name, tuple(self.classes[key] for key in form)) for layout in self.layouts for form in layout.forms
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a card or a YAML file; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], source: str = "the country pack", lines: Mapping[Place, int] | None = None
    ) -> CountryPack:
        """A checked pack from plain values.

        Args:
            lines: where each value stands in its file, for the sentences of errors.

        Raises:
            ValueError: a missing, unknown or wrong entry; the sentence names the source, the line where that is known,
                the key, what is expected and what was found.
        """
        try:
            check_keys(data, cls, ())
            if not isinstance(data["layouts"], list | tuple) or not data["layouts"]:
                raise Fault(("layouts",), "no layout is given; expected at least one.")
            pack = cls(
                code=str(data["code"]),
                name=str(data["name"]),
                alphabet=str(data["alphabet"]),
                classes=_strings(data["classes"], "classes"),
                layouts=tuple(read_layout(entry, ("layouts", i)) for i, entry in enumerate(data["layouts"])),
                confusable=tuple(map(str, data.get("confusable", ()))),
                regions=_strings(data.get("regions", {}), "regions"),
            )
            pack._check()
        except Fault as fault:
            raise ValueError(located(source, fault, lines)) from fault
        return pack

    @classmethod
    def find(cls, country: str | os.PathLike[str]) -> CountryPack:
        """The pack of a name in configs/country, such as `br`, or in a YAML file anywhere.

        Raises:
            ValueError: no such pack, or one that is wrong; the sentence lists the names that there are.
            OSError: a file that cannot be read.
        """
        path = Path(country).expanduser()
        if path.suffix not in (".yaml", ".yml"):
            path = PACKS / f"{str(country).lower()}.yaml"
        if not path.is_file():
            names = ", ".join(sorted(path.stem for path in PACKS.glob("*.yaml")))
            raise ValueError(f"There is no country pack {str(country)!r}; expected a YAML file or one of {names}.")
        return cls.read(path)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> CountryPack:
        """The pack in a YAML file.

        Raises:
            ValueError: a file that is no YAML mapping or no valid pack.
            OSError: a file that cannot be read.
        """
        try:
            data, lines = read_with_lines(read_regular(path, SMALL_BYTES).decode())
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is no valid YAML: {error}") from error
        except ValueError as error:
            raise ValueError(f"{path}, {error}") from error
        if not isinstance(data, dict):
            raise ValueError(f"{path} holds {type(data).__name__}; expected the keys of a country pack.")
        return cls.from_dict(data, str(path), lines)

    def _check(self) -> None:
        try:
            charset = self.charset
        except ValueError as error:
            raise Fault(("alphabet",), str(error)) from error
        for key, symbols in self.classes.items():
            if len(key) != 1 or key in "/?" or not symbols:
                reason = f"class {key!r} = {symbols!r}; expected one letter and at least one symbol."
                raise Fault(("classes", key), reason)
            try:
                charset.encode(symbols)
            except ValueError as error:
                raise Fault(("classes", key), f"class {key!r}: {error}") from error
        names = [layout.name for layout in self.layouts]
        for i, layout in enumerate(self.layouts):
            self._check_layout(layout, ("layouts", i))
            if layout.name in names[:i]:
                raise Fault(("layouts", i, "name"), f"two layouts are named {layout.name!r}; expected different names.")

    def _check_layout(self, layout: Layout, place: Place) -> None:
        unknown = sorted({key for key, _, _ in layout.places} - set(self.classes))
        if unknown:
            raise Fault(
                (*place, "pattern"),
                f"layout {layout.name!r}: the pattern {layout.pattern!r} uses {unknown}; "
                f"expected the keys {sorted(self.classes)}.",
            )
        if layout.region_places:
            if not self.regions:
                raise Fault((*place, "region_places"), f"layout {layout.name!r}: the pack has no regions.")
            if not layout.region_choices(self.regions, self.classes):
                first = layout.pattern
                raise Fault((*place, "region_places"), f"layout {layout.name!r}: no region fits {first!r}.")


def _strings(data: Any, key: str) -> dict[str, str]:
    if not isinstance(data, Mapping):
        raise Fault((key,), f"{key} is {data!r}; expected a mapping.")
    for name, value in data.items():
        if not isinstance(name, str) or not isinstance(value, str):
            reason = f"{name!r}: {value!r} is no pair of texts; put numbers, and words such as NO, in quotes."
            raise Fault((key, str(name)), reason)
    return dict(data)
