"""How sure a figure is: Wilson's interval of a share, by plate, and McNemar's test of two evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from alpr.plates.records import FloatArray

Z = 1.959964
"""Of a 95 % interval."""
NAMED = "Intervals: Wilson's 95 %, all photographs of one plate together."
"""What stands below a table."""
EXACT_UP_TO = 25
"""Discordant pairs from which the chi-square approximation is used."""


class Interval(NamedTuple):
    """A share's 95 % interval, and the number of independent plates that would give it."""

    low: float
    high: float
    effective: float


def wilson(found: float, plates: float) -> tuple[float, float]:
    """The 95 % score interval of a share; neither count need be whole. 0 to 1 where there is no plate.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22(158), 1927.
    """
    if not plates:
        return 0.0, 1.0
    p = found / plates
    middle = p + Z * Z / (2 * plates)
    reach = Z * math.sqrt(max(0.0, p * (1 - p) / plates) + Z * Z / (4 * plates * plates))
    whole = 1 + Z * Z / plates
    return min(p, max(0.0, (middle - reach) / whole)), max(p, min(1.0, (middle + reach) / whole))


def share_interval(values: Sequence[bool], clusters: Sequence[str], weights: FloatArray | None = None) -> Interval:
    """Wilson's interval of a share of photographs, of which several may show one plate.

    A plate that is read in one photograph is likelier to be read in the next, so n photographs say as much as fewer
    independent ones: n / the design effect, the variance of the share by plates over that by photographs. Where plates
    stand several times, few of them also make that variance unsure, so that t stands for z. Where all photographs are
    right, or all wrong, that variance is not known, and each plate counts once.

    Sources: the effective size in Wilson's interval, Franco, Little, Louis and Slud, "Comparative study of confidence
    intervals for proportions in complex sample surveys", JSSAM 7(3), 2019; the t, Korn and Graubard, "Confidence
    intervals for proportions with small expected number of positive counts estimated from survey data", Survey
    Methodology 24(2), 1998; weights and one cluster, Kish, "Survey sampling", 1965.

    Args:
        values: whether each photograph is right; at least one.
        clusters: the plate of each.
        weights: (N,) of each; None where they weigh the same. The share is of the weights.
    """
    n, right = len(values), np.asarray(values, np.float64)
    plates, ids = np.unique(np.array(clusters, dtype=object).astype(str), return_inverse=True)
    if weights is None and len(plates) == n:
        return Interval(*wilson(float(right.sum()), n), float(n))
    weight = np.full(n, 1.0 / n) if weights is None else np.asarray(weights, np.float64) / float(np.sum(weights))
    p = float(weight @ right)
    if right.all() or not right.any():
        of_plates = np.bincount(ids, weights=weight) / np.bincount(ids)
        effective = float(of_plates.sum() ** 2 / (of_plates**2).sum())
    else:
        residuals = np.bincount(ids, weights=weight * (right - p))
        effective = p * (1 - p) / float((residuals**2).sum()) if residuals.any() else float(n)
        if len(plates) < n:
            effective *= (len(plates) - 1) / len(plates) * n / (n - 1) * (Z / _t(len(plates) - 1)) ** 2
        effective = min(effective, 1 / float((weight**2).sum()))
    effective = max(effective, 1.0)
    return Interval(*wilson(p * effective, effective), effective)


def stored_interval(figure: Mapping[str, Any]) -> tuple[float, float]:
    """The interval of a share that a report or a card holds, from the share and its independent plates.

    Files of before November 2026 do not hold their number; there all plates count as independent.

    Raises:
        AttributeError, KeyError, TypeError, ValueError, OverflowError: no share, or no count.
    """
    value, plates = float(figure["value"]), float(figure.get("effective") or figure["plates"])
    if not (0 <= value <= 1 and 0 < plates < math.inf):
        raise ValueError(f"A share of {value} of {plates} plates; expected 0 to 1 of more than none.")
    low, high = wilson(value * plates, plates)
    return min(low, value), max(high, value)


def _t(degrees: int) -> float:
    """The quantile of Student's t for which `Z` is that of the normal distribution, to 0.01 from 4 degrees on.

    Source: Abramowitz and Stegun, "Handbook of mathematical functions", 26.7.5, three terms.
    """
    d = max(degrees, 1)
    second, third = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96, (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return float(Z + (Z**3 + Z) / (4 * d) + second / d**2 + third / d**3)


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
