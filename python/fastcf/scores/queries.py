"""From the caller's ids and pairs to rows."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from fastcf._assembly import pair_columns
from fastcf._callers import level_outside
from fastcf._columns import float_vector
from fastcf._id_columns import as_id_column
from fastcf._parameters import check_n_threads
from fastcf.errors import DataWarning
from fastcf.ids import IdMap
from fastcf.ratings import Ratings, as_ratings
from fastcf.scores.histories import Histories
from fastcf.scores.seen import SeenItems

__all__ = [
    "RatedSide",
    "as_history",
    "asked_ids",
    "names_of",
    "one",
    "pair_rows",
    "rated_side",
    "refuse_cut_matrix",
    "refuse_other_names",
    "rows_of",
    "warn_of_cut_matrix",
    "warn_of_scale",
]

Rows = NDArray[np.int32]

_SPARE_ROWS = 10_000  # row numbers of a history that are too large are ids by mistake, and memory


def one(id: Any) -> list[Any]:
    """Return a single id, which may be a zero-dimensional array, as a list of one."""
    return [id.item() if isinstance(id, np.ndarray) else id]


def asked_ids(wanted: Any, caller: str) -> Any:
    """Return the ids of a query: one as it is, several as an array."""
    if isinstance(wanted, IdMap):
        return wanted.ids
    if np.ndim(wanted) == 0:
        return one(wanted)[0]
    return as_id_column(wanted, f"{caller}: ids").array() if np.size(wanted) else np.empty(0, np.int64)


def rows_of(
    ids: IdMap,
    wanted: ArrayLike | IdMap,
    what: str,
    caller: str,
    *,
    strict: bool = False,
    n_threads: int | None = None,
) -> Rows:
    """Return the row of each id, -1 where it is unknown; raises TypeError as :meth:`fastcf.IdMap.rows`.

    Raises ValueError if ``strict`` and an id is unknown; the message names ``what`` it is and its entry.
    """
    where = f"{caller}: {what} ids"
    threads = check_n_threads(n_threads, caller)
    if isinstance(wanted, IdMap):
        column = wanted.column
    elif np.size(wanted) == 0:
        return np.empty(0, np.int32)
    else:
        column = as_id_column(wanted, where, threads)
    rows = ids.find(column, where, threads)
    if strict and (rows < 0).any():
        entry = int(np.argmax(rows < 0))
        raise ValueError(f"{caller}: strict=True needs known {what} ids; got {column.id_at(entry)!r} at entry {entry}")
    return rows


def names_of(X: Any) -> tuple[str, str] | None:
    """Return the names of the two columns of a data frame; None where these have none, or ``X`` is something else."""
    columns = getattr(X, "columns", None)
    if columns is None or len(columns) != 2:
        return None
    user, item = columns
    return (user, item) if isinstance(user, str) and isinstance(item, str) else None


def refuse_other_names(known: tuple[str, str] | None, X: Any, caller: str) -> None:
    """Refuse a data frame whose columns have other names, or another order, than those of the fit; ValueError."""
    names = names_of(X)
    if known is not None and names is not None and names != known:
        shown = [", ".join(map(repr, each)) for each in (known, names)]
        raise ValueError(f"{caller}: X must have the columns of fit, {shown[0]}, in this order; got {shown[1]}")


_CUT = (
    "Where scikit-learn has cut a matrix by rows, these are numbered anew and taken for other users: pass pairs of ids "
    "and ratings, X and y; to test with whole users, cv=ColdUserKFold(), or GroupKFold() and the users as groups="
)


def refuse_cut_matrix(users: IdMap, X: Any, caller: str) -> None:
    """Refuse a matrix of another number of rows than the one of the fit, whose row numbers are users; ValueError."""
    if scipy.sparse.issparse(X) and X.shape[0] != len(users):
        raise ValueError(
            f"{caller}: X must have a row for each of the {len(users)} users of the matrix of the fit; got "
            f"{X.shape[0]} rows. Make it with shape={len(users), *X.shape[1:]}, or pass pairs of ids. {_CUT}"
        )


def warn_of_cut_matrix(seen: SeenItems, X: Any, caller: str) -> None:
    """Warn where a matrix as large as the one of the fit holds some pairs that were learnt from, and others."""
    if not scipy.sparse.issparse(X):
        return
    entries = X.tocoo()
    n_items = max(X.shape[1], int(seen.indices.max(initial=-1)) + 1)
    n = seen.count_pairs(entries.row, entries.col, n_items)
    if 0 < n < min(entries.nnz, seen.indices.size):
        warnings.warn(
            f"{caller}: {n} of the {entries.nnz} pairs of X were learnt from, the others not. {_CUT}",
            UserWarning,
            stacklevel=3,
        )


def pair_rows(
    X: Any, users: IdMap, items: IdMap, caller: str, *, strict: bool = False, n_threads: int | None = None
) -> tuple[Rows, Rows]:
    """Return the user and item rows of pairs: of the stored entries of ratings or a matrix, or of (n, 2) ids."""
    options: dict[str, Any] = {"strict": strict, "n_threads": n_threads}
    if isinstance(X, Ratings):
        user_rows = rows_of(users, X.users, "user", caller, **options)
        item_rows = rows_of(items, X.items, "item", caller, **options)
        return user_rows[X.row_of_entry()], item_rows[X.indices]
    if scipy.sparse.issparse(X):
        if X.ndim != 2:
            raise ValueError(f"{caller}: X must have two dimensions where it is sparse; got shape {X.shape}")
        entries = X.tocoo()
        columns = entries.row, entries.col
    elif (len(X) if isinstance(X, (list, tuple)) else np.size(X)) == 0:
        return np.empty(0, np.int32), np.empty(0, np.int32)
    else:
        columns = pair_columns(X, caller)
    user_rows = rows_of(users, columns[0], "user", caller, **options)
    return user_rows, rows_of(items, columns[1], "item", caller, **options)


@dataclass(frozen=True)
class RatedSide:
    """Ratings of new rows of one side over the model's rows of the other, as compressed rows.

    Attributes
    ----------
    by : {"user", "item"}
        The side of the rows.
    ids : IdMap
        The ids of the rows.
    indptr, columns, values : ndarray of int64, int32, float32
        Columns are the model's rows of the other side, ascending within a row.
    weights : ndarray of float32, optional
        Of the entries.
    strangers : bool, default False
        Whether the rows are new, also those whose ids the model has: row numbers of a history.
    """

    by: str
    ids: IdMap
    indptr: NDArray[np.int64]
    columns: Rows
    values: NDArray[np.float32]
    weights: NDArray[np.float32] | None
    strangers: bool = False

    @property
    def csr(self) -> tuple[NDArray[np.int64], Rows, NDArray[np.float32]]:
        """The three arrays that native code takes."""
        return self.indptr, self.columns, self.values

    def entries(self, row: int) -> tuple[Rows, NDArray[np.float64], NDArray[np.float64]]:
        """Return the columns, values and weights of a row, the latter two in float64; row -1 has none."""
        own = slice(self.indptr[row], self.indptr[row + 1]) if row >= 0 else slice(0, 0)
        values = self.values[own].astype(np.float64)
        weights = np.ones(values.size) if self.weights is None else self.weights[own].astype(np.float64)
        return self.columns[own], values, weights

    @property
    def choices(self) -> Histories:
        """The entries of positive strength, for models of choices."""
        return Histories(*self.csr).positive()

    @property
    def seen(self) -> SeenItems | None:
        """The items of the rows, where these are users."""
        return SeenItems(self.indptr, self.columns) if self.by == "user" else None


def rated_side(
    ratings: Ratings, by: str, fixed: IdMap, caller: str, *, strict: bool = False, n_threads: int | None = None
) -> RatedSide:
    """Return the ratings of one side by the ids that ``fixed`` holds of the other; other ratings are left out."""
    users = ratings.row_of_entry()
    if by == "user":
        rows, columns, ids, given, what = users, ratings.indices, ratings.users, ratings.items, "item"
    else:
        rows, columns, ids, given, what = ratings.indices, users, ratings.items, ratings.users, "user"
    known = rows_of(fixed, given, what, caller, strict=strict, n_threads=n_threads)
    columns = known[columns]
    kept = columns >= 0
    order = np.lexsort((columns[kept], rows[kept]))
    rows, columns, values = rows[kept][order], columns[kept][order], ratings.values[kept][order]
    weights = None if ratings.weights is None else ratings.weights[kept][order]
    indptr = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=len(ids)), out=indptr[1:])
    return RatedSide(by, ids, indptr, np.ascontiguousarray(columns, np.int32), np.ascontiguousarray(values), weights)


def warn_of_scale(ratings: Ratings, known: tuple[float, float], caller: str) -> None:
    """Warn of ratings of another scale: farther outside the ``known`` range than that is wide."""
    (low, high), (least, most) = known, ratings.rating_range  # nan of none: no warning
    width = high - low
    if 0 < width < np.inf and (least < low - width or most > high + width):
        got = most if most > high + width else least
        warnings.warn(
            f"{caller}: ratings must be of the scale of the training, which was from {low:g} to {high:g}; got {got:g}, "
            "which counts as it is; give ratings of that scale",
            DataWarning,
            stacklevel=level_outside(),
        )


def as_history(history: Any, items: IdMap, caller: str) -> Ratings:
    """Return the histories of a query as ratings, one row per new user.

    ``history`` is as :meth:`Recommender.predict` documents it, over the model's ``items``. Users of the result are the
    ids of ``Ratings``, else the numbers of the rows. Raises TypeError or ValueError if the history is none of these.
    """
    what = f"{caller}: history"
    if isinstance(history, Ratings):
        return history
    if scipy.sparse.issparse(history):
        if history.ndim != 2 or history.shape[1] != len(items):
            raise ValueError(
                f"{what} must have a column for each of the model's {len(items)} items; got {history.shape}"
            )
        entries = history.tocoo()
        values = float_vector(entries.data, what, "ratings")
        given = scipy.sparse.csr_matrix((values, (entries.row, entries.col)), history.shape)  # adds up duplicates
        given.sort_indices()
        return Ratings(
            given.indptr.astype(np.int64),
            given.indices.astype(np.int32),
            given.data,
            users=IdMap.range(given.shape[0]),
            items=items,
        )
    if not (isinstance(history, tuple) and len(history) == 2):
        kind = type(history).__name__
        raise TypeError(f"{what} must be Ratings, a SciPy sparse matrix, or a tuple (pairs, values); got {kind}")
    ratings = as_ratings(*history, caller=what)
    rows = ratings.users.ids
    most = _SPARE_ROWS + 100 * rows.size  # users without ratings between others are rare; ids are larger
    wrong = np.ones(rows.size, bool) if rows.dtype.kind not in "iu" else (rows < 0) | (rows >= most)
    if wrong.any():
        got = rows[wrong.argmax()]
        raise ValueError(
            f"{what}: pairs must begin with row numbers from 0, one per new user; got "
            f"{got.item() if isinstance(got, np.generic) else got!r} (Ratings may hold ids of new users)"
        )
    return Ratings.from_coo(*ratings.to_coo(), user_ids=IdMap.range(int(rows.max()) + 1))
