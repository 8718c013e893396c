"""Regressions on known features, per user, per item, and of all together."""

from fastcf.models.regression.item_regression import ItemRegression
from fastcf.models.regression.mixed_regression import MixedRegression
from fastcf.models.regression.user_regression import UserRegression

__all__ = ["ItemRegression", "MixedRegression", "UserRegression"]
