"""Several readings of one plate, as one row or two and by one recogniser or another: the most probable one counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from alpr.plates.charset import PAD
from alpr.plates.records import Reading


class Candidate(NamedTuple):
    """A reading, and how likely it is that the plate is of its kind, whatever the text."""

    share: float  # the probability of its recogniser's countries, times that of its number of rows
    reading: Reading
    codes: Collection[str]  # of the countries that its recogniser reads
    cut: float | None  # where the rows part that it was read in; 0 for one row, None where nothing tells


def most_probable(candidates: Sequence[Candidate], first: Reading) -> Reading:
    """The reading whose text is the most probable: its share times its score; the first of equal ones.

    Args:
        first: the first look, which tells country and kind; of the countries the likeliest that the recogniser reads.
    """
    best = max(candidates, key=lambda candidate: candidate.share * text_probability(candidate.reading))
    named = {code: p for code, p in first.countries.items() if code in best.codes}
    country = max(named, key=lambda code: named[code], default=None)
    score = None if country is None else named[country]
    labels = replace(best.reading, country=country, country_score=score, kind=first.kind, kind_score=first.kind_score)
    return replace(labels, countries=first.countries, cut=best.cut, two_rows=first.two_rows)


def text_probability(reading: Reading) -> float:
    """Of exactly this text; of the empty one that there is no character, where its score is 0."""
    if reading.text or reading.slots is None:
        return reading.score
    return float(np.exp(reading.slots.log_probabilities[:, PAD].sum()))
