"""What a score is worth: the temperature and the thresholds that held-back plates give. Plain numpy.

Fitted is the probability of the *whole string*, since that is what a deployer trusts or doubts: scaling that is right
for single characters need not be right for their product (Slossberg et al., "On Calibration of Scene-Text Recognition
Models", arXiv 2012.12643).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alpr.files import SMALL_BYTES, read_regular
from alpr.plates.charset import PAD, Charset
from alpr.plates.records import FloatArray
from alpr.plates.values import Fault, located, read_as, strict_json
from alpr.recognition.decode import check_logits, read_classes
from alpr.recognition.metrics import expected_calibration_error

CALIBRATION_FILE = "calibration.json"
TEMPERATURES = np.geomspace(0.2, 10.0, 80)
RESAMPLES = 500
_STEPS = 24  # of the golden section: two steps of the grid shrink to a millionth
_LEAST = 1e-12
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Threshold:
    """The lowest score above which readings have a precision on the plates it was found on.

    Attributes:
        score: readings with at least this score are kept.
        readings, wrong: how many are kept, and how many of these are wrong.
        plates, wrong_plates: how many plates these are of. Readings of one plate are not independent: with few wrong
            plates, or few plates, the precision on other plates is uncertain.
    """

    score: float
    readings: int
    wrong: int
    plates: int
    wrong_plates: int


@dataclass(frozen=True)
class Fit:
    """How well scores tell right readings from wrong ones.

    Attributes:
        ece: expected calibration error, see `expected_calibration_error`.
        nll: mean negative log-likelihood of "the whole string is right" given the score, in nats.
    """

    ece: float
    nll: float


@dataclass(frozen=True)
class Calibration:
    """What held-back plates say about a recogniser's scores; `calibration.json`.

    Attributes:
        temperature: the logits are divided by it; 1 where the readings do not show that another is better (see `note`).
        temperature_range: 95 % of 500 bootstrap samples of the plates.
        readings, plates: how many readings of how many plates it was fitted on; empty readings are not among them.
        wrong: how many of the readings were wrong.
        empty: readings of no character, left out: their score is 0 at every temperature.
        before, after: at temperature 1 and at `temperature`, on the same readings.
        note: why the temperature is 1; "" where it was fitted.
        checkpoint: SHA-256 of the weights' file; for other weights it means nothing.
        draws: augmented crops per plate besides the plain one; they are harder than photographs as they are.
        manifests, fold: where the plates came from.
    """

    temperature: float
    temperature_range: tuple[float, float] | None
    threshold_99: Threshold | None
    threshold_999: Threshold | None
    readings: int
    plates: int
    wrong: int
    empty: int
    before: Fit
    after: Fit
    note: str = ""
    checkpoint: str = ""
    draws: int = 0
    manifests: Mapping[str, str] = field(default_factory=dict)
    fold: int | None = None

    def to_json(self) -> bytes:
        """The text of `calibration.json`."""
        return (json.dumps(asdict(self), ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """The calibration in a file.

        Raises:
            ValueError: a file that holds none; the sentence names it.
            OSError: a file that cannot be read.
        """
        try:
            return read_as(cls, strict_json(read_regular(path, SMALL_BYTES)))
        except Fault as fault:
            raise ValueError(located(f"{path} is no calibration", fault)) from fault
        except ValueError as error:
            raise ValueError(f"{path} is no calibration: {error}.") from error


@dataclass(frozen=True)
class LabelledLogits:
    """What a recogniser gave for crops whose text is known.

    Attributes:
        logits: (B, L, K+1).
        texts: the true text of each; "" for a crop without a plate.
        plates: which plate each crop shows; crops with one number are not independent.

    Raises:
        ValueError: no crop, other numbers of texts and plates, another alphabet, or logits that are not finite.
    """

    logits: FloatArray
    texts: Sequence[str]
    plates: Sequence[int]
    charset: Charset

    def __post_init__(self) -> None:
        check_logits(self.logits, self.charset)
        counts = (len(self.logits), len(self.texts), len(self.plates))
        if len(set(counts)) > 1:
            raise ValueError("Logits, texts and plates are {}, {} and {}; expected as many of each.".format(*counts))
        if not counts[0]:
            raise ValueError("There is no reading to calibrate by; expected at least one crop.")

    def right(self) -> BoolArray:
        """(B,): whether the whole string is right; an empty reading never is."""
        read = [self.charset.decode(row) for row in read_classes(self.logits)]
        return np.array([bool(text) and text == true for text, true in zip(read, self.texts, strict=True)])

    def read(self) -> BoolArray:
        """(B,): whether anything was read."""
        return np.asarray(read_classes(self.logits)[:, 0] != PAD)


def string_scores(logits: FloatArray, temperature: float) -> FloatArray:
    """The scores (B,) that `decode_logits` gives to readings that are not empty."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(scaled, read_classes(logits)[..., None], axis=-1)[..., 0]
    return np.asarray(np.exp((chosen - np.log(np.exp(scaled).sum(axis=-1))).sum(axis=-1)))


def calibrate(held_back: LabelledLogits) -> Calibration:
    """The temperature and the thresholds that readings of held-back plates give.

    A temperature is only taken where 95 % of the bootstrap samples agree that it lies to one side of 1: a single wrong
    label, read right with a score of 0.999, can move the best temperature of a hundred plates by a tenth. Thresholds
    count wrong labels as wrong readings, which errs on the side of care.

    Raises:
        ValueError: not one crop on which anything was read.
    """
    read = held_back.read()
    if not read.any():
        raise ValueError(f"Nothing was read on any of {len(read)} crops; there is no score to calibrate.")
    logits, right, plates = held_back.logits[read], held_back.right()[read], np.asarray(held_back.plates)[read]
    temperature, spread, note = 1.0, None, ""
    if right.all() or not right.any():
        note = f"All of {len(right)} readings are {'right' if right.all() else 'wrong'}: any temperature would fit."
    else:
        temperature, spread = fit_temperature(logits, right, plates)
        if spread[0] <= 1 <= spread[1]:
            note = f"The best temperature, {temperature:.3f}, is not surely better than 1, which stays."
            temperature = 1.0
    scores = string_scores(logits, temperature)
    return Calibration(
        temperature=temperature,
        temperature_range=spread,
        threshold_99=threshold_for(scores, right, plates, 0.99),
        threshold_999=threshold_for(scores, right, plates, 0.999),
        readings=len(right),
        plates=len(np.unique(plates)),
        wrong=int((~right).sum()),
        empty=int((~read).sum()),
        before=fit_of(string_scores(logits, 1.0), right),
        after=fit_of(scores, right),
        note=note,
    )


def fit_temperature(
    logits: FloatArray, right: BoolArray, plates: npt.NDArray[np.integer[Any]]
) -> tuple[float, tuple[float, float]]:
    """The temperature whose whole-string scores are the likeliest, and its 95 % range when plates are drawn again.

    The likelihood is that of "right" or "wrong", not of the true string: what is wrong may be wrong in any way. As a
    function of the temperature it need not have a single peak, so a grid over all sensible temperatures finds the right
    valley, and the golden section its bottom. The calibration error itself would be a poor aim: it jumps when a
    reading changes its bin, and a score that is the same for all readings can make it 0.
    """
    losses = np.stack([string_losses(string_scores(logits, t), right) for t in TEMPERATURES])  # (T, B)
    best = int(losses.sum(axis=1).argmin())
    low, high = (math.log(TEMPERATURES[min(max(i, 0), len(TEMPERATURES) - 1)]) for i in (best - 1, best + 1))
    ratio = (math.sqrt(5) - 1) / 2

    def loss(at: float) -> float:
        return float(string_losses(string_scores(logits, math.exp(at)), right).sum())

    inner, outer = high - ratio * (high - low), low + ratio * (high - low)
    at_inner, at_outer = loss(inner), loss(outer)
    for _ in range(_STEPS):
        if at_inner <= at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - ratio * (high - low)
            at_inner = loss(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + ratio * (high - low)
            at_outer = loss(outer)
    return math.exp((low + high) / 2), _spread(losses, plates)


def _spread(losses: FloatArray, plates: npt.NDArray[np.integer[Any]]) -> tuple[float, float]:
    """The middle 95 % of the best grid temperatures over samples of plates; a plate brings all its readings."""
    _, owner = np.unique(plates, return_inverse=True)
    count = int(owner.max()) + 1
    by_plate = np.stack([np.bincount(owner, weights=row, minlength=count) for row in losses])  # (T, plates)
    rng = np.random.default_rng(0)
    best = [
        TEMPERATURES[(by_plate @ np.bincount(rng.integers(count, size=count), minlength=count)).argmin()]
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(best, [0.025, 0.975])
    return float(low), float(high)


def string_losses(scores: FloatArray, right: BoolArray) -> FloatArray:
    """The negative log-likelihood (B,) of each reading's being right or wrong, in nats, at most 28."""
    likely = np.where(right, scores, 1 - scores)
    return np.asarray(-np.log(np.maximum(likely, _LEAST)))


def fit_of(scores: FloatArray, right: BoolArray) -> Fit:
    """How well scores fit, over at least one reading."""
    error = expected_calibration_error(scores.tolist(), right.tolist())
    return Fit(0.0 if error is None else error, float(string_losses(scores, right).mean()))


def threshold_for(
    scores: FloatArray, right: BoolArray, plates: npt.NDArray[np.integer[Any]], precision: float
) -> Threshold | None:
    """The lowest score that keeps a share of at least `precision` right; None where none does.

    Readings of one score are kept or dropped together.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    kept = np.arange(1, len(scores) + 1)
    good = np.cumsum(right[order]) >= precision * kept - 1e-9
    ends = np.append(ordered[1:] != ordered[:-1], True)
    allowed = np.flatnonzero(good & ends)
    if not len(allowed):
        return None
    last = int(allowed[-1])
    inside = order[: last + 1]
    wrong = inside[~right[inside]]
    return Threshold(
        score=float(ordered[last]),
        readings=last + 1,
        wrong=len(wrong),
        plates=len(np.unique(plates[inside])),
        wrong_plates=len(np.unique(plates[wrong])),
    )


@dataclass(frozen=True)
class ReliabilityPoint:
    """Readings of similar scores: their mean score, the share that is right, and how many there are."""

    score: float
    right: float
    readings: int


def reliability(scores: FloatArray, right: BoolArray, bins: int = 10) -> list[ReliabilityPoint]:
    """The reliability diagram: readings in the order of their scores, parted into bins of one size.

    Bins of one size, unlike those of one width, do not put nearly all readings of a good recogniser into the last.
    """
    parts = np.array_split(np.argsort(scores, kind="stable"), min(bins, len(scores)))
    return [ReliabilityPoint(float(scores[p].mean()), float(right[p].mean()), len(p)) for p in parts]
