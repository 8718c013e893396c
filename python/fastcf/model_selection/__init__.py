"""Splits of pairs of user and item ids for scikit-learn's searches and cross-validation."""

from fastcf.model_selection.splitters import ColdItemKFold, ColdUserKFold, PerUserKFold, PerUserSplit, TimeSplit

__all__ = ["ColdItemKFold", "ColdUserKFold", "PerUserKFold", "PerUserSplit", "TimeSplit"]
