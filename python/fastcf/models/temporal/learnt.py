"""The learnt values of a temporal model: the state of the model inside, the effects, and the scores of a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcf.models.estimator import Estimator
from fastcf.models.temporal.effects import PeriodEffects
from fastcf.scores import Breakdown, Compute, FactorScores, Folding, Part, State, WeightedScores
from fastcf.scores.protocol import Found, Rows
from fastcf.scores.queries import RatedSide

__all__ = ["LearntTimes", "TemporalFolding"]

Floats = NDArray[np.float32]

_ALL = (-np.inf, np.inf)


@dataclass(frozen=True, eq=False)
class LearntTimes:
    """The learnt values of :class:`fastcf.TemporalModel`.

    Attributes
    ----------
    model : Estimator
        Class and parameters of the model inside.
    state : State
        Its state, learnt from ratings less the effects.
    users, items : PeriodEffects
        The effects.
    time : int
        The time of the scores.
    """

    shown: ClassVar[tuple[str, ...]] = ("time", "user_reg", "item_reg", "n_effects")

    model: Estimator
    state: State
    users: PeriodEffects
    items: PeriodEffects
    time: int

    user_reg = property(lambda self: self.users.reg)
    item_reg = property(lambda self: self.items.reg)
    n_effects = property(lambda self: (self.users.values.size, self.items.values.size))

    def of_pairs(self, users: Rows, items: Rows, times: NDArray[np.int64] | int) -> Floats:
        """Return what time adds to the scores of pairs of rows."""
        return self.users.at(users, times) + self.items.at(items, times)

    def pairs(self, users: Rows, items: Rows, times: NDArray[np.int64], compute: Compute) -> Floats:
        """Return the scores of pairs of rows, each at its time."""
        return self._inner.pairs(users, items, compute) + self.of_pairs(users, items, times)

    @property
    def _inner(self) -> Part:
        return Part(self.state.scores, 1.0, None, None, _ALL)

    def scores(self) -> _ScoresAt:
        """Return the sum of the inner model's scores and the effects at ``time``."""
        n_users, n_items = len(self.state.users), len(self.state.items)
        now = FactorScores(
            np.empty((n_users, 0), np.float32),
            np.empty((n_items, 0), np.float32),
            self.users.at(np.arange(n_users, dtype=np.int32), self.time),
            self.items.at(np.arange(n_items, dtype=np.int32), self.time),
            0.0,
        )
        return _ScoresAt((self._inner, Part(now, 1.0, None, None, _ALL)), 0.0, n_users, n_items)


@dataclass(frozen=True, eq=False)
class _ScoresAt(WeightedScores):
    """The scores of the model inside and the effects of a time, which neighbours do not depend on."""

    @property
    def compares_items(self) -> bool:
        """Whether the model inside does."""
        return self.parts[0].scores.compares_items

    @property
    def compares_users(self) -> bool:
        """Whether the model inside does."""
        return self.parts[0].scores.compares_users

    def item_neighbours(self, items: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return those of the model inside."""
        return self.parts[0].scores.item_neighbours(items, n, metric, compute)

    def user_neighbours(self, users: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return those of the model inside."""
        return self.parts[0].scores.user_neighbours(users, n, metric, compute)


class TemporalFolding(Folding):
    """New rows of the model inside, from ratings less the other side's effects; new rows have no effects of their own.

    The ratings have no times here: they count as given at the time of the scores.
    """

    def __init__(self, learnt: LearntTimes) -> None:
        own = learnt.state.folding
        self.rated_sides, self.why = own.rated_sides, own.why
        self.explains_by_ratings = own.explains_by_ratings

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Let the model inside compute the rows."""
        learnt: LearntTimes = state.learnt
        users = rated.by == "user"
        kept = learnt.items if users else learnt.users
        left = (rated.values - kept.at(rated.columns, learnt.time)).astype(np.float32)
        inner = learnt.state
        theirs = replace(rated, values=left)
        folded = inner.folding.fold_ratings(inner, theirs, compute, caller)
        folded = folded.replaced(rated=theirs if users and self.explains_by_ratings else None)
        folded = folded.replaced(users=rated.ids) if users else folded.replaced(items=rated.ids)
        gone = learnt.users if users else learnt.items
        none = replace(gone, rows=gone.rows[:0], periods=gone.periods[:0], values=gone.values[:0])
        effects: dict[str, Any] = {"users" if users else "items": none}
        learnt = replace(learnt, state=folded, **effects)
        return state.replaced(scores=learnt.scores(), learnt=learnt)

    def unexplained(self, state: State) -> str:
        """Return why the model inside cannot say what its scores are made of."""
        inner: State = state.learnt.state
        return inner.folding.unexplained(inner)

    def breakdown(self, state: State, user: int, items: Rows, compute: Compute) -> Breakdown:
        """Return what the scores of the model inside are made of, and the effects of time as constants."""
        learnt: LearntTimes = state.learnt
        found = learnt.state.folding.breakdown(learnt.state, user, items, compute)
        rows = np.full(items.size, user, np.int32)
        own = {
            "user's period": learnt.users.at(rows, learnt.time).astype(np.float64),
            "item's period": learnt.items.at(items, learnt.time).astype(np.float64),
        }
        return replace(found, base={**found.base, **own})
