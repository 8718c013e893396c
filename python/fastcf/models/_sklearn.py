"""What scikit-learn asks of an estimator whose columns are ids, not features."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, RegressorMixin

__all__ = ["PairRegressor"]


class PairRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Base of the estimators that predict a number for a user id and an item id."""

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
