"""Effects of time: what a user adds to all ratings of a few hours, and an item in a month."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import Backend
from fastcf.models.bias import fit_biases
from fastcf.preprocessing.means import shrunk_means
from fastcf.ratings import Ratings

__all__ = ["PeriodEffects", "fit_period_effects"]

Floats = NDArray[np.float32]
Wide = NDArray[np.float64]

_PENALTIES = (*(2.0**power for power in range(9)), np.inf)  # that "auto" chooses from; the last: no effects
_HELD_OUT = 10  # a tenth of the ratings chooses
_SWEEPS = 5  # over users and items; of three real sets, errors differ by less than 1e-5 after three
_MOST_KEYS = 2**62


@dataclass(frozen=True, eq=False)
class PeriodEffects:
    """What the rows of one side add to ratings, by period.

    Attributes
    ----------
    length : float
        Length of a period, in the unit of the timestamps.
    reg : float
        Penalty of an effect, in ratings; infinite: there are none.
    rows : ndarray of shape (n,), int32
        Users (or items), ascending.
    periods : ndarray of shape (n,), int64
        ``⌊time / length⌋``, ascending within a row.
    values : ndarray of shape (n,), float32
        The effects.
    """

    length: float
    reg: float
    rows: NDArray[np.int32]
    periods: NDArray[np.int64]
    values: Floats

    def at(self, rows: NDArray[np.int32], times: NDArray[np.int64] | int) -> Floats:
        """Return the effects on rows at times, 0 where none was learnt; row -1 is unknown."""
        if self.values.size == 0 or rows.size == 0:
            return np.zeros(rows.size, np.float32)
        first = int(self.periods.min())
        width = int(self.periods.max()) - first + 1
        periods = periods_of(np.asarray(times, np.int64), self.length) - first
        inside = (rows >= 0) & (periods >= 0) & (periods < width)
        wanted = rows.astype(np.int64) * width + np.where(inside, periods, 0)
        keys = self.rows.astype(np.int64) * width + (self.periods - first)
        place = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
        return np.where(inside & (keys[place] == wanted), self.values[place], np.float32(0))

    def renumbered(self, rows: NDArray[np.int32]) -> PeriodEffects:
        """Return the effects with ``rows[r]`` in place of row r."""
        moved = rows[self.rows]
        order = np.lexsort((self.periods, moved))
        return replace(self, rows=moved[order], periods=self.periods[order], values=self.values[order])


def periods_of(times: NDArray[np.int64], length: float) -> NDArray[np.int64]:
    """Return the periods of times; those beyond ±2⁶² are that."""
    return np.clip(np.floor(times / length), -_MOST_KEYS, _MOST_KEYS).astype(np.int64)


def _groups(
    rows: NDArray[np.int32], times: NDArray[np.int64], length: float, caller: str, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """Return the group of each rating, and the rows and periods of the groups."""
    periods = periods_of(times, length)
    first = int(periods.min())
    width = int(periods.max()) - first + 1
    if width > _MOST_KEYS // (int(rows.max()) + 1) or np.abs(periods).max() == _MOST_KEYS:
        raise ValueError(f"{caller}: {name} must be longer for these timestamps; got periods of {length:g}")
    keys, groups = np.unique(rows.astype(np.int64) * width + (periods - first), return_inverse=True)
    return groups.reshape(-1), (keys // width).astype(np.int32), keys % width + first


def _means(left: Wide, weights: Wide, groups: NDArray[np.int64], n: int, reg: float) -> Wide:
    """Return the shrunk means of groups."""
    if np.isinf(reg):
        return np.zeros(n)
    sums, totals = np.bincount(groups, weights * left, n), np.bincount(groups, weights, n)
    return shrunk_means(sums, totals, 0.0, reg)


def _chosen(left: Wide, weights: Wide, groups: NDArray[np.int64], n: int, held: NDArray[np.bool_]) -> float:
    """Return the penalty with the smallest error of the ratings held out; the largest of equal ones."""
    sums, totals = (np.bincount(groups[~held], each[~held], n) for each in (weights * left, weights))
    errors = []
    for reg in _PENALTIES:
        means = np.zeros(n) if np.isinf(reg) else shrunk_means(sums, totals, 0.0, reg)
        errors.append(float(np.sum(weights[held] * (left[held] - means[groups[held]]) ** 2)))
    return _PENALTIES[len(errors) - 1 - int(np.argmin(errors[::-1]))]


def fit_period_effects(
    ratings: Ratings,
    backend: Backend,
    lengths: tuple[float, float],
    regs: tuple[float | None, float | None],
    caller: str,
    n_threads: int,
) -> tuple[PeriodEffects, PeriodEffects]:
    """Fit what users and items add in their periods to the mean and the biases of ratings.

    ``lengths`` of the periods and penalties ``regs`` are of users and items. A penalty of None is chosen by a tenth of
    the ratings, drawn by a fixed seed, from the residuals of biases fitted to the others: the users' first.
    """
    times = ratings.timestamps
    assert times is not None
    owners = ratings.row_of_entry(), ratings.indices
    weights = np.ones(ratings.nnz) if ratings.weights is None else ratings.weights.astype(np.float64)
    groups, rows, periods = zip(
        *(
            _groups(own, times, length, caller, name)
            for own, length, name in zip(owners, lengths, ("user_period", "item_period"), strict=True)
        ),
        strict=True,
    )
    sizes = [each.size for each in rows]

    def residuals_of_biases(of: Ratings) -> Wide:
        biases = fit_biases(of, backend, n_threads=n_threads)
        return ratings.values - (biases.mean + biases.users[owners[0]].astype(np.float64) + biases.items[owners[1]])

    chosen = list(regs)
    weighted = np.flatnonzero(weights)  # others say nothing
    if None in chosen and weighted.size >= 2 * _HELD_OUT:
        order = np.random.default_rng(0).permutation(weighted)
        held = np.zeros(ratings.nnz, np.bool_)
        held[order[: weighted.size // _HELD_OUT]] = True
        residuals = residuals_of_biases(ratings.take(~held))
        for side in (0, 1):
            reg = chosen[side]
            if reg is None:
                reg = chosen[side] = _chosen(residuals, weights, groups[side], sizes[side], held)
            residuals = (
                residuals
                - _means(residuals[~held], weights[~held], groups[side][~held], sizes[side], reg)[groups[side]]
            )
    penalties = [np.inf if reg is None else reg for reg in chosen]  # too few ratings to choose by: no effects
    residuals = residuals_of_biases(ratings)
    effects = [np.zeros(size) for size in sizes]
    for _ in range(_SWEEPS if np.isfinite(penalties).all() else 1):
        for side in (0, 1):
            other = effects[1 - side][groups[1 - side]]
            effects[side] = _means(residuals - other, weights, groups[side], sizes[side], penalties[side])
    users, items = (
        PeriodEffects(lengths[side], penalties[side], rows[side], periods[side], effects[side].astype(np.float32))
        if np.isfinite(penalties[side])
        else PeriodEffects(lengths[side], np.inf, rows[side][:0], periods[side][:0], np.empty(0, np.float32))
        for side in (0, 1)
    )
    return users, items
