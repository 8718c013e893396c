"""Models of factors and biases as networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastcf.export.formulas import Arrays, Input, Network, Values, limits_of, padded
from fastcf.scores import FactorScores, State

__all__ = ["factor_network"]


def factor_network(state: State, scores: FactorScores, *, all_items: bool) -> Network:
    """Return ``m_i + b_u + b_i + p_u·q_i``: of pairs of rows, or of user rows and all items."""
    mean = np.float32(scores.global_mean)
    offsets = np.full(scores.n_items, mean) if scores.item_mean is None else scores.item_mean
    constants = {
        "user_factors": padded(scores.user_factors),
        "user_bias": padded(scores.user_bias)[:, None],
        "item_factors": scores.item_factors if all_items else padded(scores.item_factors),
        "item_bias": scores.item_bias + offsets if all_items else padded(scores.item_bias + offsets, mean)[:, None],
    }

    def pairs(a: Arrays, v: Values, users: Any, items: Any) -> Any:
        product = a.sum(a.rows_of(v["user_factors"], users) * a.rows_of(v["item_factors"], items))
        return a.flat(product + a.rows_of(v["user_bias"], users) + a.rows_of(v["item_bias"], items))

    def matrix(a: Arrays, v: Values, users: Any) -> Any:
        products = a.rows_of(v["user_factors"], users) @ v["item_factors"].T
        return products + a.rows_of(v["user_bias"], users) + v["item_bias"]

    inputs = (Input("users", True, ("n",)), *(() if all_items else (Input("items", True, ("n",)),)))
    output = ("n", scores.n_items) if all_items else ("n",)
    return Network(inputs, output, {}, constants, matrix if all_items else pairs, scores.link, limits_of(state))
