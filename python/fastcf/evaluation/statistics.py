"""Estimates over users: values, bootstrap intervals, and paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

__all__ = ["Comparison", "Estimate", "compared", "holm"]

Floats = NDArray[np.float64]

_BLOCK_BYTES = 1 << 25  # of resampled users at a time


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure and what each user adds to it.

    It is a ratio of sums over users, or the root of one: Σ total / Σ count. Where there are no sums, as of the area
    under a curve, it is ``value``, and a resample is linear in the influence of its users.

    Attributes
    ----------
    value : float
        The figure.
    influence : ndarray of shape (n_users,)
        By how much the figure changes as the weight of a user grows; the sum is 0. NaN everywhere where nothing is
        known of users.
    total, count : ndarray of shape (n_users,), optional
        The sums.
    root : bool
        Whether the figure is the root of the ratio.
    """

    value: float
    influence: Floats
    total: Floats | None = None
    count: Floats | None = None
    root: bool = False

    @classmethod
    def of_sums(cls, total: Floats, count: Floats, root: bool = False) -> Estimate:
        """Return the estimate of a ratio of sums."""
        ratio = float(total.sum() / count.sum())
        value = float(np.sqrt(ratio)) if root else ratio
        influence = (total - ratio * count) / count.sum()
        if root:
            influence = influence / (2 * value) if value > 0 else np.zeros_like(influence)
        return cls(value, influence, total, count, root)

    @property
    def n_users(self) -> int:
        """How many users count; an interval needs two."""
        return int(np.count_nonzero(self.influence if self.count is None else self.count))

    def resampled(self, weights: Floats) -> Floats:
        """Return the figure for several weightings of the users, (resamples, n_users)."""
        if self.total is None or self.count is None:
            return self.value + (weights - 1) @ self.influence
        with np.errstate(divide="ignore", invalid="ignore"):  # a resample may hold none of the users that count
            ratio = (weights @ self.total) / (weights @ self.count)
        return np.sqrt(ratio) if self.root else ratio


class Comparison(NamedTuple):
    """Estimates with intervals.

    Attributes
    ----------
    values, differences : ndarray of shape (n_estimates, 3)
        The figure and the ends of its interval; the same of the difference to a baseline.
    p_values : ndarray of shape (n_estimates,)
        Of the differences, two-sided, each alone.
    """

    values: Floats
    differences: Floats
    p_values: Floats


def _weights(n_users: int, n_resamples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each user is drawn, a few resamples at a time."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _BLOCK_BYTES // (8 * n_users))
    for begin in range(0, n_resamples, at_once):
        n = min(at_once, n_resamples - begin)
        drawn = rng.integers(n_users, size=(n, n_users)) + np.arange(n)[:, None] * n_users
        yield np.bincount(drawn.ravel(), minlength=n * n_users).reshape(n, n_users).astype(np.float64)


def _p_value(one: Estimate, other: Estimate) -> float:
    """Return the p-value of no difference: Student's t of paired users, on the linearised difference."""
    change = one.influence - other.influence
    n = int(((one.influence != 0) | (other.influence != 0)).sum())
    difference = one.value - other.value
    if n < 2 or not np.isfinite(change).all():
        return float("nan")
    error = np.sqrt(n / (n - 1) * float(change @ change))
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * student.sf(abs(difference) / error, n - 1))


def compared(
    estimates: Sequence[Estimate | None],
    baselines: Sequence[Estimate | None],
    *,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> Comparison:
    """Return the intervals of estimates, and of their differences to baselines; None has neither.

    The same resamples of users serve all, so that differences are paired. Without resamples there are no intervals.
    """
    n = len(estimates)
    values, differences = np.full((n, 3), np.nan), np.full((n, 3), np.nan)
    p_values = np.full(n, np.nan)
    known = [place for place, each in enumerate(estimates) if each is not None]
    several = {id(each): each for each in (*estimates, *baselines) if each is not None}
    by_user = {key: each for key, each in several.items() if not np.isnan(each.influence).any()}
    draws: dict[int, list[Floats]] = {key: [] for key in by_user}
    if by_user:
        n_users = next(iter(by_user.values())).influence.size
        for weights in _weights(n_users, n_resamples, seed):
            for key, each in by_user.items():
                draws[key].append(each.resampled(weights))
    found = {key: np.concatenate(blocks) for key, blocks in draws.items() if blocks}
    ends = (1 - confidence) / 2, (1 + confidence) / 2
    for place in known:
        one, other = estimates[place], baselines[place]
        assert one is not None
        values[place, 0] = one.value
        if id(one) in found and one.n_users > 1:
            values[place, 1:] = np.nanquantile(found[id(one)], ends)
        if other is None or other is one:
            continue
        differences[place, 0] = one.value - other.value
        if id(one) in by_user and id(other) in by_user and max(one.n_users, other.n_users) > 1:
            p_values[place] = _p_value(one, other)
            if id(one) in found:
                differences[place, 1:] = np.nanquantile(found[id(one)] - found[id(other)], ends)
    return Comparison(values, differences, p_values)


def holm(p_values: Floats) -> Floats:
    """Return p-values corrected for that they are several, by Holm's method; NaN stays and is not counted."""
    corrected = np.full(p_values.shape, np.nan)
    order = np.argsort(p_values)[: int((~np.isnan(p_values)).sum())]
    factors = np.arange(order.size, 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1)
    return corrected
