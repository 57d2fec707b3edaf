"""The pack by which a table's plates are read: the country's, else one made from the texts themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from alpr.plates.country import ALL_LAYOUTS, CountryPack
from alpr.plates.identity import formed, latin

_FITS = 0.95
"""A pack whose alphabet and slots so many of the texts fit is theirs."""
_TALL = 0.1
"""From this share of plates of two rows on they are read too."""
_FORMS = 12
"""So many of the texts' forms become layouts."""
_LATIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


class ReadBy(NamedTuple):
    """How a table's plates are read.

    Attributes:
        pack: only with the layouts that are read.
        rendered: whether plates of the pack can be drawn.
    """

    pack: CountryPack
    rendered: bool

    def label(self, text: str) -> str | None:
        """A text as the pack writes it; None for one that it cannot spell."""
        form = latin(formed(text, self.pack.alphabet), self.pack.alphabet)
        return form if 0 < len(form) <= self.pack.slots and set(form) <= set(self.pack.alphabet) else None


def read_by(texts: Sequence[str], countries: Sequence[str], packs: Mapping[str, CountryPack], tall: float) -> ReadBy:
    """The pack of the texts' one country where it fits them, else one of their own symbols and forms.

    Args:
        countries: of the texts, as codes.
        packs: by code.
        tall: the share of plates that have two rows by their shape.
    """
    named = set(countries)
    pack = packs.get(named.pop()) if len(named) == 1 else None
    if pack is not None:
        several = tall >= _TALL and pack.rows > 1
        known = ReadBy(pack.reading(ALL_LAYOUTS if several else None), True)
        if sum(known.label(text) is not None for text in texts) >= _FITS * len(texts):
            return known
    return _made_of(Counter(map(formed, texts)), tall)


def _made_of(texts: Counter[str], tall: float) -> ReadBy:
    """A pack whose layouts are the texts' commonest forms, drawn as plates of no country are."""
    neutral = CountryPack.find("latin").to_dict()
    seen = set("".join(texts))
    plain = seen <= _LATIN
    symbols = "".join(sorted(_LATIN | seen if plain else seen))
    others = "".join(c for c in symbols if not c.isdigit())
    digits = "".join(c for c in symbols if c.isdigit())
    classes = {key: kept for key, kept in (("A", symbols), ("L", others), ("D", digits)) if kept}
    forms: Counter[str] = Counter()
    for text, count in texts.items():
        forms["".join("D" if c.isdigit() else "L" for c in text)] += count
    longest = max(map(len, texts))
    shares = [(list(form), float(n)) for form, n in forms.most_common(_FORMS)]
    shares.append((["A", *["A?"] * (longest - 1)], 0.05 * sum(texts.values())))
    one = next(layout for layout in neutral["layouts"] if "/" not in layout["pattern"])
    two = next(layout for layout in neutral["layouts"] if "/" in layout["pattern"])
    layouts = [_layout(one, [places], share) for places, share in shares]
    if tall >= _TALL:
        halves = [(places[: -(-len(places) // 2)], places[-(-len(places) // 2) :], n) for places, n in shares]
        layouts += [_layout(two, [above, below], share) for above, below, share in halves if below]
    made: dict[str, Any] = {
        "code": neutral["code"],
        "name": "the table's plates",
        "alphabet": symbols,
        "classes": classes,
        "layouts": layouts,
    }
    return ReadBy(CountryPack.from_dict(made, "the table's pack"), plain)


def _layout(look: Mapping[str, Any], rows: Sequence[Sequence[str]], share: float) -> dict[str, Any]:
    """A layout that looks as another, with other places, and as wide as they need."""
    pattern = "/".join("".join(row) for row in rows)
    height, width = look["size_mm"]
    needed = max(map(len, rows)) * (look["character_mm"][1] + look["gap_mm"]) + 40.0
    return {**look, "name": pattern, "pattern": pattern, "share": share, "size_mm": [height, max(width, needed)]}
