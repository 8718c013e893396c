"""Candidates, the protocol of retrievers, and the base of those of this package."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from fastcf._backend import host
from fastcf._parameters import THREADS, Constraint, Interval, check_n_threads, refuse_ignored, validate_parameters
from fastcf.ids import IdMap
from fastcf.models.estimator import Packed
from fastcf.ratings import Ratings, as_ratings
from fastcf.scores import SeenItems
from fastcf.scores.protocol import Seen
from fastcf.scores.queries import one
from fastcf.scores.seen import seen_in
from fastcf.serialization import Archive, registered_name, save_archive

__all__ = ["COUNT", "BaseRetriever", "Built", "Candidates", "Fitted", "Lists", "Retriever", "user_ids"]

_Own = TypeVar("_Own", bound="BaseRetriever")
_Kind = TypeVar("_Kind", bound="Fitted")

COUNT = (Interval(1, 2**31 - 1, integer=True),)
"""The constraint of counts."""


class Candidates(NamedTuple):
    """Items proposed to users, as compressed rows.

    Attributes
    ----------
    indptr : ndarray of shape (m + 1,), int64
        Candidates of the ``u``-th user of the query are at ``indptr[u]:indptr[u + 1]``.
    indices : ndarray, int32
        Item rows, ascending and distinct within a user.
    scores : ndarray, float32
        The retriever's score of each; larger is better, comparable within one user of one retriever.
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
            The user's position in the query.

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
    """What :class:`TwoStageRecommender` needs of a source of candidates: two methods, no base class."""

    def fit(self, X: Any, y: ArrayLike | None = None) -> Any:
        """Learn what is needed from ratings, as an estimator's ``fit`` takes them."""
        ...

    def retrieve(self, users: Any, *, exclude_seen: bool = True) -> Candidates:
        """Return candidates for user ids; unknown users have an empty row or a default one.

        ``exclude_seen``: leave out items that a user has rated; any that remain are removed later.
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

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of a file of lists that are rows of a table."""
        n = self.indptr.size - 1
        return {"list_items": self.items.reshape(n, -1), "list_scores": self.scores.reshape(n, -1)}

    @classmethod
    def stored(cls, archive: Archive, n_lists: int, n_items: int) -> Lists:
        """Return the lists of an archive; raises DataError or ValueError where they do not fit."""
        items = archive.array("list_items", np.int32, (n_lists, None))
        rows_within(items, n_items, "list_items")
        return cls.of_table(items, archive.array("list_scores", np.float32, items.shape))


def user_ids(users: Any) -> Any:
    """Return user ids as an array of several, also where there is one id alone."""
    return one(users) if np.ndim(users) == 0 else users


@dataclass(frozen=True, eq=False)
class Built:
    """The state of a fitted retriever: immutable, and swapped once at the end of ``fit``.

    Attributes
    ----------
    users, items : IdMap
        The ids behind the rows.
    seen : SeenItems or None
        The items to leave out for each user, by these rows.
    learnt : object
        Other learnt values: immutable. Its fields that ``shown`` names are attributes of the retriever.
    """

    shown: ClassVar[tuple[str, ...]] = ("users", "items", "seen")

    users: IdMap
    items: IdMap
    seen: SeenItems | None
    learnt: Any = None


def rows_within(rows: NDArray[np.int32], n: int, name: str) -> None:
    """Check stored row numbers, -1 being none; raises ValueError."""
    if rows.size and not -1 <= rows.min() <= rows.max() < n:
        raise ValueError(f"{name} must hold rows in [-1, {n}); got {rows.min()} to {rows.max()}")


class Fitted(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Base of objects whose ``fit`` builds one state: attributes ending in ``_`` are views of it."""

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]]
    _objects: ClassVar[tuple[str, ...]] = ()
    """Parameters that are no JSON values: models, which are parts of a file, or what a class stores as arrays."""

    _built: Any = None

    def _fitted(self, method: str, what: str) -> Any:
        """Return the state; a query reads it once."""
        if self._built is None:
            raise NotFittedError(f"{type(self).__name__}.{method}: the {what} must be fitted first; call fit")
        return self._built

    def __sklearn_is_fitted__(self) -> bool:
        return self._built is not None

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_") and not name.startswith("_"):
            built = self._built
            for owner in (built, getattr(built, "learnt", None)):
                if name[:-1] in getattr(owner, "shown", ()):
                    return getattr(owner, name[:-1])
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        metadata: Mapping[str, Any] | None = None,
        extra_arrays: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        """Write what ``fit`` has built to one file, atomically; :func:`fastcf.load` reads it back.

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced.
        metadata : mapping, optional
            JSON values of the caller's own, which :func:`fastcf.read_metadata` gives back.
        extra_arrays : mapping of str to array-like, optional
            Arrays of the caller's own, which travel along (titles of items, for example).

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If a parameter, a model or an object of another library cannot be stored; the message names it. All can be
            pickled.
        OSError
            If the file cannot be written; an existing one is left as it was.

        Notes
        -----
        The models that it was built on are in the file, as they were at ``fit``; one that is used several times is
        stored once, and is one object after loading.
        """
        save_archive(path, self.to_archive(), metadata=metadata, extra_arrays=extra_arrays)

    def to_archive(self) -> Archive:
        """Return the contents of a file.

        Returns
        -------
        Archive

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            As for :meth:`save`.
        """
        built = self._fitted("save", "object")
        name, kind = registered_name(type(self))
        self._check(f"{type(self).__name__}.save")
        names = [each for each in inspect.signature(kind).parameters if each not in ("n_threads", *kind._objects)]  # type: ignore[attr-defined]  # a subclass of this one
        packed = self._pack(built)
        params = {each: getattr(self, each) for each in names} | packed.params
        return Archive(name, params, packed.arrays, packed.meta, packed.parts)

    @classmethod
    def from_archive(cls: type[_Kind], archive: Archive) -> _Kind:
        """Return what an archive holds.

        Parameters
        ----------
        archive : Archive
            The contents of a file.

        Returns
        -------
        Fitted
            A fitted object; its answers are those of the one that was saved.

        Raises
        ------
        DataError
            If the archive lacks something or does not fit together.
        ImportError
            If it has an index whose library is not installed.
        """
        with archive.reading(f"parameters do not fit {cls.__name__}"):
            own = cls(**cls._unpack_params(archive))
            own._check(cls.__name__)
        with archive.reading(f"what {cls.__name__} has learnt is damaged"):
            own._built = own._unpack(archive)
        return own

    def _check(self, caller: str) -> None:
        """Check the parameters; raises TypeError or ValueError."""
        validate_parameters(self._constraints, self.get_params(deep=False), caller)

    @classmethod
    def _unpack_params(cls, archive: Archive) -> dict[str, Any]:
        """Return the constructor's parameters of an archive."""
        return {**archive.params, **{name: archive.model(name) for name in cls._objects}}

    def _pack(self, built: Any) -> Packed:
        """Return what a state is stored as."""
        raise NotImplementedError

    def _unpack(self, archive: Archive) -> Any:
        """Return the state of an archive."""
        raise NotImplementedError


class BaseRetriever(Fitted):
    """Base of the retrievers of this package; attributes of fitted ones are those of :class:`Built`."""

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {"k": COUNT, "n_threads": THREADS}

    k: int
    n_threads: int | None

    def fit(self: _Own, X: Any, y: ArrayLike | None = None) -> _Own:
        """Learn candidates from ratings; a fitted model does not change.

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
        self._check(caller)
        ratings = as_ratings(X, y, caller=caller)
        items, learnt = self._learn(ratings, caller)
        self._built = Built(ratings.users, items, seen_in(ratings, ratings.users, items), learnt)
        return self

    def _check(self, caller: str) -> None:
        """Check the parameters, and refuse those that would have no effect; raises TypeError or ValueError."""
        super()._check(caller)
        if getattr(self, "by", "mean") == "count":
            refuse_ignored(self, ("shrinkage",), "for by='count'", caller)
        if getattr(self, "index", None) == "exact":
            refuse_ignored(self, ("m", "ef_construction", "ef"), "for index='exact'", caller)

    def _learn(self, ratings: Ratings, caller: str) -> tuple[IdMap, Any]:
        """Return the items that candidates are rows of, and the other learnt values."""
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
        ValueError
            If ``exclude_seen`` and it is not known what users have seen.
        """
        built: Built = self._fitted("retrieve", "retriever")
        if exclude_seen and built.seen is None:
            raise ValueError(
                f"{type(self).__name__}.retrieve: exclude_seen must be False for a model that does not know what users "
                "have seen, unless fit is given ratings; got True"
            )
        return self._candidates(built, users, exclude_seen)

    def _candidates(self, built: Built, users: Any, exclude_seen: bool) -> Candidates:
        n_threads = check_n_threads(self.n_threads, f"{type(self).__name__}.retrieve")
        ids = user_ids(users)
        where = f"{type(self).__name__}.retrieve: users"
        rows = built.users.find(ids, where, n_threads) if np.size(ids) else np.empty(0, np.int32)
        seen: Seen = built.seen.of(rows) if exclude_seen and built.seen is not None else (None, None)
        lists, chosen = self._lists_of(built, ids, rows, seen)
        m, width = chosen.shape
        indptr, indices, scores, _ = host.merge_candidates(
            lists.indptr,
            lists.items,
            lists.scores,
            np.arange(m + 1, dtype=np.int64) * width,
            np.ascontiguousarray(chosen.reshape(-1)),
            seen[0],
            seen[1],
            limit=self.k,
            n_threads=n_threads,
        )
        assert scores is not None  # there are scores where lists have them
        return Candidates(indptr, indices, scores, built.items)

    def _lists_of(
        self, built: Built, users: Any, rows: NDArray[np.int32], seen: Seen
    ) -> tuple[Lists, NDArray[np.int32]]:
        """Return lists, and a row of them per user, -1 being none; a user gets the first ``k`` unseen items of each.

        ``rows`` are the users' rows, -1 where unknown, and ``seen`` the items to leave out, or two times None.
        """
        raise NotImplementedError
