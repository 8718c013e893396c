"""Two towers as a network: rows and features of both sides in, predictions of pairs out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.export.formulas import Arrays, Input, Network, Values, activated, limits_of, normalized, padded
from fastcf.models.regression.mixed_regression import LearntEffects
from fastcf.models.two_tower.learnt import SIDES, LearntTowers
from fastcf.scores import State

__all__ = ["tower_network"]


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
        constants[f"{name}_own"] = padded(tower.own, -1)
        constants[f"{name}_average"] = tower.average[: learnt.shape.user_layers[-1]]
        inputs.append(Input(f"{name}s", True, ("n",)))
        if tower.inputs.n_features:
            inputs.append(Input(f"{name}_features", False, ("n", tower.inputs.n_features)))
    baseline = _baseline_constants(learnt)
    constants |= baseline
    if learnt.popularity is not None:
        logarithms, weights = learnt.popularity.logarithms, learnt.popularity.weights
        constants["log_popularity"] = padded(logarithms, logarithms.min(initial=0.0))[:, None]
        if weights is not None:
            constants["popularity_weights"] = weights[:, None]

    def formula(a: Arrays, v: Values, *given: Any) -> Any:
        by_name = dict(zip((each.name for each in inputs), given, strict=True))
        users, items = by_name["users"], by_name["items"]
        features = [by_name.get(f"{name}_features") for name in SIDES]
        u, i = (_vectors(a, v, learnt, side, rows, features[side]) for side, rows in enumerate((users, items)))
        score = a.sum(u * i) + learnt.centre
        if baseline:
            score = score + _baseline(a, v, learnt, (users, items), features)
        if learnt.popularity is not None:
            known = a.rows_of(v["log_popularity"], items)
            if features[1] is not None:
                n = learnt.towers[1].inputs.n_features
                weights = v["popularity_weights"]
                by_features = features[1] @ a.part(weights, 0, n) + a.part(weights, n, n + 1)
                known = a.where(a.column(a.negative(items)), by_features, known)
            score = score + known
        return a.flat(score)

    return Network(tuple(inputs), ("n",), parameters, constants, formula, scores.link, limits_of(state))


def _vectors(a: Arrays, v: Values, learnt: LearntTowers, side: int, rows: Any, features: Any) -> Any:
    """Return the vectors of a tower; those of rows without any input are the average."""
    name, inputs, depth = SIDES[side], learnt.towers[side].inputs, len(learnt.towers[side].parameters.weights)
    first, *others = (v[f"{name}_weights_{layer}"] for layer in range(depth))
    biases = [v[f"{name}_biases_{layer}"] for layer in range(depth)]
    n, own = inputs.n_features, a.rows_of(v[f"{name}_own"], rows)
    x = None if features is None else features @ a.part(first, 0, n)
    if inputs.n_ids:
        by_id = a.rows_of(a.with_zeros(a.part(first, n, n + inputs.n_ids)), own)
        x = by_id if x is None else x + by_id
    layers = list(zip([None, *others], biases, strict=True))
    x = activated(a, x, layers[:-1], learnt.shape.activation)
    x = activated(a, x, layers[-1:], "identity")
    if learnt.shape.length > 0:
        x = normalized(a, x, learnt.shape.length)
    x = x * float(np.sqrt(learnt.unit))
    return x if features is not None else a.where(a.column(a.negative(own)), v[f"{name}_average"], x)


def _baseline_constants(learnt: LearntTowers) -> dict[str, NDArray[Any]]:
    """Return what the baseline adds, in its own unit: own biases and factors of rows, and what features explain."""
    if learnt.baseline is None:
        return {}
    effects = learnt.baseline.model.state.learnt
    found: dict[str, NDArray[Any]] = {}
    for side, name in enumerate(SIDES):
        scores = learnt.baseline.own_scores
        factors, bias = (
            (scores.user_factors, scores.user_bias) if side == 0 else (scores.item_factors, scores.item_bias)
        )
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
            elif side == 0:  # without features unknown users have the average slopes
                average = average / np.float32(learnt.baseline.gain)
        found[f"{name}_own_bias"] = padded(bias)[:, None]
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
    total = total + a.sum(factors[0] * factors[1])
    return total if learnt.baseline.line is None else total * learnt.baseline.gain
