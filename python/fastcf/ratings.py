"""Ratings: the one container every estimator learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from fastcf.ids import IdMap, as_id_array, factorize

__all__ = ["IdMap", "ItemView", "Ratings", "as_ratings"]

_DUPLICATES = ("error", "last", "mean", "sum")


class ItemView(NamedTuple):
    """Ratings by item (compressed sparse columns); what :meth:`Ratings.by_item` returns.

    Attributes
    ----------
    indptr : ndarray of shape (n_items + 1,), int64
        Ratings of item ``i`` stand at ``indptr[i]:indptr[i + 1]``.
    indices : ndarray of shape (nnz,), int32
        User rows, ascending within an item.
    values : ndarray of shape (nnz,), float32
        The ratings.
    entries : ndarray of shape (nnz,), int64
        Position of each rating in the order by user, to reach its timestamp or weight.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]
    entries: NDArray[np.int64]


def _vector(array: ArrayLike, caller: str, name: str) -> NDArray[Any]:
    """Return ``array`` as a one-dimensional NumPy array, refusing masked entries."""
    if np.ma.is_masked(array):
        entry = int(np.flatnonzero(np.ma.getmaskarray(array))[0])
        raise ValueError(f"{caller}: {name} must have no missing values; got a masked value at entry {entry}")
    vector = np.asarray(array)
    if vector.ndim != 1:
        raise ValueError(f"{caller}: {name} must be one-dimensional; got shape {vector.shape}")
    return vector


def _float_vector(array: ArrayLike, caller: str, name: str, *, non_negative: bool = False) -> NDArray[np.float32]:
    """Return a contiguous float32 vector of finite (and, where asked, non-negative) numbers."""
    vector = _vector(array, caller, name)
    if vector.dtype == object and all(isinstance(v, (int, float, np.number)) for v in vector):
        vector = vector.astype(np.float64)
    if vector.dtype.kind not in "iuf":
        hint = "; say what they mean with .astype(np.float32)" if vector.dtype.kind == "b" else ""
        raise TypeError(f"{caller}: {name} must be real numbers; got dtype {vector.dtype}{hint}")
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(vector, dtype=np.float32)
    bad = ~np.isfinite(result)
    if bad.any():
        entry = int(np.argmax(bad))
        raise ValueError(f"{caller}: {name} must be finite (in float32); got {vector[entry]} at entry {entry}")
    if non_negative:
        negative = result < 0
        if negative.any():
            entry = int(np.argmax(negative))
            raise ValueError(f"{caller}: {name} must be non-negative; got {vector[entry]} at entry {entry}")
    return result


def _time_vector(array: ArrayLike, caller: str, name: str) -> NDArray[np.int64]:
    """Return timestamps as a contiguous int64 vector; datetime64 becomes seconds since 1970."""
    vector = _vector(array, caller, name)
    if vector.dtype.kind == "M":
        missing = np.isnat(vector)
        if missing.any():
            raise ValueError(f"{caller}: {name} must have no missing values; got NaT at entry {int(missing.argmax())}")
        vector = vector.astype("datetime64[s]").astype(np.int64)
    if vector.dtype.kind not in "iu":
        raise TypeError(f"{caller}: {name} must be integers or datetime64; got dtype {vector.dtype}")
    if vector.dtype == np.uint64 and vector.size and vector.max() > np.iinfo(np.int64).max:
        entry = int(vector.argmax())
        raise ValueError(f"{caller}: {name} must fit int64; got {vector[entry]} at entry {entry}")
    return np.ascontiguousarray(vector, dtype=np.int64)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


class Ratings:
    """Ratings of items by users: compressed rows by user, with the caller's ids. Immutable.

    Made by :meth:`from_coo`, :meth:`from_rows`, :meth:`from_scipy` or :meth:`from_arrow`, or by a loader of
    :mod:`fastcf.data`. What is stored is what was rated: an entry of value 0 is a rating of 0.

    Parameters
    ----------
    indptr : ndarray of shape (n_users + 1,), int64
        Ratings of user row ``u`` stand at ``indptr[u]:indptr[u + 1]``.
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
        caller = "Ratings"
        if np.asarray(indptr).shape != (len(users) + 1,):
            raise ValueError(
                f"{caller}: indptr must have one entry more than there are users ({len(users)}); "
                f"got shape {np.asarray(indptr).shape}"
            )
        n = len(indices)
        for name, array in (("values", values), ("timestamps", timestamps), ("weights", weights)):
            if array is not None and len(array) != n:
                raise ValueError(f"{caller}: {name} must have as many entries as indices ({n}); got {len(array)}")
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
    ) -> None:
        self._indptr = _frozen(indptr)
        self._indices = _frozen(indices)
        self._values = _frozen(values)
        self._timestamps = None if timestamps is None else _frozen(timestamps)
        self._weights = None if weights is None else _frozen(weights)
        self._users = users
        self._items = items
        self._by_item: ItemView | None = None
        self._range: tuple[float, float] | None = None
        self._mean: float | None = None

    # ------------------------------------------------------------------------------------------- construction

    @classmethod
    def from_coo(
        cls,
        users: ArrayLike,
        items: ArrayLike,
        values: ArrayLike,
        *,
        timestamps: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        duplicates: str = "error",
        user_ids: IdMap | None = None,
        item_ids: IdMap | None = None,
        n_threads: int | None = None,
        caller: str = "Ratings.from_coo",
    ) -> Ratings:
        """Build from one array entry per rating. See the class for the meaning of the result."""
        if duplicates not in _DUPLICATES:
            raise ValueError(f"{caller}: duplicates must be one of {', '.join(_DUPLICATES)}; got {duplicates!r}")
        user_array = as_id_array(users, caller, "users")
        item_array = as_id_array(items, caller, "items")
        ratings = _float_vector(values, caller, "ratings")
        times = None if timestamps is None else _time_vector(timestamps, caller, "timestamps")
        weight = None if weights is None else _float_vector(weights, caller, "weights", non_negative=True)
        n = ratings.size
        for name, array in (("users", user_array), ("items", item_array), ("timestamps", times), ("weights", weight)):
            if array is not None and array.size != n:
                raise ValueError(f"{caller}: {name} must have as many entries as ratings ({n}); got {array.size}")
        if n == 0:
            raise ValueError(f"{caller}: ratings must not be empty; got 0 entries")
        user_map, user_codes = cls._encode(user_array, user_ids, caller, "users")
        item_map, item_codes = cls._encode(item_array, item_ids, caller, "items")
        key = user_codes.astype(np.int64) * len(item_map) + item_codes
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.concatenate(([True], key[1:] != key[:-1]))
        starts = np.flatnonzero(first)
        if starts.size != n:
            if duplicates == "error":
                again = order[np.flatnonzero(~first)]
                second = int(again.min())
                pair = (user_codes == user_codes[second]) & (item_codes == item_codes[second])
                raise ValueError(
                    f"{caller}: (user, item) pairs must be unique; got user {user_array[second]!s}, "
                    f"item {item_array[second]!s} at entries {int(np.argmax(pair))} and {second} "
                    "(duplicates='last', 'mean' or 'sum' would accept them)"
                )
            last = order[np.append(starts[1:], n) - 1]
            counts = np.diff(np.append(starts, n))
            if duplicates == "last":
                ratings = ratings[last]
                times = None if times is None else times[last]
                weight = None if weight is None else weight[last]
            else:
                w64 = None if weight is None else weight[order].astype(np.float64)
                v64 = ratings[order].astype(np.float64)
                total = np.add.reduceat(v64, starts)
                if duplicates == "sum":
                    ratings = total.astype(np.float32)
                    if w64 is not None:
                        weight = (np.add.reduceat(w64, starts) / counts).astype(np.float32)
                else:
                    mean = total / counts
                    if w64 is not None:
                        wsum = np.add.reduceat(w64, starts)
                        wmean = np.add.reduceat(v64 * w64, starts) / np.where(wsum > 0, wsum, 1)
                        mean = np.where(wsum > 0, wmean, mean)
                        weight = wsum.astype(np.float32)
                    ratings = mean.astype(np.float32)
                times = None if times is None else np.maximum.reduceat(times[order], starts)
            order = order[starts]
        else:
            ratings = ratings[order]
            times = None if times is None else times[order]
            weight = None if weight is None else weight[order]
        indptr = np.zeros(len(user_map) + 1, np.int64)
        np.cumsum(np.bincount(user_codes[order], minlength=len(user_map)), out=indptr[1:])
        return cls(indptr, item_codes[order], ratings, users=user_map, items=item_map, timestamps=times, weights=weight)

    @staticmethod
    def _encode(ids: NDArray[Any], known: IdMap | None, caller: str, name: str) -> tuple[IdMap, NDArray[np.int32]]:
        if known is None:
            return factorize(ids)
        codes = known.rows(ids)
        if codes.size and codes.min() < 0:
            entry = int(np.argmax(codes < 0))
            raise ValueError(f"{caller}: {name} must be known ids; got {ids[entry]!s} at entry {entry}")
        return known, codes

    @classmethod
    def from_rows(cls, X: ArrayLike, y: ArrayLike, **options: Any) -> Ratings:
        """Build from an (n, 2) array of user and item ids and the ratings of those pairs."""
        caller = options.setdefault("caller", "Ratings.from_rows")
        if isinstance(X, Sequence):
            pairs = np.array(X, dtype=object)
        else:
            pairs = np.asarray(X)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError(f"{caller}: X must have shape (n, 2), users and items; got {pairs.shape}")
        return cls.from_coo(pairs[:, 0], pairs[:, 1], y, **options)

    @classmethod
    def from_scipy(
        cls,
        matrix: Any,
        *,
        duplicates: str = "error",
        n_threads: int | None = None,
        caller: str = "Ratings.from_scipy",
    ) -> Ratings:
        """Build from a SciPy sparse matrix (users x items); ids are 0..n-1, stored zeros are ratings."""
        if not scipy.sparse.issparse(matrix):
            raise TypeError(f"{caller}: matrix must be a SciPy sparse matrix; got {type(matrix).__name__}")
        coo = matrix.tocoo()
        return cls.from_coo(
            coo.row,
            coo.col,
            coo.data,
            duplicates=duplicates,
            user_ids=IdMap.range(matrix.shape[0]),
            item_ids=IdMap.range(matrix.shape[1]),
            n_threads=n_threads,
            caller=caller,
        )

    # ------------------------------------------------------------------------------------------------- access

    @property
    def indptr(self) -> NDArray[np.int64]:
        return self._indptr

    @property
    def indices(self) -> NDArray[np.int32]:
        return self._indices

    @property
    def values(self) -> NDArray[np.float32]:
        return self._values

    @property
    def timestamps(self) -> NDArray[np.int64] | None:
        return self._timestamps

    @property
    def weights(self) -> NDArray[np.float32] | None:
        return self._weights

    @property
    def users(self) -> IdMap:
        return self._users

    @property
    def items(self) -> IdMap:
        return self._items

    @property
    def n_users(self) -> int:
        return len(self._users)

    @property
    def n_items(self) -> int:
        return len(self._items)

    @property
    def n_ratings(self) -> int:
        return int(self._values.size)

    @property
    def nnz(self) -> int:
        return int(self._values.size)

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_users, self.n_items

    @property
    def rating_range(self) -> tuple[float, float]:
        if self._range is None:
            empty = self.nnz == 0
            self._range = (
                float("nan") if empty else float(self._values.min()),
                float("nan") if empty else float(self._values.max()),
            )
        return self._range

    @property
    def mean(self) -> float:
        if self._mean is None:
            self._mean = float(self._values.mean(dtype=np.float64)) if self.nnz else float("nan")
        return self._mean

    def by_item(self) -> ItemView:
        """Return the ratings by item; computed on first use, then kept."""
        if self._by_item is None:
            entries = np.argsort(self._indices, kind="stable")
            indptr = np.zeros(self.n_items + 1, np.int64)
            np.cumsum(np.bincount(self._indices, minlength=self.n_items), out=indptr[1:])
            arrays = (indptr, self.row_of_entry()[entries], self._values[entries], entries)
            self._by_item = ItemView(*(_frozen(array) for array in arrays))
        return self._by_item

    def row_of_entry(self) -> NDArray[np.int32]:
        """Return the user row of each stored rating, int32 of shape (nnz,)."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self._indptr))

    def take(self, entries: ArrayLike) -> Ratings:
        """Return the ratings at these positions of the stored order, with the same id maps."""
        selected = np.asarray(entries)
        if selected.dtype != bool:
            mask = np.zeros(self.nnz, dtype=bool)
            mask[selected] = True
            selected = mask
        indptr = np.zeros(self.n_users + 1, np.int64)
        cumulated = np.concatenate(([0], np.cumsum(selected)))
        indptr[:] = cumulated[self._indptr]
        return Ratings(
            indptr,
            self._indices[selected],
            self._values[selected],
            users=self._users,
            items=self._items,
            timestamps=None if self._timestamps is None else self._timestamps[selected],
            weights=None if self._weights is None else self._weights[selected],
        )

    def to_scipy(self) -> scipy.sparse.csr_matrix:
        """Return a SciPy CSR matrix (users x items) that owns copies of the arrays."""
        return scipy.sparse.csr_matrix((self._values.copy(), self._indices.copy(), self._indptr.copy()), self.shape)

    def to_coo(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]:
        """Return (user ids, item ids, ratings), one entry per rating, by user then item."""
        return self._users.ids[self.row_of_entry()], self._items.ids[self._indices], self._values.copy()

    def __len__(self) -> int:
        return self.nnz

    def __repr__(self) -> str:
        low, high = self.rating_range
        extras = "".join(f", {name}" for name in ("timestamps", "weights") if getattr(self, name) is not None)
        span = f" from {low:g} to {high:g}" if self.nnz else ""
        return f"Ratings({self.n_users:,} users x {self.n_items:,} items, {self.nnz:,} ratings{span}{extras})"


def as_ratings(X: Any, y: ArrayLike | None = None, *, caller: str) -> Ratings:
    """Return what an estimator was given as :class:`Ratings`.

    Parameters
    ----------
    X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
        Users and items; see :meth:`Ratings.from_scipy` and :meth:`Ratings.from_rows`.
    y : array-like of shape (n,), optional
        The ratings; required with an (n, 2) array, refused otherwise.
    caller : str
        Named in error messages.
    """
    if isinstance(X, Ratings):
        if y is not None:
            raise ValueError(f"{caller}: y must be None where X holds the ratings; got {type(y).__name__}")
        if X.nnz == 0:
            raise ValueError(f"{caller}: ratings must not be empty; got 0 entries")
        return X
    if scipy.sparse.issparse(X):
        if y is not None:
            raise ValueError(f"{caller}: y must be None where X holds the ratings; got {type(y).__name__}")
        return Ratings.from_scipy(X, caller=caller)
    if y is None:
        raise ValueError(
            f"{caller}: y must hold the ratings where X is an (n, 2) array of user and item ids; got None "
            "(or hand over a Ratings or a SciPy sparse matrix)"
        )
    return Ratings.from_rows(X, y, caller=caller)
