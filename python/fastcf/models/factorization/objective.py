"""The objective of matrix factorisation as a function of its parameters, for gradient checks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastcf.models.factorization.problem import Sides
from fastcf.ops import mf_cost_and_gradient
from fastcf.ratings import Ratings
from fastcf.training.gradient_check import Objective

__all__ = ["mf_objective"]


def mf_objective(
    ratings: Ratings,
    *,
    cost: str,
    n_factors: int,
    bias: Sides,
    normalize: str | None,
    reg: float,
    reg_exponent: float,
    user_bias_reg: float,
    item_bias_reg: float,
    seed: int,
    n_threads: int | None,
) -> Objective:
    """Return the objective of a factorisation on some targets, at random parameters of a plausible size.

    Parameters are those of the objective; ``bias`` tells which sides have biases, ``normalize`` which offsets there
    are. Penalties that are "auto" may be any: a gradient is right or wrong at all of them.
    """
    random = np.random.default_rng(seed)
    spread = max(float(ratings.values.std(dtype=np.float64)), 0.1)
    shapes = {"user_factors": (ratings.n_users, n_factors), "item_factors": (ratings.n_items, n_factors)}
    size = np.sqrt(spread) / n_factors**0.25
    parameters = {name: random.normal(0, size, shape) for name, shape in shapes.items()}
    biases = {"user_bias": np.zeros(ratings.n_users), "item_bias": np.zeros(ratings.n_items)}
    if bias.user or bias.item:
        for (name, zeros), there in zip(biases.items(), bias, strict=True):
            drawn = random.normal(0, spread, zeros.size)
            if there:
                parameters[name] = drawn
    offset = random.normal(ratings.mean, spread, ratings.n_items) if normalize == "item" else None

    def evaluate(at: dict[str, NDArray[np.float64]]) -> tuple[float, dict[str, NDArray[np.float64]]]:
        given = {**biases, **at} if bias.user or bias.item else at
        result = mf_cost_and_gradient(
            ratings,
            *(given[name] for name in (*shapes, *(biases if len(given) == 4 else ()))),
            cost=cost,
            reg=reg,
            reg_exponent=reg_exponent,
            user_bias_reg=user_bias_reg,
            item_bias_reg=item_bias_reg,
            item_offset=offset,
            global_offset=ratings.mean if normalize == "global" else 0.0,
            n_threads=n_threads,
        )
        return result.cost, {name: getattr(result, name) for name in at}

    return Objective(parameters, evaluate)
