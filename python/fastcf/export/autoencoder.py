"""Autoencoders as networks: ratings of a row in, predictions of all its columns out."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastcf.export.formulas import (
    Arrays,
    Input,
    Network,
    Values,
    activated,
    limits_of,
    normalized,
    targets_of,
)
from fastcf.models.autoencoder.encoder import Network as Encoder
from fastcf.models.autoencoder.rows import Scale
from fastcf.scores import Choices, State

__all__ = ["autoencoder_network"]

_ROUNDS, _TOLERANCE = 30, 0.01  # of the log-odds of new rows, as models compute them


def autoencoder_network(state: State) -> Network:
    """Return f(x) of new rows: ratings of all columns, NaN where there is none, to predictions of all columns."""
    encoder: Encoder = state.learnt
    scale, squashes, targets = encoder.scale, encoder.architecture.squashes, state.targets
    strength = targets.strength if isinstance(targets, Choices) else None

    def formula(a: Arrays, v: Values, ratings: Any) -> Any:
        missing = a.missing(ratings)
        given, ratings = a.where(missing, 0.0, 1.0), a.where(missing, 0.0, ratings)
        x, count = targets_of(a, ratings, given, targets, strength), a.sum(given)
        if scale.unit_rows:
            return _outputs(a, v, encoder, normalized(a, x, 1.0), given, count)
        offsets = v["column_offsets"] + scale.mean
        if not np.isinf(scale.row_reg):
            offsets = offsets + _row_offsets(a, scale, offsets, x, given, count)
        expected = a.activation("sigmoid", offsets) if scale.logistic else offsets
        outputs = _outputs(a, v, encoder, (x - expected) * given / scale.unit, given, count)
        return outputs if squashes else outputs * scale.gain + offsets

    parameters = encoder.parameters.named()
    shape = ("n", len(parameters["output_bias"]))
    constants = {} if scale.unit_rows else {"column_offsets": np.asarray(scale.columns)}
    inputs = (Input("ratings", False, shape),)
    return Network(inputs, shape, parameters, constants, formula, encoder.link, limits_of(state))


def _row_offsets(a: Arrays, scale: Scale, columns: Any, x: Any, given: Any, count: Any) -> Any:
    """Return the offsets of rows, given those of their columns."""
    if not scale.logistic:
        residuals = a.sum((x - columns) * given)
        return residuals / (a.maximum(count, 1.0) if scale.row_reg == 0 else count + scale.row_reg)

    def step(rows: Any) -> Any:  # see log_odds_of_rows in fastcf.models.bias
        z = columns + rows
        size = a.maximum(a.absolute(z), 1e-3)
        curvature = a.sum(a.activation("tanh", size * 0.5) / (size * 2.0) * given) + scale.row_reg
        return (a.sum((x - a.activation("sigmoid", z)) * given) - rows * scale.row_reg) / curvature

    return a.repeated(step, count * 0.0, _ROUNDS, _TOLERANCE)


def _outputs(a: Arrays, v: Values, encoder: Encoder, inputs: Any, given: Any, count: Any) -> Any:
    """Return the products of the last layer, before the activation of outputs."""
    architecture = encoder.architecture
    hidden = inputs @ v["input_weights"]
    if architecture.rated_input:
        hidden = hidden + (given * architecture.rated_input / a.sqrt(a.maximum(count, 1.0))) @ v["rated_weights"]
    between: list[Any] = [v[f"hidden_weights_{n}"] for n in range(len(architecture.hidden_weights))]
    if architecture.tied:
        between += [weights.T for weights in reversed(between)]
    biases = [v[f"hidden_biases_{n}"] for n in range(len(architecture.hidden_biases))]
    hidden = activated(a, hidden, list(zip([None, *between], biases, strict=True)), architecture.activation)
    last = v["input_weights"] if architecture.tied else v["output_weights"]
    return hidden @ last.T + v["output_bias"]
