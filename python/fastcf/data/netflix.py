"""The Netflix Prize data: training set, probe, qualifying set and titles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._assembly import Options
from fastcf._backend import ingest
from fastcf._parameters import check_n_threads
from fastcf._texts import IdColumn
from fastcf.data.files import (
    first_that_exists,
    is_compressed,
    naming_file,
    netflix_files,
    netflix_titles,
    open_text,
)
from fastcf.data.items import ItemTable, read_items
from fastcf.errors import DataError
from fastcf.ratings import Ratings, from_columns

__all__ = ["NetflixData", "Qualifying", "load_netflix", "read_netflix_rows"]


class Qualifying(NamedTuple):
    """The pairs whose ratings were never published, in file order.

    Attributes
    ----------
    users, items : ndarray of shape (n,), int64
    timestamps : ndarray of shape (n,), int64
        Seconds since 1970 at midnight UTC of the rating's date.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    timestamps: NDArray[np.int64]


class NetflixData(NamedTuple):
    """The result of :func:`load_netflix`.

    Attributes
    ----------
    train : Ratings
        The training set without the probe's ratings.
    probe : Ratings or None
        The ratings that ``probe.txt`` names, with the same id maps as ``train``; None where that file is missing.
    qualifying : Qualifying or None
        The pairs of ``qualifying.txt``.
    items : ItemTable or None
        Titles (with years) of ``movie_titles.txt`` or ``movie_titles.csv``; the set has no genres.
    """

    train: Ratings
    probe: Ratings | None
    qualifying: Qualifying | None
    items: ItemTable | None


class NetflixRows(NamedTuple):
    """Columns of files in the Netflix layout, in file order; ratings and timestamps where the files have them."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    ratings: NDArray[np.float32] | None
    timestamps: NDArray[np.int64] | None


def read_netflix_rows(files: Sequence[Path], *, n_fields: int, n_threads: int) -> NetflixRows:
    """Read files of "movie:" headings with ``n_fields`` fields per line below them.

    1: customer; 2: customer and date; 3: customer, rating and date. Files of one movie are read by the threads
    themselves (there are 17,770); the others are memory-mapped, or decompressed.
    """
    one_movie_each = len(files) > 100 and not any(map(is_compressed, files))
    with ExitStack() as stack:
        sources: list[Any] = (
            [os.fspath(file) for file in files]
            if one_movie_each
            else [stack.enter_context(open_text(file)) for file in files]
        )
        with naming_file(*files):
            return NetflixRows(*ingest.read_netflix(sources, n_fields=n_fields, n_threads=n_threads))


def _entries_of(ratings: Ratings, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the positions of pairs of ids among the stored ratings, -1 where a pair is not rated.

    A binary search in the rows of all pairs at once: as many rounds as the longest row has bits.
    """
    rows, columns = ratings.users.rows(users), ratings.items.rows(items)
    low = ratings.indptr[rows]
    end = ratings.indptr[rows + 1]
    high = end
    for _ in range(int((end - low).max(initial=0)).bit_length()):
        searching = low < high
        middle = (low + high) // 2
        smaller = searching & (ratings.indices[np.where(searching, middle, 0)] < columns)
        low = np.where(smaller, middle + 1, low)
        high = np.where(searching & ~smaller, middle, high)
    found = (rows >= 0) & (columns >= 0) & (low < end)
    found &= ratings.indices[np.where(found, low, 0)] == columns
    return np.where(found, low, -1)


def _probe_entries(ratings: Ratings, path: Path, n_threads: int) -> NDArray[np.int64]:
    """Return the positions of the probe's pairs among the ratings; every one of them must be there, once."""
    probe = read_netflix_rows([path], n_fields=1, n_threads=n_threads)
    entries = _entries_of(ratings, probe.users, probe.items)
    missing = entries < 0
    if missing.any():
        first = int(np.argmax(missing))
        raise DataError(
            f"{path}: every pair must be in the training set; got customer {probe.users[first]} of movie "
            f"{probe.items[first]} ({int(missing.sum())} of {missing.size} pairs are not there)"
        )
    return entries


def load_netflix(
    folder: str | os.PathLike[str], *, duplicates: str = "error", n_threads: int | None = None
) -> NetflixData:
    """Load the Netflix Prize data, the probe split off.

    Parameters
    ----------
    folder : str or os.PathLike
        The folder that holds ``training_set/mv_*.txt`` (or the ``mv_*.txt`` themselves), or ``combined_data_*.txt``;
        and, where they are there, ``probe.txt``, ``qualifying.txt`` and ``movie_titles.txt`` or
        ``movie_titles.csv``. Each file may be compressed (``.gz``).
    duplicates : {"error", "last", "latest", "max", "mean", "sum"}, default="error"
        What becomes of several ratings of one movie by the same customer.
    n_threads : int, optional
        Threads to use; by default :func:`fastcf.get_num_threads`. The result does not depend on it.

    Returns
    -------
    NetflixData
        Training and probe ratings share their id maps (integers; customers as users, movies as items). Dates are
        seconds since 1970 at midnight UTC, the unit of MovieLens.

    Raises
    ------
    DataError
        If the folder is of another layout, a line is malformed (file, line number and text are given), or the probe
        names a pair that is not in the training set.

    Notes
    -----
    The files are parsed natively into 20 bytes per rating, then indexed; the 100 million ratings of the full set need
    neither the text nor any per-rating Python object in memory.

    References
    ----------
    J. Bennett and S. Lanning. The Netflix Prize. KDD Cup and Workshop, 2007.
    """
    caller = "load_netflix"
    threads = check_n_threads(n_threads, caller)
    folder = Path(folder)
    files = netflix_files(folder)
    if not files:
        raise DataError(f"{folder}: no training set found: expected training_set/mv_*.txt or combined_data_*.txt")
    rows = read_netflix_rows(files, n_fields=3, n_threads=threads)
    if rows.ratings is None or rows.ratings.size == 0:
        raise DataError(f"{folder}: there are no ratings")
    options = Options(duplicates, n_threads, caller, consume=True)
    users, items = IdColumn(rows.users), IdColumn(rows.items)
    ratings = from_columns(users, items, rows.ratings, rows.timestamps, None, options)
    del rows, users, items  # before the split, which needs as much again

    train, probe = ratings, None
    probe_file = first_that_exists(folder, "probe.txt")
    if probe_file is not None:
        is_probe = np.zeros(ratings.n_ratings, dtype=bool)
        is_probe[_probe_entries(ratings, probe_file, threads)] = True
        train, probe = ratings.take(~is_probe), ratings.take(is_probe)

    qualifying = None
    qualifying_file = first_that_exists(folder, "qualifying.txt")
    if qualifying_file is not None:
        pairs = read_netflix_rows([qualifying_file], n_fields=2, n_threads=threads)
        if pairs.timestamps is None:
            raise AssertionError("pairs with dates have timestamps")
        qualifying = Qualifying(pairs.users.astype(np.int64), pairs.items.astype(np.int64), pairs.timestamps)
    titles = netflix_titles(folder)
    return NetflixData(train, probe, qualifying, None if titles is None else read_items(titles))
