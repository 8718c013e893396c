"""The weights of a blend: ridge regression towards the plain average, or a convex combination of the members.

Weights may depend on how well items are known: feature-weighted linear stacking, with the support as the feature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

__all__ = ["Combination", "blend_weights", "convex_weights", "ridge_weights"]

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


def _weights_of(target: NDArray[Any], sample_weight: NDArray[np.float32] | None) -> _Floats:
    return np.ones(target.size) if sample_weight is None else sample_weight.astype(np.float64)


def _centred(
    scores: _Floats, target: NDArray[np.floating[Any]], sample_weight: NDArray[np.float32] | None, intercept: bool
) -> _Centred:
    values = target.astype(np.float64)
    sample = _weights_of(values, sample_weight)
    centre = np.average(scores, axis=0, weights=sample) if intercept else np.zeros(scores.shape[1])
    middle = float(np.average(values, weights=sample)) if intercept else 0.0
    root = np.sqrt(sample)
    return _Centred(root[:, None] * (scores - centre), root * (values - middle), sample, centre, middle)


def _left_out(rows: _Floats, left: _Floats, leverage: _Floats) -> Callable[[float], _Floats]:
    """Return the leave-one-out residuals of the regression of ``left`` on ``rows``, by penalty.

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

    return residuals


def _aligned(scores: _Floats, values: _Floats, sample: _Floats, part: NDArray[Any]) -> tuple[_Floats, _Floats]:
    """Return scores and ratings, those of each part moved so that its means are those of all."""
    columns = np.column_stack([scores, values])
    total = np.bincount(part, sample)
    sums = np.stack([np.bincount(part, sample * column) for column in columns.T], axis=1)
    means = np.divide(sums, total[:, None], out=np.zeros_like(sums), where=total[:, None] > 0)
    columns += np.average(columns, axis=0, weights=sample) - means[part]
    return columns[:, :-1], columns[:, -1]


def _leverage(sample: _Floats, part: NDArray[Any] | None = None) -> _Floats:
    """Return the leverage of the mean, or of the means of parts, at each rating."""
    total = sample.sum() if part is None else np.bincount(part, sample)[part]
    return np.asarray(np.divide(sample, total, out=np.zeros_like(sample), where=total > 0))


def _from_average(problem: _Centred, leverage: _Floats, n_members: int) -> tuple[float, _Floats]:
    """Return the penalty of the least leave-one-out error, and the residuals there.

    The first columns are those of the members, the weights of the others are drawn towards 0.
    """
    members = problem.rows[:, :n_members]
    residuals = _left_out(problem.rows, problem.ratings - members.mean(axis=1), leverage)
    penalties = _PENALTIES * (float((members**2).sum()) / n_members or 1.0)
    best = float(min(penalties, key=lambda penalty: float((residuals(penalty) ** 2).sum())))
    return best, residuals(best)


class Combination(NamedTuple):
    """How members are combined.

    Attributes
    ----------
    weights : ndarray of shape (M,), float64
        Weights of the members, at the mean support.
    intercept : float
        The constant, at the mean support.
    reg : float or None
        The penalty; None of a convex combination.
    slopes : ndarray of shape (M,), float64, or None
        Added to the weights, times the support of the item.
    count_slopes : tuple of float
        Added to the constant, times the support of the user and of the item.
    """

    weights: _Floats
    intercept: float
    reg: float | None
    slopes: _Floats | None = None
    count_slopes: tuple[float, float] = (0.0, 0.0)


def blend_weights(
    scores: _Floats,
    target: NDArray[np.float32],
    sample_weight: NDArray[np.float32] | None,
    reg: float | str,
    *,
    intercept: bool,
    non_negative: bool,
    support: tuple[_Floats, _Floats] | None = None,
    part: NDArray[np.intp] | None = None,
) -> Combination:
    """Return how columns of scores are combined; see :class:`fastcf.Blend`.

    With ``reg="auto"`` what is less simple must pay: the squared errors of ridge regression, each rating left out, must
    sum to less than those of the convex combination by a standard error of that difference; and those of the regression
    whose weights depend on the ``support`` of the ratings' users and items to less than those of what was taken before.
    A number takes the first regression.

    Where several ``part`` of the ratings were held out, weights and intercept are found as if all had the same mean: a
    part of high ratings leaves low ones to its members, whose predictions are low for that reason alone.
    """
    settings = {"intercept": intercept, "non_negative": non_negative}
    values = target.astype(np.float64)
    sample = _weights_of(values, sample_weight)
    part = np.zeros(values.size, np.intp) if part is None else part
    if intercept and part.any():
        scores, values = _aligned(scores, values, sample, part)
    leverage = _leverage(sample, part) if intercept else np.zeros(values.size)
    if not isinstance(reg, str):
        return Combination(*ridge_weights(scores, values, sample_weight, reg, **settings))
    problem = _centred(scores, values, sample_weight, intercept)
    n_members = scores.shape[1]
    penalty, residuals = _from_average(problem, leverage, n_members)
    found = Combination(*convex_weights(scores, values, sample_weight, intercept=intercept), None)
    squares = problem.sample * (values - scores @ found.weights - found.intercept) ** 2
    if _falls(residuals**2, squares):
        found = Combination(*ridge_weights(scores, values, sample_weight, penalty, **settings))
        squares = residuals**2
    if support is None:
        return found
    columns, spread = _with_support(scores, problem, support)
    wide = _centred(columns, values, sample_weight, intercept)
    penalty, residuals = _from_average(wide, leverage, n_members)
    if not _falls(residuals**2, squares):
        return found
    weights, constant, _ = ridge_weights(columns, values, sample_weight, penalty, n_members=n_members, **settings)
    own, slopes, (of_user, of_item) = np.split(weights, [n_members, 2 * n_members])
    at_item = spread * of_item - float(problem.centre @ slopes)
    return Combination(own, constant, penalty, slopes, (float(spread * of_user), at_item))


def _falls(new: _Floats, old: _Floats) -> bool:
    """Return whether losses of the same ratings fall by a standard error of the difference."""
    gains = old - new
    return bool(gains.sum() > np.sqrt(gains.size) * gains.std())


def _with_support(scores: _Floats, problem: _Centred, support: tuple[_Floats, _Floats]) -> tuple[_Floats, float]:
    """Return the scores, the same less their means times the items' support, and both supports; and their spread.

    Columns of support are given the spread of the scores, so that one penalty suits all.
    """
    spread = float(np.sqrt((problem.rows**2).sum() / (problem.sample.sum() * scores.shape[1])))
    of_user, of_item = support
    more = (scores - problem.centre) * of_item[:, None]
    return np.column_stack([scores, more, spread * of_user, spread * of_item]), spread


def convex_weights(
    scores: _Floats, target: NDArray[np.floating[Any]], sample_weight: NDArray[np.float32] | None, *, intercept: bool
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
    target: NDArray[np.floating[Any]],
    sample_weight: NDArray[np.float32] | None,
    reg: float | str,
    *,
    intercept: bool,
    non_negative: bool,
    n_members: int | None = None,
) -> tuple[_Floats, float, float]:
    """Return the weights of columns of scores, the intercept, and the penalty; see :class:`fastcf.Blend`.

    The weights of the columns after the first ``n_members`` are drawn towards 0 instead of the average of members.
    """
    n_members = n_members or scores.shape[1]
    problem = _centred(scores, target, sample_weight, intercept)
    rows, ratings, _, centre, middle = problem
    # The residuals of the plain average are regressed on the scores: the coefficients are the weights less 1/M.
    left = ratings - rows[:, :n_members].mean(axis=1)
    if isinstance(reg, str):
        leverage = _leverage(problem.sample) if intercept else np.zeros(problem.sample.size)
        reg, _ = _from_average(problem, leverage, n_members)
    # Of several solutions the one nearest to the average is taken, so that members with equal scores (to float32
    # precision) share their weight, also without a penalty.
    n = rows.shape[1]
    average = np.where(np.arange(n) < n_members, 1 / n_members, 0.0)
    penalised = np.vstack([rows, np.sqrt(reg) * np.eye(n)])
    right = np.concatenate([left, np.zeros(n)])
    triangle: NDArray[Any] = np.asarray(np.linalg.qr(np.column_stack([penalised, right]), mode="r"))  # for all rows
    few, last = triangle[:, :-1], triangle[:, -1]
    weights = average + np.linalg.lstsq(few, last, rcond=_ROUNDING)[0]
    if non_negative and weights.min() < 0:
        weights, _ = nnls(few, last + few @ average)
    return weights, middle - float(centre @ weights), float(reg)
