"""The typed problem of an autoencoder, and its objective as a function of the parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import Backend, single_threaded_blas
from fastcf.models.autoencoder.network import Architecture, Parameters
from fastcf.models.autoencoder.rows import Scale, TrainingRows, rows_to_train_on
from fastcf.ratings import Ratings
from fastcf.scores import Compute, Targets
from fastcf.scores.queries import pair_rows
from fastcf.training.gradient_check import Objective
from fastcf.training.optimizers import Optimizer

__all__ = ["HeldOut", "NetworkProblem", "network_objective"]

Floats = NDArray[np.float32]
Rows = NDArray[np.int32]

_OUTPUT_RATE = 0.25  # step size of the output weights, in that of the others, where an epoch has four steps or more
_CHECKED_ROWS = 50  # in a gradient check, which evaluates the cost of all of them some thousand times
_CHECKED_PENALTY = 1e-4  # in a gradient check: so small that it does not hide errors of the rest of the cost


class HeldOut(NamedTuple):
    """Validation targets by row and column of the network, -1 where unknown, and offsets of their predictions."""

    rows: Rows
    columns: Rows
    offsets: Floats
    values: Floats
    weights: Floats | None


@dataclass(frozen=True, eq=False)
class NetworkProblem:
    """The problem of an autoencoder. Other attributes are parameters of :class:`fastcf.Autoencoder`.

    Attributes
    ----------
    ratings, validation : Ratings, Ratings or None
        The targets: ratings, labels, or strengths of choices; and those held out.
    targets : Targets
        How ratings became targets.
    scale : Scale
        Of outputs.
    input_dropout : ndarray of shape (n_rows,), float32
        What share of the inputs of each row is dropped.
    penalised_bias : bool
        Whether the penalty counts output biases.
    learning_rate : float
        Of the first epoch.
    seed : int
        The seed.
    n_negatives : int, default 0
        Items drawn for the softmax of a step; 0: all items are in it. For choices only.
    """

    ratings: Ratings
    validation: Ratings | None
    targets: Targets
    orientation: str
    architecture: Architecture
    scale: Scale
    dropout: float
    alpha_dropout: bool
    input_dropout: Floats
    dense_refeeding: int
    rated_output: bool
    reg: float
    penalised_bias: bool
    optimizer: Optimizer
    learning_rate: float
    batch_size: int
    n_epochs: int
    init: str
    seed: int
    backend: Backend
    n_threads: int
    n_negatives: int = 0

    @property
    def compute(self) -> Compute:
        """The device."""
        return Compute(self.backend.module, self.n_threads)

    @property
    def native_options(self) -> dict[str, Any]:
        """The keyword arguments that native training and the native gradient share."""
        return {
            "cost": "multinomial" if self.targets.choices else self.targets.cost,
            "n_negatives": self.n_negatives,
            "rated_output": self.rated_output,
            "output_activation": self.architecture.output_activation,
            "dropout": self.dropout,
            "alpha_dropout": self.alpha_dropout,
            "seed": self.seed,
            "n_threads": self.n_threads,
            **self.architecture.options,
        }

    @property
    def output_rate(self) -> float:
        """The step size of output weights under Adam, in that of the others: larger in epochs of few steps."""
        if self.optimizer.name != "adam" or self.architecture.tied or self.targets.choices:
            return 1.0
        n_rows = self.ratings.n_users if self.orientation == "user" else self.ratings.n_items
        return max(_OUTPUT_RATE, 1 / -(-n_rows // self.batch_size))

    @property
    def rows(self) -> TrainingRows:
        """The targets by row of the network."""
        return rows_to_train_on(self.ratings, self.orientation)

    @property
    def rating_range(self) -> tuple[float, float]:
        """Limits of predictions; scores of choices have none."""
        if self.targets.choices:
            return -math.inf, math.inf
        return (0.0, 1.0) if self.targets.labels else self.ratings.rating_range

    @property
    def decay(self) -> float:
        """λ over what the rest of the cost is divided by: the sum of the weights or, for choices, their rows."""
        rows = self.rows
        if not self.targets.choices:
            return self.reg / rows.total
        indptr, _, strengths = rows.csr
        counts = np.bincount(np.repeat(np.arange(indptr.size - 1), np.diff(indptr)), strengths > 0)
        return self.reg / int(np.count_nonzero(counts))

    @property
    def mean_rating(self) -> float:
        """Mean of the targets, by their weights."""
        return float(np.average(self.ratings.values.astype(np.float64), weights=self.ratings.weights))

    @property
    def mean_input_dropout(self) -> float:
        """The share of all inputs that is dropped."""
        counts = np.diff(self.rows.csr[0])
        return float(np.average(self.input_dropout.astype(np.float64), weights=counts))

    def held_out(self) -> HeldOut | None:
        """Return the validation ratings or labels by row and column of the network."""
        if self.validation is None or self.targets.choices:
            return None
        scale = self.scale
        rows, columns = pair_rows(self.validation, self.ratings.users, self.ratings.items, "fit")
        if self.orientation == "item":
            rows, columns = columns, rows
        offsets = np.float32(scale.mean) + np.where(rows >= 0, scale.rows[rows], np.float32(0))
        offsets = np.where(columns >= 0, offsets + scale.columns[columns], offsets)
        if self.architecture.squashes:
            offsets[columns < 0] = self.mean_rating
        return HeldOut(rows, columns, offsets.astype(np.float32), self.validation.values, self.validation.weights)


def network_objective(problem: NetworkProblem) -> Objective:
    """Return the objective on the first rows of a problem, at random parameters of a plausible size.

    All settings count, also dropout, whose choices are fixed by the seed. With dense re-feeding it is the objective of
    that step, on the rows' normalised ratings as dense ones.
    """
    architecture, scale, logistic = problem.architecture, problem.scale, problem.targets.labels
    rows = problem.rows
    indptr = rows.csr[0][: _CHECKED_ROWS + 1]
    end = int(indptr[-1])
    inputs = scale.normalised(rows.csr, scale.rows)[:end].astype(np.float64)
    targets, offsets = inputs, None
    if logistic or problem.targets.choices:
        targets = rows.csr[2][:end].astype(np.float64)
        offsets = scale.entry_offsets(rows.csr, scale.rows)[:end].astype(np.float64) if logistic else None
    weights = None if rows.weights is None else rows.weights[:end].astype(np.float64)
    rated_input = 0.0 if problem.dense_refeeding else architecture.rated_input  # dense rows are fed ratings only
    n_rows = len(indptr) - 1
    start = _random_parameters(
        architecture,
        rows.n_columns,
        rated_input,
        n_rows if problem.rated_output else None,
        end / max(n_rows, 1),
        problem.seed,
    )
    named = start.named()
    penalty = 0.0 if problem.reg == 0 else _CHECKED_PENALTY

    def evaluate(at: dict[str, NDArray[np.float64]]) -> tuple[float, dict[str, NDArray[np.float64]]]:
        parameters = Parameters.of(at)
        gradient = parameters.empty_like()
        with single_threaded_blas():
            cost = problem.backend.module.autoencoder_gradient(
                indptr,
                rows.csr[1][:end],
                inputs,
                targets,
                rows.n_columns,
                parameters,
                gradient,
                weights=weights,
                offsets=offsets,
                input_dropout=problem.input_dropout[: indptr.size - 1].astype(np.float64),
                dense=problem.dense_refeeding > 0,
                weight_decay=penalty,
                penalised_bias=problem.penalised_bias,
                **{**problem.native_options, "rated_input": rated_input},
            )
        return cost, gradient.named()

    return Objective(named, evaluate)


def _random_parameters(
    architecture: Architecture, n_columns: int, rated_input: float, n_effects: int | None, known: float, seed: int
) -> Parameters:
    """Return random parameters in float64; ``known`` is the mean number of ratings of a row."""
    random = np.random.default_rng(seed)

    def drawn(shape: tuple[int, ...], inputs: float) -> NDArray[Any]:
        return random.normal(0, 1 / math.sqrt(inputs), shape)

    width = architecture.layers[0]
    table = n_columns, width
    return Parameters(
        drawn(table, max(1.0, known)),
        None if architecture.tied else drawn(table, width),
        drawn((n_columns,), 4.0),
        [drawn(shape, shape[0]) for shape in architecture.hidden_weights],
        [drawn(shape, 4.0) for shape in architecture.hidden_biases],
        drawn(table, rated_input**2) if rated_input else None,
        None if n_effects is None else drawn((n_effects, width), width),
    )
