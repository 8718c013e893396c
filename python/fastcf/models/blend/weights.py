"""The weights of a blend: ridge regression towards the plain average, or a convex combination of the members."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

__all__ = ["blend_weights", "convex_weights", "ridge_weights"]

_Floats = NDArray[np.float64]

# Penalties that "auto" tries, in units of the members' mean squared spread, summed over the validation ratings: from
# negligible to so large that the result is the plain average.
_PENALTIES = np.logspace(-6, 2, 33)
_ROUNDING = 1e-6  # relative, of scores in float32
_ONE = 1e3  # weight of the equation that the weights of a convex combination add up to one, relative to the ratings
_EQUAL = 1e-6  # weight of the equations that they are equal: members that predict alike share theirs


class _Centred(NamedTuple):
    """A problem without its intercept: rows of scores and ratings, times the roots of their weights."""

    rows: _Floats
    ratings: _Floats
    sample: _Floats
    centre: _Floats
    middle: float


def _centred(
    scores: _Floats, target: NDArray[np.float32], sample_weight: NDArray[np.float32] | None, intercept: bool
) -> _Centred:
    values = target.astype(np.float64)
    sample = np.ones(values.size) if sample_weight is None else sample_weight.astype(np.float64)
    centre = np.average(scores, axis=0, weights=sample) if intercept else np.zeros(scores.shape[1])
    middle = float(np.average(values, weights=sample)) if intercept else 0.0
    root = np.sqrt(sample)
    return _Centred(root[:, None] * (scores - centre), root * (values - middle), sample, centre, middle)


def _left_out(rows: _Floats, left: _Floats, leverage: _Floats) -> tuple[Callable[[float], _Floats], _Floats]:
    """Return the leave-one-out residuals of the regression of ``left`` on ``rows`` by penalty, and penalties to try.

    Leaving a row out changes its residual e to e / (1 − h), h being its leverage: that of the intercept, ``leverage``,
    plus ``x (XᵀX + λI)⁻¹ xᵀ``. Along the eigenvectors of XᵀX a penalty costs one pass over the rows;
    ``RidgeCV`` of scikit-learn, which finds the same, takes five times as long for a million rows of 4 columns.
    """
    lengths, vectors = np.linalg.eigh(rows.T @ rows)
    lengths = np.maximum(lengths, 0)
    turned = rows @ vectors
    squares, along = turned**2, turned.T @ left

    def residuals(penalty: float) -> _Floats:
        shrunk = 1 / (lengths + penalty)
        kept = np.maximum(1 - leverage - squares @ shrunk, np.finfo(np.float64).tiny)
        return np.asarray((left - turned @ (along * shrunk)) / kept)

    return residuals, _PENALTIES * (float(lengths.mean()) or 1.0)


def _from_average(problem: _Centred, intercept: bool) -> tuple[float, _Floats]:
    """Return the penalty of the least leave-one-out error, and the residuals there."""
    leverage = problem.sample / problem.sample.sum() if intercept else np.zeros(problem.sample.size)
    residuals, penalties = _left_out(problem.rows, problem.ratings - problem.rows.mean(axis=1), leverage)
    best = float(min(penalties, key=lambda penalty: float((residuals(penalty) ** 2).sum())))
    return best, residuals(best)


def blend_weights(
    scores: _Floats,
    target: NDArray[np.float32],
    sample_weight: NDArray[np.float32] | None,
    reg: float | str,
    *,
    intercept: bool,
    non_negative: bool,
) -> tuple[_Floats, float, float | None]:
    """Return the weights of columns of scores, the intercept, and the penalty, None for a convex combination.

    See :class:`fastcf.Blend`. With ``reg="auto"`` ridge regression must pay: its squared errors, each rating left out,
    must sum to less than those of the convex combination by a standard error of that difference.
    """
    if not isinstance(reg, str):
        return ridge_weights(scores, target, sample_weight, reg, intercept=intercept, non_negative=non_negative)
    problem = _centred(scores, target, sample_weight, intercept)
    penalty, left_out = _from_average(problem, intercept)
    weights, constant = convex_weights(scores, target, sample_weight, intercept=intercept)
    errors = np.sqrt(problem.sample) * (target - scores @ weights - constant)
    gains = errors**2 - left_out**2
    if gains.sum() > np.sqrt(gains.size) * gains.std():
        return ridge_weights(scores, target, sample_weight, penalty, intercept=intercept, non_negative=non_negative)
    return weights, constant, None


def convex_weights(
    scores: _Floats, target: NDArray[np.float32], sample_weight: NDArray[np.float32] | None, *, intercept: bool
) -> tuple[_Floats, float]:
    """Return the non-negative weights of sum one of the least squared error, and the intercept.

    The intercept is the mean error d of their sum, shrunk to ``d max(0, 1 − s² / d²)``, s being its standard error
    (James and Stein's estimate, positive part): few ratings do not determine it.
    """
    problem = _centred(scores, target, sample_weight, intercept)
    n_members = scores.shape[1]
    triangle: NDArray[Any] = np.asarray(np.linalg.qr(np.column_stack([problem.rows, problem.ratings]), mode="r"))
    size = float(np.sqrt((problem.rows**2).sum() / n_members)) or 1.0
    equal = np.column_stack([np.eye(n_members), np.full(n_members, 1 / n_members)])
    one = np.ones((1, n_members + 1))
    equations = np.vstack([triangle, _ONE * size * one, np.sqrt(_EQUAL) * size * equal])
    weights, _ = nnls(equations[:, :-1], equations[:, -1])
    weights /= weights.sum()
    if not intercept:
        return weights, 0.0
    errors, sample = target - scores @ weights, problem.sample
    mean = float(np.average(errors, weights=sample))
    squared = float((sample**2 @ (errors - mean) ** 2) / sample.sum() ** 2)
    return weights, mean * max(0.0, 1 - squared / mean**2) if mean else 0.0


def ridge_weights(
    scores: _Floats,
    target: NDArray[np.float32],
    sample_weight: NDArray[np.float32] | None,
    reg: float | str,
    *,
    intercept: bool,
    non_negative: bool,
) -> tuple[_Floats, float, float]:
    """Return the weights of columns of scores, the intercept, and the penalty; see :class:`fastcf.Blend`."""
    n_members = scores.shape[1]
    problem = _centred(scores, target, sample_weight, intercept)
    rows, ratings, _, centre, middle = problem
    # The residuals of the plain average are regressed on the scores: the coefficients are the weights less 1/M.
    left = ratings - rows.mean(axis=1)
    if isinstance(reg, str):
        reg, _ = _from_average(problem, intercept)
    # Of several solutions the one nearest to the average is taken, so that members with equal scores (to float32
    # precision) share their weight, also without a penalty.
    penalised = np.vstack([rows, np.sqrt(reg) * np.eye(n_members)])
    right = np.concatenate([left, np.zeros(n_members)])
    triangle: NDArray[Any] = np.asarray(np.linalg.qr(np.column_stack([penalised, right]), mode="r"))  # for all rows
    few, last = triangle[:, :-1], triangle[:, -1]
    weights = 1 / n_members + np.linalg.lstsq(few, last, rcond=_ROUNDING)[0]
    if non_negative and weights.min() < 0:
        weights, _ = nnls(few, last + few.sum(axis=1) / n_members)
    return weights, middle - float(centre @ weights), float(reg)
