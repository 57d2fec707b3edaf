"""What rendered plates are made from, for the entry beside a rendered set and for the card of a bundle."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alpr.data.origins import Origin, named_once
from alpr.plates.country import CountryPack
from alpr.plates.fonts import PACKAGED_FACES, STROKE_FACES

OWN_LICENCE, FONT_LICENCE = "Apache-2.0", "OFL-1.1"
"""Of this project's packs and alphabets of strokes, and of the fonts that pip installs (`fonts.PACKAGED_FACES`)."""

AFTER_PHOTOGRAPHS = " after characters of CCPD2020, crops/cn_blue, crops/cn_traffic"
"""The strokes of the face plate, which the others change, were drawn by eye from averaged characters of these sets."""


def ingredients(pack: CountryPack) -> tuple[str, ...]:
    """The pack and the typefaces of its layouts, with their licences; of a font file of the user's its name alone."""
    faces = dict.fromkeys(face.name for layout in pack.layouts for face in layout.fonts)
    return (f"country pack {pack.code}", *map(_typeface, faces))


def _typeface(name: str) -> str:
    if name in STROKE_FACES:
        return f"typeface {name}, drawn by this project" + AFTER_PHOTOGRAPHS
    return f"font {name} ({FONT_LICENCE})" if name in PACKAGED_FACES else f"font file {Path(name).name}"


def drawn(pack: CountryPack, program: str, *, photographs_of: Iterable[str] = (), banks: Iterable[str] = ()) -> Origin:
    """The entry of a set that was drawn.

    Args:
        photographs_of: the tables of whose photographs it is made, itself or through a glyph bank.
        banks: the names of glyph banks that drew characters.
    """
    faces = {face.name for layout in pack.layouts for face in layout.fonts}
    tables = tuple(dict.fromkeys(photographs_of))
    return Origin(
        licence=named_once([OWN_LICENCE, *([FONT_LICENCE] if faces & set(PACKAGED_FACES) else [])]),
        origin=program,
        what=f"rendered plates of {pack.name}",
        photographs="" if tables else "none",
        made_from=(*ingredients(pack), *(f"glyph bank {name}" for name in banks)),
        photographs_of=tables,
    )
