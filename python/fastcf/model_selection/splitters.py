"""Splitters of pairs, ``cv=`` of scikit-learn's functions; the same cuts as those of :mod:`fastcf.data` on ratings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import BaseCrossValidator

from fastcf._assembly import pair_columns
from fastcf._columns import time_vector
from fastcf._id_columns import as_id_column
from fastcf._random import RandomState, seed_from
from fastcf._texts import IdColumn
from fastcf.data import cuts
from fastcf.ids import distinct
from fastcf.ratings import Ratings

__all__ = ["ColdItemKFold", "ColdUserKFold", "PerUserKFold", "PerUserSplit", "TimeSplit"]

Split = tuple[NDArray[np.int64], NDArray[np.int64]]


class PairSplitter(BaseCrossValidator):  # type: ignore[misc]  # scikit-learn ships no types
    """What the splitters share: pairs in, positions out."""

    n_splits: int
    _function: ClassVar[str]  # what cuts Ratings in the same way

    @property
    def _caller(self) -> str:
        return f"{type(self).__name__}.split"

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups
            Ignored; here because scikit-learn passes them.

        Returns
        -------
        int
        """
        return int(self.n_splits)

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Return the splits.

        Parameters
        ----------
        X : array-like of shape (n, 2)
            User and item ids.
        y : array-like of shape (n,), optional
            Ignored.
        groups : array-like of shape (n,), optional
            The timestamps of the pairs where the cut is by time, integers or datetime64; must be None otherwise.

        Returns
        -------
        iterator of (train, test)
            Positions of pairs, int64, ascending.

        Raises
        ------
        TypeError, ValueError
            If ``X`` is no such array, or it or a parameter does not allow the split.
        """
        caller = self._caller
        if isinstance(X, Ratings) or scipy.sparse.issparse(X):
            raise TypeError(
                f"{caller}: X must be an (n, 2) array of user and item ids, whose rows are ratings; got "
                f"{type(X).__name__}, whose rows are users. Cut Ratings with fastcf.data.{self._function}, or pass "
                "np.stack(ratings.to_coo()[:2], axis=1) and the ratings as y"
            )
        users, items = (
            as_id_column(column, f"{caller}: {name}")
            for name, column in zip(("users", "items"), pair_columns(X, caller), strict=True)
        )
        if users.size == 0:
            raise ValueError(f"{caller}: X must hold pairs; got none")
        times = self._times_of(groups, users.size)
        return (
            (np.flatnonzero(train), np.flatnonzero(test)) for train, test in self._masks(users, items, times, caller)
        )

    def split_ratings(self, ratings: Ratings) -> Iterator[tuple[Ratings, Ratings]]:
        """Return the splits of ratings, which hold their own timestamps.

        Parameters
        ----------
        ratings : Ratings
            At least two ratings.

        Returns
        -------
        iterator of (train, test)
            With the id maps of ``ratings``.

        Raises
        ------
        ValueError
            If the split is by time and there are no timestamps, or a parameter does not allow it.
        """
        caller = f"{type(self).__name__}.split_ratings"
        if self._by_time and ratings.timestamps is None:
            raise ValueError(f"{caller}: ratings must have timestamps; got none")
        users = IdColumn(ratings.row_of_entry().astype(np.int64))
        items = IdColumn(ratings.indices.astype(np.int64))
        times = ratings.timestamps if self._by_time else None
        return ((ratings.take(train), ratings.take(test)) for train, test in self._masks(users, items, times, caller))

    @property
    def _by_time(self) -> bool:
        return False

    def _times_of(self, groups: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
        caller = self._caller
        if not self._by_time:
            if groups is not None:
                raise ValueError(f"{caller}: groups must be None where the split is not by time; got {type(groups)}")
            return None
        if groups is None:
            raise ValueError(
                f"{caller}: groups must hold the timestamps of the pairs; got None (pass them as groups= of "
                "scikit-learn's function)"
            )
        times = time_vector(groups, caller, "groups")
        if times.size != n:
            raise ValueError(f"{caller}: groups must have as many entries as X ({n}); got {times.size}")
        return times

    def _rng(self, random_state: RandomState) -> np.random.Generator:
        return np.random.default_rng(seed_from(random_state, self._caller))

    def _masks(
        self, users: IdColumn, items: IdColumn, times: NDArray[np.int64] | None, caller: str
    ) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Return the masks of training and test pairs; parameters are checked before the first is asked for."""
        raise NotImplementedError


def _rows(ids: IdColumn) -> tuple[NDArray[np.int32], int]:
    """Return a number per distinct id, in their order, and how many there are."""
    map_ = distinct(ids)
    return map_.find(ids, "ids"), len(map_)


def _halves(masks: list[NDArray[np.bool_]]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    return ((~test, test) for test in masks)


@dataclass(eq=False, repr=False)
class PerUserSplit(PairSplitter):
    """A number or a share of the pairs of every user, drawn at random or the latest, is the test part.

    Parameters
    ----------
    test_size : int or float, default 0.1
        Pairs per user in the test part: a number, or a share, rounded but at least one. Users whose pairs would all go
        to the test part stay in the training part, as :func:`fastcf.data.leave_n_out` has it.
    by : {"random", "time"}, default "random"
        Which pairs of a user; ``"time"`` takes the latest and needs timestamps as ``groups=``.
    n_splits : int, default 1
        How many times to draw; 1 where ``by="time"``.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        The same integer gives the same splits of the same pairs in the same order. None where ``by="time"``.

    Examples
    --------
    >>> import fastcf, numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> users, items, y = fastcf.data.make_ratings(100, 50, 1_000, random_state=0).to_coo()
    >>> cv = fastcf.model_selection.PerUserSplit(0.2, n_splits=3, random_state=0)
    >>> cross_val_score(fastcf.BiasModel(), np.stack([users, items], axis=1), y, cv=cv).size
    3
    """

    __metadata_request__split: ClassVar[dict[str, Any]] = {"groups": True}
    _function = "leave_n_out"

    test_size: float | int = 0.1
    _: KW_ONLY
    by: str = "random"
    n_splits: int = 1
    random_state: RandomState = None

    @property
    def _by_time(self) -> bool:
        if self.by not in ("random", "time"):
            raise ValueError(f"{self._caller}: by must be 'random' or 'time'; got {self.by!r}")
        return self.by == "time"

    def _masks(
        self, users: IdColumn, items: IdColumn, times: NDArray[np.int64] | None, caller: str
    ) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        n_splits = cuts.check_folds(self.n_splits, f"{caller}: n_splits", least=1)
        rows, n_rows = _rows(users)
        where = f"{caller}: test_size"
        if times is not None:
            for name, value, wanted in (("n_splits", n_splits, 1), ("random_state", self.random_state, None)):
                if value != wanted:
                    raise ValueError(f"{caller}: {name} must be {wanted} where by='time'; got {value!r}")
            return _halves([cuts.per_row(rows, n_rows, self.test_size, cuts.ranks(rows, n_rows, times=times), where)])
        rng = self._rng(self.random_state)
        places = (cuts.ranks(rows, n_rows, rng) for _ in range(n_splits))
        return _halves([cuts.per_row(rows, n_rows, self.test_size, place, where) for place in places])


@dataclass(eq=False, repr=False)
class PerUserKFold(PairSplitter):
    """The pairs of every user are cut into k folds, each of which is the test part once.

    Parameters
    ----------
    n_splits : int, default 5
        Number of folds, at least 2. Numbers of a user's pairs in two folds differ by at most one.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        The same integer gives the same folds of the same pairs in the same order.

    See Also
    --------
    fastcf.data.k_folds : The same for ratings.
    """

    _function = "k_folds"

    n_splits: int = 5
    _: KW_ONLY
    random_state: RandomState = None

    def _masks(
        self, users: IdColumn, items: IdColumn, times: NDArray[np.int64] | None, caller: str
    ) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        k = cuts.check_folds(self.n_splits, f"{caller}: n_splits")
        if users.size < k:
            raise ValueError(f"{caller}: n_splits must be at most the number of pairs ({users.size}); got {k}")
        fold = cuts.folds_within(*_rows(users), k, self._rng(self.random_state))
        return ((fold != n, fold == n) for n in range(k))


@dataclass(eq=False, repr=False)
class TimeSplit(PairSplitter):
    """The latest pairs of all users, from one moment on, are the test part. Timestamps are passed as ``groups=``.

    Parameters
    ----------
    test_size : int or float, optional
        Number or share of the pairs in the test part; 0.1 where ``at`` is not given.
    at : int or numpy.datetime64, optional
        The moment to cut at, in place of ``test_size``: pairs at it and after it are the test part.

    See Also
    --------
    fastcf.data.split_by_time : The same for ratings.
    """

    __metadata_request__split: ClassVar[dict[str, Any]] = {"groups": True}
    _function = "split_by_time"
    n_splits = 1
    _by_time = True

    test_size: float | int | None = None
    _: KW_ONLY
    at: int | np.datetime64 | None = None

    def _masks(
        self, users: IdColumn, items: IdColumn, times: NDArray[np.int64] | None, caller: str
    ) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        assert times is not None
        return _halves([cuts.by_time(times, self.test_size, self.at, caller)])


@dataclass(eq=False, repr=False)
class ColdUserKFold(PairSplitter):
    """The users are cut into k folds, each of which is tested once by users of whom nothing or a part is known.

    Parameters
    ----------
    n_splits : int, default 5
        Number of folds of users, at least 2.
    shown : float, default 0.0
        Share of the pairs of a user under test that are training pairs all the same, from 0 (all are test pairs) to
        below 1; rounded, at least one pair and, of two or more, not all.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        The same integer gives the same folds of the same pairs in the same order.

    See Also
    --------
    fastcf.data.split_users : Users held out whose history is shown apart from the training part.
    """

    _function = "split_users"

    n_splits: int = 5
    _: KW_ONLY
    shown: float = 0.0
    random_state: RandomState = None

    def _masks(
        self, users: IdColumn, items: IdColumn, times: NDArray[np.int64] | None, caller: str
    ) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        k = cuts.check_folds(self.n_splits, f"{caller}: n_splits")
        share = cuts.check_share(self.shown, f"{caller}: shown")
        rows, n_rows = _rows(users)
        rng = self._rng(self.random_state)
        fold = cuts.row_folds(rows, n_rows, k, rng, "users", f"{caller}: n_splits")[rows]
        hidden = ~cuts.shown_of(rows, n_rows, share, cuts.ranks(rows, n_rows, rng))
        tests = [hidden & (fold == n) for n in range(k)]
        if not all(test.any() for test in tests):
            raise ValueError(f"{caller}: every fold must have a user with two pairs where shown > 0; got shown={share}")
        return _halves(tests)


@dataclass(eq=False, repr=False)
class ColdItemKFold(PairSplitter):
    """The items are cut into k folds, each of which is the test part once: items that training has never met.

    Parameters
    ----------
    n_splits : int, default 5
        Number of folds of items, at least 2.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        The same integer gives the same folds of the same pairs in the same order.

    See Also
    --------
    fastcf.data.split_items : One such split of ratings.
    """

    _function = "split_items"

    n_splits: int = 5
    _: KW_ONLY
    random_state: RandomState = None

    def _masks(
        self, users: IdColumn, items: IdColumn, times: NDArray[np.int64] | None, caller: str
    ) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        k = cuts.check_folds(self.n_splits, f"{caller}: n_splits")
        rows, n_rows = _rows(items)
        fold = cuts.row_folds(rows, n_rows, k, self._rng(self.random_state), "items", f"{caller}: n_splits")[rows]
        return ((fold != n, fold == n) for n in range(k))
