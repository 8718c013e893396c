"""The training of a network per user: the problem, and the trainer that the loop runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlog1py, xlogy

from fastcf._backend import Backend, host
from fastcf.ids import IdMap
from fastcf.metrics import log_loss
from fastcf.models.perceptron.features import LearntPerceptrons, PerceptronFolding
from fastcf.models.perceptron.keys import user_keys
from fastcf.models.perceptron.networks import NetworkShape, Pairs, group_pairs
from fastcf.models.perceptron.scores import PerceptronScores
from fastcf.ratings import Ratings
from fastcf.scores import State, Targets
from fastcf.scores.queries import pair_rows
from fastcf.training.optimizers import Optimizer
from fastcf.training.samples import entries_of_rows, n_measured, whole_rows

__all__ = ["PerceptronProblem", "PerceptronSettings", "PerceptronTrainer"]

Floats = NDArray[np.float32]

_SPACING = float(np.finfo(np.float32).eps)  # outputs are kept this far from 0 and 1, so that costs are finite


@dataclass(frozen=True, eq=False)
class PerceptronProblem:
    """The training data of networks."""

    ratings: Ratings  # structure and weights
    values: Floats  # per rating its target, or with levels the rating
    levels: Floats | None  # the ratings that there are, where there is an output for each
    shape: NetworkShape
    items: IdMap  # those of the ratings, then others
    features: Floats  # of all these
    feature_scale: Floats | None  # by which the features were multiplied
    targets: Targets
    held_out: tuple[Ratings, Floats] | None  # validation ratings, and their values as above

    def indicators(self, values: Floats) -> Floats:
        """Return the targets of the outputs, (n, K)."""
        if self.levels is None:
            return values[:, None]
        found: Floats = (values[:, None] == self.levels).astype(np.float32)
        return found

    @property
    def rating_range(self) -> tuple[float, float]:
        """Limits of predictions."""
        return (0.0, 1.0) if self.levels is None else (float(self.levels[0]), float(self.levels[-1]))


@dataclass(frozen=True)
class PerceptronSettings:
    """How networks are trained; see :class:`UserPerceptron`. ``low`` and ``high`` limit first weights by layer."""

    optimizer: Optimizer
    learning_rate: float
    n_epochs: int
    batch_size: int
    reg: float
    low: Floats
    high: Floats
    seed: int
    n_threads: int


class PerceptronTrainer:
    """Trains a network per user, on the host whatever the backend; see :class:`fastcf.training.loop.Trainer`."""

    restorable = True

    def __init__(self, problem: PerceptronProblem, settings: PerceptronSettings, backend: Backend) -> None:
        self._problem, self._settings, self._backend = problem, settings, backend
        self.validated = problem.held_out is not None
        ratings = problem.ratings
        self._native = host.PerceptronTrainer(
            ratings.indptr,
            ratings.indices,
            problem.values,
            problem.features,
            user_keys(ratings.users),
            weights=ratings.weights,
            reg=settings.reg,
            batch_size=settings.batch_size,
            seed=settings.seed,
            n_threads=settings.n_threads,
            **problem.shape._asdict(),
            **settings.optimizer.constants.options,
        )
        self._native.draw_parameters(settings.low, settings.high)
        weights = np.ones(ratings.nnz, np.float32) if ratings.weights is None else ratings.weights
        self._n_ratings = np.bincount(ratings.row_of_entry()[weights > 0], minlength=ratings.n_users).astype(np.int64)
        often = weights.astype(np.float64) @ problem.indicators(problem.values)
        # half a rating of each kind is added: a base rate of 0 or 1 would be infinitely certain
        self._base_rate = ((often + 0.5) / (weights.sum(dtype=np.float64) + 1)).astype(np.float32)
        self._layout = problem.shape.layout
        self._parameters = np.empty((ratings.n_users, self._layout.size), np.float32)
        self._measured = _Measured.of(problem, self._n_ratings, settings.seed)
        self._held_out = None if problem.held_out is None else self._pairs_of(problem, *problem.held_out)
        self.save_best, self.restore_best = self._native.save_best, self._native.restore_best

    def _pairs_of(
        self, problem: PerceptronProblem, held_out: Ratings, values: Floats
    ) -> tuple[Pairs, Floats, Floats | None]:
        users, items = pair_rows(held_out, problem.ratings.users, problem.items, "fit")
        known = (users >= 0) & (self._n_ratings[users] > 0)
        return group_pairs(users, items, known), problem.indicators(values), held_out.weights

    def run_epoch(self, epoch: int) -> float:
        """Pass over every user's ratings once."""
        settings = self._settings
        rate = settings.optimizer.rate_at(settings.learning_rate, epoch, settings.n_epochs)
        self._native.epoch(rate)
        return rate

    def measure(self) -> dict[str, Any]:
        """Return the mean objective and the training error of the measured users, and the validation error."""
        self._native.get_parameters(self._parameters)
        weights = self._parameters[self._measured.users, : self._layout.n_weights]
        squares = np.einsum("ij,ij->i", weights, weights, dtype=np.float64)
        cost, loss = self._measured.cost(self._native.predict(*self._measured.pairs), squares, self._settings.reg)
        validation = None
        if self._held_out is not None:
            validation = self._validation_loss(*self._held_out) if math.isfinite(cost) else math.nan
        return {"cost": cost, "train_log_loss": loss, "validation_log_loss": validation}

    def _validation_loss(self, pairs: Pairs, targets: Floats, weights: Floats | None) -> float:
        outputs = np.tile(self._base_rate, (len(targets), 1))
        outputs[pairs.entries] = self._native.predict(*pairs[:3])
        k = targets.shape[1]
        of_outputs = None if weights is None else np.repeat(weights, k)
        return float(k * log_loss(targets.ravel(), outputs.ravel(), sample_weight=of_outputs))

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return copies of parameters and of the optimiser's state."""
        state: Mapping[str, NDArray[Any]] = self._native.get_state()
        return state

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        self._native.set_state(dict(arrays))

    def finish(self, history: tuple[dict[str, Any], ...], n_epochs: int) -> State:
        """Return the state of a model with copies of the parameters."""
        problem, settings = self._problem, self._settings
        parameters = np.empty_like(self._parameters)
        self._native.get_parameters(parameters)
        return State.of(
            problem.ratings,
            self._backend,
            PerceptronScores(
                parameters, problem.shape, problem.features, problem.levels, self._base_rate, self._n_ratings
            ),
            items=problem.items,
            rating_range=problem.rating_range,
            targets=problem.targets,
            history=history,
            n_epochs=n_epochs,
            learnt=LearntPerceptrons(problem.feature_scale, settings.learning_rate, settings.reg),
            folding=PerceptronFolding(),
        )


@dataclass(frozen=True, eq=False)
class _Measured:
    """The users for the measurement of the objective: all, or a sample drawn by the seed."""

    users: NDArray[np.int32]  # rows, all with ratings
    pairs: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]  # as native code takes them
    targets: Floats  # of the pairs, (n, K)
    weights: NDArray[np.float64]  # of the pairs, all positive

    @classmethod
    def of(cls, problem: PerceptronProblem, n_ratings: NDArray[np.int64], seed: int) -> _Measured:
        ratings = problem.ratings
        rows = whole_rows(ratings.indptr, n_measured(ratings.nnz), seed)
        entries = entries_of_rows(ratings.indptr, rows)
        weights = np.ones(entries.size)
        if ratings.weights is not None:
            weights = ratings.weights[entries].astype(np.float64)
            entries, weights = entries[weights > 0], weights[weights > 0]
        users = rows[n_ratings[rows] > 0].astype(np.int32)
        indptr = np.zeros(users.size + 1, np.int64)
        np.cumsum(n_ratings[users], out=indptr[1:])
        pairs = users, indptr, np.ascontiguousarray(ratings.indices[entries])
        return cls(users, pairs, problem.indicators(problem.values[entries]), weights)

    def cost(self, outputs: Floats, squares: NDArray[np.float64], reg: float) -> tuple[float, float]:
        """Return the mean of the users' objectives, and the mean loss of their ratings."""
        if self.users.size == 0:
            return 0.0, 0.0
        h, y = np.clip(outputs.astype(np.float64), _SPACING, 1 - _SPACING), self.targets
        losses = self.weights * -(xlogy(y, h) + xlog1py(1 - y, -h)).sum(axis=1)
        starts = self.pairs[1][:-1]
        own = np.add.reduceat(losses, starts) / np.add.reduceat(self.weights, starts)
        penalties = reg / (2 * np.diff(self.pairs[1])) * squares
        return float((own + penalties).mean()), float(losses.sum() / self.weights.sum())
