"""Delimited text: which separator, whether there is a header, which column is which."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fastcf._backend import ingest
from fastcf.errors import DataError

__all__ = [
    "LOG_NAMES",
    "Columns",
    "choose_columns",
    "detect_separator",
    "named_positions",
    "plain_name",
    "split_fields",
]

_SEPARATORS = ("::", "\t", ",", ";", "|", " ")

ITEM_NAMES = frozenset(
    {
        "item",
        "itemid",
        "movie",
        "movieid",
        "product",
        "productid",
        "asin",
        "parentasin",
        "isbn",
        "book",
        "bookid",
        "artist",
        "artistid",
        "track",
        "trackid",
        "song",
        "songid",
        "business",
        "businessid",
        "anime",
        "animeid",
        "game",
        "gameid",
        "iid",
        "mid",
    }
)
LOG_NAMES = {
    "user": frozenset(
        {
            "user",
            "userid",
            "customer",
            "customerid",
            "reviewer",
            "reviewerid",
            "member",
            "memberid",
            "visitor",
            "visitorid",
            "uid",
            "username",
        }
    ),
    "item": ITEM_NAMES,
    "rating": frozenset({"rating", "ratings", "userrating", "bookrating", "score", "stars", "overall", "value"}),
    "timestamp": frozenset({"timestamp", "time", "date", "datetime", "unixreviewtime", "ratedat", "unixtime"}),
}
_ROLES = ("user", "item", "rating", "timestamp")
_TIMESTAMP = re.compile(r"[+-]?\d{1,19}(\.0*)?|\d{4}-\d\d-\d\d")


class Columns(NamedTuple):
    """The layout of a delimited file: positions of its columns (-1 where there is none, or is not wanted)."""

    separator: str
    header: bool
    n_fields: int
    positions: tuple[int, int, int, int]


def plain_name(name: str) -> str:
    """Return a column name as it is compared: "Book-Rating", "book_rating" and "bookRating" are the same.

    The types in headers of atomic files, as in "user_id:token", are no part of a name.
    """
    return re.sub(r":(token|float)(_seq)?$|[\s_.-]", "", name).lower()


def split_fields(line: str, separator: str, where: str) -> list[str]:
    """Split one line as the native reader does. A line that cannot be split is a DataError at ``where``."""
    try:
        fields: list[str] = ingest.split_line(line, separator)
    except ingest.ParseError as error:
        raise DataError(f"{where}: {error.args[2]}: {line!r}") from None
    return fields


def detect_separator(line: str, where: str, *, pairs: bool = False) -> str:
    """Return the first of "::", tab, comma, semicolon, bar and space that cuts the line into three fields or more.

    Of ``pairs``, where none does, the first that cuts it into two.
    """
    for least in (3, 2) if pairs else (3,):
        for separator in _SEPARATORS:
            if separator in line and len(split_fields(line, separator, where)) >= least:
                return separator
    fields = "two fields (user, item)" if pairs else "three fields (user, item, rating)"
    raise DataError(
        f"{where}: cannot find {fields} separated by '::', tab, ',', ';', '|' or ' '; pass separator: {line!r}"
    )


def check_separator(separator: str, caller: str) -> None:
    """Refuse text that cannot be a separator."""
    if not isinstance(separator, str):
        raise TypeError(f"{caller}: separator must be a string; got {type(separator).__name__}")
    if not separator or any(c.isalnum() or c in '.+"\r\n\0' for c in separator):
        raise ValueError(
            f"{caller}: separator must be characters that are no letters, digits, quotes, '.', '+' or line ends; "
            f"got {separator!r}"
        )


def _named_position(name: str, fields: list[str], role: str, caller: str) -> int:
    if name in fields:
        return fields.index(name)
    matches = [i for i, field in enumerate(fields) if plain_name(field) == plain_name(name)]
    if len(matches) != 1:
        raise ValueError(f"{caller}: {role} must name a column of the file ({', '.join(fields)}); got {name!r}")
    return matches[0]


def _is_header(fields: list[str], asked: dict[str, str | int | bool | None]) -> bool:
    names = [plain_name(field) for field in fields]
    if any(isinstance(value, str) and plain_name(value) in names for value in asked.values()):
        return True
    return sum(any(name in LOG_NAMES[role] for name in names) for role in ("user", "item", "rating")) >= 2


def choose_columns(
    line: str,
    where: str,
    *,
    separator: str | None,
    header: bool | str,
    asked: dict[str, str | int | bool | None],
    caller: str,
) -> Columns:
    """Lay out a file by its first line and the caller's columns; see :func:`fastcf.data.read_log`.

    ``asked`` has an entry for every column that is wanted, of user and item at least; None where it is to be found.
    """
    if not isinstance(header, bool) and header != "auto":
        raise ValueError(f"{caller}: header must be True, False or 'auto'; got {header!r}")
    if separator is None:
        separator = detect_separator(line, where, pairs="rating" not in asked)
    check_separator(separator, caller)
    fields = split_fields(line, separator, where)
    n = len(fields)
    has_header = _is_header(fields, asked) if isinstance(header, str) else header
    names = [plain_name(field) for field in fields] if has_header else []
    recognised = has_header and _is_header(fields, {})

    positions: dict[str, int] = {}
    for role, value in asked.items():
        if isinstance(value, str):
            if not has_header:
                raise ValueError(f"{caller}: {role} must be a position where the file has no header; got {value!r}")
            positions[role] = _named_position(value, fields, role, caller)
        elif isinstance(value, bool):
            if value or role != "timestamp":
                raise TypeError(f"{caller}: {role} must be a column's name or position; got {value!r}")
            positions[role] = -1
        elif value is not None:
            if not isinstance(value, (int, np.integer)):
                raise TypeError(f"{caller}: {role} must be a column's name or position; got {value!r}")
            if not 0 <= value < n:
                raise ValueError(f"{caller}: {role} must lie in [0, {n}), the columns of the file; got {value}")
            positions[role] = int(value)
    for default, role in enumerate(_ROLES):
        if role in positions or role not in asked:
            continue
        matches = [i for i, name in enumerate(names) if name in LOG_NAMES[role] and i not in positions.values()]
        if matches:
            positions[role] = matches[0]
        elif role == "timestamp":
            # Without a header, the fourth field where it looks like one.
            fits = n > default and default not in positions.values() and _TIMESTAMP.fullmatch(fields[default])
            positions[role] = default if not has_header and fits else -1
        elif recognised or default >= n:
            raise DataError(f"{where}: cannot tell which column is the {role}; pass {role}: {line!r}")
        else:
            positions[role] = default
    used = [position for position in positions.values() if position >= 0]
    if len(set(used)) != len(used):
        *others, last = asked
        raise ValueError(f"{caller}: {', '.join(others)} and {last} must be different columns; got {positions}")
    user, item, rating, timestamp = (positions.get(role, -1) for role in _ROLES)
    return Columns(separator, has_header, n, (user, item, rating, timestamp))


def named_positions(
    names: Sequence[str], asked: Mapping[str, str | int | bool | None], where: str, caller: str
) -> dict[str, int]:
    """Return the position of each column of a table whose columns all have names.

    ``asked`` is as in :func:`choose_columns`. There is no entry for a column that is not wanted, nor for timestamps
    where no name is theirs.
    """
    positions: dict[str, int] = {}
    for role, value in asked.items():
        if isinstance(value, str):
            positions[role] = _named_position(value, list(names), role, caller)
        elif isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            if not 0 <= value < len(names):
                raise ValueError(f"{caller}: {role} must lie in [0, {len(names)}), the columns of {where}; got {value}")
            positions[role] = int(value)
        elif value is not None and value is not False:
            raise TypeError(f"{caller}: {role} must be a column's name or position; got {value!r}")
    for role, value in asked.items():
        if value is not None:
            continue
        taken = positions.values()
        matches = [i for i, name in enumerate(names) if plain_name(name) in LOG_NAMES[role] and i not in taken]
        if matches:
            positions[role] = matches[0]
        elif role != "timestamp":
            raise DataError(
                f"{where}: cannot tell which column is the {role}; pass {role}; there are {', '.join(names)}"
            )
    if len(set(positions.values())) != len(positions):
        *others, last = positions
        raise ValueError(f"{caller}: {', '.join(others)} and {last} must be different columns; got {positions}")
    return positions
