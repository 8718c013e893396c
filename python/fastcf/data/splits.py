"""Splits of ratings into a training and a test part; both keep the id maps of the whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastcf.ratings import Ratings

__all__ = ["leave_n_out", "split_by_time", "train_test_split"]

RandomState = int | np.random.Generator | np.random.SeedSequence | None


def _check(ratings: Ratings, caller: str) -> None:
    if not isinstance(ratings, Ratings):
        raise TypeError(f"{caller}: ratings must be Ratings; got {type(ratings).__name__}")


def _n_test(ratings: Ratings, test_size: float | int, caller: str) -> int:
    """Return how many ratings the test part gets."""
    if isinstance(test_size, (bool, np.bool_)) or not isinstance(test_size, (int, float, np.integer, np.floating)):
        raise TypeError(f"{caller}: test_size must be a number; got {test_size!r}")
    if isinstance(test_size, (int, np.integer)):
        if not 1 <= test_size < ratings.nnz:
            raise ValueError(f"{caller}: test_size must leave ratings on both sides of {ratings.nnz}; got {test_size}")
        return int(test_size)
    if not 0.0 < test_size < 1.0:
        raise ValueError(f"{caller}: test_size must lie between 0 and 1, or be a number of ratings; got {test_size}")
    n_test = round(ratings.nnz * float(test_size))
    if not 1 <= n_test < ratings.nnz:
        raise ValueError(
            f"{caller}: test_size must leave ratings on both sides; got {test_size}, which is {n_test} of {ratings.nnz}"
        )
    return n_test


def _times(ratings: Ratings, caller: str) -> NDArray[np.int64]:
    if ratings.timestamps is None:
        raise ValueError(f"{caller}: ratings must have timestamps; got none")
    return ratings.timestamps


def _parts(ratings: Ratings, test: NDArray[np.int64] | NDArray[np.bool_]) -> tuple[Ratings, Ratings]:
    mask = np.zeros(ratings.nnz, dtype=bool)
    mask[test] = True
    return ratings.take(~mask), ratings.take(mask)


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
    n_test = _n_test(ratings, test_size, "train_test_split")
    drawn = np.random.default_rng(random_state).choice(ratings.nnz, n_test, replace=False, shuffle=False)
    return _parts(ratings, drawn)


def leave_n_out(
    ratings: Ratings, n: int = 1, random_state: RandomState = None, *, by: str = "random"
) -> tuple[Ratings, Ratings]:
    """Split off ``n`` ratings of every user, drawn at random or the latest.

    Parameters
    ----------
    ratings : Ratings
        The ratings to split.
    n : int, default 1
        Ratings per user in the test part. A user with ``n`` ratings or fewer stays in the training part entirely, so
        that no user is tested without having been learnt.
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
        If ``n`` is not a positive integer, no user has more than ``n`` ratings, or ``by`` is neither; with
        ``by="time"`` if there are no timestamps or a ``random_state`` is given.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.Ratings.from_coo([7, 7, 7], [1, 2, 3], [5, 4, 3], timestamps=[20, 30, 10])
    >>> train, test = fastcf.data.leave_n_out(ratings, by="time")
    >>> test.to_coo()[1].tolist()
    [2]
    """
    _check(ratings, "leave_n_out")
    if isinstance(n, (bool, np.bool_)) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"leave_n_out: n must be a positive integer; got {n!r}")
    if n < 1:
        raise ValueError(f"leave_n_out: n must be a positive integer; got {n}")
    if by not in ("random", "time"):
        raise ValueError(f"leave_n_out: by must be 'random' or 'time'; got {by!r}")
    if by == "time" and random_state is not None:
        raise ValueError(f"leave_n_out: random_state must be None where by='time'; got {random_state!r}")
    counts = np.diff(ratings.indptr)
    if not (counts > n).any():
        raise ValueError(
            f"leave_n_out: some user must have more than n = {n} ratings; the largest number is {counts.max(initial=0)}"
        )
    # Each user's ratings in the order of taking them, users one after the other.
    rows = ratings.row_of_entry()
    if by == "time":
        order = np.lexsort((_times(ratings, "leave_n_out"), rows))[::-1]  # stable, so that backwards the last are first
        starts = ratings.nnz - ratings.indptr[:0:-1]
        counts = counts[::-1]
    else:
        # The row and a draw of 32 bits in one key. Equal keys keep their order, a bias below 2^-32.
        key = rows.astype(np.int64) << 32
        key |= np.random.default_rng(random_state).integers(0, 2**32, ratings.nnz, dtype=np.uint32)
        order = np.argsort(key, kind="stable")
        starts = ratings.indptr[:-1]
    rank = np.arange(ratings.nnz) - np.repeat(starts, counts)
    chosen = (rank < n) & np.repeat(counts > n, counts)
    return _parts(ratings, order[chosen])


def split_by_time(ratings: Ratings, test_size: float | int = 0.1) -> tuple[Ratings, Ratings]:
    """Split by time: the latest ratings are the test part.

    Parameters
    ----------
    ratings : Ratings
        With timestamps; at least two ratings.
    test_size : float or int, default 0.1
        Share of the ratings that go to the test part, or their number. Of the ratings at the moment of the cut, those
        stored last (by user row, then item row) go to the test part until it is full.

    Returns
    -------
    (train, test) : Ratings
        Same id maps as ``ratings``; no training rating is later than a test rating.

    Raises
    ------
    TypeError, ValueError
        If there are no timestamps, or ``test_size`` is no such number or leaves a part empty.
    """
    _check(ratings, "split_by_time")
    times = _times(ratings, "split_by_time")
    n_test = _n_test(ratings, test_size, "split_by_time")
    cut = np.partition(times, ratings.nnz - n_test)[ratings.nnz - n_test]
    test = times > cut
    at_cut = np.flatnonzero(times == cut)
    test[at_cut[at_cut.size - (n_test - np.count_nonzero(test)) :]] = True
    return _parts(ratings, test)
