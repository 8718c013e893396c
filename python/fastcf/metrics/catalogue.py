"""The items that can be listed, how popular they are, and what lists show of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcf.ids import IdMap
from fastcf.metrics.lists import Lists
from fastcf.ratings import Ratings

__all__ = ["CATALOGUE_METRICS", "Catalogue", "Shown", "coverage", "gini"]

_Floats = npt.NDArray[np.float64]
_Counts = npt.NDArray[np.int64]

CATALOGUE_METRICS = {"coverage": True, "gini": False, "novelty": True, "mean_popularity": False}
"""Metrics of lists that need no held-out ratings, named as in "coverage@10", and whether greater is better."""


@dataclass(frozen=True)
class Shown:
    """What lists show of a catalogue.

    Attributes
    ----------
    mean_popularity, novelty : ndarray of shape (m,), float64
        Of each list; NaN of empty ones.
    counts : ndarray of shape (n_items,), int64
        How often each item of the catalogue is listed.
    """

    mean_popularity: _Floats
    novelty: _Floats
    counts: _Counts

    def figure(self, name: str) -> float:
        """Return the figure of a metric of ``CATALOGUE_METRICS``: means are over the lists that are not empty."""
        if name in _OF_ALL_LISTS:
            return _OF_ALL_LISTS[name](self.counts)
        each: _Floats = getattr(self, name)
        return float(np.nanmean(each)) if not np.isnan(each).all() else float("nan")


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Items that can be listed, and by how many users each was rated in training.

    Attributes
    ----------
    items : IdMap
        The items.
    n_raters : ndarray of shape (n_items,), int64
        Users who rated each.
    n_users : int
        Users who rated any item.
    """

    items: IdMap
    n_raters: _Counts
    n_users: int

    @classmethod
    def of_ratings(cls, train: Ratings, items: IdMap | None = None) -> Catalogue:
        """Return the catalogue of training ratings; ``items``: those that can be listed, by default those rated."""
        n_users = int((train.user_counts() > 0).sum())
        if items is None:
            return cls(train.items, train.item_counts(), n_users)
        rows = train.items.rows(items)
        return cls(items, train.item_counts()[rows] * (rows >= 0), n_users)

    @classmethod
    def of_recommender(cls, recommender: Any, caller: str) -> Catalogue:
        """Return the items of a fitted recommender, counted by what it stores of its training ratings.

        Raises TypeError where it has no ``items_`` or ``seen_``.
        """
        items, seen = (getattr(recommender, name, None) for name in ("items_", "seen_"))
        if items is None or seen is None:
            raise TypeError(
                f"{caller}: recommender must have items_ and seen_, the items that it can list and which user has "
                f"rated which; got {type(recommender).__name__} without (fastcf.metrics.beyond_accuracy takes the "
                "training ratings)"
            )
        counts = np.bincount(seen.indices, minlength=len(items)).astype(np.int64)
        return cls(items, counts, int((np.diff(seen.indptr) > 0).sum()))

    def shown(self, lists: Lists, caller: str) -> Shown:
        """Return what lists show of the catalogue; raises ValueError for an item that is not in it."""
        places, rows = lists.entries(self.items, caller)
        if (rows < 0).any():
            unknown = lists.items[lists.given][rows < 0].tolist()[0]
            raise ValueError(f"{caller}: catalogue must hold all listed items; it lacks {unknown!r}")
        m, raters = len(lists.items), self.n_raters[rows]
        return Shown(
            mean_popularity=_mean_of_lists(places, raters / self.n_users, m),
            novelty=_mean_of_lists(places, -np.log2(raters.clip(min=1) / self.n_users), m),
            counts=np.bincount(rows, minlength=len(self.items)),
        )


def coverage(counts: _Counts) -> float:
    """Return the share of the items that are listed, by how often each is."""
    return float(np.mean(counts > 0))


def gini(counts: _Counts) -> float:
    """Return the Gini index of counts, 0 where all are 0."""
    n, total = counts.size, float(counts.sum())
    if total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(counts) / (n * total))


_OF_ALL_LISTS: dict[str, Callable[[_Counts], float]] = {"coverage": coverage, "gini": gini}


def _mean_of_lists(places: npt.NDArray[np.int64], values: _Floats, m: int) -> _Floats:
    """Return the mean of the values of each of m lists, NaN of empty ones; ``places`` says whose the values are."""
    sizes = np.bincount(places, minlength=m)
    sums = np.bincount(places, values, minlength=m)
    means: _Floats = np.divide(sums, sizes, out=np.full(m, np.nan), where=sizes > 0)
    return means
