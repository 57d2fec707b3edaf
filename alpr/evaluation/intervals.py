"""How sure a figure is: the bootstrap, Wilson's interval of a share, and McNemar's test of two evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000
EXACT_UP_TO = 25
"""Discordant pairs from which the chi-square approximation is used."""


def bootstrap(values: Sequence[bool], clusters: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of a share when clusters are drawn again with replacement, 1000 times."""
    _, ids = np.unique(np.array(clusters, dtype=object).astype(str), return_inverse=True)
    counts = np.bincount(ids).astype(np.float64)
    hits = np.bincount(ids, weights=np.asarray(values, np.float64))
    generator = np.random.default_rng(seed)
    shares = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        drawn = np.bincount(generator.integers(0, len(counts), len(counts)), minlength=len(counts))
        shares[i] = (hits @ drawn) / (counts @ drawn)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


def wilson(found: int, plates: int, z: float = 1.959964) -> tuple[float, float]:
    """The score interval of a share.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22(158), 1927.
    """
    if not plates:
        return 0.0, 1.0
    p = found / plates
    middle = p + z * z / (2 * plates)
    reach = z * math.sqrt(p * (1 - p) / plates + z * z / (4 * plates * plates))
    whole = 1 + z * z / plates
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)


def mcnemar(only_first: int, only_second: int) -> tuple[float, bool]:
    """The two-sided p-value of McNemar's test, and whether it is exact.

    Up to 25 discordant pairs the binomial test, above it chi-square with one degree and continuity correction.
    Source: McNemar, Psychometrika 12(2), 1947; Edwards, Psychometrika 13(3), 1948.
    """
    n, least = only_first + only_second, min(only_first, only_second)
    if n <= EXACT_UP_TO:
        return min(1.0, 2 * sum(math.comb(n, k) for k in range(least + 1)) / 2**n), True
    statistic = max(0.0, abs(only_first - only_second) - 1) ** 2 / n
    return math.erfc(math.sqrt(statistic / 2)), False
