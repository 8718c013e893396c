"""Measures of predictions: errors of ratings, or of probabilities of labels; and simple predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fastcf._backend import resolve_device
from fastcf.cli._outputs import table
from fastcf.metrics import RankingScores, accuracy, log_loss, mae, ranking, rmse, roc_auc
from fastcf.models.bias import BiasModel, fit_label_biases
from fastcf.models.data_warnings import inside_another_fit
from fastcf.preprocessing import row_means
from fastcf.ratings import Ratings
from fastcf.scores import Targets

__all__ = [
    "LIST_LENGTH",
    "Measure",
    "bias_predictions",
    "error_table",
    "item_mean_predictions",
    "list_measures",
    "list_table",
    "lists_of",
    "measured",
    "measures_of",
    "shown",
]

Floats = NDArray[np.float32]


def _binary(true: Floats) -> bool:
    return bool(((true == 0) | (true == 1)).all())


class Measure(NamedTuple):
    """A measure, its name in JSON and histories, that on screen, and for which true values it is defined."""

    key: str
    title: str
    of: Callable[..., float]
    defined: Callable[[Floats], bool] = lambda true: True


LIST_LENGTH = 10
"""The length of lists that are measured."""

# The first of each is what training records and chooses the best epoch by.
RATING_MEASURES = Measure("rmse", "RMSE", rmse), Measure("mae", "MAE", mae)
LABEL_MEASURES = (
    Measure("log_loss", "log-loss", log_loss),
    Measure("roc_auc", "AUC", roc_auc, lambda true: _binary(true) and true.min() < true.max()),
    Measure("accuracy", "accuracy", accuracy, _binary),
)


def measures_of(targets: Targets) -> tuple[Measure, ...]:
    """Return the measures of predictions of ratings, or of probabilities of labels."""
    return LABEL_MEASURES if targets.labels else RATING_MEASURES


def item_mean_predictions(train: Ratings, test: Ratings, *, labels: bool = False) -> Floats:
    """Return each test item's mean training rating, the simplest prediction there is (same id maps).

    Of labels it is their share of 1, one average label added: no item is certain.
    """
    by_item = train.by_item()
    return row_means(by_item.indptr, by_item.values, None, train.mean, 1.0 if labels else 0.0)[test.indices]


def bias_predictions(train: Ratings, test: Ratings, *, labels: bool, n_threads: int | None) -> Floats:
    """Return predictions of test ratings by biases of users and items (same id maps); of labels probabilities."""
    if not labels:
        with inside_another_fit():
            return BiasModel(n_threads=n_threads).fit(train).predict(test)
    biases = fit_label_biases(train, resolve_device("auto", "fastcf"), n_threads=n_threads or 0)
    predicted: Floats = expit(biases.mean + biases.users[test.row_of_entry()] + biases.items[test.indices])
    return predicted


def measured(true: Floats, predicted: Any, measures: Sequence[Measure]) -> dict[str, float | None]:
    """Return every measure by its key; None where it is not defined."""
    return {one.key: one.of(true, predicted) if one.defined(true) else None for one in measures}


def shown(true: Floats, predicted: Any, measures: Sequence[Measure]) -> list[str]:
    """Return every measure as the cell of a table."""
    return ["–" if value is None else f"{value:.4f}" for value in measured(true, predicted, measures).values()]


def lists_of(model: Any, chosen: Ratings) -> RankingScores:
    """Return the measures of the lists of a model or a retriever, for the users who have choices."""
    scores = ranking(model, held_out=chosen.take(chosen.values > 0), k=LIST_LENGTH)
    n_rated = int((chosen.user_counts() > 0).sum())
    return scores._replace(n_without=n_rated - scores.n_users)


def list_measures(scores: RankingScores) -> dict[str, float | int]:
    """Return measures of lists by their keys."""
    return {
        f"ndcg@{LIST_LENGTH}": scores.ndcg,
        f"recall@{LIST_LENGTH}": scores.recall,
        f"hit_rate@{LIST_LENGTH}": scores.hit_rate,
        "users": scores.n_users,
        "users_without": scores.n_without,
    }


def list_table(lists: Sequence[tuple[str, RankingScores, float | None]]) -> None:
    """Print the measures of several models' lists, the seconds of training where these are given, and who counts."""
    timed = any(seconds is not None for *_, seconds in lists)
    rows = []
    for name, scores, seconds in lists:
        row = [name, *(f"{value:.4f}" for value in (scores.ndcg, scores.recall, scores.hit_rate))]
        rows.append([*row, "" if seconds is None else f"{seconds:.2f}"] if timed else row)
    titles = [f"{title}@{LIST_LENGTH}" for title in ("NDCG", "recall", "hit rate")]
    table(rows, ("model", *titles, *(("seconds",) if timed else ())), "<>>>" + ">" * timed)
    scores = lists[0][1]
    if scores.n_without:
        click.echo(
            f"\n{scores.n_users:,} users count; {scores.n_without:,} others have no relevant item among these ratings"
        )


def error_table(
    true: Floats, predictions: Sequence[tuple[str, Any, float]], measures: Sequence[Measure] = RATING_MEASURES
) -> None:
    """Print the errors of several predictions of the same ratings, and the seconds of training."""
    rows = [[name, *shown(true, predicted, measures), f"{seconds:.2f}"] for name, predicted, seconds in predictions]
    titles = [measure.title for measure in measures]
    table(rows, ("model", *titles, "seconds"), "<" + ">" * len(titles) + ">")
