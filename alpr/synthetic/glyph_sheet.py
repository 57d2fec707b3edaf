"""What a glyph bank holds, to be looked at before it is trained with: a sheet of its glyphs, and a report of doubts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from alpr.files import write_atomically
from alpr.plates.country import CountryPack
from alpr.synthetic.glyph_bank import GlyphBank
from alpr.synthetic.glyph_making import Made
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


def write_sheet(bank: GlyphBank, path: Path) -> Path:
    """Draws the bank beside its file; gives the picture's path."""
    picture = path.with_suffix(".png")
    write_atomically(picture, [cv2.imencode(".png", sheet(bank))[1].tobytes()], sync=False)
    return picture


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
