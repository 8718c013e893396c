"""Native trainers of factorisations behind the protocol of the training loop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcf.models.factorization.problem import HeldOut, Parameters, Problem
from fastcf.scores import State
from fastcf.training.samples import n_measured, spread_entries

__all__ = ["AlsSteps", "GradientSteps", "NativeTrainer", "SgdSteps"]

Record = dict[str, Any]


class SgdSteps:
    """Epochs of stochastic gradient descent: a step per rating."""

    def __init__(self, rate_at: Any, sigma: float) -> None:
        self._rate_at, self._sigma = rate_at, sigma

    def run(self, trainer: Any, epoch: int) -> float | None:
        """Run an epoch; a bias has the ratings' unit, a factor its square root."""
        rate: float = self._rate_at(epoch)
        trainer.epoch(rate, rate * self._sigma)
        return rate


class GradientSteps:
    """Epochs of an optimiser's steps along the gradient of batches, or of all ratings."""

    # Steps of optimisers without a unit are in that of the parameter: σ for biases, √σ for factors;
    # gradient steps take σ more, and AdaDelta's take none.
    _UNITS: ClassVar[dict[str, float]] = {"adagrad": 0.5, "adam": 0.5, "adadelta": 0.0}

    def __init__(self, rate_at: Any, sigma: float, optimizer: str) -> None:
        self._rate_at, self._factor = rate_at, sigma ** self._UNITS.get(optimizer, 1.0)

    def run(self, trainer: Any, epoch: int) -> float | None:
        """Run an epoch."""
        rate: float = self._rate_at(epoch)
        trainer.epoch(rate, rate * self._factor)
        return rate


class AlsSteps:
    """Sweeps of alternating least squares, which have no step size."""

    def run(self, trainer: Any, epoch: int) -> float | None:
        """Run a sweep."""
        trainer.epoch()
        return None


class NativeTrainer:
    """A trainer of the loop whose parameters a native trainer holds; see :class:`fastcf.training.loop.Trainer`.

    Parameters
    ----------
    problem : Problem
        The problem.
    start : Parameters
        The first parameters; overwritten.
    native : object
        The native trainer, made for the problem.
    steps : SgdSteps, GradientSteps or AlsSteps
        Runs its epochs.
    """

    restorable = True

    def __init__(
        self, problem: Problem, start: Parameters, native: Any, steps: SgdSteps | GradientSteps | AlsSteps
    ) -> None:
        self._problem, self._native, self._steps = problem, native, steps
        self._shapes = [array.shape for array in start]
        native.set_parameters(*start)
        self.validated = problem.held_out is not None
        if problem.held_out is not None:
            native.set_validation(*problem.held_out)
        sample = training_sample(problem)
        native.set_sample(*sample)
        self._share = sample.total_weight / problem.total_weight or 1.0  # of all weights
        self.save_best, self.restore_best = native.save_best, native.restore_best

    def run_epoch(self, epoch: int) -> float | None:
        """Run an epoch."""
        return self._steps.run(self._native, epoch)

    def measure(self) -> Record:
        """Return the objective and the errors at the current parameters."""
        problem, native = self._problem, self._native
        held_out = problem.held_out
        measured = native.sample_log_loss() if problem.targets.labels else native.sample_squared_error()
        total = measured / self._share
        if problem.targets.labels:
            return {
                "cost": total + native.penalty(),
                "train_log_loss": total / problem.total_weight,
                "validation_log_loss": native.validation_log_loss() / held_out.total_weight if held_out else None,
            }
        return {
            "cost": 0.5 * total + native.penalty(),
            "train_rmse": math.sqrt(total / problem.total_weight),
            "validation_rmse": math.sqrt(native.validation_squared_error() / held_out.total_weight)
            if held_out
            else None,
        }

    def _parameters(self) -> Parameters:
        """Return copies of the current parameters."""
        parameters = Parameters(*(np.zeros(shape, np.float32) for shape in self._shapes))
        self._native.get_parameters(*parameters)
        return parameters

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return copies of the arrays from which training can continue."""
        state: Mapping[str, NDArray[Any]] = self._native.get_state()
        return state

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        self._native.set_state(dict(arrays))

    def finish(self, history: tuple[Record, ...], n_epochs: int) -> State:
        """Return the state of a model with the current parameters."""
        problem = self._problem
        return problem.state(problem.scores(self._parameters()), problem.learnt, history, n_epochs)


def training_sample(problem: Problem) -> HeldOut:
    """Return the training ratings that recorded costs are taken over: all, or a fixed sample."""
    ratings = problem.ratings
    if n_measured(ratings.nnz) == ratings.nnz:
        return HeldOut(ratings.row_of_entry(), ratings.indices, ratings.values, ratings.weights)

    def drawn() -> HeldOut:
        some = spread_entries(ratings.nnz, n_measured(ratings.nnz), problem.seed)
        users = np.searchsorted(ratings.indptr, some, side="right") - 1
        weights = None if ratings.weights is None else ratings.weights[some]
        return HeldOut(users.astype(np.int32), ratings.indices[some], ratings.values[some], weights)

    return ratings.derived(("training sample", problem.seed), drawn)
