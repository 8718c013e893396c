"""The values of "auto": offsets, biases, penalties and step sizes of a factorisation, by its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import Backend
from fastcf.models.bias import Biases, fit_biases, start_label_biases
from fastcf.models.factorization.problem import LearntFactors, Sides, typical_count
from fastcf.models.factorization.solvers import Auto, Solver
from fastcf.preprocessing import row_means
from fastcf.ratings import Ratings
from fastcf.scores.targets import log_odds

__all__ = ["Choices", "Settled", "settle_labels", "settle_ratings"]

Floats = NDArray[np.float32]

_SHARE = 0.04  # of the way to where a rating alone would have its rows: a step of "sgd"
_LABEL_SHARE = 0.02
_LABEL_REG, _LABEL_EXPONENT = 0.8, 0.5  # where the search for a penalty of labels begins
_INIT, _LABEL_INIT = 0.1, 0.3
_CURVATURE = 0.25  # the largest of the logistic cost
_NO_BIAS = 1e12  # a penalty under which only the mean remains


class Choices(Protocol):
    """The parameters of a factorisation that define the model and its penalties."""

    normalize: str | None
    bias: bool | str
    reg: float | str
    bias_reg: float | str
    reg_scaling: float | str


@dataclass(frozen=True)
class Settled:
    """The start of a training, and its settled parameters.

    Attributes
    ----------
    global_mean, item_mean : float, ndarray or None
        Offsets.
    user_bias, item_bias : ndarray of float32
        First biases.
    learnt : LearntFactors
        Penalties, step sizes and units.
    labels : bool
        Whether these are labels.
    """

    global_mean: float
    item_mean: Floats | None
    user_bias: Floats
    item_bias: Floats
    learnt: LearntFactors
    labels: bool

    def init_scale(self, k: int) -> float:
        """Return what "auto" means for the scale of the first factors."""
        return float(_LABEL_INIT / np.sqrt(k) if self.labels else _INIT * np.sqrt(self.learnt.sigma / k))


def _exponent(scaling: float | str, auto: float) -> float:
    """Return the exponent of ``reg_scaling``."""
    return {"auto": auto, "none": 0.0, "count": 1.0}[scaling] if isinstance(scaling, str) else float(scaling)


def _weights(ratings: Ratings) -> tuple[float, float]:
    """Return the mean of the weights that are not 0, and the largest."""
    weights = np.ones(1, np.float32) if ratings.weights is None else ratings.weights[ratings.weights > 0]
    return float(weights.mean(dtype=np.float64)), float(weights.max())


def _rates(solver: Solver, ratings: Ratings, unit: float, scale: float, share: float) -> tuple[float, float]:
    """Return the step size of the first epoch, and that of "sgd"."""
    own = share / unit
    given = solver.first_rate(ratings, unit, scale, share)
    if given is None:
        return own, own
    return given, given if solver.stochastic else own


def settle_ratings(
    choices: Choices, solver: Solver, auto: Auto, ratings: Ratings, backend: Backend, n_threads: int
) -> Settled:
    """Return where the training of ratings starts: biases by least squares, and penalties in units of their residual.

    ``auto`` holds the values of "auto" for the solver; ``n_threads`` is 0 for all.
    """
    mean = 0.0
    item_mean = None
    if choices.normalize:
        mean = ratings.mean
        if ratings.weights is not None:
            mean = float(np.average(ratings.values, weights=ratings.weights))
    if choices.normalize == "item":
        by_item = ratings.by_item()
        item_mean = row_means(by_item.indptr, by_item.values, by_item.weights, mean)
    sides = Sides.of(choices.bias)
    biases = _first_biases(choices, sides, ratings, backend, item_mean, n_threads)
    mean_weight, most = _weights(ratings)
    low, high = ratings.rating_range  # in case the biases explain the ratings exactly
    smallest = 1e-3 * max(high - low if high > low else abs(high), 1e-30)
    sigma = max(float(np.sqrt(biases.noise_variance / mean_weight)), smallest)
    # A step is proportional to its rating's weight; one of three times the mean is still safe.
    unit = sigma * max(mean_weight, most / 3)
    rate, sgd_rate = _rates(solver, ratings, unit, float(np.sqrt(unit)), _SHARE)
    exponent = _exponent(choices.reg_scaling, auto.reg_exponent)
    reg = auto.reg * sigma * mean_weight * _rescaled(ratings, auto.reg_exponent, exponent)
    learnt = LearntFactors(
        sides,
        reg=reg if isinstance(choices.reg, str) else float(choices.reg),
        reg_exponent=exponent,
        user_bias_reg=biases.user_reg if sides.user else 0.0,
        item_bias_reg=biases.item_reg if sides.item else 0.0,
        learning_rate=rate,
        sgd_rate=sgd_rate,
        sigma=sigma,
    )
    fitted = any(sides) and choices.normalize == "global"
    offset = biases.mean if fitted else mean
    return Settled(offset, item_mean, biases.users, biases.items, learnt, False)


def _first_biases(
    choices: Choices,
    sides: Sides,
    ratings: Ratings,
    backend: Backend,
    item_mean: Floats | None,
    n_threads: int,
) -> Biases:
    """Return the first biases, and the variance of their residuals; zeros on a side without biases."""
    # Training continues from these, so a rough fit is enough.
    biases = fit_biases(
        ratings,
        backend,
        user_reg=choices.bias_reg if sides.user else _NO_BIAS,
        item_reg=choices.bias_reg if sides.item else _NO_BIAS,
        item_mean=item_mean,
        tolerance=1e-2,
        n_threads=n_threads,
    )
    for there, table, counts in (
        (sides.user, biases.users, ratings.user_counts()),
        (sides.item, biases.items, ratings.item_counts()),
    ):
        if not there:
            table[:] = 0
        elif choices.normalize != "global":  # no offset takes the fitted mean: the biases share it
            table[counts > 0] += np.float32(biases.mean / sum(sides))
    return biases


def settle_labels(
    choices: Choices, solver: Solver, auto: Auto, labels: Ratings, backend: Backend, n_threads: int
) -> Settled:
    """Return where the training of labels starts: biases in log-odds, and a first guess of the penalty.

    Parameters as for :func:`settle_ratings`.
    """
    sides = Sides.of(choices.bias)
    start = (
        start_label_biases(labels, backend, sides, reg=choices.bias_reg, n_threads=n_threads) if any(sides) else None
    )
    mean = 0.0
    if choices.normalize:
        mean = start.mean if start else log_odds(labels.values, labels.weights)
    mean_weight, most = _weights(labels)
    exponent = _exponent(choices.reg_scaling, auto.reg_exponent)
    unit = _CURVATURE * max(mean_weight, most / 3)  # as for ratings: three times the mean is safe
    rate, sgd_rate = _rates(solver, labels, unit, 1.0, _LABEL_SHARE)
    reg = mean_weight * _LABEL_REG * _rescaled(labels, _LABEL_EXPONENT, exponent)
    learnt = LearntFactors(
        sides,
        reg=reg if isinstance(choices.reg, str) else float(choices.reg),
        reg_exponent=exponent,
        user_bias_reg=start.user_reg if start and sides.user else 0.0,
        item_bias_reg=start.item_reg if start and sides.item else 0.0,
        learning_rate=rate,
        sgd_rate=sgd_rate,
    )
    users = start.users if start else np.zeros(labels.n_users, np.float32)
    items = start.items if start else np.zeros(labels.n_items, np.float32)
    return Settled(mean, None, users, items, learnt, True)


def _rescaled(ratings: Ratings, exponent: float, other: float) -> float:
    """Return a penalty of 1 for another exponent: rows rated as often as those of most ratings keep theirs."""
    return float(typical_count(ratings) ** (exponent - other))
