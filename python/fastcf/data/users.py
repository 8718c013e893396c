"""Data of the users of the older MovieLens sets."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.data.lines import decoded, file_named, id_array, malformed, numbered_lines
from fastcf.errors import DataError

__all__ = ["UserTable", "read_users"]


class UserTable(NamedTuple):
    """Data of users, in file order.

    Attributes
    ----------
    ids : ndarray of shape (n,), int64 or '<U..'
        Integers where all are canonical (see :func:`read_log`), else strings.
    ages : ndarray of shape (n,), int64
        Years; in MovieLens 1M where the age group begins: 1, 18, 25, 35, 45, 50, 56.
    genders : ndarray of shape (n,), '<U..'
        ``"F"`` or ``"M"``.
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


def read_users(path: str | os.PathLike[str]) -> UserTable:
    """Read the users' data of MovieLens 100k and 1M.

    Parameters
    ----------
    path : str or os.PathLike
        ``users.dat`` (``id::gender::age::occupation::zip``) or ``u.user`` (``id|age|gender|occupation|zip``),
        recognised by the first line, or a folder that holds one. UTF-8, or Latin-1 where it is not; gzip accepted.

    Returns
    -------
    UserTable
        In file order.

    Raises
    ------
    DataError
        If a line is malformed (file, line number and text are given), or there are no users.
    OSError
        If the file cannot be read.
    """
    path = file_named(path, "users", "users.dat", "u.user")
    lines = list(numbered_lines(decoded(path)))
    if not lines:
        raise DataError(f"{path}: there are no users")
    separator = "::" if "::" in lines[0][1] else "|"
    rows = []
    for number, line in lines:
        fields = line.split(separator)
        if len(fields) != 5:
            problem = f"expected 5 fields separated by {separator!r}, the data of a user; got {len(fields)}"
            raise malformed(path, number, problem, line)
        user, age, gender, occupation, zip_code = (field.strip() for field in fields)
        if separator == "::":
            age, gender = gender, age
        if not (age.isascii() and age.isdigit()):
            raise malformed(path, number, f"an age must be a whole number; got {age!r}", line)
        rows.append((user, int(age), gender, occupation, zip_code))
    ids, ages, genders, occupations, zip_codes = zip(*rows, strict=True)
    texts = (np.array(column, dtype=str) for column in (genders, occupations, zip_codes))
    return UserTable(id_array(ids), np.array(ages, dtype=np.int64), *texts)
