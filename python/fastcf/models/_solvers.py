"""What trains a matrix factorisation: one class per solver, behind one face.

A solver starts from the model's parameters, improves them epoch by epoch, and hands them back.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import Backend
from fastcf.optimizers import learning_rate_at
from fastcf.ratings import Ratings

__all__ = ["AlsSolver", "GradientSolver", "HeldOut", "Problem", "SgdSolver", "Solver"]

Record = dict[str, Any]


class HeldOut(NamedTuple):
    """Validation ratings, in rows of the ratings to train on; -1 where an id is unknown."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    values: NDArray[np.float32]


class Problem(NamedTuple):
    """What a solver works on; numbers that were "auto" are settled."""

    ratings: Ratings
    backend: Backend
    held_out: HeldOut | None
    reg: float
    reg_exponent: float
    sigma: float  # the noise that the biases leave in a rating of mean weight
    seed: int
    n_epochs: int

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        weights = self.ratings.weights
        return float(self.ratings.nnz if weights is None else weights.sum(dtype=np.float64))


class Solver(Protocol):
    """What :func:`fastcf.models._training.train` and the model ask for."""

    def __init__(self, model: Any, problem: Problem) -> None:
        """Start from the model's parameters."""

    def run_epoch(self, epoch: int) -> Record:
        """Run the epoch of this number, from 0, and return its record."""

    def save_best(self) -> None:
        """Remember the parameters as they are."""

    def restore_best(self) -> None:
        """Bring back what was remembered last."""

    def finish(self) -> None:
        """Put what was learnt into the model."""


class _TrainerSolver:
    """A solver whose parameters a native trainer holds meanwhile."""

    def __init__(self, model: Any, problem: Problem, trainer: Any, **options: Any) -> None:
        self._model, self._problem = model, problem
        self._logistic = model._cost == "logistic"
        ratings, held_out = problem.ratings, problem.held_out
        low, high = ratings.rating_range
        self._trainer = trainer(
            ratings.indptr,
            ratings.indices,
            ratings.values,
            ratings.n_items,
            weights=ratings.weights,
            item_offset=model.item_mean_,
            global_offset=model.global_mean_,
            n_factors=model.user_factors_.shape[1],
            reg=problem.reg,
            reg_exponent=problem.reg_exponent,
            user_bias=model.bias,
            item_bias=model.bias,
            user_bias_reg=model.user_bias_reg_,
            item_bias_reg=model.item_bias_reg_,
            lowest=low,
            highest=high,
            cost=model._cost,
            seed=problem.seed,
            n_threads=model._threads,
            **options,
        )
        self._trainer.set_parameters(*self._arrays())
        if held_out is not None:
            self._trainer.set_validation(*held_out)
        self.save_best, self.restore_best = self._trainer.save_best, self._trainer.restore_best

    def _arrays(self) -> tuple[Any, ...]:
        model = self._model
        return model.user_factors_, model.item_factors_, model.user_bias_, model.item_bias_

    def _rate(self, epoch: int) -> float:
        model = self._model
        return learning_rate_at(model.schedule, model.learning_rate_, epoch, self._problem.n_epochs, model.decay)

    def _record(self, error: float, rate: float | None) -> Record:
        """Return the record of an epoch whose squared error or logistic cost, over all ratings, was ``error``."""
        problem = self._problem
        if self._logistic:
            validation_log_loss = None
            if problem.held_out is not None:
                validation_log_loss = self._trainer.validation_log_loss() / problem.held_out.values.size
            return {
                "cost": error + self._trainer.penalty(),
                "train_log_loss": error / problem.total_weight,
                "validation_log_loss": validation_log_loss,
                "learning_rate": rate,
            }
        validation_rmse = None
        if problem.held_out is not None:
            validation_rmse = math.sqrt(self._trainer.validation_squared_error() / problem.held_out.values.size)
        return {
            "cost": 0.5 * error + self._trainer.penalty(),
            "train_rmse": math.sqrt(error / problem.total_weight),
            "validation_rmse": validation_rmse,
            "learning_rate": rate,
        }

    def finish(self) -> None:
        """Copy the trainer's parameters into the model's arrays."""
        self._trainer.get_parameters(*self._arrays())


class SgdSolver(_TrainerSolver):
    """Stochastic gradient descent over tiles."""

    def __init__(self, model: Any, problem: Problem) -> None:
        on_gpu = problem.backend.device == "cuda"  # a CPU is deterministic, and has no use for halves
        options = {"deterministic": model.deterministic, "storage": model.storage} if on_gpu else {}
        super().__init__(model, problem, problem.backend.module.SgdTrainer, **options)

    def run_epoch(self, epoch: int) -> Record:
        """Take one step per rating."""
        rate = self._rate(epoch)
        # A bias has the ratings' unit, a factor its square root.
        return self._record(self._trainer.epoch(rate, rate * self._problem.sigma), rate)


class GradientSolver(_TrainerSolver):
    """Steps of an optimiser along the gradient of all ratings ("gd") or of batches of them ("minibatch")."""

    def __init__(self, model: Any, problem: Problem) -> None:
        self._optimizer = model._optimizer()
        name, *constants = self._optimizer.constants
        super().__init__(
            model,
            problem,
            problem.backend.module.GradientTrainer,
            optimizer=name,
            batch_size=0 if model.solver == "gd" else model.batch_size,
            **dict(zip(("decay", "second_decay", "epsilon"), constants, strict=True)),
        )

    def run_epoch(self, epoch: int) -> Record:
        """Pass over the ratings once."""
        rate = self._rate(epoch)
        # Steps of optimisers without a unit of their own are in that of the parameter: the biases' is σ, the factors'
        # √σ; gradient steps take σ more, and AdaDelta's take none.
        unit = {"adagrad": 0.5, "adam": 0.5, "adadelta": 0.0}.get(self._optimizer.name, 1.0)
        cost = self._trainer.epoch(rate, rate * self._problem.sigma**unit)
        return self._record(cost if self._logistic else 2 * cost, rate)


class AlsSolver(_TrainerSolver):
    """Alternating least squares: users given items, then items given users."""

    def __init__(self, model: Any, problem: Problem) -> None:
        by_item, weights = problem.ratings.by_item(), problem.ratings.weights
        super().__init__(
            model,
            problem,
            problem.backend.module.AlsTrainer,
            cg_steps=model.cg_steps or 0,
            item_indptr=by_item.indptr,
            item_users=by_item.indices,
            item_values=by_item.values,
            item_weights=None if weights is None else weights[by_item.entries],
        )

    def run_epoch(self, epoch: int) -> Record:
        """Run one sweep."""
        return self._record(self._trainer.epoch(), None)
