"""Solvers of factorisations of choices: their parameters, their defaults and their trainers.

A solver is a class in this file: parameters with constraints, values of "auto", ``unused`` parameters of the estimator,
``trainer`` and ``objective``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from fastcf._parameters import Constraint, Interval, OneOf, Settings
from fastcf.models.implicit.objective import implicit_objective
from fastcf.models.implicit.problem import Problem
from fastcf.models.implicit.sampled import Draws, SampledTrainer, sampled_objective
from fastcf.models.implicit.trainer import AlternatingTrainer
from fastcf.training.gradient_check import Objective
from fastcf.training.loop import Trainer
from fastcf.training.optimizers import SCHEDULED, check_schedule, scheduled_rate

__all__ = [
    "BPR",
    "SOLVERS",
    "Cholesky",
    "ConjugateGradients",
    "ImplicitSolver",
    "Sampled",
    "Subspaces",
    "as_implicit_solver",
]

_MOST_NEGATIVES = 256


class ImplicitSolver(Settings):
    """Base class of the solvers of :class:`fastcf.ImplicitFactorization`.

    A solver holds its parameters. Strings are shorthand for the objects with their defaults: "cg" for
    ``ConjugateGradients()``, "cholesky" for ``Cholesky()``, "subspaces" for ``Subspaces()``,
    "bpr" for ``BPR()``, "sampled" for ``Sampled()``.
    """

    parameter: ClassVar[str] = "solver"
    shorthands: ClassVar[tuple[str, ...]] = ()

    unused: ClassVar[tuple[str, ...]] = ()
    """Parameters of the estimator that have no effect with this solver."""

    n_epochs: ClassVar[int] = 12
    """The value of "auto"."""

    reg: ClassVar[float | None] = None
    """The value of "auto"; None: it is estimated."""

    def trainer(self, problem: Problem) -> Trainer:
        """Return the trainer of a problem."""
        raise NotImplementedError

    def objective(self, problem: Problem) -> Objective:
        """Return what is minimised, as a function of the parameters, at random ones."""
        return implicit_objective(
            problem.choices, problem.learnt, problem.n_factors, problem.seed, problem.compute.n_threads or None
        )


@dataclass(repr=False)
class Cholesky(ImplicitSolver):
    """Alternating least squares with exact solutions: every sweep solves all items, then all users.

    A row of n choices takes n k² / 2 + k³ / 6 multiply-adds, one of fewer than k / 4 choices n² k / 2 + n³ / 6.

    References
    ----------
    Y. Hu, Y. Koren and C. Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("cholesky",)

    def trainer(self, problem: Problem) -> Trainer:
        """Return the trainer of a problem."""
        return AlternatingTrainer(problem)


@dataclass(repr=False)
class ConjugateGradients(ImplicitSolver):
    """Alternating least squares whose rows take a few steps of conjugate gradients from where they are.

    A row of n choices takes 2 n k multiply-adds a step. Steps are preconditioned: in the axes in which the Gram matrix
    of the other side is diagonal, that diagonal is close to the row's matrix.

    Parameters
    ----------
    n_steps : int, default 3
        Steps a row and sweep, at least 1.

    References
    ----------
    G. Takács, I. Pilászy and D. Tikk, "Applications of the conjugate gradient method for implicit feedback
    collaborative filtering", RecSys 2011.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("cg",)
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {"n_steps": (Interval(1, 2**31 - 1, integer=True),)}

    n_steps: int = 3

    def trainer(self, problem: Problem) -> Trainer:
        """Return the trainer of a problem."""
        return AlternatingTrainer(problem, cg_steps=self.n_steps)


@dataclass(repr=False)
class Subspaces(ImplicitSolver):
    """Alternating least squares by blocks of factors: each is solved exactly while the others stand still.

    For many factors, where systems of all of them take long: a row of n choices takes n k b / 2 + k b² / 6
    multiply-adds for blocks of b factors, and memory for a number per choice.

    Parameters
    ----------
    block_size : int, default 64
        Factors solved at a time, at least 1; k or more is "cholesky".

    References
    ----------
    S. Rendle, W. Krichene, L. Zhang and Y. Koren, "iALS++: speeding up matrix factorization with subspace
    optimization", arXiv:2110.14044, 2021. Blocks are of the axes in which the Gram matrix is diagonal, so that only
    the choices join them.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("subspaces",)
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {"block_size": (Interval(1, 65536, integer=True),)}

    block_size: int = 64

    def trainer(self, problem: Problem) -> Trainer:
        """Return the trainer of a problem."""
        return AlternatingTrainer(problem, block=self.block_size)


@dataclass(repr=False)
class BPR(ImplicitSolver):
    """Stochastic gradient descent on pairs of a choice and an item that the user did not choose, drawn anew each epoch.

    Minimises ``Σ w (−log σ(s_ui − s_uj)) + λ/2 (Σ n_u^ν ‖p_u‖² + Σ n_i^ν (‖q_i‖² + b_i²))`` with s_ui = p_u·q_i + b_i,
    w the strength of a choice, n numbers of choices, λ and ν ``reg`` and ``reg_scaling`` of the model. Items have
    biases. Drawn items that the user has chosen do not count.

    Parameters
    ----------
    learning_rate : float or "auto", default "auto"
        Step size of the first epoch, above 0. "auto" is 0.05, divided by the mean strength of the choices or, where
        that is more, by a third of the largest.
    n_negatives : int, default 1
        Items drawn for each choice, at most 256: as many pairs.
    popularity_power : float, default 0.25
        β, at least 0: items are drawn with probabilities in proportion to the β-th power of the numbers of their
        choices. 0: all items with choices alike.
    schedule : {"linear", "cosine", "constant", "inverse", "exponential"}, default "linear"
        How the step size falls, see :func:`fastcf.optimizers.learning_rate_at`.
    decay : float or None, default None
        The constant of the last two schedules, in [0, 1]; None is 0.1. Refused for the others.

    References
    ----------
    S. Rendle, C. Freudenthaler, Z. Gantner and L. Schmidt-Thieme, "BPR: Bayesian personalized ranking from implicit
    feedback", UAI 2009.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("bpr",)
    unused: ClassVar[tuple[str, ...]] = ("alpha", "unobserved_weight")
    n_epochs: ClassVar[int] = 100
    reg: ClassVar[float | None] = 0.01
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        **SCHEDULED,
        "n_negatives": (Interval(1, _MOST_NEGATIVES, integer=True),),
        "popularity_power": (Interval(0),),
    }

    learning_rate: float | str = "auto"
    n_negatives: int = field(default=1, kw_only=True)
    popularity_power: float = field(default=0.25, kw_only=True)
    schedule: str = field(default="linear", kw_only=True)
    decay: float | None = field(default=None, kw_only=True)

    def validate(self, caller: str = "") -> None:
        """Check the parameters; ``decay`` is refused where the schedule has none."""
        super().validate(caller)
        check_schedule(self, self._named(caller))

    @property
    def draws(self) -> Draws:
        """What is drawn."""
        return Draws("bpr", int(self.n_negatives), float(self.popularity_power))

    def trainer(self, problem: Problem) -> Trainer:
        """Return the trainer of a problem."""
        return _sampled_trainer(self, problem)

    def objective(self, problem: Problem) -> Objective:
        """Return the objective with the items drawn in one epoch."""
        return sampled_objective(problem, self.draws)


@dataclass(repr=False)
class Sampled(ImplicitSolver):
    """Stochastic gradient descent on choices, each beside items that the user did not choose, drawn anew each epoch.

    Minimises for each choice i of user u, with s_uj = p_u·q_j + b_j and items j drawn at random:

    - softmax: ``−log(e^{s_ui} / (e^{s_ui} + Σ_j e^{s_uj} / E_j))``, E_j how often j is expected among the drawn;
    - logistic: ``−log σ(s_ui) − Σ_j log σ(−s_uj)``.

    Weights, penalties and biases are those of :class:`BPR`.

    Parameters
    ----------
    cost : {"softmax", "logistic"}, default "softmax"
        The cost of a choice.
    learning_rate : float or "auto", default "auto"
        Step size of the first epoch, above 0. "auto" is 0.05, divided by the mean strength of the choices or, where
        that is more, by a third of the largest.
    n_negatives : int, default 16
        Items drawn for each choice, at most 256.
    popularity_power : float, default 0.5
        β, at least 0: items are drawn with probabilities in proportion to the β-th power of the numbers of their
        choices. 0: all items with choices alike.
    schedule, decay
        As for :class:`BPR`.

    References
    ----------
    Y. Bengio and J.-S. Senécal, "Adaptive importance sampling to accelerate training of a neural probabilistic language
    model", IEEE Transactions on Neural Networks 19, 2008 (softmax). T. Mikolov, I. Sutskever, K. Chen, G. Corrado and
    J. Dean, "Distributed representations of words and phrases and their compositionality", NIPS 2013 (logistic).
    """

    shorthands: ClassVar[tuple[str, ...]] = ("sampled",)
    unused: ClassVar[tuple[str, ...]] = ("alpha", "unobserved_weight")
    n_epochs: ClassVar[int] = 20
    reg: ClassVar[float | None] = 0.1
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "cost": (OneOf(("softmax", "logistic")),),
        **BPR._constraints,
    }

    cost: str = "softmax"
    learning_rate: float | str = field(default="auto", kw_only=True)
    n_negatives: int = field(default=16, kw_only=True)
    popularity_power: float = field(default=0.5, kw_only=True)
    schedule: str = field(default="linear", kw_only=True)
    decay: float | None = field(default=None, kw_only=True)

    def validate(self, caller: str = "") -> None:
        """Check the parameters; ``decay`` is refused where the schedule has none."""
        super().validate(caller)
        check_schedule(self, self._named(caller))

    @property
    def draws(self) -> Draws:
        """What is drawn."""
        return Draws(self.cost, int(self.n_negatives), float(self.popularity_power))

    def trainer(self, problem: Problem) -> Trainer:
        """Return the trainer of a problem."""
        return _sampled_trainer(self, problem)

    def objective(self, problem: Problem) -> Objective:
        """Return the objective with the items drawn in one epoch."""
        return sampled_objective(problem, self.draws)


_RATE = 0.05  # "auto"


def _sampled_trainer(solver: BPR | Sampled, problem: Problem) -> Trainer:
    strengths = problem.choices.values
    heavy = max(float(strengths.mean(dtype=np.float64)), float(strengths.max()) / 3)
    first = _RATE / heavy if isinstance(solver.learning_rate, str) else float(solver.learning_rate)
    return SampledTrainer(problem, solver.draws, lambda epoch: scheduled_rate(solver, first, epoch, problem.n_epochs))


_NAMED: dict[str, type[ImplicitSolver]] = {
    "auto": ConjugateGradients,
    "cg": ConjugateGradients,
    "cholesky": Cholesky,
    "subspaces": Subspaces,
    "bpr": BPR,
    "sampled": Sampled,
}
SOLVERS = tuple(_NAMED)


def as_implicit_solver(solver: str | ImplicitSolver, caller: str = "as_implicit_solver") -> ImplicitSolver:
    """Return a solver from its name, with default parameters, or as it is, checked.

    Parameters
    ----------
    solver : {"auto", "cg", "cholesky", "subspaces", "bpr", "sampled"} or ImplicitSolver
        The name is shorthand for the object with its defaults; "auto" is "cg".
    caller : str
        Named in error messages.

    Returns
    -------
    ImplicitSolver

    Raises
    ------
    ValueError
        If the name is unknown, or a parameter of the object is not as documented.
    TypeError
        If it is neither a name nor a solver.
    """
    chosen: ImplicitSolver = ImplicitSolver.chosen(solver, _NAMED, caller)
    return chosen
