"""From tables and ratings to features of items and users, as :class:`fastcf.FeatureTable`."""

from fastcf.features.derived import item_features, user_features
from fastcf.features.joining import hstack, identity
from fastcf.features.ready_made import MovieLensFeatures, movielens
from fastcf.features.tables import TableFeatures
from fastcf.features.watching import watched

__all__ = [
    "MovieLensFeatures",
    "TableFeatures",
    "hstack",
    "identity",
    "item_features",
    "movielens",
    "user_features",
    "watched",
]
