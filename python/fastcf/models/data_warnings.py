"""Warnings of ratings from which no fit can learn what its caller expects, the same for all families.

Each finding is certain: what is merely unusual is not reported. Looking costs a pass over the ratings at most; longer
checks begin with a sample that nearly all data fail.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Collection, Iterator
from contextvars import ContextVar

import numpy as np
from numpy.typing import NDArray

from fastcf._callers import level_outside
from fastcf.errors import DataWarning
from fastcf.ids import IdMap
from fastcf.ratings import Ratings
from fastcf.scores import Choices, SeenItems, Targets
from fastcf.scores.queries import rows_of

__all__ = ["inside_another_fit", "reports", "warn_of_ratings", "warn_of_shared_pairs", "warn_of_validation"]

_FEW = 50  # ratings that may have the values of ids, or all different ones, by chance
_LEAST_ID = 1000  # distinct values may be counts below this
_FIRST = slice(1000)  # entries that are looked at before all
_EXACT = 2**24  # up to which float32 holds every integer
_DAY = 86400.0
_TIMES = {  # from 1980 to 2100, in which no scale of ratings lies
    "seconds since 1970": (3653 * _DAY, 47482 * _DAY),
    "milliseconds since 1970": (3653e3 * _DAY, 47482e3 * _DAY),
    "microseconds since 1970": (3653e6 * _DAY, 47482e6 * _DAY),
    "nanoseconds since 1970": (3653e9 * _DAY, 47482e9 * _DAY),
    "dates as yyyymmdd": (19800101.0, 21001231.0),
}

_inside: ContextVar[bool] = ContextVar("inside_another_fit", default=False)


@contextlib.contextmanager
def inside_another_fit() -> Iterator[None]:
    """Say that fits inside the block get ratings that have been looked at: nothing is reported twice."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def reports() -> bool:
    """Return whether this fit reports what is odd about its ratings."""
    return not _inside.get()


def warn_of_ratings(ratings: Ratings, targets: Targets, caller: str) -> None:
    """Warn of training values that are all alike, or that are times or ids.

    Parameters
    ----------
    ratings : Ratings
        To learn from, as given: before a threshold cuts them.
    targets : Targets
        What is learnt; values that do not count are not looked at.
    caller : str
        Heads the message.
    """
    if not reports() or ratings.nnz < 2 or (isinstance(targets, Choices) and targets.strength == "one"):
        return
    low, high = ratings.rating_range
    if low < high:
        what = _other_column(ratings, low, high)
        if what is not None:
            _warn(
                f"{caller}: the {ratings.nnz:,} ratings, from {low:.10g} to {high:.10g}, look like {what} and not like "
                "ratings; check which column holds the ratings (the loaders take rating=, columns=), or leave it out "
                "where entries are what users chose and fit LinearAutoencoder or ImplicitFactorization"
            )
    elif not (targets.choices or targets.labels):
        _warn(
            f"{caller}: all {ratings.nnz:,} ratings are {low:g}, so that all predictions will be about that and lists "
            "say nothing; give the column that holds the ratings, or, where entries are what users chose, fit "
            "LinearAutoencoder or ImplicitFactorization, models of choices"
        )


def warn_of_validation(held_out: Ratings, ratings: Ratings, featured: Collection[str], caller: str) -> None:
    """Warn of validation ratings that were trained on, of a single one, and of unknown users or items only.

    Parameters
    ----------
    held_out, ratings : Ratings
        To measure on, and to learn from.
    featured : collection of {"user", "item"}
        The sides that are known by features, too.
    caller : str
        Heads the message.
    """
    if not reports() or held_out.nnz == 0:
        return
    if held_out.nnz == 1:
        _warn(
            f"{caller} holds a single rating, whose error is mostly chance; hold out more, for "
            "example by fastcf.data.train_test_split"
        )
    users = _trained_rows(held_out.users, ratings.users, ratings.user_counts(), "user", caller)
    items = _trained_rows(held_out.items, ratings.items, ratings.item_counts(), "item", caller)
    user_rows, item_rows = users[held_out.row_of_entry()], items[held_out.indices]
    for side, rows, ids in (("user", user_rows, ratings.users), ("item", item_rows, ratings.items)):
        if side not in featured and (rows < 0).all():
            _warn(
                f"{caller}: none of its {side}s has ratings that are trained on, so that its error is that of "
                f"unknown {side}s; give the {side} ids of the training ratings, such as {ids.id_at(0)!r} (rows cut "
                "from a matrix are numbered anew), or split by fastcf.data.train_test_split"
            )
    n_shared = _n_shared(user_rows, item_rows, ratings)
    if n_shared:
        _warn(
            f"{caller}: {n_shared:,} of its {held_out.nnz:,} pairs are trained on, so that the error is not that "
            "of new ratings, and patience stops too late; split first, for example by "
            "fastcf.data.train_test_split, and fit the one part with the other as validation"
        )


def warn_of_shared_pairs(held_out: Ratings, known: Ratings, caller: str) -> None:
    """Warn of held-out ratings whose pairs are among those that models know: a split of the caller's that leaks.

    Parameters
    ----------
    held_out, known : Ratings
        To measure on, and to learn from.
    caller : str
        Heads the message.
    """
    users, items = (
        rows_of(*ids, side, caller)
        for ids, side in (((known.users, held_out.users), "user"), ((known.items, held_out.items), "item"))
    )
    n_shared = _n_shared(users[held_out.row_of_entry()], items[held_out.indices], known)
    if n_shared:
        _warn(
            f"{caller}: {n_shared:,} of the {held_out.nnz:,} held-out pairs are trained on, so that their figures say "
            "nothing of new ratings; cut all ratings once, for example by fastcf.data.train_test_split"
        )


def _n_shared(users: NDArray[np.int32], items: NDArray[np.int32], ratings: Ratings) -> int:
    """Return how many pairs of rows, -1 for unknown ones, have ratings."""
    known = (users >= 0) & (items >= 0)
    return SeenItems(ratings.indptr, ratings.indices).count_pairs(users[known], items[known], ratings.n_items)


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=level_outside())


def _other_column(ratings: Ratings, low: float, high: float) -> str | None:
    """Return what the values are if they are no ratings."""
    for what, (first, last) in _TIMES.items():
        if first <= low and high <= last:
            return what
    if ratings.nnz < _FEW:
        return None
    if _are_ids(ratings.values, ratings.items, ratings.indices):
        return "the item ids"
    if ratings.users.kind == "int" and _are_ids(ratings.values, ratings.users, ratings.row_of_entry()):
        return "the user ids"
    return "ids or row numbers" if _all_distinct(ratings.values, low, high) else None


def _are_ids(values: NDArray[np.float32], ids: IdMap, rows: NDArray[np.int32]) -> bool:
    """Tell whether each value is the id of its row."""
    if ids.kind != "int":
        return False
    return all(np.array_equal(values[some], ids.ids[rows[some]].astype(np.float32)) for some in (_FIRST, slice(None)))


def _all_distinct(values: NDArray[np.float32], low: float, high: float) -> bool:
    """Tell whether values are different integers that count through all entries, or too large for a scale."""
    counted = high - low == values.size - 1
    if high - low < values.size - 1 or high > _EXACT or not (counted or low >= _LEAST_ID):
        return False
    return all(
        np.unique(some).size == some.size and np.array_equal(some, np.rint(some)) for some in (values[_FIRST], values)
    )


def _trained_rows(ids: IdMap, trained: IdMap, counts: NDArray[np.int64], side: str, caller: str) -> NDArray[np.int32]:
    """Return the training row of each id, -1 for those without training ratings."""
    rows = np.arange(len(ids), dtype=np.int32) if ids is trained else rows_of(trained, ids, side, caller)
    return np.where(np.append(counts, 0)[rows] > 0, rows, np.int32(-1))
