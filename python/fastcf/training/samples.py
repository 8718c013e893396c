"""Samples of training ratings, on which costs are measured where there are too many ratings for that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEASURED_RATINGS", "entries_of_rows", "n_measured", "spread_entries", "total_weight", "whole_rows"]

MEASURED_RATINGS = 1 << 16  # at most


def n_measured(n_ratings: int) -> int:
    """Return on how many ratings costs are measured: all up to 65,536, else a 16th, but 16,384 to 65,536.

    A measurement costs as much as training on the same number of ratings: with 64 factors, 11 ns a rating against 10.
    """
    if n_ratings <= MEASURED_RATINGS:
        return n_ratings
    return min(max(n_ratings // 16, MEASURED_RATINGS // 4), MEASURED_RATINGS)


def total_weight(n_entries: int, weights: NDArray[np.float32] | None) -> float:
    """Return the sum of the weights of entries; without weights each counts 1."""
    return float(n_entries if weights is None else weights.sum(dtype=np.float64))


def spread_entries(n_entries: int, n_drawn: int, seed: int) -> NDArray[np.int64]:
    """Return ``n_drawn`` positions, ascending: one of each of as many equal stretches of all, drawn by the seed."""
    ends = np.arange(n_drawn + 1) * n_entries // n_drawn
    drawn: NDArray[np.int64] = np.random.default_rng(seed).integers(ends[:-1], ends[1:])
    return drawn


def whole_rows(indptr: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Return rows with at most ``most`` entries together, ascending: all rows if they fit, else rows drawn by the seed.

    ``indptr`` holds offsets of compressed rows. One row with entries is returned even if it has more.
    """
    n_rows = indptr.size - 1
    if indptr[-1] <= most:
        return np.arange(n_rows)
    order = np.random.default_rng(seed).permutation(n_rows)
    total = np.cumsum(np.diff(indptr)[order])
    n = max(int(np.searchsorted(total, most, side="right")), int(np.argmax(total > 0)) + 1)
    return np.sort(order[:n])


def entries_of_rows(indptr: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of the entries of some rows, in stored order."""
    lengths = np.diff(indptr)
    taken = np.zeros(lengths.size, bool)
    taken[rows] = True
    return np.flatnonzero(np.repeat(taken, lengths))
