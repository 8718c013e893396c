"""What matrix factorisation for ratings and for labels share: parameters of training, first factors, validation."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fastcf._backend import Backend
from fastcf.models._parameters import Boolean, Constraint, Instance, Interval, Nothing, OneOf, RandomSeed
from fastcf.models._solvers import HeldOut
from fastcf.models.base import FactorModel
from fastcf.optimizers import OPTIMIZERS, SCHEDULES, Optimizer, as_optimizer
from fastcf.ratings import Ratings

__all__ = ["CHECKED_RATINGS", "TRAINING_CONSTRAINTS", "TRAINING_STATE", "FactorizationMixin"]

_INIT_STREAM = 16  # of random numbers: the users' factors, then the items'; the trainer has those below

CHECKED_RATINGS = 20_000  # that fit(check_gradients=True) looks at
_ADAPTIVE_RATES = {"adam": 0.01, "adagrad": 0.03}  # in units of a factor, √σ

TRAINING_CONSTRAINTS: dict[str, tuple[Constraint, ...]] = {
    "n_factors": (Interval(1, 65536, integer=True), OneOf(("auto",))),
    "optimizer": (OneOf(("auto", *OPTIMIZERS)), Instance(Optimizer)),
    "batch_size": (Interval(1, integer=True),),
    "bias": (Boolean(),),
    "reg": (Interval(0), OneOf(("auto",))),
    "bias_reg": (Interval(0), OneOf(("auto",))),
    "reg_scaling": (Interval(0, 1), OneOf(("auto", "count", "none"))),
    "learning_rate": (Interval(0, open_low=True), OneOf(("auto",))),
    "schedule": (OneOf(SCHEDULES),),
    "decay": (Interval(0, 1),),
    "n_epochs": (Interval(1, integer=True), OneOf(("auto",))),
    "patience": (Interval(1, integer=True), Nothing()),
    "min_delta": (Interval(0),),
    "init": (OneOf(("normal", "uniform")),),
    "init_scale": (Interval(0), OneOf(("auto",))),
    "random_state": (RandomSeed(),),
    "deterministic": (Boolean(),),
    "storage": (OneOf(("float32", "float16")),),
    "verbose": (Interval(0, 2, integer=True),),
}


# What training leaves beside the parameters.
TRAINING_STATE = (
    "history_",
    "n_epochs_",
    "reg_",
    "reg_exponent_",
    "learning_rate_",
    "sigma_",
    "sgd_rate_",
    "user_bias_reg_",
    "item_bias_reg_",
)


class FactorizationMixin(FactorModel):
    """Helpers of models that solvers train; ``_cost`` is what they minimise of a rating."""

    _cost: ClassVar[str] = "squared"

    solver: str
    optimizer: str | Optimizer
    batch_size: int
    init: str
    init_scale: float | str
    reg_scaling: float | str

    def _optimizer(self) -> Optimizer:
        """Return the optimiser of the gradient solvers."""
        return as_optimizer("adam" if self.optimizer == "auto" else self.optimizer, f"{type(self).__name__}.fit")

    def _exponent(self, auto: float) -> float:
        """Return the exponent that ``reg_scaling`` stands for."""
        scaling = self.reg_scaling
        return {"auto": auto, "none": 0.0, "count": 1.0}[scaling] if isinstance(scaling, str) else float(scaling)

    def _gradient_rate(self, ratings: Ratings, unit: float, scale: float, share: float) -> float:
        """Return the step size of an optimiser.

        ``unit`` is the curvature that a rating gives its rows, ``scale`` the unit of a factor, ``share`` what a step of
        "sgd" takes of the way to where its rating alone would have its rows.
        """
        optimizer = self._optimizer()
        if optimizer.name == "adadelta":
            return 1.0  # it knows its own
        if optimizer.name in _ADAPTIVE_RATES:
            return _ADAPTIVE_RATES[optimizer.name] * scale
        most = float(max(np.diff(ratings.indptr).max(), np.bincount(ratings.indices).max()))
        damping = (1 - optimizer.constants.decay) / unit  # momentum adds the steps of 1 / (1 - momentum) gradients
        if self.solver == "gd":
            return damping / most
        # As many steps of SGD as ratings; but the row that a batch meets most often takes no more than two at once.
        return damping * min(share * self.batch_size, 2 * ratings.nnz / most)

    def _initialise(self, ratings: Ratings, backend: Backend, k: int, auto: float, seed: int) -> None:
        """Draw the factors to start from; ``auto`` is what "auto" means for their scale."""
        scale = auto if isinstance(self.init_scale, str) else self.init_scale
        item_counts = np.bincount(ratings.indices, minlength=ratings.n_items)
        tables = ("user_factors_", np.diff(ratings.indptr)), ("item_factors_", item_counts)
        for stream, (name, counts) in enumerate(tables, start=_INIT_STREAM):
            factors = backend.module.random(counts.size, k, self.init, float(scale), seed, stream, self._threads)
            factors[counts == 0] = 0
            setattr(self, name, factors)

    def _validation_rows(self, held_out: Ratings, ratings: Ratings) -> HeldOut:
        """Return held-out ratings in the rows of those to train on."""
        users, items = self._pair_rows(held_out, "fit", strict=False, maps=(ratings.users, ratings.items))
        return HeldOut(users, items, np.ascontiguousarray(held_out.values))
