"""Measures of predictions: errors of ratings, or of probabilities of labels; and simple predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fastcf._backend import resolve_device
from fastcf.cli._outputs import table
from fastcf.metrics import accuracy, log_loss, mae, rmse, roc_auc
from fastcf.models.bias import BiasModel, fit_label_biases
from fastcf.preprocessing import row_means
from fastcf.ratings import Ratings
from fastcf.scores import Targets

__all__ = ["Measure", "bias_predictions", "error_table", "item_mean_predictions", "measured", "measures_of", "shown"]

Floats = NDArray[np.float32]


def _binary(true: Floats) -> bool:
    return bool(((true == 0) | (true == 1)).all())


class Measure(NamedTuple):
    """A measure, its name in JSON and histories, that on screen, and for which true values it is defined."""

    key: str
    title: str
    of: Callable[..., float]
    defined: Callable[[Floats], bool] = lambda true: True


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


def error_table(
    true: Floats, predictions: Sequence[tuple[str, Any, float]], measures: Sequence[Measure] = RATING_MEASURES
) -> None:
    """Print the errors of several predictions of the same ratings, and the seconds of training."""
    rows = [[name, *shown(true, predicted, measures), f"{seconds:.2f}"] for name, predicted, seconds in predictions]
    titles = [measure.title for measure in measures]
    table(rows, ("model", *titles, "seconds"), "<" + ">" * len(titles) + ">")
