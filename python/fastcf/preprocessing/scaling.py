"""The scaling of features that scikit-learn lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_array

__all__ = ["MeanRangeScaler"]


class MeanRangeScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped bases
    """Scales features to ``(x - mean) / (max - min)``; constant ones become 0.

    A scikit-learn transformer. The result has mean 0 and a range of 1 per feature, so it lies within [-1, 1].

    Attributes
    ----------
    mean_, range_ : ndarray of shape (n_features,), float64
        Mean, and maximum minus minimum (1 for constant features), of the columns.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str
        Names of the columns, where the training data has such.

    Examples
    --------
    >>> MeanRangeScaler().fit_transform([[1.0, 7.0], [2.0, 7.0], [6.0, 7.0]])
    array([[-0.4,  0. ],
           [-0.2,  0. ],
           [ 0.6,  0. ]])
    """

    feature_names_in_: NDArray[np.object_]

    def fit(self, X: Any, y: Any = None) -> MeanRangeScaler:
        """Learn mean and range of the columns.

        Parameters
        ----------
        X : array-like of shape (n, f)
            Dense and finite.
        y : None
            Ignored.

        Returns
        -------
        MeanRangeScaler
            Itself.

        Raises
        ------
        TypeError
            If ``X`` is sparse: subtracting means would fill it.
        ValueError
            If it holds NaN or infinite values, or is not two-dimensional.
        """
        matrix = self._checked(X, "fit", first=True)
        wide = matrix.astype(np.float64, copy=False)
        low, high = wide.min(axis=0), wide.max(axis=0)
        # constant columns: the mean of equal numbers may differ from them by rounding
        self.mean_ = np.where(high > low, wide.mean(axis=0), low)
        self.range_ = np.where(high > low, high - low, 1.0)
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Scale features.

        Parameters
        ----------
        X : array-like of shape (n, n_features_in_)
            Dense and finite.

        Returns
        -------
        ndarray of the same shape
            float32 for float32, else float64.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            As for :meth:`fit`, and if the number of columns differs.
        """
        matrix = self._checked(X, "transform")
        scaled: NDArray[Any] = ((matrix - self.mean_) / self.range_).astype(matrix.dtype, copy=False)
        return scaled

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Undo :meth:`transform`.

        Parameters
        ----------
        X : array-like of shape (n, n_features_in_)
            Scaled features.

        Returns
        -------
        ndarray of the same shape
            float32 for float32, else float64.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for :meth:`transform`.
        """
        matrix = self._checked(X, "inverse_transform")
        original: NDArray[Any] = (matrix * self.range_ + self.mean_).astype(matrix.dtype, copy=False)
        return original

    def _checked(self, X: Any, method: str, first: bool = False) -> NDArray[Any]:
        caller = f"MeanRangeScaler.{method}"
        if not first and not hasattr(self, "mean_"):
            raise NotFittedError(f"{caller}: the scaler must be fitted first; call fit")
        if scipy.sparse.issparse(X):
            raise TypeError(f"{caller}: X must be dense, for subtracting means fills a sparse matrix; got {X!r}")
        given = np.asarray(X)
        if given.ndim == 2 and given.dtype.kind == "f" and not np.isfinite(given).all():
            row, column = divmod(int(np.argmin(np.isfinite(given))), given.shape[1])
            value = given[row, column]
            raise ValueError(
                f"{caller}: X must be finite, without NaN or infinity; got {value} at row {row}, column {column}"
            )
        matrix: NDArray[Any] = check_array(X, dtype=[np.float64, np.float32], estimator=caller, input_name="X")
        names = getattr(X, "columns", None)
        if first and hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if first and names is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.asarray(names, dtype=object)
        if first:
            self.n_features_in_ = int(matrix.shape[1])
        elif matrix.shape[1] != self.n_features_in_:
            raise ValueError(  # in the words that scikit-learn's checks of estimators look for
                f"{caller}: X has {matrix.shape[1]} features, but MeanRangeScaler is expecting {self.n_features_in_} "
                "features as input"
            )
        return matrix
