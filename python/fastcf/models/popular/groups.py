"""Groups of users or items, the popularity of items in them, and the best items of each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf._backend import host
from fastcf._durations import duration_of
from fastcf.ids import IdMap
from fastcf.preprocessing import FeatureTable
from fastcf.ratings import Ratings

__all__ = ["Groups", "as_groups", "best_of_rows", "decay", "plain_labels", "shrunk_means", "summed"]


class Groups(NamedTuple):
    """Memberships: a row of ``members`` (booleans as int64) per id, a column per group."""

    ids: IdMap
    members: Any
    names: NDArray[Any]

    def of(self, ids: IdMap) -> Any:
        """Return the rows of ``members`` for these ids; empty ones where an id is in no group."""
        rows = self.ids.rows(ids)
        known = np.flatnonzero(rows >= 0)
        place = scipy.sparse.csr_array(
            (np.ones(known.size, np.int64), (known, rows[known])), (len(ids), self.members.shape[0])
        )
        return place @ self.members


def as_groups(groups: Any, caller: str, name: str) -> Groups:
    """Return groups, a feature table or a pair of ids and labels, as :class:`Groups`."""
    if isinstance(groups, FeatureTable):
        members = scipy.sparse.csr_array(groups.matrix != 0).astype(np.int64)
        return Groups(groups.ids, members, np.arange(groups.n_features))
    if not (isinstance(groups, tuple) and len(groups) == 2):
        kind = type(groups).__name__
        raise TypeError(f"{caller}: {name} must be a FeatureTable or a pair (ids, labels); got {kind}")
    ids = groups[0] if isinstance(groups[0], IdMap) else IdMap(groups[0])
    labels = plain_labels(groups[1])
    if labels.ndim != 1 or labels.dtype.kind not in "Uiu" or labels.size != len(ids):
        raise ValueError(
            f"{caller}: {name} must have one label, a string or an integer, per id ({len(ids)}); "
            f"got shape {labels.shape}, dtype {labels.dtype}"
        )
    kinds, kind_of = np.unique(labels.astype(str), return_inverse=True)
    parts = [[part for part in label.split("|") if part] for label in kinds.tolist()]
    names = np.unique(np.array([part for label in parts for part in label], dtype=str))
    columns = np.searchsorted(names, np.array([part for label in parts for part in label], dtype=names.dtype))
    sizes = np.array([len(label) for label in parts], np.int64)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    by_kind = scipy.sparse.csr_array((np.ones(columns.size, np.int64), columns, indptr), (kinds.size, names.size))
    members = by_kind[kind_of]
    members.sum_duplicates()
    members.data[:] = 1
    return Groups(ids, members, names)


def plain_labels(labels: Any) -> NDArray[Any]:
    """Return labels as an array; strings of any kind as NumPy's of one width, missing ones of data frames as ""."""
    found = np.asarray(labels)
    if found.dtype.kind == "O":  # data frames have None or NaN for missing labels
        texts = ["" if label is None or label != label else str(label) for label in found.ravel().tolist()]
        return np.array(texts, dtype=str).reshape(found.shape)
    return np.array(found.tolist(), dtype=str) if found.dtype.kind == "T" else found


def decay(ratings: Ratings, half_life: float | str | None, caller: str) -> NDArray[np.float64] | None:
    """Return what age leaves of each rating: half for every half life before the latest one; None without half life."""
    if half_life is None:
        return None
    if ratings.timestamps is None:
        raise ValueError(f"{caller}: half_life needs ratings with timestamps; got {half_life!r} and none")
    age = (ratings.timestamps.max() - ratings.timestamps).astype(np.float64)
    return np.asarray(np.exp2(-age / duration_of(half_life, caller, "half_life")))


def summed(ratings: Ratings, entries: NDArray[np.float64], members: Any) -> Any:
    """Return the sums of entries by group of users and item: a CSR array, stored where the group rated the item."""
    by_user = scipy.sparse.csr_array((entries, ratings.indices, ratings.indptr), ratings.shape)
    total = scipy.sparse.csr_array(members.T @ by_user)
    total.sort_indices()
    return total


def shrunk_means(ratings: Ratings, weights: NDArray[np.float64], shrinkage: float, members: Any) -> tuple[Any, float]:
    """Return the weighted means of items by group of users, as :func:`summed`, and the mean of all ratings.

    An item's ratings are joined by ``shrinkage`` others that equal the mean of all.
    """
    mean = float(np.average(ratings.values, weights=weights)) if weights.any() else ratings.mean
    base = ratings.rating_range[0] - 1  # sums of differences from it are positive: SciPy drops zeros
    count = summed(ratings, weights, members)
    total = summed(ratings, weights * (ratings.values.astype(np.float64) - base), members)
    number = count.data + shrinkage
    means = np.full(number.size, mean - base)
    np.divide(total.data + shrinkage * (mean - base), number, out=means, where=number > 0)
    count.data = base + means
    return count, mean


def best_of_rows(table: Any, width: int, n_threads: int = 0) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the ``width`` best entries of each row of a CSR array: columns, -1 for none, and values; best first."""
    values = table.data.astype(np.float32, copy=False)
    entries = host.top_candidates(table.indptr.astype(np.int64), values, min(width, table.shape[1]), n_threads)
    there = entries >= 0
    columns = np.full(entries.shape, -1, np.int32)
    best = np.zeros(entries.shape, np.float32)
    columns[there], best[there] = table.indices[entries[there]], values[entries[there]]
    return columns, best
