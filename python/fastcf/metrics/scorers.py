"""Scorers: one figure of a recommender on held-out ratings, by name or by the user's own function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastcf._parameters import ListMeasure
from fastcf._thresholds import reaches
from fastcf.metrics.catalogue import CATALOGUE_METRICS, Catalogue
from fastcf.metrics.lists import MakesLists, Retrieves, as_lists
from fastcf.metrics.predictions import accuracy, calibration_error, log_loss, mae, rmse, roc_auc
from fastcf.metrics.rankings import ranking
from fastcf.metrics.raters import RATER_METRICS, Raters
from fastcf.ratings import Ratings

__all__ = ["LIST_METRICS", "PREDICTION_METRICS", "USER_FIELDS", "Scorer", "as_scorer"]

LIST_METRICS = {
    "precision": "precision",
    "recall": "recall",
    "capped_recall": "capped_recall",
    "hit_rate": "hit_rate",
    "mrr": "reciprocal_rank",
    "map": "average_precision",
    "ndcg": "ndcg",
    "graded_ndcg": "graded_ndcg",
}
"""Metrics of lists, named as in "ndcg@10", and the fields of ``RankingScores`` that hold them."""

USER_FIELDS = {**LIST_METRICS, "hit_rate": "hit"}
"""The same, and the fields of ``UserRankings``."""

_BEYOND = {**CATALOGUE_METRICS, **RATER_METRICS}
_WITH_LENGTH = ListMeasure((*LIST_METRICS, *_BEYOND))

PREDICTION_METRICS = {
    "rmse": rmse,
    "mae": mae,
    "log_loss": log_loss,
    "auc": roc_auc,
    "accuracy": accuracy,
    "calibration_error": calibration_error,
}
"""Metrics of predictions, by name."""

_OF_RATINGS = ("rmse", "mae")
_GREATER_IS_BETTER = ("auc", "accuracy")


@dataclass(frozen=True)
class Scorer:
    """One figure of a recommender on held-out ratings. Immutable; it can be pickled if its function can.

    Made by :func:`as_scorer`.

    Attributes
    ----------
    name : str
        The name of the metric, such as "rmse" or "ndcg@10"; of a function, its own.
    greater_is_better : bool
        Whether greater figures are better.
    lists : bool
        Whether it looks at lists, which ``recommend`` makes; else at predictions. True for functions, and False for
        "score".
    measure : callable
        Of the recommender and the held-out ratings: the figure.
    """

    name: str
    greater_is_better: bool
    lists: bool
    measure: Callable[[Any, Ratings], float] = field(repr=False)

    def __call__(self, recommender: Any, held_out: Ratings) -> float:
        """Return the figure.

        Parameters
        ----------
        recommender : fitted model, view of a training, or another object with the methods that are needed
            Lists are those of its ``recommend``, or ``retrieve``, with the defaults: seen items are left out.
            Predictions are those of its ``predict``.
        held_out : Ratings
            Ratings that it did not learn from; their weights count for predictions.

        Returns
        -------
        float
            A finite number.

        Raises
        ------
        TypeError, ValueError
            If the recommender cannot answer, the metric is not defined for the ratings, or a function did not return a
            finite number.
        """
        if not isinstance(held_out, Ratings):
            raise TypeError(f"Scorer {self.name}: held_out must be Ratings; got {type(held_out).__name__}")
        figure = self.measure(recommender, held_out)
        try:
            finite = math.isfinite(figure)
        except TypeError as error:
            raise TypeError(f"Scorer {self.name}: the metric must be a number; got {figure!r}") from error
        if not finite:
            raise ValueError(f"Scorer {self.name}: the metric must be a finite number; got {figure!r}")
        return float(figure)


@dataclass(frozen=True)
class _OfLists:
    """A metric of lists of ``k`` items; see :func:`as_scorer` for what is relevant."""

    name: str
    k: int
    threshold: float | None

    def __call__(self, recommender: Any, held_out: Ratings) -> float:
        relevant = _relevant(recommender, held_out, self.threshold, f"Scorer {self.name}@{self.k}")
        return float(getattr(ranking(recommender, None, relevant, k=self.k), LIST_METRICS[self.name]))


@dataclass(frozen=True)
class _BeyondAccuracy:
    """What lists of ``k`` items are like beside being right: those of the users whom metrics of lists count."""

    name: str
    k: int
    threshold: float | None

    def __call__(self, recommender: Any, held_out: Ratings) -> float:
        caller = f"Scorer {self.name}@{self.k}"
        relevant = _relevant(recommender, held_out, self.threshold, caller)
        users = relevant.users.ids[relevant.user_counts() > 0]
        if users.size == 0:
            raise ValueError(f"{caller}: some user must have relevant ratings in held_out; none has")
        if self.name in CATALOGUE_METRICS:
            catalogue = Catalogue.of_recommender(recommender, caller)
            return catalogue.shown(as_lists(recommender, users, self.k, caller), caller).figure(self.name)
        raters = Raters.of_recommender(recommender, caller)
        values = raters.of_lists(self.name, as_lists(recommender, users, self.k, caller), relevant, caller)
        return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


@dataclass(frozen=True)
class _OfPredictions:
    """A metric of predictions: of ratings, or of labels."""

    name: str
    threshold: float | None

    def __call__(self, recommender: Any, held_out: Ratings) -> float:
        caller = f"Scorer {self.name}"
        targets = _targets(recommender)
        if targets is not None and targets.choices and self.name != "auc":
            raise ValueError(
                f"{caller}: recommender must predict ratings or labels; got {type(recommender).__name__}, a model of "
                "choices: its lists can be measured, for example by 'ndcg@10'"
            )
        true: Any = held_out.values
        if self.name in _OF_RATINGS:
            if targets is not None:
                true = targets.of(true, caller)
        elif self.threshold is not None:
            true = reaches(true, self.threshold)
        elif targets is not None and targets.choices:
            true = targets.of(true, caller) > 0
        elif targets is not None and targets.labels:
            true = targets.of(true, caller)
        elif not np.isin(true, (0, 1)).all():
            raise ValueError(
                f"{caller}: held_out must hold labels 0 and 1, or there must be a threshold from which on a rating is "
                f"label 1; got values from {true.min():g} to {true.max():g}"
            )
        measure: Callable[..., float] = PREDICTION_METRICS[self.name]
        return measure(true, recommender.predict(held_out), sample_weight=held_out.weights)


def _relevant(recommender: Any, held_out: Ratings, threshold: float | None, caller: str) -> Ratings:
    """Return the held-out ratings that lists should hold; raises TypeError for what makes no lists."""
    if not isinstance(recommender, (MakesLists, Retrieves)):
        raise TypeError(f"{caller}: recommender must have a method recommend; got {type(recommender).__name__}")
    if threshold is not None:
        return held_out.take(reaches(held_out.values, threshold))
    targets = _targets(recommender)
    return held_out if targets is None else targets.relevant(held_out, caller)


def _own_score(recommender: Any, held_out: Ratings) -> float:
    return float(recommender.score(held_out))


def _targets(recommender: Any) -> Any:
    """Return what a model learns: ratings, labels or choices; None for recommenders that do not tell."""
    return getattr(getattr(recommender, "state", None), "targets", None)


def as_scorer(
    metric: str | Callable[[Any, Ratings], float] | Scorer, caller: str, *, threshold: float | None = None
) -> Scorer:
    """Return the scorer of a metric.

    Parameters
    ----------
    metric : str, callable or Scorer
        "rmse", "mae" (of ratings), "log_loss", "auc", "accuracy", "calibration_error" (of labels); "precision@k",
        "recall@k", "capped_recall@k", "hit_rate@k", "mrr@k", "map@k", "ndcg@k", "graded_ndcg@k" (of lists of k items,
        for example "ndcg@10"); "coverage@k", "gini@k", "novelty@k", "mean_popularity@k", "diversity@k", "serendipity@k"
        (of the same users' lists, as :func:`beyond_accuracy` defines them: the catalogue is the recommender's
        ``items_``, its ``seen_`` say what is popular; an item's vector, for the diversity, says who rated it; expected,
        for the serendipity, are the most popular items that the user has not seen); "score", the recommender's own
        ``score``. A function is called with the recommender and the held-out ratings and returns a finite number;
        greater is better, unless it has an attribute ``greater_is_better`` that is False. A scorer is returned as it
        is.
    caller : str
        Heads messages.
    threshold : float, optional
        Held-out items rated with at least this are relevant, and labels 1. By default as the recommender learns them:
        choices, or label 1, of models of choices and of labels; for others every held-out item is relevant, and labels
        must be 0 and 1. Metrics of ratings, functions and scorers do not use it.

    Returns
    -------
    Scorer

    Raises
    ------
    TypeError
        If the metric is neither a name, nor callable.
    ValueError
        If there is no metric of that name.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(50, 30, 900, random_state=0)
    >>> train, test = fastcf.data.train_test_split(ratings, random_state=0)
    >>> model = fastcf.MatrixFactorization(4, random_state=0).fit(train)
    >>> scorer = fastcf.metrics.as_scorer("recall@5", "example")
    >>> 0 <= scorer(model, test) <= 1
    True
    """
    if isinstance(metric, Scorer):
        return metric
    if callable(metric):
        name = getattr(metric, "__name__", type(metric).__name__)
        return Scorer(name, bool(getattr(metric, "greater_is_better", True)), True, metric)
    known = (
        f"{', '.join(map(repr, (*PREDICTION_METRICS, 'score')))}, or of lists of k items, for example 'ndcg@10': "
        f"{', '.join(f'{name}@k' for name in (*LIST_METRICS, *_BEYOND))}"
    )
    if not isinstance(metric, str):
        raise TypeError(f"{caller}: a metric must be a function or a name: {known}; got {metric!r}")
    if metric == "score":
        return Scorer(metric, True, False, _own_score)
    if metric in PREDICTION_METRICS:
        return Scorer(metric, metric in _GREATER_IS_BETTER, False, _OfPredictions(metric, threshold))
    k, base = _WITH_LENGTH.length(metric), metric.partition("@")[0]
    if k and base in LIST_METRICS:
        return Scorer(f"{base}@{k}", True, True, _OfLists(base, k, threshold))
    if k:
        return Scorer(f"{base}@{k}", _BEYOND[base], True, _BeyondAccuracy(base, k, threshold))
    if base in (*LIST_METRICS, *_BEYOND):
        raise ValueError(
            f"{caller}: metric {base!r} must have the length of lists, an integer from 1 to 9999, as in '{base}@10'; "
            f"got {metric!r}"
        )
    raise ValueError(f"{caller}: there is no metric {metric!r}; there are {known}")
