"""Features of items as networks read them, and new items by their features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcf.ids import extended
from fastcf.models.perceptron.scores import PerceptronScores
from fastcf.preprocessing import FeatureTable, as_feature_table
from fastcf.scores import Compute, Folding, Recommender, State

__all__ = ["LearntPerceptrons", "PerceptronFolding", "dense", "item_table", "unit_scale"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LearntPerceptrons:
    """The learnt values of :class:`UserPerceptron` other than networks."""

    shown: ClassVar[tuple[str, ...]] = ("feature_scale", "learning_rate", "reg")

    feature_scale: Floats | None
    learning_rate: float
    reg: float


def item_table(item_features: Any, caller: str) -> FeatureTable:
    """Return features of items as a table; those of a fitted factor model are its items' biases and factors."""
    if isinstance(item_features, Recommender):
        state = item_features.state
        factors = state.scores.as_factors()
        if factors is not None:
            return FeatureTable(state.items, np.column_stack([factors.item_score, factors.item_factors]))
    return as_feature_table(item_features, caller, "item_features")


def unit_scale(table: FeatureTable) -> Floats:
    """Return one over the root mean square of each feature of a dense table."""
    squares = np.mean(np.square(table.matrix, dtype=np.float64), axis=0)
    return (1 / np.sqrt(np.where(squares > 0, squares, 1))).astype(np.float32)


def dense(table: FeatureTable, scale: Floats | None) -> Floats:
    """Return the features dense and scaled, in new memory."""
    matrix = table.matrix.toarray() if table.is_sparse else table.matrix
    return np.array(matrix if scale is None else matrix * scale, np.float32, order="C")


class PerceptronFolding(Folding):
    """New items by their features; the networks do not change."""

    featured_sides = ("item",)
    why = ": a new user's network is trained by fit"

    def unexplained(self, state: State) -> str:
        """Return why there are no contributions of features."""
        return (
            "hidden layers are not linear, so that what features contribute does not add up to a score; explain with "
            "UserRegression"
        )

    def table(self, side: str, features: Any, caller: str) -> FeatureTable:
        """Return a table, also of a fitted factor model's items."""
        return item_table(features, caller)

    def fold_features(self, state: State, features: Mapping[str, FeatureTable], compute: Compute, caller: str) -> State:
        """Append the features of new items; known items get the new ones."""
        scores, table = state.scores, features["item"]
        assert isinstance(scores, PerceptronScores)
        known = scores.item_features
        if table.n_features != known.shape[1]:
            raise ValueError(f"{caller}: item_features must have {known.shape[1]} features; got {table.n_features}")
        items = extended(state.items, table.ids, f"{caller}: item_features")
        longer = np.concatenate([known, np.empty((len(items) - len(known), known.shape[1]), np.float32)])
        longer[items.rows(table.ids)] = dense(table, state.learnt.feature_scale)
        return state.replaced(items=items, scores=replace(scores, item_features=longer))
