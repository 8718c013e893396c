"""Searches for the best parameters, and splits of pairs of ids for scikit-learn's.

:class:`GridSearch`, :class:`RandomSearch`, :class:`HalvingSearch` and :class:`OptunaSearch` fit candidates on folds of
ratings. The splitters cut pairs, ``cv=`` of scikit-learn's functions, or ratings, ``cv=`` of these searches.
"""

from fastcf.model_selection.halving import HalvingSearch
from fastcf.model_selection.optuna_search import OptunaSearch
from fastcf.model_selection.search import GridSearch, RandomSearch
from fastcf.model_selection.splitters import ColdItemKFold, ColdUserKFold, PerUserKFold, PerUserSplit, TimeSplit
from fastcf.model_selection.stopping import MedianStopping

__all__ = [
    "ColdItemKFold",
    "ColdUserKFold",
    "GridSearch",
    "HalvingSearch",
    "MedianStopping",
    "OptunaSearch",
    "PerUserKFold",
    "PerUserSplit",
    "RandomSearch",
    "TimeSplit",
]
