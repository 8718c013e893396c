"""What predictions are measured by: errors of ratings, or of probabilities of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.cli._tables import table
from fastcf.metrics import accuracy, log_loss, mae, rmse, roc_auc
from fastcf.models import UserPerceptron
from fastcf.models._labels import as_labels
from fastcf.ratings import Ratings

__all__ = [
    "LABEL_MEASURES",
    "RATING_MEASURES",
    "Measure",
    "error_table",
    "item_mean_predictions",
    "measured",
    "measures_of",
    "predictions_of",
    "predicts_labels",
    "shown",
    "targets_of",
]


def _binary(true: NDArray[np.float32]) -> bool:
    return bool(((true == 0) | (true == 1)).all())


class Measure(NamedTuple):
    """A measure, its name in JSON and histories, that on screen, and for which true values it is defined."""

    key: str
    title: str
    of: Callable[..., float]
    defined: Callable[[NDArray[np.float32]], bool] = lambda true: True


# The first of each is what training records and chooses the best epoch by.
RATING_MEASURES = Measure("rmse", "RMSE", rmse), Measure("mae", "MAE", mae)
LABEL_MEASURES = (
    Measure("log_loss", "log-loss", log_loss),
    Measure("roc_auc", "AUC", roc_auc, lambda true: _binary(true) and true.min() < true.max()),
    Measure("accuracy", "accuracy", accuracy, _binary),
)


def predicts_labels(model: Any) -> bool:
    """Whether a model learns labels 0 and 1, and predicts probabilities."""
    if isinstance(model, UserPerceptron) and model.targets == "levels":
        return False
    return hasattr(model, "predict_proba") and getattr(model, "cost", "logistic") == "logistic"


def measures_of(model: Any) -> tuple[Measure, ...]:
    """Return what a model is measured by."""
    return LABEL_MEASURES if predicts_labels(model) else RATING_MEASURES


def targets_of(model: Any, ratings: Ratings, caller: str) -> NDArray[np.float32]:
    """Return what a model predicts of ratings: themselves or, cut as it cuts them, labels."""
    if not predicts_labels(model):
        return ratings.values
    return as_labels(ratings.values, model.threshold, caller, soft=hasattr(model, "cost"))


def predictions_of(model: Any, X: Any) -> NDArray[np.float32]:
    """Return a model's predictions of ratings or pairs, or its probabilities of label 1."""
    predicted: NDArray[np.float32] = (model.predict_proba if predicts_labels(model) else model.predict)(X)
    return predicted


def item_mean_predictions(
    train: Ratings, test: Ratings, labels: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """Return each test item's mean training rating, the simplest prediction there is (same id maps).

    With the ``labels`` of the training ratings, their share of 1, one average label added: no item is certain.
    """
    values, added = (train.values, 0) if labels is None else (labels, 1)
    counts = np.bincount(train.indices, minlength=train.n_items) + added
    mean = float(values.mean(dtype=np.float64))
    sums = np.bincount(train.indices, values, train.n_items) + added * mean
    means = np.where(counts > 0, sums / np.maximum(counts, 1), mean)
    predicted: NDArray[np.float64] = means[test.indices]
    return predicted


def measured(true: NDArray[np.float32], predicted: Any, measures: Sequence[Measure]) -> dict[str, float | None]:
    """Return every measure by its key; None where it is not defined."""
    return {one.key: one.of(true, predicted) if one.defined(true) else None for one in measures}


def shown(true: NDArray[np.float32], predicted: Any, measures: Sequence[Measure]) -> list[str]:
    """Return every measure as the cell of a table."""
    return ["–" if value is None else f"{value:.4f}" for value in measured(true, predicted, measures).values()]


def error_table(
    true: NDArray[np.float32],
    predictions: Sequence[tuple[str, Any, float]],
    measures: Sequence[Measure] = RATING_MEASURES,
) -> None:
    """Print the errors of several predictions of the same ratings, and the seconds that they took to learn."""
    rows = [[name, *shown(true, predicted, measures), f"{seconds:.2f}"] for name, predicted, seconds in predictions]
    titles = [measure.title for measure in measures]
    table(rows, ("model", *titles, "seconds"), "<" + ">" * len(titles) + ">")
