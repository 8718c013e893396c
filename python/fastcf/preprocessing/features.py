"""Features of users and items, by id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from fastcf.ids import IdMap, joined

__all__ = ["FeatureTable", "as_feature_table"]


class FeatureTable:
    """Features of users or of items: a row of numbers per id. Immutable.

    :mod:`fastcf.features` makes them of tables and ratings.

    Parameters
    ----------
    ids : IdMap or array-like of shape (n,)
        Distinct ids, integers or strings; row ``r`` of ``matrix`` has the id ``ids[r]``.
    matrix : array-like or SciPy sparse matrix of shape (n, f)
        Finite numbers; stored as float32, sparse ones as compressed rows.
    names : iterable of str, optional
        Names of the columns, for display; need not be distinct.

    Attributes
    ----------
    ids : IdMap
    matrix : ndarray or scipy.sparse.csr_array of shape (n, f), float32
        Read-only where dense.
    names : ndarray of shape (f,), '<U..', or None
    n_rows, n_features : int
        n and f.
    is_sparse : bool

    Raises
    ------
    TypeError, ValueError
        If ids, matrix or names are not as described, or do not fit together; the message names the entry.

    Examples
    --------
    >>> FeatureTable(["heat", "up"], [[1, 0], [0, 1]])
    FeatureTable(2 rows x 2 features, dense)
    >>> FeatureTable(["heat", "up"], [[1, 0], [0, 1]], names=["crime", "animation"])
    FeatureTable(2 rows x 2 features, dense: crime, animation)
    """

    def __init__(self, ids: IdMap | ArrayLike, matrix: Any, names: Iterable[str] | None = None) -> None:
        self._ids = ids if isinstance(ids, IdMap) else IdMap(ids)
        self._matrix = _feature_matrix(matrix, "FeatureTable")
        if self.n_rows != len(self._ids):
            raise ValueError(
                f"FeatureTable: matrix must have one row per id ({len(self._ids)}); got {self.n_rows} rows"
            )
        self._names = None if names is None else _column_names(names, self.n_features)

    @property
    def ids(self) -> IdMap:
        """The id of each row."""
        return self._ids

    @property
    def matrix(self) -> Any:
        """The features, float32 of shape (n_rows, n_features), dense or sparse."""
        return self._matrix

    @property
    def names(self) -> NDArray[np.str_] | None:
        """The name of each feature, or None where they have none."""
        return self._names

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self._matrix.shape[0])

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self._matrix.shape[1])

    @property
    def is_sparse(self) -> bool:
        """Whether the features are stored as compressed rows."""
        return bool(scipy.sparse.issparse(self._matrix))

    def align(self, ids: IdMap, *, caller: str = "FeatureTable.align", what: str = "ids") -> Any:
        """Return the features of these ids, in their order.

        Parameters
        ----------
        ids : IdMap
            For example the items of ratings.
        caller, what : str
            Named in error messages.

        Returns
        -------
        ndarray or scipy.sparse.csr_array of shape (len(ids), n_features), float32

        Raises
        ------
        ValueError
            If an id has no row; the message names the first one.
        """
        rows = self._ids.find(ids, f"{caller}: {what}")
        missing = rows < 0
        if missing.any():
            first = ids.id_at(int(missing.argmax()))
            raise ValueError(
                f"{caller}: {what} must have features; {int(missing.sum())} of {len(ids)} have none, first {first!r}"
            )
        return self._matrix[rows]

    def extend(self, ids: IdMap, *, caller: str = "FeatureTable.extend", what: str = "ids") -> FeatureTable:
        """Return the table in the order of ``ids``, followed by the table's other rows in their own order.

        Parameters
        ----------
        ids : IdMap
            Ids to come first.
        caller, what : str
            Named in error messages.

        Returns
        -------
        FeatureTable

        Raises
        ------
        ValueError
            If an id has no row.
        """
        first = self.align(ids, caller=caller, what=what)
        rest = np.flatnonzero(ids.find(self._ids, f"{caller}: {what}") < 0)
        if rest.size == 0:
            return FeatureTable(ids, first, self._names)
        stack = scipy.sparse.vstack if self.is_sparse else np.concatenate
        together = joined(ids, self._ids.take(rest), f"{caller}: {what}")
        return FeatureTable(together, stack([first, self._matrix[rest]]), self._names)

    def __repr__(self) -> str:
        kind = f"sparse, {self._matrix.nnz:,} stored" if self.is_sparse else "dense"
        shown = ""
        if self._names is not None and self.n_features:
            shown = f": {', '.join(self._names[:3])}{', …' if self.n_features > 3 else ''}"
        return f"FeatureTable({self.n_rows:,} rows x {self.n_features:,} features, {kind}{shown})"


def _column_names(names: Iterable[str], n_features: int) -> NDArray[np.str_]:
    given = [names] if isinstance(names, str) else list(names)
    wrong = [name for name in given if not isinstance(name, str)]
    if wrong or isinstance(names, str):
        raise TypeError(f"FeatureTable: names must be a list of strings; got {(wrong or given)[0]!r}")
    if len(given) != n_features:
        raise ValueError(f"FeatureTable: names must have one entry per feature ({n_features}); got {len(given)}")
    array = np.array(given, dtype=str)
    array.flags.writeable = False
    return array


def _feature_matrix(matrix: Any, caller: str) -> Any:
    if scipy.sparse.issparse(matrix):
        if matrix.ndim != 2:
            raise ValueError(f"{caller}: matrix must have 2 dimensions; got {matrix.ndim}")
        if matrix.dtype.kind not in "fiub":
            raise TypeError(f"{caller}: matrix must hold real numbers; got dtype {matrix.dtype}")
        sparse = scipy.sparse.csr_array(matrix).astype(np.float32)
        sparse.sum_duplicates()
        if not np.isfinite(sparse.data).all():
            entry = int(np.argmin(np.isfinite(sparse.data)))
            row = int(np.searchsorted(sparse.indptr, entry, side="right")) - 1
            place = f"row {row}, column {sparse.indices[entry]}"
            raise ValueError(f"{caller}: matrix must be finite; got {sparse.data[entry]} at {place}")
        return sparse
    array = np.asarray(matrix)
    if array.ndim != 2:
        raise ValueError(f"{caller}: matrix must have 2 dimensions, rows x features; got {array.ndim}")
    try:
        with np.errstate(over="ignore"):
            dense = np.array(array, np.float32, order="C")
    except (TypeError, ValueError) as error:
        raise TypeError(f"{caller}: matrix must hold real numbers; {error}") from error
    finite = np.isfinite(dense)
    if not finite.all():
        row, column = divmod(int(np.argmin(finite)), dense.shape[1])
        raise ValueError(f"{caller}: matrix must be finite; got {array[row, column]} at row {row}, column {column}")
    dense.flags.writeable = False
    return dense


def as_feature_table(features: Any, caller: str, name: str) -> FeatureTable:
    """Return as a table what an estimator was given: a :class:`FeatureTable` or a pair ``(ids, matrix)``.

    Parameters
    ----------
    features : FeatureTable or tuple
        The table, or ids and matrix as its constructor takes them.
    caller, name : str
        Named in error messages.

    Returns
    -------
    FeatureTable

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        As :class:`FeatureTable`.
    """
    if isinstance(features, FeatureTable):
        return features
    if not (isinstance(features, tuple) and len(features) == 2):
        kind = type(features).__name__
        raise TypeError(f"{caller}: {name} must be a FeatureTable or a pair (ids, matrix); got {kind}")
    try:
        return FeatureTable(*features)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{caller}: {name}: {error}") from error
