"""Plate texts as they are taken over: NFKC, without blanks and without marks that nobody sees."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_SPACE = re.compile(r"\s+")


def cleaned(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Texts in NFKC, without blanks and characters of category Cf, and sentences on what was changed."""
    invisible: Counter[str] = Counter()
    marked = spaced = folded = 0
    taken: list[str] = []
    for text in texts:
        if text.isascii():
            plain = text
        else:
            marks = {c for c in text if unicodedata.category(c) == "Cf"}
            invisible.update(marks)
            marked += bool(marks)
            bare = "".join(c for c in text if c not in marks)
            plain = unicodedata.normalize("NFKC", bare)
            folded += _SPACE.sub("", plain) != _SPACE.sub("", bare)
        without = _SPACE.sub("", plain)
        spaced += without != plain
        taken.append(without)
    notes = []
    if marked:
        names = ", ".join(f"U+{ord(c):04X}" for c in sorted(invisible))
        notes.append(f"{marked:,} texts held marks that nobody sees ({names}), which were taken out.")
    if folded:
        notes.append(f"{folded:,} texts were brought to Unicode's NFKC, such as full-width letters to ordinary ones.")
    if spaced:
        notes.append(f"{spaced:,} texts held spaces, which were taken out.")
    return taken, notes
