"""Tags that users gave to items."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.data.columns import LOG_NAMES, Asked
from fastcf.data.lines import decoded, file_named, id_array, malformed, numbered_lines
from fastcf.data.tables import TableColumns, read_table
from fastcf.errors import DataError

__all__ = ["TagTable", "read_tags"]


class TagTable(NamedTuple):
    """Tags in file order, with their users and items.

    Attributes
    ----------
    users, items : ndarray of shape (n,)
        Integers or strings, as :func:`read_log` has them.
    tags : ndarray of shape (n,), object
        Strings as they were written.
    """

    users: NDArray[Any]
    items: NDArray[Any]
    tags: NDArray[np.object_]


def _tags_shape(rows: Sequence[Sequence[str]], asked: Asked) -> str:
    return "no line names the columns"


_TAGS = TableColumns(
    {**{role: LOG_NAMES[role] for role in ("user", "item")}, "tag": frozenset({"tag", "tags", "label", "keyword"})},
    frozenset(),
    _tags_shape,
)


def read_tags(
    path: str | os.PathLike[str],
    *,
    user: str | int | None = None,
    item: str | int | None = None,
    tag: str | int | None = None,
    header: bool | str = "auto",
    encoding: str | None = None,
    **text: Any,
) -> TagTable:
    """Read tags that users gave to items.

    Parameters
    ----------
    path : str or os.PathLike
        ``tags.dat`` of MovieLens 10M (``user::item::tag::time``), recognised by the first line; any other table as
        delimited text, such as ``tags.csv`` of the later sets; or a folder that holds one. Compressed files are
        accepted.
    user, item, tag : str or int, optional
        Columns of a table by name (case and punctuation aside) or number from 0. By default recognised by the header's
        names.
    header : bool or "auto", default="auto"
        Whether the first line of a table names the columns; see :func:`read_log`.
    encoding : str, optional
        Any text encoding of Python. By default UTF-8, or Latin-1 where the file is not.
    **text
        ``separator``, ``quoting``, ``escape``, ``comment`` and ``on_bad_lines`` of a table, as for :func:`read_log`.

    Returns
    -------
    TagTable
        In file order.

    Raises
    ------
    DataError
        If a line is malformed (file, line number and text are given), a column cannot be told, or there are no tags.
    TypeError, ValueError
        If an argument is not as described.
    OSError
        If the file cannot be read.
    """
    path = file_named(path, "tags", "tags.csv", "tags.dat")
    asked = {"user": user, "item": item, "tag": tag}
    rows: list[tuple[str, str, str]] | None = None
    if not text and header == "auto" and all(value is None for value in asked.values()):
        content = decoded(path, encoding)
        first = next((line for _, line in numbered_lines(content)), "")
        if not first:
            raise DataError(f"{path}: there are no tags")
        if "::" in first:
            rows = list(_rows_dat(path, content))
    if rows is None:
        table = read_table(path, _TAGS, asked, header, {**text, "encoding": encoding}, "tags", "read_tags")
        rows = [(fields[0], fields[1], fields[2]) for _, _, fields in table]
    users, items, tags = zip(*rows, strict=True)
    return TagTable(id_array(users), id_array(items), np.array(tags, dtype=object))


def _rows_dat(path: Path, text: str) -> Iterator[tuple[str, str, str]]:
    for number, line in numbered_lines(text):
        user, _, rest = line.partition("::")
        item, _, rest = rest.partition("::")
        tag, separator, _ = rest.rpartition("::")  # a tag may hold "::" itself
        if not separator:
            raise malformed(path, number, "expected user::item::tag::time", line)
        yield user, item, tag
