"""Fitted models as networks of formulas: what goes in, the parameters, and what is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.export.formulas import Arrays, Input, Network, Values, activated, brought_to_length, targets_of
from fastcf.models.autoencoder.encoder import Network as Encoder
from fastcf.models.perceptron.scores import PerceptronScores
from fastcf.models.regression.mixed_regression import LearntEffects
from fastcf.models.two_tower.learnt import SIDES, LearntTowers
from fastcf.scores import Choices, FactorScores, State

__all__ = ["autoencoder_network", "factor_network", "perceptron_network", "perceptron_predictions", "tower_network"]

_Floats = NDArray[np.float32]
_ROUNDS, _TOLERANCE = 30, 0.01  # of the log-odds of new rows, as models compute them


def _padded(table: NDArray[Any], last: Any = 0) -> NDArray[Any]:
    """Return a table with a last row, that of row -1."""
    return np.concatenate([table, np.full((1, *table.shape[1:]), last, table.dtype)])


def _limits(state: State) -> tuple[float, float]:
    low, high = state.rating_range
    return float(low), float(high)


# ---------------------------------------------------------------------------------------------------------------
# Factors
# ---------------------------------------------------------------------------------------------------------------


def factor_network(state: State, scores: FactorScores, *, all_items: bool) -> Network:
    """Return ``m_i + b_u + b_i + p_u·q_i``: of pairs of rows, or of user rows and all items."""
    mean = np.float32(scores.global_mean)
    offsets = np.full(scores.n_items, mean) if scores.item_mean is None else scores.item_mean
    constants = {
        "user_factors": _padded(scores.user_factors),
        "user_bias": _padded(scores.user_bias)[:, None],
        "item_factors": scores.item_factors if all_items else _padded(scores.item_factors),
        "item_bias": scores.item_bias + offsets if all_items else _padded(scores.item_bias + offsets, mean)[:, None],
    }

    def pairs(a: Arrays, v: Values, users: Any, items: Any) -> Any:
        product = a.sum(a.rows_of(v["user_factors"], users) * a.rows_of(v["item_factors"], items))
        return a.flat(product + a.rows_of(v["user_bias"], users) + a.rows_of(v["item_bias"], items))

    def matrix(a: Arrays, v: Values, users: Any) -> Any:
        products = a.rows_of(v["user_factors"], users) @ v["item_factors"].T
        return products + a.rows_of(v["user_bias"], users) + v["item_bias"]

    inputs = (Input("users", True, ("n",)), *(() if all_items else (Input("items", True, ("n",)),)))
    output = ("n", scores.n_items) if all_items else ("n",)
    return Network(inputs, output, {}, constants, matrix if all_items else pairs, scores.link, _limits(state))


# ---------------------------------------------------------------------------------------------------------------
# Autoencoders
# ---------------------------------------------------------------------------------------------------------------


def autoencoder_network(state: State) -> Network:
    """Return f(x) of new rows: ratings of all columns, NaN where there is none, to predictions of all columns."""
    encoder: Encoder = state.learnt
    architecture, scale, targets = encoder.architecture, encoder.scale, state.targets
    parameters = encoder.parameters.named()
    n_columns = len(parameters["output_bias"])
    strength = targets.strength if isinstance(targets, Choices) else None
    n_layers = len(architecture.layers)

    def row_offsets(a: Arrays, v: Values, x: Any, given: Any, count: Any) -> Any:
        if np.isinf(scale.row_reg):
            return None
        if scale.logistic:
            return a.repeated(
                lambda rows: log_odds_step(a, x, given, v["column_offsets"] + scale.mean + rows, rows),
                count * 0.0,
                _ROUNDS,
                _TOLERANCE,
            )
        residuals = a.sum((x - (v["column_offsets"] + scale.mean)) * given)
        return residuals / (a.maximum(count, 1.0) if scale.row_reg == 0 else count + scale.row_reg)

    def log_odds_step(a: Arrays, x: Any, given: Any, z: Any, rows: Any) -> Any:
        size = a.maximum(a.absolute(z), 1e-3)
        curvature = a.sum(a.activation("tanh", size * 0.5) / (size * 2.0) * given) + scale.row_reg
        return (a.sum((x - a.activation("sigmoid", z)) * given) - rows * scale.row_reg) / curvature

    def formula(a: Arrays, v: Values, ratings: Any) -> Any:
        missing = a.missing(ratings)
        given, ratings = a.where(missing, 0.0, 1.0), a.where(missing, 0.0, ratings)
        x, count = targets_of(a, ratings, given, targets, strength), a.sum(given)
        offsets = None
        if scale.unit_rows:
            inputs = brought_to_length(a, x, 1.0)
        else:
            rows = row_offsets(a, v, x, given, count)
            offsets = v["column_offsets"] + scale.mean
            offsets = offsets if rows is None else offsets + rows
            expected = a.activation("sigmoid", offsets) if scale.logistic else offsets
            inputs = (x - expected) * given / scale.unit
        hidden = inputs @ v["input_weights"]
        if architecture.rated_input:
            hidden = hidden + (given * architecture.rated_input / a.sqrt(a.maximum(count, 1.0))) @ v["rated_weights"]
        between: list[Any] = [v[f"hidden_weights_{n}"] for n in range(len(architecture.hidden_weights))]
        if architecture.tied:
            between += [weights.T for weights in reversed(between)]
        biases = [v[f"hidden_biases_{n}"] for n in range(2 * n_layers - 1)]
        hidden = activated(a, hidden, list(zip([None, *between], biases, strict=True)), architecture.activation)
        last = v["input_weights"] if architecture.tied else v["output_weights"]
        scores = hidden @ last.T + v["output_bias"]
        if architecture.squashes or offsets is None:
            return scores
        return scores * scale.gain + offsets

    shape = ("n", n_columns)
    constants = {} if scale.unit_rows else {"column_offsets": np.asarray(scale.columns)}
    return Network(
        (Input("ratings", False, shape),), shape, parameters, constants, formula, encoder.link, _limits(state)
    )


# ---------------------------------------------------------------------------------------------------------------
# Two towers
# ---------------------------------------------------------------------------------------------------------------


def tower_network(state: State) -> Network:
    """Return the score of pairs, given rows of the model, or -1, and the features of both sides."""
    learnt: LearntTowers = state.learnt
    scores = state.scores.as_factors()
    assert scores is not None
    parameters: dict[str, NDArray[Any]] = {}
    constants: dict[str, NDArray[Any]] = {}
    inputs: list[Input] = []
    for name, tower in zip(SIDES, learnt.towers, strict=True):
        for what, layers in zip(("weights", "biases"), tower.parameters, strict=True):
            parameters |= {f"{name}_{what}_{n}": array for n, array in enumerate(layers)}
        constants[f"{name}_own"] = _padded(tower.own, -1)
        constants[f"{name}_average"] = tower.average[: learnt.shape.user_layers[-1]]
        inputs.append(Input(f"{name}s", True, ("n",)))
        if tower.inputs.n_features:
            inputs.append(Input(f"{name}_features", False, ("n", tower.inputs.n_features)))
    baseline = _baseline_constants(learnt)
    constants |= baseline
    if learnt.popularity is not None:
        logarithms, weights = learnt.popularity.logarithms, learnt.popularity.weights
        constants["log_popularity"] = _padded(logarithms, logarithms.min(initial=0.0))[:, None]
        if weights is not None:
            constants["popularity_weights"] = weights[:, None]

    def tower_of(a: Arrays, v: Values, side: int, rows: Any, features: Any) -> Any:
        name, tower, shape, depth = (
            SIDES[side],
            learnt.towers[side],
            learnt.shape,
            len(learnt.towers[side].parameters[0]),
        )
        n, (first, *others) = tower.inputs.n_features, (v[f"{name}_weights_{k}"] for k in range(depth))
        biases = [v[f"{name}_biases_{k}"] for k in range(depth)]
        own = a.rows_of(v[f"{name}_own"], rows)
        total = None if features is None else features @ a.part(first, 0, n)
        if tower.inputs.n_ids:
            told = a.rows_of(a.with_zeros(a.part(first, n, n + tower.inputs.n_ids)), own)
            total = told if total is None else total + told
        layers = list(zip([None, *others], biases, strict=True))
        x = activated(a, total, layers[:-1], shape.activation)
        x = activated(a, x, layers[-1:], "identity")
        x = brought_to_length(a, x, shape.length) if shape.length > 0 else x
        x = x * float(np.sqrt(learnt.unit))
        # Rows without any input have the average vector.
        return x if features is not None else a.where(a.column(a.negative(own)), v[f"{name}_average"], x)

    def formula(a: Arrays, v: Values, *given: Any) -> Any:
        by_name = dict(zip((each.name for each in inputs), given, strict=True))
        users, items = by_name["users"], by_name["items"]
        features = [by_name.get(f"{name}_features") for name in SIDES]
        u, i = (tower_of(a, v, side, rows, features[side]) for side, rows in enumerate((users, items)))
        score = a.sum(u * i) + learnt.centre
        if baseline:
            score = score + _baseline(a, v, learnt, (users, items), features)
        if learnt.popularity is not None:
            known = a.rows_of(v["log_popularity"], items)
            if features[1] is not None:
                n = learnt.towers[1].inputs.n_features
                weights = v["popularity_weights"]
                told = features[1] @ a.part(weights, 0, n) + a.part(weights, n, n + 1)
                known = a.where(a.column(a.negative(items)), told, known)
            score = score + known
        return a.flat(score)

    return Network(tuple(inputs), ("n",), parameters, constants, formula, scores.link, _limits(state))


def _baseline_constants(learnt: LearntTowers) -> dict[str, NDArray[Any]]:
    """Return what the baseline adds: own biases and factors of rows, and what features explain."""
    if learnt.baseline is None:
        return {}
    effects = learnt.baseline.model.state.learnt
    found: dict[str, NDArray[Any]] = {}
    for side, name in enumerate(SIDES):
        factors, bias = learnt.baseline.of_side(side)
        average = learnt.towers[side].average[learnt.shape.user_layers[-1] :]
        if isinstance(effects, LearntEffects):
            own = effects.of(name)
            bias = bias - own.explained
            if own.n_features:
                found[f"{name}_explained"] = own.common.weights[:, None]
                found[f"{name}_explained_centre"] = np.array([own.common.centre], np.float32)
                n = effects.n_slopes(name)  # slopes come first among users' factors, last among items'
                factors = factors[:, :n] if side == 0 else factors[:, factors.shape[1] - n :]
                average = np.zeros(n, np.float32)
        found[f"{name}_own_bias"] = _padded(bias)[:, None]
        found[f"{name}_own_factors"] = np.concatenate([factors, average[None].astype(np.float32)])
    return found


def _baseline(a: Arrays, v: Values, learnt: LearntTowers, rows: tuple[Any, Any], features: list[Any]) -> Any:
    """Return what the baseline adds to scores, but for its mean, which is the centre of the towers."""
    assert learnt.baseline is not None
    effects = learnt.baseline.model.state.learnt
    total, factors = None, []
    for side, name in enumerate(SIDES):
        bias = a.rows_of(v[f"{name}_own_bias"], rows[side])
        own = a.rows_of(v[f"{name}_own_factors"], rows[side])
        if features[side] is not None:
            bias = bias + features[side] @ v[f"{name}_explained"] - v[f"{name}_explained_centre"]
            if effects.n_slopes(SIDES[1 - side]) > 0:
                own = a.joined([own, features[side]] if side == 0 else [features[side], own])
        total = bias if total is None else total + bias
        factors.append(own)
    return total + a.sum(factors[0] * factors[1])


# ---------------------------------------------------------------------------------------------------------------
# Perceptrons
# ---------------------------------------------------------------------------------------------------------------


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
    return Network(inputs, ("n",), {}, constants, formula, scores.link, _limits(state))


def perceptron_predictions(state: State) -> Network:
    """Return the predictions of pairs of rows."""
    scores = state.scores
    assert isinstance(scores, PerceptronScores)
    network = _of_users(state, scores)

    def formula(a: Arrays, v: Values, users: Any, items: Any) -> Any:
        return network.formula(a, v, users, a.rows_of(v["item_features"], items))

    constants = {**network.constants, "item_features": _padded(scores.item_features)}
    inputs = Input("users", True, ("n",)), Input("items", True, ("n",))
    return Network(inputs, ("n",), {}, constants, formula, scores.link, _limits(state))


def _of_users(state: State, scores: PerceptronScores) -> Network:
    """Return the predictions of users' networks, given features as the networks read them."""
    constants: dict[str, NDArray[Any]] = {
        "known": _padded((scores.n_ratings > 0).astype(np.float32))[:, None],
        "base_rate": scores.base_rate,
    }
    constants |= {f"coefs_{n}": _padded(np.ascontiguousarray(each)) for n, each in enumerate(scores.coefs)}
    constants |= {f"intercepts_{n}": _padded(np.ascontiguousarray(each)) for n, each in enumerate(scores.intercepts)}
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

    return Network((), ("n",), {}, constants, formula, scores.link, _limits(state))
