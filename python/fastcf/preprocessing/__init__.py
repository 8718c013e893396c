"""Mean normalisation of ratings, tables of features, and the one scaling of features that scikit-learn lacks.

For the other scalings take scikit-learn's transformers, which keep constant columns finite: ``StandardScaler`` for
``(x - mean) / standard deviation``, ``MinMaxScaler(feature_range=(-1, 1))`` for scaling to [-1, 1], and
``MaxAbsScaler`` for the same without moving zeros, which suits sparse features.
"""

from fastcf.preprocessing.features import FeatureTable, as_feature_table
from fastcf.preprocessing.means import MeanNormalizer, row_means
from fastcf.preprocessing.scaling import MeanRangeScaler

__all__ = ["FeatureTable", "MeanNormalizer", "MeanRangeScaler", "as_feature_table", "row_means"]
