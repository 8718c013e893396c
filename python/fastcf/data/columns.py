"""Which column of a delimited file is which: by its header, else by what its lines look like."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fastcf._backend import ingest
from fastcf.errors import DataError

__all__ = [
    "EVENT_NAMES",
    "ITEM_NAMES",
    "LOG_NAMES",
    "OPTIONAL",
    "Asked",
    "Columns",
    "Record",
    "Shape",
    "choose_columns",
    "decimal_of",
    "is_header",
    "listing",
    "log_shape",
    "movielens_shape",
    "named_positions",
    "plain_name",
]

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
LOG_NAMES: Mapping[str, frozenset[str]] = {
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
"""Names, as :func:`plain_name` gives them, by which the columns of a log are recognised."""

EVENT_NAMES = frozenset(
    {
        "event",
        "eventtype",
        "eventname",
        "action",
        "actiontype",
        "behavior",
        "behaviortype",
        "behaviour",
        "behaviourtype",
        "interaction",
        "interactiontype",
    }
)
"""Names, in the same way, of a column that says what kind of event a line is."""

OPTIONAL = frozenset({"timestamp"})
"""Columns that a log need not have."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
_THING = re.compile(r"^parent|(id|name|(?<!s)s)$")  # parts of names that make no other thing of a column
_LARGEST_RATING = 100
_EPOCH = 10**8  # 1973: smaller numbers do not look like times
_MOST_COLUMNS, _LONGEST_VALUE = 16, 24

Asked = Mapping[str, "str | int | bool | None"]
"""The columns that are wanted: by name or position, None where they are to be found, False where there is none."""


Shape = Callable[[Sequence[Sequence[str]], Asked], "dict[str, int] | str"]
"""Tells the columns of rows without names from what they look like, or says what the rows look like else."""


class Record(NamedTuple):
    """A line of a file, or several where a quoted field spans them."""

    line: int
    begin: int
    end: int
    fields: list[str]


class Columns(NamedTuple):
    """Where the columns of a file are: positions by role, -1 where there is none or it is not wanted."""

    header: bool
    n_fields: int
    positions: dict[str, int]


def plain_name(name: str) -> str:
    """Return a column name as it is compared: "Book-Rating", "book_rating" and "bookRating" are the same.

    The types in headers of atomic files, as in "user_id:token", are no part of a name.
    """
    return re.sub(r":(token|float)(_seq)?$|[\s_.-]", "", name).lower()


# ---------------------------------------------------------------------------------------------------------------
# What fields look like
# ---------------------------------------------------------------------------------------------------------------


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _are_times(texts: Sequence[str]) -> bool:
    """Whether all texts are dates, or numbers as large as times since 1970 are today."""
    values, _, has_dates, bad = ingest.parse_moments(list(texts))
    if bad >= 0 or not texts:
        return False
    return has_dates or bool((values >= _EPOCH).all())


def _are_ratings(texts: Sequence[str]) -> bool:
    """Whether at least half of the texts are numbers, and none of those is larger than ratings are."""
    numbers = [number for number in map(_number, texts) if number is not None]
    return 2 * len(numbers) >= len(texts) > 0 and all(abs(number) <= _LARGEST_RATING for number in numbers)


def _are_ids(texts: Sequence[str]) -> bool:
    """Whether texts may be ids: not empty, no times, no fractions."""
    filled = [text for text in texts if text]
    fractions = [text for text in filled if "." in text and _number(text) is not None]
    return bool(filled) and not fractions and not _are_times(filled)


def decimal_of(texts: Sequence[str], where: str) -> str:
    """Return the decimal sign of numbers: a comma where some have one and none has a point.

    Raises
    ------
    DataError
        If three digits follow a comma: it may group thousands.
    """
    with_comma = [text for text in texts if "," in text]
    if not with_comma or not all(map(_DECIMAL_COMMA.fullmatch, texts)):
        return "."
    if any(len(text.partition(",")[2]) == 3 for text in with_comma):
        raise DataError(
            f"{where}: cannot tell whether the comma of {with_comma[0]!r} is a decimal one; pass decimal=',' if it is"
        )
    return ","


# ---------------------------------------------------------------------------------------------------------------
# Header
# ---------------------------------------------------------------------------------------------------------------


def is_header(fields: Sequence[str], asked: Asked, known: Mapping[str, frozenset[str]]) -> bool:
    """Whether a line names a column that is asked for, or two that are known."""
    names = [plain_name(field) for field in fields]
    if any(isinstance(value, str) and plain_name(value) in names for value in asked.values()):
        return True
    return sum(any(name in known[role] for name in names) for role in known if role != "timestamp") >= 2


def _is_unknown_header(records: Sequence[Record]) -> bool:
    """Whether the first line has words only, above a column of numbers or dates: names that are not recognised."""
    first, *rest = (record.fields for record in records)
    below = [fields for fields in rest if len(fields) == len(first)]
    is_value = [[_number(field) is not None or _are_times([field]) for field in fields] for fields in (first, *below)]
    if not below or any(is_value[0]):
        return False
    return any(all(row[column] for row in is_value[1:]) for column in range(len(first)))


# ---------------------------------------------------------------------------------------------------------------
# Columns
# ---------------------------------------------------------------------------------------------------------------


def _names_events(fields: Sequence[str]) -> bool:
    return any(plain_name(field) in EVENT_NAMES for field in fields)


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…")


def listing(records: Sequence[Record], header: bool) -> str:
    """Return the columns of a file with their names and first values, for messages."""
    names = records[0].fields if header else [""] * len(records[0].fields)
    values = next((record.fields for record in records[header:] if len(record.fields) == len(names)), [""] * len(names))
    columns = [
        f"{i}" + (f" {_shortened(name)}" if header else "") + (f" ({value[:_LONGEST_VALUE]})" if value else "")
        for i, (name, value) in enumerate(zip(names, values, strict=True))
    ]
    more = f" and {len(columns) - _MOST_COLUMNS} more" if len(columns) > _MOST_COLUMNS else ""
    return ", ".join(columns[:_MOST_COLUMNS]) + more


def _named_position(name: str, fields: Sequence[str], role: str, caller: str) -> int:
    if fields.count(name) == 1:
        return fields.index(name)
    matches = [i for i, field in enumerate(fields) if plain_name(field) == plain_name(name)]
    if len(matches) != 1:
        several = "; several columns are called so, pass a number" if matches else ""
        raise ValueError(
            f"{caller}: {role} must name a column of the file ({', '.join(fields)}); got {name!r}{several}"
        )
    return matches[0]


def _recognised(role: str, fields: Sequence[str], names: frozenset[str], taken: Collection[int], where: object) -> int:
    """Return the first column that has one of the names; -1 where none has.

    Raises
    ------
    DataError
        If others have names of other things, as "artist_id" and "track_id" are, or the same name.
    """
    plain = [plain_name(field) for field in fields]
    matches = [i for i, name in enumerate(plain) if name in names and i not in taken]
    things = {_THING.sub("", plain[i]) for i in matches}
    if len(things) > 1 or len({plain[i] for i in matches}) < len(matches):
        listed = " and ".join(f"{i} {_shortened(fields[i])}" for i in matches)
        raise DataError(f"{where}: columns {listed} may each be the {role}; pass {role}= by name or number")
    return matches[0] if matches else -1


def _given(
    asked: Asked, records: Sequence[Record], header: bool, optional: frozenset[str], caller: str
) -> dict[str, int]:
    """Return the positions of the columns that were asked for by name or number."""
    fields = records[0].fields
    positions: dict[str, int] = {}
    for role, value in asked.items():
        if isinstance(value, str):
            if not header:
                raise ValueError(
                    f"{caller}: {role} must be a number where no line names the columns; got {value!r}; the columns "
                    f"are {listing(records, header)}"
                )
            positions[role] = _named_position(value, fields, role, caller)
        elif isinstance(value, bool):
            if value or role not in ("rating", *optional):
                raise TypeError(f"{caller}: {role} must be a column's name or number; got {value!r}")
            positions[role] = -1
        elif value is not None:
            if not isinstance(value, (int, np.integer)):
                raise TypeError(f"{caller}: {role} must be a column's name or number; got {value!r}")
            if not 0 <= value < len(fields):
                raise ValueError(
                    f"{caller}: {role} must lie in [0, {len(fields)}), the columns of the file "
                    f"({listing(records, header)}); got {value}"
                )
            positions[role] = int(value)
    return positions


def log_shape(rows: Sequence[Sequence[str]], asked: Asked) -> dict[str, int] | str:
    """Return the columns of lines that look exactly like a log of ratings, or what else they look like."""
    columns = list(zip(*rows, strict=True))
    n = len(columns)
    if not 2 <= n <= 4:
        return f"there are {n} columns and no line that names them (load_dense reads a column per item)"
    if not all(map(_are_ids, columns[:2])):
        return (
            f"no line names the {n} columns, and the first two do not look like ids of users and items (load_dense "
            "reads a column per item)"
        )
    wants_rating = asked.get("rating", False) is not False
    last_is_time = n > 2 and _are_times(columns[-1])
    found = {"user": 0, "item": 1, "timestamp": n - 1 if last_is_time else -1}
    if n - last_is_time == 2:
        if not wants_rating:
            return found
        if last_is_time:
            return (
                f"no line names the columns, and column {n - 1} looks like a time: with rating=False and "
                f"timestamp={n - 1}, every line counts 1"
            )
        return "there are two columns and no rating: with rating=False, every line counts 1"
    if n - last_is_time == 3 and _are_ratings(columns[2]):
        return {**found, "rating": 2 if wants_rating else -1}
    others = "the values of column 2 do not look like a rating"
    if n == 4:
        others = "columns 2 and 3 do not look like a rating and a time"
    return f"no line names the columns, and {others}"


def movielens_shape(rows: Sequence[Sequence[str]], asked: Asked) -> dict[str, int] | str:
    """Return the columns of a file that is called like one of MovieLens: user, item, rating and any time."""
    columns = list(zip(*rows, strict=True))
    if len(columns) != 4 or ingest.parse_moments(list(columns[3]))[3] >= 0:
        return log_shape(rows, asked)
    return {"user": 0, "item": 1, "rating": 2, "timestamp": 3}


def choose_columns(
    records: Sequence[Record],
    asked: Asked,
    *,
    known: Mapping[str, frozenset[str]] = LOG_NAMES,
    optional: frozenset[str] = OPTIONAL,
    shape: Shape = log_shape,
    header: bool | str,
    decimal: str | None,
    caller: str,
    path: object,
) -> Columns:
    """Lay out a file by its first records and the caller's columns; see :func:`fastcf.data.read_log`.

    ``asked`` has an entry for every column that is wanted.

    Raises
    ------
    DataError
        If a column that is needed cannot be told; the message lists the columns.
    TypeError, ValueError
        If the caller asks for what there is not.
    """
    if not isinstance(header, bool) and header != "auto":
        raise ValueError(f"{caller}: header must be True, False or 'auto'; got {header!r}")
    fields = records[0].fields
    n = len(fields)
    has_header = header
    if isinstance(has_header, str):
        has_header = is_header(fields, asked, known) or _is_unknown_header(records)
    positions = _given(asked, records, has_header, optional, caller)
    problem = ""
    if has_header:
        for role in asked:
            if role not in positions:
                position = _recognised(role, fields, known[role], positions.values(), path)
                positions |= {role: position} if position >= 0 else {}
    missing = [role for role in asked if role not in positions and role not in optional]
    if missing and not has_header:
        rows = [record.fields for record in records if len(record.fields) == n]
        if decimal == ",":
            rows = [
                [field.replace(",", ".") if _DECIMAL_COMMA.fullmatch(field) else field for field in row] for row in rows
            ]
        found = shape(rows, asked)
        if isinstance(found, str):
            problem = found
        elif all(position in (found.get(role, -1), -1) for role, position in positions.items()):
            positions = {**{role: at for role, at in found.items() if role in asked}, **positions}
            missing = []
    if missing:
        if not problem:
            names_of = "".join((", the " if i else "the ") + role for i, role in enumerate(missing))
            problem = f"cannot tell which column is {names_of}"
            if missing == ["rating"]:
                problem += ", or whether there is one (rating=False: every line counts 1"
                problem += "; load_events sums events)" if _names_events(fields) and has_header else ")"
        ways = ", ".join(f"{role}=" for role in missing)
        raise DataError(f"{path}: {problem}; pass {ways} by name or number of: {listing(records, has_header)}")
    taken: dict[int, str] = {}
    for role, position in positions.items():
        if position in taken and position >= 0:
            raise ValueError(
                f"{caller}: {taken[position]} and {role} must be different columns; got {position} for both"
            )
        taken[position] = role
    return Columns(has_header, n, {role: positions.get(role, -1) for role in asked})


def named_positions(
    names: Sequence[str],
    asked: Asked,
    where: object,
    caller: str,
    *,
    known: Mapping[str, frozenset[str]] = LOG_NAMES,
    optional: frozenset[str] = OPTIONAL,
) -> dict[str, int]:
    """Return the position of each column of a table whose columns all have names.

    There is no entry for a column that is not wanted, nor for an optional one where no name is its.
    """
    layout = choose_columns(
        [Record(0, 0, 0, list(names))],
        asked,
        known=known,
        optional=optional,
        header=True,
        decimal=None,
        caller=caller,
        path=where,
    )
    return {role: position for role, position in layout.positions.items() if position >= 0}
