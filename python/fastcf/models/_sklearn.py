"""What scikit-learn asks of an estimator whose columns are ids, not features; and the rows of those ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin

from fastcf.ids import IdMap
from fastcf.ratings import Ratings

__all__ = ["PairRegressor"]


class PairRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Base of the estimators that predict a number for a user id and an item id."""

    n_threads: int | None
    users_: IdMap
    items_: IdMap

    @property
    def n_features_in_(self) -> int:
        """Number of columns of ``X``: 2, a user id and an item id; only after ``fit``, as scikit-learn has it."""
        if not hasattr(self, "users_"):
            raise AttributeError(f"{type(self).__name__}: n_features_in_ is known after fit only")
        return 2

    def __sklearn_tags__(self) -> Any:  # scikit-learn asks from 1.6 on
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = tags.input_tags.string = True
        tags.regressor_tags.poor_score = True  # on scikit-learn's example data, which have features and no ids
        return tags

    def _more_tags(self) -> dict[str, Any]:  # until 1.5
        return {"poor_score": True}

    def _rows(self, ids: IdMap, wanted: ArrayLike, what: str, method: str, strict: bool) -> NDArray[np.int32]:
        if np.size(wanted) == 0:
            return np.empty(0, np.int32)
        rows = ids.rows(wanted, n_threads=self.n_threads)
        if strict and (rows < 0).any():
            entry = int(np.argmax(rows < 0))
            value = np.asarray(wanted)[entry]
            value = value.item() if isinstance(value, np.generic) else value
            raise ValueError(
                f"{type(self).__name__}.{method}: strict=True needs known {what} ids; got {value!r} at entry {entry}"
            )
        return rows

    def _pair_rows(
        self, X: Any, method: str, strict: bool, maps: tuple[IdMap, IdMap] | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the rows of pairs, in the given id maps or else in the model's."""
        user_ids, item_ids = maps or (self.users_, self.items_)
        if isinstance(X, Ratings):
            users = self._rows(user_ids, X.users.ids, "user", method, strict)
            items = self._rows(item_ids, X.items.ids, "item", method, strict)
            return users[X.row_of_entry()], items[X.indices]
        if scipy.sparse.issparse(X):
            entries = X.tocoo()
            pairs = np.stack([entries.row, entries.col], axis=1)
        else:
            pairs = np.array(X, dtype=object) if isinstance(X, (list, tuple)) else np.asarray(X)
        if pairs.size == 0:
            return np.empty(0, np.int32), np.empty(0, np.int32)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError(
                f"{type(self).__name__}.{method}: X must have shape (n, 2), user and item ids; got {pairs.shape}"
            )
        users = self._rows(user_ids, pairs[:, 0], "user", method, strict)
        return users, self._rows(item_ids, pairs[:, 1], "item", method, strict)
