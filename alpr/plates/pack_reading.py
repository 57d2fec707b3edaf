"""Reads the layouts of a country pack from plain values; a wrong one is refused with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from alpr.plates.fonts import FACES, is_face
from alpr.plates.layout import PLACE, SEPARATORS, SIDES, Band, Face, Layout, Separator
from alpr.plates.values import Fault, Place, check_keys

MOST_FORMS = 4096
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
T = TypeVar("T")


def read_layout(data: Any, place: Place) -> Layout:
    """A checked layout from plain values; today's form, and the one of cards from before rows and faces.

    Raises:
        Fault: a missing, unknown or wrong entry.
    """
    if not isinstance(data, Mapping):
        raise Fault(place, f"the layout is {data!r}; expected a mapping.")
    data = _modern(data)
    try:
        check_keys(data, Layout, place)
    except Fault as fault:
        raise Fault(fault.place, f"layout {data.get('name', place[-1])!r}: {fault}") from fault

    def take(key: str, convert: Callable[[Any], T]) -> T:
        try:
            return convert(data[key])
        except Fault as fault:
            raise Fault((*place, key, *fault.place), f"layout {data['name']!r}: {fault}") from fault
        except (TypeError, ValueError) as error:
            reason = f"layout {data['name']!r}: {key} is {data[key]!r}: {error}."
            raise Fault((*place, key), reason) from error

    given = {key: take(key, convert) for key, convert in _CONVERTERS.items() if key in data}
    layout = Layout(**given)
    _check_layout(layout, place)
    return layout


def _modern(data: Mapping[str, Any]) -> dict[str, Any]:
    """A layout in today's keys: one separator and a variant of the stroke alphabet were keys of their own."""
    new = {k: v for k, v in data.items() if k not in ("separator_after", "separator", "separator_mm", "variant")}
    if data.get("separator_after") is not None:
        kind = {"none": "space"}.get(data.get("separator", "dot"), data.get("separator", "dot"))
        entry = {"after": data["separator_after"], "kind": kind, "mm": data.get("separator_mm", 0.0)}
        new["separators"] = [*data.get("separators", ()), entry]
    if data.get("variant"):
        new["fonts"] = [["plate-new", 0.8], ["plate", 0.08], ["noto-cjk", 0.12]]
    return new


def _check_layout(layout: Layout, place: Place) -> None:
    def refuse(key: str, reason: str) -> None:
        raise Fault((*place, key), f"layout {layout.name!r}: {reason}")

    if PLACE.sub("", layout.pattern) or not layout.places:
        refuse(
            "pattern", f"the pattern {layout.pattern!r} cannot be read; expected class keys, '?' behind them and '/'."
        )
    if {row for _, _, row in layout.places} != set(range(layout.rows)):
        refuse("pattern", f"the pattern {layout.pattern!r} has an empty row; expected characters on both sides of '/'.")
    if 2 ** sum(optional for _, optional, _ in layout.places) > MOST_FORMS:
        refuse("pattern", f"the pattern {layout.pattern!r} has too many optional places; expected at most 12.")
    if not layout.choices:
        refuse("most_characters", f"no text has at most {layout.most_characters} characters.")
    if not layout.background:
        refuse("background", "no background is given; expected at least one colour.")
    if layout.share < 0:
        refuse("share", f"the share is {layout.share}; expected 0 or more.")
    if not layout.fonts or sum(face.share for face in layout.fonts) <= 0:
        refuse("fonts", "no font has a share above 0; expected at least one.")
    for i, separator in enumerate(layout.separators):
        if not 0 < separator.after < len(layout.places):
            expected = f"expected 1 to {len(layout.places) - 1}, a number of places of {layout.pattern!r}"
            raise Fault((*place, "separators", i), f"layout {layout.name!r}: after is {separator.after}; {expected}.")
    if layout.row_character_mm and len(layout.row_character_mm) != layout.rows:
        refuse("row_character_mm", f"{len(layout.row_character_mm)} rows are given; the pattern has {layout.rows}.")
    keys = {key for key, _, _ in layout.places}
    if unused := sorted({key for key, _ in layout.class_character_mm} - keys):
        refuse(
            "class_character_mm", f"{unused[0]!r} is no class of {layout.pattern!r}; expected some of {sorted(keys)}."
        )
    _check_room(layout, refuse)


def _check_room(layout: Layout, refuse: Callable[[str, str], None]) -> None:
    left, top, right, bottom = layout.free_mm()
    for row in range(layout.rows):
        width = max(layout.row_width_mm(chosen, row) for chosen in layout.choices)
        if width > right - left:
            refuse(
                "pattern",
                f"row {row + 1} of {layout.pattern!r} takes {width:g} mm; the plate has {right - left:g} mm free.",
            )
    cells = [layout.cell_mm(row)[0] for row in range(layout.rows)]
    height = sum(cells) + (layout.rows - 1) * layout.row_gap_mm
    if height > bottom - top:
        refuse("character_mm", f"the rows take {height:g} mm; the plate has {bottom - top:g} mm free for them.")
    for place, (key, _, row) in enumerate(layout.places):
        room = bottom - top - height + cells[row]
        if (tall := layout.place_mm(place)[0]) > room:
            refuse("class_character_mm", f"{key!r} is {tall:g} mm high; the plate has {room:g} mm free for its row.")


def _colour(value: Any) -> str:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise Fault((), f"the colour {value!r} is not of the form '#rrggbb'.")
    return value


def _colours(value: Any) -> tuple[str, ...]:
    return (_colour(value),) if isinstance(value, str) else _each(_colour)(value)


def _colour_pair(value: Any) -> tuple[str, str]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise Fault((), f"{value!r} is no pair of colours, background and foreground.")
    return _colour(value[0]), _colour(value[1])


def _line(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) != 4:
        raise Fault((), f"{value!r} is no line; expected [x1, y1, x2, y2].")
    return tuple(map(float, value))


def _by_symbol(convert: Callable[[Any], T]) -> Callable[[Any], tuple[tuple[str, T], ...]]:
    """A mapping of single characters, or the pairs that a card holds of it."""

    def several(value: Any) -> tuple[tuple[str, T], ...]:
        pairs = value.items() if isinstance(value, Mapping) else value
        if not isinstance(value, Mapping | list | tuple) or any(len(pair) != 2 for pair in pairs):
            raise Fault((), f"{value!r} is no mapping.")
        if wrong := [symbol for symbol, _ in pairs if not isinstance(symbol, str) or len(symbol) != 1]:
            raise Fault((), f"{wrong[0]!r} is no single character; put numbers in quotes.")
        return tuple((symbol, convert(item)) for symbol, item in pairs)

    return several


def _print(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Fault((), f"{value!r} is no text; put numbers in quotes.")
    return value


def _pair(value: Any) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise Fault((), f"{value!r} is no pair of numbers.")
    return float(value[0]), float(value[1])


def _each(convert: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    def several(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise Fault((), f"{value!r} is no list.")
        found = []
        for i, item in enumerate(value):
            try:
                found.append(convert(item))
            except Fault as fault:
                raise Fault((i, *fault.place), str(fault)) from fault
        return tuple(found)

    return several


def _one_of(value: Any, known: tuple[str, ...], what: str) -> str:
    if value not in known:
        raise Fault((), f"the {what} is {value!r}; expected one of {', '.join(known)}.")
    return str(value)


def _mapping(value: Any, kind: type[Any]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Fault((), f"{value!r} is no mapping.")
    check_keys(value, kind, ())
    return value


def _separator(value: Any) -> Separator:
    data = _mapping(value, Separator)
    kind = _one_of(data.get("kind", "space"), SEPARATORS, "separator")
    return Separator(int(data["after"]), kind, float(data.get("mm", 20.0)))


def _band(value: Any) -> Band:
    data = _mapping(value, Band)
    texts = data.get("texts", ())
    return Band(
        _one_of(data["side"], SIDES, "side"),
        float(data["mm"]),
        (texts,) if isinstance(texts, str) else tuple(map(str, texts)),
        _colour(data["background"]) if data.get("background") else "",
        _colour(data.get("foreground", "#ffffff")),
        bool(data.get("stars", False)),
        bool(data.get("arms", False)),
        bool(data.get("stacked", False)),
    )


def _face(value: Any) -> Face:
    """A name, [name, share], or what a card holds."""
    data = _mapping(value, Face) if isinstance(value, Mapping) else None
    if data is not None:
        name, share = data["name"], data.get("share", 1.0)
    else:
        name, share = value if isinstance(value, list | tuple) and len(value) == 2 else (value, 1.0)
    if not isinstance(name, str) or not is_face(name):
        raise Fault((), f"the font {name!r} is unknown; expected one of {', '.join(FACES)}, or a font file's path.")
    return Face(name, float(share))


def _faces(value: Any) -> tuple[Face, ...]:
    return (_face(value),) if isinstance(value, str) else _each(_face)(value)


def _yes(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Fault((), f"{value!r} is neither true nor false.")
    return value


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "name": str, "pattern": str, "kind": str, "size_mm": _pair, "character_mm": _pair, "background": _colours,
    "left_background": _colours, "colours": _each(_colour_pair), "foreground": _colour, "gap_mm": float,
    "row_gap_mm": float, "stroke_mm": float, "share": float, "most_characters": int, "region_places": int,
    "border": _yes, "embossed": _yes, "right_to_left": _yes, "row_character_mm": _each(_pair), "holes_mm": _each(_pair),
    "stickers_mm": _each(_pair), "separators": _each(_separator), "bands": _each(_band), "fonts": _faces,
    "class_character_mm": _by_symbol(_pair), "drawn_as": _by_symbol(_print), "above": _by_symbol(_print),
    "above_mm": float, "lines_mm": _each(_line),
}  # fmt: skip
