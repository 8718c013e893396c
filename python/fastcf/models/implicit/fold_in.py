"""New users and items of a factorisation of choices: their rows solved exactly, given the other side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import single_threaded_blas
from fastcf.models.implicit.axes import axes_of
from fastcf.scores import Breakdown, Compute, FactorScores, Folding, State
from fastcf.scores.histories import Histories
from fastcf.scores.normal_equations import shares_of_ratings
from fastcf.scores.protocol import Rows
from fastcf.scores.queries import RatedSide
from fastcf.scores.results import ids_of

__all__ = ["ChoiceFolding", "penalties_of", "solved_along_axes", "solved_rows"]

Floats = NDArray[np.float32]


def penalties_of(weights: NDArray[Any], n_others: int, learnt: Any) -> Floats:
    """Return the penalty λ (n + α₀ N)^ν of rows with sums of weights n, among N rows of the other side."""
    total = weights.astype(np.float64) + learnt.unobserved_weight * n_others
    penalties: Floats = (learnt.reg * total**learnt.reg_scaling).astype(np.float32)
    return penalties


def solved_along_axes(choices: Histories, fixed: Floats, spectrum: Floats, learnt: Any, compute: Compute) -> Floats:
    """Return the vectors of rows of choices with weights c, solved exactly; zeros for rows without choices.

    The other side stands still; ``spectrum`` is its Gram matrix, which is diagonal.
    """
    native, n_threads = compute
    factors = np.zeros((choices.n_users, fixed.shape[1]), np.float32)
    owner = np.repeat(np.arange(choices.n_users), np.diff(choices.indptr))
    sums = np.bincount(owner, choices.values, choices.n_users)
    native.als_update(
        choices.indptr,
        choices.indices,
        None,
        fixed,
        factors,
        weights=choices.values,
        penalties=penalties_of(sums, len(fixed), learnt),
        unobserved=learnt.unobserved_weight,
        spectrum=spectrum,
        n_threads=n_threads,
    )
    return factors


def solved_rows(choices: Histories, fixed: Floats, learnt: Any, compute: Compute) -> Floats:
    """Return the same where the Gram matrix of the other side is not diagonal."""
    axes = axes_of(compute.native.factor_gram(fixed, n_threads=compute.n_threads))
    with single_threaded_blas():  # the same sums on every machine
        factors = solved_along_axes(choices, fixed @ axes.basis, axes.spectrum, learnt, compute)
        return factors @ axes.basis.T


class ChoiceFolding(Folding):
    """Least squares over all cells of each row: a half-sweep of alternating least squares, solved exactly."""

    rated_sides = ("user", "item")
    explains_by_ratings = True

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Solve the rows."""
        scores, learnt = state.scores.as_factors(), state.learnt
        assert scores is not None
        strengths = rated.choices
        choices = strengths._replace(values=np.float32(learnt.alpha) * strengths.values)
        state = state.replaced(learnt=replace(learnt, choices=None))
        if rated.by == "item":
            factors = solved_rows(choices, scores.user_factors + learnt.mean_user, learnt, compute)
            return state.replaced(scores=scores.replaced(item_factors=factors, item_bias=factors @ learnt.mean_user))
        factors = solved_along_axes(choices, scores.item_factors, learnt.spectrum, learnt, compute)
        factors -= learnt.mean_user
        factors[np.diff(choices.indptr) == 0] = 0  # the mean user
        return state.replaced(
            scores=scores.replaced(user_factors=factors, user_bias=np.zeros(len(factors), np.float32))
        )

    def unexplained(self, state: State) -> str:
        """Return what is missing: the users' choices."""
        if state.learnt.choices is not None or state.rated is not None:
            return ""
        return "the model does not hold the choices of its users, as in files without seen items; pass them as history="

    def breakdown(self, state: State, user: int, items: Rows, compute: Compute) -> Breakdown:
        """Return the shares of a user's choices: with A their normal equations, ``c_j q_i·A⁻¹ q_j``.

        A user without choices is the mean user.
        """
        scores, learnt = state.scores, state.learnt
        assert isinstance(scores, FactorScores)
        chosen, weights = _weighted_choices(state, user)
        if chosen.size == 0:
            known = items >= 0
            base = {"mean user": np.where(known, scores.item_bias[items].astype(np.float64), 0.0)}
            return Breakdown(base, "item", ids_of(state.items, chosen), np.empty((0, items.size)))
        penalty = float(penalties_of(np.array([weights.sum()]), scores.n_items, learnt)[0])
        shares = shares_of_ratings(
            scores.item_vectors_of(chosen),
            np.ones(chosen.size),
            weights,
            np.diag(learnt.unobserved_weight * learnt.spectrum.astype(np.float64) + penalty),
            scores.item_vectors_of(items).T,
        )
        return Breakdown({}, "item", ids_of(state.items, chosen), shares.values)


def _weighted_choices(state: State, user: int) -> tuple[Rows, NDArray[np.float64]]:
    """Return the items that a user row chose, and the weights c; an unknown user chose none."""
    learnt = state.learnt
    if state.rated is not None:
        rows, strengths, _ = state.rated.entries(user)
        chosen = strengths > 0
        return rows[chosen], learnt.alpha * strengths[chosen]
    _, rows, weights = learnt.choices.of(np.array([user], np.int32))
    return rows, weights.astype(np.float64)
