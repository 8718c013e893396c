"""Splits of ratings into parts to learn from and parts to test; all parts keep the id maps of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.data.cuts import (
    by_time,
    check_folds,
    check_share,
    drawn_rows,
    folds_within,
    per_row,
    ranks,
    shown_of,
    size_of,
)
from fastcf.ratings import Ratings

__all__ = [
    "UserSplit",
    "k_folds",
    "leave_n_out",
    "split_by_time",
    "split_items",
    "split_users",
    "train_test_split",
]

RandomState = int | np.random.Generator | np.random.SeedSequence | None


class UserSplit(NamedTuple):
    """The parts of :func:`split_users`; all have the id maps of the whole.

    Attributes
    ----------
    train : Ratings
        Everything of the users that were not held out.
    shown : Ratings
        What is known of the users held out: their history.
    held_out : Ratings
        The rest of their ratings, to test with.
    """

    train: Ratings
    shown: Ratings
    held_out: Ratings


def _check(ratings: Ratings, caller: str) -> None:
    if not isinstance(ratings, Ratings):
        raise TypeError(f"{caller}: ratings must be Ratings; got {type(ratings).__name__}")


def _times(ratings: Ratings, caller: str) -> NDArray[np.int64]:
    if ratings.timestamps is None:
        raise ValueError(f"{caller}: ratings must have timestamps; got none")
    return ratings.timestamps


def _taking_order(ratings: Ratings, by: str, random_state: RandomState, caller: str) -> NDArray[np.int64]:
    """Return the place of each entry in the order in which a user's entries are taken."""
    if by not in ("random", "time"):
        raise ValueError(f"{caller}: by must be 'random' or 'time'; got {by!r}")
    rows = ratings.row_of_entry()
    if by == "random":
        return ranks(rows, ratings.n_users, np.random.default_rng(random_state))
    if random_state is not None:
        raise ValueError(f"{caller}: random_state must be None where by='time'; got {random_state!r}")
    return ranks(rows, ratings.n_users, times=_times(ratings, caller))


def train_test_split(
    ratings: Ratings, test_size: float | int = 0.1, random_state: RandomState = None
) -> tuple[Ratings, Ratings]:
    """Split at random by rating.

    Parameters
    ----------
    ratings : Ratings
        At least two ratings.
    test_size : float or int, default 0.1
        Share of the ratings that go to the test part, or their number.
    random_state : int, numpy.random.Generator, SeedSequence or None
        Seed; the same seed gives the same split of the same ratings.

    Returns
    -------
    (train, test) : Ratings
        Same id maps as ``ratings``; users or items may be left without a rating on one side.

    Raises
    ------
    TypeError, ValueError
        If ``test_size`` is no such number or leaves a part empty.

    Examples
    --------
    >>> train, test = train_test_split(ratings, test_size=0.2, random_state=0)  # doctest: +SKIP
    """
    _check(ratings, "train_test_split")
    n_test = size_of(test_size, ratings.nnz, "ratings", "train_test_split: test_size")
    test = np.zeros(ratings.nnz, bool)
    test[np.random.default_rng(random_state).choice(ratings.nnz, n_test, replace=False, shuffle=False)] = True
    return ratings.take(~test), ratings.take(test)


def leave_n_out(
    ratings: Ratings, n: float | int = 1, random_state: RandomState = None, *, by: str = "random"
) -> tuple[Ratings, Ratings]:
    """Split off some ratings of every user, a number or a share of them, drawn at random or the latest.

    Parameters
    ----------
    ratings : Ratings
        The ratings to split.
    n : int or float, default 1
        Ratings per user in the test part: a number, or a share of the user's ratings (0.2 is a fifth, rounded, but at
        least one rating). A user whose ratings would all go to the test part, because they are ``n`` or fewer, or one,
        stays in the training part entirely, so that no user is tested without having been learnt.
    random_state : int, numpy.random.Generator, SeedSequence or None
        Seed; the same seed gives the same split of the same ratings. Must be None where ``by="time"``.
    by : {"random", "time"}, default "random"
        ``"random"`` draws the test ratings of a user; ``"time"`` takes the latest, of those at the same moment the ones
        stored last (by item row), and needs timestamps.

    Returns
    -------
    (train, test) : Ratings
        Same id maps as ``ratings``. With ``by="time"``, no training rating of a user in the test part is later than a
        test rating of that user.

    Raises
    ------
    TypeError, ValueError
        If ``n`` is neither a positive integer nor a share between 0 and 1, no user has enough ratings, or ``by`` is
        neither; with ``by="time"`` if there are no timestamps or a ``random_state`` is given.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.Ratings.from_coo([7, 7, 7], [1, 2, 3], [5, 4, 3], timestamps=[20, 30, 10])
    >>> train, test = fastcf.data.leave_n_out(ratings, by="time")
    >>> test.to_coo()[1].tolist()
    [2]
    >>> train, test = fastcf.data.leave_n_out(ratings, 0.6, random_state=0)
    >>> train.nnz, test.nnz
    (1, 2)
    """
    _check(ratings, "leave_n_out")
    place = _taking_order(ratings, by, random_state, "leave_n_out")
    test = per_row(ratings.row_of_entry(), ratings.n_users, n, place, "leave_n_out: n")
    return ratings.take(~test), ratings.take(test)


def split_by_time(
    ratings: Ratings, test_size: float | int | None = None, *, at: int | np.datetime64 | None = None
) -> tuple[Ratings, Ratings]:
    """Split by time, of all users at one moment: the latest ratings are the test part.

    Parameters
    ----------
    ratings : Ratings
        With timestamps; at least two ratings.
    test_size : float or int, optional
        Share of the ratings that go to the test part, or their number; 0.1 where ``at`` is not given. Of the ratings at
        the moment of the cut, those stored last (by user row, then item row) go to the test part until it is full.
    at : int or numpy.datetime64, optional
        The moment to cut at, in place of ``test_size``: ratings at it and after it are the test part. A datetime64
        counts as seconds since 1970.

    Returns
    -------
    (train, test) : Ratings
        Same id maps as ``ratings``; no training rating is later than a test rating.

    Raises
    ------
    TypeError, ValueError
        If there are no timestamps, both ``test_size`` and ``at`` are given, one of them is not as described, or a part
        would be empty.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.Ratings.from_coo([7, 7, 8], [1, 2, 3], [5, 4, 3], timestamps=[20, 30, 10])
    >>> train, test = fastcf.data.split_by_time(ratings, at=20)
    >>> test.to_coo()[1].tolist()
    [1, 2]
    """
    caller = "split_by_time"
    _check(ratings, caller)
    test = by_time(_times(ratings, caller), test_size, at, caller)
    return ratings.take(~test), ratings.take(test)


def split_users(
    ratings: Ratings,
    test_size: float | int = 0.1,
    random_state: RandomState = None,
    *,
    shown: float = 0.8,
    by: str = "random",
) -> UserSplit:
    """Hold out whole users, to test lists and predictions for new users, who show a part of their history.

    Parameters
    ----------
    ratings : Ratings
        The ratings to split.
    test_size : float or int, default 0.1
        Share of the users with ratings that are held out, or their number; drawn at random.
    random_state : int, numpy.random.Generator, SeedSequence or None
        Seed; the same seed gives the same split of the same ratings.
    shown : float, default 0.8
        Share of the ratings of a user held out that are shown, from 0 to below 1; rounded. Above 0 at least one rating
        is shown, and at least one is held out of users with two or more; with 0 nothing is shown.
    by : {"random", "time"}, default "random"
        Which ratings of these users are shown: drawn at random, or their earliest, which needs timestamps.

    Returns
    -------
    UserSplit
        ``(train, shown, held_out)``, with the id maps of ``ratings``. A model learns from ``train`` and gets ``shown``
        as ``history=``. Users held out have no rating in ``train``, and the others only there.

    Raises
    ------
    TypeError, ValueError
        If ``test_size`` leaves no users on a side, ``shown`` is no such share, ``by`` is neither, or with ``by="time"``
        there are no timestamps.

    Notes
    -----
    D. Liang et al., "Variational autoencoders for collaborative filtering", WWW 2018, compare models in this way:
    users held out show 80 % of their choices.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    >>> train, shown, held_out = fastcf.data.split_users(ratings, random_state=0)
    >>> model = fastcf.MatrixFactorization(random_state=0).fit(train)
    >>> users = held_out.users.ids[held_out.user_counts() > 0]
    >>> lists = model.recommend(users, history=shown)
    """
    caller = "split_users"
    _check(ratings, caller)
    share = check_share(shown, f"{caller}: shown")
    if by not in ("random", "time"):
        raise ValueError(f"{caller}: by must be 'random' or 'time'; got {by!r}")
    rng = np.random.default_rng(random_state)
    rows = ratings.row_of_entry()
    chosen = drawn_rows(rows, ratings.n_users, test_size, rng, "users", f"{caller}: test_size")[rows]
    place = _taking_order(ratings, by, rng if by == "random" else None, caller)
    visible = shown_of(rows, ratings.n_users, share, place)
    return UserSplit(ratings.take(~chosen), ratings.take(chosen & visible), ratings.take(chosen & ~visible))


def split_items(
    ratings: Ratings, test_size: float | int = 0.1, random_state: RandomState = None
) -> tuple[Ratings, Ratings]:
    """Hold out whole items, to test what models that know features of items say of new ones.

    Parameters
    ----------
    ratings : Ratings
        The ratings to split.
    test_size : float or int, default 0.1
        Share of the items with ratings that are held out, or their number; drawn at random.
    random_state : int, numpy.random.Generator, SeedSequence or None
        Seed; the same seed gives the same split of the same ratings.

    Returns
    -------
    (train, test) : Ratings
        Same id maps as ``ratings``; an item has ratings in one of them only.

    Raises
    ------
    TypeError, ValueError
        If ``test_size`` is no such number or leaves no items on a side.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    >>> train, test = fastcf.data.split_items(ratings, 5, random_state=0)
    >>> int((test.item_counts() > 0).sum())
    5
    """
    caller = "split_items"
    _check(ratings, caller)
    rng = np.random.default_rng(random_state)
    chosen = drawn_rows(ratings.indices, ratings.n_items, test_size, rng, "items", f"{caller}: test_size")
    test = chosen[ratings.indices]
    return ratings.take(~test), ratings.take(test)


def k_folds(ratings: Ratings, k: int = 5, random_state: RandomState = None) -> Iterator[tuple[Ratings, Ratings]]:
    """Cut the ratings of every user into k folds, each of which is the test part once.

    Parameters
    ----------
    ratings : Ratings
        At least k ratings.
    k : int, default 5
        Number of folds, at least 2.
    random_state : int, numpy.random.Generator, SeedSequence or None
        Seed; the same seed gives the same folds of the same ratings.

    Returns
    -------
    iterator of (train, test)
        k pairs of ratings with the id maps of ``ratings``. The test parts are disjoint and together all ratings. The
        numbers of a user's ratings in two test parts differ by at most one; a user with a single rating has none in
        the training part of one pair.

    Raises
    ------
    TypeError, ValueError
        If ``k`` is no integer of at least 2, or there are fewer ratings.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    >>> [test.nnz for _, test in fastcf.data.k_folds(ratings, 4, random_state=0)]
    [1000, 1000, 1000, 1000]
    """
    caller = "k_folds"
    _check(ratings, caller)
    k = check_folds(k, f"{caller}: k")
    if ratings.nnz < k:
        raise ValueError(f"{caller}: k must be at most the number of ratings ({ratings.nnz}); got {k}")
    fold = folds_within(ratings.row_of_entry(), ratings.n_users, k, np.random.default_rng(random_state))
    return ((ratings.take(fold != n), ratings.take(fold == n)) for n in range(k))
