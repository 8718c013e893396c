"""How single users (items) deviate from all: slopes of features and a bias each, shrunk to 0 by estimated penalties."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf.models.bias import row_sums, spread_of
from fastcf.models.regression.rows import RowRegression
from fastcf.preprocessing.means import shrunk_means
from fastcf.scores import Compute, FactorScores

__all__ = ["Residuals", "chosen_penalty", "shrunk_biases", "solved"]

Floats = NDArray[np.float32]

_HELD_OUT = 5  # one part of this many of the columns is held out
_SHARES = 10.0 ** np.arange(-4, 1, 0.5)  # of the noise's variance that slopes may explain: candidates
_RISES = 2  # in turn, which end the search
_LEAST = 1e-6  # of bias penalties: a bias is a weight of a constant feature, which must be finite
_SEED = 0


class Residuals(NamedTuple):
    """What other effects leave of ratings, as compressed rows of users (items) over items (users)."""

    indptr: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: Floats
    weights: Floats | None

    @property
    def rows(self) -> NDArray[np.int32]:
        """The row of each entry."""
        return np.repeat(np.arange(self.indptr.size - 1, dtype=np.int32), np.diff(self.indptr))

    def take(self, kept: NDArray[np.bool_]) -> Residuals:
        """Return the entries that are marked, in rows of the same numbers."""
        indptr = np.concatenate([[0], np.cumsum(kept)])[self.indptr]
        weights = None if self.weights is None else self.weights[kept]
        return Residuals(indptr.astype(np.int64), self.columns[kept], self.values[kept], weights)


def shrunk_biases(residuals: Residuals, reg: float) -> Floats:
    """Return the biases of rows alone: ``Σ w y / (Σ w + reg)``."""
    rows, n = residuals.rows, residuals.indptr.size - 1
    wide = residuals.values.astype(np.float64)
    weights = None if residuals.weights is None else residuals.weights.astype(np.float64)
    totals = np.bincount(rows, weights, n)
    return shrunk_means(row_sums(rows, wide, weights, n), totals, 0.0, reg).astype(np.float32)


def solved(
    residuals: Residuals, features: Any, slope_reg: float, bias_reg: float, n_threads: int, caller: str
) -> tuple[Floats, Floats]:
    """Return slopes (n_rows, n_features) and biases (n_rows,) that minimise, for each row separately,
    ``Σ w (b + θ·x − y)² + slope_reg ‖θ‖² + bias_reg b²``.
    """  # fmt: skip
    constant = math.sqrt(slope_reg / max(bias_reg, _LEAST))
    column = np.full((features.shape[0], 1), constant, np.float32)
    if scipy.sparse.issparse(features):
        features = scipy.sparse.csr_array(scipy.sparse.hstack([features, column]))
    else:
        features = np.hstack([features, column])
    regression = RowRegression("squared", slope_reg, False, "auto", None, 1e-8)
    rows = residuals.indptr, residuals.columns, residuals.values
    coefficients, _, _ = regression.solve(rows, residuals.weights, features, 0.0, n_threads, caller)
    return np.ascontiguousarray(coefficients[:, :-1]), coefficients[:, -1] * np.float32(constant)


def chosen_penalty(residuals: Residuals, features: Any, bias_reg: float, compute: Compute, caller: str) -> float:
    """Return the penalty of slopes that predicts columns held out best: a fifth, drawn by a fixed seed.

    Candidates go from slopes that explain next to nothing to those that explain as much as they leave; the search ends
    where the error rises. With fewer than five columns slopes are next to nothing.
    """
    spread = max(spread_of(features), 1e-12)
    strongest = spread / float(_SHARES[0])
    present = np.unique(residuals.columns)
    some = np.random.default_rng(_SEED).permutation(present)[: present.size // _HELD_OUT]
    held = np.isin(residuals.columns, some)
    if not held.any() or held.all():
        return strongest
    kept, rows, columns = residuals.take(~held), residuals.rows[held], residuals.columns[held]
    dense = np.ascontiguousarray(features.toarray() if scipy.sparse.issparse(features) else features)
    none = np.zeros(features.shape[0], np.float32)
    weights = None if residuals.weights is None else residuals.weights[held]
    if weights is not None and not weights.any():
        return strongest
    best, least, rises = strongest, math.inf, 0
    for share in _SHARES:
        penalty = spread / float(share)
        slopes, biases = solved(kept, features, penalty, bias_reg, compute.n_threads, caller)
        predicted = FactorScores(slopes, dense, biases, none, 0.0).pairs(rows, columns, compute)
        error = float(np.average((residuals.values[held] - predicted.astype(np.float64)) ** 2, weights=weights))
        rises = 0 if error < least else rises + 1
        if error < least:
            best, least = penalty, error
        if rises == _RISES:
            break
    return best
