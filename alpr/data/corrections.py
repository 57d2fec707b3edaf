"""Audited labels: a small table of labels that are wrong, with what the photograph shows and why.

image,text,correction,reason
val/0168.jpg,皖AD61805,沪AD61805,the first character is 沪
,苏A1234,unreadable,no character can be made out

A row names its plate by the image's file name, by the label's text, or by both. A label is never changed: accuracy is
reported with the raw labels and, beside it, with the corrected ones.

The data doctor's page writes a fifth column, `decision`: keep (the label is right), correct, or drop (`unreadable`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from alpr.files import LIST_BYTES, open_regular_text
from alpr.plates.records import Plate

UNREADABLE = "unreadable"
COLUMNS = ("image", "text", "correction", "reason")
DECISION = "decision"
KEEP, CORRECT, DROPPED = "keep", "correct", "drop"


@dataclass(frozen=True)
class Correction:
    """One wrong label.

    Attributes:
        image: the file; only its name counts, "" for every image with the text.
        text: the label's text, "" for whatever it is.
        correction: what the plate shows; "" where nobody can read it.
        decision: of a person who looked; "" where the file does not say.
    """

    image: str
    text: str
    correction: str
    reason: str
    decision: str = ""

    def names(self, image: str, text: str | None) -> bool:
        """Whether this is the plate of that file name with that label."""
        same = not self.image or PurePosixPath(self.image).name == image
        return same and (not self.text or self.text == text) and bool(text)

    def __str__(self) -> str:
        named = " ".join(part for part in (PurePosixPath(self.image).name, self.text) if part)
        return f"{named} reads {self.correction or 'nothing that can be made out'}: {self.reason}"


def read_corrections(path: Path) -> tuple[Correction, ...]:
    """The corrections of a CSV file, without the labels that were decided to be right.

    Raises:
        ValueError, OSError: see `read_decisions`.
    """
    return tuple(one for one in read_decisions(path) if one.decision != KEEP)


def read_decisions(path: Path) -> tuple[Correction, ...]:
    """The corrections and decisions of a CSV file; one without a decision corrects, or drops what is unreadable.

    Raises:
        ValueError: other columns, a row without a name, a correction or a reason, or two rows for one plate.
        OSError: a file that cannot be read.
    """
    try:
        with open_regular_text(path, LIST_BYTES, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) not in (COLUMNS, (*COLUMNS, DECISION)):
                found = ",".join(reader.fieldnames or ())
                raise ValueError(f"{path} begins with {found!r}; expected the columns {','.join(COLUMNS)}.")
            return _checked([(f"{path}, row {reader.line_num}", row) for row in reader])
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}.") from error


def _checked(rows: Sequence[tuple[str, dict[str, str]]]) -> tuple[Correction, ...]:
    seen: set[tuple[str, str]] = set()
    corrections = []
    for place, row in rows:
        cells = {name: (row[name] or "").strip() for name in COLUMNS}
        if None in row or not (cells["image"] or cells["text"]) or not cells["correction"] or not cells["reason"]:
            raise ValueError(
                f"{place} is {','.join(cells.values())!r}; expected an image or a text, a correction "
                f"(or {UNREADABLE}) and a reason."
            )
        usual = DROPPED if cells["correction"] == UNREADABLE else CORRECT
        decision = (row.get(DECISION) or "").strip() or usual
        if decision not in (usual, KEEP):
            raise ValueError(
                f"{place}: the decision is {decision!r} and the correction {cells['correction']!r}; expected {KEEP}, "
                f"{CORRECT} with a text, or {DROPPED} with {UNREADABLE}."
            )
        if cells["correction"] == cells["text"] and decision != KEEP:
            raise ValueError(f"{place}: the correction {cells['correction']!r} is the label's own text.")
        if (cells["image"], cells["text"]) in seen:
            raise ValueError(f"{place}: {cells['image'] or cells['text']} is corrected twice; expected one row.")
        seen.add((cells["image"], cells["text"]))
        correction = "" if cells["correction"] == UNREADABLE else cells["correction"]
        corrections.append(Correction(cells["image"], cells["text"], correction, cells["reason"], decision))
    return tuple(corrections)


def correction_of(corrections: Iterable[Correction], image: Path, plate: Plate) -> Correction | None:
    """The correction that names a plate; None where none does."""
    return next((c for c in corrections if c.names(image.name, plate.text)), None)
