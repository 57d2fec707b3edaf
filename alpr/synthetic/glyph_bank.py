"""Glyphs in a country's true typeface, cut and averaged from its own training plates: data, made on the user's machine.

Rounds of two steps, as in expectation maximisation: the characters of every plate's known text are aligned with the
glyphs known so far (at first those of the stroke alphabet and the package font), then each glyph becomes the weighted
mean of its cells. Cells of low resolution overlap at fractions of a pixel, so their mean is sharper than each of them.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from alpr.files import LIST_BYTES, read_regular, write_atomically
from alpr.plates.country import CountryPack
from alpr.plates.layout import Layout
from alpr.plates.values import expect, read_as, strict_json
from alpr.synthetic.glyphs import STROKE_CHARACTERS, Mask

FORMAT = 1


def face_of(layout: Layout) -> str:
    """The name of a layout's first typeface: layouts of one pack that share it share their glyphs."""
    return layout.fonts[0].name


@dataclass(frozen=True)
class GlyphRecord:
    """How the glyphs of one character came about.

    Attributes:
        cells: how many cells they are the mean of.
        agreement: the cells' mean correlation with them, -1..1.
    """

    cells: int
    agreement: float


@dataclass(frozen=True, eq=False)
class GlyphBank:
    """Masks (V, 90, w) uint8 by face and character, 255 is ink: V variants of one glyph, filling the cell's height.

    Attributes:
        code: of the country pack.
        records: of the same keys.
        sources: SHA-256 of each manifest by its name.
        split: the rows that were used.
    """

    code: str
    masks: Mapping[tuple[str, str], Mask]
    records: Mapping[tuple[str, str], GlyphRecord] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    split: str = "train"
    _sized: dict[tuple[str, str, int, tuple[int, int]], Mask] = field(default_factory=dict, repr=False)

    def variants(self, character: str, layout: Layout) -> Mask | None:
        """The variants (V, 90, w) of a character in a layout's face, or None.

        A character that the stroke alphabet lacks is also taken from another face of the country: it is nearer to the
        truth than a general font.
        """
        found = self.masks.get((face_of(layout), character))
        if found is None and character not in STROKE_CHARACTERS:
            found = next((masks for (_, c), masks in self.masks.items() if c == character), None)
        return found

    def mask(self, character: str, size: tuple[int, int], layout: Layout, number: int) -> Mask | None:
        """A character at (height, width) px, or None; any `number` names one of its variants. Masks are kept."""
        variants = self.variants(character, layout)
        if variants is None:
            return None
        chosen = number % len(variants)
        key = face_of(layout), character, chosen, size
        if key not in self._sized:
            scaled = cv2.resize(variants[chosen], (size[1], size[0]), interpolation=cv2.INTER_AREA)
            self._sized[key] = np.asarray(scaled, dtype=np.uint8)
        return self._sized[key]

    def check(self, pack: CountryPack) -> None:
        """Complains of a bank that was made for another pack.

        Raises:
            ValueError: another country, or characters that the pack does not print.
        """
        foreign = sorted({character for _, character in self.masks} - set(pack.alphabet))
        if self.code != pack.code or foreign:
            has = f", with {''.join(foreign)!r} that the pack does not print" if foreign else ""
            raise ValueError(f"The glyph bank is of {self.code}{has}; expected one made with the pack of {pack.code}.")

    def write(self, path: Path) -> None:
        """Writes the bank as one .npz; makes its folder.

        Raises:
            NotWritten: a full disk or a folder that cannot be written to.
        """
        keys = sorted(self.masks)
        note = {
            "format": FORMAT,
            "code": self.code,
            "split": self.split,
            "sources": dict(self.sources),
            "glyphs": [
                {"face": face, "character": character, **vars(self.records.get((face, character), GlyphRecord(0, 0.0)))}
                for face, character in keys
            ],
        }
        buffer = io.BytesIO()
        text = json.dumps(note, ensure_ascii=False, sort_keys=True).encode()
        arrays = {f"glyph_{i}": self.masks[key] for i, key in enumerate(keys)}
        _save(buffer, {"note": np.frombuffer(text, np.uint8), **arrays})
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, [buffer.getvalue()])

    @classmethod
    def read(cls, path: Path, pack: CountryPack | None = None) -> GlyphBank:
        """The bank in a file, checked against a pack where one is given.

        Raises:
            ValueError: a damaged file, or a bank of another pack.
            OSError: a file that cannot be read.
        """
        data = read_regular(path, LIST_BYTES)
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                note = strict_json(arrays["note"].tobytes())
                bank = _from_note(note, {name: arrays[name] for name in arrays.files if name != "note"})
        except (ValueError, KeyError, EOFError, OSError, RecursionError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path} is no whole glyph bank: {str(error).rstrip('.')}. Make it again.") from error
        if pack is not None:
            try:
                bank.check(pack)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
        return bank


def _save(buffer: io.BytesIO, arrays: dict[str, Any]) -> None:
    """A compressed .npz of which equal arrays give equal bytes: `numpy.savez` writes the time of day into it."""
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class _Glyph:
    """An entry of a bank's note: the glyphs of one character."""

    face: str
    character: str
    cells: int
    agreement: float


@dataclass(frozen=True)
class _Note:
    """What a bank's file says beside its masks."""

    format: int
    code: str
    split: str
    sources: Mapping[str, str]
    glyphs: tuple[_Glyph, ...]

    def __post_init__(self) -> None:
        expect(self.format == FORMAT, "format", self.format, str(FORMAT))


def _from_note(values: Any, arrays: dict[str, Any]) -> GlyphBank:
    note = read_as(_Note, values, whole="its note")
    if len(note.glyphs) != len(arrays):
        raise ValueError(f"it lists {len(note.glyphs)} characters and holds {len(arrays)}")
    masks, records = {}, {}
    for i, entry in enumerate(note.glyphs):
        array = arrays[f"glyph_{i}"]
        if array.dtype != np.uint8 or array.ndim != 3 or 0 in array.shape:
            raise ValueError(f"{entry.character!r} is {array.dtype} of shape {array.shape}, expected uint8 (V, H, W)")
        key = entry.face, entry.character
        masks[key] = array
        records[key] = GlyphRecord(entry.cells, entry.agreement)
    return GlyphBank(note.code, masks, records, note.sources, note.split)
