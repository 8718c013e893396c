"""Results of queries: ids and scores, padded where too few remain."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.ids import IdMap

__all__ = ["Neighbours", "Recommendations", "below", "ids_of", "padded"]


class Recommendations(NamedTuple):
    """Items recommended to users, best first.

    Attributes
    ----------
    items : ndarray of shape (n,) for one user, (m, n) for several
        The caller's item ids. Where fewer than ``n`` items remain, rows end in padding: -1, or "" for string ids.
    scores : ndarray of the same shape, float32
        Predicted ratings; -inf marks padding.
    """

    items: NDArray[Any]
    scores: NDArray[np.float32]


class Neighbours(NamedTuple):
    """The ids most similar to those of the query, nearest first; shapes and padding as in :class:`Recommendations`.

    Attributes
    ----------
    ids : ndarray
        The caller's ids.
    scores : ndarray, float32
        Cosine or inner product (larger is nearer), or Euclidean distance (smaller is nearer; padding is +inf).
    """

    ids: NDArray[Any]
    scores: NDArray[np.float32]


def ids_of(ids: IdMap, rows: NDArray[np.int32]) -> NDArray[Any]:
    """Return the ids of rows; -1, or "" among strings, where the row is -1."""
    padding = "" if ids.ids.dtype.kind == "U" else -1
    values = ids.ids[np.where(rows >= 0, rows, 0)]
    if values.dtype == np.uint64:
        values = values.astype(object)
    values[rows < 0] = padding
    return values


def below(scores: NDArray[np.float32], min_score: float) -> NDArray[np.bool_]:
    """Return which scores do not reach a threshold, in the precision of scores; it may lie beyond their range."""
    with np.errstate(over="ignore"):
        return scores < np.float32(min_score)


def padded(
    ids: NDArray[Any], scores: NDArray[np.float32], n: int, worst: float
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Widen results to ``n`` columns."""
    missing = n - ids.shape[1]
    if missing <= 0:
        return ids, scores
    padding = "" if ids.dtype.kind == "U" else -1
    wide_ids = np.concatenate([ids, np.full((len(ids), missing), padding, ids.dtype)], axis=1)
    wide_scores = np.concatenate([scores, np.full((len(ids), missing), worst, np.float32)], axis=1)
    return wide_ids, wide_scores
