"""Results of queries: ids and scores, padded where too few remain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._tables import Column, Tabular
from fastcf._thresholds import reaches
from fastcf.ids import IdMap

__all__ = ["Neighbours", "Recommendations", "below", "ids_of", "long_columns", "padded"]


@dataclass(frozen=True, eq=False)
class Recommendations(Tabular):
    """Items recommended to users, best first. Unpacks as ``items, scores``.

    ``to_frame``, ``to_arrow`` and ``to_dicts`` give a long table with the columns user, rank (from 1), item and score,
    without padding.

    Attributes
    ----------
    items : ndarray of shape (n,) for one user, (m, n) for several
        The caller's item ids. Where fewer than ``n`` items remain, rows end in padding: -1, or "" for string ids. These
        may be ids of items too; what is padding says ``mask``.
    scores : ndarray of the same shape, float32
        Predicted ratings; -inf marks padding.
    users : id or ndarray of shape (m,), optional
        The users, as they were asked for; by default their positions.
    mask : ndarray of the same shape as items, bool
        True where there is an item, False where there is padding.
    """

    items: NDArray[Any]
    scores: NDArray[np.float32]
    users: Any = None

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.items, self.scores))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where there is an item, False where there is padding."""
        return np.isfinite(self.scores)

    def _columns(self, n: int | None = None) -> dict[str, Column]:
        queries, ranks, items, scores = long_columns(self.users, self.items, self.scores, n)
        return {"user": queries, "rank": ranks, "item": items, "score": scores}

    def _n_rows(self) -> int:
        return int(self.mask.sum())


@dataclass(frozen=True, eq=False)
class Neighbours(Tabular):
    """The ids most similar to those of the query, nearest first; shapes and padding as in :class:`Recommendations`.

    Unpacks as ``ids, scores``. ``to_frame``, ``to_arrow`` and ``to_dicts`` give a long table with the columns query,
    rank (from 1), id and score, without padding.

    Attributes
    ----------
    ids : ndarray
        The caller's ids.
    scores : ndarray, float32
        Cosine or inner product (larger is nearer), or Euclidean distance (smaller is nearer; padding is +inf).
    queries : id or ndarray of shape (m,), optional
        The ids that were asked for; by default their positions.
    mask : ndarray of the same shape as ids, bool
        True where there is a neighbour, False where there is padding.
    """

    ids: NDArray[Any]
    scores: NDArray[np.float32]
    queries: Any = None

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.ids, self.scores))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where there is a neighbour, False where there is padding."""
        return np.isfinite(self.scores)

    def _columns(self, n: int | None = None) -> dict[str, Column]:
        queries, ranks, ids, scores = long_columns(self.queries, self.ids, self.scores, n)
        return {"query": queries, "rank": ranks, "id": ids, "score": scores}

    def _n_rows(self) -> int:
        return int(self.mask.sum())


def long_columns(
    queries: Any, ids: NDArray[Any], scores: NDArray[np.float32], n: int | None
) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[Any], NDArray[np.float32]]:
    """Return queries, ranks, ids and scores of lists, an entry each, without padding; ``n``: the first of them."""
    ids, scores = (part.reshape(1, -1) if part.ndim == 1 else part for part in (ids, scores))
    rows, places = (part[:n] for part in np.nonzero(np.isfinite(scores)))
    asked = np.arange(len(ids)) if queries is None else np.atleast_1d(queries)
    return asked[rows], (places + 1).astype(np.int32), ids[rows, places], scores[rows, places]


def ids_of(ids: IdMap, rows: NDArray[np.int32]) -> NDArray[Any]:
    """Return the ids of rows; -1, or "" among strings, where the row is -1."""
    padding = "" if ids.kind == "str" else -1
    values = ids.at(np.where(rows >= 0, rows, 0))
    if values.dtype == np.uint64:
        values = values.astype(object)
    values[rows < 0] = padding
    return values


def below(scores: NDArray[np.float32], min_score: float) -> NDArray[np.bool_]:
    """Return which scores do not reach a threshold, in the precision of scores."""
    return ~reaches(scores, min_score)


def padded(
    rows: NDArray[np.int32], scores: NDArray[np.float32], n: int, worst: float
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Widen results, item rows and their scores, to ``n`` columns."""
    missing = n - rows.shape[1]
    if missing <= 0:
        return rows, scores
    shape = len(rows), missing
    wide_rows = np.concatenate([rows, np.full(shape, -1, np.int32)], axis=1)
    return wide_rows, np.concatenate([scores, np.full(shape, worst, np.float32)], axis=1)
