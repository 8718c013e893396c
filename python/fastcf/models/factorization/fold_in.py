"""New users and items of a fitted factorisation: their factors in closed form, the other side standing still."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf.ids import IdMap
from fastcf.models._parameters import OneOf
from fastcf.models._results import SeenItems
from fastcf.models.base import SimilarityMixin
from fastcf.ratings import Ratings, as_ratings

__all__ = ["FoldInMixin"]

_Model = TypeVar("_Model", bound="FoldInMixin")


class FoldInMixin(SimilarityMixin):
    """Adds ``fold_in`` to models whose rows are least-squares solutions given the other side."""

    reg_: float
    reg_exponent_: float
    user_bias_reg_: float
    item_bias_reg_: float
    bias: bool

    def fold_in(self: _Model, X: Any, y: ArrayLike | None = None, *, by: str = "user", strict: bool = False) -> _Model:
        r"""Return a model of the users (or items) of new ratings, without training again.

        With the other side standing still, the objective is a least-squares problem for each row, which is solved
        exactly: ``p_u, b_u = argmin ½ Σ_i w (ŷ_ui − y_ui)² + ½ λ n_u^a ‖p_u‖² + ½ λ_b b_u²`` with the penalties of the
        fit. After ``solver="bayes"`` every draw is extended by the mean of its new rows' posterior.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            Ratings of the new rows; rows that the model knows are solved afresh, from these ratings alone.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.
        by : {"user", "item"}, default "user"
            Whose rows are new.
        strict : bool, default False
            Whether an id of the other side that the model does not know is an error. Otherwise its ratings are left
            out: nothing is known that could explain them.

        Returns
        -------
        model of the same class
            Its users (or items) are those of ``X``, in ascending order of their ids; the other side is shared with this
            model, not copied. It predicts, recommends and is saved like any other. ``seen_`` are the ratings of ``X``
            where ``by="user"``, else None.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If the ratings are not as described, or ``strict`` and an id is unknown.

        Notes
        -----
        The same bits for any number of threads.

        References
        ----------
        Y. Zhou et al., "Large-scale parallel collaborative filtering for the Netflix Prize", AAIM 2008: one half-sweep
        of alternating least squares.
        """
        caller = f"{type(self).__name__}.fold_in"
        self._require_fitted("fold_in")
        if not OneOf(("user", "item")).accepts(by):
            raise ValueError(f"{caller}: by must be 'user' or 'item'; got {by!r}")
        ratings = as_ratings(X, y, caller=caller)
        ids, csr, weights = self._known_entries(ratings, by, "fold_in", strict)
        folded = copy.copy(self)
        self._fold(folded, by, csr, weights)
        if by == "user":
            folded.users_, folded.seen_ = ids, SeenItems(csr[0], csr[1])
        else:
            folded.items_, folded.seen_ = ids, None
        return folded

    def _known_entries(
        self, ratings: Ratings, by: str, method: str, strict: bool
    ) -> tuple[IdMap, tuple[Any, ...], NDArray[np.float32] | None]:
        """Return the ids of one side of ratings, and the ratings of what the model knows of the other, as CSR."""
        fixed = self.items_ if by == "user" else self.users_
        given = ratings.items if by == "user" else ratings.users
        known = self._rows(fixed, given.ids, "item" if by == "user" else "user", method, strict)
        rows, columns, values, weights, ids = _side_of(ratings, by)
        columns = known[columns]
        kept = columns >= 0
        order = np.lexsort((columns[kept], rows[kept]))
        rows, columns, values = rows[kept][order], columns[kept][order], values[kept][order]
        weights = None if weights is None else weights[kept][order]
        indptr = np.zeros(len(ids) + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=len(ids)), out=indptr[1:])
        return ids, (indptr, np.ascontiguousarray(columns, np.int32), np.ascontiguousarray(values)), weights

    def _fold(self, folded: Any, by: str, csr: tuple[Any, ...], weights: NDArray[np.float32] | None) -> None:
        """Solve the rows of ``csr`` into ``folded``."""
        n_rows, k = csr[0].size - 1, self.user_factors_.shape[1]
        factors = np.zeros((n_rows, k), np.float32)
        bias = np.zeros(n_rows, np.float32)
        options: dict[str, Any] = {"weights": weights, "reg": self.reg_, "reg_exponent": self.reg_exponent_}
        if by == "user":
            column_offset, options["bias_reg"] = self.item_bias_, self.user_bias_reg_
            if self.item_mean_ is not None:
                column_offset = column_offset + self.item_mean_
        else:
            column_offset, options["bias_reg"] = self.user_bias_, self.item_bias_reg_
            if self.item_mean_ is not None:
                folded.item_mean_ = row_means(csr, weights, self.global_mean_)
                options["row_offset"] = folded.item_mean_
        offset = 0.0 if self.item_mean_ is not None else self.global_mean_
        self._native.als_update(
            *csr,
            self.item_factors_ if by == "user" else self.user_factors_,
            factors,
            bias if self.bias else None,
            column_offset=column_offset,
            offset=offset,
            n_threads=self._threads,
            **options,
        )
        if by == "user":
            folded.user_factors_, folded.user_bias_ = factors, bias
        else:
            folded.item_factors_, folded.item_bias_ = factors, bias


def _side_of(
    ratings: Ratings, by: str
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32] | None, IdMap]:
    """Return row, column, rating and weight of each entry, and the ids of the rows."""
    users = ratings.row_of_entry()
    if by == "user":
        return users, ratings.indices, ratings.values, ratings.weights, ratings.users
    return ratings.indices, users, ratings.values, ratings.weights, ratings.items


def row_means(csr: tuple[Any, ...], weights: NDArray[np.float32] | None, fallback: float) -> NDArray[np.float32]:
    """Return the mean rating of each row, and ``fallback`` for rows without ratings (or with weights of 0 only)."""
    indptr, _, values = csr
    rows = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    w = np.ones(values.size, np.float32) if weights is None else weights
    total = np.bincount(rows, w, indptr.size - 1)
    sums = np.bincount(rows, w * values, indptr.size - 1)
    return np.where(total > 0, sums / np.where(total > 0, total, 1), fallback).astype(np.float32)
