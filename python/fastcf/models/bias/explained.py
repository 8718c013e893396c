"""Biases of users and items that their features explain in part, so that new ones have the explained part."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf._backend import Backend, single_threaded_blas
from fastcf.models.bias.biases import fit_biases
from fastcf.preprocessing.means import shrunk_means
from fastcf.ratings import Ratings

__all__ = ["Explained", "ExplainedBiases", "fit_explained_biases", "row_sums", "spread_of"]

Floats = NDArray[np.float32]
Wide = NDArray[np.float64]

_ROUNDS = 20  # of users and items in turn, at most
_TOLERANCE = 1e-3  # of the explained parts, in standard deviations of the ratings: ends the rounds
_LARGEST = 1e6  # of penalties: a side whose biases do not differ at all has an infinite one


class Explained(NamedTuple):
    """What features explain of the biases of one side: ``weights·x - centre``."""

    weights: Floats  # (n_features,); none for a side without features
    centre: float  # so that the mean over the ratings is 0

    def of(self, matrix: Any) -> Floats:
        """Return the explained part of the biases of rows with these features, dense or sparse."""
        return np.asarray(matrix @ self.weights.astype(np.float64) - self.centre).astype(np.float32)


class ExplainedBiases(NamedTuple):
    """Biases ``α·x_u + a_u`` of users and ``β·x_i + b_i`` of items, around a mean; :func:`fit_explained_biases`.

    Attributes
    ----------
    mean : float
        That of an average user and item.
    users, items : Explained
        α and β.
    user_own, item_own : ndarray of float32
        a_u and b_i of the ratings' users and items: what features do not explain.
    user_reg, item_reg : float
        Penalties of a_u and b_i, in ratings.
    """

    mean: float
    users: Explained
    items: Explained
    user_own: Floats
    item_own: Floats
    user_reg: float
    item_reg: float


def row_sums(rows: NDArray[np.int32], values: Wide, weights: Wide | None, n: int) -> Wide:
    """Return the weighted sums of the values of each of ``n`` rows."""
    sums: Wide = np.bincount(rows, values if weights is None else weights * values, n).astype(np.float64, copy=False)
    return sums


def spread_of(matrix: Any) -> float:
    """Return the sum of the variances of features, dense or sparse."""
    if scipy.sparse.issparse(matrix):
        from sklearn.utils.sparsefuncs import mean_variance_axis

        variances = mean_variance_axis(matrix, axis=0)[1]
    else:
        variances = np.var(matrix, axis=0, dtype=np.float64)
    return float(variances.sum())


def fit_explained_biases(
    ratings: Ratings,
    user_matrix: Any,
    item_matrix: Any,
    backend: Backend,
    *,
    user_reg: float | str = "auto",
    item_reg: float | str = "auto",
    n_threads: int = 0,
) -> ExplainedBiases:
    """Fit ``y = mean + α·x_u + a_u + β·x_i + b_i + noise`` with normal a, b, α and β, by alternating solutions.

    Matrices have a row per user (item) of the ratings, dense or sparse, and possibly no columns. Penalties of a and b,
    where "auto", are those that :class:`BiasModel` estimates. A side's weights are a ridge regression of the mean
    residuals of its rows; a row of n ratings counts n / (1 + n/λ), because its ratings share what features do not
    explain (generalised least squares). Its penalty lets features explain as much variance as they leave.

    Users' biases are fitted with the items' own ones as noise, and those to what is left: who rates good items has a
    higher bias, and that holds for items that nobody has rated yet.
    """
    n_users, n_items = ratings.n_users, ratings.n_items
    biases = fit_biases(ratings, backend, user_reg=user_reg, item_reg=item_reg, n_threads=n_threads)
    user_penalty, item_penalty = min(biases.user_reg, _LARGEST), min(biases.item_reg, _LARGEST)
    users, items = ratings.row_of_entry(), ratings.indices
    values = ratings.values.astype(np.float64)
    weights = None if ratings.weights is None else ratings.weights.astype(np.float64)
    tolerance = _TOLERANCE * float(np.sqrt(np.cov(values, aweights=weights))) if values.size > 1 else 0.0
    with single_threaded_blas():
        by_user = _Side(user_matrix, users, weights, n_users, user_penalty)
        by_item = _Side(item_matrix, items, weights, n_items, item_penalty)
        mean = float(np.average(values, weights=weights))
        for _ in range(_ROUNDS):
            before = by_item.explained
            mean, own = by_user.fit(values - by_item.explained[items])
            by_item.fit(values - (mean + by_user.explained + own)[users])
            if by_item.matrix.shape[1] == 0 or np.abs(by_item.explained - before).max(initial=0) <= tolerance:
                break
        mean, own = by_user.fit(values - by_item.explained[items])
    left = values - (mean + by_user.explained + own)[users] - by_item.explained[items]
    item_own = shrunk_means(row_sums(items, left, weights, n_items), by_item.totals, 0.0, item_penalty)
    return ExplainedBiases(
        mean,
        Explained(by_user.weights.astype(np.float32), by_user.centre),
        Explained(by_item.weights.astype(np.float32), by_item.centre),
        own.astype(np.float32),
        item_own.astype(np.float32),
        user_penalty,
        item_penalty,
    )


class _Side:
    """The users or items of ratings, and what their features explain so far."""

    def __init__(self, matrix: Any, rows: NDArray[np.int32], weights: Wide | None, n: int, reg: float) -> None:
        self.matrix, self.rows, self.of_ratings, self.reg = matrix, rows, weights, reg
        self.totals = np.bincount(rows, weights, n)
        # Of weight reg at most: the ratings of a row share its own bias.
        self.shares = self.totals * reg / (self.totals + reg) if reg > 0 else (self.totals > 0).astype(np.float64)
        self.penalty = max(reg * spread_of(matrix), 1e-6 * float(self.shares.sum()))
        self.weights, self.centre, self.explained = np.zeros(matrix.shape[1]), 0.0, np.zeros(n)

    def fit(self, left: Wide) -> tuple[float, Wide]:
        """Regress what is left of the ratings on the features; return its mean, and the rows' own parts, shrunk."""
        sums = row_sums(self.rows, left, self.of_ratings, self.totals.size)
        if self.matrix.shape[1] > 0:
            known = self.totals > 0
            from sklearn.linear_model import Ridge  # slow to import, and biases without features do without

            ridge = Ridge(alpha=self.penalty)
            ridge.fit(self.matrix[known], (sums / np.where(known, self.totals, 1))[known], self.shares[known])
            self.weights = ridge.coef_
            explained = np.asarray(self.matrix @ self.weights)
            self.centre = float(np.average(explained, weights=self.totals))
            self.explained = explained - self.centre
        own = sums - self.totals * self.explained
        means = shrunk_means(own, self.totals, 0.0)
        mean = float(np.average(means, weights=np.maximum(self.shares, 1e-12)))
        return mean, shrunk_means(own - self.totals * mean, self.totals, 0.0, self.reg)
