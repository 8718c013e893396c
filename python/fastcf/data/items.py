"""Titles and genres of items."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._id_columns import as_id_column
from fastcf.data.columns import ITEM_NAMES, Asked
from fastcf.data.files import detect_format
from fastcf.data.lines import decoded, id_array, malformed, numbered_lines
from fastcf.data.tables import TableColumns, read_table
from fastcf.errors import DataError
from fastcf.ids import IdMap, as_kind, distinct
from fastcf.serialization import Archive

__all__ = ["STORED_TITLES", "ItemTable", "read_items", "stored_titles"]

STORED_TITLES = "item_titles"
"""The array of a model's file that holds the titles of its items, in the order of their rows."""

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
_THINGS = ("item", "movie", "film", "book", "product", "song", "track", "artist", "game", "anime", "business", "show")

_Row = tuple[str, str, str]


class ItemTable(NamedTuple):
    """Titles and genres of items, in file order.

    Attributes
    ----------
    ids : ndarray of shape (n,)
        Integers or strings, as :func:`read_log` has them.
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
        where = "ItemTable.title_of: ids"
        wanted, known = as_id_column(ids, where), as_id_column(self.ids, where)
        if wanted.kind != known.kind:
            wanted, known = as_kind(wanted, "str", where), as_kind(known, "str", where)
        items = distinct(known)
        first = np.zeros(len(items) + 1, np.int64)  # where row -1 is the last
        first[items.find(known, where)[::-1]] = np.arange(known.size)[::-1]
        rows = items.find(wanted, where)
        return np.where(rows >= 0, self.titles[first[rows]] if known.size else "", "")


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


def _titles_shape(rows: Sequence[Sequence[str]], asked: Asked) -> dict[str, int] | str:
    """Return the columns of lines that look like ids, titles and perhaps genres."""
    columns = list(zip(*rows, strict=True))
    if not 2 <= len(columns) <= 3:
        return f"there are {len(columns)} columns and no line that names them"
    ids, titles = columns[0], columns[1]
    if len(set(ids)) < len(ids) or all(title.replace(".", "").isdigit() for title in titles):
        return "no line names the columns, and they do not look like ids and titles"
    return {"id": 0, "title": 1, "genres": 2 if len(columns) == 3 else -1}


_TITLES = TableColumns(
    {
        "id": ITEM_NAMES | {"id"},
        "title": frozenset(
            {"title", "name", "originaltitle", "primarytitle", "description"}
            | {f"{what}{part}" for what in _THINGS for part in ("title", "name")}
        ),
        "genres": frozenset({"genres", "genre", "category", "categories"}),
    },
    frozenset({"genres"}),
    _titles_shape,
)


def _rows_table(path: Path, asked: Asked, header: bool | str, text: Mapping[str, Any]) -> Iterator[_Row]:
    for _, _, fields in read_table(path, _TITLES, asked, header, text, "items", "read_items"):
        item, title, genres = fields
        yield item, title, genres


def _reader_of(path: Path, text: str) -> Callable[[Path, str], Iterator[_Row]] | None:
    """Recognise a layout of the known sets by its first line; None for a table."""
    first = next((line for _, line in numbered_lines(text)), None)
    if first is None:
        raise DataError(f"{path}: the file is empty")
    if _NETFLIX_TITLE.match(first):
        return _rows_netflix
    if "::" in first:
        return _rows_dat
    return _rows_100k if first.count("|") >= 20 else None


def read_items(
    path: str | os.PathLike[str],
    *,
    id: str | int | None = None,
    title: str | int | None = None,
    genres: str | int | bool | None = None,
    header: bool | str = "auto",
    encoding: str | None = None,
    **text: Any,
) -> ItemTable:
    """Read titles and genres of items.

    Parameters
    ----------
    path : str or os.PathLike
        ``movies.dat`` (``id::title::genres``), MovieLens 100k's ``u.item``, or Netflix's ``movie_titles.txt`` or
        ``.csv`` (``id,year,title``; the year follows the title in parentheses, as in MovieLens), recognised by the
        first line; any other table as delimited text, such as ``movies.csv``; or a folder that holds one beside its
        ratings. Compressed files are accepted.
    id, title, genres : str or int, optional
        Columns of a table by name (case and punctuation aside) or number from 0. By default recognised by the header's
        names; without a header, id, title and perhaps genres where two or three columns look like them.
        ``genres=False``: none.
    header : bool or "auto", default="auto"
        Whether the first line of a table names the columns; see :func:`read_log`.
    encoding : str, optional
        Any text encoding of Python. By default UTF-8, or Latin-1 where the file is not.
    **text
        ``separator``, ``quoting``, ``escape``, ``comment`` and ``on_bad_lines`` of a table, as for :func:`read_log`.

    Returns
    -------
    ItemTable
        In file order.

    Raises
    ------
    DataError
        If a line is malformed (file, line number and text are given), a column cannot be told, or there are no items.
    TypeError, ValueError
        If an argument is not as described.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        found = detect_format(path).items
        if found is None:
            raise DataError(f"{path}: no titles found: expected movies.csv, movies.dat, u.item or movie_titles.txt")
        path = found
    asked = {"id": id, "title": title, "genres": genres}
    reader = None
    if not text and header == "auto" and all(value is None for value in asked.values()):
        content = decoded(path, encoding)
        reader = _reader_of(path, content)
    if reader is None:
        rows = list(_rows_table(path, asked, header, {**text, "encoding": encoding}))
    else:
        rows = list(reader(path, content))
    if not rows:
        raise DataError(f"{path}: there are no items")
    ids, titles, labels = zip(*rows, strict=True)
    return ItemTable(
        id_array(ids),
        np.array(titles, dtype=str),
        np.array(["" if label == _NO_GENRES else label for label in labels], dtype=str),
    )


def stored_titles(archive: Archive, items: IdMap) -> ItemTable | None:
    """Return the titles that travel in a model's file.

    Parameters
    ----------
    archive : Archive
        The file.
    items : IdMap
        The items of the model.

    Returns
    -------
    ItemTable or None
        None where the file holds none, or not one for each item.
    """
    if STORED_TITLES not in archive.arrays:
        return None
    stored = archive.array(STORED_TITLES)
    if stored.dtype.kind != "U" or len(stored) != len(items):
        return None
    return ItemTable(items.ids, stored, np.zeros(len(items), "<U1"))
