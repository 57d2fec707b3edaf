"""One kind of plate of a country: its grammar, its measures and its colours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

SEPARATORS = ("space", "dot", "dash", "line", "emblem", "seals", "arms", "star")
SIDES = ("left", "right", "top", "bottom")
PLACE = re.compile(r"(?P<row>/)|(?P<key>[^/?\s])(?P<optional>\??)")


@dataclass(frozen=True)
class Separator:
    """What stands between two characters and is not read.

    Attributes:
        after: it stands behind this many places of the pattern, optional ones counted.
        kind: one of `SEPARATORS`: a space; a dot; a dash; a line from top to bottom; the mark of Chinese new-energy
            plates; two round seals, as in Germany; a coat of arms; a star.
        mm: the width of the space it stands in.
    """

    after: int
    kind: str = "space"
    mm: float = 20.0


@dataclass(frozen=True)
class Band:
    """A strip along one side, which the rows of characters leave free.

    Attributes:
        side: one of `SIDES`.
        mm: its width, or its height at the top and bottom.
        texts: what is printed in it, one drawn at random; empty for a bare strip.
        background: its colour; empty for the plate's own.
        stars: the circle of stars of the European Union.
        arms: a coat of arms in its upper half.
        stacked: whether the letters of a side's print stand below each other.
    """

    side: str
    mm: float
    texts: tuple[str, ...] = ()
    background: str = ""
    foreground: str = "#ffffff"
    stars: bool = False
    arms: bool = False
    stacked: bool = False


@dataclass(frozen=True)
class Face:
    """A typeface: a name of `alpr.plates.fonts` or a font file's path, and how often it is taken."""

    name: str
    share: float = 1.0


DEFAULT_FACES = (Face("plate", 0.8), Face("plate-new", 0.08), Face("noto-cjk", 0.12))


@dataclass(frozen=True)
class Layout:
    """One kind of plate. Lengths are millimetres; colours are #rrggbb.

    Attributes:
        pattern: one key of the pack's `classes` per character; "?" behind a key makes it optional, "/" begins a row:
            "PLAAAAA", "LL?L?DD?D?D?", "PL/AAAAA". The text holds neither separators nor the row's end.
        background: one colour, or several, evenly spaced, for a gradient from the top to the bottom.
        colours: (background, foreground) pairs, one drawn per plate instead of the two above; empty for those alone.
        left_background: the same for the part left of the first separator, where that differs; empty where it does not.
        character_mm: (height, width) of a character's cell.
        row_character_mm: the same for every row, where rows differ; empty where they do not.
        class_character_mm: (class key, (height, width)) of the characters that are not as large as their row.
        drawn_as: (symbol, what is printed for it): a word that stands on the plate and is one symbol of the text.
        above: (symbol, its counterpart in another script): every character has its counterpart above it, which repeats
            it and is not read. above_mm: how far above, from middle to middle.
        lines_mm: printed lines (x1, y1, x2, y2), such as those between fields.
        gap_mm: between two characters. row_gap_mm: between two rows.
        most_characters: the longest text, where the pattern alone would allow more; 0 for no limit.
        kind: the colour or use that people know the plate by (blue, green, police); layouts may share one.
        fonts: the faces it is printed in; a character that the drawn face lacks is taken from the first that has it.
        stroke_mm: the width of a character's stroke in the stroke faces.
        embossed: whether the characters are raised.
        right_to_left: whether a row runs from the right, as in Arabic; runs of digits still run from the left.
        region_places: a text begins with one of the pack's regions, in this many places of the pattern; 0 for none.
        border: whether a line in the foreground colour runs along the edge.
        holes_mm: the centres (x, y) of the holes for bolts.
        stickers_mm: the centres (x, y) of the places for stickers of registration or inspection; some stay empty.
        share: how often synthetic data draws this layout, relative to the others.
    """

    name: str
    pattern: str
    size_mm: tuple[float, float]  # (height, width)
    background: tuple[str, ...]
    foreground: str
    character_mm: tuple[float, float]
    gap_mm: float
    kind: str = ""
    separators: tuple[Separator, ...] = ()
    bands: tuple[Band, ...] = ()
    fonts: tuple[Face, ...] = DEFAULT_FACES
    row_character_mm: tuple[tuple[float, float], ...] = ()
    row_gap_mm: float = 12.0
    most_characters: int = 0
    border: bool = True
    share: float = 1.0
    left_background: tuple[str, ...] = ()
    colours: tuple[tuple[str, str], ...] = ()
    stroke_mm: float = 10.0
    embossed: bool = True
    right_to_left: bool = False
    region_places: int = 0
    holes_mm: tuple[tuple[float, float], ...] = ()
    stickers_mm: tuple[tuple[float, float], ...] = ()
    class_character_mm: tuple[tuple[str, tuple[float, float]], ...] = ()
    drawn_as: tuple[tuple[str, str], ...] = ()
    above: tuple[tuple[str, str], ...] = ()
    above_mm: float = 0.0
    lines_mm: tuple[tuple[float, ...], ...] = ()

    @cached_property
    def places(self) -> tuple[tuple[str, bool, int], ...]:
        """The pattern's places: (class key, optional, row)."""
        found, row = [], 0
        for match in PLACE.finditer(self.pattern):
            row += match["row"] is not None
            if match["key"]:
                found.append((match["key"], bool(match["optional"]), row))
        return tuple(found)

    @cached_property
    def choices(self) -> tuple[tuple[int, ...], ...]:
        """Every way to fill the pattern: the indices of the places that are taken; one way for each form."""
        options = [(True, False) if optional else (True,) for _, optional, _ in self.places]
        found: dict[tuple[str, tuple[int, ...]], tuple[int, ...]] = {}
        for taken in product(*options):
            chosen = tuple(i for i, take in enumerate(taken) if take)
            if chosen and not (self.most_characters and len(chosen) > self.most_characters):
                rows = tuple(self.places[i][2] for i in chosen)
                # Of "D?D?" both places alone are the same form unless a separator stands between them.
                between = tuple(sum(s.after <= i for s in self.separators) for i in chosen)
                found.setdefault(("".join(self.places[i][0] for i in chosen), (*rows, *between)), chosen)
        return tuple(found.values())

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """The class keys of every text that fits, without rows: "L?DD" gives "LDD" and "DD"."""
        return tuple(dict.fromkeys("".join(self.places[i][0] for i in chosen) for chosen in self.choices))

    @property
    def slots(self) -> int:
        """The most characters of a text."""
        return max(map(len, self.forms))

    @property
    def rows(self) -> int:
        """How many rows of characters it has."""
        return self.pattern.count("/") + 1

    @property
    def row_cut(self) -> float | None:
        """Where two rows part, as a fraction of the plate's height; None of any other number of rows."""
        if self.rows != 2:
            return None
        _, top, _, bottom = self.free_mm()
        upper, lower = (self.cell_mm(row)[0] for row in range(2))
        gap = self.row_gap_mm
        return ((top + bottom - upper - lower - gap) / 2 + upper + gap / 2) / self.size_mm[0]

    def cell_mm(self, row: int) -> tuple[float, float]:
        """The (height, width) of a character's cell in a row."""
        return self.row_character_mm[row] if self.row_character_mm else self.character_mm

    def place_mm(self, place: int) -> tuple[float, float]:
        """The (height, width) of a place's cell: that of its class, else of its row."""
        key, _, row = self.places[place]
        return dict(self.class_character_mm).get(key) or self.cell_mm(row)

    def form_of(self, text: str, classes: Mapping[str, str]) -> str | None:
        """The class keys that the text fits, one per character, or None."""
        for form in self.forms:
            if len(text) == len(form) and all(c in classes[key] for c, key in zip(text, form, strict=True)):
                return form
        return None

    def choice_of(self, text: str, classes: Mapping[str, str]) -> tuple[int, ...] | None:
        """The pattern's places that the text's characters stand on, or None where it does not fit."""
        for chosen in self.choices:
            if len(text) == len(chosen) and all(
                c in classes[self.places[i][0]] for c, i in zip(text, chosen, strict=True)
            ):
                return chosen
        return None

    def region_choices(
        self, regions: Iterable[str], classes: Mapping[str, str]
    ) -> tuple[tuple[str, tuple[tuple[int, ...], ...]], ...]:
        """The region codes that a text may begin with, each with the choices that leave room for just that code."""
        found = []
        for code in regions:
            fitting = []
            for chosen in self.choices:
                first = [i for i in chosen if i < self.region_places]
                if len(first) == len(code) and all(
                    c in classes[self.places[i][0]] for c, i in zip(code, first, strict=True)
                ):
                    fitting.append(chosen)
            if fitting:
                found.append((code, tuple(fitting)))
        return tuple(found)

    def row_width_mm(self, chosen: tuple[int, ...], row: int) -> float:
        """The width of a row's characters, gaps and separators."""
        return sum(step for _, step in self.row_steps(chosen, row))

    def row_steps(self, chosen: tuple[int, ...], row: int) -> Iterator[tuple[int | Separator, float]]:
        """What a row holds from its beginning: a place or a separator, and its width; plain gaps are None's."""
        mine = [i for i in chosen if self.places[i][2] == row]
        for number, i in enumerate(mine):
            yield i, self.place_mm(i)[1]
            if number + 1 == len(mine):
                return
            between = [s for s in self.separators if i < s.after <= mine[number + 1]]
            if between:
                yield between[0], max(s.mm for s in between)
            else:
                yield Separator(i + 1, "space", self.gap_mm), self.gap_mm

    def free_mm(self) -> tuple[float, float, float, float]:
        """The rectangle (x1, y1, x2, y2) that the bands leave."""
        inset = {side: sum(b.mm for b in self.bands if b.side == side) for side in SIDES}
        height, width = self.size_mm
        return inset["left"], inset["top"], width - inset["right"], height - inset["bottom"]
