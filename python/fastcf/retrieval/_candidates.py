"""What retrievers return, and what those of this package share."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from fastcf._backend import host
from fastcf.ids import IdMap
from fastcf.models._blending import union_of_seen
from fastcf.models._parameters import Constraint, Interval, Nothing, validate_parameters
from fastcf.models._results import SeenItems, one
from fastcf.ratings import Ratings, as_ratings

__all__ = ["BaseRetriever", "Candidates", "Lists", "Retriever", "Seen", "native", "seen_in", "user_ids"]

Seen = tuple[NDArray[np.int64], NDArray[np.int32]] | tuple[None, None]

_Own = TypeVar("_Own", bound="BaseRetriever")

COUNT = (Interval(1, 2**31 - 1, integer=True),)
"""The constraint of parameters that say how many."""


class Candidates(NamedTuple):
    """Items proposed to users, as compressed rows.

    Attributes
    ----------
    indptr : ndarray of shape (m + 1,), int64
        Candidates of the ``u``-th user asked for stand at ``indptr[u]:indptr[u + 1]``.
    indices : ndarray, int32
        Item rows, ascending and distinct within a user.
    scores : ndarray, float32
        What the retriever thinks of each; larger is better, comparable within one user of one retriever.
    items : IdMap
        The ids behind the rows.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    scores: NDArray[np.float32]
    items: IdMap

    def of(self, position: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return the item ids and scores of one user, best first.

        Parameters
        ----------
        position : int
            Which of the users asked for.

        Returns
        -------
        tuple of ndarray
            Ids, and scores as float32; ties in the order of ``items``.
        """
        part = slice(self.indptr[position], self.indptr[position + 1])
        order = np.argsort(-self.scores[part], kind="stable")
        return self.items.ids[self.indices[part][order]], self.scores[part][order]


@runtime_checkable
class Retriever(Protocol):
    """What :class:`TwoStageRecommender` asks of a source of candidates: two methods, no base class."""

    def fit(self, X: Any, y: ArrayLike | None = None) -> Any:
        """Learn what is needed from ratings, as an estimator's ``fit`` takes them."""
        ...

    def retrieve(self, users: Any, *, exclude_seen: bool = True) -> Candidates:
        """Return candidates for user ids, with no more than an empty row for those it knows nothing about.

        ``exclude_seen`` asks not to spend candidates on what a user has rated; those left in are removed later.
        """
        ...


class Lists(NamedTuple):
    """Lists of items, as compressed rows in order of preference; item row -1 is none."""

    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    scores: NDArray[np.float32]

    @classmethod
    def of_table(cls, items: NDArray[np.int32], scores: NDArray[np.float32]) -> Lists:
        """Return the rows of a table as lists."""
        n, width = items.shape
        return cls(np.arange(n + 1, dtype=np.int64) * width, items.reshape(-1), scores.reshape(-1))


def native() -> Any:
    """Return the module that merges candidates: the host's, whatever the device of the models."""
    return host


def seen_in(ratings: Ratings, users: IdMap, items: IdMap) -> SeenItems:
    """Return who rated what, in the rows of ``users`` and ``items``; what these do not hold is left out."""
    seen = SeenItems(ratings.indptr, ratings.indices)
    if ratings.users == users and ratings.items == items:
        return seen
    return union_of_seen([(ratings.users, ratings.items, seen)], users, items)


def user_ids(users: Any) -> Any:
    """Return user ids as an array of several, also where there is one id alone."""
    return one(users) if np.ndim(users) == 0 else users


class BaseRetriever(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Base of the retrievers of this package.

    A fitted one holds ``users_`` and ``items_`` (:class:`IdMap`) and ``seen_`` (:class:`SeenItems`, by their rows).
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "k": COUNT,
        "n_threads": (Interval(1, 1024, integer=True), Nothing()),
    }

    k: int
    n_threads: int | None
    users_: IdMap
    items_: IdMap
    seen_: SeenItems | None

    def fit(self: _Own, X: Any, y: ArrayLike | None = None) -> _Own:
        """Learn from ratings what to propose; a fitted model stays as it is.

        Parameters
        ----------
        X, y
            Ratings, as any estimator takes them.

        Returns
        -------
        self

        Raises
        ------
        NotFittedError
            If the retriever has a model which is not fitted.
        ImportError
            If it has an index whose library is not installed.
        TypeError, ValueError
            If a parameter or the ratings are not as described.
        """
        caller = f"{type(self).__name__}.fit"
        self._check_parameters(caller)
        ratings = as_ratings(X, y, caller=caller)
        items = self._learn(ratings, caller)
        self.users_, self.items_ = ratings.users, items
        self.seen_ = seen_in(ratings, ratings.users, items)
        return self

    def _check_parameters(self, caller: str) -> None:
        validate_parameters(self._constraints, self.get_params(deep=False), caller)

    def _learn(self, ratings: Ratings, caller: str) -> IdMap:
        """Learn from ratings, and return the items that candidates are rows of."""
        raise NotImplementedError

    def retrieve(self, users: Any, *, exclude_seen: bool = True) -> Candidates:
        """Return the candidates of users.

        Parameters
        ----------
        users : id or array-like of shape (m,)
            One user id, or several; they may be unknown.
        exclude_seen : bool, default True
            Whether to pass over what a user has rated.

        Returns
        -------
        Candidates
            The class says what the scores are: the largest, where an item has several.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        if not hasattr(self, "items_"):
            raise NotFittedError(f"{type(self).__name__}.retrieve: the retriever must be fitted first; call fit")
        ids = user_ids(users)
        rows = self.users_.rows(ids, n_threads=self.n_threads) if np.size(ids) else np.empty(0, np.int32)
        seen = self.seen_.of(rows) if exclude_seen and self.seen_ is not None else (None, None)
        lists, chosen = self._lists_of(ids, rows, seen)
        m, width = chosen.shape
        indptr, indices, scores, _ = native().merge_candidates(
            *lists,
            np.arange(m + 1, dtype=np.int64) * width,
            np.ascontiguousarray(chosen.reshape(-1)),
            *seen,
            limit=self.k,
            n_threads=self.n_threads or 0,
        )
        return Candidates(indptr, indices, scores, self.items_)

    def _lists_of(self, users: Any, rows: NDArray[np.int32], seen: Seen) -> tuple[Lists, NDArray[np.int32]]:
        """Return lists, and a row of them per user, -1 being none; a user gets the first ``k`` unseen items of each.

        ``rows`` are the users' rows, -1 where unknown, and ``seen`` what they are not to get, or two times None.
        """
        raise NotImplementedError
