"""Labels 0 and 1: ratings cut at a threshold, or the ratings themselves; and models that may learn them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.utils.metaestimators import available_if

from fastcf.metrics import log_loss
from fastcf.models.base import FactorModel
from fastcf.ratings import Ratings, as_ratings

__all__ = ["CostMixin", "as_labels", "labelled", "log_odds"]


def as_labels(
    values: NDArray[np.float32], threshold: float | None, caller: str, *, soft: bool = False
) -> NDArray[np.float32]:
    """Return 1 for ratings of at least ``threshold`` and 0 for others; without one the ratings, checked.

    With ``soft``, which the logistic cost of a regression allows, those may also lie between.
    """
    if threshold is not None:
        return (values >= float(threshold)).astype(np.float32)  # a NumPy scalar would be compared in float64
    wrong = (values < 0) | (values > 1) if soft else (values != 0) & (values != 1)
    if wrong.any():
        entry = int(wrong.argmax())
        what = "lie in [0, 1] for cost='logistic'" if soft else "be 0 or 1"
        raise ValueError(f"{caller}: ratings must {what} without a threshold; got {values[entry]:g} at entry {entry}")
    return values


def log_odds(labels: NDArray[np.float32], weights: NDArray[np.float32] | None) -> float:
    """Return the logarithm of the odds of label 1; half a label of each kind is added, or it might be infinite."""
    total, ones = float(labels.size), float(labels.sum(dtype=np.float64))
    if weights is not None:
        wide = weights.astype(np.float64)
        total, ones = float(wide.sum()), float(wide @ labels)
    return float(np.log((ones + 0.5) / (total - ones + 0.5)))


def labelled(ratings: Ratings, labels: NDArray[np.float32]) -> Ratings:
    """Return ratings with labels in their place."""
    if labels is ratings.values:
        return ratings
    return Ratings(
        ratings.indptr,
        ratings.indices,
        np.ascontiguousarray(labels),
        users=ratings.users,
        items=ratings.items,
        weights=ratings.weights,
    )


def _has_labels(model: Any) -> bool:
    return bool(model._is_logistic)


class CostMixin(FactorModel):
    """A model whose ``cost`` is "squared", of ratings, or "logistic", of labels cut at its ``threshold``."""

    cost: str
    threshold: float | None

    @property
    def _caller(self) -> str:
        return f"{type(self).__name__}.fit"

    @property
    def _is_logistic(self) -> bool:
        return bool(self.cost == "logistic")

    def _check_threshold(self) -> None:
        if not self._is_logistic and self.threshold is not None:
            raise ValueError(f"{self._caller}: threshold must be None for cost='squared'; got {self.threshold!r}")

    def _labels(self, ratings: Ratings, caller: str) -> NDArray[np.float32]:
        """Return what is regressed on: the ratings, or for the logistic cost labels in [0, 1]."""
        if not self._is_logistic:
            return ratings.values
        return as_labels(ratings.values, self.threshold, caller, soft=True)

    def _on_scale(self, predicted: NDArray[np.float32]) -> NDArray[np.float32]:
        return expit(predicted, out=predicted) if self._is_logistic else super()._on_scale(predicted)

    @available_if(_has_labels)  # type: ignore[untyped-decorator]  # scikit-learn ships no types
    def predict_proba(self, X: Any, *, strict: bool = False) -> NDArray[np.float32]:
        """Predict the probabilities of label 1; only for ``cost="logistic"``, where :meth:`predict` returns them too.

        Parameters
        ----------
        X, strict
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (n,), float32
        """
        return self.predict(X, strict=strict)

    def score(self, X: Any, y: ArrayLike | None = None) -> float:
        """Return minus the root mean squared error, for ``cost="logistic"`` minus the log-loss: larger is better.

        Parameters
        ----------
        X, y
            Ratings as for ``fit``; those of a logistic model are cut at its threshold, if it has one.

        Returns
        -------
        float
        """
        if not self._is_logistic:
            return super().score(X, y)
        caller = f"{type(self).__name__}.score"
        ratings = as_ratings(X, y, caller=caller)
        return -log_loss(self._labels(ratings, caller), self.predict(ratings), sample_weight=ratings.weights)
