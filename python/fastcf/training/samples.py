"""Samples of training ratings, on which costs are measured where there are too many ratings for that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["entries_of_rows", "whole_rows"]


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
