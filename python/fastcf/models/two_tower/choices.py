"""Choices for two towers: what they are drawn against, and the softmax cost of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from fastcf.scores import Compute

__all__ = ["MeasuredChoices", "Popularity", "log_weights"]

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


class Popularity(NamedTuple):
    """The logarithms of items' shares of all choices, and their regression on features, which new items have."""

    logarithms: Floats  # (n_items,)
    weights: Floats | None  # of the features and, last, the constant; None: items have no features

    @classmethod
    def of(cls, counts: NDArray[np.int64], met: NDArray[np.bool_], matrix: Any) -> Popularity:
        """Return that of items with ``counts`` choices, to each of which half a choice is added.

        Those that nobody has ``met`` get what their features (rows of ``matrix``, dense or sparse) let expect: a ridge
        regression on the others' features, with penalty 1.
        """
        logarithms = np.log((counts + 0.5) / (counts.sum() + 0.5 * counts.size))
        if matrix.shape[1] == 0:
            return cls(logarithms.astype(np.float32), None)
        ridge = Ridge(alpha=1.0).fit(matrix[met].astype(np.float64), logarithms[met])
        weights = np.append(ridge.coef_, ridge.intercept_).astype(np.float32)
        found = cls(logarithms.astype(np.float32), weights)
        found.logarithms[~met] = found.expected(matrix[~met])
        return found

    def expected(self, matrix: Any) -> Floats:
        """Return what features let expect."""
        assert self.weights is not None
        wide = self.weights.astype(np.float64)
        found: Floats = np.asarray(matrix @ wide[:-1] + wide[-1]).astype(np.float32)
        return found

    def followed_by(self, matrix: Any) -> Popularity:
        """Return that of more items, by their features."""
        return self._replace(logarithms=np.concatenate([self.logarithms, self.expected(matrix)]))


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
