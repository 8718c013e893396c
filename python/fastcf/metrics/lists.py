"""Lists of recommended items to be measured: given as they are, or made by a recommender or a retriever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fastcf._backend import host
from fastcf.ids import IdMap

__all__ = ["Lists", "MakesLists", "Retrieves", "as_lists"]


@runtime_checkable
class MakesLists(Protocol):
    """A fitted model or recommender."""

    def recommend(self, users: Any, n: int = 10) -> Any:
        """Return the best ``n`` items of users: ``items``, ``scores`` of shape (m, n); -inf is the score of padding."""
        ...


@runtime_checkable
class Retrieves(Protocol):
    """A fitted retriever."""

    def retrieve(self, users: Any) -> Any:
        """Return candidates as compressed rows, with scores."""
        ...


@dataclass(frozen=True)
class Lists:
    """Lists of item ids, best first.

    Attributes
    ----------
    items : ndarray of shape (m, n)
        Ids of items.
    given : ndarray of shape (m, n), bool
        Where there is an item, and no padding.
    """

    items: npt.NDArray[Any]
    given: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, recommended: Any, caller: str) -> Lists:
        """Return the lists of ``Recommendations`` or of an array of ids; raises ValueError for other shapes."""
        scores = getattr(recommended, "scores", None)
        items = np.asarray(recommended if scores is None else recommended.items)
        if items.ndim != 2 or items.size == 0:
            raise ValueError(f"{caller}: recommended must have shape (m, n), neither of them 0; got {items.shape}")
        return cls(items, np.ones(items.shape, bool) if scores is None else np.asarray(scores) > -np.inf)

    def rows(self, ids: IdMap, n: int, caller: str) -> npt.NDArray[np.int32]:
        """Return the rows of the first ``n`` items of each list, -1 for padding and for unknown items."""
        found = np.full((len(self.items), n), -1, np.int32)
        listed = self.given[:, :n]
        found[listed] = ids.find(self.items[:, :n][listed], f"{caller}: recommended")
        return found


def as_lists(recommended: Any, users: npt.ArrayLike, n: int, caller: str) -> Lists:
    """Return lists as they are given, or the lists of ``n`` items that a recommender makes for users."""
    if isinstance(recommended, MakesLists):
        return Lists.of(recommended.recommend(users, n=n), caller)
    if isinstance(recommended, Retrieves):
        found = recommended.retrieve(users)
        entries = host.top_candidates(found.indptr, found.scores, n)
        given = entries >= 0
        items = np.zeros(entries.shape, found.items.ids.dtype)
        items[given] = found.items.ids[found.indices[entries[given]]]
        return Lists(items, given)
    return Lists.of(recommended, caller)
