"""Dense tables of ratings as text: a line per user, a field per item."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.data.columns import decimal_of
from fastcf.data.dialect import check_text_options, open_delimited
from fastcf.data.left_out import report_left_out
from fastcf.data.lines import id_array, malformed
from fastcf.errors import DataError
from fastcf.ratings import Ratings

__all__ = ["load_dense"]

_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?", "-")


def load_dense(
    path: str | os.PathLike[str],
    *,
    missing: float | str | Sequence[float | str] = (),
    header: bool | str = "auto",
    user: str | int | None = None,
    ignore: Sequence[str | int] | str | int = (),
    items_first: bool = False,
    separator: str | None = None,
    **text: Any,
) -> Ratings:
    """Read a dense table of ratings: a line per user, a field per item.

    Parameters
    ----------
    path : str or os.PathLike
        A text file; it may be compressed.
    missing : float, str or sequence of these, default ()
        What stands for "not rated": numbers are compared as numbers, so that 99 is 99.00, texts as they are. Empty
        fields, ``NA``, ``N/A``, ``NaN``, ``null``, ``None``, ``?`` and ``-`` always do. All else is a rating, also 0.
    header : bool or "auto", default "auto"
        Whether the first line has the ids of the items. "auto": it does where one of its fields is neither a number
        nor missing.
    user : str or int, optional
        The column that has the users' ids, by name or position from 0. By default users are numbered from 0, by line.
    ignore : str, int or sequence of these, default ()
        Columns that are no ratings, by name or position: a count at the beginning of the line, for example.
    items_first : bool, default False
        Whether a line is an item and a field a user; ``user`` is then the column of the items' ids.
    separator, **text
        ``separator``, ``decimal``, ``encoding``, ``quoting``, ``escape``, ``comment`` and ``on_bad_lines`` as for
        :func:`read_log`.

    Returns
    -------
    Ratings
        Ids of the lines are those of the column ``user``, else 0, 1, ...; ids of the fields those of the header, else
        0, 1, ... of the columns that are left. Users and items without ratings keep their rows.

    Raises
    ------
    DataError
        If a field is no number, lines differ in length, or there are no ratings; with the file, the line and its text.
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    Jester's tables begin with the number of jokes that a user has rated, and 99 stands for "not rated":

    >>> jokes = load_dense("jester-data-1.csv", missing=99, ignore=0)  # doctest: +SKIP
    """
    caller = "load_dense"
    path = Path(path)
    numbers, texts = _missing_values(missing, caller)
    if not isinstance(header, bool) and header != "auto":
        raise ValueError(f"{caller}: header must be True, False or 'auto'; got {header!r}")
    with open_delimited(path, check_text_options(caller, {"separator": separator, **text}), caller) as file:
        sample = file.choose_separator({}, {})
        names = sample[0].fields
        has_header = header
        if isinstance(has_header, str):
            has_header = any(not _is_cell(name.replace(",", "."), texts) for name in names)
        ids_at, kept = _chosen(names, has_header, user, ignore, caller)
        decimal = file.options["decimal"]
        if decimal is None:
            rest = [record.fields for record in sample[has_header:] if len(record.fields) == len(names)]
            cells = [fields[place] for fields in rest for place in kept]
            decimal = decimal_of([cell for cell in cells if cell not in texts], str(path))
        records, left_out = file.records(str(file.options["separator"]))
        report_left_out(path, left_out, file.options["on_bad_lines"])
        rows: list[NDArray[np.float32]] = []
        row_ids: list[str] = []
        for record in records[has_header:]:
            line, fields = file.line_of(record), record.fields
            if len(fields) != len(names):
                raise malformed(path, record.line, f"expected {len(names)} fields; got {len(fields)}", line)
            if ids_at is not None:
                row_ids.append(fields[ids_at])
            cells = [fields[place].replace(decimal, ".") for place in kept]
            rows.append(_values(cells, texts, path, record.line, line))
    if not rows:
        raise DataError(f"{path}: there are no lines below the header")
    table = np.stack(rows)
    for value in numbers:
        table[table == np.float32(value)] = np.nan
    if np.isnan(table).all():
        raise DataError(f"{path}: there are no ratings: every field is missing")
    line_ids = None if ids_at is None else id_array(row_ids)
    field_ids = id_array([names[place] for place in kept]) if has_header else None
    sides: dict[str, Any] = {"users": line_ids, "items": field_ids}
    if items_first:
        sides = {"users": field_ids, "items": line_ids}
    try:
        return Ratings.from_dense(table, items_first=items_first, **sides)
    except ValueError as error:  # ids that are there twice
        raise DataError(f"{path}: {str(error).partition(': ')[2]}") from None


def _chosen(
    names: list[str], has_header: bool, user: str | int | None, ignore: Sequence[str | int] | str | int, caller: str
) -> tuple[int | None, list[int]]:
    """Return the column of the ids of lines, and those of ratings."""

    def position(column: str | int, what: str) -> int:
        if isinstance(column, str) and has_header and names.count(column) == 1:
            return names.index(column)
        if isinstance(column, (int, np.integer)) and not isinstance(column, bool) and 0 <= column < len(names):
            return int(column)
        there = f"a position in [0, {len(names)})" + (f" or one of {', '.join(names[:20])}" if has_header else "")
        raise ValueError(f"{caller}: {what} must be {there}; got {column!r}")

    ids_at = None if user is None else position(user, "user")
    ignored = [ignore] if isinstance(ignore, (str, int, np.integer)) else ignore
    left_out = {position(column, "ignore") for column in ignored} | ({ids_at} if ids_at is not None else set())
    kept = [place for place in range(len(names)) if place not in left_out]
    if not kept:
        raise ValueError(f"{caller}: some columns must be ratings; all {len(names)} are left out")
    return ids_at, kept


def _missing_values(missing: Any, caller: str) -> tuple[list[float], frozenset[str]]:
    values = [missing] if isinstance(missing, (str, int, float, np.integer, np.floating)) else list(missing)
    numbers, texts = [], set(_MISSING)
    for value in values:
        if isinstance(value, str):
            texts.add(value.strip())
        elif isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
            numbers.append(float(value))
        else:
            raise TypeError(f"{caller}: missing must be numbers or texts; got {value!r}")
    return numbers, frozenset(texts)


def _is_cell(field: str, texts: frozenset[str]) -> bool:
    """Return whether a field is a number or missing."""
    if field in texts:
        return True
    try:
        float(field if "_" not in field else "")  # Python's own way to write 1000000
    except ValueError:
        return False
    return True


def _values(fields: list[str], texts: frozenset[str], path: Path, number: int, line: str) -> NDArray[np.float32]:
    """Return the ratings of a line, NaN where there is none."""
    filled = ["nan" if field in texts else field for field in fields]
    try:
        with np.errstate(over="ignore"):
            values = np.array(filled, dtype=np.float64).astype(np.float32)
    except ValueError:
        wrong = next(place for place, field in enumerate(filled) if not _is_cell(field, texts))
    else:
        refused = np.isinf(values) | np.array(["_" in field for field in filled])
        if not refused.any():
            return values
        wrong = int(refused.argmax())
    raise malformed(path, number, f"ratings must be finite numbers, or missing=; got {fields[wrong]!r}", line)
