"""Columns of tables of any library as ids, categories, numbers and years."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._id_columns import as_id_column
from fastcf.ids import IdMap

__all__ = ["read_bags", "read_categories", "read_columns", "read_ids", "read_numbers", "read_years"]

# "Toy Story (1995)", "The Wire (2002–2008)", "Survivor (2000-)"; films of 100k have "(V)" behind it
_YEAR = re.compile(r"\((\d{4})(?:\s*[-–—]\s*(?:\d{4})?)?\)")


def read_columns(table: Any, names: Iterable[str], caller: str) -> dict[str, NDArray[Any]]:
    """Return the named columns of a table; missing values are None in columns of objects, NaN in columns of floats.

    A table is a data frame of pandas or Polars, an Arrow table or record batch, or a mapping or named tuple of arrays,
    recognised by its attributes; no library is imported. Raises TypeError for anything else, ValueError if a column is
    missing or not one-dimensional, columns differ in length, or there are no rows.
    """
    if not isinstance(table, Mapping) and hasattr(table, "_asdict"):
        table = table._asdict()
    if isinstance(table, Mapping):
        present = list(table)
    elif hasattr(table, "__getitem__") and hasattr(table, "columns"):
        present = list(table.column_names if hasattr(table, "column_names") else table.columns)  # Arrow's, the others'
    else:
        raise TypeError(
            f"{caller}: X must be a pandas or Polars data frame, an Arrow table, or a dict of arrays; "
            f"got {type(table).__name__}"
        )
    columns: dict[str, NDArray[Any]] = {}
    length: int | None = None
    for name in names:
        if present.count(name) != 1:
            raise ValueError(f"{caller}: X must have one column {name!r}; it has {', '.join(map(repr, present))}")
        column = columns[name] = _plain(table[name])
        if column.ndim != 1:
            raise ValueError(f"{caller}: column {name!r} must be one-dimensional; got shape {column.shape}")
        length = column.size if length is None else length
        if column.size != length:
            raise ValueError(f"{caller}: column {name!r} must have {length} rows, as the others; got {column.size}")
    if length == 0:
        raise ValueError(f"{caller}: X must not be empty; got 0 rows")
    return columns


def _plain(column: Any) -> NDArray[Any]:
    """Return a column as an array; missing values are None or NaN, for all libraries."""
    if hasattr(column, "isna"):  # pandas
        missing = np.asarray(column.isna(), dtype=bool)
        if not missing.any():
            return np.asarray(column.to_numpy())
        values = np.array(column.to_numpy(dtype=object))
        values[missing] = None
        return values
    if hasattr(column, "to_pylist"):  # Arrow; its to_numpy loses the nulls of dictionaries
        column = column.to_pylist()
    elif isinstance(column, np.ma.MaskedArray):
        column = column.tolist()
    elif hasattr(column, "to_numpy"):  # Polars
        return np.asarray(column.to_numpy())
    if isinstance(column, (list, tuple)):  # NumPy would turn ["a", 1] into strings, and lists of equal length into rows
        return np.fromiter(column, object, len(column))
    return np.asarray(column)


def read_ids(ids: IdMap | ArrayLike, caller: str, name: str) -> IdMap:
    """Return distinct ids, integers or strings, as a map; ``name`` names them in messages."""
    if isinstance(ids, IdMap):
        return ids
    column = as_id_column(ids, f"{caller}: {name}")
    try:
        return IdMap(column)
    except ValueError as error:
        raise ValueError(f"{caller}: {name}: {error}") from None


def _each(column: NDArray[Any], where: str, wanted: str, convert: Callable[[Any], Any]) -> list[Any]:
    """Return ``convert(value)`` of every value, None where it is missing; values it refuses raise TypeError."""
    if column.dtype.kind in "mM":  # whose lists may be of plain integers
        raise TypeError(f"{where} must hold {wanted}; got dtype {column.dtype}")
    values: list[Any] = []
    for row, value in enumerate(column.tolist()):
        if value is None or (isinstance(value, float) and value != value):
            values.append(None)
            continue
        try:
            values.append(convert(value.item() if isinstance(value, np.generic) else value))
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"{where} must hold {wanted}; got {value!r} at row {row}") from None
    return values


def _refuse() -> Any:
    raise TypeError


def _category(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)  # integers that were floats beside missing ones
    return value if isinstance(value, (str, int)) else _refuse()


def _bag(value: Any, separator: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(separator)
    elif not isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        _refuse()
    return tuple(label for label in (each.strip() if isinstance(each, str) else _refuse() for each in value) if label)


def _number(value: Any) -> float:
    return _refuse() if isinstance(value, (str, bytes)) else float(value)


def _title(value: Any) -> str:
    return value if isinstance(value, str) else _refuse()


def _as_cells(values: list[Any]) -> NDArray[np.object_]:
    return np.fromiter(values, object, len(values))


def read_categories(column: NDArray[Any], where: str) -> NDArray[np.object_]:
    """Return a column of one category per row as tuples: of the category, empty where it is missing or "".

    Raises TypeError if they are neither all strings, nor all integers, nor all booleans.
    """
    wanted = "strings, integers or booleans, one kind of them"
    values = _each(column, where, wanted, _category)
    kind = next((type(value) for value in values if value is not None), str)
    for row, value in enumerate(values):
        if value is not None and type(value) is not kind:
            raise TypeError(f"{where} must hold {wanted}; got {value!r} at row {row} among {kind.__name__}")
    return _as_cells([() if value is None or value == "" else (value,) for value in values])


def read_bags(column: NDArray[Any], where: str, separator: str) -> NDArray[np.object_]:
    """Return a column of several labels per row as tuples of strings, empty where there are none.

    Raises TypeError if a value is neither a string of labels nor a list of strings.
    """
    values = _each(column, where, "strings or lists of strings", lambda value: _bag(value, separator))
    return _as_cells([() if value is None else value for value in values])


def read_numbers(column: NDArray[Any], where: str) -> NDArray[np.float64]:
    """Return a column of numbers, NaN where they are missing.

    Raises TypeError if a value is not a real number, ValueError if one is infinite.
    """
    if column.dtype.kind in "biuf":
        numbers = column.astype(np.float64)
    else:
        values = _each(column, where, "numbers", _number)
        numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(infinite.argmax())
        raise ValueError(f"{where} must be finite, or NaN where unknown; got {numbers[row]} at row {row}")
    return numbers


def read_years(column: NDArray[Any], where: str) -> NDArray[np.float64]:
    """Return the year that each title ends with, the first of a span, NaN where there is none.

    Raises TypeError if a title is not a string.
    """
    titles = _each(column, where, "titles", _title)
    found = [_YEAR.findall(title) if title else [] for title in titles]
    return np.array([float(years[-1]) if years else np.nan for years in found], dtype=np.float64)
