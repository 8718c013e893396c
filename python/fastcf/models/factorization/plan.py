"""What all trainings of one fit of a factorisation share: the final one, and those of a search before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from fastcf._backend import Backend
from fastcf.models.factorization.costs import Choices, Settled, settle_labels, settle_ratings
from fastcf.models.factorization.problem import HeldOut, Parameters, Problem, draw_factors
from fastcf.models.factorization.solvers import Auto, Solver
from fastcf.models.factorization.walk import Hyperparameters
from fastcf.ratings import Ratings
from fastcf.scores import Compute, Folding, Scores, Targets
from fastcf.training.loop import Trainer

__all__ = ["Plan"]


class InitialChoices(Choices, Protocol):
    """The parameters of a factorisation that define the model, its penalties and its first factors."""

    init: str
    init_scale: float | str


@dataclass(frozen=True)
class Plan:
    """A training of a factorisation but for its entries and its hyperparameters.

    Attributes
    ----------
    choices : InitialChoices
        Parameters of the model.
    solver : Solver
        The solver.
    auto : Auto
        Where its search begins.
    targets : Targets
        Ratings or labels.
    backend : Backend
        The device.
    folding : Folding
        Of the fitted model.
    seed : int
        Of the initial factors and of the order of entries.
    n_threads : int
        0: all.
    features : tuple of (matrix or None)
        Of all users and of all items.
    """

    choices: InitialChoices
    solver: Solver
    auto: Auto
    targets: Targets
    backend: Backend
    folding: Folding
    seed: int
    n_threads: int
    features: tuple[Any, Any] = (None, None)

    @property
    def compute(self) -> Compute:
        """The device."""
        return Compute(self.backend.module, self.n_threads)

    def settle(self, ratings: Ratings) -> Settled:
        """Return where trainings on some ratings start."""
        settle = settle_labels if self.targets.labels else settle_ratings
        return settle(self.choices, self.solver, self.auto, ratings, self.backend, self.n_threads)

    def trainer(self, ratings: Ratings, settled: Settled, values: Hyperparameters, held_out: HeldOut | None) -> Trainer:
        """Return the trainer of a training that starts from :meth:`settle` of its ratings."""
        init_scale, k = self.choices.init_scale, values.n_factors
        scale = settled.init_scale(k) if isinstance(init_scale, str) else float(init_scale)
        problem = Problem(
            ratings,
            self.targets,
            held_out,
            self.compute,
            self.backend.device,
            (0.0, 1.0) if self.targets.labels else ratings.rating_range,
            settled.global_mean,
            settled.item_mean,
            replace(settled.learnt, reg=values.reg, n_factors=k, planned_epochs=values.n_epochs),
            self.seed,
            values.n_epochs,
            self.folding,
            self.features,
            values.rated_input,
        )
        factors = draw_factors(ratings, self.compute, k, self.choices.init, scale, self.seed)
        return self.solver.trainer(problem, Parameters(*factors, settled.user_bias, settled.item_bias))

    def trained_scores(self, ratings: Ratings, settled: Settled, values: Hyperparameters) -> Scores:
        """Return the scores after a training; not finite where it diverges."""
        own = replace(settled, user_bias=settled.user_bias.copy(), item_bias=settled.item_bias.copy())
        trainer = self.trainer(ratings, own, values, None)
        for epoch in range(values.n_epochs):
            trainer.run_epoch(epoch)
        return trainer.finish((), values.n_epochs).scores
