"""Choices beside items drawn at random: the problem's settings, the trainer of the loop, new users, the objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcf.models.implicit.problem import Problem, draw_start, state_of
from fastcf.ratings import Ratings
from fastcf.scores import Compute, Folding, State
from fastcf.scores.queries import RatedSide
from fastcf.serialization import Archive
from fastcf.training.gradient_check import Objective
from fastcf.training.optimizers import learning_rate_at
from fastcf.training.samples import n_measured, spread_entries

__all__ = ["Draws", "LearntSampled", "SampledFolding", "SampledTrainer", "sampled_objective"]

Floats = NDArray[np.float32]
Rows = NDArray[np.int32]

_FOLD_EPOCHS = 30  # of new users, from the mean user
_SEED_OF_FOLDS = 0


@dataclass(frozen=True)
class Draws:
    """What is drawn beside a choice, and what it costs.

    Attributes
    ----------
    cost : {"bpr", "logistic", "softmax"}
        The cost.
    n_negatives : int
        Items drawn for a choice.
    popularity_power : float
        β: items are drawn with probabilities in proportion to the β-th power of their choices.
    """

    cost: str
    n_negatives: int
    popularity_power: float

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of the native trainer."""
        return {"cost": self.cost, "n_drawn": self.n_negatives, "popularity_power": self.popularity_power}


@dataclass(frozen=True)
class LearntSampled:
    """The learnt values of a factorisation by sampled costs other than scores.

    Attributes
    ----------
    draws : Draws
        What was drawn.
    reg, reg_scaling, learning_rate : float
        Penalties, and the step size of the first epoch.
    mean_user : ndarray of shape (k,), float32
        The mean of the users' vectors before they were centred.
    item_counts : ndarray of shape (n_items,), int64
        Choices of each item.
    """

    shown: ClassVar[tuple[str, ...]] = ("reg", "learning_rate", "mean_user")
    numbers: ClassVar[tuple[str, ...]] = ("reg", "reg_scaling", "learning_rate")
    arrays: ClassVar[tuple[str, ...]] = ("mean_user", "item_counts")
    choices: ClassVar[None] = None
    """Not needed: ``partial_fit`` does not go on from these costs."""

    draws: Draws
    reg: float
    reg_scaling: float
    learning_rate: float
    mean_user: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    item_counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def packed(self, n_items: int, with_choices: bool) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and JSON values of a model file."""
        arrays = {name: getattr(self, name) for name in self.arrays}
        return arrays, {"draws": asdict(self.draws), **{name: getattr(self, name) for name in self.numbers}}

    @classmethod
    def from_archive(cls, archive: Archive, n_users: int, n_items: int, n_factors: int) -> LearntSampled:
        """Return the values that a model file holds; raises ValueError or KeyError if they are damaged."""
        meta = archive.meta
        given = meta["draws"]
        draws = Draws(str(given["cost"]), int(given["n_negatives"]), float(given["popularity_power"]))
        if draws.cost not in ("bpr", "logistic", "softmax") or not 1 <= draws.n_negatives <= 256:
            raise ValueError(f"draws are no draws: {given!r}")
        known: dict[str, Any] = {name: float(meta[name]) for name in cls.numbers}
        known["mean_user"] = archive.array("mean_user", np.float32, (n_factors,))
        known["item_counts"] = archive.array("item_counts", np.int64, (n_items,))
        return cls(draws, **known)


class SampledTrainer:
    """A trainer of the loop whose factors a native trainer holds; see :class:`fastcf.training.loop.Trainer`.

    Recorded costs are those of a fixed sample of choices beside items drawn once.

    Parameters
    ----------
    problem : Problem
        The problem.
    draws : Draws
        What is drawn.
    rate_at : callable
        Returns the step size of an epoch, from 0.
    """

    validated = False
    restorable = True

    def __init__(self, problem: Problem, draws: Draws, rate_at: Callable[[int], float]) -> None:
        self._problem, self._draws, self._rate_at = problem, draws, rate_at
        choices, learnt = problem.choices, problem.learnt
        self._native = problem.compute.native.SampledTrainer(
            choices.indptr,
            choices.indices,
            choices.values,
            choices.n_items,
            n_factors=problem.n_factors,
            reg=learnt.reg,
            reg_exponent=learnt.reg_scaling,
            item_bias=True,
            seed=problem.seed,
            n_threads=problem.compute.n_threads,
            **draws.options,
        )
        users, items = draw_start(problem)
        self._native.set_parameters(users, items, None, np.zeros(choices.n_items, np.float32))
        self._share = self._set_sample()
        self.save_best, self.restore_best = self._native.save_best, self._native.restore_best

    def _set_sample(self) -> float:
        """Draw the sample that costs are measured on; return its share of the weights of all choices."""
        choices = self._problem.choices
        some = np.arange(choices.nnz)
        if n_measured(choices.nnz) < choices.nnz:
            some = spread_entries(choices.nnz, n_measured(choices.nnz), self._problem.seed)
        users, items, weights = choices.row_of_entry()[some], choices.indices[some], choices.values[some]
        drawn = drawn_items(choices, users, self._draws, self._problem.seed)
        counts = choices.item_counts()
        powers = np.where(counts > 0, counts.astype(np.float64) ** self._draws.popularity_power, 0.0)
        correction = np.ones(counts.size, np.float32)
        if self._draws.cost == "softmax":
            expected = np.maximum(self._draws.n_negatives * powers / powers.sum(), np.finfo(np.float64).tiny)
            correction = -np.log(expected).astype(np.float32)
        self._native.set_sample(users, items, drawn, weights, correction)
        return float(weights.sum(dtype=np.float64)) / float(choices.values.sum(dtype=np.float64))

    def run_epoch(self, epoch: int) -> float:
        """Run an epoch; return its step size."""
        rate = self._rate_at(epoch)
        self._native.epoch(rate, rate)
        return rate

    def measure(self) -> dict[str, Any]:
        """Return the objective at the current factors, estimated on a fixed sample."""
        return {"cost": self._native.sample_cost() / self._share + self._native.penalty()}

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return copies of the arrays from which training can continue."""
        state: Mapping[str, NDArray[Any]] = self._native.get_state()
        return state

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        self._native.set_state(dict(arrays))

    def finish(self, history: tuple[dict[str, Any], ...], n_epochs: int) -> State:
        """Return the state of a model with the current factors."""
        problem, learnt = self._problem, self._problem.learnt
        factors = [np.zeros((n, problem.n_factors), np.float32) for n in problem.choices.shape]
        bias = np.zeros(problem.choices.n_items, np.float32)
        self._native.get_parameters(*factors, None, bias)
        state = state_of(problem, factors[0], factors[1], history, n_epochs)
        scores = state.scores.as_factors()
        assert scores is not None
        own = LearntSampled(
            self._draws,
            learnt.reg,
            learnt.reg_scaling,
            self._rate_at(0),
            state.learnt.mean_user,
            problem.choices.item_counts(),
        )
        return state.replaced(
            scores=scores.replaced(item_bias=scores.item_bias + bias), learnt=own, folding=SampledFolding()
        )


def drawn_items(choices: Ratings, users: Rows, draws: Draws, seed: int) -> Rows:
    """Draw items for choices of some users, of shape (n, n_negatives); -1 for those that the user has chosen."""
    powers = choices.item_counts().astype(np.float64)
    powers = np.where(powers > 0, powers**draws.popularity_power, 0.0)
    below = np.cumsum(powers)
    at = np.random.default_rng(seed).random((users.size, draws.n_negatives)) * below[-1]
    drawn = np.minimum(np.searchsorted(below, at, side="right"), choices.n_items - 1)
    known = choices.row_of_entry().astype(np.int64) * choices.n_items + choices.indices
    keys = users.astype(np.int64)[:, None] * choices.n_items + drawn
    places = np.minimum(np.searchsorted(known, keys), known.size - 1)
    return np.where(known[places] == keys, -1, drawn).astype(np.int32)


class SampledFolding(Folding):
    """New users by steps on their choices, beside items drawn at random, from the mean user; items stay as they are.

    A user's row does not depend on which other users are folded in at the same time.
    """

    rated_sides = ("user",)
    why = "sampled costs compare the items of a user"

    def unexplained(self, state: State) -> str:
        """Return why there are no shares of choices."""
        return (
            "vectors of sampled costs come from steps on pairs of items, in which the choices do not add up; take the "
            "solver 'cg' or 'cholesky'"
        )

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Take the steps."""
        scores, learnt = state.scores.as_factors(), state.learnt
        assert scores is not None
        n_rows = len(rated.ids)
        native, n_threads = compute
        trainer = native.SampledTrainer(
            *rated.choices,
            len(scores.item_factors),
            item_counts=learnt.item_counts,
            fixed_items=True,
            n_factors=scores.n_factors,
            reg=learnt.reg,
            reg_exponent=learnt.reg_scaling,
            item_bias=True,
            seed=_SEED_OF_FOLDS,
            n_threads=n_threads,
            **learnt.draws.options,
        )
        factors = np.tile(learnt.mean_user, (n_rows, 1))
        own_bias = scores.item_bias - scores.item_factors @ learnt.mean_user
        trainer.set_parameters(factors, scores.item_factors, None, own_bias)
        for epoch in range(_FOLD_EPOCHS):
            trainer.epoch(learning_rate_at("linear", learnt.learning_rate, epoch, _FOLD_EPOCHS, 0.0), 0.0)
        trainer.get_parameters(factors, np.empty_like(scores.item_factors), None, np.empty_like(own_bias))
        factors -= learnt.mean_user
        return state.replaced(scores=scores.replaced(user_factors=factors, user_bias=np.zeros(n_rows, np.float32)))


def sampled_objective(problem: Problem, draws: Draws) -> Objective:
    """Return the objective of choices beside the items drawn in one epoch, at random parameters of a plausible size."""
    choices, learnt, k = problem.choices, problem.learnt, problem.n_factors
    native, n_threads = problem.compute
    trainer = native.SampledTrainer(
        choices.indptr,
        choices.indices,
        choices.values,
        choices.n_items,
        n_factors=k,
        reg=learnt.reg,
        reg_exponent=learnt.reg_scaling,
        item_bias=True,
        seed=problem.seed,
        n_threads=n_threads,
        **draws.options,
    )
    users, items, _ = trainer.order()
    drawn = trainer.drawn().reshape(-1, draws.n_negatives)
    correction = trainer.correction().astype(np.float64)
    known = choices.row_of_entry().astype(np.int64) * choices.n_items + choices.indices
    keys = users.astype(np.int64) * choices.n_items + items
    weights = choices.values[np.searchsorted(known, keys)].astype(np.float64)
    random = np.random.default_rng(problem.seed)
    shapes: dict[str, tuple[int, ...]] = {
        "user_factors": (choices.n_users, k),
        "item_factors": (choices.n_items, k),
        "item_bias": (choices.n_items,),
    }
    parameters = {name: random.normal(0, k**-0.25, shape) for name, shape in shapes.items()}

    def evaluate(at: dict[str, NDArray[np.float64]]) -> tuple[float, dict[str, NDArray[np.float64]]]:
        gradients = {name: np.empty_like(values) for name, values in at.items()}
        cost = native.choice_cost(
            users,
            items,
            drawn,
            weights,
            correction,
            *(at[name] for name in shapes),
            cost=draws.cost,
            reg=learnt.reg,
            reg_exponent=learnt.reg_scaling,
            user_gradient=gradients["user_factors"],
            item_gradient=gradients["item_factors"],
            bias_gradient=gradients["item_bias"],
            n_threads=n_threads,
        )
        return cost, gradients

    return Objective(parameters, evaluate)
