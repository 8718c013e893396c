"""Ratings as rows for a network: normalised, by user or by item, with the inverse map of outputs to ratings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fastcf._backend import Backend
from fastcf.models.bias import fit_biases, fit_label_biases, log_odds_of_rows
from fastcf.preprocessing.means import row_means
from fastcf.ratings import Ratings
from fastcf.scores.targets import log_odds

__all__ = [
    "BOUNDED",
    "Scale",
    "TrainingRows",
    "choice_scale",
    "dropout_of_rows",
    "fit_label_scale",
    "fit_scale",
    "rows_per_step",
    "rows_to_train_on",
]

Floats = NDArray[np.float32]
Csr = tuple[NDArray[np.int64], NDArray[np.int32], Floats]

BOUNDED = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""Activations whose values lie in an interval, and its ends: ratings are mapped onto it."""

_LEAST_REG = 1.0  # of the log-odds of a row: equal labels would make them infinite
_HALF_KEPT = 30  # inputs of a row, up to which half of them are dropped
_MOST_ROWS, _STEPS_PER_EPOCH = 1024, 64  # of a batch, and batches
_ROUNDING = 1e-6  # of float32, by which residuals of offsets that explain all ratings differ from 0
_RATED_COLUMN = 30  # ratings of a column, on average, from which its weights are well determined


@dataclass(frozen=True, eq=False)
class Scale:
    """The scale of outputs: an output t stands for ``mean + rows[r] + columns[c] + gain t``, a rating or log-odds.

    Attributes
    ----------
    mean : float
        The offset of all.
    unit : float
        Inputs are the differences between ratings, or labels, and what their offsets predict, divided by this.
    rows, columns : ndarray of float32
        Offsets of rows and columns.
    row_reg : float
        The penalty of the offset of a new row, in ratings; infinite: new rows have none.
    logistic : bool, default False
        Whether offsets are log-odds.
    unit_rows : bool, default False
        Whether inputs are strengths of choices, those of a row divided by their length, without offsets.
    """

    mean: float
    unit: float
    rows: Floats
    columns: Floats
    row_reg: float
    logistic: bool = False
    unit_rows: bool = False

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            view = getattr(self, name).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    @property
    def gain(self) -> float:
        """The rating of an output of 1, relative to that of 0."""
        return 1.0 if self.logistic else self.unit

    def entry_offsets(self, csr: Csr, rows: Floats) -> Floats:
        """Return the offsets of stored entries, given those of their rows."""
        offsets: Floats = np.float32(self.mean) + np.repeat(rows, np.diff(csr[0])) + self.columns[csr[1]]
        return offsets

    def row_offsets(self, csr: Csr, weights: Floats | None) -> Floats:
        """Return the offsets of new rows."""
        indptr, columns, values = csr
        empty = np.zeros(indptr.size - 1, np.float32)
        if np.isinf(self.row_reg):
            return empty
        rows = np.repeat(np.arange(indptr.size - 1, dtype=np.int32), np.diff(indptr))
        if self.logistic:
            begun = self.entry_offsets(csr, empty)
            return log_odds_of_rows(rows, begun, values, weights, self.row_reg, empty)
        residuals = values - np.float32(self.mean) - self.columns[columns]
        if self.row_reg == 0:
            return row_means(indptr, residuals, weights, 0.0)
        w = np.ones(values.size, np.float32) if weights is None else weights
        total = np.bincount(rows, w, indptr.size - 1)
        return (np.bincount(rows, w * residuals, indptr.size - 1) / (total + self.row_reg)).astype(np.float32)

    def normalised(self, csr: Csr, rows: Floats) -> Floats:
        """Return the inputs of stored entries, given the offsets of their rows."""
        if self.unit_rows:
            row_of_entry = np.repeat(np.arange(rows.size), np.diff(csr[0]))
            values = csr[2].astype(np.float64)
            lengths = np.sqrt(np.bincount(row_of_entry, values * values, rows.size))
            lengths[lengths == 0] = 1
            return (values / lengths[row_of_entry]).astype(np.float32)
        expected = self.entry_offsets(csr, rows)
        if self.logistic:
            expected = expit(expected)
        return np.ascontiguousarray((csr[2] - expected) / np.float32(self.unit), dtype=np.float32)


class TrainingRows(NamedTuple):
    """Ratings by row of the network, as compressed rows, and their weights."""

    csr: Csr
    weights: Floats | None
    n_columns: int

    @property
    def structure(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Offsets and columns."""
        return self.csr[:2]

    @property
    def total(self) -> float:
        """Sum of the weights: the number of ratings where there are none."""
        return float(self.csr[1].size if self.weights is None else self.weights.sum(dtype=np.float64))


def rows_to_train_on(ratings: Ratings, orientation: str) -> TrainingRows:
    """Return ratings by user, or by item."""
    if orientation == "user":
        csr = ratings.indptr, ratings.indices, ratings.values
        return TrainingRows(csr, ratings.weights, ratings.n_items)
    view = ratings.by_item()
    weights = None if ratings.weights is None else ratings.weights[view.entries]
    return TrainingRows((view.indptr, view.indices, view.values), weights, ratings.n_users)


def dropout_of_rows(rows: TrainingRows, share: float | None) -> Floats:
    """Return what share of the inputs of each row is dropped: the same of all, or by the number of its ratings.

    Then of n inputs ``n / 2 · min(1, √(n₀ / n))`` are kept in expectation: half up to n₀, from there on a number that
    grows with √n. n₀ is 30, times the square of 30 over the mean number of a column's ratings where that is less: the
    weights of few ratings are noisy, and so are sums of few of them.
    """
    if share is not None:
        return np.full(rows.csr[0].size - 1, share, np.float32)
    counts = np.maximum(np.diff(rows.csr[0]), 1).astype(np.float64)
    half_kept = _HALF_KEPT * max(1.0, _RATED_COLUMN * rows.n_columns / max(rows.csr[1].size, 1)) ** 2
    return (1 - 0.5 * np.sqrt(np.minimum(1, half_kept / counts))).astype(np.float32)


def rows_per_step(n_rows: int, fewest: int) -> int:
    """Return how many rows a step takes with ``batch_size="auto"``, ``fewest`` at least."""
    return min(max(1 << int(math.log2(max(n_rows // _STEPS_PER_EPOCH, 1))), fewest), _MOST_ROWS)


def fit_scale(
    ratings: Ratings, backend: Backend, normalize: str | None, output: str, orientation: str, n_threads: int
) -> Scale:
    """Return the scale of ratings for ``normalize`` and the output's activation."""
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
            users = row_means(ratings.indptr, ratings.values, weights, mean) - np.float32(mean)
            user_reg = 0.0
        elif normalize == "item":
            rows = rows_to_train_on(ratings, "item")
            items = row_means(rows.csr[0], rows.csr[2], rows.weights, mean) - np.float32(mean)
            item_reg = 0.0
        residuals = ratings.values - np.float32(mean) - users[ratings.row_of_entry()] - items[ratings.indices]
        low, high = ratings.rating_range
        unit = _spread(residuals, weights, max(1e-3 * (high - low), _ROUNDING * max(abs(low), abs(high)), 1e-30))
    return _oriented(mean, unit, (users, user_reg), (items, item_reg), orientation)


def fit_label_scale(
    labels: Ratings, backend: Backend, normalize: str | None, orientation: str, n_threads: int
) -> Scale:
    """Return the scale of labels for ``normalize``; offsets are log-odds."""
    users, items = np.zeros(labels.n_users, np.float32), np.zeros(labels.n_items, np.float32)
    mean, user_reg, item_reg = 0.0, np.inf, np.inf
    if normalize == "bias":
        biases = fit_label_biases(labels, backend, n_threads=n_threads)
        mean, users, items = biases.mean, biases.users, biases.items
        user_reg, item_reg = biases.user_reg, biases.item_reg
    elif normalize is not None:
        mean = log_odds(labels.values, labels.weights)
    begun = np.full(labels.nnz, mean, np.float32)
    if normalize == "user":
        user_reg = _LEAST_REG
        users = log_odds_of_rows(labels.row_of_entry(), begun, labels.values, labels.weights, user_reg, users)
    elif normalize == "item":
        item_reg = _LEAST_REG
        items = log_odds_of_rows(labels.indices, begun, labels.values, labels.weights, item_reg, items)
    expected = expit(np.float32(mean) + users[labels.row_of_entry()] + items[labels.indices])
    unit = _spread(labels.values - expected, labels.weights, 1e-3)
    return _oriented(mean, unit, (users, user_reg), (items, item_reg), orientation, logistic=True)


def choice_scale(n_rows: int, n_columns: int) -> Scale:
    """Return the scale of choices: outputs are logarithms of unnormalised probabilities."""
    empty = np.zeros(n_rows, np.float32), np.zeros(n_columns, np.float32)
    return Scale(0.0, 1.0, *empty, np.inf, unit_rows=True)


def _spread(residuals: Floats, weights: Floats | None, least: float) -> float:
    """Return the root mean square of residuals, at least ``least``: offsets may explain all ratings."""
    return max(float(np.sqrt(np.average(residuals.astype(np.float64) ** 2, weights=weights))), least)


def _oriented(
    mean: float,
    unit: float,
    users: tuple[Floats, float],
    items: tuple[Floats, float],
    orientation: str,
    logistic: bool = False,
) -> Scale:
    rows, columns = (users, items) if orientation == "user" else (items, users)
    return Scale(mean, unit, rows[0], columns[0], rows[1], logistic)
