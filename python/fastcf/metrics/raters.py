"""Raters of items in training: the distances between items by them, and the items that were to be expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from fastcf._backend import resolve_device
from fastcf.ids import IdMap
from fastcf.metrics.lists import Lists
from fastcf.ratings import Ratings

__all__ = ["RATER_METRICS", "Raters"]

_Floats = npt.NDArray[np.float64]

RATER_METRICS = {"diversity": True, "serendipity": True}
"""Metrics of lists by who rated what in training, named as in "diversity@10", and whether greater is better."""

_BLOCK_BYTES = 1 << 26  # of a block of items' vectors


@dataclass(frozen=True, eq=False)
class Raters:
    """The pairs of users and items that were rated in training, as compressed rows.

    Attributes
    ----------
    users, items : IdMap
        Their ids.
    indptr, indices : ndarray of int64, int32
        Items of user row ``u`` are at ``indptr[u]:indptr[u + 1]``, ascending.
    """

    users: IdMap
    items: IdMap
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]

    @classmethod
    def of_ratings(cls, train: Ratings) -> Raters:
        """Return those of training ratings."""
        return cls(train.users, train.items, train.indptr, train.indices)

    @classmethod
    def of_recommender(cls, recommender: Any, caller: str) -> Raters:
        """Return what a fitted recommender stores of its training; raises TypeError where it stores nothing."""
        parts = [getattr(recommender, name, None) for name in ("users_", "items_", "seen_")]
        users, items, seen = parts
        if users is None or items is None or seen is None:
            raise TypeError(
                f"{caller}: recommender must have users_, items_ and seen_, who has rated which items; got "
                f"{type(recommender).__name__} without (fastcf.metrics.beyond_accuracy takes vectors and lists)"
            )
        return cls(users, items, *seen)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Users who rated each item."""
        return np.bincount(self.indices, minlength=len(self.items)).astype(np.int64)

    def of_lists(self, name: str, lists: Lists, relevant: Ratings, caller: str) -> _Floats:
        """Return a metric of ``RATER_METRICS`` of each list; NaN where it is not defined."""
        return self.diversity(lists, caller) if name == "diversity" else self.serendipity(lists, relevant, caller)

    def diversity(self, lists: Lists, caller: str) -> _Floats:
        """Return one minus the mean cosine of the pairs of each list, NaN of lists of fewer than two rated items.

        An item's vector says who rated it, so that the cosine is ``n_ij / √(n_i n_j)``, with n_ij the users who rated
        both. Cosines of the items that occur in lists are computed some items at a time, by products of their vectors:
        (ratings of these items) × (these items) multiply-adds.
        """
        m, counts = len(lists.items), self.counts
        places, rows = lists.entries(self.items, caller)
        rated = (rows >= 0) & (counts[rows] > 0)
        places = places[rated]
        listed, columns = np.unique(rows[rated], return_inverse=True)
        n_users = len(self.users)
        shape = n_users, len(self.items)
        given = scipy.sparse.csr_array((np.ones(self.indices.size, np.float32), self.indices, self.indptr), shape)
        vectors = given[:, listed].tocsc()
        vectors.data /= np.repeat(np.sqrt(counts[listed]), np.diff(vectors.indptr)).astype(np.float32)
        by_item = vectors.T  # compressed rows of the same arrays
        holders = scipy.sparse.csr_array((np.ones(places.size, np.float32), (places, columns)), (m, listed.size))
        squared = np.zeros(m)
        width = max(1, _BLOCK_BYTES // (4 * max(n_users, m, 1)))
        for begin in range(0, listed.size, width):
            block = np.ascontiguousarray(vectors[:, begin : begin + width].toarray())
            sums = _product(holders, _product(by_item, block, caller), caller)  # cosines with all items of a list
            own = (columns >= begin) & (columns < begin + width)
            squared += np.bincount(places[own], sums[places[own], columns[own] - begin], m)
        sizes = np.bincount(places, minlength=m)
        pairs = sizes * (sizes - 1)
        unlike: _Floats = np.divide(pairs + sizes - squared, pairs, out=np.full(m, np.nan), where=pairs > 0)
        return unlike

    def serendipity(self, lists: Lists, relevant: Ratings, caller: str) -> _Floats:
        """Return the share of the places of each list with a relevant item that popularity does not explain.

        Expected are as many items as a list has places: those of most raters that the user has not rated, ties by the
        order of the items. NaN for users without relevant items.
        """
        n, (m, k) = len(self.items), lists.items.shape
        owners = relevant.users.find(lists.users, f"{caller}: users").astype(np.int64)
        places, wanted = lists.entries(relevant.items, caller)
        stored = relevant.row_of_entry().astype(np.int64) * relevant.n_items + relevant.indices
        known = (wanted >= 0) & (owners[places] >= 0)
        hits = known & np.isin(np.where(known, owners[places] * relevant.n_items + wanted, -1), stored)
        rank = np.empty(n, np.int64)
        rank[np.argsort(-self.counts, kind="stable")] = np.arange(n)
        _, rows = lists.entries(self.items, caller)
        trained = self.users.find(lists.users, f"{caller}: users")[places].astype(np.int64)
        own = np.repeat(np.arange(len(self.users), dtype=np.int64), np.diff(self.indptr))
        seen = np.sort(own * n + rank[self.indices])
        before = np.searchsorted(seen, trained * n + rank[rows]) - self.indptr[trained]  # better known, and rated
        expected = (rows >= 0) & (rank[rows] - np.where(trained >= 0, before, 0) < k)
        share: _Floats = np.bincount(places, hits & ~expected, minlength=m) / k
        share[np.where(owners >= 0, relevant.user_counts()[owners], 0) == 0] = np.nan
        return share


def _product(sparse: Any, dense: npt.NDArray[np.float32], caller: str) -> npt.NDArray[np.float32]:
    """Return a matrix of compressed rows times a dense one."""
    indptr, indices = sparse.indptr.astype(np.int64), sparse.indices.astype(np.int32)
    product: npt.NDArray[np.float32] = resolve_device("cpu", caller).module.spmm(indptr, indices, sparse.data, dense)[0]
    return product
