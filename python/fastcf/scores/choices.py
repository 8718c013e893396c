"""The targets of models that learn what users choose: strengths of choices, and entries that were not chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastcf._thresholds import reaches
from fastcf.metrics import RankingScores, ranking
from fastcf.ratings import Ratings, as_ratings
from fastcf.scores.targets import Floats, Targets

if TYPE_CHECKING:
    from fastcf.scores.recommender import Recommender

__all__ = ["STRENGTHS", "Choices"]

STRENGTHS = ("one", "value", "log")
"""Names of the strengths of a choice of value v: 1, v, log(1 + v)."""

_LISTS_OF = 10  # the length of the lists that ``score`` measures


@dataclass(frozen=True)
class Choices(Targets):
    """The targets of a model of choices: a positive strength of each choice, 0 of what is stored and was not chosen.

    Attributes
    ----------
    cost : {"choices"}
        Names the kind of targets in files.
    threshold : float or None
        Values of at least this are choices, the other entries were seen and not chosen. None: values above 0 are
        choices, values of 0 were seen and not chosen.
    soft : bool
        False: strengths are not labels.
    strength : {"one", "value", "log", "as given"}
        The strength of a choice of value v: 1, v, or log(1 + v). It is multiplied by the weight of the entry. "as
        given": the ratings are handed on unchanged, to members that have targets of their own.
    """

    cost: str = "choices"
    strength: str = "one"

    @property
    def choices(self) -> bool:
        """Whether what users choose is learnt."""
        return True

    @property
    def error(self) -> str:
        """Name of the measure of lists."""
        return "ndcg"

    def check(self, caller: str) -> None:
        """Accept any threshold."""

    def of(self, values: Floats, caller: str) -> Floats:
        """Return the strengths of values; raises ValueError for a negative value without a threshold."""
        if self.strength == "as given":
            return values
        if self.threshold is None and (values < 0).any():
            entry = int((values < 0).argmax())
            raise ValueError(
                f"{caller}: values must not be negative where threshold=None, as they are strengths of choices; got "
                f"{values[entry]:g} at entry {entry}; pass the threshold from which on a value is a choice"
            )
        chosen = values > 0 if self.threshold is None else reaches(values, self.threshold)
        strengths: Floats = chosen.astype(np.float32)
        if self.strength != "one":
            wrong = chosen & (values <= 0)
            if wrong.any():
                entry = int(wrong.argmax())
                raise ValueError(
                    f"{caller}: strength={self.strength!r} needs choices of positive values; got {values[entry]:g} at "
                    f"entry {entry}; pass strength='one' or a threshold above 0"
                )
            strengths[chosen] = values[chosen] if self.strength == "value" else np.log1p(values[chosen])
        return strengths

    def of_entries(self, values: Floats, weights: Floats | None, caller: str) -> tuple[Floats, Floats | None]:
        """Return strengths multiplied by the weights, and no weights."""
        if self.strength == "as given":
            return values, weights
        strengths = self.of(values, caller)
        return (strengths if weights is None else strengths * weights), None

    def of_ratings(self, ratings: Ratings, caller: str) -> Ratings:
        """Return ratings with strengths, multiplied by the weights, in place of values; without weights."""
        strengths, weights = self.of_entries(ratings.values, ratings.weights, caller)
        return Ratings(
            ratings.indptr, ratings.indices, strengths, users=ratings.users, items=ratings.items, weights=weights
        )

    def of_training(self, ratings: Ratings, caller: str) -> Ratings:
        """Return ratings with strengths, 1 where they are "as given"; raises ValueError where there is no choice."""
        own = replace(self, strength="one") if self.strength == "as given" else self
        chosen = own.of_ratings(ratings, caller)
        if not (chosen.values > 0).any():
            at_least = "above 0" if self.threshold is None else f"of at least threshold={self.threshold:g}"
            low, high = ratings.rating_range
            raise ValueError(
                f"{caller}: some values must be choices, {at_least}; got none among {ratings.nnz} values from {low:g} "
                f"to {high:g}"
            )
        return chosen

    def relevant(self, ratings: Ratings, caller: str) -> Ratings:
        """Return the choices, with their strengths; raises ValueError where there are none."""
        chosen = self.of_training(ratings, caller)
        return chosen.take(chosen.values > 0)

    def score(self, model: Recommender, X: Any, y: Any, sample_weight: Any, caller: str) -> float:
        """Return the NDCG@10 of a model's lists: the mean over users who have choices among the ratings.

        Lists leave out what users have seen in training, except the choices among the ratings.
        """
        ratings = as_ratings(X, y, sample_weight, caller=caller, counted=True, duplicates="max")
        return self.measured_lists(model, ratings, _LISTS_OF, caller).ndcg

    def measured_lists(self, model: Recommender, ratings: Ratings, n: int, caller: str) -> RankingScores:
        """Return all measures of a model's lists of ``n`` items, as :meth:`score` makes them."""
        relevant = self.relevant(ratings, caller)
        users: NDArray[np.int64] = np.flatnonzero(np.diff(relevant.indptr) > 0)
        ids = relevant.users.ids[users]
        state = model.state
        if state.seen is not None:
            state = state.replaced(seen=state.seen.without(relevant, state.users, state.items))
        lists = model._with_state(state).recommend(ids, n=n, exclude_seen=state.seen is not None)
        n_rated = int((ratings.user_counts() > 0).sum())
        return ranking(lists, ids, relevant)._replace(n_without=n_rated - ids.size)
