"""How well readings equal the true texts: whole plates, characters, edit distance and calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from alpr.records import Reading

CALIBRATION_BINS = 10


class Edit(NamedTuple):
    """One step of an alignment; a character left out has read "", one too many has true ""."""

    true: str
    read: str


def align(true: str, read: str) -> list[Edit]:
    """A cheapest alignment of two texts, equal characters included; substitutions go before gaps on a tie.

    Source: Wagner and Fischer, "The string-to-string correction problem", JACM 21(1), 1974.
    """
    costs = [list(range(len(read) + 1))]
    for i, a in enumerate(true, start=1):
        row = [i]
        for j, b in enumerate(read, start=1):
            row.append(min(costs[i - 1][j - 1] + (a != b), costs[i - 1][j] + 1, row[j - 1] + 1))
        costs.append(row)
    i, j, edits = len(true), len(read), []
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + (true[i - 1] != read[j - 1]):
            i, j = i - 1, j - 1
            edits.append(Edit(true[i], read[j]))
        elif i and costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
            edits.append(Edit(true[i], ""))
        else:
            j -= 1
            edits.append(Edit("", read[j]))
    return edits[::-1]


def edit_distance(true: str, read: str) -> int:
    """The fewest insertions, deletions and substitutions that turn one text into the other."""
    return sum(edit.true != edit.read for edit in align(true, read))


def equal_without_first(true: str, read: str) -> bool:
    """Whether two texts of one length agree in all but, perhaps, their first character."""
    return len(true) == len(read) and true[1:] == read[1:]


def expected_calibration_error(scores: Sequence[float], right: Sequence[bool]) -> float | None:
    """How far scores are from the share that is right: the sum over ten bins of n / N * |mean score - share right|.

    The bins are (0, 0.1], (0.1, 0.2] ... (0.9, 1], with 0 in the first. None where nothing was read.
    """
    if not len(scores):
        return None
    values, hits = np.asarray(scores, np.float64), np.asarray(right, np.float64)
    bins = np.clip(np.ceil(values * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=values - hits, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(values))


def coverage_at_precision(scores: Sequence[float], right: Sequence[bool], precision: float) -> float | None:
    """The largest share of readings that a score threshold can keep with at least this share of them right.

    Readings of one score are kept or dropped together. 0 where no threshold does; None where nothing was read.
    """
    if not len(scores):
        return None
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    values = np.asarray(scores, np.float64)[order]
    kept = np.arange(1, len(values) + 1)
    good = np.cumsum(np.asarray(right, np.float64)[order]) >= precision * kept - 1e-9
    ends = np.append(values[1:] != values[:-1], True)  # a threshold lies only behind the last of equal scores
    allowed = kept[good & ends]
    return float(allowed.max() / len(values)) if len(allowed) else 0.0


@dataclass(frozen=True)
class LengthScore:
    """Whole-plate accuracy of the plates whose true text has this many characters."""

    length: int
    plates: int
    accuracy: float


@dataclass(frozen=True)
class Confusion:
    """How often a true character was read as another; "" stands for a gap."""

    true: str
    read: str
    count: int


@dataclass(frozen=True)
class RecognitionScores:
    """Figures of a set of readings; None where there is nothing to measure.

    Attributes:
        accuracy: the share of plates whose every character is right and none is too many.
        accuracy_without_first: the same without the first character (the province, where a layout begins with one);
            the lengths must agree.
        character_accuracy: the share of true characters that the reading has at the same place, counted from the left.
        cer: the edit distances' sum / the true characters' number; may exceed 1.
        calibration_error: see `expected_calibration_error`, of the reading's score.
        coverage_at_99: the largest share of plates that a score threshold keeps with at least 99 % of them right.
        by_length: by the length of the true text.
        confusions: differences of aligned texts, the most frequent first.
    """

    plates: int
    characters: int
    accuracy: float | None
    accuracy_without_first: float | None
    character_accuracy: float | None
    cer: float | None
    calibration_error: float | None
    coverage_at_99: float | None
    by_length: tuple[LengthScore, ...]
    confusions: tuple[Confusion, ...]


@dataclass
class RecognitionMetrics:
    """Sums over readings; `compute` may be called at any time."""

    right_without_first: int = 0
    characters: int = 0
    right_characters: int = 0
    edits: int = 0
    scores: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    lengths: Counter[int] = field(default_factory=Counter)
    right_lengths: Counter[int] = field(default_factory=Counter)
    confusions: Counter[Edit] = field(default_factory=Counter)

    def update(self, reading: Reading, text: str) -> None:
        """Adds one reading of a plate with this true text.

        Raises:
            ValueError: an empty true text.
        """
        if not text:
            raise ValueError(f"The true text of a plate read as {reading.text!r} is empty; expected a character.")
        right = reading.text == text
        self.scores.append(reading.score)
        self.right.append(right)
        self.right_without_first += equal_without_first(text, reading.text)
        self.characters += len(text)
        self.right_characters += sum(a == b for a, b in zip(text, reading.text, strict=False))
        self.lengths[len(text)] += 1
        self.right_lengths[len(text)] += right
        if not right:
            wrong = [edit for edit in align(text, reading.text) if edit.true != edit.read]
            self.edits += len(wrong)
            self.confusions.update(wrong)

    def merge(self, other: RecognitionMetrics) -> RecognitionMetrics:
        """The sums of both; neither is changed."""
        return RecognitionMetrics(
            right_without_first=self.right_without_first + other.right_without_first,
            characters=self.characters + other.characters,
            right_characters=self.right_characters + other.right_characters,
            edits=self.edits + other.edits,
            scores=self.scores + other.scores,
            right=self.right + other.right,
            lengths=self.lengths + other.lengths,
            right_lengths=self.right_lengths + other.right_lengths,
            confusions=self.confusions + other.confusions,
        )

    def compute(self) -> RecognitionScores:
        """The figures so far."""
        plates = len(self.right)
        return RecognitionScores(
            plates=plates,
            characters=self.characters,
            accuracy=_share(sum(self.right), plates),
            accuracy_without_first=_share(self.right_without_first, plates),
            character_accuracy=_share(self.right_characters, self.characters),
            cer=_share(self.edits, self.characters),
            calibration_error=expected_calibration_error(self.scores, self.right),
            coverage_at_99=coverage_at_precision(self.scores, self.right, 0.99),
            by_length=tuple(
                LengthScore(length, n, self.right_lengths[length] / n) for length, n in sorted(self.lengths.items())
            ),
            confusions=tuple(
                Confusion(*edit, count) for edit, count in sorted(self.confusions.items(), key=lambda e: (-e[1], e[0]))
            ),
        )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
