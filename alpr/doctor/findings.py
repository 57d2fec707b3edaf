"""What the data doctor reports: rules with a severity, and findings that name a row and say what mending would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from alpr.doctor.table import DoctorTable

DROP: tuple[tuple[str, str], ...] = (("", ""),)
"""The mending of a row that cannot be kept."""


class Severity(IntEnum):
    """How bad a finding is; a higher one stops a stricter check."""

    NOTE = 0
    WARNING = 1
    ERROR = 2


class Rule(NamedTuple):
    """A rule's severity and what it says about a row."""

    severity: Severity
    meaning: str


_N, _W, _E = Severity.NOTE, Severity.WARNING, Severity.ERROR

RULES: Mapping[str, Rule] = {
    "decided": Rule(_N, "a person decided about the label"),
    "row-rejected": Rule(_E, "the manifest reader cannot use the row"),
    "companion-lost": Rule(_W, "left out because another plate of its image cannot be used"),
    "image-unreadable": Rule(_E, "the image is missing, truncated or no image"),
    "image-blank": Rule(_W, "the image is of one colour"),
    "image-grey": Rule(_N, "the image has no colour"),
    "image-16-bit": Rule(_N, "the image has 16 bits per value; 8 are used"),
    "image-huge": Rule(_N, "the image is very large"),
    "image-tiny": Rule(_N, "the image is a few pixels large"),
    "image-size": Rule(_E, "the image has another size than the table's columns say"),
    "number-invalid": Rule(_E, "a coordinate is no finite number"),
    "coordinates-shares": Rule(_E, "coordinates are shares of the image (0 to 1); px are expected"),
    "corners-crossed": Rule(_E, "the corners cross, or lie on a line"),
    "corners-anticlockwise": Rule(_E, "the corners run anticlockwise"),
    "corners-start": Rule(_W, "the first corner is not the top left one"),
    "corners-outside": Rule(_W, "a corner lies outside the image"),
    "box-empty": Rule(_E, "the box has no area"),
    "box-outside": Rule(_W, "the box reaches out of the image"),
    "box-not-hull": Rule(_W, "the box is not the hull of the corners"),
    "box-whole-image": Rule(_W, "the box is the whole image"),
    "plate-aspect": Rule(_W, "no plate has this ratio of width to height"),
    "plate-small": Rule(_W, "the plate is too small to read"),
    "text-form": Rule(_W, "lower case, full-width letters, blanks, separators or marks that nobody sees"),
    "text-lookalike": Rule(_E, "a letter of another script that looks like a Latin one, or a digit of another script"),
    "text-alphabet": Rule(_E, "a symbol that the country's alphabet does not have"),
    "text-length": Rule(_E, "no layout of the country has this many characters"),
    "text-grammar": Rule(_W, "fits no layout of the country"),
    "text-confused": Rule(_W, "O and 0, or I and 1, are mixed up"),
    "symbols-mixed": Rule(_W, "the set as a whole writes one symbol for another"),
    "country-unknown": Rule(_N, "no pack for the country: its alphabet and grammar were not checked"),
    "kind-missing": Rule(_N, "a layout or symbol of the country has no or few examples"),
    "texts-alike": Rule(_W, "plates whose texts differ in one or two characters look the same"),
    "leak-text": Rule(_E, "the plate is in more than one split"),
    "leak-image": Rule(_E, "the image, or an exact copy, is in more than one split"),
    "leak-near": Rule(_W, "a near duplicate of the image is in another split"),
    "empty-contradicted": Rule(_E, "the row says that the image has no plate; another row labels one"),
    "image-in-tables": Rule(_W, "several tables, or several spellings of its path, label the image"),
    "labelled-twice": Rule(_E, "one plate of one image has two different labels"),
    "duplicate-row": Rule(_W, "the same plate of the same image is listed again"),
    "duplicate-name": Rule(_W, "a file of this name with the same label lies in another folder"),
    "duplicate-image": Rule(_W, "the image is an exact copy of another"),
    "near-duplicate": Rule(_N, "the image nearly equals another"),
    "fold-text": Rule(_W, "a reader that was trained on other plates of the set reads another text"),
    "model-text": Rule(_W, "the model reads another text with confidence"),
    "model-corners": Rule(_W, "the model puts the corners elsewhere"),
    "model-unlabelled": Rule(_W, "the model finds a plate that nobody labelled"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth a look.

    Attributes:
        index: the row of the table; -1 where it concerns a row that has no entry, or the whole set.
        file, row, image: the row of the CSV file as a text editor counts; 0 and empty for the whole set.
        mending: new cells by column; `DROP` for a row that goes; empty where a person has to decide.
        score: ranks the findings of one rule, the highest first.
        other: the index of the row it is compared with; -1 for none.
        place: corners (4, 2) in px that a model gave, flat; empty for none.
        reading: what a reader reads, or the text of the row it is compared with; empty for none.
    """

    rule: str
    message: str
    index: int = -1
    file: str = ""
    row: int = 0
    image: str = ""
    mending: tuple[tuple[str, str], ...] = ()
    score: float = 0.0
    other: int = -1
    place: tuple[float, ...] = ()
    reading: str = ""

    @property
    def severity(self) -> Severity:
        return RULES[self.rule].severity

    @property
    def mending_sentence(self) -> str:
        """What --fix would do."""
        if self.mending == DROP:
            return "drops the row"
        if not self.mending:
            return ""
        names = [name for name, _ in self.mending]
        return f"sets text to {self.mending[0][1]!r}" if names == ["text"] else f"sets {', '.join(names)}"

    @property
    def proposal(self) -> str:
        """The text that may be the right one; empty where none is known."""
        return dict(self.mending).get("text", self.reading)

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {
            "rule": self.rule,
            "severity": self.severity.name.lower(),
            "file": self.file,
            "row": self.row,
            "image": self.image,
            "message": self.message,
            "fix": self.mending_sentence,
            "reading": self.reading,
            "score": round(self.score, 4),
        }


def finding(
    table: DoctorTable,
    index: int,
    rule: str,
    message: str,
    mending: tuple[tuple[str, str], ...] = (),
    *,
    score: float = 0.0,
    other: int = -1,
    place: Iterable[float] = (),
    reading: str = "",
) -> Finding:
    """A finding about a row of the table."""
    return Finding(
        rule,
        message,
        index,
        str(table.files[table.file_index[index]]),
        int(table.line[index]),
        table.image[index],
        mending,
        score,
        other,
        tuple(place),
        reading,
    )
