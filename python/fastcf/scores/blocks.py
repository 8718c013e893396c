"""Ranking by blocks of scores of all items, a batch of users at a time: for scores that have no factors to search."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastcf.scores.links import Compute, Floats
from fastcf.scores.protocol import Found, Rows, Scores, Selection

__all__ = ["batches", "best_of_blocks", "best_of_table"]

_BATCH_BYTES = 1 << 24  # of scores at once


def batches(n_users: int, width: int) -> Iterator[slice]:
    """Return slices of users so small that ``width`` float32 numbers per user fit a batch; at least one slice."""
    step = max(1, _BATCH_BYTES // (4 * max(1, width)))
    for begin in range(0, max(1, n_users), step):
        yield slice(begin, min(begin + step, n_users))


def best_of_table(scores: Floats, n: int) -> Found:
    """Return the columns and values of the ``n`` largest entries of each row, largest first, ties by the column."""
    m, width = scores.shape
    least = np.partition(scores, width - n, axis=1)[:, [width - n]]
    above = scores > least
    tied = scores == least
    tied &= np.cumsum(tied, axis=1) <= n - above.sum(axis=1, keepdims=True)
    columns = np.nonzero(above | tied)[1].reshape(m, n)
    found = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1).astype(np.int32), np.take_along_axis(found, order, axis=1)


def best_of_blocks(scores: Scores, users: Rows, selection: Selection, compute: Compute, width: int = 0) -> Found:
    """Return the best items of user rows from blocks of scores; arguments and result as :meth:`Scores.best`.

    ``width``: numbers that a user takes while a block is computed, if more than the number of items.
    """
    n_items = scores.n_items
    left_out = np.zeros(n_items, bool)
    if selection.candidates is not None:
        left_out[:] = True
        left_out[selection.candidates] = False
    if selection.excluded is not None:
        left_out[selection.excluded] = True
    parts = []
    for batch in batches(users.size, max(width, n_items)):
        own = np.ascontiguousarray(users[batch])
        block = scores.block(own, compute)
        if selection.offset is not None:
            block += selection.offset.values
        block[:, left_out] = -np.inf
        indptr, indices = selection.part(batch).seen
        if indptr is not None:
            block[np.repeat(np.arange(own.size), np.diff(indptr)), indices] = -np.inf
        items, best = best_of_table(block, selection.n)
        items[np.isneginf(best)] = -1
        parts.append((items, best))
    found, best = (np.concatenate(part) for part in zip(*parts, strict=True))
    return found, best
