"""The problem that a solver of matrix factorisation works on, and the parameters it starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from fastcf.models.factorization.stream import Stream
from fastcf.ratings import Ratings
from fastcf.scores import Compute, FactorScores, Folding, Identity, Link, Posterior, SeenItems, Sigmoid, State, Targets
from fastcf.scores.queries import RatedSide, pair_rows
from fastcf.training.samples import total_weight

__all__ = [
    "Draws",
    "HeldOut",
    "LearntFactors",
    "Parameters",
    "Problem",
    "RatedEffects",
    "Sides",
    "draw_factors",
    "held_out_rows",
    "typical_count",
]

Floats = NDArray[np.float32]

INIT_STREAM = 16  # of random numbers: the users' factors, then the items'; the native trainers use those below


class Parameters(NamedTuple):
    """The parameters of a factorisation."""

    user_factors: Floats
    item_factors: Floats
    user_bias: Floats
    item_bias: Floats


class Sides(NamedTuple):
    """A yes or no for users and for items."""

    user: bool
    item: bool

    @classmethod
    def of(cls, bias: bool | str) -> Sides:
        """Return which sides have biases: the meaning of the parameter ``bias``."""
        if isinstance(bias, str):
            return cls(bias == "user", bias == "item")
        return cls(bool(bias), bool(bias))


class HeldOut(NamedTuple):
    """Ratings to measure on, in rows of the ratings to train on; -1 where an id is unknown."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    values: Floats
    weights: Floats | None = None

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return total_weight(self.values.size, self.weights)


class Draws(NamedTuple):
    """Hyperparameters of the draws kept by Gibbs sampling, in units of the ratings' standard deviation."""

    unit: float
    noise_variances: Floats  # in the ratings' own unit
    user_means: Floats
    item_means: Floats
    user_precisions: Floats
    item_precisions: Floats
    user_effects: Floats | None = None  # with rated_input, of items on the users that rated them: (draws, d, n_items)
    item_effects: Floats | None = None

    def of(self, by: str) -> tuple[Floats, Floats, Floats | None]:
        """Return means, precisions and effects of the users or of the items."""
        return getattr(self, f"{by}_means"), getattr(self, f"{by}_precisions"), getattr(self, f"{by}_effects")


class RatedEffects(NamedTuple):
    """What the columns that a row rated say of it: effects on users, (d, n_items), and on items, (d, n_users).

    d is the number of factors, plus one with biases, which come last. None: of a side whose rows are not those of the
    training.
    """

    user: Floats | None
    item: Floats | None


@dataclass(frozen=True)
class LearntFactors:
    """The learnt values of a factorisation other than scores: the values of "auto", and the draws of its posterior.

    Attributes
    ----------
    bias : Sides
        Which sides have biases.
    reg, reg_exponent, user_bias_reg, item_bias_reg : float
        The penalties used.
    learning_rate, sgd_rate : float
        Step size of the first epoch, and the one that "sgd" would have.
    sigma : float
        Standard deviation that the biases leave in a rating of mean weight; 1 for labels.
    n_factors : int
        Length of the vectors.
    planned_epochs : int
        As given or searched; a training may end before, or keep an earlier epoch. 0: not known, in older files.
    rated_effects : RatedEffects, optional
        With rows around centres: what these are sums of.
    stream : Stream, optional
        The ratings of a model that began with ``partial_fit``; not written to files.
    draws : Draws, optional
        After Gibbs sampling.
    posterior : Posterior, optional
        The same as the scores have it.
    """

    bias: Sides
    reg: float = 0.0
    reg_exponent: float = 0.0
    user_bias_reg: float = 0.0
    item_bias_reg: float = 0.0
    learning_rate: float = 0.0
    sgd_rate: float = 0.0
    sigma: float = 1.0
    n_factors: int = 0
    planned_epochs: int = 0
    rated_effects: RatedEffects | None = None
    stream: Stream | None = None
    draws: Draws | None = None
    posterior: Posterior | None = None

    _settled: ClassVar[tuple[str, ...]] = (
        "reg", "reg_exponent", "user_bias_reg", "item_bias_reg", "learning_rate", "sgd_rate", "sigma",
        "n_factors",
    )  # fmt: skip

    _of_posterior: ClassVar[tuple[str, ...]] = (
        "n_samples", "noise_variance", "user_noise_variances", "user_bias_samples", "item_bias_samples",
    )  # fmt: skip

    @property
    def settled(self) -> dict[str, float]:
        """The numbers, by name."""
        return {name: getattr(self, name) for name in self._settled}

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of what models show as attributes."""
        own = ("rated_effects",) if self.posterior is None else ("draws", *self._of_posterior)
        return (*self._settled, *own)

    def with_effects(self, effects: RatedEffects) -> LearntFactors:
        """Return these values with the effects of a training whose rows have centres."""
        return replace(self, rated_effects=effects)

    def __getattr__(self, name: str) -> Any:
        if name in self._of_posterior:
            return getattr(self.posterior, name)
        raise AttributeError(name)


@dataclass(frozen=True)
class Problem:
    """The problem of a solver; values of "auto" are settled.

    Attributes
    ----------
    ratings : Ratings
        The ratings, or labels.
    targets : Targets
        Ratings or labels.
    held_out : HeldOut, optional
        Validation ratings.
    compute : Compute
        The device.
    device : str
        Name of the device.
    limits : tuple of float
        Range of predictions.
    global_mean, item_mean : float, ndarray or None
        Offsets of predictions.
    learnt : LearntFactors
        Penalties, step sizes and units.
    seed : int
        Of the initial factors and of the order of ratings.
    n_epochs : int
        Epochs planned.
    folding : Folding
        Computes new rows for the fitted model.
    features : tuple of (matrix or None)
        Known features of all users and of all items.
    rated_input : bool
        Whether rows are penalised around centres that say which ratings they have, by "sgd" and "als".
    """

    ratings: Ratings
    targets: Targets
    held_out: HeldOut | None
    compute: Compute
    device: str
    limits: tuple[float, float]
    global_mean: float
    item_mean: Floats | None
    learnt: LearntFactors
    seed: int
    n_epochs: int
    folding: Folding
    features: tuple[Any, Any] = (None, None)
    rated_input: bool = False

    @property
    def link(self) -> Link:
        """From scores to predictions."""
        return Sigmoid() if self.targets.labels else Identity()

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return total_weight(self.ratings.nnz, self.ratings.weights)

    def options(self, n_factors: int) -> dict[str, Any]:
        """Return the keyword arguments that all native trainers of factorisations take."""
        ratings, learnt = self.ratings, self.learnt
        low, high = ratings.rating_range
        return {
            "indptr": ratings.indptr,
            "indices": ratings.indices,
            "values": ratings.values,
            "n_items": ratings.n_items,
            "weights": ratings.weights,
            "item_offset": self.item_mean,
            "global_offset": self.global_mean,
            "n_factors": n_factors,
            "reg": learnt.reg,
            "reg_exponent": learnt.reg_exponent,
            "user_bias": learnt.bias.user,
            "item_bias": learnt.bias.item,
            "user_bias_reg": learnt.user_bias_reg,
            "item_bias_reg": learnt.item_bias_reg,
            "lowest": low,
            "highest": high,
            "cost": self.targets.cost,
            "seed": self.seed,
            "n_threads": self.compute.n_threads,
        }

    def scores(self, parameters: Parameters, posterior: Posterior | None = None) -> FactorScores:
        """Return scores of parameters, which they take over."""
        return FactorScores(*parameters, self.global_mean, self.item_mean, self.link, posterior)

    def state(
        self, scores: FactorScores, learnt: LearntFactors, history: tuple[dict[str, Any], ...], n_epochs: int
    ) -> State:
        """Return the state of a model of these ratings."""
        ratings = self.ratings
        return State(
            ratings.users,
            ratings.items,
            SeenItems(ratings.indptr, ratings.indices),
            scores,
            self.limits,
            self.device,
            self.targets,
            history,
            n_epochs,
            learnt,
            self.folding,
            rated=RatedSide("user", ratings.users, ratings.indptr, ratings.indices, ratings.values, ratings.weights),
        )


def held_out_rows(held_out: Ratings, ratings: Ratings, caller: str) -> HeldOut:
    """Return held-out ratings in the rows of those to train on."""
    users, items = pair_rows(held_out, ratings.users, ratings.items, caller)
    return HeldOut(users, items, held_out.values, held_out.weights)


def typical_count(ratings: Ratings) -> float:
    """Return the number of ratings of the rows of a typical rating: a geometric mean."""
    logarithms = (xlogy(n, n).sum() for n in (ratings.user_counts(), ratings.item_counts()))  # summed over ratings
    return float(np.exp(0.5 * sum(logarithms) / ratings.nnz))


def draw_factors(
    ratings: Ratings, compute: Compute, k: int, init: str, scale: float, seed: int
) -> tuple[Floats, Floats]:
    """Draw the factors of users and items to start from; rows without ratings are 0."""
    item_counts = np.bincount(ratings.indices, minlength=ratings.n_items)
    tables = []
    for stream, counts in enumerate((np.diff(ratings.indptr), item_counts), start=INIT_STREAM):
        factors = compute.native.random(counts.size, k, init, float(scale), seed, stream, compute.n_threads)
        factors[counts == 0] = 0
        tables.append(factors)
    return tables[0], tables[1]
