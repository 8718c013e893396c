"""Checks of the columns that ratings are made from: numbers and timestamps, of arrays and of Arrow tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import ingest
from fastcf._times import as_seconds, check_time_unit, moments

__all__ = ["arrow_numbers", "arrow_times", "float_vector", "time_vector"]


def _vector(array: ArrayLike, caller: str, name: str) -> NDArray[Any]:
    """Return ``array`` as a one-dimensional NumPy array, refusing masked entries."""
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        entry = int(np.flatnonzero(np.ma.getmaskarray(array))[0])
        raise ValueError(f"{caller}: {name} must have no missing values; got a masked value at entry {entry}")
    try:
        vector = np.asarray(array)
    except ValueError:
        raise ValueError(f"{caller}: {name} must be one-dimensional; got rows of different lengths") from None
    if vector.ndim != 1:
        raise ValueError(f"{caller}: {name} must be one-dimensional; got shape {vector.shape}")
    return vector


def float_vector(array: ArrayLike, caller: str, name: str, *, non_negative: bool = False) -> NDArray[np.float32]:
    """Return a contiguous float32 vector of finite (and, if ``non_negative``, non-negative) numbers.

    Raises
    ------
    TypeError
        If the dtype is not that of real numbers; booleans are refused.
    ValueError
        If a value is not finite as float32, or negative where that is excluded; the message names the entry.
    """
    vector = _vector(array, caller, name)
    if vector.dtype == object:
        for entry, value in enumerate(vector):
            if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
                raise TypeError(f"{caller}: {name} must be real numbers; got {value!r} at entry {entry}")
        vector = np.array([float(value) for value in vector])
    if vector.dtype.kind not in "iuf":
        hint = "; convert with .astype(np.float32)" if vector.dtype.kind == "b" else ""
        raise TypeError(f"{caller}: {name} must be real numbers; got dtype {vector.dtype}{hint}")
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(vector, dtype=np.float32)
    entry = ingest.first_invalid(result, non_negative)
    if entry >= 0:
        wanted = "finite and non-negative" if non_negative else "finite"
        if np.isfinite(vector[entry]) and not np.isfinite(result[entry]):
            wanted += " as float32"
        raise ValueError(f"{caller}: {name} must be {wanted}; got {vector[entry]} at entry {entry}")
    return result


def time_vector(array: ArrayLike, caller: str, name: str, unit: str = "s") -> NDArray[np.int64]:
    """Return timestamps as a contiguous int64 vector of seconds since 1970; see :mod:`fastcf._times`.

    Raises
    ------
    TypeError
        If they are neither numbers nor moments.
    ValueError
        If a value is missing, does not fit int64 or is no moment, or ``unit`` does not fit; the message names it.
    """
    check_time_unit(unit, caller)
    zone = getattr(getattr(array, "dtype", None), "tz", None)
    if zone is not None:
        array = array.to_numpy("datetime64[ns]")  # type: ignore[union-attr]  # only pandas' columns have zones
    vector = _vector(array, caller, name)
    if vector.dtype.kind == "M":
        missing = np.isnat(vector)
        if missing.any():
            raise ValueError(f"{caller}: {name} must have no missing values; got NaT at entry {int(missing.argmax())}")
        return np.ascontiguousarray(vector.astype("datetime64[s]").astype(np.int64))
    if vector.size and vector.dtype.kind in "OUT":
        return moments(vector, caller, name, unit)
    if vector.size and vector.dtype.kind not in "iuf":
        raise TypeError(f"{caller}: {name} must be numbers, dates or datetimes; got dtype {vector.dtype}")
    if vector.dtype.kind == "f":
        unfit = ~(np.abs(vector) < 2.0**63)
        if unfit.any():
            entry = int(unfit.argmax())
            raise ValueError(f"{caller}: {name} must be finite and fit int64; got {vector[entry]} at entry {entry}")
        vector = np.floor(vector)
    if vector.dtype == np.uint64 and vector.size and vector.max() > np.iinfo(np.int64).max:
        entry = int(vector.argmax())
        raise ValueError(f"{caller}: {name} must fit int64; got {vector[entry]} at entry {entry}")
    return as_seconds(np.ascontiguousarray(vector, dtype=np.int64), unit, f"{caller}: {name}")


# ------------------------------------------------------------------------------------------------------ Arrow columns


def _numpy(column: Any) -> NDArray[Any]:
    """Return a column of plain numbers; a view where it is one chunk."""
    chunks = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else column.to_numpy()  # type: ignore[no-any-return]  # pyarrow is untyped


def _decoded(column: Any) -> Any:
    """Return a column of a dictionary as one of its values."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def arrow_numbers(column: Any, name: str, caller: str, *, non_negative: bool = False) -> NDArray[np.float32]:
    """Return a column of integers, floats or decimals as float32; see :func:`float_vector`."""
    import pyarrow as pa

    column = _decoded(column)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise TypeError(f"{caller}: column {name!r} must hold real numbers; got {column.type}; cast it")
    return float_vector(_numpy(column), caller, f"column {name!r}", non_negative=non_negative)


def arrow_times(column: Any, name: str, caller: str, unit: str = "s") -> NDArray[np.int64]:
    """Return a column of numbers, dates, timestamps or texts as int64 seconds since 1970; see :func:`time_vector`."""
    import pyarrow as pa

    types = pa.types
    column = _decoded(column)
    if types.is_date(column.type) or types.is_timestamp(column.type):
        per_second = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
        if types.is_date(column.type):
            column = column.cast(pa.timestamp("s"))
        divisor = per_second[column.type.unit]
        values = _numpy(column.cast(pa.int64()))
        return values if divisor == 1 else values // divisor
    text = types.is_string(column.type) or types.is_large_string(column.type) or column.type == pa.string_view()
    if not (types.is_integer(column.type) or types.is_floating(column.type) or text):
        raise TypeError(f"{caller}: column {name!r} must hold numbers, dates, timestamps or texts; got {column.type}")
    return time_vector(_numpy(column), caller, f"column {name!r}", unit)
