"""Ratings as rows for a network: normalised, by user or by item, with what turns outputs into ratings again."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import Backend
from fastcf.models._fold_in import row_means
from fastcf.models.bias import fit_biases
from fastcf.ratings import Ratings

__all__ = ["BOUNDED", "Scale", "TrainingRows", "fit_scale", "rows_to_train_on"]

Floats = NDArray[np.float32]

# Activations that cannot leave an interval, and its ends: ratings are mapped onto it.
BOUNDED = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


class Scale(NamedTuple):
    """What an output t of the network means: the rating ``mean + rows[r] + columns[c] + unit t``.

    Attributes
    ----------
    mean, unit : float
        The offset and the unit of all.
    rows, columns : ndarray of float32
        Offsets of rows and columns.
    row_reg : float
        By how many ratings an offset of 0 counts when that of a new row is worked out; infinite: always 0.
    """

    mean: float
    unit: float
    rows: Floats
    columns: Floats
    row_reg: float

    def row_offsets(self, csr: tuple[Any, ...], weights: Floats | None) -> Floats:
        """Return the offsets of new rows."""
        indptr, columns, values = csr
        if np.isinf(self.row_reg):
            return np.zeros(indptr.size - 1, np.float32)
        residuals = values - np.float32(self.mean) - self.columns[columns]
        if self.row_reg == 0:
            return row_means((indptr, columns, residuals), weights, 0.0)
        rows = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
        w = np.ones(values.size, np.float32) if weights is None else weights
        total = np.bincount(rows, w, indptr.size - 1)
        return (np.bincount(rows, w * residuals, indptr.size - 1) / (total + self.row_reg)).astype(np.float32)

    def normalised(self, csr: tuple[Any, ...], rows: Floats) -> Floats:
        """Return the values of ``csr``, whose rows have those offsets, as the network knows them."""
        indptr, columns, values = csr
        offsets = np.float32(self.mean) + np.repeat(rows, np.diff(indptr)) + self.columns[columns]
        return np.ascontiguousarray((values - offsets) / np.float32(self.unit), dtype=np.float32)


class TrainingRows(NamedTuple):
    """Ratings by row of the network, as CSR, and their weights."""

    csr: tuple[NDArray[np.int64], NDArray[np.int32], Floats]
    weights: Floats | None
    n_columns: int


def rows_to_train_on(ratings: Ratings, orientation: str) -> TrainingRows:
    """Return ratings by user, or by item."""
    if orientation == "user":
        csr = ratings.indptr, ratings.indices, ratings.values
        return TrainingRows(csr, ratings.weights, ratings.n_items)
    view = ratings.by_item()
    weights = None if ratings.weights is None else ratings.weights[view.entries]
    return TrainingRows((view.indptr, view.indices, view.values), weights, ratings.n_users)


def fit_scale(
    ratings: Ratings, backend: Backend, normalize: str | None, output: str, orientation: str, n_threads: int
) -> Scale:
    """Return the scale that ``normalize`` and the output's activation ask for."""
    users, items = np.zeros(ratings.n_users, np.float32), np.zeros(ratings.n_items, np.float32)
    mean, unit, user_reg, item_reg = 0.0, 1.0, np.inf, np.inf
    if output in BOUNDED:
        (low, high), (first, last) = BOUNDED[output], ratings.rating_range
        unit = (last - first) / (high - low) or 1.0
        mean = first - low * unit
    elif normalize is not None:
        weights = ratings.weights
        mean = float(np.average(ratings.values.astype(np.float64), weights=weights))
        if normalize == "bias":
            biases = fit_biases(ratings, backend, n_threads=n_threads)
            mean, users, items = biases.mean, biases.users, biases.items
            user_reg, item_reg = biases.user_reg, biases.item_reg
        elif normalize == "user":
            csr = ratings.indptr, ratings.indices, ratings.values
            users, user_reg = row_means(csr, weights, mean) - np.float32(mean), 0.0
        elif normalize == "item":
            view = ratings.by_item()
            by_item = view.indptr, view.indices, view.values
            own = None if weights is None else weights[view.entries]
            items, item_reg = row_means(by_item, own, mean) - np.float32(mean), 0.0
        residuals = ratings.values - np.float32(mean) - users[ratings.row_of_entry()] - items[ratings.indices]
        spread = float(np.sqrt(np.average(residuals.astype(np.float64) ** 2, weights=weights)))
        unit = max(spread, 1e-3 * max(1e-30, *map(abs, ratings.rating_range)))  # ratings that offsets explain wholly
    if orientation == "user":
        return Scale(mean, unit, users, items, user_reg)
    return Scale(mean, unit, items, users, item_reg)
