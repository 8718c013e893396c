"""Scores of fitted models by row, the links to predictions, and the recommender around them."""

from fastcf.scores.choices import Choices
from fastcf.scores.dense_weights import DenseWeightScores
from fastcf.scores.explanations import Breakdown, Explanation
from fastcf.scores.factors import FactorScores, Posterior
from fastcf.scores.item_weights import ItemWeightScores
from fastcf.scores.links import Compute, Identity, Link, Sigmoid, Squash
from fastcf.scores.protocol import Scores, Selection
from fastcf.scores.recommender import Recommender
from fastcf.scores.results import Neighbours, Recommendations
from fastcf.scores.seen import SeenItems
from fastcf.scores.standard import StandardScores
from fastcf.scores.state import Folding, State
from fastcf.scores.targets import Targets
from fastcf.scores.vectors import METRICS, VectorTable
from fastcf.scores.weighted import Part, Support, WeightedScores

__all__ = [
    "METRICS",
    "Breakdown",
    "Choices",
    "Compute",
    "DenseWeightScores",
    "Explanation",
    "FactorScores",
    "Folding",
    "Identity",
    "ItemWeightScores",
    "Link",
    "Neighbours",
    "Part",
    "Posterior",
    "Recommendations",
    "Recommender",
    "Scores",
    "SeenItems",
    "Selection",
    "Sigmoid",
    "Squash",
    "StandardScores",
    "State",
    "Support",
    "Targets",
    "VectorTable",
    "WeightedScores",
]
