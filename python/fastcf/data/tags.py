"""Tags that users gave to items."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.data.columns import plain_name
from fastcf.data.lines import csv_records, decoded, file_named, id_array, malformed, numbered_lines
from fastcf.errors import DataError

__all__ = ["TagTable", "read_tags"]


class TagTable(NamedTuple):
    """Tags in file order, with their users and items.

    Attributes
    ----------
    users, items : ndarray of shape (n,), int64 or '<U..'
        Integers where all are canonical (see :func:`read_log`), else strings.
    tags : ndarray of shape (n,), object
        Strings as they were written.
    """

    users: NDArray[Any]
    items: NDArray[Any]
    tags: NDArray[np.object_]


def read_tags(path: str | os.PathLike[str]) -> TagTable:
    """Read the tags of MovieLens 10M and later.

    Parameters
    ----------
    path : str or os.PathLike
        ``tags.csv`` (user, item, tag, time; the first line names the columns) or ``tags.dat``
        (``user::item::tag::time``), recognised by the first line, or a folder that holds one. UTF-8, or Latin-1 where
        it is not; gzip accepted.

    Returns
    -------
    TagTable
        In file order.

    Raises
    ------
    DataError
        If a line is malformed (file, line number and text are given), or there are no tags.
    OSError
        If the file cannot be read.
    """
    path = file_named(path, "tags", "tags.csv", "tags.dat")
    text = decoded(path)
    first = next((line for _, line in numbered_lines(text)), "")
    names = [plain_name(name) for name in first.split(",")]
    rows = list(_rows_csv(path, text) if "tag" in names else _rows_dat(path, text))
    if not rows:
        raise DataError(f"{path}: there are no tags")
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


def _rows_csv(path: Path, text: str) -> Iterator[tuple[str, str, str]]:
    for number, fields in islice(csv_records(path, text), 1, None):
        if len(fields) < 3:
            raise malformed(path, number, f"expected user,item,tag,time; got {len(fields)} fields", ",".join(fields))
        yield fields[0], fields[1], fields[2]
