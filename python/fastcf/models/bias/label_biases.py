"""Biases of users and items in the log-odds of labels: ``P(y_ui = 1) = σ(m + b_u + b_i)``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fastcf._backend import Backend
from fastcf.models.bias.biases import fit_biases
from fastcf.ratings import Ratings
from fastcf.scores.targets import log_odds, logistic_bound

__all__ = ["LabelBiases", "fit_label_biases", "log_odds_of_rows", "start_label_biases"]

Floats = NDArray[np.float32]

_LEAST_SHARE_LEFT = 1 - 2 / np.pi  # of labels' variance: what a line leaves however widely z is spread (if normal)
_NO_BIAS = 1e12  # a penalty that leaves no bias
_ROUNDS = 30  # of users and items in turn, at most
_TOLERANCE = 0.01  # in log-odds: ends rounds, and the steps of rows


class LabelBiases(NamedTuple):
    """Biases in log-odds, and their penalties."""

    mean: float
    users: Floats
    items: Floats
    user_reg: float
    item_reg: float


def start_label_biases(
    labels: Ratings,
    backend: Backend,
    sides: tuple[bool, bool] = (True, True),
    *,
    reg: float | str = "auto",
    n_threads: int = 0,
) -> LabelBiases:
    """Return biases by least squares of the labels, in log-odds; "auto" estimates a penalty for each side.

    ``sides`` tells whether users and items have biases.

    Least squares finds the line y = rate + c z that is nearest to y = σ(z): c is the mean slope, E[p (1 − p)], which is
    also the variance that is left in a label. Penalties are ratios of variances: in log-odds, c times those of the
    labels. (At the base rate the slope would be the largest, and the penalties too strong.)
    """
    weights = labels.weights
    base = log_odds(labels.values, weights)
    rate = float(expit(base))
    variance = rate * (1 - rate)
    penalty: float | str = reg if isinstance(reg, str) else reg / variance
    user_reg, item_reg = (penalty if there else _NO_BIAS for there in sides)
    biases = fit_biases(labels, backend, user_reg=user_reg, item_reg=item_reg, tolerance=1e-2, n_threads=n_threads)
    for there, table in zip(sides, (biases.users, biases.items), strict=True):
        if not there:
            table[:] = 0
    total = float(labels.nnz if weights is None else weights.sum(dtype=np.float64))
    weighted = labels.nnz if weights is None else np.count_nonzero(weights)
    left = biases.noise_variance * weighted / total  # of a label of mean weight
    slope = max(left, _LEAST_SHARE_LEFT * variance)
    users, items = biases.users / np.float32(slope), biases.items / np.float32(slope)
    if isinstance(reg, str):
        return LabelBiases(base, users, items, biases.user_reg * slope, biases.item_reg * slope)
    return LabelBiases(base, users, items, float(reg), float(reg))


def fit_label_biases(labels: Ratings, backend: Backend, *, n_threads: int = 0) -> LabelBiases:
    """Return biases by maximum likelihood with estimated penalties: users and items in turn."""
    start = start_label_biases(labels, backend, n_threads=n_threads)
    mean, users, items = start.mean, start.users, start.items
    by_user = labels.row_of_entry()
    for _ in range(_ROUNDS):
        before = users, items
        items = log_odds_of_rows(
            labels.indices, mean + users[by_user], labels.values, labels.weights, start.item_reg, items
        )
        users = log_odds_of_rows(
            by_user, mean + items[labels.indices], labels.values, labels.weights, start.user_reg, users
        )
        p = expit(mean + users[by_user] + items[labels.indices]).astype(np.float64)
        error, curvature = (np.average(of, weights=labels.weights) for of in (labels.values - p, p * (1 - p)))
        step = float(np.clip(error / max(curvature, 1e-30), -1, 1))  # Newton's, as far as a parabola can be trusted
        mean += step
        moved = [np.abs(new - old).max() for new, old in zip((users, items), before, strict=True)]
        if max(abs(step), *moved) <= _TOLERANCE:
            break
    return start._replace(mean=mean, users=users, items=items)


def log_odds_of_rows(
    rows: NDArray[np.int32],
    offsets: Floats,
    labels: Floats,
    weights: Floats | None,
    reg: float,
    start: Floats,
) -> Floats:
    """Return the b that minimise ``Σ w (softplus(o + b_r) − y (o + b_r)) + reg/2 Σ b²``, from where they start.

    Each step goes to the lowest point of a parabola that lies above the cost and touches it: no step raises it.
    """
    bias = start.astype(np.float64)
    for _ in range(_ROUNDS):
        z = offsets + bias[rows]
        curvature, slope = logistic_bound(z), labels - expit(z)
        if weights is not None:
            curvature, slope = curvature * weights, slope * weights
        total = np.bincount(rows, curvature, bias.size) + reg
        pull = np.bincount(rows, slope, bias.size) - reg * bias
        step = np.divide(pull, total, out=np.zeros_like(pull), where=total > 0)
        bias += step
        if np.abs(step).max(initial=0) <= _TOLERANCE:
            break
    return bias.astype(np.float32)
