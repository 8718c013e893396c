"""Non-negative weights of a blend that are searched, one after the other, by what users or ratings gain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcf.metrics.predictions import ERRORS

__all__ = ["FoundWeights", "best_weights", "error_weights"]

_Floats = NDArray[np.float64]

_FACTORS = (0.0, 0.5, 0.75, 1.5, 2.0)  # of a weight, tried one after the other
_SHARES = (0.1, 0.3)  # tried for a weight of 0
_MOST_ROUNDS = 20
_SURE = 0.5  # standard errors that a step must gain


@dataclass(frozen=True)
class FoundWeights:
    """Weights, which add up to 1, and what they were found by.

    Attributes
    ----------
    weights : ndarray of shape (M,), float64
        The weights.
    measure : float
        Mean of what the blend gains.
    member_measures : tuple of float
        The same of each member alone.
    """

    weights: _Floats
    measure: float
    member_measures: tuple[float, ...]


def best_weights(measured: Callable[[_Floats], _Floats], n_members: int) -> FoundWeights:
    """Return the weights of the greatest mean measure; ``measured`` returns that of each user or rating, by weights.

    The search starts at equal weights and multiplies one weight at a time as long as that gains half a standard error
    of the paired difference, so that noise moves no weight. Deterministic.
    """
    alone = [measured(row) for row in np.eye(n_members)]
    weights, found = _climb(measured, np.full(n_members, 1 / n_members))
    for row, own in zip(np.eye(n_members), alone, strict=True):  # a climb from the best member finds what is beside it
        if own.mean() > found.mean():
            weights, found = _climb(measured, row)
    return FoundWeights(weights, float(found.mean()), tuple(float(each.mean()) for each in alone))


def error_weights(
    scores: _Floats,
    target: NDArray[np.float32],
    sample_weight: NDArray[np.float32] | None,
    metric: str,
    limits: tuple[float, float],
) -> FoundWeights:
    """Return the weights of columns of predictions whose sum has the least mean error; the measures are errors."""
    values = target.astype(np.float64)
    sample = np.ones(values.size) if sample_weight is None else sample_weight / sample_weight.mean(dtype=np.float64)

    def gained(weights: _Floats) -> _Floats:
        gains: _Floats = -sample * ERRORS[metric](values, np.clip(scores @ weights, *limits))
        return gains

    found = best_weights(gained, scores.shape[1])
    return FoundWeights(found.weights, -found.measure, tuple(-each for each in found.member_measures))


def _climb(measured: Callable[[_Floats], _Floats], weights: _Floats) -> tuple[_Floats, _Floats]:
    """Return the weights at which no step gains, and the measures of users there."""
    now = measured(weights)
    for _ in range(_MOST_ROUNDS):
        before = weights
        for m in range(weights.size):
            for own in _SHARES if weights[m] == 0 else weights[m] * np.array(_FACTORS):
                tried = weights.copy()
                tried[m] = own
                if tried.sum() <= 0:
                    continue
                tried /= tried.sum()
                then = measured(tried)
                gain = then - now
                if gain.mean() > _SURE * gain.std() / np.sqrt(gain.size) and gain.mean() > 0:
                    weights, now = tried, then
        if weights is before:
            break
    return weights, now
