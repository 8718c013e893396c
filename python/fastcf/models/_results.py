"""What models return: ids and scores, padded where too few remain."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.ids import IdMap
from fastcf.models._parameters import Interval

__all__ = ["Neighbours", "Recommendations", "SeenItems", "ids_of", "one", "padded", "positive"]


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
    """Ids most similar to those asked for, nearest first; shapes and padding as in :class:`Recommendations`.

    Attributes
    ----------
    ids : ndarray
        The caller's ids.
    scores : ndarray, float32
        Cosine or inner product (larger is nearer), or Euclidean distance (smaller is nearer; padding is +inf).
    """

    ids: NDArray[Any]
    scores: NDArray[np.float32]


class SeenItems(NamedTuple):
    """Which items each user rated in training, as compressed rows.

    Attributes
    ----------
    indptr : ndarray of shape (n_users + 1,), int64
        Items of user row ``u`` stand at ``indptr[u]:indptr[u + 1]``.
    indices : ndarray, int32
        Item rows, ascending within a user.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]

    def of(self, rows: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the items of some user rows, as compressed rows; row -1 has none."""
        indptr, indices = self
        if rows.size == indptr.size - 1 and np.array_equal(rows, np.arange(rows.size)):
            return indptr, indices
        safe = np.where(rows >= 0, rows, 0)
        lengths = np.where(rows >= 0, indptr[safe + 1] - indptr[safe], 0)
        offsets = np.zeros(rows.size + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        positions = np.arange(offsets[-1]) + np.repeat(indptr[safe] - offsets[:-1], lengths)
        return offsets, indices[positions]

    def count_pairs(self, users: NDArray[np.int32], items: NDArray[np.int32], n_items: int) -> int:
        """Return how many of the pairs of rows, all known, are among these."""
        owner = np.repeat(np.arange(self.indptr.size - 1, dtype=np.int64), np.diff(self.indptr))
        stored = owner * n_items + self.indices  # ascending, as rows and the items of a row are
        wanted = users.astype(np.int64) * n_items + items
        if stored.size == 0:
            return 0
        at = np.minimum(np.searchsorted(stored, wanted), stored.size - 1)
        return int((stored[at] == wanted).sum())


def positive(n: Any, caller: str) -> int:
    allowed = Interval(1, 2**31 - 1, integer=True)
    if not allowed.accepts(n):
        raise ValueError(f"{caller}: n must be {allowed}; got {n!r}")
    return int(n)


def ids_of(ids: IdMap, rows: NDArray[np.int32]) -> NDArray[Any]:
    """Return the ids of rows; -1, or "" among strings, where the row is -1."""
    padding = "" if ids.ids.dtype.kind == "U" else -1
    values = ids.ids[np.where(rows >= 0, rows, 0)]
    if values.dtype == np.uint64:
        values = values.astype(object)
    values[rows < 0] = padding
    return values


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


def one(id: Any) -> list[Any]:
    """Return a single id, which may be a zero-dimensional array, as a list of one."""
    return [id.item() if isinstance(id, np.ndarray) else id]
