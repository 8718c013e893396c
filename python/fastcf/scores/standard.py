"""Scores of other models on a common scale: of each user, mean 0 and standard deviation 1 over all items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcf.scores.blocks import batches, best_of_blocks
from fastcf.scores.links import Compute, Floats, Identity
from fastcf.scores.protocol import Found, Rows, Scores, Selection

__all__ = ["StandardScores"]


@dataclass(frozen=True, eq=False)
class StandardScores(Scores):
    """Scores ``(s_ui − m_u) / d_u``, with the mean m_u and the standard deviation d_u of a user over all items.

    The order of a user's items stays, so that lists are those of the inner scores. Where a user's scores are all equal
    they are 0. Moments are taken of scores before the link; those of users are computed by each call.

    Attributes
    ----------
    inner : Scores
        The scores s.
    """

    inner: Scores

    def __post_init__(self) -> None:
        object.__setattr__(self, "link", Identity())

    @property
    def n_users(self) -> int:  # type: ignore[override]  # read-only here
        """Number of user rows."""
        return self.inner.n_users

    @property
    def n_items(self) -> int:  # type: ignore[override]  # the same
        """Number of item rows."""
        return self.inner.n_items

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the scores of pairs of rows; the moments of a user take a block of all items."""
        distinct, position = np.unique(users, return_inverse=True)
        middle, spread = np.empty(distinct.size), np.empty(distinct.size)
        for batch in batches(distinct.size, self.n_items):
            own = np.ascontiguousarray(distinct[batch])
            if own.size:
                middle[batch], spread[batch] = _moments(self.inner.block(own, compute))
        scores = self.inner.pairs(users, items, compute).astype(np.float64)
        return ((scores - middle[position]) * spread[position]).astype(np.float32)

    def block(self, users: Rows, compute: Compute) -> Floats:
        """Return the scores of all items for user rows."""
        block = self.inner.block(users, compute)
        middle, spread = _moments(block)
        block -= middle[:, None].astype(np.float32)
        block *= spread[:, None].astype(np.float32)
        return block

    def scale_of(self, user: int, compute: Compute) -> tuple[float, float]:
        """Return m_u and 1 / d_u of a user row; the latter is 0 where the user's scores are all equal."""
        middle, spread = _moments(self.inner.block(np.array([user], np.int32), compute))
        return float(middle[0]), float(spread[0])

    def best(self, users: Rows, selection: Selection, compute: Compute) -> Found:
        """Return the best items of user rows: those of the inner scores."""
        if selection.boosts:  # which are added to standard scores
            return best_of_blocks(self, users, selection, compute)
        items, scores = self.inner.best(users, selection, compute)
        found = items >= 0
        owners = np.repeat(users, selection.n).reshape(items.shape)[found]
        scores[found] = self.pairs(np.ascontiguousarray(owners), np.ascontiguousarray(items[found]), compute)
        return items, scores


def _moments(block: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of each row and the inverse of its standard deviation, which is 0 where the row is constant."""
    middle = block.mean(axis=1, dtype=np.float64)
    deviation = block.std(axis=1, dtype=np.float64)
    constant = deviation <= 1e-7 * np.abs(middle)  # rounding of float32
    return middle, np.divide(1.0, deviation, out=np.zeros(middle.size), where=~constant)
