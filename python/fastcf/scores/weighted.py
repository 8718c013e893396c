"""Weighted sums of other scores, of models that may have other users and items.

A weight may depend on the item. A sum of linear scores stays linear: ``a_i (m + b_u + b_i + p_u·q_i)`` has the factors
``(p_u, b_u)`` and ``(a_i q_i, a_i − a)``, with a the weight of an unknown item.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.scores.blocks import batches, best_of_blocks
from fastcf.scores.factors import FactorScores
from fastcf.scores.links import Compute, Floats, Identity, Link
from fastcf.scores.protocol import Found, ItemSide, Rows, Scores, Selection

__all__ = ["Part", "Support", "WeightedScores"]


@dataclass(frozen=True, eq=False)
class Part:
    """One of the scores of a sum.

    Attributes
    ----------
    scores : Scores
        Linear ones count as they are; of others the predictions, limited to ``limits``.
    weight : float
        The weight, of an unknown item where there is a ``slope``.
    user_rows, item_rows : ndarray of int32, optional
        Row of each of the sum's users (items) in ``scores``, -1 where unknown; None: the same rows.
    limits : tuple of float
        Range of the predictions.
    slope : float
        What is added to the weight of an item, times its support in the sum.
    """

    scores: Scores
    weight: float
    user_rows: Rows | None
    item_rows: Rows | None
    limits: tuple[float, float]
    slope: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether the part has a weight anywhere."""
        return self.weight != 0 or self.slope != 0

    def users(self, rows: Rows) -> Rows:
        """Return the own rows of the sum's user rows."""
        return _translated(self.user_rows, rows)

    def items(self, rows: Rows) -> Rows:
        """Return the own rows of the sum's item rows."""
        return _translated(self.item_rows, rows)

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the contributions of pairs of the sum's rows, before the weight."""
        return self._finished(self.scores.pairs(self.users(users), self.items(items), compute), compute)

    def block(self, users: Rows, compute: Compute) -> Floats:
        """Return the contributions of all items of the sum for its user rows, before the weight."""
        own = np.ascontiguousarray(self.users(users))
        block = self._finished(self.scores.block(own, compute), compute)
        if self.item_rows is None:
            return block
        missing = self.item_rows < 0
        wide = block[:, np.where(missing, 0, self.item_rows)]
        if missing.any():  # all unknown items have the same score for a user
            unknown = self._finished(self.scores.pairs(own, np.full(own.size, -1, np.int32), compute), compute)
            wide[:, missing] = unknown[:, None]
        return wide

    def _finished(self, scores: Floats, compute: Compute) -> Floats:
        if self.scores.linear:
            return scores
        predicted = self.scores.link.predictions(scores, compute)
        return np.clip(predicted, *self.limits, out=predicted)


def _translated(table: Rows | None, rows: Rows) -> Rows:
    if table is None:
        return rows
    return np.where(rows >= 0, table[np.where(rows >= 0, rows, 0)], np.int32(-1))


@dataclass(frozen=True, eq=False)
class Support:
    """How well users and items are known to the parts of a sum: numbers by row, 0 of unknown ones.

    Attributes
    ----------
    users, items : ndarray of shape (n_users,), (n_items,), float64
        s_u and s_i.
    user_slope, item_slope : float
        What they add to every score.
    """

    users: NDArray[np.float64]
    items: NDArray[np.float64]
    user_slope: float
    item_slope: float

    def of_users(self, rows: Rows) -> NDArray[np.float64]:
        """Return what users add to scores."""
        return self.user_slope * _known(self.users, rows)

    def of_items(self, rows: Rows) -> NDArray[np.float64]:
        """Return what items add to scores."""
        return self.item_slope * _known(self.items, rows)


def _known(values: NDArray[np.float64], rows: Rows) -> NDArray[np.float64]:
    """Return the values of rows, 0 of row -1."""
    if values.size == 0:
        return np.zeros(rows.shape)
    return np.where(rows >= 0, values[np.maximum(rows, 0)], 0.0)


@dataclass(frozen=True, eq=False)
class WeightedScores(Scores):
    """Scores ``c + Σ_m a_m f_m(u, i)``; with support ``c + d s_u + e s_i + Σ_m (a_m + v_m s_i) f_m(u, i)``.

    Attributes
    ----------
    parts : tuple of Part
        f_m, a_m and v_m; parts without weight are left out of every sum.
    intercept : float
        c.
    n_users, n_items : int
        Rows of the sum.
    link : Link
        From scores to predictions.
    support : Support, optional
        s_u and s_i, d and e; without, the slopes of parts are 0.
    """

    parts: tuple[Part, ...]
    intercept: float
    n_users: int
    n_items: int
    link: Link = field(default_factory=Identity)
    support: Support | None = None

    def _weighted(self) -> Iterator[Part]:
        return (part for part in self.parts if part.counts)

    def weights(self, part: Part, items: Rows) -> NDArray[np.float64]:
        """Return the weights of a part for item rows."""
        if self.support is None or part.slope == 0:
            return np.full(items.shape, part.weight)
        return part.weight + part.slope * _known(self.support.items, items)

    def constants(self, users: Rows, items: Rows) -> NDArray[np.float64]:
        """Return what is added to the parts of pairs of rows; the two are broadcast."""
        total = np.full(np.broadcast(users, items).shape, self.intercept)
        return total if self.support is None else total + self.support.of_users(users) + self.support.of_items(items)

    @property
    def linear(self) -> bool:
        """Whether there are parts with a weight, all are linear, and predictions are the scores."""
        counted = list(self._weighted())
        return self.link.linear and bool(counted) and all(part.scores.linear for part in counted)

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the scores of pairs of rows, summed in float64."""
        total = self.constants(users, items)
        for part in self._weighted():
            total += self.weights(part, items) * part.pairs(users, items, compute).astype(np.float64)
        return total.astype(np.float32)

    def block(self, users: Rows, compute: Compute) -> Floats:
        """Return the scores of all items for user rows, summed in float64."""
        scores = np.empty((users.size, self.n_items), np.float32)
        items = np.arange(self.n_items, dtype=np.int32)
        for batch in batches(users.size, self.n_items):
            total = self.constants(users[batch, None], items)
            for part in self._weighted():
                total += np.multiply(part.block(users[batch], compute), self.weights(part, items), dtype=np.float64)
            scores[batch] = total
        return scores

    def best(self, users: Rows, selection: Selection, compute: Compute) -> Found:
        """Return the best items: of linear parts by one native search of their factors side by side."""
        if not self.linear:
            return best_of_blocks(self, users, selection, compute)
        joint, item_score = self._joint_items
        found = []
        for batch in batches(users.size, joint.factors.shape[1]):
            own = selection.part(batch)
            queries, bias = self.user_side(users[batch])
            items, scores = compute.native.topk(
                queries,
                joint.factors,
                own.with_offset(item_score),
                own.n,
                *own.seen,
                candidates=own.candidates,
                storage=own.storage,
                n_threads=compute.n_threads,
            )
            found.append((items, scores + (bias + joint.mean).astype(np.float32)[:, None]))
        items, scores = (np.concatenate(each) for each in zip(*found, strict=True))
        return items, scores

    def as_factors(self) -> FactorScores | None:
        """Return the parts' factors side by side where all parts are linear, else None. Built by each call."""
        if not self.linear:
            return None
        joint, item_score = self._joint_items
        factors, bias = self.user_side(np.arange(self.n_users, dtype=np.int32))
        means = None if joint.unknown == 0 else np.full(self.n_items, joint.mean, np.float32)
        mean = joint.mean + joint.unknown  # of an unknown item
        return FactorScores(factors, joint.factors, bias.astype(np.float32), item_score, mean, means, self.link)

    def item_side(self) -> ItemSide:
        """Return the item side of the sum: the parts' factors side by side, made by the first call."""
        return self._joint_items[0]

    def user_side(self, users: Rows) -> tuple[Floats, NDArray[np.float64]]:
        """Return the user side of the sum: the parts' factors, times their weights where items share these."""
        blocks = []
        bias = np.zeros(users.size) if self.support is None else self.support.of_users(users)
        for part in self._weighted():
            factors, own_bias = part.scores.user_side(part.users(users))
            bias += part.weight * own_bias
            if part.slope == 0:
                blocks.append(factors * np.float32(part.weight))
            else:
                blocks += [factors, own_bias[:, None].astype(np.float32)]
        return np.ascontiguousarray(np.concatenate(blocks, axis=1)), bias

    @cached_property
    def _joint_items(self) -> tuple[ItemSide, Floats]:
        """The item side, and its biases as the native search takes them."""
        blocks = []
        items = np.arange(self.n_items, dtype=np.int32)
        bias = np.zeros(self.n_items) if self.support is None else self.support.of_items(items)
        mean = unknown = 0.0
        for part in self._weighted():
            own = part.scores.item_side()
            factors, item_bias = own.factors, own.bias
            if part.item_rows is not None:
                missing = part.item_rows < 0
                safe = np.where(missing, 0, part.item_rows)
                factors = factors[safe]
                factors[missing] = 0
                item_bias = np.where(missing, own.unknown, item_bias[safe])
            weights = self.weights(part, items)
            more = weights - part.weight
            if part.slope == 0:
                blocks.append(factors)
            else:
                blocks += [factors * weights[:, None].astype(np.float32), more[:, None].astype(np.float32)]
            bias += weights * item_bias + more * own.mean
            mean += part.weight * own.mean
            unknown += part.weight * own.unknown
        joined = np.ascontiguousarray(np.concatenate(blocks, axis=1))
        return ItemSide(joined, bias, self.intercept + mean, unknown), bias.astype(np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_joint_items"}
