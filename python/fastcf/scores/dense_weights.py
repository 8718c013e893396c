"""Scores by dense item-to-item weights: ``s_ui = Σ_j x_uj b_ji`` over the items of a user's history."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from fastcf.scores.blocks import batches, best_of_table
from fastcf.scores.histories import Histories, base_of
from fastcf.scores.links import Compute, Floats, Identity, Link
from fastcf.scores.protocol import Contributions, Found, Rows, Scores, Selection
from fastcf.scores.seen import read_only

__all__ = ["DenseWeightScores"]


@dataclass(frozen=True, eq=False)
class DenseWeightScores(Scores):
    """Scores of a linear item model, computed natively from rows of weights. An unknown item scores 0.

    Users without a history, and the unknown user of row -1, have the scores ``base``. Pairs, blocks and lists have the
    same bits.

    Attributes
    ----------
    histories : Histories
        x: the history of each user.
    item_weights : ndarray of shape (n_items, n_items), float32
        b: row j holds what item j of a history gives to others.
    base : ndarray of shape (n_items,), float32, optional
        The scores of users without a history. None: 0.
    link : Link
        From scores to predictions.
    """

    shown: ClassVar[tuple[str, ...]] = ("item_weights",)

    histories: Histories
    item_weights: Floats
    base: Floats | None = None
    link: Link = field(default_factory=Identity)

    def __post_init__(self) -> None:
        object.__setattr__(self, "histories", self.histories.read_only())
        object.__setattr__(self, "item_weights", read_only(self.item_weights))
        if self.base is not None:
            object.__setattr__(self, "base", read_only(self.base))

    def __setstate__(self, state: dict[str, Any]) -> None:  # copies of arrays can be written to
        self.__dict__.update(state)
        self.__post_init__()

    @property
    def n_users(self) -> int:  # type: ignore[override]  # read-only here
        """Number of user rows."""
        return self.histories.n_users

    @property
    def n_items(self) -> int:  # type: ignore[override]  # the same
        """Number of item rows."""
        return len(self.item_weights)

    def with_histories(self, histories: Histories) -> DenseWeightScores:
        """Return the scores of other users."""
        return replace(self, histories=histories)

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the scores of pairs of rows."""
        distinct, position = np.unique(users, return_inverse=True)
        histories = self.histories.of(distinct)
        scores: Floats = compute.native.item_scores_pairs(
            *histories,
            position.astype(np.int32),
            np.ascontiguousarray(items),
            self.item_weights,
            base=self.base,
            n_threads=compute.n_threads,
        )
        return scores

    def block(self, users: Rows, compute: Compute) -> Floats:
        """Return the scores of all items for user rows."""
        scores: Floats = compute.native.item_scores_block(
            *self._of(users), self.item_weights, base=self.base, n_threads=compute.n_threads
        )
        return scores

    def best(self, users: Rows, selection: Selection, compute: Compute) -> Found:
        """Return the best items of user rows; scores are compared where they are computed."""
        seen_indptr, seen_indices = selection.seen
        found: Found = compute.native.item_scores_best(
            *self._of(users),
            self.item_weights,
            selection.n,
            base=self.base,
            seen_indptr=seen_indptr,
            seen_indices=seen_indices,
            candidates=selection.candidates,
            excluded=selection.excluded,
            item_bias=selection.item_bias,
            n_threads=compute.n_threads,
        )
        return found

    def _of(self, users: Rows) -> tuple[Any, ...]:
        """Return the histories of user rows, and their numbers."""
        return *self.histories.of(users), np.arange(users.size, dtype=np.int32)

    @property
    def explains(self) -> bool:
        """True: by the items of a history."""
        return True

    def contributions(self, user: int, items: Rows, compute: Compute) -> Contributions:
        """Return what each item of a user's history gives to the scores of items: ``x_uj b_ji``."""
        _, rows, values = self.histories.of(np.array([user], np.int32))
        given = np.where(items >= 0, self.item_weights[np.ix_(rows, items)], np.float32(0))
        return Contributions(base_of(self.base, rows, items), rows, values[:, None].astype(np.float64) * given)

    @property
    def compares_items(self) -> bool:
        """True: by their weights."""
        return True

    def item_neighbours(self, items: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return the items to which item rows give the largest weights, and those weights.

        Weights of exactly 0 are those of items that nothing was learnt about: -1 and -inf.
        """
        parts = []
        for batch in batches(items.size, self.n_items):
            own = items[batch]
            table = self.item_weights[own]
            table[table == 0] = -np.inf
            table[np.arange(own.size), own] = -np.inf
            found, weights = best_of_table(table, n)
            found[np.isneginf(weights)] = -1
            parts.append((found, weights))
        found, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
        return found, weights
