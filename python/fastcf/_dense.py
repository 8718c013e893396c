"""Dense tables of ratings: a row per user (or per item), a column per item (or per user)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._assembly import Parts
from fastcf._id_columns import as_id_column
from fastcf.ids import IdMap

__all__ = ["dense_parts"]


def _named(Y: Any) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Return the ids that a data frame has for its rows and columns, if it is one: pandas' index, and names."""
    columns = getattr(Y, "columns", None)
    if columns is None or not hasattr(Y, "shape"):
        return None, None
    index = getattr(Y, "index", None)
    rows = None if index is None else np.asarray(index)
    return rows, np.array(list(columns), dtype=object)


def _numbers(table: Any, caller: str, name: str) -> NDArray[Any]:
    """Return a two-dimensional array of real numbers; missing values of any kind are NaN."""
    if isinstance(table, np.ma.MaskedArray):
        array = np.ma.filled(table.astype(np.float64), np.nan)
    elif hasattr(table, "isna") and hasattr(table, "to_numpy"):  # pandas, whose missing values are of several kinds
        try:
            array = table.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            raise TypeError(f"{caller}: {name} must hold real numbers; got columns of other kinds") from None
    else:
        try:
            array = np.asarray(table)
        except ValueError:
            raise ValueError(f"{caller}: {name} must have rows of one length") from None
    if array.dtype == object:
        try:
            array = np.array([[np.nan if value is None else float(value) for value in row] for row in array])
        except (TypeError, ValueError):
            raise TypeError(f"{caller}: {name} must hold real numbers; got an array of objects") from None
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{caller}: {name} must hold real numbers; got dtype {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{caller}: {name} must have two dimensions, users x items; got shape {array.shape}")
    return array


def _rated(R: Any, shape: tuple[int, ...], caller: str) -> NDArray[np.bool_]:
    mask = _numbers(R, caller, "R")
    if mask.shape != shape:
        raise ValueError(f"{caller}: R must have the shape of Y, {shape}; got {mask.shape}")
    if mask.dtype != bool:
        wrong = (mask != 0) & (mask != 1)
        if wrong.any():
            at = tuple(int(place) for place in np.argwhere(wrong)[0])
            raise ValueError(f"{caller}: R must be 1 where there is a rating, else 0; got {mask[at]} at {at}")
    return mask.astype(bool)


def _ids(ids: Any, found: NDArray[Any] | None, n: int, caller: str, name: str) -> IdMap:
    if isinstance(ids, IdMap):
        if len(ids) != n:
            raise ValueError(f"{caller}: {name} must have {n} ids; got {len(ids)}")
        return ids
    given = found if ids is None else ids
    if given is None:
        return IdMap.range(n)
    column = as_id_column(given, f"{caller}: {name}")
    if column.size != n:
        raise ValueError(f"{caller}: {name} must have {n} ids; got {column.size}")
    try:
        return IdMap(column)
    except ValueError as error:
        raise ValueError(f"{caller}: {name}: {error}") from None


def dense_parts(
    Y: Any,
    R: Any,
    missing: Any,
    items_first: bool,
    users: ArrayLike | IdMap | None,
    items: ArrayLike | IdMap | None,
    caller: str,
) -> Parts:
    """Return the ratings of a dense table as compressed rows; see :meth:`fastcf.Ratings.from_dense`."""
    table = _numbers(Y, caller, "Y")
    if table.dtype == bool:
        table = table.astype(np.float32)
    absent = missing is None or (np.ndim(missing) == 0 and missing != missing)
    if R is not None:
        if not absent:
            raise ValueError(f"{caller}: missing must be left out where R says what is rated; got {missing!r}")
        rated = _rated(R, table.shape, caller)
    else:
        rated = ~np.isnan(table) if table.dtype.kind == "f" else np.ones(table.shape, bool)
        if not absent:
            for value in np.atleast_1d(missing).tolist():
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise TypeError(f"{caller}: missing must be a number, or several; got {value!r}")
                rated &= table != value
    row_ids, column_ids = _named(Y)
    if items_first:
        table, rated, row_ids, column_ids = table.T, rated.T, column_ids, row_ids
    rows, columns = np.nonzero(rated)
    if rows.size == 0:
        raise ValueError(f"{caller}: ratings must not be empty; got none in a table of shape {np.shape(Y)}")
    with np.errstate(over="ignore"):
        values = table[rows, columns].astype(np.float32)
    if not np.isfinite(values).all():
        entry = int((~np.isfinite(values)).argmax())
        at = (int(columns[entry]), int(rows[entry])) if items_first else (int(rows[entry]), int(columns[entry]))
        raise ValueError(
            f"{caller}: ratings must be finite as float32; got {table[rows[entry], columns[entry]]} at {at} of Y"
        )
    n_users, n_items = table.shape
    indptr = np.zeros(n_users + 1, np.int64)
    np.cumsum(rated.sum(axis=1), out=indptr[1:])
    return Parts(
        indptr,
        columns.astype(np.int32),
        values,
        _ids(users, row_ids, n_users, caller, "users"),
        _ids(items, column_ids, n_items, caller, "items"),
        None,
        None,
    )
