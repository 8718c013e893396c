"""Networks of users as one network, whose weights are looked up by user."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.export.formulas import Arrays, Input, Network, Values, limits_of, padded
from fastcf.models.perceptron.scores import PerceptronScores
from fastcf.scores import State

__all__ = ["perceptron_network", "perceptron_predictions"]


def perceptron_network(state: State) -> Network:
    """Return the predictions of users' networks, given rows of users and features of items."""
    scores = state.scores
    assert isinstance(scores, PerceptronScores)
    scale = state.learnt.feature_scale
    network = _of_users(state, scores)
    n_features = scores.item_features.shape[1]

    def formula(a: Arrays, v: Values, users: Any, features: Any) -> Any:
        return network.formula(a, v, users, features if scale is None else features * v["feature_scale"])

    constants = network.constants if scale is None else {**network.constants, "feature_scale": scale}
    inputs = Input("users", True, ("n",)), Input("item_features", False, ("n", n_features))
    return Network(inputs, ("n",), {}, constants, formula, scores.link, limits_of(state))


def perceptron_predictions(state: State) -> Network:
    """Return the predictions of pairs of rows."""
    scores = state.scores
    assert isinstance(scores, PerceptronScores)
    network = _of_users(state, scores)

    def formula(a: Arrays, v: Values, users: Any, items: Any) -> Any:
        return network.formula(a, v, users, a.rows_of(v["item_features"], items))

    constants = {**network.constants, "item_features": padded(scores.item_features)}
    inputs = Input("users", True, ("n",)), Input("items", True, ("n",))
    return Network(inputs, ("n",), {}, constants, formula, scores.link, limits_of(state))


def _of_users(state: State, scores: PerceptronScores) -> Network:
    """Return the predictions of users' networks, given features as the networks read them."""
    constants: dict[str, NDArray[Any]] = {
        "known": padded((scores.n_ratings > 0).astype(np.float32))[:, None],
        "base_rate": scores.base_rate,
    }
    constants |= {f"coefs_{n}": padded(np.ascontiguousarray(each)) for n, each in enumerate(scores.coefs)}
    constants |= {f"intercepts_{n}": padded(np.ascontiguousarray(each)) for n, each in enumerate(scores.intercepts)}
    n_layers = len(scores.coefs)
    if scores.levels is not None:
        constants["levels"] = scores.levels[:, None]

    def formula(a: Arrays, v: Values, users: Any, x: Any) -> Any:
        for n in range(n_layers):
            x = a.of_each(x, a.rows_of(v[f"coefs_{n}"], users))
            x = x + a.rows_of(v[f"intercepts_{n}"], users) if scores.shape.bias else x
            x = a.activation("sigmoid" if n == n_layers - 1 else scores.shape.activation, x)
        x = a.where(a.at_least(a.rows_of(v["known"], users), 0.5), x, v["base_rate"])
        return a.flat(x if scores.levels is None else (x @ v["levels"]) / a.sum(x))

    return Network((), ("n",), {}, constants, formula, scores.link, limits_of(state))
