"""How well readings equal the true texts: whole plates, characters, edit distance, calibration and rejection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from alpr.plates.records import Reading

CALIBRATION_BINS = 10
CURVE_POINTS = 100
_Key = TypeVar("_Key", str, int)


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


def equal_beyond(true: str, read: str, skipped: int) -> bool:
    """Whether two texts of one length agree in all but, perhaps, this many first characters."""
    return len(true) == len(read) and true[skipped:] == read[skipped:]


def has_province(text: str) -> bool:
    """Whether a text begins with a sign that is neither a Latin letter nor a digit, as Chinese plates do."""
    return not text[:1].isascii()


@dataclass(frozen=True)
class RiskPoint:
    """The share of readings whose score is at least the threshold, how many, and the share of them that is wrong."""

    threshold: float
    coverage: float
    risk: float
    kept: int


@dataclass(frozen=True)
class ReliabilityBin:
    """The readings whose score is above `low` and up to `high`."""

    low: float
    high: float
    readings: int
    mean_score: float
    accuracy: float


def reliability(scores: Sequence[float], right: Sequence[bool]) -> tuple[ReliabilityBin, ...]:
    """Mean score and share right of readings whose scores are alike; bins without a reading are left out.

    The bins are (0, 0.1], (0.1, 0.2] ... (0.9, 1], with 0 in the first.
    """
    values, hits = np.asarray(scores, np.float64), np.asarray(right, np.float64)
    bins = np.clip(np.ceil(values * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    found = []
    for i in np.unique(bins):
        inside = bins == i
        low, high = i / CALIBRATION_BINS, (i + 1) / CALIBRATION_BINS
        mean, share = float(values[inside].mean()), float(hits[inside].mean())
        found.append(ReliabilityBin(float(low), float(high), int(inside.sum()), mean, share))
    return tuple(found)


def expected_calibration_error(scores: Sequence[float], right: Sequence[bool]) -> float | None:
    """How far scores are from the share that is right: the sum over ten bins of n / N * |mean score - share right|.

    The bins are those of `reliability`. None where nothing was read.
    """
    if not len(scores):
        return None
    gaps = (b.readings * abs(b.mean_score - b.accuracy) for b in reliability(scores, right))
    return sum(gaps) / len(scores)


def risk_coverage(scores: Sequence[float], right: Sequence[bool]) -> tuple[RiskPoint, ...]:
    """What every threshold keeps and how much of that is wrong, the highest threshold first.

    Readings of one score are kept or dropped together. Source: El-Yaniv and Wiener, "On the foundations of noise-free
    selective classification", JMLR 11, 2010.
    """
    if not len(scores):
        return ()
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    values = np.asarray(scores, np.float64)[order]
    kept = np.arange(1, len(values) + 1)
    wrong = kept - np.cumsum(np.asarray(right, np.int64)[order])
    ends = np.flatnonzero(np.append(values[1:] != values[:-1], True))  # thresholds lie behind the last of equal scores
    return tuple(
        RiskPoint(float(values[i]), float(kept[i] / len(values)), float(wrong[i] / kept[i]), int(kept[i])) for i in ends
    )


def area_under_risk(curve: Sequence[RiskPoint]) -> float | None:
    """The area under a risk-coverage curve, 0..1; less is better. None where nothing was read.

    The risk at a coverage is that of the threshold that first reaches it, so without equal scores the area is the mean
    risk of the k surest readings over all k (Geifman, Uziel and El-Yaniv, ICLR 2019).
    """
    if not curve:
        return None
    before = (0.0, *(point.coverage for point in curve))
    return sum((point.coverage - last) * point.risk for point, last in zip(curve, before, strict=False))


def coverage_at_precision(scores: Sequence[float], right: Sequence[bool], precision: float) -> float | None:
    """The largest share of readings that a score threshold can keep with at least this share of them right.

    Readings of one score are kept or dropped together. 0 where no threshold does; None where nothing was read.
    """
    allowed = [p.coverage for p in risk_coverage(scores, right) if p.risk * p.kept <= (1 - precision) * p.kept + 1e-9]
    return max(allowed, default=0.0) if len(scores) else None


@dataclass(frozen=True)
class LengthScore:
    """Whole-plate accuracy of the plates whose true text has this many characters."""

    length: int
    plates: int
    accuracy: float


@dataclass(frozen=True)
class ProvinceScore:
    """Accuracy of the plates of one province, with and without that first character."""

    province: str
    plates: int
    accuracy: float
    accuracy_without_first: float


@dataclass(frozen=True)
class CharacterScore:
    """How often a true character stands in aligned readings as itself."""

    character: str
    count: int
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
        accuracy_without_prefix: the same without the first two (province and city letter).
        macro_accuracy: the mean over provinces of their accuracies, each province counted once.
        character_accuracy: the share of true characters that the reading has at the same place, counted from the left.
        country_accuracy, kind_accuracy: the share of plates with a label whose country or kind is right, of readings
            that name one.
        cer: the edit distances' sum / the true characters' number; may exceed 1.
        calibration_error: see `expected_calibration_error`, of the reading's score.
        aurc: see `area_under_risk`, of all readings by score.
        coverage_at_99: the largest share of plates that a score threshold keeps with at least 99 % of them right.
        by_length: by the length of the true text.
        by_province: of the texts that begin with a province sign, the most frequent first.
        by_character: of the true characters in aligned texts, in alphabetical order.
        confusions: differences of aligned texts, the most frequent first; with `by_character` the confusion matrix.
        reliability: see `reliability`.
        risk_coverage: about 100 points of the curve, the last of them at full coverage.
    """

    plates: int
    characters: int
    accuracy: float | None
    accuracy_without_first: float | None
    accuracy_without_prefix: float | None
    macro_accuracy: float | None
    character_accuracy: float | None
    cer: float | None
    calibration_error: float | None
    aurc: float | None
    coverage_at_99: float | None
    by_length: tuple[LengthScore, ...]
    by_province: tuple[ProvinceScore, ...]
    by_character: tuple[CharacterScore, ...]
    confusions: tuple[Confusion, ...]
    reliability: tuple[ReliabilityBin, ...]
    risk_coverage: tuple[RiskPoint, ...]
    country_accuracy: float | None = None
    kind_accuracy: float | None = None


class _Outcome(NamedTuple):
    """A plate's true text and what was read; whether country and kind are right, None where that is not known."""

    true: str
    read: str
    score: float
    country: bool | None = None
    kind: bool | None = None

    @property
    def right(self) -> bool:
        return self.read == self.true


@dataclass
class RecognitionMetrics:
    """Readings beside their true texts; `compute` may be called at any time."""

    outcomes: list[_Outcome] = field(default_factory=list)

    def update(self, reading: Reading, text: str, country: str | None = None, kind: str | None = None) -> None:
        """Adds one reading of a plate with this true text and, where they are known, country and kind.

        Raises:
            ValueError: an empty true text.
        """
        if not text:
            raise ValueError(f"The true text of a plate read as {reading.text!r} is empty; expected a character.")
        labels = (_same(country, reading.country), _same(kind, reading.kind))
        self.outcomes.append(_Outcome(text, reading.text, reading.score, *labels))

    def merge(self, other: RecognitionMetrics) -> RecognitionMetrics:
        """The readings of both; neither is changed."""
        return RecognitionMetrics(self.outcomes + other.outcomes)

    def compute(self) -> RecognitionScores:
        """The figures so far; the order of the readings changes nothing but the last digit."""
        outcomes = self.outcomes
        scores, right = [o.score for o in outcomes], [o.right for o in outcomes]
        characters = sum(len(o.true) for o in outcomes)
        same = sum(a == b for o in outcomes for a, b in zip(o.true, o.read, strict=False))
        edits = Counter(edit for o in outcomes for edit in _edits(o))
        wrong = {edit: n for edit, n in edits.items() if edit.true != edit.read}
        provinces, curve = _by_province(outcomes), risk_coverage(scores, right)
        return RecognitionScores(
            plates=len(outcomes),
            characters=characters,
            accuracy=_share(right),
            accuracy_without_first=_share([equal_beyond(o.true, o.read, 1) for o in outcomes]),
            accuracy_without_prefix=_share([equal_beyond(o.true, o.read, 2) for o in outcomes]),
            macro_accuracy=sum(p.accuracy for p in provinces) / len(provinces) if provinces else None,
            character_accuracy=same / characters if characters else None,
            cer=sum(wrong.values()) / characters if characters else None,
            calibration_error=expected_calibration_error(scores, right),
            aurc=area_under_risk(curve),
            coverage_at_99=coverage_at_precision(scores, right, 0.99),
            by_length=tuple(
                LengthScore(length, len(of), sum(of) / len(of))
                for length, of in sorted(_grouped((len(o.true), o.right) for o in outcomes).items())
            ),
            by_province=provinces,
            by_character=_by_character(edits),
            confusions=tuple(Confusion(*e, n) for e, n in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))),
            reliability=reliability(scores, right),
            country_accuracy=_share([o.country for o in outcomes if o.country is not None]),
            kind_accuracy=_share([o.kind for o in outcomes if o.kind is not None]),
            risk_coverage=curve[:: -max(1, len(curve) // CURVE_POINTS)][::-1],
        )


def _edits(outcome: _Outcome) -> list[Edit]:
    if outcome.right:
        return [Edit(c, c) for c in outcome.true]
    return align(outcome.true, outcome.read)


def _grouped(pairs: Iterable[tuple[_Key, bool]]) -> dict[_Key, list[bool]]:
    groups: dict[_Key, list[bool]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def _by_province(outcomes: Sequence[_Outcome]) -> tuple[ProvinceScore, ...]:
    placed = [o for o in outcomes if has_province(o.true)]
    whole = _grouped((o.true[0], o.right) for o in placed)
    rest = _grouped((o.true[0], equal_beyond(o.true, o.read, 1)) for o in placed)
    return tuple(
        ProvinceScore(p, len(of), sum(of) / len(of), sum(rest[p]) / len(of))
        for p, of in sorted(whole.items(), key=lambda item: (-len(item[1]), item[0]))
    )


def _by_character(edits: Mapping[Edit, int]) -> tuple[CharacterScore, ...]:
    counts: Counter[str] = Counter()
    for edit, n in edits.items():
        counts[edit.true] += n
    return tuple(CharacterScore(c, n, edits.get(Edit(c, c), 0) / n) for c, n in sorted(counts.items()) if c)


def _same(true: str | None, read: str | None) -> bool | None:
    return None if true is None or read is None else true == read


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None
