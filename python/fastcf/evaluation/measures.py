"""What a fitted recommender gets for the held-out ratings of one part, user by user."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._thresholds import reaches
from fastcf.data.slices import slices_by_count
from fastcf.evaluation.parts import Part
from fastcf.evaluation.slices import moments
from fastcf.ids import IdMap
from fastcf.metrics import Scorer, as_scorer, ranking_by_user
from fastcf.metrics.catalogue import CATALOGUE_METRICS, Catalogue
from fastcf.metrics.lists import Lists, MakesLists, Retrieves, as_lists
from fastcf.metrics.predictions import ERRORS
from fastcf.metrics.raters import RATER_METRICS, Raters
from fastcf.metrics.scorers import LIST_METRICS, USER_FIELDS
from fastcf.ratings import Ratings

__all__ = ["DEFAULTS", "Exam", "Gains", "Metric", "metrics_of"]

Floats = NDArray[np.float64]

DEFAULTS = ("rmse", "mae", "log_loss", "ndcg", "recall")
"""The metrics where none are named: those of them that some model can be measured by."""

_OF_RATINGS = ("rmse", "mae")
_OF_USERS = (*LIST_METRICS, *RATER_METRICS, "novelty", "mean_popularity")
_WITH_LENGTH = (*LIST_METRICS, *CATALOGUE_METRICS, *RATER_METRICS)


@dataclass(frozen=True)
class Metric:
    """A metric, and how its figure follows from what users add to it.

    Attributes
    ----------
    name : str
        Such as "rmse" or "ndcg@10".
    base : str
        The name without the length of lists.
    k : int
        The length of lists; 0 for others.
    scorer : Scorer
        Computes the figure alone.
    """

    name: str
    base: str
    k: int
    scorer: Scorer

    @property
    def per_rating(self) -> bool:
        """Whether it is a mean over ratings."""
        return self.base in ERRORS

    @property
    def of_lists(self) -> bool:
        """Whether it follows from lists."""
        return self.k > 0

    @property
    def per_user(self) -> bool:
        """Whether it is a mean over users, of what their lists get."""
        return self.base in _OF_USERS and self.k > 0

    @property
    def alone(self) -> bool:
        """Whether only its figure is known, and nothing of users."""
        return not self.per_rating and not self.per_user and self.base != "auc"

    @property
    def root(self) -> bool:
        """Whether it is the root of a mean."""
        return self.base == "rmse"


def metrics_of(names: Sequence[Any], lengths: Sequence[int], threshold: float | None, caller: str) -> list[Metric]:
    """Return metrics by their names; those of lists without a length have all of ``lengths``."""
    found: dict[str, Metric] = {}
    for name in names:
        several = [f"{name}@{k}" for k in lengths] if isinstance(name, str) and name in _WITH_LENGTH else [name]
        for each in several:
            scorer = as_scorer(each, caller, threshold=threshold)
            base, _, k = scorer.name.partition("@")
            own = not callable(each) and not isinstance(each, Scorer)  # else only the figure is known
            length = int(k) if own and base in _WITH_LENGTH else 0
            if scorer.name in found:
                raise ValueError(f"{caller}: metrics must have different names; got {scorer.name!r} twice")
            found[scorer.name] = Metric(scorer.name, base if own else scorer.name, length, scorer)
    if not found:
        raise ValueError(f"{caller}: metrics must hold one or more; got none")
    return list(found.values())


@dataclass
class Gains:
    """What a model got by one metric, added up over parts.

    Attributes
    ----------
    total, count : ndarray of shape (n_users,)
        Of each user.
    figures : list of float
        Of each part, where users have no sums.
    influence : ndarray of shape (n_users,)
        Added up over parts, where it is known of such figures.
    sides : dict of str to ndarray of shape (n_slices, 5)
        Moments of slices, by "user" and "item".
    """

    total: Floats
    count: Floats
    influence: Floats
    figures: list[float] = field(default_factory=list)
    sides: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def empty(cls, n_users: int) -> Gains:
        """Return the gains of no part."""
        return cls(np.zeros(n_users), np.zeros(n_users), np.zeros(n_users))

    def add(self, rows: NDArray[Any], total: Floats, count: Floats) -> None:
        """Add entries of user rows."""
        self.total += np.bincount(rows, total, self.total.size)
        self.count += np.bincount(rows, count, self.count.size)

    def merge(self, other: Gains) -> None:
        """Add those of another part."""
        self.total += other.total
        self.count += other.count
        self.influence += other.influence
        self.figures += other.figures
        for side, sums in other.sides.items():
            self.add_slices(side, sums)

    def add_slices(self, side: str, sums: Floats) -> None:
        """Add moments of the slices of a side."""
        self.sides[side] = self.sides.get(side, 0.0) + sums


@dataclass
class Exam:
    """The held-out ratings of one part, and all that does not depend on the model.

    Attributes
    ----------
    part : Part
        The ratings.
    users : IdMap
        The users whose rows gains are kept by.
    relevant : Ratings
        The held-out ratings that lists should hold.
    threshold : float or None
        From which on a rating is relevant, and label 1.
    cuts : sequence of int
        Of slices.
    """

    part: Part
    users: IdMap
    relevant: Ratings
    threshold: float | None
    cuts: Sequence[int]

    def __post_init__(self) -> None:
        held_out = self.part.held_out
        self.user_slices = slices_by_count(self.part.counts("user"), self.cuts)
        self.item_slices = slices_by_count(self.part.counts("item"), self.cuts)
        self.rows = self.users.rows(held_out.users)
        self.weights = np.ones(held_out.nnz) if held_out.weights is None else held_out.weights.astype(np.float64)
        self.catalogue = Catalogue.of_ratings(self.part.train)
        self.raters = Raters.of_ratings(self.part.train)
        self.tested = self.relevant.users.ids[self.relevant.user_counts() > 0]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the slices."""
        return self.user_slices.names

    def lists(self, recommender: Any, length: int, caller: str) -> tuple[Lists, float]:
        """Return a recommender's lists for the users with relevant items, and the seconds that they took."""
        started = time.perf_counter()
        lists = as_lists(recommender, self.tested, length, caller)
        return lists, time.perf_counter() - started

    def add(self, recommender: Any, metrics: Sequence[Metric], gains: dict[str, Gains], caller: str) -> float:
        """Add what a recommender gets by all metrics that it can be measured by; return the seconds of its lists."""
        targets = getattr(getattr(recommender, "state", None), "targets", None)
        of_lists = [metric for metric in metrics if metric.of_lists]
        seconds = float("nan")
        if of_lists and self.tested.size and isinstance(recommender, (MakesLists, Retrieves)):
            lists, seconds = self.lists(recommender, max(metric.k for metric in of_lists), caller)
            self._add_lists(lists, of_lists, gains)
        predicted: Any = None
        for metric in metrics:
            if metric.of_lists:
                continue
            if metric.alone:
                if metric.base != "calibration_error" or (targets is not None and targets.labels):
                    gains[metric.name].figures.append(metric.scorer(recommender, self.part.held_out))
            elif hasattr(recommender, "predict"):
                true = self._true(metric, targets, caller)
                if true is None:
                    continue
                if predicted is None:
                    predicted = np.asarray(recommender.predict(self.part.held_out))
                if metric.per_rating:
                    self._add_errors(metric, gains[metric.name], true, predicted)
                else:
                    self._add_area(gains[metric.name], true, predicted.astype(np.float64))
        return seconds

    def _true(self, metric: Metric, targets: Any, caller: str) -> Floats | None:
        """Return what predictions are compared with; None where they are no such predictions."""
        values = self.part.held_out.values
        labels = targets is not None and targets.labels
        if metric.base in _OF_RATINGS:
            return None if labels or (targets is not None and targets.choices) else values.astype(np.float64)
        if metric.base != "auc" and not labels:
            return None
        if self.threshold is not None:
            return reaches(values, self.threshold).astype(np.float64)
        if labels:
            return np.asarray(targets.of(values, caller), np.float64)
        binary = bool(((values == 0) | (values == 1)).all())
        return values.astype(np.float64) if binary else None

    def _add_errors(self, metric: Metric, gains: Gains, true: Floats, predicted: Any) -> None:
        held_out = self.part.held_out
        owners = held_out.row_of_entry()
        errors = self.weights * ERRORS[metric.base](true, predicted)
        gains.add(self.rows[owners], errors, self.weights)
        n = len(self.names)
        for side, of in (("user", self.user_slices.of[owners]), ("item", self.item_slices.of[held_out.indices])):
            gains.add_slices(side, moments(owners, of, n, errors, self.weights))

    def _add_area(self, gains: Gains, true: Floats, predicted: Floats) -> None:
        """Add the area under the ROC curve, and what each user adds to it."""
        area, influence = area_under_curve(true, predicted, self.weights)
        gains.figures.append(area)
        gains.influence += np.bincount(self.rows[self.part.held_out.row_of_entry()], influence, gains.influence.size)

    def _add_lists(self, lists: Lists, metrics: Sequence[Metric], gains: dict[str, Gains]) -> None:
        ranked = sorted({metric.k for metric in metrics if metric.base in LIST_METRICS})
        found = ranking_by_user(lists, held_out=self.relevant, k=ranked) if ranked else {}
        rows = self.relevant.users.rows(self.tested)
        n = len(self.names)
        for metric in metrics:
            own = gains[metric.name]
            if metric.base in CATALOGUE_METRICS:
                shown = self.catalogue.shown(lists.first(metric.k, "evaluate"), "evaluate")
                if not metric.per_user:
                    own.figures.append(shown.figure(metric.base))
                    continue
                values = getattr(shown, metric.base)
            elif metric.base in RATER_METRICS:
                first = lists.first(metric.k, "evaluate")
                values = self.raters.of_lists(metric.base, first, self.relevant, "evaluate")
            else:
                values = getattr(found[metric.k], USER_FIELDS[metric.base])
            counted = ~np.isnan(values)  # novelty and popularity of an empty list, say, are not defined
            values, ones = np.where(counted, values, 0.0), counted.astype(np.float64)
            own.add(self.users.rows(self.tested), values, ones)
            own.add_slices("user", moments(rows, self.user_slices.of[rows], n, values, ones))
            if metric.base == "recall":
                hits = self._hits(lists, rows, metric.k)
                owners, of = self.relevant.row_of_entry(), self.item_slices.of[self.relevant.indices]
                own.add_slices("item", moments(owners, of, n, hits, np.ones(hits.size)))

    def _hits(self, lists: Lists, rows: NDArray[np.int32], k: int) -> Floats:
        """Return which relevant entries are in the first ``k`` places of their user's list."""
        items = lists.first(k, "evaluate").rows(self.relevant.items, "evaluate")
        wide = self.relevant.n_items
        listed = (rows[:, None].astype(np.int64) * wide + items)[items >= 0]
        return np.isin(self.relevant.row_of_entry().astype(np.int64) * wide + self.relevant.indices, listed).astype(
            float
        )


def area_under_curve(true: Floats, scores: Floats, weights: Floats) -> tuple[float, Floats]:
    """Return the area under the ROC curve, and its influence function at each entry.

    The area is the share of pairs of a 1 and a 0 in which the 1 has the larger score, ties counting half. An entry's
    influence is the difference between its own share and the area, times its weight among its label's
    [E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Biometrics 44, 1988]. NaN where a label is missing.
    """
    ones = true > 0.5
    positive, negative = weights * ones, weights * ~ones
    of_ones, of_zeros = float(positive.sum()), float(negative.sum())
    if of_ones == 0 or of_zeros == 0:
        return float("nan"), np.full(true.size, np.nan)
    _, tie = np.unique(scores, return_inverse=True)
    lower, higher = np.bincount(tie, negative), np.bincount(tie, positive)
    below = (np.cumsum(lower) - lower / 2)[tie] / of_zeros  # share of zeros that a score beats
    above = 1 - (np.cumsum(higher) - higher / 2)[tie] / of_ones  # share of ones that beat it
    area = float(positive @ below) / of_ones
    return area, np.where(ones, positive * (below - area) / of_ones, negative * (above - area) / of_zeros)
