"""From columns of ids and numbers to compressed rows and columns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import ingest
from fastcf._columns import float_vector
from fastcf._parameters import check_n_threads
from fastcf._texts import IdColumn
from fastcf.ids import IdMap, distinct

__all__ = ["ItemView", "Options", "Parts", "build", "build_from_scipy", "entry_mask", "frozen", "pair_columns"]

_DUPLICATES = ("error", "last", "latest", "max", "mean", "sum")
_MAX_ROWS = 2**31 - 2


class _Encoded(NamedTuple):
    """Ids to be numbered: ``source`` holds rows (int32), or integers to look up in ``map`` as they are read."""

    map: IdMap
    source: NDArray[Any]
    is_rows: bool

    def rows(self, n_threads: int) -> NDArray[np.int32]:
        return self.source if self.is_rows else self.map.find(IdColumn(self.source), "", n_threads)

    def id_at(self, entry: int) -> Any:
        return self.map.ids[self.source[entry]] if self.is_rows else self.source[entry]


def _encode(column: IdColumn, known: IdMap | None, n_threads: int, where: str) -> _Encoded:
    """Number ids: by ``known`` where it is given, else by the distinct ids of the data. ``where`` heads messages."""
    if known is not None and not isinstance(known, IdMap):
        raise TypeError(f"{where} must be encoded by an IdMap; got {type(known).__name__}")
    if known is None:
        try:
            id_map = distinct(column, n_threads)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        if column.codes is not None:
            return _Encoded(id_map, column.codes, True)
        if isinstance(column.ids, np.ndarray) and column.ids.dtype.kind == "i":
            return _Encoded(id_map, column.ids, False)
        return _Encoded(id_map, id_map.find(column, where, n_threads), True)
    rows = known.find(column, where, n_threads)
    if rows.size and rows.min() < 0:
        entry = int(np.argmax(rows < 0))
        raise ValueError(f"{where} must be known ids; got {column.id_at(entry)} at entry {entry}")
    return _Encoded(known, rows, True)


class Parts(NamedTuple):
    """The parts of :class:`~fastcf.ratings.Ratings`."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]
    users: IdMap
    items: IdMap
    timestamps: NDArray[np.int64] | None
    weights: NDArray[np.float32] | None


class Options(NamedTuple):
    """How to build, as for :meth:`~fastcf.ratings.Ratings.from_coo`."""

    duplicates: str
    n_threads: int | None
    caller: str
    user_ids: IdMap | None = None
    item_ids: IdMap | None = None
    # Of the message where a pair rated twice is an error.
    remedy: str = "choose duplicates='last', 'latest', 'max', 'mean' or 'sum'"
    consume: bool = False  # the caller gives up values, timestamps and weights: they may be sorted in place


def pair_columns(X: ArrayLike, caller: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the columns of (n, 2) pairs of user and item ids."""
    pairs = np.array(X, dtype=object) if isinstance(X, (list, tuple)) else X
    pairs = pairs if isinstance(pairs, np.ma.MaskedArray) else np.asarray(pairs)  # as_id_column looks at masks
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        got = pairs.shape if pairs.ndim else f"a {type(X).__name__}, which is no array or list of rows"
        raise ValueError(f"{caller}: X must have shape (n, 2), user and item ids; got {got}")
    return pairs[:, 0], pairs[:, 1]


def build(
    users: IdColumn,
    items: IdColumn,
    values: NDArray[np.float32],
    timestamps: NDArray[np.int64] | None,
    weights: NDArray[np.float32] | None,
    options: Options,
) -> Parts:
    """Number the ids and sort the ratings by user and item.

    The columns come from the checks of :mod:`fastcf._id_columns` and :mod:`fastcf._columns`; only their lengths are
    checked. Raises TypeError and ValueError as :meth:`fastcf.ratings.Ratings.from_coo`.
    """
    caller = options.caller
    threads = check_n_threads(options.n_threads, caller)
    for name, column in (("users", users), ("items", items), ("timestamps", timestamps), ("weights", weights)):
        if column is not None and column.size != values.size:
            raise ValueError(
                f"{caller}: {name} must have as many entries as ratings ({values.size}); got {column.size}"
            )
    if values.size == 0:
        raise ValueError(f"{caller}: ratings must not be empty; got 0 entries")
    user_rows = _encode(users, options.user_ids, threads, f"{caller}: users")
    item_rows = _encode(items, options.item_ids, threads, f"{caller}: items")
    return _compress(user_rows, item_rows, values, timestamps, weights, options, threads)


def build_from_scipy(matrix: Any, options: Options, weights: NDArray[np.float32] | None = None) -> Parts:
    """Sort the stored entries of a SciPy sparse matrix; see :meth:`fastcf.ratings.Ratings.from_scipy`.

    ``weights`` are those of the entries, in stored order.
    """
    caller = options.caller
    if not scipy.sparse.issparse(matrix):
        raise TypeError(f"{caller}: matrix must be a SciPy sparse matrix; got {type(matrix).__name__}")
    if matrix.ndim != 2 or max(matrix.shape) > _MAX_ROWS:
        raise ValueError(
            f"{caller}: matrix must have 2 dimensions of at most {_MAX_ROWS} rows each; got shape {matrix.shape}"
        )
    coo = matrix.tocoo()
    values = float_vector(coo.data, caller, "ratings")
    if values.size == 0:
        raise ValueError(f"{caller}: ratings must not be empty; got 0 entries")
    if weights is not None and weights.size != values.size:
        raise ValueError(f"{caller}: weights must have as many entries as ratings ({values.size}); got {weights.size}")
    rows, columns = (
        _Encoded(IdMap.range(n), np.ascontiguousarray(codes, dtype=np.int32), True)
        for n, codes in zip(matrix.shape, (coo.row, coo.col), strict=True)
    )
    return _compress(rows, columns, values, None, weights, options, check_n_threads(options.n_threads, caller))


def _compress(
    users: _Encoded,
    items: _Encoded,
    values: NDArray[np.float32],
    timestamps: NDArray[np.int64] | None,
    weights: NDArray[np.float32] | None,
    options: Options,
    threads: int,
) -> Parts:
    caller, duplicates = options.caller, options.duplicates
    if duplicates not in _DUPLICATES:
        raise ValueError(f"{caller}: duplicates must be one of {', '.join(_DUPLICATES)}; got {duplicates!r}")
    if duplicates == "latest" and timestamps is None:
        raise ValueError(f"{caller}: duplicates='latest' needs timestamps; got none ('last' goes by position)")
    indptr, *columns, kept, first, second = ingest.coo_to_csr(
        users.rows(threads),
        items.source,
        None if items.is_rows else items.map._index(),
        values,
        timestamps,
        weights,
        len(users.map),
        len(items.map),
        duplicates,
        threads,
        options.consume,
    )
    if second >= 0:
        raise ValueError(
            f"{caller}: (user, item) pairs must be unique; got user {users.id_at(second)}, item "
            f"{items.id_at(second)} at entries {first} and {second} (or {options.remedy})"
        )
    if kept < values.size:
        for i in range(len(columns)):  # one at a time, so that the long arrays are freed in between
            columns[i] = None if columns[i] is None else columns[i][:kept].copy()
        if duplicates == "sum":
            float_vector(columns[1], caller, "sums of ratings")
        if columns[3] is not None:
            float_vector(columns[3], caller, "sums of weights")
    return Parts(indptr, columns[0], columns[1], users.map, items.map, columns[2], columns[3])


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view."""
    view = array.view()
    view.flags.writeable = False
    return view


class ItemView:
    """Ratings by item (compressed sparse columns): what :meth:`Ratings.by_item` returns. Arrays are read-only.

    Attributes
    ----------
    indptr : ndarray of shape (n_items + 1,), int64
        Ratings of item row ``i`` are at ``indptr[i]:indptr[i + 1]``.
    indices : ndarray of shape (nnz,), int32
        User rows, ascending within an item.
    values : ndarray of shape (nnz,), float32
        The ratings.
    entries : ndarray of shape (nnz,), int64
        Position of each rating in the order by user, which leads to its timestamp. Computed on first use.
    weights : ndarray of shape (nnz,), float32, or None
        Weights of the ratings, where they have any. Computed on first use.
    """

    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        n_items: int,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        by_item = ingest.csr_to_csc(indptr, indices, values, n_items)
        self.indptr: NDArray[np.int64] = frozen(by_item[0])
        self.indices: NDArray[np.int32] = frozen(by_item[1])
        self.values: NDArray[np.float32] = frozen(by_item[2])
        self._rows = indptr, indices
        self._entries: NDArray[np.int64] | None = None
        self._by_user = weights

    @property
    def weights(self) -> NDArray[np.float32] | None:
        """Weights of the ratings, or None."""
        return None if self._by_user is None else self._by_user[self.entries]

    @property
    def entries(self) -> NDArray[np.int64]:
        """Position of each rating in the order by user."""
        if self._entries is None:
            self._entries = frozen(ingest.csc_entries(*self._rows, self.indptr.size - 1))
        return self._entries


def entry_mask(positions: NDArray[Any], nnz: int) -> NDArray[np.bool_]:
    """Return the mask of distinct positions 0..nnz-1; for :meth:`Ratings.take`."""
    if positions.size == 0 and positions.ndim == 1:
        return np.zeros(nnz, dtype=bool)
    if positions.dtype.kind not in "iu":
        raise TypeError(f"Ratings.take: entries must be integers or booleans; got dtype {positions.dtype}")
    if positions.ndim != 1:
        raise ValueError(f"Ratings.take: entries must be one-dimensional; got shape {positions.shape}")
    outside = (positions < 0) | (positions >= nnz)
    if outside.any():
        value = positions[int(outside.argmax())]
        raise ValueError(f"Ratings.take: entries must lie in [0, {nnz}); got {value}")
    mask = np.zeros(nnz, dtype=bool)
    mask[positions] = True
    if np.count_nonzero(mask) != positions.size:
        raise ValueError("Ratings.take: entries must be distinct; got one more than once")
    return mask
