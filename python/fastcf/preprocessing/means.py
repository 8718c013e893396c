"""Means of values by row, plain and shrunk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["row_means", "shrunk_means"]


def row_means(
    indptr: NDArray[np.int64],
    values: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
    fallback: float,
    strength: float = 0.0,
) -> NDArray[np.float32]:
    """Return the mean value of each compressed row.

    Parameters
    ----------
    indptr : ndarray of shape (n + 1,), int64
        Values of row r are at ``indptr[r]:indptr[r + 1]``.
    values : ndarray of float32
        The values.
    weights : ndarray of float32 or None
        Their weights.
    fallback : float
        The mean of rows without values, or with weights of 0 only.
    strength : float, default 0.0
        Weight of ``fallback`` as a further value of every row.

    Returns
    -------
    ndarray of shape (n,), float32
    """
    n_rows = indptr.size - 1
    rows = np.repeat(np.arange(n_rows), np.diff(indptr))
    w = np.ones(values.size, np.float32) if weights is None else weights
    totals, sums = (np.bincount(rows, each, n_rows) for each in (w, w * values))
    return shrunk_means(sums, totals, fallback, strength).astype(np.float32)


def shrunk_means(sums: NDArray[Any], totals: NDArray[Any], expected: Any, strength: float = 0.0) -> NDArray[np.float64]:
    """Return ``(sums + strength expected) / (totals + strength)``, and ``expected`` where that is 0 / 0.

    ``sums`` and ``totals`` are those of weighted values, and of their weights; ``expected`` is a prior mean of weight
    ``strength``.
    """
    denominator = totals + strength
    known = denominator > 0
    means: NDArray[np.float64] = (sums + strength * expected) / np.where(known, denominator, 1)
    return np.where(known, means, expected)
