"""New users and items of a logistic factorisation: regressions on the other side's factors, which stands still."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from fastcf.models._fold_in import FoldInMixin
from fastcf.models._labels import as_labels, labelled
from fastcf.ratings import Ratings, as_ratings

__all__ = ["LogisticFoldInMixin"]

_Model = TypeVar("_Model", bound="LogisticFoldInMixin")
_STEPS, _TOLERANCE = 100, 1e-4


class LogisticFoldInMixin(FoldInMixin):
    """Adds ``fold_in`` to models of labels, and the labels themselves."""

    threshold: float | None

    def _labelled(self, ratings: Ratings, caller: str) -> Ratings:
        """Return the labels of ratings in their place."""
        return labelled(ratings, as_labels(ratings.values, self.threshold, caller))

    def fold_in(self: _Model, X: Any, y: ArrayLike | None = None, *, by: str = "user", strict: bool = False) -> _Model:
        r"""Return a model of the users (or items) of new ratings, without training again.

        With the other side standing still, the objective of each row is a regularised logistic regression, which is
        minimised. Each step replaces the cost by its quadratic bound of Jaakkola and Jordan at the present z: least
        squares with weights ``(σ(z) − ½) / z``, which natively takes one half-sweep of alternating least squares, and
        never raises the objective. Steps end when no parameter moves by more than 1e-4, or after 100.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            Labels or ratings of the new rows, as for ``fit``; rows that the model knows are solved afresh, from these
            alone.
        y : array-like of shape (n,), optional
            The labels or ratings where ``X`` holds ids.
        by : {"user", "item"}, default "user"
            Whose rows are new.
        strict : bool, default False
            Whether an id of the other side that the model does not know is an error. Otherwise its ratings are left
            out: nothing is known that could explain them.

        Returns
        -------
        model of the same class
            Its users (or items) are those of ``X``, in ascending order of their ids; the other side is shared with this
            model, not copied. ``seen_`` are the ratings of ``X`` where ``by="user"``, else None.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If the ratings are not as described, or ``strict`` and an id is unknown.

        Warns
        -----
        ConvergenceWarning
            If rows still move after the last step, as they do without end where nothing penalises them and their labels
            are all alike, or told apart by the other side's factors.

        Notes
        -----
        The same bits for any number of threads.

        References
        ----------
        T. Jaakkola and M. Jordan, "Bayesian parameter estimation via variational methods", Statistics and Computing 10,
        2000.
        """
        caller = f"{type(self).__name__}.fold_in"
        self._require_fitted("fold_in")
        labels = self._labelled(as_ratings(X, y, caller=caller), caller)
        folded: _Model = super().fold_in(labels, by=by, strict=strict)
        return folded

    def _fold(self, folded: Any, by: str, csr: tuple[Any, ...], weights: NDArray[np.float32] | None) -> None:
        indptr, columns, labels = csr
        n_rows = indptr.size - 1
        of_user = by == "user"
        fixed, column_bias, bias_reg = (
            (self.item_factors_, self.item_bias_, self.user_bias_reg_)
            if of_user
            else (self.user_factors_, self.user_bias_, self.item_bias_reg_)
        )
        factors = np.zeros((n_rows, fixed.shape[1]), np.float32)
        bias = np.zeros(n_rows, np.float32)
        rows = np.repeat(np.arange(n_rows, dtype=np.int32), np.diff(indptr))
        native = self._native
        for _ in range(_STEPS):
            z = native.predict_pairs(
                rows, columns, factors, fixed, bias, column_bias, None, self.global_mean_, n_threads=self._threads
            )
            size = np.maximum(np.abs(z), np.float32(1e-3))  # the limit at 0 is reached long before
            bound = np.tanh(size / 2) / (2 * size)
            before = factors.copy(), bias.copy()
            native.als_update(
                indptr,
                columns,
                (labels - np.float32(0.5)) / bound,
                fixed,
                factors,
                bias if self.bias else None,
                weights=bound if weights is None else bound * weights,
                column_offset=column_bias,
                offset=self.global_mean_,
                reg=self.reg_,
                reg_exponent=self.reg_exponent_,
                bias_reg=bias_reg,
                n_threads=self._threads,
            )
            moved = np.maximum(np.abs(factors - before[0]).max(axis=1, initial=0), np.abs(bias - before[1]))
            settled = moved <= _TOLERANCE
            if settled.all():
                break
        else:
            warnings.warn(
                f"{type(self).__name__}.fold_in: {n_rows - settled.sum():,} of {n_rows:,} {by}s did not converge in "
                f"{_STEPS} steps, the last of which moved parameters by up to {moved.max():.2g}; fit the model with a "
                "larger reg or bias_reg",
                ConvergenceWarning,
                stacklevel=4,
            )
        if of_user:
            folded.user_factors_, folded.user_bias_ = factors, bias
        else:
            folded.item_factors_, folded.item_bias_ = factors, bias
