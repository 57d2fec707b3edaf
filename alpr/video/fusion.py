"""The text that all frames of one plate agree on: the slots' distributions joined, each frame by its own text score.

A product of experts with weights: the logarithms of the slots' probabilities are averaged, and how sure the reader was
of a frame's text makes that frame's weight. Blurred frames, which read anything, then hardly count. Lengths are
hypotheses like any other: the padding behind a text is part of every frame's distribution, so the best string of the
joined slots is the best of all lengths.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpr.plates.charset import Charset
from alpr.plates.records import Reading
from alpr.plates.slots import Alternative, most_probable
from alpr.recognition.grammar import Grammar, string_probability

TEMPERATURE = 0.4
"""Of the joined slots where the bundle's card holds none. Fitted by `tools/score_fusion.py` on 110 fabricated tracks of
CCPD's train plates; fitted on half of them, it took the calibration error of the others from 0.24 to 0.12."""
POWER = 1 / 3
"""Of a frame's text score, which makes its weight. Of 107 fabricated tracks of train plates the cube root reads 71.0 %,
the score itself 61.7, as single frames decide then, and no weight 69.2; with every third frame of another plate these
are 55.1, 45.8 and 52.3 %."""
FLOOR = math.log(1e-4)
"""The lowest log-probability that a frame gives a symbol: one frame alone rules nothing out."""
MOST_TEXTS = 200
"""Different texts of one plate that are counted; the rarest are forgotten."""


@dataclass(frozen=True)
class Fused:
    """What several readings of one plate say together.

    Attributes:
        text: "" where no frame was read.
        score: the calibrated probability of exactly this text, 0..1.
        agreed: how many frames read this text by themselves.
        frames: how many frames there were.
        alternatives: the most probable texts, best first, before any grammar.
        rule: the layout that the text fits, where a grammar was asked for.
        raw_text: what was read before the grammar changed it.
        country, kind: by the frames' own answers, weighted as their texts are; None without such heads.
    """

    text: str
    score: float
    agreed: int
    frames: int
    alternatives: tuple[Alternative, ...] = ()
    rule: str | None = None
    raw_text: str | None = None
    country: str | None = None
    kind: str | None = None


@dataclass
class _Sum:
    """Weighted log-probabilities (L, K+1) of one alphabet, and the sum of their weights."""

    logs: npt.NDArray[np.float64]
    charset: Charset
    weight: float = 0.0


class Fusion:
    """Readings of one plate, joined as they come; it holds sums, so that a plate in view for hours costs no memory.

    Args:
        temperature: the joined log-probabilities are divided by it, which calibrates the score.
        grammar: replaces a fused text that fits no layout of the country.
    """

    def __init__(self, temperature: float = TEMPERATURE, grammar: Grammar | None = None) -> None:
        self.temperature, self.grammar = temperature, grammar
        self.frames = 0
        self.texts: Counter[str] = Counter()
        self._sums: dict[tuple[str, tuple[int, ...]], _Sum] = {}  # by alphabet and shape: a bundle may have two
        self._countries: defaultdict[str, float] = defaultdict(float)
        self._kinds: defaultdict[str, float] = defaultdict(float)

    def add(self, reading: Reading) -> None:
        """One frame's reading; one without slots counts as a frame that was not read.

        Readings of recognisers with other alphabets are summed apart; the heaviest sum is the answer.
        """
        self.frames += 1
        if reading.slots is None or not reading.score > 0:
            return
        logs, weight = np.maximum(reading.slots.log_probabilities, FLOOR), reading.score**POWER
        key = (reading.slots.charset.symbols, logs.shape)
        joined = self._sums.setdefault(key, _Sum(np.zeros_like(logs), reading.slots.charset))
        joined.logs += weight * logs
        joined.weight += weight
        text = reading.text if reading.raw_text is None else reading.raw_text
        self.texts[text] += 1
        if len(self.texts) > MOST_TEXTS:
            self.texts = Counter(dict(self.texts.most_common(MOST_TEXTS // 2)))
        if reading.country is not None:
            self._countries[reading.country] += weight * (reading.country_score or 0.0)
        if reading.kind is not None:
            self._kinds[reading.kind] += weight * (reading.kind_score or 0.0)

    @property
    def probabilities(self) -> npt.NDArray[np.float64] | None:
        """(L, K+1) of the joined slots; None where nothing was read."""
        joined = self._heaviest()
        if joined is None:
            return None
        logs = joined.logs / (joined.weight * self.temperature)
        logs = logs - logs.max(axis=-1, keepdims=True)
        shares = np.exp(logs)
        return np.asarray(shares / shares.sum(axis=-1, keepdims=True))

    def _heaviest(self) -> _Sum | None:
        return max(self._sums.values(), key=lambda joined: joined.weight, default=None)

    def result(self, alternatives: int = 0) -> Fused:
        """What the readings so far say.

        Args:
            alternatives: how many of the most probable texts to give.
        """
        probabilities, joined = self.probabilities, self._heaviest()
        if probabilities is None or joined is None:
            return Fused("", 0.0, 0, self.frames)
        best = most_probable(np.log(np.maximum(probabilities, 1e-300)), max(2, alternatives))
        ids = next((ids for ids, _ in best if ids), ())  # that nothing is there was not what the frames said
        raw, rule = ids, None
        if self.grammar is not None:
            explained = self.grammar.explain(probabilities, ids)
            ids, rule = (ids, None) if explained is None else explained
        text, raw_text = joined.charset.decode(ids), joined.charset.decode(raw)
        return Fused(
            text=text,
            score=string_probability(probabilities, ids) if ids else 0.0,
            agreed=self.texts[text],
            frames=self.frames,
            alternatives=tuple(Alternative(joined.charset.decode(i), p) for i, p in best[:alternatives]),
            rule=rule,
            raw_text=raw_text if raw_text != text else None,
            country=_first(self._countries),
            kind=_first(self._kinds),
        )


def fuse(
    readings: Iterable[Reading],
    *,
    temperature: float = TEMPERATURE,
    grammar: Grammar | None = None,
    alternatives: int = 0,
) -> Fused:
    """The text of one plate from its readings in several frames; see `Fusion`."""
    fusion = Fusion(temperature, grammar)
    for reading in readings:
        fusion.add(reading)
    return fusion.result(alternatives)


def _first(votes: Mapping[str, float]) -> str | None:
    return max(votes, key=lambda name: votes[name], default=None)
