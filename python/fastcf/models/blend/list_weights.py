"""The weights of a blend that makes lists: those of the best lists for held-out choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcf.metrics.rankings import row_measures
from fastcf.metrics.scorers import USER_FIELDS
from fastcf.models.blend.searched_weights import FoundWeights, best_weights
from fastcf.ratings import Ratings
from fastcf.scores import Compute, SeenItems, WeightedScores
from fastcf.scores.blocks import batches

__all__ = ["list_weights"]

_Floats = NDArray[np.float64]

_MOST_USERS = 4_000  # whose lists are measured
_LENGTH = 20  # items of each member's list from which lists are made, per item of a list


@dataclass(frozen=True, eq=False)
class _Lists:
    """Candidates of measured users: item rows, -1 where there are fewer, and the members' scores of them.

    Scores of shape (M, m, c) are -inf where there is no candidate; ``chosen`` holds what users chose, by these rows.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    scores: NDArray[np.float32]
    chosen: Ratings
    metric: str
    k: int

    def measured(self, weights: _Floats) -> _Floats:
        """Return the metric of each user's list."""
        used = np.flatnonzero(weights)
        total = np.tensordot(weights[used].astype(np.float32), self.scores[used], axes=1)
        k = min(self.k, total.shape[1])
        best = np.argpartition(-total, k - 1, axis=1)[:, :k] if k < total.shape[1] else np.argsort(-total, axis=1)
        order = np.argsort(-np.take_along_axis(total, best, axis=1), axis=1, kind="stable")
        lists = np.take_along_axis(self.items, np.take_along_axis(best, order, axis=1), axis=1)
        (measures,) = row_measures(self.users, lists, self.chosen, [k], "Blend.fit")
        return measures[USER_FIELDS[self.metric]]


def list_weights(
    sums: WeightedScores, chosen: Ratings, seen: SeenItems | None, metric: str, k: int, compute: Compute
) -> FoundWeights:
    """Return the weights of the members of a blend whose lists of ``k`` items are the best by a metric of lists.

    ``chosen`` holds the choices, by rows of the sum; users beyond some thousands are thinned out evenly. Deterministic.
    """
    users = np.flatnonzero(np.diff(chosen.indptr) > 0).astype(np.int32)
    if users.size > _MOST_USERS:
        users = users[np.linspace(0, users.size - 1, _MOST_USERS).round().astype(np.int64)]
    return best_weights(_candidates(sums, users, chosen, seen, metric, k, compute).measured, len(sums.parts))


def _candidates(
    sums: WeightedScores,
    users: NDArray[np.int32],
    chosen: Ratings,
    seen: SeenItems | None,
    metric: str,
    k: int,
    compute: Compute,
) -> _Lists:
    """Return the best items of each member for the users, as candidates, with the scores of all members."""
    length = min(_LENGTH * k, sums.n_items)
    width = min(len(sums.parts) * length, sums.n_items)
    scores = np.full((len(sums.parts), users.size, width), -np.inf, np.float32)
    items = np.full((users.size, width), -1, np.int32)
    for batch in batches(users.size, sums.n_items * (len(sums.parts) + 1)):
        own = np.ascontiguousarray(users[batch])
        blocks = np.stack([part.block(own, compute) for part in sums.parts])
        if seen is not None:
            indptr, indices = seen.of(own)
            blocks[:, np.repeat(np.arange(own.size), np.diff(indptr)), indices] = -np.inf
        columns = _union([np.argpartition(-block, length - 1, axis=1)[:, :length] for block in blocks], width)
        there = columns >= 0
        safe = np.where(there, columns, 0)
        for m, block in enumerate(blocks):
            scores[m, batch] = np.where(there, np.take_along_axis(block, safe, axis=1), -np.inf)
        items[batch] = columns
    return _Lists(users, items, scores, chosen, metric, k)


def _union(lists: Sequence[NDArray[np.int64]], width: int) -> NDArray[np.int64]:
    """Return the distinct columns of each row of several tables, ascending; -1 where there are fewer than ``width``."""
    columns = np.sort(np.concatenate(lists, axis=1), axis=1)
    twice = np.zeros(columns.shape, bool)
    twice[:, 1:] = columns[:, 1:] == columns[:, :-1]
    order = np.argsort(twice, axis=1, kind="stable")[:, :width]
    return np.where(np.take_along_axis(twice, order, axis=1), -1, np.take_along_axis(columns, order, axis=1))
