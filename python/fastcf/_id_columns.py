"""Columns of ids of any library, as :class:`fastcf._texts.IdColumn`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import ingest
from fastcf._texts import IdColumn, TextTable

__all__ = ["arrow_ids", "as_id_column", "refuse_nulls"]

_INT64_MAX = 2**63 - 1
_AT_ONCE = 1 << 16  # strings of NumPy's StringDType that are objects at a time


def as_id_column(ids: Any, where: str, n_threads: int = 0) -> IdColumn:
    """Return ids of any kind as a column.

    Parameters
    ----------
    ids : array-like of shape (n,)
        Integers (any width, Python's unbounded ones included) or strings: lists, NumPy arrays (``'<U..'``, objects,
        ``StringDType``), series and categoricals of pandas, series of Polars, Arrow arrays.
    where : str
        Heads error messages: the caller and the argument.
    n_threads : int, default 0
        Threads to use; 0: :func:`fastcf.get_num_threads`.

    Raises
    ------
    TypeError
        If the entries are neither all integers nor all strings (booleans, floats, bytes and missing values are
        neither); the message names the first such entry.
    ValueError
        If they are not one-dimensional, or a string is no Unicode text.
    """
    if isinstance(ids, np.ma.MaskedArray) and np.ma.is_masked(ids):
        _reject(where, f"a missing value (masked) at entry {int(np.flatnonzero(np.ma.getmaskarray(ids))[0])}")
    if isinstance(ids, range):
        return _integers(np.arange(ids.start, ids.stop, ids.step, dtype=np.int64), where)
    if isinstance(ids, Sequence):  # NumPy would turn [1, "a"] into strings, [2**63, -1] and [] into floats
        try:
            array = np.array(ids, dtype=object)
        except ValueError:
            raise ValueError(f"{where} must be one-dimensional; got rows of different lengths") from None
    else:
        found = _of_library(ids, where)
        if found is not None:
            return found
        array = np.asarray(ids)
    if array.ndim != 1:
        raise ValueError(f"{where} must be one-dimensional; got shape {array.shape}")
    if array.dtype.kind in "iu":
        return _integers(array, where)
    if array.dtype.kind == "U":
        if not (array.dtype.isnative and array.flags.aligned):
            array = array.astype(array.dtype.newbyteorder("="))
        return _encoded([array], where, n_threads)
    if array.dtype.kind == "T":
        parts = (array[begin : begin + _AT_ONCE] for begin in range(0, max(array.size, 1), _AT_ONCE))
        return _encoded((part.astype(object) for part in parts), where, n_threads)
    if array.dtype.kind == "O":
        return _from_objects(array, where, n_threads)
    if array.dtype.kind in "fcmM":
        missing = np.isnat(array) if array.dtype.kind in "mM" else np.isnan(array)
        if missing.any():
            entry = int(missing.argmax())
            _reject(where, f"a missing value ({array[entry]}) at entry {entry} of dtype {array.dtype}")
    hints = {"S": "; decode them with .astype(str)", "f": "; convert them with .astype(np.int64)"}
    _reject(where, f"dtype {array.dtype}{hints.get(array.dtype.kind, '')}")


def _reject(where: str, what: str) -> NoReturn:
    raise TypeError(f"{where} must be integers or strings; got {what}")


def _integers(array: NDArray[Any], where: str) -> IdColumn:
    """Return an array of integers as int32, int64, or uint64 where a value needs it."""
    unsigned, bytes_each = array.dtype.kind == "u", array.dtype.itemsize
    if unsigned and bytes_each == 8 and array.size and array.max() > _INT64_MAX:
        return IdColumn(np.ascontiguousarray(array, np.uint64))
    wide = bytes_each == 8 or (unsigned and bytes_each == 4)
    return IdColumn(np.ascontiguousarray(array, np.int64 if wide else np.int32))


def _is_missing(value: Any) -> bool:
    nan = isinstance(value, (float, np.floating)) and value != value
    return value is None or nan or type(value).__name__ in ("NAType", "NaTType")  # those of pandas


def _from_objects(values: NDArray[np.object_], where: str, n_threads: int) -> IdColumn:
    """Return an array of Python objects: strings, or integers in the smallest dtype that holds them."""
    kinds = set(map(type, values))
    if kinds and all(issubclass(kind, str) for kind in kinds):
        return _encoded([values], where, n_threads)
    if all(issubclass(kind, (int, np.integer)) and not issubclass(kind, bool) for kind in kinds):
        for dtype in (np.int64, np.uint64):
            try:
                return IdColumn(values.astype(dtype))
            except OverflowError:
                continue
        return IdColumn(np.array([int(value) for value in values], dtype=object))
    _refuse(values, 0, where)


def _refuse(values: Iterable[Any], start: int, where: str) -> NoReturn:
    """Name what is wrong with objects that are neither all strings nor all integers: a missing one before all else."""
    values = list(values)
    for entry, value in enumerate(values, start):
        if _is_missing(value):
            _reject(where, f"a missing value ({value}) at entry {entry}")
    for entry, value in enumerate(values, start):
        text = isinstance(value, str)
        if not (text or (isinstance(value, (int, np.integer)) and not isinstance(value, bool))):
            hint = "; decode them with .decode()" if isinstance(value, bytes) else ""
            _reject(where, f"{value!r} at entry {entry}{hint}")
        if text != isinstance(values[0], str):
            _reject(where, f"both: {values[0]!r} at entry {start} and {value!r} at entry {entry}")
    raise AssertionError("unreachable: the types seen did not explain the failure")


def _encoded(parts: Iterable[NDArray[Any]], where: str, n_threads: int) -> IdColumn:
    """Return a column of strings, in parts of dtype ``'<U..'`` or object."""
    found: list[IdColumn] = []
    entries = 0
    for part in parts:
        try:
            utf8, offsets, codes = ingest.encode_texts(part, n_threads)
        except TypeError:
            _refuse(part, entries, where)
        except ValueError as error:
            at = f" of those from entry {entries}" if entries else ""
            raise ValueError(f"{where} {error}{at}") from None
        found.append(IdColumn(TextTable(utf8, offsets), codes))
        entries += part.size
    return _united(found, n_threads)


def _united(parts: list[IdColumn], n_threads: int = 0) -> IdColumn:
    """Return parts of a column of texts as one."""
    if len(parts) == 1:
        return parts[0]
    tables = [part.ids.pair for part in parts if isinstance(part.ids, TextTable)]
    utf8, offsets, positions = ingest.unite_texts(tables, n_threads)
    codes = [place[part.codes] for part, place in zip(parts, positions, strict=True)]
    return IdColumn(TextTable(utf8, offsets), np.concatenate([np.empty(0, np.int32), *codes]))


# -------------------------------------------------------------------------------------------------- other libraries


def _of_library(ids: Any, where: str) -> IdColumn | None:
    """Return a categorical of pandas, or what offers the Arrow protocol and is no NumPy array; None: neither."""
    values = getattr(ids, "array", ids)  # of a series or an index
    if hasattr(values, "codes") and hasattr(values, "categories"):
        codes = np.asarray(values.codes)
        if codes.size and codes.min() < 0:
            _reject(where, f"a missing value at entry {int(np.argmax(codes < 0))}")
        return as_id_column(values.categories, where).select(codes)
    arrow = any(hasattr(ids, f"__arrow_c_{kind}__") for kind in ("array", "stream")) or hasattr(
        values, "__arrow_array__"
    )
    if not arrow or isinstance(getattr(ids, "dtype", None), np.dtype):
        return None
    try:
        import pyarrow as pa
    except ImportError:
        return None
    try:
        column = _chunked(values if hasattr(values, "__arrow_array__") else ids, pa)
    except (pa.ArrowException, TypeError):  # objects that are no Arrow values, or a pyarrow that is too old for them
        return None
    return arrow_ids(column, where)


def _chunked(ids: Any, pa: Any) -> Any:
    if isinstance(ids, pa.ChunkedArray):
        return ids
    array = pa.chunked_array(ids) if hasattr(ids, "__arrow_c_stream__") else pa.array(ids)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def arrow_ids(column: Any, where: str) -> IdColumn:
    """Return a pyarrow.ChunkedArray of integers (also decimals without a fraction), strings or dictionaries of those.

    ``where`` heads messages. Raises TypeError where it holds anything else, ValueError where it holds a null; the
    message names the row.
    """
    import pyarrow as pa

    refuse_nulls(column, where)
    types = pa.types
    if types.is_decimal(column.type) and column.type.scale == 0:  # integers of up to 76 digits, as databases have them
        try:
            column = column.cast(pa.int64())
        except pa.ArrowInvalid:
            return as_id_column([int(value) for value in column.to_pylist()], where)
    if types.is_integer(column.type):
        return as_id_column(column.to_numpy(), where)
    values = column.type.value_type if types.is_dictionary(column.type) else column.type
    text = types.is_string(values) or types.is_large_string(values) or values == pa.string_view()
    if not text and not (types.is_dictionary(column.type) and types.is_integer(values)):
        raise TypeError(f"{where} must hold integers or strings; got {column.type}; cast it")
    parts = list(_arrow_parts(column, text, where, pa))
    if text:
        return _united(parts)
    return as_id_column(np.concatenate([np.empty(0, np.int64), *(part.ids for part in parts)]), where)


def _arrow_parts(column: Any, text: bool, where: str, pa: Any) -> Iterator[IdColumn]:
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            if chunk.type == pa.string_view():
                chunk = chunk.cast(pa.large_string())
            chunk = chunk.dictionary_encode()
        codes = chunk.indices.to_numpy(zero_copy_only=False)
        if not text:
            yield as_id_column(chunk.dictionary.to_numpy(zero_copy_only=False), where).select(codes)
            continue
        utf8, offsets, (ranks,) = ingest.unite_texts([_buffers(chunk.dictionary, pa)])
        yield IdColumn(TextTable(utf8, offsets), ranks).select(codes)


def _buffers(texts: Any, pa: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes and offsets of an Arrow array of strings, as views where they are."""
    texts = texts.cast(pa.large_string())
    _, ends, data = texts.buffers()
    if len(texts) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    utf8 = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    return utf8, offsets - offsets[0]


def refuse_nulls(column: Any, where: str) -> None:
    """Raise ValueError where a pyarrow.ChunkedArray has a null, or a value whose dictionary entry is one."""
    row = 0
    for chunk in column.chunks:
        null = None
        if chunk.null_count:
            null = chunk.is_null().to_numpy(zero_copy_only=False)
        elif hasattr(chunk, "dictionary") and chunk.dictionary.null_count:
            empty = chunk.dictionary.is_null().to_numpy(zero_copy_only=False)
            null = empty[chunk.indices.to_numpy(zero_copy_only=False)]
        if null is not None and null.any():
            at = row + int(null.argmax())
            raise ValueError(f"{where} must have no nulls; got one at row {at}; filter them out")
        row += len(chunk)
