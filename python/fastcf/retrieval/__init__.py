"""Retrieval and ranking for large catalogues: a few hundred candidates from cheap sources, then the best of them.

Retrievers propose items: :class:`NearestVectors`, :class:`TopItems`, :class:`RelatedItems`, :class:`TopPerGroup`,
:class:`Popular`, and any object with the two methods of :class:`Retriever`. :class:`TwoStageRecommender` merges what
they find and ranks it by a fitted model, or by a regressor of scikit-learn over features (:class:`FeatureRanker`).
"""

from fastcf.retrieval._candidates import Candidates, Retriever
from fastcf.retrieval.popular import Popular, TopPerGroup
from fastcf.retrieval.ranker import FeatureRanker
from fastcf.retrieval.top_items import TopItems
from fastcf.retrieval.two_stage import RankedItems, TwoStageRecommender
from fastcf.retrieval.vectors import NearestVectors, RelatedItems

__all__ = [
    "Candidates",
    "FeatureRanker",
    "NearestVectors",
    "Popular",
    "RankedItems",
    "RelatedItems",
    "Retriever",
    "TopItems",
    "TopPerGroup",
    "TwoStageRecommender",
]
