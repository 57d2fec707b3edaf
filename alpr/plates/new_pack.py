"""A commented country pack, as a beginning for plates that no pack describes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alpr.files import write_atomically
from alpr.plates.country import CountryPack
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


def pack_text(
    code: str,
    name: str,
    alphabet: str,
    patterns: Sequence[str],
    size: tuple[float, float],
    colours: tuple[str, str],
    font: str,
    path: Path,
) -> str:
    """The pack as commented YAML; characters are made as large as the longest pattern allows."""
    letters = "".join(c for c in alphabet if not c.isdigit())
    numbers = "".join(c for c in alphabet if c.isdigit())
    classes = {"L": letters, "D": numbers, "A": alphabet}
    layouts = []
    for number, pattern in enumerate(patterns, 1):
        rows = pattern.replace("?", "").split("/")
        longest = max(1, *map(len, rows))
        cell_height = round(0.72 * size[0] / len(rows) / (1.15 if len(rows) > 1 else 1.0))
        cell_width = min(0.6 * cell_height, 0.9 * size[1] / (1.2 * longest))
        layouts.append(
            LAYOUT.format(
                name=f"layout {number}",
                kind="usual",
                pattern=pattern,
                height=size[0],
                width=size[1],
                background=colours[0],
                foreground=colours[1],
                cell_height=cell_height,
                cell_width=int(cell_width),
                gap=int(0.18 * cell_width),
                font=font,
            )
        )
    return TEMPLATE.format(
        code=code.upper(),
        name=name,
        path=path,
        alphabet=alphabet,
        classes="\n".join(f'  {key}: "{symbols}"' for key, symbols in classes.items() if symbols),
        layouts="".join(layouts).rstrip("\n"),
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
