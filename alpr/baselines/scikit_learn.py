"""The linear classifiers that scikit-learn fits; what is deployed needs only their weights."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from alpr.plates.records import FloatArray


class Plane(NamedTuple):
    """A separating plane: (F,) and its bias."""

    weights: FloatArray
    bias: float


def linear_svc(positive: FloatArray, negative: FloatArray, c: float, seed: int) -> Plane:
    """The plane between windows with a plate and windows without one, (N, F) each."""
    features = np.concatenate([positive, negative])
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    fitted = _module("svm").LinearSVC(C=c, dual="auto", random_state=seed, max_iter=3000).fit(features, labels)
    return Plane(np.asarray(fitted.coef_[0], np.float32), float(fitted.intercept_[0]))


def one_against_all(features: FloatArray, labels: Sequence[int], c: float, seed: int) -> tuple[FloatArray, FloatArray]:
    """A plane for each of K classes 0..K-1: weights (K, F) and biases (K,)."""
    fitted = _module("svm").LinearSVC(C=c, dual="auto", random_state=seed, max_iter=3000).fit(features, labels)
    return np.asarray(fitted.coef_, np.float32), np.asarray(fitted.intercept_, np.float32)


def logistic(margins: FloatArray, right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the curve that gives the probability of being right; (1, 0) where all are alike."""
    if len(set(right.tolist())) < 2:
        return 1.0, 0.0
    fitted = _module("linear_model").LogisticRegression().fit(margins[:, None], right)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def _module(name: str) -> Any:
    """A part of scikit-learn.

    Raises:
        ValueError: it is not installed.
    """
    try:
        return import_module(f"sklearn.{name}")
    except ImportError as error:
        raise ValueError(
            f"Training this method needs scikit-learn, which cannot be imported ({error}); "
            "pip install 'alpr-train[baselines]'."
        ) from error
