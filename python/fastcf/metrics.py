"""Errors of predicted ratings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["mae", "rmse"]


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


def _mean_error(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None, power: int, caller: str
) -> float:
    true = _finite_vector(y_true, caller, "y_true")
    predicted = _finite_vector(y_pred, caller, "y_pred")
    if true.size == 0:
        raise ValueError(f"{caller}: y_true must not be empty")
    if predicted.size != true.size:
        raise ValueError(f"{caller}: y_pred must have as many entries as y_true ({true.size}); got {predicted.size}")
    errors = np.abs(predicted - true) ** power
    if sample_weight is None:
        return float(np.mean(errors))
    weights = _finite_vector(sample_weight, caller, "sample_weight")
    if weights.size != true.size:
        raise ValueError(
            f"{caller}: sample_weight must have as many entries as y_true ({true.size}); got {weights.size}"
        )
    if weights.min() < 0:
        entry = int(np.argmin(weights))
        raise ValueError(f"{caller}: sample_weight must not be negative; got {weights[entry]} at entry {entry}")
    total = float(weights.sum())
    if total == 0:
        raise ValueError(f"{caller}: sample_weight must have a positive sum; got 0.0")
    return float(weights @ errors) / total


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

    See Also
    --------
    mae : Mean absolute error.

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
    y_true : array-like of shape (n,)
        True ratings; finite.
    y_pred : array-like of shape (n,)
        Predicted ratings; finite.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights with a positive sum; by default every rating counts the same.

    Returns
    -------
    float
        ``sum(w * abs(y_pred - y_true)) / sum(w)``, computed in float64, in units of the ratings.

    Raises
    ------
    TypeError
        If an argument does not hold numbers.
    ValueError
        If an argument is empty, not one-dimensional or not finite, if the lengths differ, or if the weights are
        negative or sum to zero.

    See Also
    --------
    rmse : Root mean squared error.

    Examples
    --------
    >>> mae([3.0, 5.0], [4.0, 5.0])
    0.5
    """
    return _mean_error(y_true, y_pred, sample_weight, 1, "mae")
