"""Rows that are penalised around centres, which say what they rated, instead of around zero: SVD++ on both sides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastcf.models.factorization.problem import HeldOut, Parameters, Problem, RatedEffects, typical_count
from fastcf.models.factorization.row_effects import RowEffects, RowFeatures, Side, sides_of
from fastcf.models.factorization.trainers import SgdSteps, training_sample
from fastcf.scores import State
from fastcf.scores.targets import logistic_bound

__all__ = ["AlsRows", "CentredTrainer", "Centres", "SgdRows", "shrink"]

Floats = NDArray[np.float32]
Record = dict[str, Any]

_EFFECT_REG = 2.0  # penalty of an effect, in that of the rows of a typical rating; 1 and 3 do as well at another λ
_UPDATES, _LABEL_UPDATES = 6, 3  # of the effects in a training by "sgd": more fit the training entries too closely


class Centres:
    r"""The centres of all rows: ``c_u = Σ_j e_j / √n_u`` over the n_u items that u rated; the same of items.

    The objective has ``½ λ n_u^a ‖p_u − c_u‖²`` for users, and ``½ λ_e ‖e_j‖²`` for the effects e_j, with
    ``λ_e = 2 λ n^a`` for the n of a typical rating. Biases have centres too. Effects are found by least squares; for
    labels, of the quadratic bound of their cost.

    Attributes
    ----------
    of : tuple of RowEffects
        Effects and centres, of users and of items.
    """

    def __init__(self, problem: Problem, k: int) -> None:
        self._problem = problem
        ratings, learnt = problem.ratings, problem.learnt
        offset: Any = np.float32(problem.global_mean)
        if problem.item_mean is not None:
            offset = problem.item_mean[ratings.indices]
        values = ratings.values if problem.targets.labels else (ratings.values - offset).astype(np.float32)
        self._sides = sides_of(ratings, values)
        self._counts = ratings.user_counts(), ratings.item_counts()
        self._bias_regs = learnt.user_bias_reg, learnt.item_bias_reg
        typical = learnt.reg * typical_count(ratings) ** learnt.reg_exponent
        self.of: list[RowEffects] = []
        self._penalties: list[NDArray[np.float64]] = []
        for side in (0, 1):
            features = RowFeatures.rated(self._sides[side], self._sides[1 - side])
            biased = learnt.bias[side]
            self.of.append(RowEffects.of(features, ratings.shape[side], k, biased))
            self._penalties.append(_EFFECT_REG * np.diag([typical] * k + [self._bias_regs[side]] * biased))

    def side(self, side: int, parameters: Parameters) -> Side:
        """Return a side's ratings less their offsets; for labels least squares that touch the cost at the present z."""
        own, problem = self._sides[side], self._problem
        if not problem.targets.labels:
            return own
        (indptr, columns, labels), rows, weights = own
        (factors, bias), (column_factors, column_bias) = (_rows(parameters, each) for each in (side, 1 - side))
        native, n_threads = problem.compute
        z = native.predict_pairs(
            rows, columns, factors, column_factors, bias, column_bias, None, problem.global_mean, n_threads=n_threads
        )
        bound = logistic_bound(z)
        values = (labels - np.float32(0.5)) / bound - np.float32(problem.global_mean)
        return Side((indptr, columns, values), rows, bound if weights is None else bound * weights)

    def update_effects(self, side: int, parameters: Parameters) -> Floats:
        """Subtract the centres from a side's rows, update its effects, and return the residuals of the new centres."""
        ratings = self.side(side, parameters)
        factors, bias = _rows(parameters, side)
        effects = self.of[side]
        factors -= effects.centres
        bias -= effects.centre_bias
        return effects.draw(
            ratings,
            factors,
            bias,
            *_rows(parameters, 1 - side),
            noise_precision=1.0,
            precision=self._penalties[side],
            noise=None,
            compute=self._problem.compute,
        )

    def add(self, side: int, parameters: Parameters) -> None:
        """Add the centres to a side's rows."""
        factors, bias = _rows(parameters, side)
        factors += self.of[side].centres
        bias += self.of[side].centre_bias

    def shrink(self, parameters: Parameters, rate: float) -> None:
        """Shrink all rows to their centres, as for an epoch of stochastic gradient descent, see :func:`shrink`."""
        learnt = self._problem.learnt
        for side, counts in enumerate(self._counts):
            factors, bias = _rows(parameters, side)
            effects = self.of[side]
            shrink(factors, effects.centres, counts, rate * learnt.reg, learnt.reg_exponent)
            shrink(bias, effects.centre_bias, counts, rate * learnt.sigma * self._bias_regs[side], 0.0)

    def penalty(self, parameters: Parameters) -> float:
        """Return the penalty of rows and effects."""
        learnt, total = self._problem.learnt, 0.0
        for side, counts in enumerate(self._counts):
            factors, bias = _rows(parameters, side)
            effects = self.of[side]
            squares = np.square(factors - effects.centres, dtype=np.float64).sum(axis=1)
            total += learnt.reg * float(
                squares @ np.where(counts > 0, np.maximum(counts, 1.0) ** learnt.reg_exponent, 0)
            )
            squares = np.square(bias - effects.centre_bias, dtype=np.float64)
            total += self._bias_regs[side] * float(squares[counts > 0].sum())
            squares = np.square(effects.effects, dtype=np.float64).sum(axis=1)
            total += float(squares @ np.diag(self._penalties[side]))
        return 0.5 * total

    def effects(self) -> RatedEffects:
        """Return copies of the effects."""
        return RatedEffects(*(each.effects.copy() for each in self.of))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays to continue from."""
        return {
            f"{name}_{part}": array
            for name, each in zip(("user", "item"), self.of, strict=True)
            for part, array in each.arrays().items()
        }

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        for name, each in zip(("user", "item"), self.of, strict=True):
            each.set_arrays({part: arrays[f"{name}_{part}"] for part in each.arrays()})


def shrink(rows: Floats, centres: Floats, counts: NDArray[np.int64], strength: float, exponent: float) -> None:
    r"""Shrink rows to their centres by as much as an epoch's steps move them to zero.

    A row of n ratings is multiplied by ``κ = 1/(1 + s n^(a−1))`` at each of them, s being ``strength``, the step size
    times λ. Around a centre c it would be moved to ``κ x + (1 − κ) c`` instead, n times, which adds ``(1 − κⁿ) c``:
    here after the steps on the ratings, a splitting of the objective that is exact as steps become small.
    """
    n = np.maximum(counts, 1).astype(np.float64)
    moved = -np.expm1(-n * np.log1p(strength * n ** (exponent - 1)))
    rows += (moved.reshape(-1, *[1] * (rows.ndim - 1)) * centres).astype(np.float32)


def _rows(parameters: Parameters, side: int) -> tuple[Floats, Floats]:
    """Return the factors and biases of users, 0, or of items, 1."""
    return parameters[side], parameters[2 + side]


class RowSolver(Protocol):
    """Trains rows around their centres."""

    def run(self, epoch: int, parameters: Parameters, centres: Centres) -> float | None:
        """Run an epoch; parameters and centres change in place. Return the step size, if there is one."""
        ...

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return the arrays to continue from, beside parameters and centres."""
        ...

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        ...


class SgdRows:
    """Epochs of stochastic gradient descent; the effects are found anew after some of them."""

    def __init__(self, native: Any, steps: SgdSteps, problem: Problem) -> None:
        self._native, self._steps = native, steps
        self._every = max(1, round(problem.n_epochs / (_LABEL_UPDATES if problem.targets.labels else _UPDATES)))

    def run(self, epoch: int, parameters: Parameters, centres: Centres) -> float | None:
        """Step on the ratings, then to the centres."""
        self._native.set_parameters(*parameters)
        rate = self._steps.run(self._native, epoch)
        self._native.get_parameters(*parameters)
        assert rate is not None
        centres.shrink(parameters, rate)
        if (epoch + 1) % self._every == 0:
            for side in (0, 1):
                centres.update_effects(side, parameters)
                centres.add(side, parameters)
        return rate

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return the state of the native trainer, which has the order of ratings."""
        return {f"native_{name}": array for name, array in self._native.get_state().items()}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        self._native.set_state({name: arrays[f"native_{name}"] for name in self._native.get_state()})


class AlsRows:
    """Sweeps of alternating least squares: each side's effects, then its rows around the centres."""

    def __init__(self, problem: Problem, cg_steps: int) -> None:
        self._problem, self._cg_steps = problem, cg_steps

    def run(self, epoch: int, parameters: Parameters, centres: Centres) -> float | None:
        """Solve for users, then for items."""
        native, n_threads = self._problem.compute
        learnt = self._problem.learnt
        for side, bias_reg in enumerate((learnt.user_bias_reg, learnt.item_bias_reg)):
            residuals = centres.update_effects(side, parameters)
            factors, bias = _rows(parameters, side)
            columns, column_bias = _rows(parameters, 1 - side)
            (indptr, indices, _), _, weights = centres.side(side, parameters)
            native.als_update(
                indptr,
                indices,
                residuals,
                columns,
                factors,
                bias if learnt.bias[side] else None,
                weights=weights,
                column_offset=column_bias,
                reg=learnt.reg,
                reg_exponent=learnt.reg_exponent,
                bias_reg=bias_reg,
                cg_steps=self._cg_steps,
                n_threads=n_threads,
            )
            centres.add(side, parameters)
        return None

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return nothing: a sweep depends on parameters and effects alone."""
        return {}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Do nothing."""


class CentredTrainer:
    """A trainer of the loop whose rows have centres; see :class:`fastcf.training.loop.Trainer`.

    Parameters
    ----------
    problem : Problem
        The problem.
    start : Parameters
        The first parameters; overwritten.
    rows : SgdRows or AlsRows
        Runs its epochs.
    """

    restorable = True

    def __init__(self, problem: Problem, start: Parameters, rows: RowSolver) -> None:
        self._problem, self._parameters, self._rows = problem, start, rows
        self._centres = Centres(problem, start.user_factors.shape[1])
        self._sample = training_sample(problem)
        self._best: dict[str, NDArray[Any]] = {}
        self.validated = problem.held_out is not None

    def run_epoch(self, epoch: int) -> float | None:
        """Run an epoch; one that Ctrl-C ends leaves what was learnt before, since rows lack their centres meanwhile."""
        before = self._now()
        try:
            return self._rows.run(epoch, self._parameters, self._centres)
        except BaseException:
            self._return_to(before)
            raise

    def measure(self) -> Record:
        """Return the objective and the errors at the current parameters."""
        problem = self._problem
        mean = self._mean_loss(self._sample, False)
        held_out = None if problem.held_out is None else self._mean_loss(problem.held_out, True)
        penalty = self._centres.penalty(self._parameters)
        if problem.targets.labels:
            return {
                "cost": mean * problem.total_weight + penalty,
                "train_log_loss": mean,
                "validation_log_loss": held_out,
            }
        return {
            "cost": 0.5 * mean * problem.total_weight + penalty,
            "train_rmse": math.sqrt(mean),
            "validation_rmse": None if held_out is None else math.sqrt(held_out),
        }

    def _mean_loss(self, held_out: HeldOut, clipped: bool) -> float:
        """Return the mean log-loss of labels, or the mean squared error, of predictions clipped to the range or not.

        0 where none has a weight, as in a sample of ratings of which few have.
        """
        if held_out.total_weight == 0:
            return 0.0
        problem, values = self._problem, held_out.values
        scores = problem.scores(self._parameters).pairs(held_out.users, held_out.items, problem.compute)
        if problem.targets.labels:
            z = scores.astype(np.float64)
            losses = np.logaddexp(0, z) - values * z
        else:
            predicted = np.clip(scores, *problem.ratings.rating_range) if clipped else scores
            losses = np.square(predicted - values, dtype=np.float64)
        return float(np.average(losses, weights=held_out.weights))

    def _now(self) -> dict[str, NDArray[Any]]:
        copies = {name: array.copy() for name, array in self._parameters._asdict().items()}
        return copies | self._centres.arrays()

    def _return_to(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._parameters = Parameters(*(arrays[name].copy() for name in Parameters._fields))
        self._centres.set_arrays(arrays)

    def save_best(self) -> None:
        """Save the current parameters and effects."""
        self._best = self._now()

    def restore_best(self) -> None:
        """Restore those saved last."""
        self._return_to(self._best)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return copies of the arrays from which training can continue."""
        best = {f"best_{name}": array for name, array in self._best.items()}
        return {**self._now(), **best, **self._rows.arrays()}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        self._return_to(arrays)
        self._best = {name.removeprefix("best_"): arrays[name] for name in arrays if name.startswith("best_")}
        self._rows.set_arrays(arrays)

    def finish(self, history: tuple[Record, ...], n_epochs: int) -> State:
        """Return the state of a model with the current parameters."""
        problem = self._problem
        scores = problem.scores(Parameters(*(array.copy() for array in self._parameters)))
        return problem.state(scores, problem.learnt.with_effects(self._centres.effects()), history, n_epochs)
