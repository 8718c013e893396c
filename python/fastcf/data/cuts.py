"""Which entries a split takes: by user, by item, by time; for ratings in stored order and for pairs in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._columns import time_vector

__all__ = [
    "by_time",
    "check_folds",
    "check_share",
    "drawn_rows",
    "folds_within",
    "per_row",
    "ranks",
    "row_folds",
    "shown_of",
    "size_of",
]

Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def _is_number(value: object) -> bool:
    return _is_integer(value) or isinstance(value, (float, np.floating))


def size_of(size: Any, total: int, what: str, where: str) -> int:
    """Return how many of ``total`` things a share or a number is; raises where a side would be empty.

    ``where`` heads messages (caller and argument); ``what`` names the things.
    """
    if not _is_number(size):
        raise TypeError(f"{where} must be a number; got {size!r}")
    if _is_integer(size):
        if not 1 <= size < total:
            raise ValueError(f"{where} must leave {what} on both sides of {total}; got {size}")
        return int(size)
    if not 0.0 < size < 1.0:
        raise ValueError(f"{where} must lie between 0 and 1, or be a number of {what}; got {size}")
    taken = round(total * float(size))
    if not 1 <= taken < total:
        raise ValueError(f"{where} must leave {what} on both sides; got {size}, which is {taken} of {total}")
    return taken


def check_share(share: Any, where: str) -> float:
    """Return a share from 0 up to, but not, 1."""
    if not _is_number(share):
        raise TypeError(f"{where} must be a number; got {share!r}")
    if not 0.0 <= share < 1.0:
        raise ValueError(f"{where} must be at least 0 and below 1; got {share}")
    return float(share)


def check_folds(k: Any, where: str, least: int = 2) -> int:
    """Return a number of folds."""
    if not _is_integer(k):
        raise TypeError(f"{where} must be an integer of at least {least}; got {k!r}")
    if k < least:
        raise ValueError(f"{where} must be an integer of at least {least}; got {k}")
    return int(k)


def _grouped(rows: Rows, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return entries by row, those of a row in random order.

    Sorted by row and a draw of 32 bits in one key. Equal keys keep their order, a bias below 2^-32.
    """
    key = rows.astype(np.int64) << 32
    key |= rng.integers(0, 2**32, rows.size, dtype=np.uint32)
    return np.argsort(key, kind="stable")


def ranks(
    rows: Rows, n_rows: int, rng: np.random.Generator | None = None, times: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the place of each entry among those of its row, from 0: in random order, or the latest first.

    Of entries of the same moment the one that stands last is taken as the latest.
    """
    counts = np.bincount(rows, minlength=n_rows)
    if times is None:
        assert rng is not None
        order = _grouped(rows, rng)
        place = np.arange(rows.size) - np.repeat(np.cumsum(counts) - counts, counts)
    else:
        order = np.lexsort((times, rows))  # stable
        place = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(rows.size)
    placed = np.empty(rows.size, np.int64)
    placed[order] = place
    return placed


def per_row(rows: Rows, n_rows: int, size: Any, place: NDArray[np.int64], where: str) -> Mask:
    """Return the first ``size`` entries of each row by ``place``: a number, or a share of the row's.

    Rows of ``size`` entries or fewer have none taken. Of a share, rounded to the nearest number, each row of two
    entries or more has at least one taken and one left.
    """
    counts = np.bincount(rows, minlength=n_rows)
    if not _is_number(size):
        raise TypeError(f"{where} must be a positive integer, or a share between 0 and 1; got {size!r}")
    if _is_integer(size):
        if size < 1:
            raise ValueError(f"{where} must be a positive integer, or a share between 0 and 1; got {size}")
        taken = np.where(counts > size, size, 0)
    else:
        if not 0.0 < size < 1.0:
            raise ValueError(f"{where} must be a positive integer, or a share between 0 and 1; got {size}")
        taken = np.where(counts > 1, np.clip(np.rint(counts * float(size)), 1, np.maximum(counts - 1, 1)), 0)
    if not taken.any():
        least = int(size) if _is_integer(size) else 1
        raise ValueError(
            f"{where}: some user must have more than {least} ratings, so that some are left to learn from; the largest "
            f"number is {counts.max(initial=0)}"
        )
    chosen: Mask = place < taken[rows]
    return chosen


def by_time(times: NDArray[np.int64], test_size: Any, at: Any, caller: str) -> Mask:
    """Return the latest entries: a share or a number of them (None: a tenth), or those from a moment on."""
    if at is None:
        return _latest(
            times, size_of(0.1 if test_size is None else test_size, times.size, "ratings", f"{caller}: test_size")
        )
    if test_size is not None:
        raise ValueError(f"{caller}: test_size must be None where at is given; got {test_size!r}")
    return _from_moment(times, at, caller)


def _latest(times: NDArray[np.int64], n: int) -> Mask:
    """Return the ``n`` latest entries; of those at the moment of the cut the last ones."""
    cut = np.partition(times, times.size - n)[times.size - n]
    chosen: Mask = times > cut
    at_cut = np.flatnonzero(times == cut)
    chosen[at_cut[at_cut.size - (n - np.count_nonzero(chosen)) :]] = True
    return chosen


def _from_moment(times: NDArray[np.int64], at: Any, caller: str) -> Mask:
    """Return the entries at a moment and after it; raises where they are none or all."""
    where = f"{caller}: at"
    if isinstance(at, (bool, np.bool_)) or not (_is_integer(at) or isinstance(at, np.datetime64)):
        raise TypeError(f"{where} must be an integer in the unit of the timestamps, or a numpy.datetime64; got {at!r}")
    moment = time_vector(np.array([at]), caller, "at")[0]
    chosen: Mask = times >= moment
    n = int(np.count_nonzero(chosen))
    if not 0 < n < times.size:
        raise ValueError(
            f"{where} must leave ratings on both sides; got {at!s}, from which on there are {n} of {times.size}: "
            f"timestamps go from {times.min()} to {times.max()}"
        )
    return chosen


def drawn_rows(rows: Rows, n_rows: int, size: Any, rng: np.random.Generator, what: str, where: str) -> Mask:
    """Return a share or a number of the rows that have entries, drawn at random, as a mask of all rows."""
    present = np.flatnonzero(np.bincount(rows, minlength=n_rows))
    n = size_of(size, present.size, what, where)
    chosen = np.zeros(n_rows, bool)
    chosen[rng.choice(present, n, replace=False, shuffle=False)] = True
    return chosen


def shown_of(rows: Rows, n_rows: int, share: float, place: NDArray[np.int64]) -> Mask:
    """Return the entries that are shown of each row: the last ones by ``place``, a share of the row's.

    The rounded share; where it is above 0, at least one entry of a row is shown and, of two or more, one is not.
    """
    counts = np.bincount(rows, minlength=n_rows)
    n_shown = np.zeros(n_rows, np.int64)
    if share > 0:
        n_shown = np.clip(np.rint(counts * share), 1, np.maximum(counts - 1, 1)).astype(np.int64)
    shown: Mask = place >= (counts - n_shown)[rows]
    return shown


def folds_within(rows: Rows, n_rows: int, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold of each entry; numbers of a row's entries in two folds differ by at most 1, and so do all.

    Rows in random order, and a row's entries in random order, are dealt to the folds in turn.
    """
    order = _grouped(rng.permutation(n_rows).astype(np.int32)[rows], rng)
    fold = np.empty(rows.size, np.int64)
    fold[order] = np.arange(rows.size) % k
    return fold


def row_folds(rows: Rows, n_rows: int, k: int, rng: np.random.Generator, what: str, where: str) -> NDArray[np.int64]:
    """Return the fold of each row that has entries (others: -1), dealt in random order."""
    present = np.flatnonzero(np.bincount(rows, minlength=n_rows))
    if present.size < k:
        raise ValueError(f"{where} must be at most the number of {what} ({present.size}); got {k}")
    fold = np.full(n_rows, -1, np.int64)
    fold[rng.permutation(present)] = np.arange(present.size) % k
    return fold
