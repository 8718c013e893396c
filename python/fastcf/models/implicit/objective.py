"""The objective of a factorisation of choices as a function of its factors, for gradient checks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastcf.models.implicit.fold_in import penalties_of
from fastcf.models.implicit.problem import LearntChoices
from fastcf.ops import mf_cost_and_gradient
from fastcf.ratings import Ratings
from fastcf.training.gradient_check import Objective

__all__ = ["implicit_objective"]


def implicit_objective(
    choices: Ratings, learnt: LearntChoices, n_factors: int, seed: int, n_threads: int | None
) -> Objective:
    """Return the objective of choices, whose values are the weights c, at random factors of a plausible size."""
    random = np.random.default_rng(seed)
    size = n_factors**-0.25
    shapes = {"user_factors": (choices.n_users, n_factors), "item_factors": (choices.n_items, n_factors)}
    parameters = {name: random.normal(0, size, shape) for name, shape in shapes.items()}
    ones = Ratings(
        choices.indptr,
        choices.indices,
        np.ones_like(choices.values),
        users=choices.users,
        items=choices.items,
        weights=choices.values,
    )
    user_weights = np.bincount(choices.row_of_entry(), choices.values, choices.n_users)
    item_weights = np.bincount(choices.indices, choices.values, choices.n_items)
    user_penalties = penalties_of(user_weights, choices.n_items, learnt).astype(np.float64)[:, None]
    item_penalties = penalties_of(item_weights, choices.n_users, learnt).astype(np.float64)[:, None]
    all_cells = learnt.unobserved_weight

    def evaluate(at: dict[str, NDArray[np.float64]]) -> tuple[float, dict[str, NDArray[np.float64]]]:
        P, Q = at["user_factors"], at["item_factors"]
        of_choices = mf_cost_and_gradient(ones, P, Q, cost="squared", reg=0.0, reg_exponent=0.0, n_threads=n_threads)
        user_gram, item_gram = P.T @ P, Q.T @ Q
        penalty = float((user_penalties * P**2).sum() + (item_penalties * Q**2).sum())
        cost = 2 * of_choices.cost + all_cells * float(np.vdot(user_gram, item_gram)) + penalty
        return cost, {
            "user_factors": 2 * (of_choices.user_factors + all_cells * P @ item_gram + user_penalties * P),
            "item_factors": 2 * (of_choices.item_factors + all_cells * Q @ user_gram + item_penalties * Q),
        }

    return Objective(parameters, evaluate)
