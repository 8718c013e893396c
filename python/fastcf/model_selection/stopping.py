"""The rule by which a search gives candidates up before they are complete."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastcf._parameters import Constraint, Interval, Settings

if TYPE_CHECKING:
    from fastcf.model_selection.candidates import Candidate

__all__ = ["Bars", "MedianStopping"]


@dataclass
class Shares:
    """Constraint: shares of a training, ascending."""

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is a list or tuple of ascending numbers above 0, at most 1."""
        if not isinstance(value, (list, tuple)) or not value:
            return False
        inside = all(Interval(0, 1, open_low=True).accepts(share) for share in value)
        return inside and all(one < other for one, other in itertools.pairwise(value))

    def __str__(self) -> str:
        return "a sequence of ascending numbers above 0 and at most 1"


@dataclass(repr=False)
class MedianStopping(Settings):
    """Give a candidate up that is behind most earlier ones on the first fold.

    After the shares ``at`` of the first fold's epochs a candidate is measured on the held-out ratings, and compared
    with the earlier candidates there: below their quantile, its training ends, and the other folds are not fitted. The
    share 1 is the fitted model: it is compared by models without epochs too. The candidates come in groups of
    ``startup``; the first group is never stopped, and each other one is compared with all groups before it, so that
    the result depends neither on the number of workers nor on who is faster.

    Parameters
    ----------
    at : sequence of float, default (0.75, 1.0)
        Shares of the planned epochs, ascending, above 0 and at most 1. Under a falling learning rate earlier shares
        mislead: after a half the best candidate was behind, and lost, in up to 57 % of searches on real ratings, after
        three quarters in 0.2 %.
    quantile : float, default 0.5
        Which part of the earlier candidates a candidate must be ahead of: 0.5, the median.
    startup : int, default 5
        Size of the groups.

    References
    ----------
    D. Golovin et al., "Google Vizier: a service for black-box optimization", KDD 2017 (the median rule). L. Li et al.,
    "A system for massively parallel hyperparameter tuning", MLSys 2020 (halving as results arrive).
    """

    at: Sequence[float] = (0.75, 1.0)
    quantile: float = 0.5
    startup: int = 5

    shorthands: ClassVar[tuple[str, ...]] = ("median",)
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "at": (Shares(),),
        "quantile": (Interval(0, 1),),
        "startup": (Interval(1, integer=True),),
    }

    def groups(self, candidates: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """Return the candidates in groups."""
        return (candidates[n : n + self.startup] for n in range(0, len(candidates), self.startup))


class Bars:
    """What candidates must reach: quantiles of what earlier ones reached after the same share of a training.

    Parameters
    ----------
    rule : MedianStopping
        The shares and the quantile.
    sign : int
        1 where greater scores are better, else -1.
    """

    def __init__(self, rule: MedianStopping, sign: int) -> None:
        self._rule = rule
        self._sign = sign
        self._reached: dict[float, list[float]] = defaultdict(list)

    def now(self) -> tuple[tuple[float, float], ...]:
        """Return pairs (share, score): worse than that is given up. Infinitely bad where no candidate was measured."""
        return tuple((share, self._bar(self._reached[share])) for share in self._rule.at)

    def _bar(self, reached: Sequence[float]) -> float:
        if not reached:
            return -self._sign * math.inf
        return self._sign * float(np.quantile(np.multiply(self._sign, reached), self._rule.quantile))

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Remember what candidates have reached on the first fold."""
        for candidate in candidates:
            outcome = candidate.outcomes[0]
            for share, score in outcome.measured if outcome is not None else ():
                if math.isfinite(score):
                    self._reached[share].append(score)
