"""Maps between the caller's ids (integers of any size, or strings) and rows 0..n-1."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["IdMap", "as_id_array", "factorize"]

_INT64_MAX = np.iinfo(np.int64).max


def _reject(caller: str, name: str, what: str) -> NoReturn:
    raise TypeError(f"{caller}: {name} must be integers or strings; got {what}")


def _from_objects(values: NDArray[np.object_], caller: str, name: str) -> NDArray[Any]:
    """Turn an array of Python objects into the tightest id array: int64, uint64, '<U..', else Python ints."""
    kinds = set(map(type, values))
    if kinds and all(issubclass(kind, str) for kind in kinds):
        return values.astype(str)
    if all(issubclass(kind, (int, np.integer)) and not issubclass(kind, bool) for kind in kinds):
        for dtype in (np.int64, np.uint64):
            try:
                return values.astype(dtype)
            except OverflowError:
                continue
        return np.array([int(value) for value in values], dtype=object)
    for entry, value in enumerate(values):
        text = isinstance(value, str)
        integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not (text or integer):
            _reject(caller, name, f"{value!r} at entry {entry}")
        if text != isinstance(values[0], str):
            _reject(caller, name, f"both: {values[0]!r} at entry 0 and {value!r} at entry {entry}")
    raise AssertionError("unreachable: the types seen did not explain the failure")


def as_id_array(ids: ArrayLike, caller: str, name: str) -> NDArray[Any]:
    """Return ids as a contiguous one-dimensional array of a kind that id maps know.

    Parameters
    ----------
    ids : array-like of shape (n,)
        Integers (any width, Python's unbounded ones included) or strings.
    caller, name : str
        Named in error messages.

    Returns
    -------
    ndarray of shape (n,)
        dtype int32, int64, uint64 (only where a value exceeds int64), ``'<U..'``, or object (only where a value
        exceeds 64 bits). No copy is made where the input is such an array already.

    Raises
    ------
    TypeError
        If the entries are neither all integers nor all strings (booleans, floats and missing values are neither).
    ValueError
        If the array is not one-dimensional.
    """
    if np.ma.isMaskedArray(ids) and np.ma.is_masked(ids):
        entry = int(np.flatnonzero(np.ma.getmaskarray(ids))[0])
        _reject(caller, name, f"a masked value at entry {entry}")
    if isinstance(ids, (list, tuple)):  # NumPy would turn [1, "a"] into strings and [2**63, -1] into floats
        try:
            array = np.array(ids, dtype=object)
        except ValueError:
            raise ValueError(f"{caller}: {name} must be one-dimensional; got rows of different lengths") from None
    else:
        array = np.asarray(ids)
    if array.ndim != 1:
        raise ValueError(f"{caller}: {name} must be one-dimensional; got shape {array.shape}")
    if array.dtype.kind in "OT":
        array = _from_objects(array.astype(object, copy=False), caller, name)
    kind = array.dtype.kind
    if kind == "u" and array.dtype.itemsize == 8:
        if array.size == 0 or array.max() <= _INT64_MAX:
            array = array.astype(np.int64)
    elif kind in "iu":
        wide = array.dtype.itemsize == 8 or (kind == "u" and array.dtype.itemsize == 4)
        array = array.astype(np.int64 if wide else np.int32, copy=False)
    elif kind == "U":
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        if array.dtype.itemsize == 0:
            array = array.astype("<U1")
    elif kind != "O":
        hint = "; decode them with .astype(str)" if kind == "S" else ""
        _reject(caller, name, f"dtype {array.dtype}{hint}")
    return np.ascontiguousarray(array)


class IdMap:
    """Maps the caller's ids to rows 0..n-1 and back. Immutable.

    Parameters
    ----------
    ids : array-like of shape (n,)
        Distinct ids, integers or strings; row ``i`` belongs to ``ids[i]``.

    Attributes
    ----------
    ids : ndarray of shape (n,), read-only
        dtype int64, uint64 (only where an id exceeds int64), ``'<U..'``, or object (Python integers beyond 64 bits).
        Ascending when the map was built from data.

    Raises
    ------
    ValueError
        If two ids are equal.
    """

    __slots__ = ("_lookup", "_sorter", "ids")
    __hash__ = None  # type: ignore[assignment]  # equality compares arrays; a map is no dictionary key

    ids: NDArray[Any]

    def __init__(self, ids: ArrayLike) -> None:
        array = as_id_array(ids, "IdMap", "ids")
        if array.dtype == np.int32:
            array = array.astype(np.int64)
        elif array is ids:
            array = array.copy()
        self._set(array)
        ordered = array if self._sorter is None else array[self._sorter]
        repeats = np.flatnonzero(ordered[1:] == ordered[:-1])
        if repeats.size:
            raise ValueError(f"IdMap: ids must be distinct; got {ordered[repeats[0]]!r} more than once")

    def _set(self, array: NDArray[Any]) -> None:
        array.flags.writeable = False
        self.ids = array
        ascending = bool(np.all(array[1:] >= array[:-1]))
        self._sorter = None if ascending else np.argsort(array, kind="stable")

    @classmethod
    def _from_sorted(cls, ids: NDArray[Any]) -> IdMap:
        self = cls.__new__(cls)
        self._set(ids)
        return self

    @classmethod
    def range(cls, n: int) -> IdMap:
        """Return the map of the ids 0..n-1 to themselves."""
        return cls._from_sorted(np.arange(n, dtype=np.int64))

    def rows(self, ids: ArrayLike) -> NDArray[np.int32]:
        """Return the row of each id.

        Parameters
        ----------
        ids : array-like of shape (m,)
            Integers or strings. Where the map holds the other kind, all are unknown: 7 is not "7".

        Returns
        -------
        ndarray of shape (m,), int32
            Row numbers, -1 where an id is unknown.

        Raises
        ------
        TypeError
            If the ids are neither integers nor strings.
        """
        query = as_id_array(ids, "IdMap.rows", "ids")
        unknown = np.full(query.shape, -1, dtype=np.int32)
        if len(self) == 0 or query.size == 0 or (query.dtype.kind == "U") != (self.ids.dtype.kind == "U"):
            return unknown
        if (
            query.dtype.kind != "U"
            and query.dtype != self.ids.dtype
            and "O"
            not in (
                query.dtype.kind,
                self.ids.dtype.kind,
            )
        ):
            if query.dtype.kind == "u":
                query = np.where(query > _INT64_MAX, query, query)
            if {query.dtype.kind, self.ids.dtype.kind} == {"i", "u"}:
                query = query.astype(object)
        ordered = self.ids if self._sorter is None else self.ids[self._sorter]
        place = np.minimum(np.searchsorted(ordered, query), len(self) - 1)
        rows = place if self._sorter is None else self._sorter[place]
        found = self.ids[rows] == query
        return np.where(found, rows, -1).astype(np.int32)

    def __len__(self) -> int:
        return int(self.ids.size)

    def __contains__(self, id: object) -> bool:
        if isinstance(id, bool) or not isinstance(id, (int, np.integer, str)):
            return False
        return bool(self.rows([id])[0] >= 0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdMap):
            return NotImplemented
        if self.ids is other.ids:
            return True
        return (self.ids.dtype.kind == "U") == (other.ids.dtype.kind == "U") and np.array_equal(self.ids, other.ids)

    def __reduce__(self) -> tuple[Any, ...]:
        return IdMap, (self.ids,)

    def __repr__(self) -> str:
        kind = {"U": "strings", "O": "integers"}.get(self.ids.dtype.kind, "integers")
        shown = ", ".join(repr(value) for value in self.ids[:3].tolist())
        return f"IdMap({len(self):,} {kind}: {shown}{', …' if len(self) > 3 else ''})"


def factorize(ids: NDArray[Any]) -> tuple[IdMap, NDArray[np.int32]]:
    """Return the map of the distinct ids, ascending, and the row of each entry.

    Parameters
    ----------
    ids : ndarray of shape (n,)
        As :func:`as_id_array` returns it.

    Returns
    -------
    (IdMap, ndarray of shape (n,), int32)
    """
    unique, codes = np.unique(ids, return_inverse=True)
    if unique.dtype == np.int32:
        unique = unique.astype(np.int64)
    return IdMap._from_sorted(unique), codes.astype(np.int32)
