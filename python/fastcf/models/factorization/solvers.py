"""Solvers of matrix factorisation: their parameters, their defaults and their trainers.

A solver is a class in this file: parameters with constraints, ``auto`` for the costs it minimises, and ``trainer``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np

from fastcf._parameters import Boolean, Constraint, Instance, Interval, Nothing, OneOf, Settings
from fastcf.models.factorization.centred import AlsRows, CentredTrainer, SgdRows
from fastcf.models.factorization.gibbs import GibbsTrainer
from fastcf.models.factorization.problem import Parameters, Problem, typical_count
from fastcf.models.factorization.trainers import AlsSteps, GradientSteps, NativeTrainer, SgdSteps
from fastcf.ratings import Ratings
from fastcf.training.loop import Trainer
from fastcf.training.optimizers import (
    OPTIMIZERS,
    SCHEDULED,
    Optimizer,
    as_optimizer,
    check_schedule,
    scheduled_rate,
)

__all__ = ["ALS", "SGD", "SOLVERS", "Auto", "Gibbs", "GradientDescent", "Solver", "as_solver"]

_FIRST_DRAWS = 40  # of Gibbs samplers that are to show how good one will be, all together
_LEAST_DRAWS = 10  # of each of them


class Auto(NamedTuple):
    """Where the search for what is "auto" begins, for a solver and a cost; after Gibbs sampling, where it ends.

    ``reg`` is in units of σ, see :class:`LearntFactors`; that of labels follows from them.
    """

    n_factors: int
    n_epochs: int
    reg: float
    reg_exponent: float


class Surrogate(NamedTuple):
    """What the search of a solver trains with in its place: a faster solver of the same objective.

    ``longer`` is by how many times its own first number of epochs it is trained, ``reg`` by what the penalty that it
    finds is multiplied: a training that ends short of the minimum is best at a weaker one.
    """

    solver: Solver
    longer: int = 1
    reg: float = 1.0


class Solver(Settings):
    """Base class of the solvers of :class:`fastcf.MatrixFactorization`.

    A solver holds its parameters. Strings are shorthand for the objects with their defaults: "sgd" for ``SGD()``,
    "als" for ``ALS()``, "bayes" for ``Gibbs()``, "minibatch" for ``GradientDescent()`` and "gd" for
    ``GradientDescent(batch_size="whole")``.
    """

    parameter: ClassVar[str] = "solver"
    shorthands: ClassVar[tuple[str, ...]] = ()
    auto: ClassVar[Mapping[str, Auto]] = {}
    """Where the search for what is "auto" begins, by cost; a solver minimises these costs only."""

    growth: ClassVar[int] = 1
    """The power of the number of factors by which the cost of an epoch grows."""

    stochastic: ClassVar[bool] = False
    """Whether ``partial_fit`` continues with the step size of this solver."""

    samples: ClassVar[bool] = False
    """Whether the model is averaged over draws of a posterior."""

    featured: ClassVar[bool] = False
    """Whether features of users and items have an effect."""

    unused: ClassVar[tuple[str, ...]] = ()
    """Parameters of the estimator that have no effect with this solver."""

    def first(self, cost: str, ratings: Ratings) -> Auto:
        """Return where the search for what is "auto" begins."""
        return self.auto[cost]

    def surrogate(self, cost: str) -> Surrogate | None:
        """Return what the search trains with in place of the solver; None: the solver itself."""
        return None

    def first_look(self, n_epochs: int | str, n_fits: int) -> int | str:
        """Return after how many epochs each of some fits, of so many epochs or "auto", shows how good one will be."""
        return n_epochs

    def check(self, n_epochs: int, caller: str) -> None:
        """Refuse parameters that do not fit a number of epochs; raises ValueError."""

    @property
    def centred(self) -> bool | None:
        """Whether rows are penalised around centres, which say what they rated; None: to be searched."""
        return False

    def first_rate(self, ratings: Ratings, unit: float, scale: float, share: float) -> float | None:
        """Return the step size of the first epoch; None: that of stochastic gradient descent, or none at all.

        Parameters
        ----------
        ratings : Ratings
            The problem.
        unit : float
            The curvature that a rating gives its rows.
        scale : float
            The unit of a factor.
        share : float
            What a step of "sgd" takes of the way to where its rating alone would have its rows.
        """
        return None

    def trainer(self, problem: Problem, start: Parameters) -> Trainer:
        """Return the trainer of a problem, which starts from some parameters."""
        raise NotImplementedError


@dataclass(repr=False)
class SGD(Solver):
    """Stochastic gradient descent over tiles of users and items, a step per rating: the fastest solver.

    Parameters
    ----------
    learning_rate : float or "auto", default "auto"
        Step size of the first epoch, above 0. "auto" is 0.04 / σ for ratings and 0.08 for labels, divided by the mean
        weight or a third of the largest one where ratings have weights. Biases step by σ times as much, so that the
        scale of the ratings does not matter.
    schedule : {"linear", "cosine", "constant", "inverse", "exponential"}, default "linear"
        How the step size falls, see :func:`fastcf.optimizers.learning_rate_at`.
    decay : float or None, default None
        The constant of the last two schedules, in [0, 1]; None is 0.1. Refused for the others.
    deterministic : bool, default True
        On a GPU: whether the same seed gives the same bits. False lets steps on one item run at once, each unaware of
        the others, for speed. A CPU is always deterministic.
    storage : {"float32", "float16"}, default "float32"
        On a GPU: how factors are kept during an epoch; arithmetic is float32. Halves move half the bytes. A CPU keeps
        float32.
    rated_input : bool or "auto", default "auto"
        Whether the penalty draws rows to centres instead of zero, which say what they rated beside the ratings (or
        labels): ``c_u = Σ_j e_j / √n_u`` over the n_u items j that u rated, and the same of the users who rated an
        item; the effects e_j are learnt. "auto" tries both on held-out ratings where ``reg`` is searched, and is False
        where ``reg`` is given. The effects are found anew six times in a training, three times for labels.

    References
    ----------
    R. Gemulla, E. Nijkamp, P. Haas and Y. Sismanis, "Large-scale matrix factorization with distributed stochastic
    gradient descent", KDD 2011 (blocks that share no rows). Y. Koren, "Factorization meets the neighborhood", KDD 2008
    (``rated_input``: SVD++, here on both sides).
    """

    shorthands: ClassVar[tuple[str, ...]] = ("sgd",)
    stochastic: ClassVar[bool] = True
    # Chosen on validation ratings of sets of different size, see docs/defaults-sweeps.md.
    auto: ClassVar[Mapping[str, Auto]] = {"squared": Auto(32, 20, 0.5, 0.7), "logistic": Auto(32, 20, 0.0, 0.7)}
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        **SCHEDULED,
        "deterministic": (Boolean(),),
        "storage": (OneOf(("float32", "float16")),),
        "rated_input": (Boolean(), OneOf(("auto",))),
    }

    learning_rate: float | str = "auto"
    schedule: str = field(default="linear", kw_only=True)
    decay: float | None = field(default=None, kw_only=True)
    deterministic: bool = field(default=True, kw_only=True)
    storage: str = field(default="float32", kw_only=True)
    rated_input: bool | str = field(default="auto", kw_only=True)

    def validate(self, caller: str = "") -> None:
        """Check the parameters; ``decay`` is refused where the schedule has none."""
        super().validate(caller)
        check_schedule(self, self._named(caller))

    def first(self, cost: str, ratings: Ratings) -> Auto:
        """Return where the search begins: factors grow from their small first values in more epochs of few ratings."""
        auto = self.auto[cost]
        return auto._replace(n_epochs=round(auto.n_epochs * max(1.0, 4 / np.sqrt(typical_count(ratings)))))

    @property
    def centred(self) -> bool | None:
        """Whether rows have centres."""
        return None if isinstance(self.rated_input, str) else self.rated_input

    def first_rate(self, ratings: Ratings, unit: float, scale: float, share: float) -> float | None:
        """Return the step size of the first epoch, if it is given."""
        return None if isinstance(self.learning_rate, str) else float(self.learning_rate)

    def trainer(self, problem: Problem, start: Parameters) -> Trainer:
        """Return the trainer of a problem."""
        options = problem.options(start.user_factors.shape[1])
        if problem.device != "cpu":  # a CPU is deterministic, and has no use for halves
            options |= {"deterministic": self.deterministic, "storage": self.storage}
        learnt = problem.learnt

        def rate_at(epoch: int) -> float:
            return scheduled_rate(self, learnt.learning_rate, epoch, problem.n_epochs)

        native = problem.compute.native.SgdTrainer(**options)
        steps = SgdSteps(rate_at, learnt.sigma)
        if problem.rated_input:
            return CentredTrainer(problem, start, SgdRows(native, steps, problem))
        return NativeTrainer(problem, start, native, steps)


@dataclass(repr=False)
class ALS(Solver):
    """Alternating least squares: every sweep solves all users, then all items, exactly or nearly.

    For ratings only.

    Parameters
    ----------
    cg_steps : int or None, default None
        Number of conjugate gradient steps per row, from the current vector; None: solve exactly, by Cholesky's
        factorisation. Three are usual, and faster where k is large.
    rated_input : bool or "auto", default "auto"
        Whether the penalty draws rows to centres instead of zero, which say what they rated beside the ratings (or
        labels): ``c_u = Σ_j e_j / √n_u`` over the n_u items j that u rated, and the same of the users who rated an
        item; the effects e_j are learnt. "auto" tries both on held-out ratings where ``reg`` is searched, and is False
        where ``reg`` is given. A sweep takes about three times as long as without.

    References
    ----------
    Y. Zhou, D. Wilkinson, R. Schreiber and R. Pan, "Large-scale parallel collaborative filtering for the Netflix
    Prize", AAIM 2008 (weighted-λ). G. Takács, I. Pilászy and D. Tikk, "Applications of the conjugate gradient method
    for implicit feedback collaborative filtering", RecSys 2011 (``cg_steps``).
    """

    shorthands: ClassVar[tuple[str, ...]] = ("als",)
    auto: ClassVar[Mapping[str, Auto]] = {"squared": Auto(32, 10, 1.5, 0.5)}
    growth: ClassVar[int] = 2
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "cg_steps": (Interval(1, 2**31 - 1, integer=True), Nothing()),
        "rated_input": (Boolean(), OneOf(("auto",))),
    }

    cg_steps: int | None = None
    rated_input: bool | str = field(default="auto", kw_only=True)

    @property
    def centred(self) -> bool | None:
        """Whether rows have centres."""
        return None if isinstance(self.rated_input, str) else self.rated_input

    def trainer(self, problem: Problem, start: Parameters) -> Trainer:
        """Return the trainer of a problem."""
        if problem.rated_input:
            return CentredTrainer(problem, start, AlsRows(problem, self.cg_steps or 0))
        by_item = problem.ratings.by_item()
        native = problem.compute.native.AlsTrainer(
            **problem.options(start.user_factors.shape[1]),
            cg_steps=self.cg_steps or 0,
            item_indptr=by_item.indptr,
            item_users=by_item.indices,
            item_values=by_item.values,
            item_weights=by_item.weights,
        )
        return NativeTrainer(problem, start, native, AlsSteps())


@dataclass(repr=False)
class Gibbs(Solver):
    """Gibbs sampling of Bayesian matrix factorisation, the most accurate single model of ratings.

    Factors and biases are drawn from their posterior, one side after the other; predictions average over the draws, and
    have standard deviations. Priors are learnt, so there are no penalties. ``n_epochs`` that are "auto" are the burn-in
    and 100 more, ``n_factors`` 32, from 200,000 ratings on 64. Takes the memory of ``n_samples_`` models, and with
    ``rated_input`` twice as much. Features of users and items that ``fit`` is given explain part of their vectors. For
    ratings only.

    Parameters
    ----------
    burn_in : int, default 5
        Number of epochs before draws are kept; fewer than ``n_epochs``.
    thin : int, default 1
        Keep every ``thin``-th later draw.
    rated_input : bool, default True
        Whether the vectors of users depend on which items they rated, and those of items on who rated them, beside the
        ratings: vectors p_u have the mean ``μ + Σ_j e_j / √n_u`` over the n_u items j that u rated.
    user_noise : bool, default True
        Whether users differ in the variance of their ratings around what is predicted, by as much as the data says.

    References
    ----------
    R. Salakhutdinov and A. Mnih, "Bayesian probabilistic matrix factorization using Markov chain Monte Carlo", ICML
    2008; biases are one more factor. Y. Koren, "Factorization meets the neighborhood", KDD 2008, and S. Rendle, L.
    Zhang and Y. Koren, "On the difficulty of evaluating baselines", 2019 (``rated_input``: SVD++, and its Bayesian
    form on both sides). B. Lakshminarayanan, G. Bouchard and C. Archambeau, "Robust Bayesian matrix factorisation",
    AISTATS 2011 (``user_noise``). J. Simm et al., "Macau: scalable Bayesian multi-relational factorization with side
    information using MCMC", MLSP 2017 (features).
    """

    shorthands: ClassVar[tuple[str, ...]] = ("bayes",)
    auto: ClassVar[Mapping[str, Auto]] = {"squared": Auto(32, 105, 0.0, 0.0)}
    _draws: ClassVar[int] = 100  # after the burn-in
    _many: ClassVar[int] = 200_000  # ratings, from which on twice as many factors lower the error
    samples: ClassVar[bool] = True
    featured: ClassVar[bool] = True
    unused: ClassVar[tuple[str, ...]] = ("reg", "bias_reg", "reg_scaling", "patience")
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "burn_in": (Interval(0, integer=True),),
        "thin": (Interval(1, integer=True),),
        "rated_input": (Boolean(),),
        "user_noise": (Boolean(),),
    }

    burn_in: int = 5
    thin: int = 1
    rated_input: bool = field(default=True, kw_only=True)
    user_noise: bool = field(default=True, kw_only=True)

    def first(self, cost: str, ratings: Ratings) -> Auto:
        """Return what "auto" is: nothing is searched."""
        auto = self.auto[cost]
        n_factors = auto.n_factors * (2 if ratings.nnz >= self._many else 1)
        return auto._replace(n_factors=n_factors, n_epochs=self.burn_in + self._draws)

    def first_look(self, n_epochs: int | str, n_fits: int) -> int:
        """Return the number of epochs that shows how good a model is; half the time loses 0.002 of 0.82 stars."""
        whole = self.burn_in + self._draws if isinstance(n_epochs, str) else n_epochs
        return min(whole, self.burn_in + max(_LEAST_DRAWS, _FIRST_DRAWS // n_fits) * self.thin)

    def check(self, n_epochs: int, caller: str) -> None:
        """Refuse a burn-in as long as the training."""
        if self.burn_in >= n_epochs:
            raise ValueError(f"{caller}: burn_in of Gibbs must be less than n_epochs, {n_epochs}; got {self.burn_in}")

    def trainer(self, problem: Problem, start: Parameters) -> Trainer:
        """Return the trainer of a problem."""
        return GibbsTrainer(
            problem,
            start,
            self.burn_in,
            self.thin,
            rated_input=self.rated_input,
            user_noise=self.user_noise,
        )


@dataclass(repr=False)
class GradientDescent(Solver):
    """Steps of an optimiser along the gradient of batches of ratings, or of all ratings at once.

    Parameters
    ----------
    optimizer : str or Optimizer, default "adam"
        "gd", "momentum", "nesterov", "adagrad", "adadelta", "adam", or an object of a class of
        :mod:`fastcf.optimizers`, which carries the step size and its schedule. Step sizes that are "auto": 0.01 √σ with
        Adam, 0.03 √σ with AdaGrad (biases √σ times as much; for labels without σ), 1 with AdaDelta; else what
        corresponds to "sgd", as far as the row with most ratings allows.
    batch_size : int or "whole", default 1024
        Ratings per step, shuffled in each epoch; "whole": one step per epoch, along the gradient of all ratings.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("minibatch", "gd")
    auto: ClassVar[Mapping[str, Auto]] = {"squared": Auto(32, 20, 1.5, 0.5), "logistic": Auto(32, 20, 0.0, 0.7)}
    _least_steps: ClassVar[dict[str, int]] = {"squared": 1500, "logistic": 3000}
    _least_whole_steps: ClassVar[int] = 500  # along the gradient of all ratings
    _longer: ClassVar[dict[str, int]] = {"adadelta": 8}  # whose steps begin near zero and grow
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "optimizer": (OneOf(OPTIMIZERS), Instance(Optimizer)),
        "batch_size": (Interval(1, integer=True), OneOf(("whole",))),
    }
    _ADAPTIVE_RATES: ClassVar[dict[str, float]] = {"adam": 0.01, "adagrad": 0.03}  # in units of a factor, √σ

    optimizer: str | Optimizer = "adam"
    batch_size: int | str = 1024

    @property
    def whole(self) -> bool:
        """Whether a step follows the gradient of all ratings."""
        return isinstance(self.batch_size, str)

    def first(self, cost: str, ratings: Ratings) -> Auto:
        """Return where the search begins: at more epochs where these have few steps."""
        auto = self.auto[cost]
        steps, least = 1, self._least_whole_steps
        if not isinstance(self.batch_size, str):
            steps, least = -(-ratings.nnz // self.batch_size), self._least_steps[cost]
        times = self._longer.get(as_optimizer(self.optimizer, "GradientDescent").name, 1)
        return auto._replace(n_epochs=times * max(auto.n_epochs, -(-least // steps)))

    def surrogate(self, cost: str) -> Surrogate:
        """Return "als" for ratings, "sgd" for labels: in many epochs all come near the same minimum."""
        return Surrogate(ALS()) if cost in ALS.auto else Surrogate(SGD(rated_input=False), longer=2, reg=1.25)

    def first_rate(self, ratings: Ratings, unit: float, scale: float, share: float) -> float | None:
        """Return the step size of the first epoch."""
        optimizer = as_optimizer(self.optimizer, "GradientDescent")
        if not isinstance(optimizer.learning_rate, str):
            return float(optimizer.learning_rate)
        if optimizer.name == "adadelta":
            return 1.0  # its steps have the parameter's own unit
        if optimizer.name in self._ADAPTIVE_RATES:
            return self._ADAPTIVE_RATES[optimizer.name] * scale
        most = float(max(ratings.user_counts().max(), ratings.item_counts().max()))
        damping = (1 - optimizer.constants.decay) / unit  # momentum adds the steps of 1 / (1 - momentum) gradients
        if isinstance(self.batch_size, str):
            return damping / most
        # As many SGD steps as ratings, but at most two at once for the most frequent row of a batch.
        return damping * min(share * self.batch_size, 2 * ratings.nnz / most)

    def trainer(self, problem: Problem, start: Parameters) -> Trainer:
        """Return the trainer of a problem."""
        optimizer = as_optimizer(self.optimizer, "GradientDescent")
        learnt = problem.learnt

        def rate_at(epoch: int) -> float:
            return optimizer.rate_at(learnt.learning_rate, epoch, problem.n_epochs)

        native = problem.compute.native.GradientTrainer(
            **problem.options(start.user_factors.shape[1]),
            batch_size=0 if isinstance(self.batch_size, str) else self.batch_size,
            **optimizer.constants.options,
        )
        return NativeTrainer(problem, start, native, GradientSteps(rate_at, learnt.sigma, optimizer.name))


def as_solver(solver: str | Solver, caller: str = "as_solver") -> Solver:
    """Return a solver from its name, with default parameters, or as it is, checked.

    Parameters
    ----------
    solver : {"sgd", "als", "bayes", "minibatch", "gd"} or Solver
        The name is shorthand for the object with its defaults.
    caller : str
        Named in error messages.

    Returns
    -------
    Solver

    Raises
    ------
    ValueError
        If the name is unknown, or a parameter of the object is not as documented.
    TypeError
        If it is neither a name nor a solver.

    Examples
    --------
    >>> as_solver("gd")
    GradientDescent(batch_size='whole')
    """
    chosen: Solver = Solver.chosen(solver, _NAMED, caller)
    return chosen


_NAMED: dict[str, Callable[[], Solver]] = {
    "sgd": SGD,
    "als": ALS,
    "bayes": Gibbs,
    "minibatch": GradientDescent,
    "gd": partial(GradientDescent, batch_size="whole"),
}
SOLVERS = tuple(_NAMED)
