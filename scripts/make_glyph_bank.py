"""A glyph bank from your own training plates, so that rendered plates have your country's true typeface.

python scripts/make_glyph_bank.py --country cn --manifest datasets/CCPD2020/ccpd_green/alpr_dataset.csv \
    --output datasets/glyphs/cn.npz --sheet

Rows need a text; plates are cut by their corners, and an image without corners is taken as a ready-made crop. Only rows
of the split `train` are used, without the fold that is held back. Look at the sheet before you train with the bank, and
keep the bank where version control does not see it: it is made of your photographs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from alpr.data.manifest import read_manifest
from alpr.files import write_atomically
from alpr.plates.country import CountryPack
from alpr.synthetic.glyph_bank import GlyphBank
from alpr.synthetic.glyph_making import Made, MakingSettings, make_bank
from alpr.synthetic.glyphs import STROKE_CHARACTERS, Mask

FEW = 4
"""Cells below which a character is named as doubtful."""
WIDTH = 1500


def sheet(bank: GlyphBank) -> Mask:
    """Every character's variants with the number of its cells and their agreement, (H, 1500)."""
    lines: list[list[Mask]] = [[]]
    face = ""
    for key in sorted(bank.masks):
        record, character = bank.records[key], key[1]
        row = np.hstack([cv2.copyMakeBorder(m, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=70) for m in bank.masks[key]])
        tile = cv2.copyMakeBorder(row, 14, 4, 0, max(6, 120 - row.shape[1]), cv2.BORDER_CONSTANT, value=0)
        name = character if character.isascii() else f"U+{ord(character):04X}"
        cv2.putText(tile, f"{name} {record.cells} {record.agreement:.2f}", (1, 10), 0, 0.36, 255, 1, cv2.LINE_AA)
        if lines[-1] and (key[0] != face or sum(t.shape[1] for t in lines[-1]) + tile.shape[1] > WIDTH):
            lines.append([])
        face = key[0]
        lines[-1].append(np.asarray(tile, np.uint8))
    rows = []
    for line in lines:
        strip = np.zeros((max(t.shape[0] for t in line), max(WIDTH, sum(t.shape[1] for t in line))), np.uint8)
        x = 0
        for tile in line:
            strip[: tile.shape[0], x : x + tile.shape[1]] = tile
            x += tile.shape[1]
        rows.append(strip)
    width = max(r.shape[1] for r in rows)
    return np.vstack([np.pad(r, ((0, 0), (0, width - r.shape[1]))) for r in rows])


def report(made: Made, pack: CountryPack) -> str:
    """What was made of which plates, with the characters that are doubtful or missing."""
    bank = made.bank
    lines = [f"{made.used} of {made.plates} plates gave glyphs; {len(made.left_out)} more were left out."]
    lines += [f"  {sentence}" for sentence in made.left_out[:3]]
    for face in sorted({face for face, _ in bank.masks}):
        has = {character: bank.records[f, character] for f, character in sorted(bank.masks) if f == face}
        lines.append(f"Face {face}: {len(has)} characters (cells, agreement)")
        lines.append("  " + "  ".join(f"{c} {r.cells} {r.agreement:.2f}" for c, r in has.items()))
        doubtful = "".join(character for character, r in has.items() if r.cells < FEW)
        if doubtful:
            lines.append(f"  Warning: of fewer than {FEW} cells, look at them on the sheet: {doubtful}")
    known = {character for _, character in bank.masks}
    for what, rest in (("strokes", set(pack.alphabet) & STROKE_CHARACTERS), ("font", set(pack.alphabet))):
        missing = "".join(sorted(rest - known - (set() if what == "strokes" else STROKE_CHARACTERS)))
        if missing:
            lines.append(f"Not in the bank, left to the {what}: {missing}")
    return "\n".join(lines)


def arguments_of(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--country", required=True, help="a pack of configs/country, such as cn, or a YAML file")
    parser.add_argument("--manifest", required=True, nargs="+", type=Path, help="CSV tables of labelled plates")
    parser.add_argument("--output", required=True, type=Path, help="the bank, a .npz file")
    parser.add_argument("--sheet", action="store_true", help="draw the glyphs on a .png beside the bank")
    parser.add_argument(
        "--replace", nargs="*", default=[], metavar="O=0", help="plates print the first like the second"
    )
    parser.add_argument("--free-gaps", action="store_true", help="the spacing differs from issuer to issuer")
    parser.add_argument("--holdout-fold", type=int, default=0, help="the tenth of the plates that is held back")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    return parser.parse_args(arguments)


def make(args: argparse.Namespace) -> None:
    """Makes the bank, writes it and its sheet, and prints the report.

    Raises:
        ValueError, OSError, RuntimeError: see `make_bank`; the sentence is for the user.
    """
    pack = CountryPack.find(args.country)
    wrong = [pair for pair in args.replace if len(pair) != 3 or pair[1] != "="]
    if wrong:
        raise ValueError(f"--replace {wrong[0]!r}; expected two characters with = between them, such as O=0.")
    if args.output.suffix != ".npz":
        raise ValueError(f"--output {args.output}; expected a file that ends in .npz.")
    manifest = read_manifest(args.manifest)
    made = make_bank(
        manifest,
        pack,
        MakingSettings(free_gaps=args.free_gaps),
        sources={str(path): read_manifest(path).sha256 for path in args.manifest},
        replaced={pair[0]: pair[2] for pair in args.replace},
        holdout_fold=args.holdout_fold,
        workers=args.workers,
    )
    made.bank.write(args.output)
    print(report(made, pack))
    if args.sheet:
        picture = cv2.imencode(".png", sheet(made.bank))[1].tobytes()
        write_atomically(args.output.with_suffix(".png"), [picture], sync=False)
        print(f"Look at {args.output.with_suffix('.png')}.")
    print(f"Train with it: data.glyph_bank={args.output}")


def main(arguments: list[str]) -> int:
    """Gives 1 after a complaint."""
    try:
        make(arguments_of(arguments))
    except (ValueError, OSError, RuntimeError) as error:
        print(f"make_glyph_bank.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
