"""Ratings as a log: one row per line of the file."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._assembly import Options
from fastcf.data.left_out import LeftOut
from fastcf.ratings import Ratings, assembled

__all__ = ["RatingLog", "ratings_of"]


class _Columns(NamedTuple):
    users: NDArray[Any]
    items: NDArray[Any]
    ratings: NDArray[np.float32]
    timestamps: NDArray[np.int64] | None


class RatingLog(_Columns):
    """The rows of a file of ratings, in file order.

    Attributes
    ----------
    users, items : ndarray of shape (n,), int64 or '<U..'
        The ids: integers where every id of the column is a canonical one (no leading zeros, no plus sign, within 64
        bits), otherwise strings, so that ``"0104257"`` keeps its zeros.
    ratings : ndarray of shape (n,), float32
        Finite.
    timestamps : ndarray of shape (n,), int64, or None
        Seconds since 1970.
    left_out : LeftOut
        Malformed lines that were left out: how many, and the first of them.
    """

    left_out: LeftOut = LeftOut()

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
        return Ratings.from_coo(
            self.users, self.items, self.ratings, timestamps=self.timestamps, duplicates=duplicates, **options
        )


def ratings_of(log: RatingLog, duplicates: str, n_threads: int | None, caller: str) -> Ratings:
    """Return a log as ratings; ``caller`` heads messages."""
    options = Options(duplicates, n_threads, caller)
    return assembled(log.users, log.items, log.ratings, options, log.timestamps)
