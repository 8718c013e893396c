"""Slices of users and items by their number of training ratings: sums that add up over parts, and the table of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._tables import Column, Tabular

__all__ = ["SliceTable", "moments", "ratio_of_moments"]

Floats = NDArray[np.float64]


def moments(rows: NDArray[Any], slices: NDArray[np.int64], n_slices: int, total: Floats, count: Floats) -> Floats:
    """Return sums over users of the totals and counts of each slice, and of their squares and products.

    ``rows`` and ``slices`` are the user and the slice of each entry, ``total`` and ``count`` its numbers. The result,
    (n_slices, 5), has Σt, Σc, Σt², Σtc and Σc², t and c being sums of one user within a slice. Estimated is Σt / Σc.
    """
    users, own = np.unique(rows, return_inverse=True)
    key = own.astype(np.int64) * n_slices + slices
    t, c = (np.bincount(key, part, users.size * n_slices).reshape(-1, n_slices) for part in (total, count))
    return np.stack([t.sum(0), c.sum(0), (t * t).sum(0), (t * c).sum(0), (c * c).sum(0)], axis=1)


def ratio_of_moments(sums: Floats, root: bool, errors: float) -> Floats:
    """Return Σt / Σc of each slice, or its root, and the ends ``errors`` standard errors away, (slices, 3).

    The standard error is that of a ratio of sums over users, linearised; no end is below 0.
    """
    t, c, tt, tc, cc = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = t / c
        error = np.sqrt(np.maximum(tt - 2 * ratio * tc + ratio**2 * cc, 0)) / c
    table: Floats = np.maximum(ratio[:, None] + error[:, None] * np.array([0.0, -errors, errors]), 0)
    return np.sqrt(table) if root else table


@dataclass(frozen=True, eq=False)
class SliceTable(Tabular):
    """Values of metrics in slices of users and items, a row for each model, metric, side and slice.

    ``to_frame``, ``to_arrow`` and ``to_dicts`` have the columns model, metric, side, slice, n, value, lower, upper.

    Attributes
    ----------
    models, metrics : ndarray of str
        Of each row.
    sides : ndarray of str
        "user" or "item": whose training ratings are counted.
    slices : ndarray of str
        How many there are: "0", "1–9", ….
    n : ndarray, float64
        Held-out ratings in the slice; of lists users, or (by item) relevant items.
    values : ndarray of shape (n_rows, 3), float64
        The value, and the ends of its interval.
    """

    models: NDArray[Any]
    metrics: NDArray[Any]
    sides: NDArray[Any]
    slices: NDArray[Any]
    n: Floats
    values: Floats

    def _columns(self, n: int | None = None) -> dict[str, Column]:
        columns = {
            "model": self.models,
            "metric": self.metrics,
            "side": self.sides,
            "slice": self.slices,
            "n": self.n,
            "value": self.values[:, 0],
            "lower": self.values[:, 1],
            "upper": self.values[:, 2],
        }
        return {name: column[:n] for name, column in columns.items()}

    def _n_rows(self) -> int:
        return len(self.models)
