"""The training of two towers: the problem, and the trainer that the loop runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import Backend
from fastcf.models.two_tower.baseline import Baseline, LabelBounds
from fastcf.models.two_tower.choices import MeasuredChoices, Popularity, log_weights
from fastcf.models.two_tower.learnt import LearntTowers, Tower, TowerFolding
from fastcf.models.two_tower.towers import Shape, Side, TowerParameters, tower_vectors
from fastcf.ratings import Ratings
from fastcf.scores import Compute, FactorScores, Identity, SeenItems, Sigmoid, State, Targets
from fastcf.training.optimizers import Optimizer
from fastcf.training.samples import entries_of_rows, n_measured, spread_entries, total_weight, whole_rows

__all__ = ["Spread", "TowerProblem", "TowerSettings", "TowerTrainer", "counts"]

Floats = NDArray[np.float32]
Parts = tuple[Any, ...]


@dataclass(frozen=True)
class Spread:
    """The range of predictions."""

    centre: float  # c: the mean of the ratings or of the baseline, or the log-odds of label 1; 0 for choices
    unit: float  # the standard deviation of the ratings, or of what the baseline leaves; 1 for labels and choices
    scale: float  # how far a prediction may lie from c, where vectors are normalised
    rating_range: tuple[float, float]


class HeldOut(NamedTuple):
    """Validation pairs: rows of the sides, targets (of choices, strengths), and weights of ratings and labels."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    values: Floats
    weights: Floats | None


@dataclass(frozen=True, eq=False)
class TowerProblem:
    """The training data of two towers."""

    ratings: Ratings  # structure and weights; choices only, where these are learnt
    values: Floats  # their targets
    seen: SeenItems
    targets: Targets
    sides: tuple[Side, Side]  # users and items; the first rows are those of the ratings
    spread: Spread
    held_out: HeldOut | None
    baseline: Baseline | None = None  # the targets are what it leaves, around the centre
    bounds: LabelBounds | None = None  # of labels beside a baseline

    @property
    def by_least_squares(self) -> bool:
        """Whether the towers learn ratings, or what a baseline leaves of labels."""
        return not self.targets.choices and (self.bounds is not None or not self.targets.labels)

    def in_units(self, values: Floats) -> Floats:
        """Return targets as the towers learn them: ratings less their mean in units of their deviation, or labels."""
        if not self.by_least_squares:
            return values
        return ((values - np.float64(self.spread.centre)) / self.spread.unit).astype(np.float32)

    @property
    def left(self) -> Floats:
        """Targets less the centre: with a baseline, what it leaves of the ratings."""
        return self.values - np.float32(self.spread.centre)

    @property
    def weights(self) -> Floats | None:
        """How much each rating counts, relative to the mean; that of a choice is its strength."""
        weights = self.values if self.targets.choices else self.ratings.weights
        if self.bounds is not None:
            weights = self.bounds.curvature if weights is None else weights * self.bounds.curvature
        return None if weights is None else (weights / weights.mean(dtype=np.float64)).astype(np.float32)

    @property
    def cost(self) -> str:
        """The name of the cost."""
        return "softmax" if self.targets.choices else "squared" if self.by_least_squares else "logistic"

    @property
    def towers_centre(self) -> float:
        """The constant that the towers add to products."""
        return self.spread.centre if self.cost == "logistic" else 0.0


@dataclass(frozen=True)
class TowerSettings:
    """How two towers are trained; see :class:`TwoTower`."""

    shape: Shape
    optimizer: Optimizer
    learning_rate: float
    n_epochs: int
    batch_size: int
    dropout: float
    reg: float
    seed: int
    n_threads: int


class TowerTrainer:
    """Trains two towers, from first weights and biases; see :class:`fastcf.training.loop.Trainer`."""

    restorable = True

    def __init__(
        self,
        problem: TowerProblem,
        settings: TowerSettings,
        parameters: tuple[TowerParameters, TowerParameters],
        backend: Backend,
    ) -> None:
        self._problem, self._settings, self._backend = problem, settings, backend
        self.validated = problem.held_out is not None
        ratings, offsets = problem.ratings, None
        low, high = problem.in_units(np.array(problem.spread.rating_range, np.float32)).tolist()
        self._popularity: Popularity | None = None
        if problem.targets.choices:
            n = len(problem.sides[1].ids)
            met = np.bincount(problem.seen.indices, minlength=n) > 0
            self._popularity = Popularity.of(np.bincount(ratings.indices, minlength=n), met, problem.sides[1].matrix)
            last = (ratings.nnz - 1) % settings.batch_size + 1
            of_items = counts(ratings)[1]
            offsets = np.stack([log_weights(of_items, n) for n in (settings.batch_size, last)]).astype(np.float32)
        shape = settings.shape._asdict()
        self._native = backend.module.TwoTowerTrainer(
            ratings.indptr,
            ratings.indices,
            problem.in_units(problem.values),
            ratings.n_items,
            *(side.native() for side in problem.sides),
            weights=problem.weights,
            offsets=offsets,
            dropout=settings.dropout,
            cost=problem.cost,
            centre=problem.towers_centre,
            weight_decay=settings.reg / ratings.nnz,
            batch_size=settings.batch_size,
            lowest=low,
            highest=high,
            seed=settings.seed,
            n_threads=settings.n_threads,
            **shape,
            **settings.optimizer.constants.options,
        )
        sides = zip(problem.sides, parameters, strict=True)
        self._buffers: Parts = tuple(side.inputs.split(tower) for side, tower in sides)
        self._native.set_parameters(self._buffers)
        self._measured: _Measured | _MeasuredPairs
        self._held_out: _MeasuredPairs | None = None
        if problem.targets.choices:
            self._measured = _MeasuredPairs.of_training(problem, settings)
            if problem.held_out is not None:
                self._held_out = _MeasuredPairs.of(problem, settings, *problem.held_out[:3])
        else:
            self._measured = _Measured.of(problem, settings.seed)
            if problem.held_out is not None:
                users, items, values, weights = problem.held_out
                self._native.set_validation(users, items, problem.in_units(values), weights)
        self.save_best, self.restore_best = self._native.save_best, self._native.restore_best

    def run_epoch(self, epoch: int) -> float:
        """Pass over all ratings once."""
        settings = self._settings
        rate = settings.optimizer.rate_at(settings.learning_rate, epoch, settings.n_epochs)
        self._native.epoch(rate)
        return rate

    def measure(self) -> dict[str, Any]:
        """Return the objective and the training error on the measured ratings, and the validation error."""
        problem = self._problem
        self._native.get_parameters(self._buffers)
        if not isinstance(self._measured, _Measured):
            loss = self._measured.loss(self._buffers, self._settings.shape, self._compute)
            held_out = self._held_out
            return {
                "cost": loss + self._native.penalty(),
                "train_log_loss": loss,
                "validation_log_loss": None
                if held_out is None
                else held_out.loss(self._buffers, self._settings.shape, self._compute),
            }
        loss, train_error = self._measured.losses(problem, self._buffers, self._settings.shape, self._compute)
        error, unit = problem.targets.error, problem.spread.unit
        measured = None
        if problem.held_out is not None:
            n = total_weight(problem.held_out.values.size, problem.held_out.weights)
            if problem.targets.labels:
                measured = self._native.validation_log_loss() / n
            else:
                measured = unit * math.sqrt(self._native.validation_squared_error() / n)
        return {
            "cost": loss + self._native.penalty(),
            f"train_{error}": train_error,
            f"validation_{error}": measured,
        }

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return copies of parameters and of the optimiser's state."""
        state: Mapping[str, NDArray[Any]] = self._native.get_state()
        return state

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        self._native.set_state(dict(arrays))

    def parameters(self) -> tuple[TowerParameters, TowerParameters]:
        """Return copies of the current parameters."""
        self._native.get_parameters(self._buffers)
        users, items = (side.inputs.joined(part) for side, part in zip(self._problem.sides, self._buffers, strict=True))
        return users, items

    def finish(self, history: tuple[dict[str, Any], ...], n_epochs: int) -> State:
        """Return the state of a model with copies of the parameters."""
        problem, settings, spread = self._problem, self._settings, self._problem.spread
        none = np.zeros(settings.shape.user_layers[-1], np.float32)
        towers = [
            Tower(tower, side.inputs, side.own, none)
            for side, tower in zip(problem.sides, self.parameters(), strict=True)
        ]
        learnt = LearntTowers(
            (towers[0], towers[1]), settings.shape, spread.centre, spread.scale, spread.unit, settings.learning_rate
        )
        vectors = [learnt.vectors(n, side.matrix, side.own, self._compute) for n, side in enumerate(problem.sides)]
        if problem.baseline is not None:
            baseline = problem.baseline.beside(
                vectors[0], vectors[1], problem.ratings, problem.left, problem.bounds, self._compute
            )
            vectors = [np.hstack([rows, baseline.of_side(n)[0]]) for n, rows in enumerate(vectors)]
            learnt = replace(learnt, baseline=baseline)
        for n, (side, count) in enumerate(zip(problem.sides, counts(problem.ratings), strict=True)):
            rows = vectors[n]
            average = (count @ rows[: count.size].astype(np.float64) / count.sum()).astype(np.float32)
            rows[~side.known] = average
            towers[n] = replace(towers[n], average=average)
        learnt = replace(learnt, towers=(towers[0], towers[1]))
        if self._popularity is not None:
            # Items that nobody chose and nothing else is known of come last, whatever the products are.
            longest = [np.linalg.norm(rows, axis=1).max() for rows in vectors]
            logarithms = self._popularity.logarithms.copy()
            logarithms[~problem.sides[1].known] -= 2 * longest[0] * longest[1]
            learnt = replace(learnt, popularity=self._popularity._replace(logarithms=logarithms))
        users, items = (side.ids for side in problem.sides)
        return State.of(
            problem.ratings,
            self._backend,
            learnt.scores(vectors[0], vectors[1], Sigmoid() if problem.targets.labels else Identity()),
            users=users,
            items=items,
            seen=problem.seen.padded(len(users)),
            rating_range=spread.rating_range,
            targets=problem.targets,
            history=history,
            n_epochs=n_epochs,
            learnt=learnt,
            folding=TowerFolding(learnt.baseline),
        )

    @property
    def _compute(self) -> Compute:
        return Compute(self._backend.module, self._settings.n_threads)


def _placed(
    sides: tuple[Side, Side], pairs: tuple[NDArray[np.int32], NDArray[np.int32]]
) -> tuple[tuple[Parts, Parts], tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Return the features of the distinct users and items of pairs, and where each pair's are among them."""
    features, places = [], []
    for side, rows in zip(sides, pairs, strict=True):
        distinct, place = np.unique(rows, return_inverse=True)
        features.append(side.native(rows=distinct))
        places.append(place.astype(np.int32))
    return (features[0], features[1]), (places[0], places[1])


def _products(
    features: tuple[Parts, Parts],
    rows: tuple[NDArray[np.int32], NDArray[np.int32]],
    parameters: Parts,
    shape: Shape,
    centre: float,
    compute: Compute,
) -> NDArray[np.float64]:
    """Return the towers' products for pairs of rows, and the centre, in the unit of the towers."""
    users, items = (tower_vectors(*both, shape, compute) for both in zip(features, parameters, strict=True))
    no_bias = np.zeros(len(users), np.float32), np.zeros(len(items), np.float32)
    scores = FactorScores(users, items, no_bias[0], no_bias[1], centre)
    return scores.pairs(*rows, compute).astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Measured:
    """The ratings on which the objective is measured: all, or those of users drawn by the seed."""

    features: tuple[Parts, Parts]  # of their users and items, as native code takes them
    rows: tuple[NDArray[np.int32], NDArray[np.int32]]  # of each rating's user and item among those
    values: NDArray[np.float64]  # the targets
    weights: Floats | None
    bounds: LabelBounds | None

    @classmethod
    def of(cls, problem: TowerProblem, seed: int) -> _Measured:
        ratings = problem.ratings
        entries = entries_of_rows(ratings.indptr, whole_rows(ratings.indptr, n_measured(ratings.nnz), seed))
        features, places = _placed(problem.sides, (ratings.row_of_entry()[entries], ratings.indices[entries]))
        values = problem.in_units(problem.values)[entries].astype(np.float64)
        weights = None if ratings.weights is None else ratings.weights[entries]
        if weights is not None and not weights.any():
            weights = None
        bounds = None if problem.bounds is None else LabelBounds(*(each[entries] for each in problem.bounds))
        return cls(features, places, values, weights, bounds)

    def losses(self, problem: TowerProblem, parameters: Parts, shape: Shape, compute: Compute) -> tuple[float, float]:
        """Return the mean loss of the ratings, in the unit of the towers, and the training error."""
        z = _products(self.features, self.rows, parameters, shape, problem.towers_centre, compute)
        if problem.cost == "logistic":
            loss = self._mean(np.logaddexp(0, z) - self.values * z)
            return loss, loss
        squares = 0.5 * (z - self.values) ** 2
        if self.bounds is None:
            loss = self._mean(squares)
            return loss, problem.spread.unit * math.sqrt(2 * loss)
        labels, offsets, curvature = (each.astype(np.float64) for each in self.bounds)
        z = offsets + problem.spread.unit * z
        return self._mean(squares, curvature), self._mean(np.logaddexp(0, z) - labels * z)

    def _mean(self, losses: NDArray[np.float64], curvature: NDArray[np.float64] | None = None) -> float:
        weights: NDArray[Any] | None = self.weights
        if curvature is not None:
            weights = curvature if weights is None else weights * curvature
        return float(np.average(losses, weights=weights))


@dataclass(frozen=True, eq=False)
class _MeasuredPairs:
    """The choices on which the softmax cost is measured, and the features of their users and items."""

    features: tuple[Parts, Parts]  # as native code takes them
    choices: MeasuredChoices

    @classmethod
    def of_training(cls, problem: TowerProblem, settings: TowerSettings) -> _MeasuredPairs:
        """Return training choices: all, or some drawn by the seed."""
        ratings, n = problem.ratings, n_measured(problem.ratings.nnz)
        some = np.arange(n) if n == ratings.nnz else spread_entries(ratings.nnz, n, settings.seed)
        pairs = ratings.row_of_entry()[some], ratings.indices[some]
        return cls.of(problem, settings, *pairs, problem.values[some], counts(ratings)[1])

    @classmethod
    def of(
        cls,
        problem: TowerProblem,
        settings: TowerSettings,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        strengths: Floats,
        of_items: NDArray[np.int64] | None = None,
    ) -> _MeasuredPairs:
        """Return some choices; ``of_items`` has those of each item, among which these were drawn, by default these."""
        if of_items is None:
            of_items = np.bincount(items)
        features, places = _placed(problem.sides, (users, items))
        # Counts by place, with one for all the items that were not drawn.
        known = np.unique(items)
        rest = np.append(of_items[known], of_items.sum() - of_items[known].sum())
        choices = MeasuredChoices.of(places[0], places[1], strengths, rest, settings.batch_size, settings.seed)
        return cls(features, choices)

    def loss(self, parameters: Parts, shape: Shape, compute: Compute) -> float:
        """Return the mean cost of the choices."""
        users, items = (
            tower_vectors(features, tower, shape, compute)
            for features, tower in zip(self.features, parameters, strict=True)
        )
        return self.choices.cost(users, items, compute)


def counts(ratings: Ratings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many ratings each user and each item has."""
    return np.diff(ratings.indptr), np.bincount(ratings.indices, minlength=ratings.n_items)
