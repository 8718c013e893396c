"""Lists of recommended items to be measured: given as they are, or made by a recommender or a retriever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fastcf._backend import host
from fastcf._id_columns import as_id_column
from fastcf.ids import IdMap, distinct

__all__ = ["Lists", "MakesLists", "Retrieves", "as_lists", "lengths_of"]


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


@dataclass(frozen=True, eq=False)
class Lists:
    """Lists of item ids, best first, a list per user.

    Attributes
    ----------
    users : ndarray of shape (m,)
        Ids of the users, all different.
    items : ndarray of shape (m, n)
        Ids of items.
    given : ndarray of shape (m, n), bool
        Where there is an item, and no padding.
    """

    users: npt.NDArray[Any]
    items: npt.NDArray[Any]
    given: npt.NDArray[np.bool_]

    def first(self, k: int, caller: str) -> Lists:
        """Return the first ``k`` places of the lists; raises ValueError where these have fewer."""
        n = self.items.shape[1]
        if k > n:
            raise ValueError(f"{caller}: k must be an integer from 1 to {n}, the length of the lists; got {k}")
        return Lists(self.users, self.items[:, :k], self.given[:, :k])

    def rows(self, ids: IdMap, caller: str) -> npt.NDArray[np.int32]:
        """Return the rows of the items, -1 for padding and for unknown items."""
        found = np.full(self.items.shape, -1, np.int32)
        found[self.given] = ids.find(self.items[self.given], f"{caller}: recommended")
        return found

    def entries(self, ids: IdMap, caller: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Return the positions of the lists and the rows of their items, an entry per item, without padding."""
        owners = np.repeat(np.arange(len(self.items)), self.given.sum(axis=1))
        return owners, ids.find(self.items[self.given], f"{caller}: recommended")


def as_lists(recommended: Any, users: Any, n: int, caller: str) -> Lists:
    """Return lists as they are given, or the lists of ``n`` items that a recommender makes for users.

    ``users`` may be None for ``Recommendations`` and ``Lists``, which say whose they are. Raises TypeError or
    ValueError for lists of another shape, another number of users than of lists, and users with several lists.
    """
    if isinstance(recommended, Lists) and users is None:
        return recommended
    own = None if isinstance(recommended, (MakesLists, Retrieves)) else getattr(recommended, "users", None)
    if users is None and own is None:
        raise ValueError(f"{caller}: users must be given with lists of ids; got None")
    column = (
        users.column if isinstance(users, IdMap) else as_id_column(own if users is None else users, f"{caller}: users")
    )
    ids = column.array()
    if len(distinct(column)) < ids.size:
        several, counts = np.unique(ids, return_counts=True)
        most, n_lists = several.tolist()[counts.argmax()], counts.max()
        raise ValueError(f"{caller}: users must be distinct, a list each; got {n_lists} lists of user {most!r}")
    if isinstance(recommended, MakesLists):
        recommended = recommended.recommend(ids, n=n)
    elif isinstance(recommended, Retrieves):
        return _best_candidates(recommended.retrieve(ids), ids, n)
    elif own is not None and users is not None and not _same(ids, own):
        raise ValueError(f"{caller}: users must be those that recommended was made for; got others, or another order")
    scores = getattr(recommended, "scores", None)
    items = np.asarray(recommended if scores is None else recommended.items)
    if items.ndim != 2 or items.size == 0:
        raise ValueError(f"{caller}: recommended must have shape (m, n), neither of them 0; got {items.shape}")
    if ids.size != len(items):
        raise ValueError(f"{caller}: users must be as many as lists ({len(items)}); got {ids.size}")
    return Lists(ids, items, np.ones(items.shape, bool) if scores is None else np.asarray(scores) > -np.inf)


def lengths_of(k: int | Sequence[int] | None, caller: str) -> tuple[int, ...]:
    """Return the numbers of places to evaluate, none where all are."""
    if k is None:
        return ()
    several = np.atleast_1d(np.asarray(k, object)).tolist()
    if not several:
        raise ValueError(f"{caller}: k must hold one or more integers; got none")
    for one in several:
        if isinstance(one, (bool, np.bool_)) or not isinstance(one, (int, np.integer)) or one < 1:
            raise ValueError(f"{caller}: k must be an integer from 1 to the length of the lists; got {one!r}")
    return tuple(int(one) for one in several)


def _best_candidates(found: Any, users: npt.NDArray[Any], n: int) -> Lists:
    """Return the best ``n`` candidates of each user."""
    entries = host.top_candidates(found.indptr, found.scores, n)
    given = entries >= 0
    items = np.zeros(entries.shape, found.items.ids.dtype)
    items[given] = found.items.ids[found.indices[entries[given]]]
    return Lists(users, items, given)


def _same(users: npt.NDArray[Any], made_for: Any) -> bool:
    """Return whether lists may be those of users: of their ids, or of the row numbers of a history.

    Ids are compared by their texts where one side has integers and the other strings.
    """
    others = np.atleast_1d(made_for)
    if users.dtype.kind == others.dtype.kind and np.array_equal(users, others):
        return True
    if others.dtype.kind == "i" and np.array_equal(others, np.arange(others.size)):
        return True
    return users.dtype.kind != others.dtype.kind and list(map(str, users.tolist())) == list(map(str, others.tolist()))
