"""The targets of a fit: the ratings, or labels 0 and 1 cut at a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf._assembly import pair_columns
from fastcf._columns import float_vector
from fastcf._thresholds import reaches
from fastcf.metrics import log_loss, rmse
from fastcf.ratings import Ratings, as_ratings

if TYPE_CHECKING:
    from fastcf.scores.recommender import Recommender

__all__ = ["COSTS", "Targets", "as_labels", "liked", "log_odds", "logistic_bound", "with_values"]

Floats = NDArray[np.float32]

COSTS = ("squared", "logistic")
"""Names of the costs: of ratings, and of labels."""


def as_labels(values: Floats, threshold: float | None, caller: str, *, soft: bool = False) -> Floats:
    """Return 1 for ratings of at least ``threshold`` and 0 for others; without one the ratings, checked.

    Raises ValueError if there is no threshold and a rating is no label: 0 or 1, or with ``soft`` between them.
    """
    if threshold is not None:
        return reaches(values, threshold).astype(np.float32)
    wrong = (values < 0) | (values > 1) if soft else (values != 0) & (values != 1)
    if wrong.any():
        entry = int(wrong.argmax())
        what = "lie in [0, 1] for cost='logistic'" if soft else "be 0 or 1"
        raise ValueError(f"{caller}: ratings must {what} without a threshold; got {values[entry]:g} at entry {entry}")
    return values


def log_odds(labels: Floats, weights: Floats | None) -> float:
    """Return the logarithm of the odds of label 1; half a label of each kind is added, or it might be infinite."""
    total, ones = float(labels.size), float(labels.sum(dtype=np.float64))
    if weights is not None:
        wide = weights.astype(np.float64)
        total, ones = float(wide.sum()), float(wide @ labels)
    return float(np.log((ones + 0.5) / (total - ones + 0.5)))


def liked(model: Any) -> tuple[float, float]:
    """Return a rating that says of an item in a history that it was liked, and one that says the opposite.

    Of a model of ratings these are the highest and the lowest, where it has a range. Those of a blend suit all members,
    each with its threshold.
    """
    targets, (low, high) = model.state.targets, model.state.rating_range
    if not (targets.choices or targets.labels):
        return (float(high), float(low)) if np.isfinite([low, high]).all() else (1.0, 0.0)
    threshold = targets.threshold
    most, least = (1.0, 0.0) if threshold is None else (threshold, threshold - 1)
    members = [liked(member) for member in getattr(model, "models_", {}).values()]
    return max([most, *(high for high, _ in members)]), min([least, *(low for _, low in members)])


def logistic_bound(z: NDArray[Any]) -> NDArray[Any]:
    """Return ``a = (σ(z) − ½) / z``, the curvature of the quadratic bound of the logistic cost that touches it at z.

    The bound of the cost of label y is ``½ a (z − (y − ½) / a)²`` and a constant (T. Jaakkola and M. Jordan, "Bayesian
    parameter estimation via variational methods", Statistics and Computing 10, 2000).
    """
    size = np.maximum(np.abs(z), 1e-3)  # the limit at 0 is reached long before
    bound: NDArray[Any] = np.tanh(size / 2) / (2 * size)
    return bound


def with_values(ratings: Ratings, values: Floats) -> Ratings:
    """Return ratings with other values; without timestamps."""
    if values is ratings.values:
        return ratings
    return Ratings(
        ratings.indptr,
        ratings.indices,
        np.ascontiguousarray(values),
        users=ratings.users,
        items=ratings.items,
        weights=ratings.weights,
    )


@dataclass(frozen=True)
class Targets:
    """The targets of a model, and the measure of its error.

    Attributes
    ----------
    cost : {"squared", "logistic"}
        Of ratings, or of labels.
    threshold : float or None
        Ratings of at least this are label 1; None: the ratings are the labels.
    soft : bool
        Whether labels may lie between 0 and 1.
    """

    cost: str = "squared"
    threshold: float | None = None
    soft: bool = False

    def check(self, caller: str) -> None:
        """Refuse a threshold without labels; raises ValueError."""
        if self.cost != "logistic" and self.threshold is not None:
            raise ValueError(f"{caller}: threshold must be None for cost='squared'; got {self.threshold!r}")

    @property
    def labels(self) -> bool:
        """Whether predictions are probabilities of label 1."""
        return self.cost == "logistic"

    @property
    def choices(self) -> bool:
        """Whether what users choose is learnt, and not how they rate."""
        return False

    @property
    def error(self) -> str:
        """Name of the error: "rmse" or "log_loss"."""
        return "log_loss" if self.labels else "rmse"

    def of(self, values: Floats, caller: str) -> Floats:
        """Return the targets of ratings: labels, or the ratings themselves."""
        return as_labels(values, self.threshold, caller, soft=self.soft) if self.labels else values

    def of_entries(self, values: Floats, weights: Floats | None, caller: str) -> tuple[Floats, Floats | None]:
        """Return the targets and the weights of entries."""
        return self.of(values, caller), weights

    def of_ratings(self, ratings: Ratings, caller: str) -> Ratings:
        """Return ratings with targets in place of their values."""
        return with_values(ratings, self.of(ratings.values, caller))

    def of_training(self, ratings: Ratings, caller: str) -> Ratings:
        """Return the same as :meth:`of_ratings` to train on.

        Raises ValueError for labels that are all alike; those of weight 0 tell nothing.
        """
        targets = self.of_ratings(ratings, caller)
        values = targets.values if targets.weights is None else targets.values[targets.weights > 0]
        if self.labels and values.size > 0 and values.min() == values.max():
            cut = "" if self.threshold is None else f" with threshold={self.threshold:g}"
            raise ValueError(
                f"{caller}: labels must be of two classes, or there is nothing to tell apart; got one class, "
                f"{values.size} labels that are all {values[0]:g}{cut}; where entries are what users chose, fit "
                "LinearAutoencoder or ImplicitFactorization, models of choices"
            )
        return targets

    def relevant(self, ratings: Ratings, caller: str) -> Ratings:
        """Return the ratings that say what is relevant to users: all, or those of label 1 (above ½)."""
        return ratings.take(self.of(ratings.values, caller) > 0.5) if self.labels else ratings

    def measured(self, targets: Any, predicted: Any, weights: Any = None) -> float:
        """Return the error of predictions: root mean squared, or the log-loss of labels."""
        measure = log_loss if self.labels else rmse
        return float(measure(targets, predicted, sample_weight=weights))

    def score(self, model: Recommender, X: Any, y: Any, sample_weight: Any, caller: str) -> float:
        """Return minus the error of a model's predictions of ratings; ``X``, ``y`` and weights as of its ``score``."""
        if isinstance(X, Ratings) or scipy.sparse.issparse(X) or y is None:
            X = as_ratings(X, y, sample_weight, caller=caller)
            values, weights = X.values, X.weights
        else:  # pairs, which may be repeated
            values = float_vector(y, caller, "ratings")
            n = len(pair_columns(X, caller)[0])
            weights = None if sample_weight is None else float_vector(sample_weight, caller, "sample_weight")
            for name, column in (("y", values), ("sample_weight", weights)):
                if column is not None and column.size != n:
                    raise ValueError(
                        f"{caller}: {name} must have as many entries as X has rows ({n}); got {column.size}"
                    )
            if n == 0:
                raise ValueError(f"{caller}: ratings must not be empty; got 0 entries")
        return -self.measured(self.of(values, caller), model.predict(X), weights)
