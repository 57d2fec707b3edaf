"""A commented country pack, as a beginning for plates that no pack describes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alpr.files import write_atomically
from alpr.plates.country import CountryPack
from alpr.plates.fonts import FACES
from alpr.plates.layout import PLACE
from alpr.plates.values import read_with_lines

TEMPLATE = """\
# {name}. Every key is explained in alpr/plates/layout.py; look at the plates with
# alpr country preview --country {path} --output sheet.png
code: {code}                 # ISO 3166
name: "{name}"
# Every symbol that a plate may print. The order is that of the network's classes: add new symbols at the end.
alphabet: "{alphabet}"
classes:                     # one letter per set of symbols, for the patterns
{classes}
layouts:                     # one entry per kind of plate; lengths in mm, sizes are [height, width]
{layouts}
confusable: [0OQD, 1I, 8B, 2Z, 5S, 6G]   # groups that look alike: reports count mistakes among them apart
# regions: {{AB: First province}}        # codes that plates begin with; a layout then says region_places: 2
"""
LAYOUT = """\
  - name: {name}
    kind: {kind}              # the colour or use that people know it by
    pattern: {pattern}       # class letters; "?" behind one makes it optional, "/" begins a second row
    size_mm: [{height:g}, {width:g}]
    background: "{background}"
    foreground: "{foreground}"
    character_mm: [{cell_height:g}, {cell_width:g}]
    gap_mm: {gap:g}
    # separators: [{{after: 3, kind: dash, mm: 20}}]     # space, dot, dash, line, emblem, seals, arms or star
    # bands: [{{side: left, mm: 40, texts: [XX], background: "#1f3f94", stars: true}}]
    fonts: [{font}]          # or font files of your own; several with weights: [[round, 0.7], [barlow, 0.3]]
    share: 1.0               # how often rendered data draws this layout
"""


@dataclass(frozen=True)
class NewPack:
    """What a new pack says of its country.

    Attributes:
        plates: a pattern of L letter, D digit, A either, and the (height, width) in mm of its plates.
        background, foreground: of the plate and its characters, #rrggbb.
        fonts: names of `alpr.plates.fonts`, or font files; each is drawn as often as the others.
    """

    code: str
    name: str
    alphabet: str
    plates: Sequence[tuple[str, tuple[float, float]]]
    background: str
    foreground: str
    fonts: Sequence[str]

    def text(self, path: Path) -> str:
        """The pack as commented YAML; characters are made as large as the longest pattern allows."""
        classes = classes_of(self.alphabet)
        return TEMPLATE.format(
            code=json.dumps(self.code.upper()) if self.code.upper() in _NO_TEXTS else self.code.upper(),
            name=self.name,
            path=path,
            alphabet=self.alphabet,
            classes="\n".join(f'  {key}: "{symbols}"' for key, symbols in classes.items()),
            layouts="".join(self._layout(number) for number in range(len(self.plates))).rstrip("\n"),
        )

    def _layout(self, number: int) -> str:
        pattern, (height, width) = self.plates[number]
        rows = pattern.replace("?", "").split("/")
        longest = max(1, *map(len, rows))
        cell_height = round(0.72 * height / len(rows) / (1.15 if len(rows) > 1 else 1.0))
        cell_width = min(0.6 * cell_height, 0.9 * width / (1.2 * longest))
        return LAYOUT.format(
            name=f"layout {number + 1}",
            kind="usual",
            pattern=pattern,
            height=height,
            width=width,
            background=self.background,
            foreground=self.foreground,
            cell_height=cell_height,
            cell_width=int(cell_width),
            gap=int(0.18 * cell_width),
            font=", ".join(font if font in FACES else json.dumps(font, ensure_ascii=False) for font in self.fonts),
        )


_NO_TEXTS = ("NO",)  # YAML takes it for the opposite of yes


def classes_of(alphabet: str) -> dict[str, str]:
    """The classes that a new pack's patterns are written in: L letters, D digits, A either."""
    letters = "".join(c for c in alphabet if not c.isdigit())
    numbers = "".join(c for c in alphabet if c.isdigit())
    return {key: symbols for key, symbols in (("L", letters), ("D", numbers), ("A", alphabet)) if symbols}


def check_pattern(pattern: str, alphabet: str, rows: int) -> None:
    """Refuses a pattern of other classes than the alphabet has, or of another number of rows.

    Raises:
        ValueError: such a pattern.
    """
    classes = classes_of(alphabet)
    wrong = sorted(set(pattern) - set(classes) - set("?/"))
    if wrong or PLACE.sub("", pattern):
        what = f"uses {', '.join(map(repr, wrong))}" if wrong else "cannot be read"
        raise ValueError(f"The pattern {pattern!r} {what}; expected {', '.join(classes)}, '?' behind one, and '/'.")
    if not all(pattern.split("/")) or pattern.count("/") + 1 != rows:
        raise ValueError(
            f"The pattern {pattern!r} has {pattern.count('/') + 1} rows; expected {rows}, with '/' between."
        )


def write_pack(text: str, path: Path) -> None:
    """Writes a pack that validates.

    Raises:
        ValueError: a text that is no pack; the sentence names the line.
        OSError: a file that cannot be written.
    """
    data, lines = read_with_lines(text)
    CountryPack.from_dict(data, str(path), lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, [text.encode()])
