"""Titles and genres of items."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf.data.columns import ITEM_NAMES, plain_name
from fastcf.data.files import detect_format
from fastcf.data.lines import csv_records, decoded, id_array, malformed, numbered_lines
from fastcf.errors import DataError
from fastcf.ids import as_id_array

__all__ = ["ItemTable", "read_items"]

# Names of the 19 flags of MovieLens 100k's u.item, for folders without u.genre.
_GENRES_100K = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
_NETFLIX_TITLE = re.compile(r"\d+,(\d{4}|NULL),")
_NO_GENRES = "(no genres listed)"

_Row = tuple[str, str, str]


class ItemTable(NamedTuple):
    """Titles and genres of items, in file order.

    Attributes
    ----------
    ids : ndarray of shape (n,), int64 or '<U..'
        Integers where all are canonical (see :func:`read_log`), else strings.
    titles : ndarray of shape (n,), '<U..'
    genres : ndarray of shape (n,), '<U..'
        Genres separated by ``"|"``; empty where the file gives none.
    """

    ids: NDArray[Any]
    titles: NDArray[np.str_]
    genres: NDArray[np.str_]

    def title_of(self, ids: ArrayLike) -> NDArray[np.str_]:
        """Return the titles of items.

        Parameters
        ----------
        ids : array-like of shape (n,)
            Integers or strings; ``104257`` and ``"104257"`` are the same item, ``"0104257"`` is another.

        Returns
        -------
        ndarray of shape (n,), '<U..'
            ``""`` where an item is unknown. Where the table holds an id twice, the first title.
        """
        wanted = as_id_array(ids, "ItemTable.title_of", "ids")
        known = self.ids
        if wanted.dtype.kind != known.dtype.kind:
            wanted, known = wanted.astype(str), known.astype(str)
        if len(known) == 0 or len(wanted) == 0:
            return np.zeros(len(wanted), dtype=self.titles.dtype)
        order = np.argsort(known, kind="stable")
        at = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(order) - 1)]
        return np.where(known[at] == wanted, self.titles[at], "")


def _rows_100k(path: Path, text: str) -> Iterator[_Row]:
    names = _GENRES_100K
    genre_file = path.with_name("u.genre")
    if genre_file.is_file():
        names = [line.partition("|")[0] for _, line in numbered_lines(decoded(genre_file))]
    for number, line in numbered_lines(text):
        fields = line.split("|")
        if len(fields) != 5 + len(names):
            raise malformed(path, number, f"expected {5 + len(names)} fields separated by '|'; got {len(fields)}", line)
        flags = fields[5:]
        yield fields[0], fields[1], "|".join(name for name, flag in zip(names, flags, strict=True) if flag == "1")


def _rows_dat(path: Path, text: str) -> Iterator[_Row]:
    for number, line in numbered_lines(text):
        item, separator, rest = line.partition("::")
        if not separator:
            raise malformed(path, number, "expected id::title::genres", line)
        title, separator, genres = rest.rpartition("::")  # a title may hold "::" itself
        yield (item, title, genres) if separator else (item, rest, "")


def _rows_netflix(path: Path, text: str) -> Iterator[_Row]:
    for number, line in numbered_lines(text):
        if not _NETFLIX_TITLE.match(line):
            raise malformed(path, number, "expected id,year,title", line)
        item, year, title = line.split(",", 2)
        yield item, title if year == "NULL" else f"{title} ({year})", ""


def _csv_columns(names: list[str]) -> tuple[int, int, int] | None:
    """Return the positions of id, title and genres (-1: none) in a header, or None where it is no header."""
    ids = [i for i, name in enumerate(names) if name in ITEM_NAMES or name == "id"]
    titles = [i for i, name in enumerate(names) if "title" in name or name == "name"]
    genres = [i for i, name in enumerate(names) if name in ("genres", "genre")]
    if not ids or not titles:
        return None
    return ids[0], titles[0], genres[0] if genres else -1


def _rows_csv(path: Path, text: str) -> Iterator[_Row]:
    columns: tuple[int, int, int] | None = None
    for number, fields in csv_records(path, text):
        if columns is None:
            columns = _csv_columns([plain_name(field) for field in fields])
            if columns is not None:
                continue
            columns = (0, 1, 2 if len(fields) > 2 else -1)
        needed = max(columns) + 1
        if len(fields) < needed:
            raise malformed(
                path, number, f"expected {needed} fields separated by ','; got {len(fields)}", ",".join(fields)
            )
        item, title, genres = columns
        yield fields[item], fields[title], fields[genres] if genres >= 0 else ""


def _reader_of(path: Path, text: str) -> Callable[[Path, str], Iterator[_Row]]:
    """Recognise a file of titles by its first line."""
    first = next((line for _, line in numbered_lines(text)), None)
    if first is None:
        raise DataError(f"{path}: the file is empty")
    if _NETFLIX_TITLE.match(first):
        return _rows_netflix
    if "::" in first:
        return _rows_dat
    return _rows_100k if first.count("|") >= 20 else _rows_csv


def read_items(path: str | os.PathLike[str]) -> ItemTable:
    """Read titles and genres of items.

    Parameters
    ----------
    path : str or os.PathLike
        ``movies.csv`` (columns found by the header's names, else id, title, genres), ``movies.dat``
        (``id::title::genres``), MovieLens 100k's ``u.item``, or Netflix's ``movie_titles.txt`` or ``.csv``
        (``id,year,title``; the year follows the title in parentheses, as in MovieLens), recognised by the first line;
        or a folder that holds one beside its ratings. UTF-8, or Latin-1 where it is not; gzip accepted.

    Returns
    -------
    ItemTable
        In file order.

    Raises
    ------
    DataError
        If a line is malformed (file, line number and text are given), or there are no items.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        found = detect_format(path).items
        if found is None:
            raise DataError(f"{path}: no titles found: expected movies.csv, movies.dat, u.item or movie_titles.txt")
        path = found
    text = decoded(path)
    rows = list(_reader_of(path, text)(path, text))
    if not rows:
        raise DataError(f"{path}: there are no items")
    ids, titles, genres = zip(*rows, strict=True)
    return ItemTable(
        id_array(ids),
        np.array(titles, dtype=str),
        np.array(["" if genre == _NO_GENRES else genre for genre in genres], dtype=str),
    )
