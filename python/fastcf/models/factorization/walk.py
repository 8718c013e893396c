"""A walk downhill over penalty, epochs and factors of a factorisation, by the losses of held-out entries."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np

from fastcf.models.held_out import LEAST_GAIN, Losses, falls

__all__ = ["Hyperparameters", "Walk"]

_RATIO = 1.5  # between neighbouring penalties; a parabola through the last three finds the minimum between them
_STRIDE = 5  # penalties in a row
_ROUNDS = 6  # of penalty, epochs and factors
_OF_DOUBLING = 2e-3  # share of the loss that a step must save which costs twice as much
_HALVINGS = 5  # of the number of factors
_MOST_FACTORS = 256
_LEAST_EPOCHS = 2
_BUDGET = 32.0  # cost of all trainings, in that of the first


class Hyperparameters(NamedTuple):
    """What a search settles: λ, the number of epochs, the number of factors, and whether rows have centres."""

    reg: float
    n_epochs: int
    n_factors: int
    rated_input: bool = False


class _Place(NamedTuple):
    """Hyperparameters on the grid: the penalty as a power of the ratio times the first one."""

    power: int
    n_epochs: int
    n_factors: int


class Walk:
    """A walk over hyperparameters, one at a time: each goes on as long as the mean loss falls.

    Penalties move by factors of 1.5, epochs and factors by 2. A step must save more than the standard error of the
    difference: where the entries say little, the first guess stays. Every place is tried once.

    Parameters
    ----------
    losses : callable
        Given hyperparameters, the losses of the same held-out entries, float64; not finite after a divergence.
    start : Hyperparameters
        Where to begin.
    free : collection of str
        Names of the hyperparameters that may change.
    growth : int
        The power of the number of factors by which the cost of an epoch grows.

    Attributes
    ----------
    end : ndarray of float64
        The losses at the end of the walk; with a parabola those of the nearest place.
    """

    end: Losses

    def __init__(
        self,
        losses: Callable[[Hyperparameters], Losses],
        start: Hyperparameters,
        free: Collection[str],
        growth: int = 1,
    ) -> None:
        self._measure, self._start, self._free, self._growth = losses, start, free, growth
        self._losses: dict[_Place, Losses] = {}
        self._spent = 0.0

    @property
    def n_tried(self) -> int:
        """Number of places tried so far."""
        return len(self._losses)

    def run(self) -> Hyperparameters:
        """Return the hyperparameters at the end of the walk."""
        place = _Place(0, self._start.n_epochs, self._start.n_factors)
        for _ in range(_ROUNDS):
            before = place
            place = self._fewer_factors(self._epochs(self._penalty(place)))
            if place == before:
                break
        if place.n_factors == self._start.n_factors:
            place = self._penalty(self._more_factors(place))
        self.end = self._at(place)
        return self._between(place)

    def _at(self, place: _Place) -> Losses:
        if place not in self._losses:
            self._spent += self._cost(place)
            self._losses[place] = self._measure(self._values(place))
        return self._losses[place]

    def _mean(self, place: _Place) -> float:
        mean = float(self._at(place).mean())
        return mean if np.isfinite(mean) else np.inf

    def _values(self, place: _Place, between: float = 0.0) -> Hyperparameters:
        return Hyperparameters(
            float(self._start.reg * _RATIO ** (place.power + between)),
            place.n_epochs,
            place.n_factors,
            self._start.rated_input,
        )

    def _cost(self, place: _Place) -> float:
        """Return the cost of a training, in that of the first."""
        start = self._start
        return place.n_epochs / start.n_epochs * (place.n_factors / start.n_factors) ** self._growth

    def _better(self, new: _Place, old: _Place) -> bool:
        """Return whether the mean loss falls by more than is worth a step, and than chance has it."""
        least = _OF_DOUBLING if self._cost(new) > self._cost(old) else LEAST_GAIN
        return falls(self._at(new), self._at(old), least)

    def _affordable(self, place: _Place) -> bool:
        return place in self._losses or self._spent + self._cost(place) <= _BUDGET

    def _penalty(self, place: _Place) -> _Place:
        """Walk along the penalty, some steps at a time: with too few epochs none is small enough."""
        if "reg" not in self._free or self._start.reg == 0:
            return place
        for direction in (-1, 1):
            first = place
            for _ in range(_STRIDE):
                following = place._replace(power=place.power + direction)
                if not (self._affordable(following) and self._better(following, place)):
                    break
                place = following
            if place != first:  # downhill this way: it is uphill the other way
                break
        return place

    def _epochs(self, place: _Place) -> _Place:
        """Walk along the number of epochs: more of them fit more closely, and need a stronger penalty."""
        if "n_epochs" not in self._free:
            return place
        for direction in (1, -1):
            first = place
            while (n_epochs := round(place.n_epochs * 2.0**direction)) >= _LEAST_EPOCHS:
                following = place._replace(n_epochs=n_epochs)
                if not self._affordable(following):
                    break
                if "reg" in self._free:
                    shifted = following._replace(power=place.power + direction)
                    following = min(following, shifted, key=self._mean)
                if not self._better(following, place):
                    break
                place = following
            if place != first:
                break
        return place

    def _fewer_factors(self, place: _Place) -> _Place:
        """Take the best of fewer factors, which cost little, also with twice the epochs: fewer grow more slowly."""
        if "n_factors" not in self._free:
            return place
        best = place
        for halvings in range(1, _HALVINGS + 1):
            fewer = place._replace(n_factors=place.n_factors >> halvings)
            longer = fewer._replace(n_epochs=2 * place.n_epochs) if "n_epochs" in self._free else fewer
            tried = [each for each in (fewer, longer) if each.n_factors > 0 and self._affordable(each)]
            best = min([best, *tried], key=self._mean)
        return best if self._better(best, place) else place

    def _more_factors(self, place: _Place) -> _Place:
        """Double the number of factors."""
        if "n_factors" not in self._free:
            return place
        while place.n_factors < _MOST_FACTORS:
            more = place._replace(n_factors=2 * place.n_factors)
            if not (self._affordable(more) and self._better(more, place)):
                break
            place = more
        return place

    def _between(self, place: _Place) -> Hyperparameters:
        """Return the values of a place, the penalty at the minimum of the parabola through it and its neighbours."""
        sides = [self._losses.get(place._replace(power=place.power + step)) for step in (-1, 1)]
        if "reg" not in self._free or any(each is None for each in sides):
            return self._values(place)
        below, above = (float(each.mean()) for each in sides if each is not None)
        here = self._mean(place)
        curvature = below - 2 * here + above
        if not (np.isfinite(curvature) and curvature > 0):
            return self._values(place)
        return self._values(place, min(max(0.5 * (below - above) / curvature, -0.5), 0.5))
