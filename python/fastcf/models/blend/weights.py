"""The weights of a blend: ridge regression towards the plain average."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

__all__ = ["ridge_weights"]

_Floats = NDArray[np.float64]

# Penalties that "auto" tries, in units of the members' mean squared spread, summed over the validation ratings: from
# negligible to so large that the result is the plain average.
_PENALTIES = np.logspace(-6, 2, 33)
_ROUNDING = 1e-6  # relative, of scores in float32


def _least_left_out(rows: _Floats, left: _Floats, leverage: _Floats) -> float:
    """Return the penalty of the least leave-one-out error of the regression of ``left`` on ``rows``.

    Leaving a row out changes its residual e to e / (1 − h), h being its leverage: that of the intercept, ``leverage``,
    plus ``x (XᵀX + λI)⁻¹ xᵀ``. Along the eigenvectors of XᵀX a penalty costs one pass over the rows;
    ``RidgeCV`` of scikit-learn, which finds the same, takes five times as long for a million rows of 4 columns.
    """
    lengths, vectors = np.linalg.eigh(rows.T @ rows)
    lengths = np.maximum(lengths, 0)
    turned = rows @ vectors
    squares, along = turned**2, turned.T @ left
    penalties = _PENALTIES * (float(lengths.mean()) or 1.0)

    def error(penalty: float) -> float:
        shrunk = 1 / (lengths + penalty)
        kept = np.maximum(1 - leverage - squares @ shrunk, np.finfo(np.float64).tiny)
        return float((((left - turned @ (along * shrunk)) / kept) ** 2).sum())

    return float(min(penalties, key=error))


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
    values = target.astype(np.float64)
    sample = np.ones(values.size) if sample_weight is None else sample_weight.astype(np.float64)
    centre = np.average(scores, axis=0, weights=sample) if intercept else np.zeros(n_members)
    middle = float(np.average(values, weights=sample)) if intercept else 0.0
    # The residuals of the plain average are regressed on the scores: the coefficients are the weights less 1/M.
    root = np.sqrt(sample)
    rows = root[:, None] * (scores - centre)
    left = root * (values - middle) - rows.mean(axis=1)
    if isinstance(reg, str):
        reg = _least_left_out(rows, left, sample / sample.sum() if intercept else np.zeros(values.size))
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
