"""Scores by sparse weights: ``s_ui = Σ_j x_uj w_ji`` over the entries j of a user's history."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from fastcf.scores.histories import Histories, base_of
from fastcf.scores.links import Compute, Floats, Identity, Link
from fastcf.scores.protocol import Contributions, Found, Rows, Scores, Selection

__all__ = ["ItemWeightScores"]


@dataclass(frozen=True, eq=False)
class ItemWeightScores(Scores):
    """Scores of a linear item model with few weights per item, computed natively. An unknown item scores 0.

    Users without a history, and the unknown user of row -1, have the scores ``base``. Pairs, blocks and lists have the
    same bits.

    Attributes
    ----------
    history : SciPy CSR array of shape (n_users, n_inner), float32
        x: the history of each user: over items, or over other users.
    weights : SciPy CSR array of shape (n_inner, n_items), float32
        w: row j holds what entry j of a history gives to items.
    link : Link
        From scores to predictions.
    base : ndarray of shape (n_items,), float32, optional
        The scores of users without a history: the popularity of items, for example. None: 0.
    """

    shown: ClassVar[tuple[str, ...]] = ("item_weights",)

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
        return int(self.weights.shape[1])

    @classmethod
    def of_histories(cls, histories: Histories, weights: Any, base: Floats | None = None) -> ItemWeightScores:
        """Return the scores of histories over the rows of ``weights``."""
        return cls(histories.to_scipy(weights.shape[0]), weights, base=base)

    def with_histories(self, histories: Histories) -> ItemWeightScores:
        """Return the scores of other users."""
        other = replace(self, history=histories.to_scipy(self.weights.shape[0]))
        vars(other)["weight_rows"] = self.weight_rows  # made once for all histories
        return other

    @property
    def item_weights(self) -> Any:
        """The weights."""
        return self.weights

    @cached_property
    def histories(self) -> Histories:
        """The arrays of the histories."""
        return Histories.of_scipy(self.history)

    @cached_property
    def weight_rows(self) -> Histories:
        """The arrays of the weights."""
        return Histories.of_scipy(self.weights)

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the scores of pairs of rows."""
        scores: Floats = compute.native.sparse_item_scores_pairs(
            *self.histories,
            np.ascontiguousarray(users),
            np.ascontiguousarray(items),
            *self.weight_rows,
            self.n_items,
            base=self.base,
            n_threads=compute.n_threads,
        )
        return scores

    def block(self, users: Rows, compute: Compute) -> Floats:
        """Return the scores of all items for user rows."""
        scores: Floats = compute.native.sparse_item_scores_block(
            *self.histories,
            np.ascontiguousarray(users),
            *self.weight_rows,
            self.n_items,
            base=self.base,
            n_threads=compute.n_threads,
        )
        return scores

    def best(self, users: Rows, selection: Selection, compute: Compute) -> Found:
        """Return the best items of user rows."""
        seen_indptr, seen_indices = selection.seen
        found: Found = compute.native.sparse_item_scores_best(
            *self.histories,
            np.ascontiguousarray(users),
            *self.weight_rows,
            self.n_items,
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

    @property
    def explains(self) -> bool:
        """True: by the entries of a history."""
        return True

    def contributions(self, user: int, items: Rows, compute: Compute) -> Contributions:
        """Return what each entry of a user's history gives to the scores of items: ``x_uj w_ji``."""
        _, rows, values = self.histories.of(np.array([user], np.int32))
        known = items >= 0
        given = np.zeros((rows.size, items.size))
        given[:, known] = self.weights[rows].tocsc()[:, items[known]].toarray()
        return Contributions(base_of(self.base, rows, items), rows, values[:, None].astype(np.float64) * given)

    @property
    def compares_items(self) -> bool:
        """True: by their weights."""
        return True

    def item_neighbours(self, items: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return the items to which item rows give the largest weights, and those weights; -1 and -inf for none."""
        indptr, indices, values = Histories.of_scipy(self.weights[items])
        owner = np.repeat(np.arange(items.size), np.diff(indptr))
        order = np.lexsort((indices, -values, owner))
        order = order[indices[order] != items[owner[order]]]
        owner = owner[order]
        place = np.arange(owner.size) - np.searchsorted(owner, np.arange(items.size))[owner]
        order, owner, place = (part[place < n] for part in (order, owner, place))
        found = np.full((items.size, n), -1, np.int32)
        weights = np.full((items.size, n), -np.inf, np.float32)
        found[owner, place], weights[owner, place] = indices[order], values[order]
        return found, weights
