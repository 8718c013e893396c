"""Scores by sparse item-to-item weights: ``s_ui = Σ_j x_uj w_ji`` over the items of a user's history."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.scores.blocks import best_of_blocks, best_of_table
from fastcf.scores.links import Compute, Floats, Identity, Link
from fastcf.scores.protocol import Found, Rows, Scores, Selection

__all__ = ["ItemWeightScores"]


@dataclass(frozen=True, eq=False)
class ItemWeightScores(Scores):
    """Scores of a linear item model. An unknown item has no weights: it scores 0.

    Users without a history, and the unknown user of row -1, have the scores ``base``.

    Attributes
    ----------
    history : SciPy CSR array of shape (n_users, n_items), float32
        x: the history of each user.
    weights : SciPy CSR array of shape (n_items, n_items), float32
        w: row j holds what item j of a history gives to others.
    link : Link
        From scores to predictions.
    base : ndarray of shape (n_items,), float32, optional
        The scores of users without a history: the popularity of items, for example. None: 0.
    """

    history: Any
    weights: Any
    link: Link = field(default_factory=Identity)
    base: Floats | None = None

    @property
    def n_users(self) -> int:  # type: ignore[override]  # read-only here
        """Number of user rows."""
        return int(self.history.shape[0])

    @property
    def n_items(self) -> int:  # type: ignore[override]  # the same
        """Number of item rows."""
        return int(self.weights.shape[0])

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the scores of pairs of rows, each distinct user's block being computed once."""
        scores = np.zeros(users.size, np.float32)
        without = self._without_history(users)
        if self.base is not None:
            based = np.flatnonzero(without & (items >= 0))
            scores[based] = self.base[items[based]]
        known = np.flatnonzero(~without & (items >= 0))
        distinct, position = np.unique(users[known], return_inverse=True)
        table = (self.history[distinct] @ self.weights).tocsr()
        if known.size:
            scores[known] = np.asarray(table[position, items[known]]).ravel()
        return scores

    def block(self, users: Rows, compute: Compute) -> Floats:
        """Return the scores of all items for user rows."""
        without = self._without_history(users)
        block = np.asarray((self.history[np.where(without, 0, users)] @ self.weights).toarray(), np.float32)
        block[without] = 0 if self.base is None else self.base
        return block

    def _without_history(self, users: Rows) -> NDArray[np.bool_]:
        """Return which user rows have no history."""
        safe = np.where(users >= 0, users, 0)
        none: NDArray[np.bool_] = (users < 0) | (self.history.indptr[safe] == self.history.indptr[safe + 1])
        return none

    def best(self, users: Rows, selection: Selection, compute: Compute) -> Found:
        """Return the best items of user rows, from blocks of scores."""
        return best_of_blocks(self, users, selection, compute)

    @property
    def compares_items(self) -> bool:
        """True: by their weights."""
        return True

    def item_neighbours(self, items: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return the items to which item rows give the largest weights, and those weights; -1 and -inf for none."""
        table = np.full((items.size, self.n_items), -np.inf, np.float32)
        rows = self.weights[items]
        owner = np.repeat(np.arange(items.size), np.diff(rows.indptr))
        table[owner, rows.indices] = rows.data
        table[np.arange(items.size), items] = -np.inf
        found, weights = best_of_table(table, n)
        found[np.isneginf(weights)] = -1
        return found, weights
