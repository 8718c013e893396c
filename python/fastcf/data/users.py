"""Data of the users of the older MovieLens sets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.data.columns import LOG_NAMES, Asked
from fastcf.data.lines import decoded, file_named, id_array, malformed, numbered_lines
from fastcf.data.tables import TableColumns, read_table
from fastcf.errors import DataError

__all__ = ["UserTable", "read_users"]

_LINE_100K = re.compile(r"[^|]*\|\s*\d+\s*\|[^|]*\|[^|]*\|[^|]*$")


class UserTable(NamedTuple):
    """Data of users, in file order.

    Attributes
    ----------
    ids : ndarray of shape (n,)
        Integers or strings, as :func:`read_log` has them.
    ages : ndarray of shape (n,), int64
        Years; in MovieLens 1M where the age group begins: 1, 18, 25, 35, 45, 50, 56. -1 where the file gives none.
    genders : ndarray of shape (n,), '<U..'
        ``"F"`` or ``"M"`` in MovieLens. Here and below ``""`` where the file gives none.
    occupations : ndarray of shape (n,), '<U..'
        Names, in MovieLens 1M the numbers 0 to 20.
    zip_codes : ndarray of shape (n,), '<U..'
        As the users gave them.
    """

    ids: NDArray[Any]
    ages: NDArray[np.int64]
    genders: NDArray[np.str_]
    occupations: NDArray[np.str_]
    zip_codes: NDArray[np.str_]


def _users_shape(rows: Sequence[Sequence[str]], asked: Asked) -> str:
    return "no line names the columns"


_OPTIONAL = ("age", "gender", "occupation", "zip_code")
_USERS = TableColumns(
    {
        "id": LOG_NAMES["user"] | {"id"},
        "age": frozenset({"age"}),
        "gender": frozenset({"gender", "sex"}),
        "occupation": frozenset({"occupation", "job", "profession"}),
        "zip_code": frozenset({"zip", "zipcode", "postcode", "postalcode", "location"}),
    },
    frozenset(_OPTIONAL),
    _users_shape,
)


def read_users(
    path: str | os.PathLike[str],
    *,
    id: str | int | None = None,
    age: str | int | bool | None = None,
    gender: str | int | bool | None = None,
    occupation: str | int | bool | None = None,
    zip_code: str | int | bool | None = None,
    header: bool | str = "auto",
    encoding: str | None = None,
    **text: Any,
) -> UserTable:
    """Read data of users.

    Parameters
    ----------
    path : str or os.PathLike
        ``users.dat`` of MovieLens 1M (``id::gender::age::occupation::zip``) or ``u.user`` of 100k
        (``id|age|gender|occupation|zip``), recognised by the first line; any other table as delimited text; or a folder
        that holds one of the two. Compressed files are accepted.
    id, age, gender, occupation, zip_code : str or int, optional
        Columns of a table by name (case and punctuation aside) or number from 0. By default recognised by the header's
        names; all but ``id`` may be missing, or be left unread (False).
    header : bool or "auto", default="auto"
        Whether the first line of a table names the columns; see :func:`read_log`.
    encoding : str, optional
        Any text encoding of Python. By default UTF-8, or Latin-1 where the file is not.
    **text
        ``separator``, ``quoting``, ``escape``, ``comment`` and ``on_bad_lines`` of a table, as for :func:`read_log`.

    Returns
    -------
    UserTable
        In file order.

    Raises
    ------
    DataError
        If a line is malformed (file, line number and text are given), a column cannot be told, or there are no users.
    TypeError, ValueError
        If an argument is not as described.
    OSError
        If the file cannot be read.
    """
    path = file_named(path, "users", "users.dat", "u.user")
    asked = {"id": id, "age": age, "gender": gender, "occupation": occupation, "zip_code": zip_code}
    rows: list[tuple[int, str, list[str]]] | None = None
    if not text and header == "auto" and all(value is None for value in asked.values()):
        lines = list(numbered_lines(decoded(path, encoding)))
        if not lines:
            raise DataError(f"{path}: there are no users")
        known = "::" if "::" in lines[0][1] else "|" if _LINE_100K.match(lines[0][1]) else None
        if known is not None:
            rows = list(_rows_known(path, lines, known))
    if rows is None:
        rows = read_table(path, _USERS, asked, header, {**text, "encoding": encoding}, "users", "read_users")
    ids, ages, genders, occupations, zip_codes = zip(*(fields for _, _, fields in rows), strict=True)
    for number, line, fields in rows:
        if fields[1] and not (fields[1].isascii() and fields[1].isdigit()):
            raise malformed(path, number, f"an age must be a whole number; got {fields[1]!r}", line)
    texts = (np.array(column, dtype=str) for column in (genders, occupations, zip_codes))
    return UserTable(id_array(ids), np.array([int(each or -1) for each in ages], dtype=np.int64), *texts)


def _rows_known(path: Path, lines: list[tuple[int, str]], separator: str) -> Iterator[tuple[int, str, list[str]]]:
    for number, line in lines:
        fields = [field.strip() for field in line.split(separator)]
        if len(fields) != 5:
            problem = f"expected 5 fields separated by {separator!r}, the data of a user; got {len(fields)}"
            raise malformed(path, number, problem, line)
        if separator == "::":
            fields[1:3] = fields[2], fields[1]
        yield number, line, fields
