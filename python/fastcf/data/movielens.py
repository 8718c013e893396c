"""MovieLens and sets of the same layouts: ratings, titles and genres in one call."""

from __future__ import annotations

import os
from typing import NamedTuple

from fastcf.data.files import detect_format
from fastcf.data.items import ItemTable, read_items
from fastcf.data.log import RatingLog, ratings_of
from fastcf.data.text import read_log
from fastcf.errors import DataError
from fastcf.ratings import Ratings

__all__ = ["Dataset", "load_movielens"]


class Dataset(NamedTuple):
    """Ratings, with titles and the log of the file.

    Attributes
    ----------
    ratings : Ratings
    log : RatingLog
        The same ratings in file order.
    items : ItemTable or None
        Titles and genres, where the set has them.
    """

    ratings: Ratings
    log: RatingLog
    items: ItemTable | None


def load_movielens(path: str | os.PathLike[str], *, duplicates: str = "error", n_threads: int | None = None) -> Dataset:
    """Load a MovieLens set, or one of the same layout.

    Recognised by looking: MovieLens 100k (``u.data``, ``u.item``), 1M, 10M and MovieTweetings (``ratings.dat``,
    ``movies.dat``), 20M, 25M, 32M and latest (``ratings.csv``, ``movies.csv``); each file may be compressed (``.gz``).

    Parameters
    ----------
    path : str or os.PathLike
        The folder, or its file of ratings; titles are looked for beside it.
    duplicates : {"error", "last", "latest", "max", "mean", "sum"}, default="error"
        What becomes of several ratings of one item by the same user.
    n_threads : int, optional
        Threads to use; by default :func:`fastcf.get_num_threads`. The result does not depend on it.

    Returns
    -------
    Dataset
        Ratings, their log in file order, and the items.

    Raises
    ------
    DataError
        If the folder is of another layout, or a line is malformed (file, line number and text are given).
    ValueError
        If a user rated an item twice and ``duplicates="error"``.

    References
    ----------
    F. M. Harper and J. A. Konstan. The MovieLens datasets: history and context. ACM TiiS 5(4), 2015.

    Examples
    --------
    >>> ratings, log, items = load_movielens("ml-latest-small")  # doctest: +SKIP
    """
    found = detect_format(path)
    if found.format == "netflix":
        raise DataError(f"{os.fspath(path)}: this is not a MovieLens layout (it looks like {found.format})")
    log = read_log(found.ratings[0], format="movielens", n_threads=n_threads)
    items = None if found.items is None else read_items(found.items)
    return Dataset(ratings_of(log, duplicates, n_threads, "load_movielens"), log, items)
