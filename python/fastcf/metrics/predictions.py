"""Errors of predicted ratings, and of predicted probabilities of labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from fastcf._thresholds import reaches

__all__ = ["ERRORS", "accuracy", "calibration_error", "log_loss", "mae", "rmse", "roc_auc"]

_Floats = npt.NDArray[np.float64]


def _finite_vector(values: npt.ArrayLike, caller: str, name: str) -> npt.NDArray[np.float64]:
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{caller}: {name} must hold numbers; {error}") from error
    if vector.ndim != 1:
        raise ValueError(f"{caller}: {name} must have 1 dimension; got {vector.ndim}")
    finite = np.isfinite(vector)
    if not finite.all():
        entry = int(np.argmin(finite))
        raise ValueError(f"{caller}: {name} must be finite; got {vector[entry]} at entry {entry}")
    return vector


def _pair(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None, caller: str, name: str = "y_pred"
) -> tuple[_Floats, _Floats, _Floats | None]:
    """Return the two vectors and the weights (None: all alike), checked."""
    true = _finite_vector(y_true, caller, "y_true")
    predicted = _finite_vector(y_pred, caller, name)
    if true.size == 0:
        raise ValueError(f"{caller}: y_true must not be empty")
    if predicted.size != true.size:
        raise ValueError(f"{caller}: {name} must have as many entries as y_true ({true.size}); got {predicted.size}")
    if sample_weight is None:
        return true, predicted, None
    weights = _finite_vector(sample_weight, caller, "sample_weight")
    if weights.size != true.size:
        raise ValueError(
            f"{caller}: sample_weight must have as many entries as y_true ({true.size}); got {weights.size}"
        )
    if weights.min() < 0:
        entry = int(np.argmin(weights))
        raise ValueError(f"{caller}: sample_weight must not be negative; got {weights[entry]} at entry {entry}")
    if float(weights.sum()) == 0:
        raise ValueError(f"{caller}: sample_weight must have a positive sum; got 0.0")
    return true, predicted, weights


def _mean(values: _Floats, weights: _Floats | None) -> float:
    return float(np.mean(values)) if weights is None else float(weights @ values) / float(weights.sum())


def _mean_error(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None, power: int, caller: str
) -> float:
    true, predicted, weights = _pair(y_true, y_pred, sample_weight, caller)
    return _mean(np.abs(predicted - true) ** power, weights)


def _require(ok: npt.NDArray[np.bool_], values: _Floats, caller: str, name: str, what: str) -> None:
    if not ok.all():
        entry = int(np.argmin(ok))
        raise ValueError(f"{caller}: {name} must {what}; got {values[entry]} at entry {entry}")


def _labels_and_probabilities(
    y_true: npt.ArrayLike, p: npt.ArrayLike, sample_weight: npt.ArrayLike | None, caller: str
) -> tuple[_Floats, _Floats, _Floats | None]:
    """Return labels and probabilities, both in [0, 1], and the weights, checked."""
    true, predicted, weights = _pair(y_true, p, sample_weight, caller, "p")
    _require((true >= 0) & (true <= 1), true, caller, "y_true", "lie in [0, 1]")
    _require((predicted >= 0) & (predicted <= 1), predicted, caller, "p", "lie in [0, 1]")
    return true, predicted, weights


def rmse(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None) -> float:
    """Root mean squared error.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True ratings; finite.
    y_pred : array-like of shape (n,)
        Predicted ratings; finite.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights with a positive sum; by default every rating counts the same.

    Returns
    -------
    float
        ``sqrt(sum(w * (y_pred - y_true)**2) / sum(w))``, computed in float64, in units of the ratings.

    Raises
    ------
    TypeError
        If an argument does not hold numbers.
    ValueError
        If an argument is empty, not one-dimensional or not finite, if the lengths differ, or if the weights are
        negative or sum to zero.

    Examples
    --------
    >>> rmse([3.0, 5.0], [4.0, 5.0])
    0.7071067811865476
    """
    return float(np.sqrt(_mean_error(y_true, y_pred, sample_weight, 2, "rmse")))


def mae(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None) -> float:
    """Mean absolute error.

    Parameters
    ----------
    y_true, y_pred, sample_weight
        As for :func:`rmse`.

    Returns
    -------
    float
        ``sum(w * abs(y_pred - y_true)) / sum(w)``, computed in float64, in units of the ratings.

    Raises
    ------
    TypeError, ValueError
        As for :func:`rmse`.

    Examples
    --------
    >>> mae([3.0, 5.0], [4.0, 5.0])
    0.5
    """
    return _mean_error(y_true, y_pred, sample_weight, 1, "mae")


def log_loss(y_true: npt.ArrayLike, p: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None) -> float:
    """Mean negative log-likelihood of binary labels, or cross-entropy of labels between 0 and 1.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels in [0, 1].
    p : array-like of shape (n,)
        Predicted probabilities of label 1, in [0, 1]. Kept away from 0 and 1 by the spacing of their dtype, so that one
        wrong certainty does not make the result infinite.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights with a positive sum; by default every label counts the same.

    Returns
    -------
    float
        ``-sum(w * (y * log(p) + (1 - y) * log(1 - p))) / sum(w)``, in nats, computed in float64.

    Raises
    ------
    TypeError, ValueError
        As for :func:`rmse`, and if an argument is out of range.

    See Also
    --------
    sklearn.metrics.log_loss : The same for labels 0 and 1, and for more than two classes.

    Examples
    --------
    >>> round(log_loss([1, 0], [0.8, 0.4]), 4)
    0.367
    """
    true, _, weights = _labels_and_probabilities(y_true, p, sample_weight, "log_loss")
    return _mean(log_losses(true, np.asarray(p)), weights)


def log_losses(true: npt.NDArray[Any], p: npt.NDArray[Any]) -> _Floats:
    """Return the negative log-likelihood of each label, of which :func:`log_loss` is the mean."""
    spacing = float(np.finfo(p.dtype if p.dtype.kind == "f" else np.float64).eps)
    predicted = np.clip(p.astype(np.float64), spacing, 1 - spacing)
    losses: _Floats = -(xlogy(true, predicted) + xlogy(1 - true, 1 - predicted))
    return losses


ERRORS: dict[str, Callable[[_Floats, Any], _Floats]] = {
    "rmse": lambda true, predicted: (predicted - true) ** 2,
    "mae": lambda true, predicted: np.abs(predicted - true),
    "log_loss": log_losses,
    "accuracy": lambda true, predicted: ((predicted >= 0.5) == (true == 1)).astype(np.float64),
}
"""What each prediction adds to a metric that is their mean, or its root; of labels, by probabilities of label 1."""


def accuracy(
    y_true: npt.ArrayLike, p: npt.ArrayLike, *, threshold: float = 0.5, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Share of binary labels that probabilities get right.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels, 0 or 1.
    p : array-like of shape (n,)
        Predicted probabilities of label 1, or any scores; finite.
    threshold : float, default 0.5
        Predict 1 where ``p >= threshold``, compared in the precision of ``p``: a float32 of 0.7 reaches 0.7.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights with a positive sum; by default every label counts the same.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        As for :func:`log_loss`, and if a label is neither 0 nor 1.

    Examples
    --------
    >>> accuracy([1, 0, 1], [0.8, 0.4, 0.3])
    0.6666666666666666
    """
    true, _, weights = _pair(y_true, p, sample_weight, "accuracy", "p")
    _require((true == 0) | (true == 1), true, "accuracy", "y_true", "be 0 or 1")
    return _mean((reaches(np.asarray(p), threshold) == (true == 1)).astype(np.float64), weights)


def roc_auc(y_true: npt.ArrayLike, score: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None) -> float:
    """Area under the ROC curve: the probability that a random 1 is scored above a random 0, ties counting half.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels, 0 or 1; both must occur.
    score : array-like of shape (n,)
        Predicted probabilities or any scores; finite.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights; by default every label counts the same.

    Returns
    -------
    float
        Between 0 and 1; 0.5 for scores that tell nothing.

    Raises
    ------
    TypeError, ValueError
        As for :func:`accuracy`, and if the labels (of positive weight) are all 0 or all 1.

    See Also
    --------
    sklearn.metrics.roc_auc_score : Computes it.

    Examples
    --------
    >>> roc_auc([1, 0, 1], [0.8, 0.4, 0.3])
    0.5
    """
    true, predicted, weights = _pair(y_true, score, sample_weight, "roc_auc", "score")
    _require((true == 0) | (true == 1), true, "roc_auc", "y_true", "be 0 or 1")
    counted = true if weights is None else true[weights > 0]
    if counted.min() == counted.max():
        raise ValueError(f"roc_auc: y_true must hold both labels; got {counted.size} times {counted[0]:g}")
    from sklearn.metrics import roc_auc_score  # slow to import, and models import this module

    return float(roc_auc_score(true, predicted, sample_weight=weights))


def calibration_error(
    y_true: npt.ArrayLike, p: npt.ArrayLike, *, n_bins: int = 10, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Expected calibration error: how far predicted probabilities are from the shares of 1 among like predictions.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels in [0, 1].
    p : array-like of shape (n,)
        Predicted probabilities of label 1, in [0, 1].
    n_bins : int, default 10
        Number of bins of equal width that [0, 1] is cut into; an edge belongs to the bin above it, 1 to the last.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights with a positive sum; by default every label counts the same.

    Returns
    -------
    float
        ``sum(W_b * abs(mean_b(y) - mean_b(p))) / sum(W_b)`` over the bins, with W_b the sum of the weights in bin b and
        weighted means; between 0 and 1, smaller is better.

    Raises
    ------
    TypeError, ValueError
        As for :func:`log_loss`, and if ``n_bins`` is no positive integer.

    References
    ----------
    M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI
    2015.

    Examples
    --------
    >>> round(calibration_error([1, 0, 1, 1], [0.8, 0.4, 0.85, 0.45]), 4)
    0.125
    """
    true, predicted, weights = _labels_and_probabilities(y_true, p, sample_weight, "calibration_error")
    if isinstance(n_bins, (bool, np.bool_)) or not isinstance(n_bins, (int, np.integer)) or n_bins < 1:
        raise ValueError(f"calibration_error: n_bins must be a positive integer; got {n_bins!r}")
    weights = np.ones_like(true) if weights is None else weights
    bins = np.minimum((predicted * n_bins).astype(np.int64), n_bins - 1)
    gaps = np.bincount(bins, weights * (true - predicted))
    return float(np.abs(gaps).sum() / weights.sum())
