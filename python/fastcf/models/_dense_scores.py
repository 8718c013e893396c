"""Ranking by scores of all items, a batch of users at a time: for models that have no factors to search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.models.base import FactorModel

__all__ = ["DenseScores", "Found", "Rows", "Seen"]

Rows = NDArray[np.int32]
Found = tuple[NDArray[np.int32], NDArray[np.float32]]
Seen = tuple[NDArray[np.int64], NDArray[np.int32]] | tuple[None, None]

_BATCH_BYTES = 1 << 24  # of scores, or of factors of users, at once


def _best_columns(scores: NDArray[np.float32], n: int) -> Found:
    """Return the ``n`` largest entries of each row, largest first, ties by the smaller column."""
    m, width = scores.shape
    least = np.partition(scores, width - n, axis=1)[:, [width - n]]
    above = scores > least
    tied = scores == least
    tied &= np.cumsum(tied, axis=1) <= n - above.sum(axis=1, keepdims=True)
    columns = np.nonzero(above | tied)[1].reshape(m, n)
    found = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1).astype(np.int32), np.take_along_axis(found, order, axis=1)


class DenseScores(FactorModel):
    """A model that is asked for the scores of all items, ``_block``."""

    @staticmethod
    def _batches(n_users: int, width: int) -> Iterator[slice]:
        """Return slices of users so small that ``width`` numbers each take no more than a batch; one at least."""
        step = max(1, _BATCH_BYTES // (4 * max(1, width)))
        for begin in range(0, max(1, n_users), step):
            yield slice(begin, min(begin + step, n_users))

    def _best(
        self, rows: Rows, n: int, seen: Seen, candidates: Rows | None, excluded: Rows | None, storage: str = "float32"
    ) -> Found:
        return self._best_by(self._best_of_all, len(self.items_), rows, n, seen, candidates, excluded)

    def _best_by(
        self,
        pick: Callable[..., Found],
        width: int,
        rows: Rows,
        n: int,
        seen: Seen,
        candidates: Rows | None,
        excluded: Rows | None,
    ) -> Found:
        """Let ``pick`` find the best items of a batch of users after the other; ``width`` numbers a user."""
        parts = []
        for batch in self._batches(rows.size, width):
            own: Any = (None, None)
            if seen[0] is not None:
                ends = seen[0][batch.start : batch.stop + 1]
                own = ends - ends[0], seen[1][ends[0] : ends[-1]]
            parts.append(pick(rows[batch], n, own, candidates, excluded))
        items, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        scores = self._on_scale(scores)
        scores[items < 0] = -np.inf
        return items, scores

    def _best_of_all(self, rows: Rows, n: int, seen: Seen, candidates: Rows | None, excluded: Rows | None) -> Found:
        """Score all items for a batch of users and pick the best; ties by the smaller row, as natively."""
        scores = self._block(rows)
        out = np.zeros(len(self.items_), bool)
        if candidates is not None:
            out[:] = True
            out[candidates] = False
        if excluded is not None:
            out[excluded] = True
        scores[:, out] = -np.inf
        if seen[0] is not None:
            scores[np.repeat(np.arange(rows.size), np.diff(seen[0])), seen[1]] = -np.inf
        items, best = _best_columns(scores, n)
        items[np.isneginf(best)] = -1
        return items, best
