"""New users and items of a factorisation of choices: their rows solved exactly, given the other side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.models.implicit.axes import Axes, axes_of
from fastcf.scores import Compute, Folding, State
from fastcf.scores.queries import RatedSide

__all__ = ["ChoiceFolding", "penalties_of"]

Floats = NDArray[np.float32]


def penalties_of(weights: NDArray[Any], n_others: int, learnt: Any) -> Floats:
    """Return the penalty λ (n + α₀ N)^ν of rows with sums of weights n, among N rows of the other side."""
    total = weights.astype(np.float64) + learnt.unobserved_weight * n_others
    penalties: Floats = (learnt.reg * total**learnt.reg_scaling).astype(np.float32)
    return penalties


class ChoiceFolding(Folding):
    """Least squares over all cells of each row: a half-sweep of alternating least squares, solved exactly."""

    rated_sides = ("user", "item")

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Solve the rows."""
        scores, learnt = state.scores.as_factors(), state.learnt
        assert scores is not None
        users = rated.by == "user"
        native, n_threads = compute
        n_rows = len(rated.ids)
        rows = np.repeat(np.arange(n_rows), np.diff(rated.indptr))
        chosen = rated.values > 0
        weights = np.float32(learnt.alpha) * rated.values[chosen]
        counts = np.bincount(rows[chosen], minlength=n_rows)
        indptr = np.zeros(n_rows + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        fixed, axes = scores.item_factors, Axes(np.empty((0, 0), np.float32), learnt.spectrum)
        if not users:
            fixed = scores.user_factors + learnt.mean_user
            axes = axes_of(native.factor_gram(fixed, n_threads=n_threads))
            fixed = fixed @ axes.basis
        factors = np.zeros((n_rows, fixed.shape[1]), np.float32)
        native.als_update(
            indptr,
            np.ascontiguousarray(rated.columns[chosen]),
            None,
            fixed,
            factors,
            weights=weights,
            penalties=penalties_of(np.bincount(rows[chosen], weights, n_rows), len(fixed), learnt),
            unobserved=learnt.unobserved_weight,
            spectrum=axes.spectrum,
            n_threads=n_threads,
        )
        if users:
            factors -= learnt.mean_user
            factors[counts == 0] = 0  # the mean user
            return state.replaced(scores=scores.replaced(user_factors=factors, user_bias=np.zeros(n_rows, np.float32)))
        factors = factors @ axes.basis.T
        return state.replaced(scores=scores.replaced(item_factors=factors, item_bias=factors @ learnt.mean_user))
