"""Scores of neighbourhood models: sums over neighbours, and the neighbours themselves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from fastcf._backend import host
from fastcf.scores import Compute, Identity, ItemWeightScores, Link, Scores, SeenItems, Selection
from fastcf.scores.blocks import best_of_blocks
from fastcf.scores.histories import Histories
from fastcf.scores.links import Floats
from fastcf.scores.protocol import Contributions, Found, Rows

__all__ = ["NeighbourScores"]

_MOST_REST = 1e-12  # float32 numbers of usual scores are farther apart


@dataclass(frozen=True, eq=False)
class NeighbourScores(Scores):
    """Sums of sparse rows, and a table of neighbours of one side.

    Items that no neighbour speaks for rank by their popularity, below the others: their scores are at most 1e-12.

    Attributes
    ----------
    sums : ItemWeightScores
        The scores of pairs and lists: users' histories times weights between items, or users' neighbours times what
        these chose.
    neighbours : SciPy CSR array of shape (n, n), float32, or None
        The similarities of each row to its neighbours; None where these are not rows of the scores.
    of_items : bool
        Whether the neighbours are of items, or of users.
    link : Link
        From scores to predictions.
    """

    sums: ItemWeightScores
    neighbours: Any
    of_items: bool
    link: Link = field(default_factory=Identity)

    @property
    def n_users(self) -> int:  # type: ignore[override]  # read-only here
        """Number of user rows."""
        return self.sums.n_users

    @property
    def n_items(self) -> int:  # type: ignore[override]  # the same
        """Number of item rows."""
        return self.sums.n_items

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the scores of pairs of rows."""
        scores = self.sums.pairs(users, items, compute)
        known = items >= 0
        scores[known] += self._rest[items[known]]
        return scores

    def block(self, users: Rows, compute: Compute) -> Floats:
        """Return the scores of all items for user rows."""
        return self.sums.block(users, compute) + self._rest

    def best(self, users: Rows, selection: Selection, compute: Compute) -> Found:
        """Return the best items of user rows."""
        if selection.boosts:  # the sums alone would tie where popularity decides
            return best_of_blocks(self, users, selection, compute)
        found, scores = self.sums.best(users, selection, compute)
        there = found >= 0
        scores[there] += self._rest[found[there]]
        short = np.flatnonzero((scores <= _MOST_REST).any(axis=1)).astype(np.int32)
        if short.size:  # lists that go on by popularity
            indptr, _ = selection.seen
            own = replace(selection, seen=selection.seen if indptr is None else SeenItems(*selection.seen).of(short))
            found[short], scores[short] = best_of_blocks(self, users[short], own, compute)
        return found, scores

    @cached_property
    def _rest(self) -> Floats:
        """What popularity adds to scores: next to nothing."""
        base = self.sums.base
        assert base is not None
        return base * np.float32(_MOST_REST / max(1e-30, float(base.max(initial=0))))

    @property
    def explains(self) -> bool:
        """True: by the items of a history, or by neighbours."""
        return True

    def contributions(self, user: int, items: Rows, compute: Compute) -> Contributions:
        """Return what each item of a history, or each neighbour, gives to the scores of items."""
        found = self.sums.contributions(user, items, compute)
        rest = np.where(items >= 0, self._rest[items].astype(np.float64), 0.0)
        return found._replace(base={"popularity": found.base.get("popularity", 0.0) + rest})

    @property
    def compares_items(self) -> bool:
        """Whether the neighbours are of items."""
        return self.of_items and self.neighbours is not None

    @property
    def compares_users(self) -> bool:
        """Whether the neighbours are of users."""
        return not self.of_items and self.neighbours is not None

    def item_neighbours(self, items: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return the neighbours of item rows, and their similarities."""
        return self._nearest(items, n, compute)

    def user_neighbours(self, users: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return the neighbours of user rows, and their similarities."""
        return self._nearest(users, n, compute)

    def _nearest(self, rows: Rows, n: int, compute: Compute) -> Found:
        """Return the ``n`` most similar of the neighbours of some rows; -1 and -inf where there are fewer."""
        indptr, indices, values = Histories.of_scipy(self.neighbours[rows])
        entries = host.top_candidates(indptr, values, n, compute.n_threads)
        there = entries >= 0
        found = np.full(entries.shape, -1, np.int32)
        scores = np.full(entries.shape, -np.inf, np.float32)
        found[there], scores[there] = indices[entries[there]], values[entries[there]]
        return found, scores
