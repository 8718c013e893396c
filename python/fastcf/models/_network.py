"""The parameters of an autoencoder: their shapes, their first values, and the objective as a function of them."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import Backend, single_threaded_blas
from fastcf.gradient_check import Objective
from fastcf.models._network_rows import BOUNDED, Scale, fit_label_scale, fit_scale, rows_to_train_on
from fastcf.ratings import Ratings

__all__ = [
    "ACTIVATIONS",
    "INITS",
    "Parameters",
    "draw_parameters",
    "hidden_shapes",
    "network_objective",
    "penalises_output_bias",
    "scale_of",
]

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu")
INITS = ("small", "lecun", "glorot", "normal", "uniform")
_STREAM = 32  # of random numbers: the first weights; other kinds of models have those below
_SMOOTH = {"identity", "sigmoid", "tanh"}
_FEW_ROWS, _MANY_ROWS = 20, 200  # that a gradient check looks at: with many a difference steps over some kink
_CHECKED_PENALTY = 1e-4  # a gradient is right or wrong at any: one that does not drown the rest of the cost
_SMALL = 0.05  # of "normal" and "uniform"
_ENDS = 0.1  # of "small": how large the weights of both ends are, compared with "lecun"

# As native code takes them: input weights, output weights (None where tied), output bias, hidden weights and biases,
# weights for being rated (None where that is not fed).
Parameters = tuple[
    NDArray[Any], NDArray[Any] | None, NDArray[Any], list[NDArray[Any]], list[NDArray[Any]], NDArray[Any] | None
]


class HiddenShapes(NamedTuple):
    """Shapes of the hidden layers' weights (inputs, outputs) and biases."""

    weights: list[tuple[int, int]]
    biases: list[tuple[int]]


def hidden_shapes(layers: tuple[int, ...], tied: bool) -> HiddenShapes:
    """Return the shapes for an encoder of such layers and the decoder that mirrors it."""
    widths = [*layers, *layers[-2::-1]]
    weights = list(itertools.pairwise(widths))
    return HiddenShapes(weights[: len(layers) - 1] if tied else weights, [(width,) for width in widths])


def draw_parameters(
    backend: Backend, n_columns: int, layers: tuple[int, ...], tied: bool, init: str, squares: float,
    rated_input: float, seed: int, n_threads: int,
) -> Parameters:  # fmt: skip
    """Draw first weights; biases are 0. ``squares`` is the mean sum of squares of a row's inputs."""
    stream = _STREAM

    def weights(shape: tuple[int, int], inputs: float, outputs: float, factor: float = 1.0) -> NDArray[np.float32]:
        nonlocal stream
        stream += 1
        scale = {
            "small": factor / math.sqrt(inputs),
            "lecun": 1 / math.sqrt(inputs),
            "glorot": math.sqrt(6 / (inputs + outputs)),
            "normal": _SMALL,
            "uniform": _SMALL,
        }[init]
        kind = "uniform" if init in ("glorot", "uniform") else "normal"
        drawn: NDArray[np.float32] = backend.module.random(*shape, kind, scale, seed, stream, n_threads)
        return drawn

    shapes, width = hidden_shapes(layers, tied), layers[0]
    table = n_columns, width
    first = weights(table, max(squares, 1e-12), width, _ENDS)
    last = None if tied else weights(table, width, max(squares, 1e-12), _ENDS)
    hidden = [weights(shape, *shape) for shape in shapes.weights]
    rated = weights(table, rated_input**2, width, _ENDS) if rated_input else None
    biases = [np.zeros(shape, np.float32) for shape in shapes.biases]
    return first, last, np.zeros(n_columns, np.float32), hidden, biases, rated


def _flat(parameters: Parameters) -> dict[str, NDArray[Any]]:
    first, last, bias, weights, biases, rated = parameters
    named = {"input_weights": first, "output_weights": last, "output_bias": bias, "rated_weights": rated}
    named.update({f"hidden_weights_{n}": array for n, array in enumerate(weights)})
    named.update({f"hidden_biases_{n}": array for n, array in enumerate(biases)})
    return {name: array for name, array in named.items() if array is not None}


def _rebuilt(named: dict[str, NDArray[Any]]) -> Parameters:
    weights = [array for name, array in named.items() if name.startswith("hidden_weights")]
    biases = [array for name, array in named.items() if name.startswith("hidden_biases")]
    ends = named["input_weights"], named.get("output_weights"), named["output_bias"]
    return *ends, weights, biases, named.get("rated_weights")


def penalises_output_bias(model: Any) -> bool:
    """Whether the output biases only refine biases that were fitted, and shrunk, before."""
    return bool(model.normalize == "bias" and model.output_activation not in BOUNDED)


def scale_of(model: Any, ratings: Ratings, backend: Backend) -> Scale:
    """Return the scale that a model's parameters ask for."""
    threads = model.n_threads or 0
    if model.cost == "logistic":
        return fit_label_scale(ratings, backend, model.normalize, model.orientation, threads)
    return fit_scale(ratings, backend, model.normalize, model.output_activation, model.orientation, threads)


def network_objective(model: Any, ratings: Ratings, backend: Backend, seed: int) -> Objective:
    """Return the objective of a model on the first rows of some ratings, at random parameters of a plausible size.

    All options count, dropout too, its choices fixed by the seed. With dense re-feeding it is that step's objective,
    on the rows' normalised ratings as dense ones.
    """
    scale = scale_of(model, ratings, backend)
    rows = rows_to_train_on(ratings, model.orientation)
    kinked = not _SMOOTH.issuperset((model.activation, model.output_activation))
    indptr = rows.csr[0][: (_FEW_ROWS if kinked else _MANY_ROWS) + 1]
    end = int(indptr[-1])
    inputs = scale.normalised(rows.csr, scale.rows)[:end].astype(np.float64)
    targets, offsets = inputs, None
    if model.cost == "logistic":
        targets = rows.csr[2][:end].astype(np.float64)
        offsets = scale.entry_offsets(rows.csr, scale.rows)[:end].astype(np.float64)
    weights = None if rows.weights is None else rows.weights[:end].astype(np.float64)
    structure = indptr, rows.csr[1][:end]
    layers = tuple(int(size) for size in model.layers)
    rated_input = 0.0 if model.dense_refeeding else float(model.rated_input)  # dense rows are fed nothing beside them
    random = np.random.default_rng(seed)
    shapes, table = hidden_shapes(layers, model.tied), (rows.n_columns, layers[0])

    def drawn(shape: tuple[int, ...], inputs: float) -> NDArray[np.float64]:
        return random.normal(0, 1 / math.sqrt(inputs), shape)

    known = max(1.0, end / max(len(indptr) - 1, 1))
    start = _flat((
        drawn(table, known), None if model.tied else drawn(table, layers[0]), drawn((rows.n_columns,), 4.0),
        [drawn(shape, shape[0]) for shape in shapes.weights], [drawn(shape, 4.0) for shape in shapes.biases],
        drawn(table, rated_input**2) if rated_input else None,
    ))  # fmt: skip
    penalty = 0.0 if model.reg == 0 else _CHECKED_PENALTY

    def evaluate(at: dict[str, NDArray[np.float64]]) -> tuple[float, dict[str, NDArray[np.float64]]]:
        gradient = _rebuilt({name: np.empty_like(array) for name, array in at.items()})
        with single_threaded_blas():
            cost = backend.module.autoencoder_gradient(
                *structure,
                inputs,
                targets,
                rows.n_columns,
                _rebuilt(at),
                gradient,
                weights=weights,
                layers=list(layers),
                activation=model.activation,
                output_activation=model.output_activation,
                tied=model.tied,
                dropout=model.dropout,
                alpha_dropout=model.alpha_dropout,
                input_dropout=model.input_dropout,
                rated_input=rated_input,
                offsets=offsets,
                cost=model.cost,
                weight_decay=penalty,
                penalised_bias=penalises_output_bias(model),
                seed=seed,
                dense=model.dense_refeeding > 0,
                n_threads=model.n_threads or 0,
            )
        return cost, _flat(gradient)

    return Objective(start, evaluate, 1e-6 if kinked else 1e-5)
