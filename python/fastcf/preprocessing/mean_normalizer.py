"""Mean normalisation of ratings."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from fastcf._assembly import pair_columns
from fastcf.ids import IdMap
from fastcf.preprocessing.means import shrunk_means
from fastcf.ratings import Ratings, as_ratings

__all__ = ["MeanNormalizer"]


class MeanNormalizer(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Subtracts the mean rating of the item, of the user, or of all.

    A model of normalised ratings that predicts 0 for a user without ratings predicts the item's mean once the
    normalisation is undone (Ng, "Machine Learning", lecture on recommender systems: mean normalisation).

    Parameters
    ----------
    by : {"item", "user", "global"}, default "item"
        The side of the means.

    Attributes
    ----------
    global_mean_ : float
        Mean of all ratings, weighted by their weights.
    ids_ : IdMap or None
        The items or users; None for ``by="global"``.
    mean_ : ndarray of shape (len(ids_),), float64
        Their means; the global mean for rows without ratings (or with weights of 0 only). Empty for ``by="global"``.

    Examples
    --------
    >>> ratings = Ratings.from_coo([1, 2, 1], [7, 7, 8], [5.0, 3.0, 1.0])
    >>> scaler = MeanNormalizer().fit(ratings)
    >>> scaler.mean_
    array([4., 1.])
    >>> scaler.transform([(1, 7), (2, 99)], [5.0, 3.0])  # no user rated 99: the mean of all is 3
    array([1., 0.], dtype=float32)
    """

    def __init__(self, by: str = "item") -> None:
        self.by = by

    def fit(self, X: Any, y: ArrayLike | None = None) -> MeanNormalizer:
        """Learn the means.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The ratings, or user and item ids.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.

        Returns
        -------
        MeanNormalizer
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or the parameter is not as described.
        """
        caller = "MeanNormalizer.fit"
        if self.by not in ("item", "user", "global"):
            raise ValueError(f"{caller}: by must be 'item', 'user' or 'global'; got {self.by!r}")
        ratings = as_ratings(X, y, caller=caller)
        weights = np.ones(ratings.nnz) if ratings.weights is None else ratings.weights.astype(np.float64)
        total = float(weights.sum())
        if total == 0:
            raise ValueError(f"{caller}: weights must not all be zero; got {ratings.nnz} zeros")
        weighted = weights * ratings.values
        self.global_mean_ = float(weighted.sum()) / total
        if self.by == "global":
            self.ids_, self.mean_ = None, np.empty(0)
            return self
        self.ids_ = ratings.items if self.by == "item" else ratings.users
        rows = ratings.indices if self.by == "item" else ratings.row_of_entry()
        totals, sums = (np.bincount(rows, each, len(self.ids_)) for each in (weights, weighted))
        self.mean_ = shrunk_means(sums, totals, self.global_mean_)
        return self

    def transform(self, X: Any, y: ArrayLike | None = None) -> Any:
        """Return ratings less their means.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            As for :meth:`fit`; items and users not seen there have the global mean.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.

        Returns
        -------
        Ratings, or ndarray of shape (n,), float32, where ``X`` holds ids

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If the input is not as described.
        """
        return self._shift(X, y, -1.0, "transform")

    def fit_transform(self, X: Any, y: ArrayLike | None = None) -> Any:
        """Learn the means of ratings and subtract them: :meth:`fit`, then :meth:`transform`.

        Parameters
        ----------
        X, y
            As for :meth:`fit`.

        Returns
        -------
        Ratings, or ndarray of shape (n,), float32, where ``X`` holds ids
        """
        return self.fit(X, y).transform(X, y)

    def inverse_transform(self, X: Any, y: ArrayLike | None = None) -> Any:
        """Return normalised ratings, or predictions of them, plus their means.

        Parameters
        ----------
        X, y
            As for :meth:`transform`.

        Returns
        -------
        Ratings, or ndarray of shape (n,), float32, where ``X`` holds ids
            What :meth:`transform` was given, up to float32 rounding.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for :meth:`transform`.
        """
        return self._shift(X, y, 1.0, "inverse_transform")

    def _shift(self, X: Any, y: ArrayLike | None, sign: float, method: str) -> Any:
        caller = f"MeanNormalizer.{method}"
        if not hasattr(self, "global_mean_"):
            raise NotFittedError(f"{caller}: the normalizer must be fitted first; call fit")
        if isinstance(X, Ratings) or scipy.sparse.issparse(X):
            ratings = as_ratings(X, y, caller=caller)
            ids = ratings.items if self.by == "item" else ratings.users
            rows = ratings.indices if self.by == "item" else ratings.row_of_entry()
            values = ratings.values + sign * self._means_of(ids)[rows]
            return ratings.with_values(values)
        column = pair_columns(X, caller)[1 if self.by == "item" else 0]
        given = np.asarray(y)
        if given.shape != (len(column),) or given.dtype.kind not in "fiu":
            raise ValueError(
                f"{caller}: y must hold a number for each of {len(column)} pairs; "
                f"got shape {given.shape}, dtype {given.dtype}"
            )
        means = self._means_of(column)
        shifted: NDArray[np.float32] = (given + sign * means).astype(np.float32)
        return shifted

    def _means_of(self, ids: ArrayLike | IdMap) -> NDArray[np.float64]:
        size = len(ids) if isinstance(ids, IdMap) else np.size(ids)
        if self.ids_ is None or size == 0:
            return np.full(size, self.global_mean_)
        rows = self.ids_.rows(ids)
        means: NDArray[np.float64] = np.where(rows >= 0, self.mean_[np.maximum(rows, 0)], self.global_mean_)
        return means
