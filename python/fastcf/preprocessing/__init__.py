"""Mean normalisation of ratings, tables of features, and the one scaling of features that scikit-learn lacks.

For the other scalings take scikit-learn's transformers, which keep constant columns finite: ``StandardScaler`` for
``(x - mean) / standard deviation``, ``MinMaxScaler(feature_range=(-1, 1))`` for scaling to [-1, 1], and
``MaxAbsScaler`` for the same without moving zeros, which suits sparse features.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastcf.preprocessing.features import FeatureTable, as_feature_table
from fastcf.preprocessing.means import row_means

if TYPE_CHECKING:
    from fastcf.preprocessing.mean_normalizer import MeanNormalizer
    from fastcf.preprocessing.scaling import MeanRangeScaler

__all__ = ["FeatureTable", "MeanNormalizer", "MeanRangeScaler", "as_feature_table", "row_means"]

_LATER = {"MeanNormalizer": "mean_normalizer", "MeanRangeScaler": "scaling"}  # they import scikit-learn, which is slow


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'fastcf.preprocessing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fastcf.preprocessing.{_LATER[name]}"), name)
