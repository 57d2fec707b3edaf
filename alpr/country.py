"""Country packs: everything that is particular to a country's plates, read from one YAML file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from alpr.charset import Charset

SEPARATORS = ("dot", "emblem", "none")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Layout:
    """One kind of plate. Lengths are millimetres; colours are #rrggbb.

    Attributes:
        pattern: one key of the pack's `classes` per character, e.g. "PLAAAAA".
        background: one colour, or several, evenly spaced, for a gradient from the top to the bottom.
        left_background: the same for the part left of the separator, where that differs; empty where it does not.
        character_mm: (height, width) of a character's cell.
        stroke_mm: the width of a character's stroke.
        variant: the face of the stroke alphabet: 0 the older one, 1 the one of Chinese new-energy plates.
        gap_mm: between two characters.
        separator_after: a separator stands behind this many characters; None for none.
        separator: what stands there: "dot", "emblem" or "none" (a space).
        separator_mm: the width of the space it stands in.
        border: whether a line in the foreground colour runs along the edge.
        holes_mm: the centres (x, y) of the holes for bolts.
        share: how often synthetic data draws this layout, relative to the others.
    """

    name: str
    pattern: str
    size_mm: tuple[float, float]  # (height, width)
    background: tuple[str, ...]
    foreground: str
    character_mm: tuple[float, float]
    gap_mm: float
    separator_after: int | None = None
    separator_mm: float = 0.0
    border: bool = True
    share: float = 1.0
    left_background: tuple[str, ...] = ()
    stroke_mm: float = 10.0
    variant: int = 0
    separator: str = "dot"
    holes_mm: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class CountryPack:
    """A country's alphabet and plate layouts.

    Attributes:
        code: ISO 3166 alpha-2.
        alphabet: every symbol that a plate may print, in the order of the class ids.
        classes: a one-letter key per set of symbols, for the layouts' patterns.
        slots: the most characters a plate has.
        confusable: groups of symbols that look alike, for reports.
    """

    code: str
    name: str
    alphabet: str
    classes: dict[str, str]
    layouts: tuple[Layout, ...]
    confusable: tuple[str, ...] = ()

    @property
    def charset(self) -> Charset:
        return Charset(self.alphabet)

    @property
    def slots(self) -> int:
        return max(len(layout.pattern) for layout in self.layouts)

    def layout_of(self, text: str) -> Layout | None:
        """The first layout whose pattern the text fits, or None."""
        for layout in self.layouts:
            if len(text) == len(layout.pattern) and all(
                character in self.classes[key] for character, key in zip(text, layout.pattern, strict=True)
            ):
                return layout
        return None

    def spellings(self) -> list[tuple[str, tuple[str, ...]]]:
        """Every layout's name with the symbols it allows at each character, in the order of the layouts."""
        return [
            (layout.name, tuple(self.classes[key] for key in layout.pattern if key in self.classes))
            for layout in self.layouts
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a card or a YAML file; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "the country pack") -> CountryPack:
        """A checked pack from plain values.

        Raises:
            ValueError: a missing, unknown or wrong entry; the sentence names the source, the key and what is expected.
        """
        _check_keys(data, cls, source)
        layouts = tuple(_layout(entry, f"{source}, layout {i}") for i, entry in enumerate(data["layouts"], start=1))
        pack = cls(
            code=str(data["code"]),
            name=str(data["name"]),
            alphabet=str(data["alphabet"]),
            classes={str(k): str(v) for k, v in data["classes"].items()},
            layouts=layouts,
            confusable=tuple(map(str, data.get("confusable", ()))),
        )
        pack._check(source)
        return pack

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> CountryPack:
        """The pack in a YAML file.

        Raises:
            ValueError: a file that is no YAML mapping or no valid pack.
            OSError: a file that cannot be read.
        """
        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is no valid YAML: {error}") from error
        if not isinstance(data, dict):
            raise ValueError(f"{path} holds {type(data).__name__}; expected the keys of a country pack.")
        return cls.from_dict(data, str(path))

    def _check(self, source: str) -> None:
        try:
            charset = self.charset
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error
        if not self.layouts:
            raise ValueError(f"{source}: no layout is given; expected at least one.")
        for key, symbols in self.classes.items():
            if len(key) != 1 or not symbols:
                raise ValueError(f"{source}: class {key!r} = {symbols!r}; expected one letter and at least one symbol.")
            try:
                charset.encode(symbols)
            except ValueError as error:
                raise ValueError(f"{source}, class {key!r}: {error}") from error
        for layout in self.layouts:
            unknown = sorted(set(layout.pattern) - set(self.classes))
            if unknown or not layout.pattern:
                raise ValueError(
                    f"{source}, layout {layout.name!r}: the pattern {layout.pattern!r} uses {unknown}; "
                    f"expected the keys {sorted(self.classes)}."
                )


def _check_keys(data: Mapping[str, Any], kind: type[Any], source: str) -> None:
    known = {f.name for f in fields(kind)}
    required = {f.name for f in fields(kind) if f.default is f.default_factory}  # both MISSING
    for wrong, what in ((set(data) - known, "unknown"), (required - set(data), "missing")):
        if wrong:
            raise ValueError(f"{source}: {what} {sorted(map(str, wrong))}; expected {sorted(known)}.")


def _layout(data: Any, source: str) -> Layout:
    if not isinstance(data, Mapping):
        raise ValueError(f"{source} is {data!r}; expected a mapping.")
    _check_keys(data, Layout, source)
    try:
        layout = Layout(
            name=str(data["name"]),
            pattern=str(data["pattern"]),
            size_mm=_pair(data["size_mm"]),
            background=_colours(data["background"]),
            left_background=_colours(data.get("left_background", ())),
            foreground=str(data["foreground"]),
            character_mm=_pair(data["character_mm"]),
            gap_mm=float(data["gap_mm"]),
            separator_after=None if data.get("separator_after") is None else int(data["separator_after"]),
            separator_mm=float(data.get("separator_mm", 0.0)),
            border=bool(data.get("border", True)),
            share=float(data.get("share", 1.0)),
            stroke_mm=float(data.get("stroke_mm", 10.0)),
            variant=int(data.get("variant", 0)),
            separator=str(data.get("separator", "dot")),
            holes_mm=tuple(_pair(hole) for hole in data.get("holes_mm", ())),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source} ({data.get('name')!r}): {error}") from error
    if not layout.background or layout.separator not in SEPARATORS or layout.share < 0:
        raise ValueError(
            f"{source} ({layout.name!r}): background {layout.background!r}, separator {layout.separator!r}, share "
            f"{layout.share}; expected at least one colour, one of {SEPARATORS}, and a share of 0 or more."
        )
    for colour in (*layout.background, *layout.left_background, layout.foreground):
        if not _COLOUR.fullmatch(colour):
            raise ValueError(f"{source} ({layout.name!r}): the colour {colour!r} is not of the form '#rrggbb'.")
    return layout


def _colours(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _pair(value: Any) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{value!r} is no pair of numbers")
    return float(value[0]), float(value[1])
