"""Maps between the caller's ids (integers of any size, or strings) and rows 0..n-1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import ingest
from fastcf._parameters import check_n_threads

__all__ = ["IdMap", "as_id_array", "distinct", "extended", "joined"]

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


def _reject(caller: str, name: str, what: str) -> NoReturn:
    raise TypeError(f"{caller}: {name} must be integers or strings; got {what}")


def _from_objects(values: NDArray[np.object_], caller: str, name: str) -> NDArray[Any]:
    """Turn an array of Python objects into the smallest id array: int64, uint64, '<U..', else Python ints."""
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
    """Return ids as a contiguous one-dimensional array of a kind that id maps hold.

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
    if isinstance(ids, np.ma.MaskedArray) and np.ma.is_masked(ids):
        entry = int(np.flatnonzero(np.ma.getmaskarray(ids))[0])
        _reject(caller, name, f"a masked value at entry {entry}")
    if isinstance(ids, Sequence):  # NumPy would turn [1, "a"] into strings, [2**63, -1] and [] into floats
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
        Distinct ids, integers or strings; row ``i`` has the id ``ids[i]``.

    Attributes
    ----------
    ids : ndarray of shape (n,), read-only
        dtype int64, uint64 (only where an id exceeds int64), ``'<U..'``, or object (Python integers beyond 64 bits).
        Ascending when the map was built from data.

    Raises
    ------
    TypeError
        If the ids are neither all integers nor all strings.
    ValueError
        If two ids are equal, or the array is not one-dimensional.

    Examples
    --------
    >>> films = IdMap(["0104257", "0133093"])
    >>> films.rows(["0133093", "104257"])
    array([ 1, -1], dtype=int32)
    >>> "0104257" in films
    True
    """

    __slots__ = ("_ids", "_lookup")
    __hash__ = None  # type: ignore[assignment]  # equality compares arrays; a map is no dictionary key

    def __init__(self, ids: ArrayLike) -> None:
        array = as_id_array(ids, "IdMap", "ids")
        if array.dtype == np.int32:
            array = array.astype(np.int64)
        elif np.may_share_memory(array, ids):
            array = array.copy()
        self._freeze(array)
        self._index()

    def _freeze(self, array: NDArray[Any]) -> None:
        array.flags.writeable = False
        self._ids = array
        self._lookup: Any = None

    @classmethod
    def _trusted(cls, ids: NDArray[Any]) -> IdMap:
        """Wrap distinct ids of an id array's dtype (int32 excepted) without a copy or a check."""
        self = cls.__new__(cls)
        self._freeze(ids)
        return self

    @classmethod
    def range(cls, n: int) -> IdMap:
        """Return the map of the ids 0..n-1 to themselves."""
        return cls._trusted(np.arange(n, dtype=np.int64))

    @property
    def ids(self) -> NDArray[Any]:
        """The ids by row, read-only."""
        return self._ids

    def _index(self) -> Any:
        """Return the look-up structure, built on first use: native, or a dictionary beyond int64."""
        if self._lookup is None:
            if self._ids.dtype.kind in "iU":
                try:
                    self._lookup = ingest.IdIndex(self._ids)
                except ValueError as error:
                    raise ValueError(f"IdMap: {error}") from None
            else:
                self._lookup = {}
                for row, value in enumerate(self._ids.tolist()):
                    first = self._lookup.setdefault(value, row)
                    if first != row:
                        raise ValueError(f"IdMap: ids must be distinct; got {value} at positions {first} and {row}")
        return self._lookup

    def rows(self, ids: ArrayLike, *, n_threads: int | None = None) -> NDArray[np.int32]:
        """Return the row of each id.

        Parameters
        ----------
        ids : array-like of shape (m,)
            Integers or strings. Where the map holds the other kind, all are unknown: 7 is not "7".
        n_threads : int, optional
            Threads to use; all by default.

        Returns
        -------
        ndarray of shape (m,), int32
            Row numbers, -1 where an id is unknown.

        Raises
        ------
        TypeError
            If the ids are neither all integers nor all strings.
        ValueError
            If the array is not one-dimensional.
        """
        return self._rows(as_id_array(ids, "IdMap.rows", "ids"), check_n_threads(n_threads, "IdMap.rows"))

    def _rows(self, query: NDArray[Any], n_threads: int) -> NDArray[np.int32]:
        """Look up the result of :func:`as_id_array`."""
        if len(self) == 0 or query.size == 0 or (query.dtype.kind == "U") != (self._ids.dtype.kind == "U"):
            return np.full(query.size, -1, dtype=np.int32)
        index = self._index()
        if isinstance(index, dict):
            return np.fromiter((index.get(value, -1) for value in query.tolist()), np.int32, query.size)
        if query.dtype.kind in "iU":
            rows: NDArray[np.int32] = index.encode(query, n_threads)
            return rows
        fits = (query >= _INT64_MIN) & (query <= _INT64_MAX)
        known = index.encode(np.where(fits, query, 0).astype(np.int64), n_threads)
        return np.where(fits, known, np.int32(-1))

    def __len__(self) -> int:
        return int(self._ids.size)

    def __contains__(self, id: object) -> bool:
        if isinstance(id, (bool, np.bool_)) or not isinstance(id, (int, np.integer, str)):
            return False
        query = as_id_array(np.array([id], dtype=object), "IdMap", "id")
        return bool(self._rows(query, 1)[0] >= 0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdMap):
            return NotImplemented
        if self._ids is other._ids:
            return True
        same_kind = (self._ids.dtype.kind == "U") == (other._ids.dtype.kind == "U")
        return same_kind and np.array_equal(self._ids, other._ids)

    def __reduce__(self) -> tuple[Any, ...]:
        return IdMap, (self._ids,)

    def __repr__(self) -> str:
        kind = "strings" if self._ids.dtype.kind == "U" else "integers"
        shown = ", ".join(repr(value) for value in self._ids[:3].tolist())
        return f"IdMap({len(self):,} {kind}: {shown}{', …' if len(self) > 3 else ''})"


def distinct(ids: NDArray[Any], n_threads: int = 0) -> IdMap:
    """Return the map of the distinct ids, ascending, of an array that :func:`as_id_array` returned.

    Parameters
    ----------
    ids : ndarray of shape (n,)
        Integers, strings, or objects that are integers beyond 64 bits.
    n_threads : int, default 0
        Threads to use; 0: all.

    Returns
    -------
    IdMap

    Raises
    ------
    ValueError
        If there are 2^31 - 1 or more distinct ids: rows are 32-bit numbers.
    """
    if ids.dtype.kind in "iU":
        return IdMap._trusted(ingest.unique_ids(ids, n_threads=n_threads))
    return IdMap._trusted(np.unique(ids))


def joined(ids: IdMap, more: NDArray[Any], caller: str) -> IdMap:
    """Return the map of ``ids``, followed by others that it does not have.

    Parameters
    ----------
    ids : IdMap
        Rows 0..n-1.
    more : ndarray of shape (m,)
        Distinct ids of a map, none of them among ``ids``: rows n..n+m-1.
    caller : str
        Named in error messages.

    Returns
    -------
    IdMap

    Raises
    ------
    TypeError
        If some ids are integers and others strings.
    """
    if more.dtype.kind != ids.ids.dtype.kind:  # integers of different widths: NumPy would make floats of them
        names = np.concatenate([ids.ids.astype(object), more.astype(object)])
    else:
        names = np.concatenate([ids.ids, more])
    return IdMap(as_id_array(names, caller, "ids"))


def extended(ids: IdMap, more: NDArray[Any], where: str) -> IdMap:
    """Return the map of ``ids``, followed by those of ``more`` that it lacks; ``ids`` itself if it lacks none.

    Parameters
    ----------
    ids : IdMap
        Rows 0..n-1.
    more : ndarray of shape (m,)
        Distinct ids of a map.
    where : str
        Heads messages.

    Returns
    -------
    IdMap

    Raises
    ------
    TypeError
        If the ids are of another kind than those of the map.
    """
    if (ids.ids.dtype.kind == "U") != (more.dtype.kind == "U"):
        kinds = ("strings", "integers") if ids.ids.dtype.kind == "U" else ("integers", "strings")
        raise TypeError(f"{where} must have ids that are {kinds[0]}, as the model's; got {kinds[1]}")
    new = more[ids.rows(more) < 0]
    return ids if new.size == 0 else joined(ids, new, where)
