"""What towers are added to: a regression on effects of users, items and features, fitted to the same ratings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.models.bias import BiasModel, row_sums
from fastcf.models.regression import MixedRegression
from fastcf.preprocessing import FeatureTable
from fastcf.preprocessing.means import shrunk_means
from fastcf.ratings import Ratings
from fastcf.scores import Compute, FactorScores, State
from fastcf.scores.queries import RatedSide
from fastcf.serialization import Archive, from_archive

__all__ = ["Baseline"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Baseline:
    """A fitted model whose rows are those of the towers.

    Where items have features, towers learn what the items' own biases would take: how these depend on features. The own
    biases are then fitted to what the towers leave.
    """

    model: BiasModel | MixedRegression
    item_reg: float | None = None  # penalty of items' own biases, where these are fitted after the towers

    @classmethod
    def of(cls, ratings: Ratings, tables: tuple[FeatureTable | None, FeatureTable | None], **options: Any) -> Baseline:
        """Fit one to ratings and the features of users and items, in the order of the towers' rows."""
        users, items = tables
        model: BiasModel | MixedRegression
        if users is None and items is None:
            model = BiasModel(**options).fit(ratings)
        else:
            model = MixedRegression(**options).fit(ratings, user_features=users, item_features=items)
        state = model.state.replaced(seen=None)  # which the towers' model has
        if items is None:
            return cls(model._with_state(state))
        scores = cls(model).scores.replaced(item_bias=state.learnt.item.explained)
        return cls(model._with_state(state.replaced(scores=scores)), state.learnt.item_reg)

    def beside(self, users: Floats, items: Floats, ratings: Ratings, left: Floats, compute: Compute) -> Baseline:
        """Return it with items' own biases beside towers: shrunk means of what the products of their vectors leave."""
        if self.item_reg is None:
            return self
        none = np.zeros(len(users), np.float32), np.zeros(len(items), np.float32)
        products = FactorScores(users, items, *none, 0.0).pairs(ratings.row_of_entry(), ratings.indices, compute)
        weights = None if ratings.weights is None else ratings.weights.astype(np.float64)
        sums = row_sums(ratings.indices, (left - products).astype(np.float64), weights, len(items))
        totals = np.bincount(ratings.indices, weights, len(items))
        own = shrunk_means(sums, totals, 0.0, self.item_reg).astype(np.float32)
        scores = self.scores.replaced(item_bias=self.scores.item_bias + own)
        return Baseline(self.model._with_state(self.model.state.replaced(scores=scores)))

    @classmethod
    def unpacked(cls, archive: Archive, common: State) -> Baseline:
        """Return that of an archive; raises ValueError if its rows are not those of ``common``."""
        model = from_archive(archive)
        if not isinstance(model, (BiasModel, MixedRegression)):
            raise ValueError(f"the baseline must be a BiasModel or a MixedRegression; got {type(model).__name__}")
        if model.state.users != common.users or model.state.items != common.items:
            raise ValueError("the baseline must have the users and items of the towers")
        return cls(model)

    @property
    def scores(self) -> FactorScores:
        """Its factors, biases and mean."""
        scores = self.model.state.scores.as_factors()
        assert scores is not None
        return scores

    def of_side(self, side: int) -> tuple[Floats, Floats]:
        """Return factors and biases of all users (side 0) or items."""
        scores = self.scores
        return (scores.user_factors, scores.user_bias) if side == 0 else (scores.item_factors, scores.item_bias)

    def of_ratings(self, ratings: Ratings, compute: Compute) -> Floats:
        """Return what it predicts of the training ratings."""
        return self.scores.pairs(ratings.row_of_entry(), ratings.indices, compute)

    def of_features(self, side: int, matrix: Any) -> tuple[Floats, Floats]:
        """Return factors and biases of new rows by their features."""
        rows: tuple[Floats, Floats] = self.model.state.learnt.new_rows(("user", "item")[side], matrix)
        return rows

    def with_rated(self, rated: RatedSide, compute: Compute, caller: str) -> Baseline:
        """Return it with rated rows in place of those of their side."""
        state = self.model.state
        folded = state.folding.fold_ratings(state, rated, compute, caller)
        ids = {"users": rated.ids} if rated.by == "user" else {"items": rated.ids}
        return Baseline(self.model._with_state(folded.replaced(**ids)))

    def folded(self, **tables: FeatureTable) -> Baseline:
        """Return it with the rows of tables added, or with new features of known ones."""
        return Baseline(self.model.fold_in(**tables))
