"""Ratings: the one container every estimator learns from."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from fastcf import _columns
from fastcf._arrow_tables import arrow_columns, table_source
from fastcf._assembly import ItemView, Options, build, build_from_scipy, entry_mask, frozen, pair_columns
from fastcf._backend import ingest
from fastcf._columns import float_vector, time_vector
from fastcf._dense import dense_parts
from fastcf._derived import Derived
from fastcf._id_columns import arrow_ids, as_id_column
from fastcf._parameters import check_n_threads
from fastcf._tables import Coded, Column, Tabular
from fastcf._texts import IdColumn
from fastcf.errors import DataError
from fastcf.ids import IdMap, extended
from fastcf.serialization import Archive, load_archive, save_archive

__all__ = ["IdMap", "ItemView", "Ratings", "as_ratings", "merged"]

_T = TypeVar("_T")


class Ratings(Tabular):
    """Ratings of items by users: compressed rows by user, with the caller's ids. Immutable.

    Made by :meth:`from_coo`, :meth:`from_rows`, :meth:`from_scipy`, :meth:`from_dense` or :meth:`from_arrow`, or by a
    loader of :mod:`fastcf.data`; the constructor takes what those have made. What is stored is what was rated: an entry
    of value 0 is a rating of 0. ``to_frame``, ``to_arrow`` and ``to_dicts`` give a table with the columns user, item,
    rating and, where there are any, timestamp and weight.

    Parameters
    ----------
    indptr : ndarray of shape (n_users + 1,), int64
        Ratings of user row ``u`` are at ``indptr[u]:indptr[u + 1]``.
    indices : ndarray of shape (nnz,), int32
        Item rows, strictly ascending within each user.
    values : ndarray of shape (nnz,), float32
        The ratings, finite.
    users, items : IdMap
        The ids behind the rows.
    timestamps : ndarray of shape (nnz,), int64, optional
        When each rating was given (any unit; seconds since 1970 in the usual files).
    weights : ndarray of shape (nnz,), float32, optional
        Non-negative weight of each rating in the training objective.

    Attributes
    ----------
    indptr, indices, values, timestamps, weights, users, items
        As above; the arrays are read-only.
    n_users, n_items, n_ratings : int
        Sizes; ``shape`` is ``(n_users, n_items)``, ``nnz`` equals ``n_ratings``.
    rating_range : tuple of float
        Smallest and largest rating (nan, nan where there are none).
    mean : float
        Mean rating, summed in float64.

    Raises
    ------
    TypeError, ValueError
        If the arrays do not fit together; every entry is checked. The arrays are taken over without a copy: do not
        write to them afterwards.

    Examples
    --------
    >>> ratings = Ratings.from_coo(["ann", "bob", "ann"], [50, 50, 7], [5.0, 3.0, 4.5])
    >>> ratings
    Ratings(2 users x 2 items, 3 ratings from 3 to 5)
    """

    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        *,
        users: IdMap,
        items: IdMap,
        timestamps: NDArray[np.int64] | None = None,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        ingest.check_ratings(indptr, indices, values, len(items), "Ratings")
        if indptr.size != len(users) + 1:
            raise ValueError(
                f"Ratings: indptr must have {len(users) + 1} entries for {len(users)} users; got {indptr.size}"
            )
        float_vector(values, "Ratings", "values")
        if timestamps is not None:
            timestamps = time_vector(timestamps, "Ratings", "timestamps")
        if weights is not None:
            weights = float_vector(weights, "Ratings", "weights", non_negative=True)
        for name, array in (("timestamps", timestamps), ("weights", weights)):
            if array is not None and array.size != indices.size:
                raise ValueError(f"Ratings: {name} must have {indices.size} entries; got {array.size}")
        self._set(indptr, indices, values, users, items, timestamps, weights)

    def _set(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        users: IdMap,
        items: IdMap,
        timestamps: NDArray[np.int64] | None,
        weights: NDArray[np.float32] | None,
    ) -> Ratings:
        self._indptr: NDArray[np.int64] = frozen(indptr)
        self._indices: NDArray[np.int32] = frozen(indices)
        self._values: NDArray[np.float32] = frozen(values)
        self._timestamps: NDArray[np.int64] | None = None if timestamps is None else frozen(timestamps)
        self._weights: NDArray[np.float32] | None = None if weights is None else frozen(weights)
        self._users = users
        self._items = items
        self._by_item: ItemView | None = None
        self._range: tuple[float, float] | None = None
        self._mean: float | None = None
        self._derived = Derived()
        return self

    # --------------------------------------------------------------------------------------------- construction

    @classmethod
    def from_coo(
        cls,
        users: ArrayLike,
        items: ArrayLike,
        values: ArrayLike,
        *,
        timestamps: ArrayLike | None = None,
        time_unit: str = "auto",
        weights: ArrayLike | None = None,
        duplicates: str = "error",
        user_ids: IdMap | None = None,
        item_ids: IdMap | None = None,
        n_threads: int | None = None,
    ) -> Ratings:
        """Build from arrays with one entry per rating, in any order.

        Parameters
        ----------
        users, items : array-like of shape (n,)
            Ids: integers of any size, or strings.
        values : array-like of shape (n,)
            The ratings; stored as float32.
        timestamps : array-like of shape (n,), optional
            Seconds since 1970, or other numbers, see ``time_unit``; datetime64, datetimes and dates of Python and
            pandas, with or without a zone (UTC), or texts as :func:`fastcf.data.read_log` takes them. Fractions of
            seconds are dropped.
        time_unit : {"auto", "s", "ms", "us", "ns", "date"}, default "auto"
            What numeric timestamps are; see :func:`fastcf.data.read_log`. They are stored in seconds.
        weights : array-like of shape (n,), optional
            Non-negative weights; stored as float32.
        duplicates : {"error", "last", "latest", "max", "mean", "sum"}, default "error"
            What to do where a (user, item) pair occurs more than once. ``"last"`` keeps the last entry, ``"latest"``
            the one with the largest timestamp, ``"max"`` the one with the largest rating (of equal ones the last),
            each with its timestamp and weight. ``"mean"`` keeps the mean rating, weighted where there are weights,
            and the sum of the weights (the same objective up to a constant). ``"sum"`` keeps the sum of the ratings and
            the mean weight. The last two keep the latest timestamp.
        user_ids, item_ids : IdMap, optional
            Number users or items by these maps, for example those of the training ratings, in place of the distinct
            ids of the data.
        n_threads : int, optional
            Threads to use; by default :func:`fastcf.get_num_threads`. The result does not depend on it.

        Returns
        -------
        Ratings
            Users and items in ascending order of their ids.

        Raises
        ------
        TypeError
            If an array has the wrong kind of entries (booleans are neither ids nor ratings).
        ValueError
            If there are no ratings, lengths differ, a rating is not finite, a weight is negative, an id is not in
            the map given, or a pair occurs twice under ``duplicates="error"``; the message names value and entry.

        Notes
        -----
        Takes time linear in n, and 14 bytes per rating beside the arguments while it works (int32 and int64 ids within
        a modest range), 8 of which are the result.
        """
        options = Options(duplicates, n_threads, "Ratings.from_coo", user_ids, item_ids)
        return assembled(users, items, values, options, timestamps, weights, time_unit)

    @classmethod
    def from_rows(cls, X: ArrayLike, y: ArrayLike, **options: Any) -> Ratings:
        """Build from pairs of ids and the ratings of those pairs.

        Parameters
        ----------
        X : array-like of shape (n, 2)
            User and item ids; an array of objects, or a list of pairs, may hold strings beside integers.
        y : array-like of shape (n,)
            The ratings.
        **options
            As for :meth:`from_coo`.

        Returns
        -------
        Ratings

        Raises
        ------
        TypeError, ValueError
            As :meth:`from_coo`, and if ``X`` does not have two columns.
        """
        return cls.from_coo(*pair_columns(X, "Ratings.from_rows"), y, **options)

    @classmethod
    def from_scipy(
        cls,
        matrix: Any,
        *,
        duplicates: str = "error",
        n_threads: int | None = None,
    ) -> Ratings:
        """Build from a SciPy sparse matrix, users x items; ids are 0..n-1.

        Parameters
        ----------
        matrix : sparse matrix or array of shape (n_users, n_items)
            Every stored entry is a rating, stored zeros too.
        duplicates, n_threads
            As for :meth:`from_coo`.

        Returns
        -------
        Ratings
            Owns its arrays; users without ratings keep their empty rows.

        Raises
        ------
        TypeError, ValueError
            If it is no two-dimensional sparse matrix of finite real numbers, or stores nothing.
        """
        options = Options(duplicates, n_threads, "Ratings.from_scipy")
        return cls.__new__(cls)._set(*build_from_scipy(matrix, options))

    @classmethod
    def from_dense(
        cls,
        Y: Any,
        R: Any = None,
        missing: float | Sequence[float] = float("nan"),
        items_first: bool = False,
        *,
        users: ArrayLike | IdMap | None = None,
        items: ArrayLike | IdMap | None = None,
    ) -> Ratings:
        """Build from a dense table: of ratings with holes, or of ratings and of which of them there are.

        Parameters
        ----------
        Y : array-like of shape (n_users, n_items), or pandas or Polars data frame
            The ratings. NaN, masked and other missing entries are no ratings; zeros are.
        R : array-like of the same shape, optional
            1 where there is a rating, else 0. What ``Y`` has elsewhere is not looked at.
        missing : float or sequence of float, default nan
            Further values that stand for "not rated", such as 0 or 99; not with ``R``.
        items_first : bool, default False
            Whether rows are items and columns users, (n_items, n_users).
        users, items : array-like or IdMap, optional
            The ids. By default a pandas data frame's index and columns, a Polars data frame's columns, else 0, 1, ...

        Returns
        -------
        Ratings
            Users and items in the order of the table; those without ratings keep their rows.

        Raises
        ------
        TypeError, ValueError
            If ``Y`` is no table of real numbers or holds no ratings, a rating is not finite, ``R`` or the ids do not
            fit it; the message names the value and its place.

        Examples
        --------
        >>> Ratings.from_dense([[5, 0], [4, 3]], missing=0)
        Ratings(2 users x 2 items, 3 ratings from 3 to 5)
        """
        return cls.__new__(cls)._set(*dense_parts(Y, R, missing, items_first, users, items, "Ratings.from_dense"))

    @classmethod
    def from_arrow(
        cls,
        table: Any,
        user: str = "user",
        item: str = "item",
        rating: str = "rating",
        timestamp: str | None = None,
        weight: str | None = None,
        *,
        time_unit: str = "auto",
        duplicates: str = "error",
        user_ids: IdMap | None = None,
        item_ids: IdMap | None = None,
        n_threads: int | None = None,
    ) -> Ratings:
        """Build from any Arrow table or stream: pandas, Polars, DuckDB, pyarrow. Needs the extra ``fastcf[arrow]``.

        Parameters
        ----------
        table : object with ``__arrow_c_stream__``, Polars LazyFrame or pyarrow Dataset
            A table, data frame or relation, or a stream of record batches, which is read to its end. Of a lazy frame
            and a dataset only the named columns are read.
        user, item, rating : str
            Names of the columns. Ids are integers, strings or categories (dictionaries) of those; ratings integers,
            floats or decimals.
        timestamp, weight : str, optional
            Names of further columns. Dates and timestamps become seconds since 1970; numbers and texts as for
            :meth:`from_coo`.
        time_unit, duplicates, user_ids, item_ids, n_threads
            As for :meth:`from_coo`.

        Returns
        -------
        Ratings

        Raises
        ------
        ImportError
            If pyarrow is not installed.
        TypeError, ValueError
            As :meth:`from_coo`, and for a missing column or a null; the message names the column and the row.
        """
        caller = "Ratings.from_arrow"
        names = {"user": user, "item": item, "rating": rating, "timestamp": timestamp, "weight": weight}
        wanted = {role: name for role, name in names.items() if name is not None}
        columns = arrow_columns(table_source(table, caller), wanted, caller)
        times, weights = columns.get("timestamp"), columns.get("weight")
        return from_columns(
            arrow_ids(columns["user"], f"{caller}: column {user!r}"),
            arrow_ids(columns["item"], f"{caller}: column {item!r}"),
            _columns.arrow_numbers(columns["rating"], rating, caller),
            None if times is None else _columns.arrow_times(times, str(timestamp), caller, time_unit),
            None if weights is None else _columns.arrow_numbers(weights, str(weight), caller, non_negative=True),
            Options(duplicates, n_threads, caller, user_ids, item_ids),
        )

    # --------------------------------------------------------------------------------------------------- access

    @property
    def indptr(self) -> NDArray[np.int64]:
        """Where each user's ratings begin, int64 of shape (n_users + 1,)."""
        return self._indptr

    @property
    def indices(self) -> NDArray[np.int32]:
        """Item row of each rating, int32 of shape (nnz,), ascending within a user."""
        return self._indices

    @property
    def values(self) -> NDArray[np.float32]:
        """The ratings, float32 of shape (nnz,)."""
        return self._values

    @property
    def timestamps(self) -> NDArray[np.int64] | None:
        """When each rating was given, int64 of shape (nnz,), or None."""
        return self._timestamps

    @property
    def weights(self) -> NDArray[np.float32] | None:
        """Weight of each rating, float32 of shape (nnz,), or None."""
        return self._weights

    @property
    def users(self) -> IdMap:
        """User ids by row."""
        return self._users

    @property
    def items(self) -> IdMap:
        """Item ids by row."""
        return self._items

    @property
    def n_users(self) -> int:
        """Number of user rows, those without ratings included."""
        return len(self._users)

    @property
    def n_items(self) -> int:
        """Number of item rows, those without ratings included."""
        return len(self._items)

    @property
    def n_ratings(self) -> int:
        """Number of ratings."""
        return int(self._values.size)

    @property
    def nnz(self) -> int:
        """Number of ratings, by SciPy's name for it."""
        return int(self._values.size)

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_users, n_items)``."""
        return self.n_users, self.n_items

    @property
    def rating_range(self) -> tuple[float, float]:
        """Smallest and largest rating; (nan, nan) where there are none."""
        if self._range is None:
            ends = (self._values.min(), self._values.max()) if self.nnz else (np.nan, np.nan)
            self._range = float(ends[0]), float(ends[1])
        return self._range

    @property
    def mean(self) -> float:
        """Mean rating, summed in float64; nan where there are none."""
        if self._mean is None:
            self._mean = float(self._values.mean(dtype=np.float64)) if self.nnz else float("nan")
        return self._mean

    def by_item(self) -> ItemView:
        """Return the ratings by item; computed on first use (8 bytes per rating), then kept."""
        if self._by_item is None:
            self._by_item = ItemView(self._indptr, self._indices, self._values, self.n_items, self._weights)
        return self._by_item

    def derived(self, key: Hashable, compute: Callable[[], _T]) -> _T:
        """Return what follows from these ratings alone; the last 8 results are kept, so that models share them.

        Parameters
        ----------
        key : hashable
            What the result depends on besides the ratings.
        compute : callable
            Computes it; called if no result of this key is kept. Nobody may write to the result.

        Returns
        -------
        object
            The result.
        """
        return self._derived.get(key, compute)

    def user_counts(self) -> NDArray[np.int64]:
        """Return the number of ratings of each user, int64 of shape (n_users,)."""
        return np.diff(self._indptr)

    def item_counts(self) -> NDArray[np.int64]:
        """Return the number of ratings of each item, int64 of shape (n_items,)."""
        return np.bincount(self._indices, minlength=self.n_items)

    def row_of_entry(self) -> NDArray[np.int32]:
        """Return the user row of each stored rating, int32 of shape (nnz,)."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self._indptr))

    def take(self, entries: ArrayLike) -> Ratings:
        """Return some of the ratings, in stored order and with the same id maps.

        Parameters
        ----------
        entries : array-like
            A boolean mask of shape (nnz,), or distinct positions 0..nnz-1 of the stored order.

        Returns
        -------
        Ratings
            Possibly empty; users and items keep their rows.

        Raises
        ------
        TypeError
            If the entries are neither booleans nor integers.
        ValueError
            If a mask has the wrong length, or a position is out of range or repeated.
        """
        selected = np.asarray(entries)
        if selected.dtype != bool:
            selected = entry_mask(selected, self.nnz)
        elif selected.shape != (self.nnz,):
            raise ValueError(f"Ratings.take: a mask must have shape ({self.nnz},); got {selected.shape}")
        columns = (self._indices, self._values, self._timestamps, self._weights)
        present = [column for column in columns if column is not None]
        indptr, parts = ingest.csr_subset(self._indptr, np.ascontiguousarray(selected), present)
        indices, values, *rest = parts
        timestamps = None if self._timestamps is None else rest.pop(0)
        weights = None if self._weights is None else rest.pop(0)
        return Ratings.__new__(Ratings)._set(indptr, indices, values, self._users, self._items, timestamps, weights)

    def with_values(self, values: ArrayLike) -> Ratings:
        """Return the same pairs with other values.

        Parameters
        ----------
        values : array-like of shape (nnz,)
            Finite numbers, in stored order; kept as float32.

        Returns
        -------
        Ratings
            With the ids, timestamps and weights of these.

        Raises
        ------
        TypeError, ValueError
            If they are no numbers, not finite, or not one for each rating.
        """
        return Ratings(
            self._indptr,
            self._indices,
            float_vector(values, "Ratings.with_values", "values"),
            users=self._users,
            items=self._items,
            timestamps=self._timestamps,
            weights=self._weights,
        )

    def to_scipy(self) -> scipy.sparse.csr_matrix:
        """Return a SciPy CSR matrix, users x items, that owns copies of the arrays."""
        return scipy.sparse.csr_matrix((self._values.copy(), self._indices.copy(), self._indptr.copy()), self.shape)

    def to_coo(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]:
        """Return (user ids, item ids, ratings), an entry per rating, ordered by user row and item row."""
        return self._users.ids[self.row_of_entry()], self._items.ids[self._indices], self._values.copy()

    def save(self, path: str | os.PathLike[str], *, metadata: Mapping[str, Any] | None = None) -> None:
        """Write the ratings to a file, atomically, that :meth:`load` opens at once.

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced. 8 bytes per rating, 8 more with timestamps, 4 with weights.
        metadata : mapping, optional
            JSON values of the caller's own, which :func:`fastcf.read_metadata` gives back.

        Raises
        ------
        TypeError
            If metadata cannot be stored as JSON; the message names the value.
        OSError
            If the file cannot be written; an existing one is left as it was.
        """
        arrays: dict[str, Any] = {"user_ids": self._users.column.ids, "item_ids": self._items.column.ids}
        arrays |= {"indptr": self._indptr}
        arrays |= {"indices": self._indices, "values": self._values}
        optional = {"timestamps": self._timestamps, "weights": self._weights}
        arrays |= {name: array for name, array in optional.items() if array is not None}
        save_archive(path, Archive("Ratings", {}, arrays), metadata=metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = True) -> Ratings:
        """Open a file that :meth:`save` or ``fastcf convert`` wrote.

        Parameters
        ----------
        path : path-like
            The file.
        mmap : bool, default True
            Whether arrays are views of the file's memory map: processes share its memory, and ids, bounds and values
            are checked (2 ms per million ratings), but not the checksum. The file must not be written to meanwhile;
            :meth:`save` replaces it. False: all is read, and compared with the checksum.

        Returns
        -------
        Ratings

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        DataError
            If it holds something else, or is damaged or cut short.
        """
        archive = load_archive(path, mmap=mmap)
        if archive.class_name != "Ratings":
            raise DataError(f"{archive.path}: holds a {archive.class_name}, not Ratings; load it with fastcf.load")
        with archive.reading("is damaged"):
            users, items = archive.ids("user_ids"), archive.ids("item_ids")
            given = {name: archive.array(name) for name in ("timestamps", "weights") if name in archive.arrays}
            indptr, indices = archive.array("indptr", np.int64), archive.array("indices", np.int32)
            return cls(indptr, indices, archive.array("values", np.float32), users=users, items=items, **given)

    def _columns(self, n: int | None = None) -> dict[str, Column]:
        rows = self.row_of_entry() if n is None else np.searchsorted(self._indptr, np.arange(n), "right") - 1
        columns: dict[str, Column] = {
            "user": Coded(self._users.ids, rows[:n].astype(np.int32, copy=False)),
            "item": Coded(self._items.ids, self._indices[:n]),
            "rating": self._values[:n],
        }
        for name, array in (("timestamp", self._timestamps), ("weight", self._weights)):
            if array is not None:
                columns[name] = array[:n]
        return columns

    def _n_rows(self) -> int:
        return self.nnz

    def __len__(self) -> int:
        return self.nnz

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Refuse to become an array, which NumPy would make of the object as a whole."""
        raise TypeError(
            "Ratings: are no array; to_scipy() is a matrix. To scikit-learn a rating is a row: pass the pairs of ids, "
            "X = np.stack(ratings.to_coo()[:2], axis=1), and y = ratings.values; or search with "
            "fastcf.model_selection.GridSearch and cut with fastcf.data.k_folds, which take Ratings"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        parts = self._indptr, self._indices, self._values, self._users, self._items, self._timestamps, self._weights
        return _restore, parts

    def __repr__(self) -> str:
        low, high = self.rating_range
        span = f" from {low:g} to {high:g}" if self.nnz else ""
        extras = "".join(f", {name}" for name in ("timestamps", "weights") if getattr(self, name) is not None)
        return f"Ratings({self.n_users:,} users x {self.n_items:,} items, {self.nnz:,} ratings{span}{extras})"


def _restore(*parts: Any) -> Ratings:
    """Unpickle; the arrays are checked again, for the file may be damaged."""
    indptr, indices, values, users, items, timestamps, weights = parts
    return Ratings(indptr, indices, values, users=users, items=items, timestamps=timestamps, weights=weights)


def assembled(
    users: ArrayLike | IdColumn,
    items: ArrayLike | IdColumn,
    values: ArrayLike,
    options: Options,
    timestamps: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    time_unit: str = "s",
) -> Ratings:
    """Return ratings as :meth:`Ratings.from_coo` does; ``options`` name the caller for messages."""
    caller = options.caller
    threads = check_n_threads(options.n_threads, caller)
    return from_columns(
        users if isinstance(users, IdColumn) else as_id_column(users, f"{caller}: users", threads),
        items if isinstance(items, IdColumn) else as_id_column(items, f"{caller}: items", threads),
        float_vector(values, caller, "ratings"),
        None if timestamps is None else time_vector(timestamps, caller, "timestamps", time_unit),
        None if weights is None else float_vector(weights, caller, "weights", non_negative=True),
        options,
    )


def from_columns(
    users: IdColumn,
    items: IdColumn,
    values: NDArray[np.float32],
    timestamps: NDArray[np.int64] | None,
    weights: NDArray[np.float32] | None,
    options: Options,
) -> Ratings:
    """Return ratings built from checked columns; see :func:`fastcf._assembly.build`."""
    return Ratings.__new__(Ratings)._set(*build(users, items, values, timestamps, weights, options))


def merged(old: Ratings, new: Ratings, caller: str) -> Ratings:
    """Return the entries of both, those of ``new`` where both have a pair; rows of ``old`` stay where they are.

    Parameters
    ----------
    old, new : Ratings
        Without timestamps and weights.
    caller : str
        Heads messages.

    Returns
    -------
    Ratings

    Raises
    ------
    TypeError
        If the ids are of kinds that cannot be matched.
    """
    users = extended(old.users, new.users, f"{caller}: users")
    items = extended(old.items, new.items, f"{caller}: items")
    rows, columns = users.rows(new.users)[new.row_of_entry()], items.rows(new.items)[new.indices]
    both = Ratings.from_coo(
        np.concatenate([old.row_of_entry(), rows]),
        np.concatenate([old.indices, columns]),
        np.concatenate([old.values, new.values]),
        user_ids=IdMap.range(len(users)),
        item_ids=IdMap.range(len(items)),
        duplicates="last",
    )
    return Ratings(both.indptr, both.indices, both.values, users=users, items=items)


def as_ratings(
    X: Any,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    *,
    caller: str,
    counted: bool = False,
    duplicates: str = "error",
) -> Ratings:
    """Return as :class:`Ratings` what an estimator was given.

    Parameters
    ----------
    X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
        The ratings (see :meth:`Ratings.from_scipy`), or user and item ids (see :meth:`Ratings.from_rows`).
    y : array-like of shape (n,), optional
        The ratings; required with an (n, 2) array, refused otherwise.
    sample_weight : array-like of shape (n,), optional
        Weights of the pairs, or of the stored entries. Pairs may then be repeated: they get their mean rating and the
        sum of their weights.
    caller : str
        Named in error messages.
    counted : bool, default False
        Whether ``y`` may be None with an (n, 2) array: the values are then how often a pair occurs.
    duplicates : str, default "error"
        What becomes of repeated pairs without weights; see :meth:`Ratings.from_coo`.

    Returns
    -------
    Ratings
        With at least one rating.

    Raises
    ------
    TypeError, ValueError
        If the input is none of these, or holds what the makers of :class:`Ratings` refuse.
    """
    whole = isinstance(X, Ratings) or scipy.sparse.issparse(X)
    if whole and y is not None:
        raise ValueError(f"{caller}: y must be None where X holds the ratings; got {type(y).__name__}")
    weights = None
    if sample_weight is not None:
        weights = float_vector(sample_weight, caller, "sample_weight", non_negative=True)
    if isinstance(X, Ratings):
        if X.nnz == 0:
            raise ValueError(f"{caller}: ratings must not be empty; got 0 entries")
        return X if weights is None else _weighted(X, weights, caller)
    maker = "Ratings.from_scipy(X" if whole else "Ratings.from_rows(X, y"
    remedy = f"hand over {maker}, duplicates=...) with 'last', 'latest', 'max', 'mean' or 'sum', or sample_weight"
    options = Options(duplicates if weights is None else "mean", None, caller, remedy=remedy)
    if whole:
        return Ratings.__new__(Ratings)._set(*build_from_scipy(X, options, weights))
    if y is None and counted:
        columns = pair_columns(X, caller)
        ones = np.ones(len(columns[0]), np.float32)
        return assembled(*columns, ones, Options("sum", None, caller), weights=weights)
    if y is None:
        raise ValueError(
            f"{caller}: y must hold the ratings where X is an (n, 2) array of ids; got None "
            "(or hand over Ratings or a SciPy sparse matrix)"
        )
    return assembled(*pair_columns(X, caller), y, options, weights=weights)


def _weighted(ratings: Ratings, weights: NDArray[np.float32], caller: str) -> Ratings:
    """Return ratings with weights of their entries."""
    if ratings.weights is not None:
        raise ValueError(f"{caller}: sample_weight must be None for ratings that have weights of their own")
    if weights.size != ratings.nnz:
        raise ValueError(
            f"{caller}: sample_weight must have as many entries as ratings ({ratings.nnz}); got {weights.size}"
        )
    parts = ratings.indptr, ratings.indices, ratings.values, ratings.users, ratings.items, ratings.timestamps
    return Ratings.__new__(Ratings)._set(*parts, weights)
