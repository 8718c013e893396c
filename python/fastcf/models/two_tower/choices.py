"""Choices for two towers: what they are drawn against, and the softmax cost of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.scores import Compute

__all__ = ["MeasuredChoices", "log_popularity", "log_weights"]

Floats = NDArray[np.float32]


def log_weights(counts: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Return the logarithms of the weights that items have in a batch of ``n`` choices drawn from all.

    ``counts`` has the choices of each item, N together. A batch holds n·count/N choices of an item on average, but the
    item only once, with the probability q = 1 − (1 − n/N)^count: the weight is n·count / (N q), so that weighted items
    are as many on average as if the batch held each choice. Items without choices get 0.
    """
    total, n = int(counts.sum()), min(n, int(counts.sum()))
    weights = np.zeros(counts.size)
    some = counts[counts > 0]
    there = -np.expm1(some * np.log1p(-n / total)) if n < total else 1.0
    weights[counts > 0] = np.log(some * (n / total) / there)
    return weights


def log_popularity(counts: NDArray[np.int64]) -> Floats:
    """Return the logarithm of each item's share of all choices; half a choice is added to each item."""
    shares = (counts + 0.5) / (counts.sum() + 0.5 * counts.size)
    logarithms: Floats = np.log(shares).astype(np.float32)
    return logarithms


class _Batch(NamedTuple):
    """Choices that are measured against each other; rows of users and items are those of the vectors."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    indptr: NDArray[np.int64]  # compressed rows: what each of the users chose, as places among the items
    chosen: NDArray[np.int32]
    weights: Floats
    offsets: Floats


@dataclass(frozen=True, eq=False)
class MeasuredChoices:
    """Choices in batches that stay the same, by which the cost is measured."""

    batches: tuple[_Batch, ...]

    @classmethod
    def of(
        cls,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        strengths: Floats,
        counts: NDArray[np.int64],
        batch_size: int,
        seed: int,
    ) -> MeasuredChoices:
        """Return choices in an order drawn by the seed; ``counts`` has the choices of each item, of all batches."""
        order = np.random.default_rng(seed).permutation(users.size)
        batches = []
        for begin in range(0, users.size, batch_size):
            part = order[begin : begin + batch_size]
            part = part[np.lexsort((items[part], users[part]))]
            rows, owner = np.unique(users[part], return_inverse=True)
            columns, place = np.unique(items[part], return_inverse=True)
            indptr = np.searchsorted(owner, np.arange(rows.size + 1)).astype(np.int64)
            offsets = log_weights(counts, part.size)[columns].astype(np.float32)
            batches.append(_Batch(rows, columns, indptr, place.astype(np.int32), strengths[part], offsets))
        return cls(tuple(batches))

    def cost(self, users: Floats, items: Floats, compute: Compute) -> float:
        """Return the mean cost of the choices, weighted by strengths, given the vectors of users and items."""
        cost = total = 0.0
        for batch in self.batches:
            scores = users[batch.users] @ items[batch.items].T
            cost += compute.native.in_batch_softmax(
                scores, batch.indptr, batch.chosen, batch.offsets, batch.weights, compute.n_threads
            )
            total += float(batch.weights.sum(dtype=np.float64))
        return cost / total
