"""Writes a commented country pack that validates. What no flag says is asked for.

python scripts/new_country.py XX --name Freedonia --pattern LLLDDDD --size 110 520
python scripts/preview_plates.py --country xx --output runs/xx.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from string import ascii_uppercase, digits

from alpr.files import write_atomically
from alpr.plates.country import PACKS, CountryPack
from alpr.plates.fonts import FACES
from alpr.plates.pack_reading import read_with_lines

TEMPLATE = """\
# {name}. Every key is explained in alpr/plates/layout.py; look at the plates with
# python scripts/preview_plates.py --country {path} --output sheet.png
code: {code}                 # ISO 3166
name: "{name}"
# Every symbol that a plate may print. The order is that of the network's classes: add new symbols at the end.
alphabet: "{alphabet}"
classes:                     # one letter per set of symbols, for the patterns
{classes}
layouts:                     # one entry per kind of plate; lengths in mm, sizes are [height, width]
{layouts}
confusable: [0OQD, 1I, 8B, 2Z, 5S, 6G]   # groups that look alike, for reports
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


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("code", help="ISO 3166 alpha-2")
    parser.add_argument("--name", help="of the country")
    parser.add_argument("--alphabet", help="every symbol that a plate may print (default: A-Z and 0-9)")
    parser.add_argument("--pattern", action="append", help="of L letter, D digit, A either; again for every layout")
    parser.add_argument("--size", type=float, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of a plate in mm")
    parser.add_argument("--background", default="#e9eaea", help="its colour, #rrggbb (default: %(default)s)")
    parser.add_argument("--foreground", default="#15171a", help="the characters' colour (default: %(default)s)")
    parser.add_argument("--font", help=f"one of {', '.join(FACES)}, or a font file (default: round, or noto-cjk)")
    parser.add_argument("--output", type=Path, help="the file (default: configs/country/CODE.yaml)")
    return parser.parse_args()


def asked(value: str | None, question: str, default: str = "") -> str:
    """The value of a flag, or what the user answers."""
    if value is not None:
        return value
    if not sys.stdin.isatty():
        return default
    return input(f"{question}{f' [{default}]' if default else ''}: ").strip() or default


def pack_text(
    code: str,
    name: str,
    alphabet: str,
    patterns: list[str],
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


def main() -> None:
    arguments = parse_arguments()
    path: Path = arguments.output or PACKS / f"{arguments.code.lower()}.yaml"
    try:
        if path.exists():
            raise ValueError(f"{path} is there already; edit it, or give another --output.")
        name = asked(arguments.name, "The country's name", arguments.code.upper())
        alphabet = asked(arguments.alphabet, "Every symbol that a plate may print", ascii_uppercase + digits)
        patterns = (
            arguments.pattern
            or asked(None, "Patterns of L letter, D digit, A either, with blanks between", "LLLDDDD").split()
        )
        size = arguments.size or [float(v) for v in asked(None, "Height and width in mm", "110 520").split()]
        if len(size) != 2:
            raise ValueError(f"The size is {size}; expected height and width in mm.")
        known = set(ascii_uppercase + digits)
        font = arguments.font or ("round" if set(alphabet) <= known else "[round, 0.7], [noto-cjk, 0.3]")
        colours = (arguments.background, arguments.foreground)
        text = pack_text(arguments.code, name, alphabet, patterns, (size[0], size[1]), colours, font, path)
        data, lines = read_with_lines(text)
        CountryPack.from_dict(data, str(path), lines)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, [text.encode()])
    except (OSError, ValueError) as error:
        sys.exit(f"new_country.py: {error}")
    print(f"Written to {path}; look at it: python scripts/preview_plates.py --country {path} --output sheet.png")


if __name__ == "__main__":
    main()
