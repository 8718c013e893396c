"""What users chose and how much it counts: the input of scores of linear item models."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf.scores.seen import chosen_rows, read_only

__all__ = ["Histories", "base_of"]


class Histories(NamedTuple):
    """Compressed rows of the entries of users' histories.

    Attributes
    ----------
    indptr : ndarray of shape (n_users + 1,), int64
        Entries of user row ``u`` are at ``indptr[u]:indptr[u + 1]``.
    indices : ndarray, int32
        Item rows, ascending within a user.
    values : ndarray, float32
        x: how much each entry counts.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]

    @classmethod
    def of_scipy(cls, matrix: Any) -> Histories:
        """Return the rows of a SciPy array, columns ascending within a row, as arrays that cannot be written to."""
        rows = matrix.tocsr()
        if not rows.has_canonical_format:
            rows = rows.copy()
            rows.sum_duplicates()
        return cls(
            np.ascontiguousarray(rows.indptr, np.int64),
            np.ascontiguousarray(rows.indices, np.int32),
            np.ascontiguousarray(rows.data, np.float32),
        ).read_only()

    @property
    def n_users(self) -> int:
        """Number of user rows."""
        return self.indptr.size - 1

    def of(self, rows: NDArray[np.int32]) -> Histories:
        """Return the histories of some user rows; row -1 has none. Nothing is copied where these are all rows."""
        offsets, entries = chosen_rows(self.indptr, rows)
        return Histories(offsets, self.indices[entries], self.values[entries])

    def positive(self) -> Histories:
        """Return the entries of positive values."""
        kept = self.values > 0
        ends = np.concatenate([[0], np.cumsum(kept)])[self.indptr]
        return Histories(ends, self.indices[kept], self.values[kept])

    def to_scipy(self, n_columns: int) -> Any:
        """Return the same as a SciPy CSR array; nothing is copied but, perhaps, ``indptr``."""
        return scipy.sparse.csr_array((self.values, self.indices, self.indptr), (self.n_users, n_columns))

    def read_only(self) -> Histories:
        """Return the same as arrays that cannot be written to."""
        return Histories(read_only(self.indptr), read_only(self.indices), read_only(self.values))


def base_of(base: NDArray[np.float32] | None, history: NDArray[Any], items: NDArray[np.int32]) -> dict[str, Any]:
    """Return the constants of the scores of items: the popularity of known ones where the history is empty, else none.

    ``base``: the scores of users without a history; None: 0.
    """
    if base is None or history.size > 0:
        return {}
    return {"popularity": np.where(items >= 0, base[items].astype(np.float64), 0.0)}
