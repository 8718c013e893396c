"""The towers of a two-tower model: inputs, parameters, and the objective as a function of the parameters."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf._backend import single_threaded_blas
from fastcf.ids import IdMap
from fastcf.preprocessing import as_feature_table
from fastcf.scores import Compute
from fastcf.training.gradient_check import Objective

__all__ = [
    "INITS",
    "Inputs",
    "Shape",
    "Side",
    "TowerParameters",
    "draw_tower",
    "side_of",
    "tower_vectors",
    "towers_objective",
]

INITS = ("he", "lecun", "glorot", "normal", "uniform")
_STREAM = 64  # of random numbers: the first weights; other models use those below
_SMALL = 0.05  # of "normal" and "uniform"
_OWN_GAIN = 3.0  # of first weights where rows have only id inputs: they begin far apart
# The same for choices: first weights are steps that Adam soon takes, so that what is not learnt counts little.
_CHOICE_GAIN = 0.05
_CHOICE_PLAIN_GAIN = 0.4  # where vectors are not normalised: products of small ones have no slope
_PLAIN_GAIN = 0.3  # of the last layer where vectors are not normalised: products that begin small
_DENSE_SHARE = 0.25  # of a column's entries that is not zero, from which it is dense: see docs/defaults-sweeps.md


class TowerParameters(NamedTuple):
    """Weights (inputs, outputs) and biases of a tower's layers."""

    weights: list[NDArray[Any]]
    biases: list[NDArray[Any]]


class Shape(NamedTuple):
    """The architecture of two towers."""

    user_layers: list[int]  # the vectors' size included
    item_layers: list[int]
    activation: str  # of the hidden layers
    length: float  # of the vectors, in the unit of the towers; 0: not normalised


class Inputs(NamedTuple):
    """The inputs of a tower: features, followed by one id input each for some rows."""

    dense: NDArray[np.bool_]  # by input: part of a dense block; the others are read where they are not zero
    n_ids: int  # number of id inputs, the last ones: one row each

    @classmethod
    def of(cls, matrix: Any, n_ids: int) -> Inputs:
        """Return the inputs for a matrix of features, dense or sparse: full columns are dense."""
        if scipy.sparse.issparse(matrix):
            filled = np.bincount(matrix.indices[matrix.data != 0], minlength=matrix.shape[1])
        else:
            filled = np.count_nonzero(matrix, axis=0)
        full = filled > _DENSE_SHARE * matrix.shape[0]
        return cls(np.concatenate([full, np.zeros(n_ids, bool)]), n_ids)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.dense.size - self.n_ids)

    def native(self, matrix: Any, own: NDArray[np.int32], dtype: Any = np.float32) -> tuple[Any, ...]:
        """Return rows of features as native code takes them; ``own`` is the number of each row's own input, or -1."""
        dense = self.dense[: self.n_features]
        block, rest = matrix[:, np.flatnonzero(dense)], matrix[:, np.flatnonzero(~dense)]
        if scipy.sparse.issparse(block):
            block = block.toarray()
        known = own >= 0
        indptr = np.concatenate([[0], np.cumsum(known)])
        ones = scipy.sparse.csr_array(
            (np.ones(int(indptr[-1]), dtype), own[known], indptr), shape=(own.size, self.n_ids)
        )
        sparse = scipy.sparse.hstack([scipy.sparse.csr_array(rest), ones], format="csr")
        sparse.sort_indices()
        sparse.eliminate_zeros()
        structure = sparse.indptr.astype(np.int64), sparse.indices.astype(np.int32), sparse.data.astype(dtype)
        return *structure, sparse.shape[1], np.ascontiguousarray(block, dtype)

    def split(self, parameters: TowerParameters) -> tuple[Any, ...]:
        """Return parameters as native code takes them, the first weights copied."""
        first, *weights = parameters.weights
        return (
            np.ascontiguousarray(first[~self.dense]),
            np.ascontiguousarray(first[self.dense]),
            weights,
            parameters.biases,
        )

    def joined(self, parts: tuple[Any, ...]) -> TowerParameters:
        """Return the parameters of parts that :meth:`split` made, in new arrays."""
        sparse, dense, weights, biases = parts
        first = np.empty((self.dense.size, biases[0].size), biases[0].dtype)
        first[~self.dense], first[self.dense] = sparse, dense
        return TowerParameters([first, *(array.copy() for array in weights)], [array.copy() for array in biases])


class Side(NamedTuple):
    """The users or the items of a model: their ids and features."""

    ids: IdMap
    matrix: Any  # dense or compressed rows, (n, n_features)
    inputs: Inputs
    own: NDArray[np.int32]  # the number of each row's own input; -1: none

    @classmethod
    def of(cls, ids: IdMap, matrix: Any, rated: NDArray[np.int64]) -> Side:
        """Return a side of a new model, in which each row of ``rated`` has an id input."""
        own = np.full(len(ids), -1, np.int32)
        own[rated] = np.arange(rated.size)
        return cls(ids, matrix, Inputs.of(matrix, rated.size), own)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which rows have features or an id input."""
        return (self.own >= 0) | (self.inputs.n_features > 0)

    @property
    def mean_square(self) -> float:
        """The mean over rows of the sum of their inputs' squares."""
        values = self.matrix.data if scipy.sparse.issparse(self.matrix) else self.matrix
        squares = float(np.vdot(values, values)) + np.count_nonzero(self.own >= 0)
        return squares / max(self.own.size, 1)

    def native(self, dtype: Any = np.float32, rows: Any = None) -> tuple[Any, ...]:
        """Return the features of all rows, or of some, as native code takes them."""
        if rows is None:
            return self.inputs.native(self.matrix, self.own, dtype)
        return self.inputs.native(self.matrix[rows], self.own[rows], dtype)


def side_of(
    name: str, ids: IdMap, features: Any, counts: NDArray[np.int64], own: str, with_others: bool, caller: str
) -> Side:
    """Return the users or items of ratings with the features of a table, which may be None.

    ``own`` is the model's ``ids``. With ``with_others``, ids that only the table has follow.
    """
    has_ids = features is None if own == "auto" else own in (name, "both")
    rated = np.flatnonzero(counts) if has_ids else np.empty(0, np.int64)
    if features is None:
        if not has_ids:
            raise ValueError(
                f"{caller}: {name}_features must be given with ids={own!r}, without which {name}s have no inputs; "
                "got None"
            )
        return Side.of(ids, scipy.sparse.csr_array((len(ids), 0), dtype=np.float32), rated)
    table, what = as_feature_table(features, caller, f"{name}_features"), f"all {name}s of the ratings"
    if with_others:
        table = table.extend(ids, caller=caller, what=what)
        return Side.of(table.ids, table.matrix, rated)
    return Side.of(ids, table.align(ids, caller=caller, what=what), rated)


def draw_tower(
    side: Side,
    layers: list[int],
    init: str,
    normalized: bool,
    choices: bool,
    seed: int,
    number: int,
    compute: Compute,
) -> TowerParameters:
    """Draw first weights of tower ``number``; biases are 0."""
    gain = 1.0 if normalized else _PLAIN_GAIN

    def weights(shape: tuple[int, int], inputs: float, layer: int) -> NDArray[np.float32]:
        last = layer == len(layers) - 1
        scale = {
            "he": math.sqrt((1.0 if last else 2.0) / inputs),
            "lecun": 1 / math.sqrt(inputs),
            "glorot": math.sqrt(6 / (inputs + shape[1])),
            "normal": _SMALL,
            "uniform": _SMALL,
        }[init]
        kind = "uniform" if init in ("glorot", "uniform") else "normal"
        stream = _STREAM + 2 * layer + number
        drawn: NDArray[np.float32] = compute.native.random(
            *shape, kind, scale * (gain if last else 1.0), seed, stream, compute.n_threads
        )
        return drawn

    first = weights((side.inputs.dense.size, layers[0]), max(side.mean_square, 1e-12), 0)
    if choices:
        first *= _CHOICE_GAIN if normalized else _CHOICE_PLAIN_GAIN
    elif side.inputs.n_features == 0:
        first *= _OWN_GAIN
    others = [weights(shape, shape[0], layer + 1) for layer, shape in enumerate(itertools.pairwise(layers))]
    return TowerParameters([first, *others], [np.zeros(size, np.float32) for size in layers])


def tower_vectors(
    features: tuple[Any, ...], parameters: tuple[Any, ...], shape: Shape, compute: Compute
) -> NDArray[np.float32]:
    """Return the vectors of features and parameters as native code takes them."""
    with single_threaded_blas():
        vectors: NDArray[np.float32] = compute.native.tower_vectors(
            features,
            parameters,
            layers=[bias.size for bias in parameters[3]],
            activation=shape.activation,
            length=shape.length,
            n_threads=compute.n_threads,
        )
    return vectors


def towers_objective(
    ratings: tuple[Any, ...],
    sides: tuple[Side, Side],
    shape: Shape,
    penalty: float,
    seed: int,
    compute: Compute,
    offsets: NDArray[np.float64] | None = None,
    **options: Any,
) -> Objective:
    """Return the mean cost of ratings (indptr, indices, values, weights) and its penalty, at random parameters.

    ``offsets`` are the items' log-weights, for the softmax cost.
    """
    layers = shape.user_layers, shape.item_layers
    indptr, indices, values, weights = ratings
    n = max(values.size, 1)
    features = [side.native(np.float64) for side in sides]
    wide = values.astype(np.float64), None if weights is None else weights.astype(np.float64)
    random = np.random.default_rng(seed)
    start: dict[str, NDArray[np.float64]] = {}
    for name, side, sizes in zip(("user", "item"), sides, layers, strict=True):
        shapes = [(side.inputs.dense.size, sizes[0]), *itertools.pairwise(sizes)]
        fed = [max(side.mean_square, 1e-12), *sizes]
        for layer, (size, inputs) in enumerate(zip(shapes, fed, strict=False)):
            start[f"{name}_weights_{layer}"] = random.normal(0, 1 / math.sqrt(inputs), size)
            start[f"{name}_biases_{layer}"] = random.normal(0, 0.5, size[1])

    fixed: dict[str, NDArray[np.float64]] = {}
    if offsets is not None and shape.length == 0:  # adds one number to all scores of a user: no cost depends on it
        idle = f"item_biases_{len(layers[1]) - 1}"
        fixed[idle] = start.pop(idle)

    def rebuilt(named: dict[str, NDArray[np.float64]], name: str, n_layers: int) -> TowerParameters:
        parts = [[named[f"{name}_{what}_{layer}"] for layer in range(n_layers)] for what in ("weights", "biases")]
        return TowerParameters(parts[0], parts[1])

    def evaluate(at: dict[str, NDArray[np.float64]]) -> tuple[float, dict[str, NDArray[np.float64]]]:
        parameters = [
            rebuilt({**at, **fixed}, name, len(sizes)) for name, sizes in zip(("user", "item"), layers, strict=True)
        ]
        point = tuple(side.inputs.split(part) for side, part in zip(sides, parameters, strict=True))
        gradient = tuple(
            (*(np.empty_like(a) for a in part[:2]), *([np.empty_like(a) for a in arrays] for arrays in part[2:]))
            for part in point
        )
        with single_threaded_blas():
            cost = compute.native.two_tower_gradient(
                indptr,
                indices,
                wide[0],
                *features,
                point,
                gradient,
                weights=wide[1],
                offsets=offsets,
                seed=seed,
                n_threads=compute.n_threads,
                weight_decay=penalty * n,
                **shape._asdict(),
                **options,
            )
        slopes: dict[str, NDArray[np.float64]] = {}
        for name, side, part in zip(("user", "item"), sides, gradient, strict=True):
            joined = side.inputs.joined(part)
            for layer, (of_weights, of_biases) in enumerate(zip(joined.weights, joined.biases, strict=True)):
                slopes[f"{name}_weights_{layer}"] = of_weights / n
                slopes[f"{name}_biases_{layer}"] = of_biases / n
        return cost / n, {name: slopes[name] for name in at}

    return Objective(start, evaluate)
