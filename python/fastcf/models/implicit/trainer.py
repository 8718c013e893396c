"""Sweeps of alternating least squares over all cells, behind the protocol of the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.models.implicit.axes import Axes, axes_of
from fastcf.models.implicit.problem import Problem, draw_start, state_of
from fastcf.scores import State

__all__ = ["AlternatingTrainer"]


class AlternatingTrainer:
    """A trainer of the loop whose factors a native trainer holds; see :class:`fastcf.training.loop.Trainer`.

    A sweep solves all items, then all users, so that a training user's row is what folding it in gives. The native
    trainer works in the axes in which the Gram matrix of the side that stands still is diagonal; they are found here,
    by SciPy's LAPACK.

    Parameters
    ----------
    problem : Problem
        The problem.
    **method
        Of the native trainer: ``cg_steps``, steps of conjugate gradients, or ``block``, factors solved at a time;
        without them rows are solved exactly.
    """

    validated = False
    restorable = True

    def __init__(self, problem: Problem, **method: int) -> None:
        self._problem = problem
        choices, learnt = problem.choices, problem.learnt
        by_item = choices.by_item()
        alike = bool((choices.values == 1).all())
        self._native = problem.compute.native.ImplicitTrainer(
            choices.indptr,
            choices.indices,
            None if alike else choices.values,
            choices.n_items,
            item_indptr=by_item.indptr,
            item_users=by_item.indices,
            item_values=None if alike else by_item.values,
            n_factors=problem.n_factors,
            reg=learnt.reg,
            reg_exponent=learnt.reg_scaling,
            unobserved=learnt.unobserved_weight,
            n_threads=problem.compute.n_threads,
            **method,
        )
        self._native.set_parameters(*draw_start(problem))
        self._squared_error: float | None = None
        self._user_gram: NDArray[np.float64] | None = None
        self._item_axes: Axes | None = None
        self.save_best = self._native.save_best

    def run_epoch(self, epoch: int) -> None:
        """Run a sweep; there is no step size."""
        native = self._native
        gram = native.gram(True) if self._user_gram is None else self._user_gram
        native.update(False, *axes_of(gram))
        self._item_axes = axes_of(native.gram(False))
        self._squared_error = native.update(True, *self._item_axes)
        self._user_gram = None

    def measure(self) -> dict[str, Any]:
        """Return the objective at the current factors, over all cells."""
        native = self._native
        if self._squared_error is None:
            self._squared_error = native.squared_error()
        if self._user_gram is None:
            self._user_gram = native.gram(True)
        if self._item_axes is None:
            of_all = float(np.vdot(self._user_gram, native.gram(False)))
        else:
            of_all = float(self._item_axes.spectrum.astype(np.float64) @ np.diag(self._user_gram))
        weight = self._problem.learnt.unobserved_weight
        return {"cost": self._squared_error + weight * of_all + native.penalty()}

    def restore_best(self) -> None:
        """Restore the factors saved last."""
        self._native.restore_best()
        self._invalidate()

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return copies of the arrays from which training can continue."""
        state: Mapping[str, NDArray[Any]] = self._native.get_state()
        return state

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        self._native.set_state(dict(arrays))
        self._invalidate()

    def finish(self, history: tuple[dict[str, Any], ...], n_epochs: int) -> State:
        """Return the state of a model with the current factors."""
        problem = self._problem
        factors = [np.zeros((n, problem.n_factors), np.float32) for n in problem.choices.shape]
        self._native.get_parameters(*factors)
        return state_of(problem, factors[0], factors[1], history, n_epochs)

    def _invalidate(self) -> None:
        """Drop what was known of other factors."""
        self._squared_error = self._user_gram = self._item_axes = None
