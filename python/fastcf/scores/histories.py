"""What users chose and how much it counts: the input of scores of linear item models."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf.scores.seen import read_only

__all__ = ["Histories"]


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

    @property
    def n_users(self) -> int:
        """Number of user rows."""
        return self.indptr.size - 1

    def of(self, rows: NDArray[np.int32]) -> Histories:
        """Return the histories of some user rows; row -1 has none. Nothing is copied where these are all rows."""
        if rows.size == self.n_users and np.array_equal(rows, np.arange(rows.size)):
            return self
        starts, ends = (np.where(rows >= 0, self.indptr[rows + shift], 0) for shift in (0, 1))  # row -1: not looked at
        offsets = np.zeros(rows.size + 1, np.int64)
        np.cumsum(ends - starts, out=offsets[1:])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], ends - starts)
        return Histories(offsets, self.indices[places], self.values[places])

    def to_scipy(self, n_columns: int) -> Any:
        """Return the same as a SciPy CSR array; nothing is copied but, perhaps, ``indptr``."""
        return scipy.sparse.csr_array((self.values, self.indices, self.indptr), (self.n_users, n_columns))

    def read_only(self) -> Histories:
        """Return the same as arrays that cannot be written to."""
        return Histories(read_only(self.indptr), read_only(self.indices), read_only(self.values))
