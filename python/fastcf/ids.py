"""Maps between the caller's ids (integers of any size, or strings) and rows 0..n-1.

Ids have two kinds, "int" and "str". Inside fastcf a column of ids is an :class:`fastcf._texts.IdColumn`: integers, an
array entry each; or the distinct strings, ascending, as a :class:`fastcf._texts.TextTable` (UTF-8 bytes and offsets),
and an int32 code per entry. :func:`fastcf._id_columns.as_id_column` makes one of whatever a caller brings. An
:class:`IdMap` holds integers or a text table. NumPy arrays of strings are made when a caller asks for them
(``IdMap.ids``, ``IdColumn.array()``), never on the way.

Where the kinds of a query and of a map differ, one rule holds everywhere: **an integer and its decimal text are the
same id** (42 and "42"; not "042", "+42" or " 42"). Strings are therefore matched with integers where each of them is
such a text, else TypeError names the first that is not, and the remedy. :meth:`IdMap.rows`, :func:`extended` and
:func:`joined` are the only places that compare kinds, once per call and on distinct strings; what takes ids asks them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import ingest
from fastcf._id_columns import as_id_column
from fastcf._parameters import check_n_threads
from fastcf._texts import IdColumn, TextTable

__all__ = ["IdMap", "as_kind", "distinct", "extended", "joined"]

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class IdMap:
    """Maps the caller's ids to rows 0..n-1 and back. Immutable.

    Parameters
    ----------
    ids : array-like of shape (n,)
        Distinct ids, integers or strings; row ``i`` has the id ``ids[i]``.

    Attributes
    ----------
    ids : ndarray of shape (n,), read-only
        dtype int64, uint64 (only where an id exceeds int64) or object (Python integers beyond 64 bits); of strings
        NumPy's ``StringDType``, or object before NumPy 2. Ascending when the map was built from data.
    kind : {"int", "str"}
        Whether the ids are integers or strings.

    Raises
    ------
    TypeError
        If the ids are neither all integers nor all strings.
    ValueError
        If two ids are equal, or the array is not one-dimensional.

    Notes
    -----
    Strings take their UTF-8 bytes, 8 bytes each, and 32 to 64 bytes each once something has been looked up; ``ids``
    makes an array of them when first asked for, and keeps it.

    Examples
    --------
    >>> films = IdMap(["0104257", "0133093"])
    >>> films.rows(["0133093", "104257"])
    array([ 1, -1], dtype=int32)
    >>> "0104257" in films
    True
    >>> IdMap([42, 7]).rows(["7", "8"])
    array([ 1, -1], dtype=int32)
    """

    __slots__ = ("_held", "_lookup")
    __hash__ = None  # type: ignore[assignment]  # equality compares arrays; a map is no dictionary key

    def __init__(self, ids: ArrayLike | IdColumn) -> None:
        column = ids if isinstance(ids, IdColumn) else as_id_column(ids, "IdMap: ids")
        held = column.ids
        if isinstance(held, TextTable):
            held = held if column.codes is None else held.take(column.codes)
        elif held.dtype == np.int32:
            held = held.astype(np.int64)
        elif not isinstance(ids, IdColumn) and np.may_share_memory(held, ids):
            held = held.copy()
        self._hold(held)
        self._index()

    def _hold(self, ids: NDArray[Any] | TextTable) -> None:
        if not isinstance(ids, TextTable):
            ids.flags.writeable = False
        self._held = ids
        self._lookup: Any = None

    @classmethod
    def _trusted(cls, ids: NDArray[Any] | TextTable) -> IdMap:
        """Wrap distinct ids (no int32) without a copy or a check."""
        self = cls.__new__(cls)
        self._hold(ids)
        return self

    @classmethod
    def mapped(cls, ids: NDArray[Any] | TextTable) -> IdMap:
        """Return the map of ids that lie in a mapped file, without a copy of them.

        Ascending ids, as maps built from data have them, are looked up where they lie, by halving: nothing is built.
        Others get the look-up structure of :class:`IdMap`.

        Parameters
        ----------
        ids : ndarray of shape (n,), or TextTable
            Distinct integers, or strings as UTF-8 bytes and offsets.

        Returns
        -------
        IdMap

        Raises
        ------
        TypeError, ValueError
            As :class:`IdMap`.
        """
        lookup: Any = None
        if isinstance(ids, TextTable):
            lookup = ingest.AscendingTexts(*ids.pair)
        elif ids.dtype == np.int64 and ids.ndim == 1:
            lookup = _AscendingIntegers(ids)
        if lookup is None or not lookup.ascending:
            return cls(IdColumn(ids) if isinstance(ids, TextTable) else ids)
        self = cls._trusted(ids)
        self._lookup = lookup
        return self

    @classmethod
    def range(cls, n: int) -> IdMap:
        """Return the map of the ids 0..n-1 to themselves.

        Parameters
        ----------
        n : int
            Number of ids.

        Returns
        -------
        IdMap
            Of integers.
        """
        return cls._trusted(np.arange(n, dtype=np.int64))

    @property
    def ids(self) -> NDArray[Any]:
        """The ids by row, read-only."""
        return self._held.array if isinstance(self._held, TextTable) else self._held

    @property
    def kind(self) -> str:
        """Whether the ids are integers ("int") or strings ("str")."""
        return "str" if isinstance(self._held, TextTable) else "int"

    @property
    def column(self) -> IdColumn:
        """The ids by row as a column, without a copy."""
        return IdColumn(self._held)

    def take(self, rows: NDArray[Any]) -> IdMap:
        """Return the map of the ids of some rows.

        Parameters
        ----------
        rows : ndarray of shape (m,), int
            Distinct rows, from 0 to n - 1.

        Returns
        -------
        IdMap
            Its row ``i`` has the id of ``rows[i]``.
        """
        held = self._held
        return IdMap._trusted(held.take(rows) if isinstance(held, TextTable) else held[rows])

    def column_of(self, rows: NDArray[Any]) -> IdColumn:
        """Return the column of the ids of rows.

        Parameters
        ----------
        rows : ndarray of shape (m,), int
            From 0 to n - 1; they may repeat.

        Returns
        -------
        IdColumn
            An entry for each row, in the order of ``rows``.
        """
        held = self._held
        if not isinstance(held, TextTable):
            return IdColumn(held[rows])
        utf8, offsets, (ranks,) = ingest.unite_texts([held.pair])
        return IdColumn(TextTable(utf8, offsets), ranks).select(rows)

    def at(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the ids of rows.

        Parameters
        ----------
        rows : ndarray of int, of any shape
            From 0 to n - 1; they may repeat.

        Returns
        -------
        ndarray
            A new array of the shape of ``rows`` and the dtype of ``ids``.

        Raises
        ------
        IndexError
            If a row exceeds n - 1.
        """
        return self._held.at(rows) if isinstance(self._held, TextTable) else self._held[rows]

    def id_at(self, row: int) -> Any:
        """Return the id of a row.

        Parameters
        ----------
        row : int
            From 0 to n - 1.

        Returns
        -------
        int or str

        Raises
        ------
        IndexError
            If the row is negative or exceeds n - 1: -1 is the row of unknown ids.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"IdMap.id_at: row must lie in [0, {len(self) - 1}]; got {row}")
        return self.column.id_at(row)

    def _index(self) -> Any:
        """Return the look-up structure, built on first use: native, or a dictionary beyond int64."""
        if self._lookup is None:
            held = self._held
            try:
                if isinstance(held, TextTable):
                    self._lookup = ingest.TextIndex(*held.pair)
                elif held.dtype.kind == "i":
                    self._lookup = ingest.IdIndex(held)
            except ValueError as error:
                raise ValueError(f"IdMap: {error}") from None
        if self._lookup is None:
            self._lookup = {}
            for row, value in enumerate(self._held.tolist()):
                first = self._lookup.setdefault(value, row)
                if first != row:
                    raise ValueError(f"IdMap: ids must be distinct; got {value} at positions {first} and {row}")
        return self._lookup

    def rows(self, ids: ArrayLike | IdMap, *, n_threads: int | None = None) -> NDArray[np.int32]:
        """Return the row of each id.

        Parameters
        ----------
        ids : array-like of shape (m,), or IdMap
            Integers or strings. Where the map holds the other kind, an integer and its decimal text are the same id:
            7 and "7", but not "07".
        n_threads : int, optional
            Threads to use; by default :func:`fastcf.get_num_threads`.

        Returns
        -------
        ndarray of shape (m,), int32
            Row numbers, -1 where an id is unknown.

        Raises
        ------
        TypeError
            If the ids are neither all integers nor all strings, or the map holds integers and a string is not the
            decimal text of one.
        ValueError
            If the array is not one-dimensional.
        """
        return self.find(ids, "IdMap.rows: ids", check_n_threads(n_threads, "IdMap.rows"))

    def find(self, ids: ArrayLike | IdMap | IdColumn, where: str, n_threads: int = 0) -> NDArray[np.int32]:
        """Return the row of each id, as :meth:`rows`, for callers with an argument of their own.

        Parameters
        ----------
        ids : array-like of shape (m,), IdMap or IdColumn
            Integers or strings.
        where : str
            The caller and its argument, which head messages.
        n_threads : int, default 0
            Threads to use; 0: :func:`fastcf.get_num_threads`.

        Returns
        -------
        ndarray of shape (m,), int32
            Row numbers, -1 where an id is unknown.

        Raises
        ------
        TypeError, ValueError
            As :meth:`rows`.
        """
        if isinstance(ids, IdMap):
            column = ids.column
        else:
            column = ids if isinstance(ids, IdColumn) else as_id_column(ids, where, n_threads)
        if len(self) == 0 or column.size == 0:
            return np.full(column.size, -1, dtype=np.int32)
        if column.ids is self._held and column.codes is None:  # its own ids: histories over a large catalogue
            return np.arange(len(self), dtype=np.int32)
        column = as_kind(column, self.kind, where)
        index, query = self._index(), column.ids
        if isinstance(query, TextTable):
            rows: NDArray[np.int32] = index.encode(*query.pair, n_threads)
        elif isinstance(index, dict):
            rows = np.fromiter((index.get(value, -1) for value in query.tolist()), np.int32, query.size)
        elif query.dtype.kind == "i":
            rows = index.encode(query, n_threads)
        else:
            fits = (query >= _INT64_MIN) & (query <= _INT64_MAX)
            known = index.encode(np.where(fits, query, 0).astype(np.int64), n_threads)
            rows = np.where(fits, known, np.int32(-1))
        return rows if column.codes is None else rows[column.codes]

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, id: object) -> bool:
        if isinstance(id, (bool, np.bool_)) or not isinstance(id, (int, np.integer, str)):
            return False
        try:
            return bool(self.find(np.array([id], dtype=object), "IdMap: id", 1)[0] >= 0)
        except (TypeError, ValueError):  # a string that is no integer's, or no text
            return False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdMap):
            return NotImplemented
        first, second = self._held, other._held
        if first is second:
            return True
        if isinstance(first, TextTable) or isinstance(second, TextTable):
            return first == second if self.kind == other.kind else False
        return np.array_equal(first, second)

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self._held, TextTable):
            return _map_of_texts, self._held.pair
        return IdMap, (self._held,)

    def __repr__(self) -> str:
        kind = "strings" if self.kind == "str" else "integers"
        shown = ", ".join(repr(self.id_at(row)) for row in range(min(3, len(self))))
        return f"IdMap({len(self):,} {kind}: {shown}{', …' if len(self) > 3 else ''})"


class _AscendingIntegers:
    """Looks up integers among strictly ascending ones where they lie, by halving."""

    __slots__ = ("_ids",)

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self._ids = ids

    @property
    def ascending(self) -> bool:
        """Whether the ids do ascend; else they are not to be looked up here."""
        return bool(self._ids.size < 2**31 - 1 and (self._ids[1:] > self._ids[:-1]).all())

    def encode(self, wanted: NDArray[np.int64], n_threads: int) -> NDArray[np.int32]:
        """Return the position of each, -1 where it is unknown; only where there are ids."""
        places = np.searchsorted(self._ids, wanted)
        known = self._ids[np.minimum(places, self._ids.size - 1)] == wanted
        return np.where(known, places, -1).astype(np.int32)


def _map_of_texts(utf8: NDArray[np.uint8], offsets: NDArray[np.int64]) -> IdMap:
    """Unpickle; the arrays are checked, for the file may be damaged."""
    return IdMap(IdColumn(TextTable.checked(utf8, offsets)))


def as_kind(column: IdColumn, kind: str, where: str) -> IdColumn:
    """Return a column as integers or strings: an integer and its decimal text are the same id.

    Parameters
    ----------
    column : IdColumn
        Of either kind.
    kind : {"int", "str"}
        The kind wanted.
    where : str
        Heads messages.

    Returns
    -------
    IdColumn

    Raises
    ------
    TypeError
        If integers are wanted, and a string is not the decimal text of one.
    """
    if column.kind == kind:
        return column
    ids = column.ids
    if isinstance(ids, TextTable):
        position = ids.first_not_integer
        if position >= 0:
            raise TypeError(
                f"{where} must be integers, or their decimal texts, for what they are compared with are integers; "
                f"got {ids[position]!r} at entry {column.entry_of(position)} (to have strings on both sides, load with "
                "id_type='str' or convert with .astype(str), and fit again)"
            )
        numbers = as_id_column(ids.integers(), where).ids
        return IdColumn(numbers, column.codes)
    numbers, codes = np.unique(ids, return_inverse=True)
    texts = TextTable.of([str(number) for number in numbers.tolist()])
    return IdColumn(texts, codes.reshape(-1).astype(np.int32))


def distinct(column: IdColumn, n_threads: int = 0) -> IdMap:
    """Return the map of the distinct ids of a column, ascending.

    Parameters
    ----------
    column : IdColumn
        Strings with codes, or integers.
    n_threads : int, default 0
        Threads to use; 0: :func:`fastcf.get_num_threads`.

    Returns
    -------
    IdMap

    Raises
    ------
    ValueError
        If there are 2^31 - 1 or more distinct ids: rows are 32-bit numbers.
    """
    ids = column.ids
    if isinstance(ids, TextTable):
        return IdMap._trusted(ids if column.codes is not None else TextTable(*ingest.unite_texts([ids.pair])[:2]))
    if ids.dtype.kind == "i":
        return IdMap._trusted(ingest.unique_ids(ids, n_threads=n_threads))
    return IdMap._trusted(np.unique(ids))


def joined(ids: IdMap, more: IdMap, where: str) -> IdMap:
    """Return the map of ``ids``, followed by others that it does not have.

    Parameters
    ----------
    ids : IdMap
        Rows 0..n-1.
    more : IdMap
        None of them among ``ids``: rows n..n+m-1.
    where : str
        Heads messages.

    Returns
    -------
    IdMap
        Of the kind of ``ids``.

    Raises
    ------
    TypeError
        If ``ids`` are integers, and a string among the others is not the decimal text of one.
    """
    first, second = ids.column.ids, _in_order(as_kind(more.column, ids.kind, where))
    if isinstance(first, TextTable) or isinstance(second, TextTable):
        assert isinstance(first, TextTable)
        assert isinstance(second, TextTable)
        return IdMap(IdColumn(first.followed_by(second)))
    if first.dtype.kind != second.dtype.kind:  # integers of different widths: NumPy would make floats of them
        first, second = first.astype(object), second.astype(object)
    return IdMap(np.concatenate([first, second]))


def _in_order(column: IdColumn) -> NDArray[Any] | TextTable:
    """Return the ids of a column, an entry each."""
    if column.codes is None:
        return column.ids
    return column.ids.take(column.codes) if isinstance(column.ids, TextTable) else column.ids[column.codes]


def extended(ids: IdMap, more: IdMap, where: str) -> IdMap:
    """Return the map of ``ids``, followed by those of ``more`` that it lacks; ``ids`` itself if it lacks none.

    Parameters
    ----------
    ids : IdMap
        Rows 0..n-1.
    more : IdMap
        Other ids.
    where : str
        Heads messages.

    Returns
    -------
    IdMap
        Of the kind of ``ids``.

    Raises
    ------
    TypeError
        As :func:`joined`.
    """
    if len(ids) == 0 and len(more) > 0:
        return more
    new = np.flatnonzero(ids.find(more, where) < 0)
    return ids if new.size == 0 else joined(ids, more.take(new), where)
