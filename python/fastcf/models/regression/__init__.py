"""Regressions on known features, per user and per item."""

from fastcf.models.regression.item_regression import ItemRegression
from fastcf.models.regression.user_regression import UserRegression

__all__ = ["ItemRegression", "UserRegression"]
