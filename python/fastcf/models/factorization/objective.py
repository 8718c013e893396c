"""The objective of matrix factorisation as a function of its parameters, for gradient checks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.gradient_check import Objective
from fastcf.ops import mf_cost_and_gradient
from fastcf.ratings import Ratings

__all__ = ["mf_objective"]


def mf_objective(model: Any, ratings: Ratings, seed: int, *, cost: str = "squared") -> Objective:
    """Return the objective of a model on ratings, at random parameters of a plausible size.

    Penalties are those of the fitted model, else those given; what is still "auto" is 1, for a gradient is right or
    wrong at any penalty.
    """

    def number(learnt: str, given: Any, otherwise: float) -> float:
        return float(getattr(model, learnt, otherwise if isinstance(given, str) else given))

    exponents = {"auto": 0.5, "none": 0.0, "count": 1.0}
    penalties: dict[str, Any] = {
        "reg": number("reg_", model.reg, 1.0),
        "reg_exponent": number("reg_exponent_", model.reg_scaling, exponents.get(model.reg_scaling, 0.0)),
        "user_bias_reg": number("user_bias_reg_", model.bias_reg, 1.0),
        "item_bias_reg": number("item_bias_reg_", model.bias_reg, 1.0),
    }
    k = model.n_factors if isinstance(model.n_factors, int) else 16
    random = np.random.default_rng(seed)
    spread = max(float(ratings.values.std(dtype=np.float64)), 0.1)
    shapes = {"user_factors": (ratings.n_users, k), "item_factors": (ratings.n_items, k)}
    parameters = {name: random.normal(0, np.sqrt(spread) / k**0.25, shape) for name, shape in shapes.items()}
    if model.bias:
        parameters["user_bias"] = random.normal(0, spread, ratings.n_users)
        parameters["item_bias"] = random.normal(0, spread, ratings.n_items)
    offset = random.normal(ratings.mean, spread, ratings.n_items) if model.normalize == "item" else None
    mean = ratings.mean if model.normalize == "global" else 0.0

    def evaluate(at: dict[str, NDArray[np.float64]]) -> tuple[float, dict[str, NDArray[np.float64]]]:
        result = mf_cost_and_gradient(
            ratings,
            *(at[name] for name in at),
            cost=cost,
            **penalties,
            item_offset=offset,
            global_offset=mean,
            n_threads=model.n_threads,
        )
        return result.cost, {name: getattr(result, name) for name in at}

    return Objective(parameters, evaluate)
