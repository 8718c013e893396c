"""Ratings as a log: one row per line of the file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._assembly import Options
from fastcf._id_columns import as_id_column
from fastcf._texts import IdColumn, TextTable
from fastcf.data.left_out import LeftOut
from fastcf.errors import DataError
from fastcf.ids import as_kind
from fastcf.ratings import Ratings, assembled

__all__ = ["ID_TYPES", "RatingLog", "check_id_type", "id_column", "of_type", "ratings_of"]

ID_TYPES = ("auto", "int", "str")
"""What ids of a file may be said to be."""

_MOST_DIGITS = {"auto": 20, "int": 4300, "str": 0}  # of ids that are integers: 64 bits and a sign; Python's limit


class RatingLog:
    """The rows of a file of ratings, in file order.

    Parameters
    ----------
    users, items : array-like of shape (n,)
        The ids, integers or strings.
    ratings : ndarray of shape (n,), float32
        Finite.
    timestamps : ndarray of shape (n,), int64, optional
        Seconds since 1970.
    left_out : LeftOut, optional
        Malformed lines that were left out: how many, and the first of them.

    Attributes
    ----------
    users, items : ndarray of shape (n,)
        The ids: int64 (or uint64, where one needs it), or strings as NumPy's ``StringDType`` (object before NumPy 2).
        An array of strings is made when first asked for; a log holds each distinct string once.
    ratings, timestamps, left_out
        As above.
    """

    def __init__(
        self,
        users: ArrayLike | IdColumn,
        items: ArrayLike | IdColumn,
        ratings: NDArray[np.float32],
        timestamps: NDArray[np.int64] | None = None,
        left_out: LeftOut = LeftOut(),  # noqa: B008 - immutable
    ) -> None:
        self.user_column = users if isinstance(users, IdColumn) else as_id_column(users, "RatingLog: users")
        self.item_column = items if isinstance(items, IdColumn) else as_id_column(items, "RatingLog: items")
        self.ratings = ratings
        self.timestamps = timestamps
        self.left_out = left_out
        self._arrays: dict[str, NDArray[Any]] = {}

    @property
    def users(self) -> NDArray[Any]:
        """The users, an entry per row."""
        return self._array("users", self.user_column)

    @property
    def items(self) -> NDArray[Any]:
        """The items, an entry per row."""
        return self._array("items", self.item_column)

    def _array(self, name: str, column: IdColumn) -> NDArray[Any]:
        if name not in self._arrays:
            self._arrays[name] = column.array()
        return self._arrays[name]

    def rated(self) -> RatingLog:
        """Return the log without the rows whose rating is NaN."""
        kept = ~np.isnan(self.ratings)
        columns = (column.select(kept) for column in (self.user_column, self.item_column))
        times = None if self.timestamps is None else self.timestamps[kept]
        users, items = columns
        return RatingLog(users, items, self.ratings[kept], times, self.left_out)

    def to_ratings(self, duplicates: str = "error", **options: Any) -> Ratings:
        """Return the log as :class:`fastcf.Ratings`.

        Parameters
        ----------
        duplicates : {"error", "last", "latest", "max", "mean", "sum"}, default="error"
            How to combine several rows of the same user and item; ``"last"`` is the last in file order,
            ``"latest"`` has the largest timestamp.
        **options
            Further arguments of :meth:`fastcf.Ratings.from_coo`.

        Raises
        ------
        ValueError
            If a pair comes twice and ``duplicates="error"``, or the log is empty.
        """
        columns: dict[str, Any] = {"users": self.user_column, "items": self.item_column, "values": self.ratings}
        return Ratings.from_coo(**columns, timestamps=self.timestamps, duplicates=duplicates, **options)

    def __repr__(self) -> str:
        kinds = {"int": "integers", "str": "strings"}
        users, items = kinds[self.user_column.kind], kinds[self.item_column.kind]
        times = "" if self.timestamps is None else ", timestamps"
        return f"RatingLog({len(self.ratings):,} rows: users are {users}, items {items}{times})"


def ratings_of(log: RatingLog, duplicates: str, n_threads: int | None, caller: str) -> Ratings:
    """Return a log as ratings; ``caller`` heads messages."""
    options = Options(duplicates, n_threads, caller)
    return assembled(log.user_column, log.item_column, log.ratings, options, log.timestamps)


def id_column(found: Any, id_type: str, where: str) -> IdColumn:
    """Return ids as the native reader has them as a column: texts that are all integers are integers if they may be."""
    if not isinstance(found, tuple):
        return IdColumn(found)
    utf8, offsets, codes = found
    texts = TextTable(utf8, offsets)
    fits = np.diff(offsets).max(initial=0) <= _MOST_DIGITS[id_type]
    if fits and texts.first_not_integer < 0:
        values = texts.integers()
        if id_type == "int" or -(2**63) <= min(values, default=0) <= max(values, default=0) < 2**64:
            numbers = as_id_column(values, where).ids
            assert not isinstance(numbers, TextTable)
            return IdColumn(numbers[codes])
    if id_type == "int":
        raise DataError(f"{where}: ids of id_type='int' must have at most {_MOST_DIGITS['int']:,} digits")
    return IdColumn(texts, codes)


def of_type(column: IdColumn, id_type: str, where: str) -> IdColumn:
    """Return a column that has a type of its own as the type asked for; "auto": as it is."""
    if id_type == "auto":
        return column
    try:
        return as_kind(column, id_type, where)
    except TypeError as error:
        raise DataError(f"{error}") from None


def check_id_type(id_type: Any, caller: str) -> tuple[str, str]:
    """Return the types of users and of items."""
    both = (id_type, id_type) if isinstance(id_type, str) else id_type
    known = isinstance(both, (tuple, list)) and len(both) == 2
    if not (known and all(isinstance(each, str) and each in ID_TYPES for each in both)):
        raise ValueError(
            f"{caller}: id_type must be 'auto', 'int' or 'str', or a pair of these for users and items; got {id_type!r}"
        )
    return both[0], both[1]
