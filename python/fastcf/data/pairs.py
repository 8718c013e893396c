"""Pairs of users and items as text, for predictions."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastcf.data.columns import choose_columns, split_fields
from fastcf.data.files import detect_format
from fastcf.data.lines import decoded, id_array, malformed, numbered_lines
from fastcf.data.named import LAYOUTS, plain_ids, read_named
from fastcf.data.text import read_log
from fastcf.errors import DataError

__all__ = ["Pairs", "read_pairs"]

_LONGEST_ID = 255  # a column of strings is as wide as its longest one


class Pairs(NamedTuple):
    """Pairs in file order.

    Attributes
    ----------
    users, items : ndarray of shape (n,), int64 or '<U..'
        Integers where all of a column are canonical (see :func:`fastcf.data.read_log`), else strings.
    """

    users: NDArray[Any]
    items: NDArray[Any]


def read_pairs(
    path: str | os.PathLike[str],
    *,
    separator: str | None = None,
    user: str | int | None = None,
    item: str | int | None = None,
    n_threads: int | None = None,
) -> Pairs:
    """Read the user and item ids of a delimited file, and ignore its other columns.

    Parameters
    ----------
    path : str or os.PathLike
        A file of pairs, or a file or folder of ratings that :func:`fastcf.data.detect_format` recognises.
    separator, user, item
        As for :func:`fastcf.data.read_log`; two fields are enough.
    n_threads : int, optional
        Threads that read the layout of the Netflix Prize; all by default.

    Raises
    ------
    DataError, ValueError, OSError
        As :func:`fastcf.data.read_log`.
    """
    found = detect_format(path)
    if found.format in ("netflix", "fastcf"):
        log = read_log(path, separator=separator, user=user, item=item, n_threads=n_threads)
        return Pairs(log.users, log.items)
    file = Path(found.ratings[0])
    if found.format in LAYOUTS:
        named = read_named(file, found.format, {"user": user, "item": item}, "read_pairs")
        return Pairs(plain_ids(named.users), plain_ids(named.items))
    lines = numbered_lines(decoded(file))
    first = next(lines, None)
    if first is None:
        raise DataError(f"{file}: the file is empty")
    number, line = first
    layout = choose_columns(
        line,
        f"{file}:{number}",
        separator=separator,
        header="auto",
        asked={"user": user, "item": item},
        caller="read_pairs",
    )
    columns: dict[str, list[str]] = {"user": [], "item": []}
    for number, line in lines if layout.header else chain([first], lines):
        fields = split_fields(line, layout.separator, f"{file}:{number}")
        if len(fields) != layout.n_fields:
            problem = f"expected {layout.n_fields} fields separated by {layout.separator!r}; got {len(fields)}"
            raise malformed(file, number, problem, line)
        for (name, ids), position in zip(columns.items(), layout.positions, strict=False):
            text = fields[position]
            if not 0 < len(text) <= _LONGEST_ID:
                raise malformed(
                    file, number, f"{name} id must have 1 to {_LONGEST_ID} characters; got {len(text)}", line
                )
            ids.append(text)
    if not columns["user"]:
        raise DataError(f"{file}: there are no pairs below the header")
    return Pairs(id_array(columns["user"]), id_array(columns["item"]))
