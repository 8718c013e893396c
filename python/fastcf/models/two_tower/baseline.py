"""What towers are added to: a regression on effects of users, items and features, fitted to the same targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.models.bias import BiasModel, row_sums
from fastcf.models.regression import MixedRegression
from fastcf.preprocessing import FeatureTable
from fastcf.preprocessing.means import shrunk_means
from fastcf.ratings import Ratings
from fastcf.scores import Compute, FactorScores, State
from fastcf.scores.queries import RatedSide
from fastcf.scores.targets import log_odds, logistic_bound
from fastcf.serialization import Archive, from_archive

__all__ = ["Baseline", "LabelBounds"]

Floats = NDArray[np.float32]


class LabelBounds(NamedTuple):
    """Training labels beside a baseline, whose cost is replaced by its quadratic bound that touches it there."""

    labels: Floats
    offsets: Floats  # the log-odds that the baseline says
    curvature: Floats  # of the bounds

    @classmethod
    def of(cls, labels: Floats, offsets: Floats) -> LabelBounds:
        """Return the bounds at the baseline's log-odds."""
        return cls(labels, offsets, logistic_bound(offsets))

    @property
    def left(self) -> Floats:
        """What the bounds want to be added to the baseline's log-odds."""
        wanted: Floats = (self.labels - np.float32(0.5)) / self.curvature - self.offsets
        return wanted


class Line(NamedTuple):
    """A regression of labels as log-odds: ``centre + (f − mean) / slope``."""

    mean: float  # p, the mean label
    centre: float  # its log-odds
    slope: float  # p (1 − p), that of σ there

    @classmethod
    def of(cls, labels: Ratings) -> Line:
        """Return the line that touches the log-odds at the mean label."""
        mean = float(np.average(labels.values.astype(np.float64), weights=labels.weights))
        return cls(mean, log_odds(labels.values, labels.weights), mean * (1 - mean))


@dataclass(frozen=True, eq=False)
class Baseline:
    """A fitted model whose rows are those of the towers.

    Where items have features, towers learn what the items' own biases would take: how these depend on features. The own
    biases are then fitted to what the towers leave.
    """

    model: BiasModel | MixedRegression
    item_reg: float | None = None  # penalty of items' own biases, where these are fitted after the towers
    line: Line | None = None  # of labels

    @classmethod
    def of(
        cls,
        ratings: Ratings,
        tables: tuple[FeatureTable | None, FeatureTable | None],
        *,
        labels: bool = False,
        **options: Any,
    ) -> Baseline:
        """Fit one to ratings or labels and the features of users and items, in the order of the towers' rows."""
        users, items = tables
        line = Line.of(ratings) if labels else None
        model: BiasModel | MixedRegression
        if users is None and items is None:
            model = BiasModel(**options).fit(ratings)
        else:
            model = MixedRegression(**options).fit(ratings, user_features=users, item_features=items)
        state = model.state.replaced(seen=None)  # which the towers' model has
        if items is None:
            return cls(model._with_state(state), None, line)
        scores = cls(model).own_scores.replaced(item_bias=state.learnt.item.explained)
        return cls(model._with_state(state.replaced(scores=scores)), state.learnt.item_reg, line)

    def beside(
        self,
        users: Floats,
        items: Floats,
        ratings: Ratings,
        left: Floats,
        bounds: LabelBounds | None,
        compute: Compute,
    ) -> Baseline:
        """Return it with items' own biases beside towers: shrunk means of what the products of their vectors leave.

        ``left`` is what it leaves of the ratings; of labels, of the targets of their ``bounds``.
        """
        if self.item_reg is None:
            return self
        none = np.zeros(len(users), np.float32), np.zeros(len(items), np.float32)
        products = FactorScores(users, items, *none, 0.0).pairs(ratings.row_of_entry(), ratings.indices, compute)
        weights = None if ratings.weights is None else ratings.weights.astype(np.float64)
        left = self._in_own_unit(left - products)
        if bounds is not None:  # those of labels as these are
            of_bounds = bounds.curvature.astype(np.float64) * self.gain
            weights = of_bounds if weights is None else weights * of_bounds
        sums = row_sums(ratings.indices, left.astype(np.float64), weights, len(items))
        totals = np.bincount(ratings.indices, weights, len(items))
        own = shrunk_means(sums, totals, 0.0, self.item_reg).astype(np.float32)
        scores = self.own_scores.replaced(item_bias=self.own_scores.item_bias + own)
        return replace(self, model=self.model._with_state(self.model.state.replaced(scores=scores)), item_reg=None)

    @property
    def meta(self) -> dict[str, Any]:
        """JSON values for a file, beside the model."""
        return {} if self.line is None else {"baseline_line": list(self.line)}

    @classmethod
    def unpacked(cls, archive: Archive, meta: dict[str, Any], common: State) -> Baseline:
        """Return that of an archive; raises ValueError if its rows are not those of ``common``."""
        line = Line(*map(float, meta["baseline_line"])) if "baseline_line" in meta else None
        if line is not None and not (np.isfinite(line).all() and line.slope > 0):
            raise ValueError(f"baseline_line must be three finite numbers, the last one positive; got {list(line)}")
        model = from_archive(archive)
        if not isinstance(model, (BiasModel, MixedRegression)):
            raise ValueError(f"the baseline must be a BiasModel or a MixedRegression; got {type(model).__name__}")
        if model.state.users != common.users or model.state.items != common.items:
            raise ValueError("the baseline must have the users and items of the towers")
        return cls(model, None, line)

    @property
    def own_scores(self) -> FactorScores:
        """Those of the model, in the unit of what it was fitted to."""
        scores = self.model.state.scores.as_factors()
        assert scores is not None
        return scores

    @property
    def gain(self) -> float:
        """What differences of the model's scores are multiplied by; not 1 for labels."""
        return 1.0 if self.line is None else 1 / self.line.slope

    def _in_own_unit(self, differences: Floats) -> Floats:
        """Return differences of scores in the unit of what the model was fitted to."""
        return differences / np.float32(self.gain)

    @property
    def scores(self) -> FactorScores:
        """Its factors, biases and mean; of labels those of log-odds."""
        scores, line = self.own_scores, self.line
        if line is None:
            return scores
        gain = np.float32(self.gain)
        return scores.replaced(
            user_factors=scores.user_factors * gain,
            user_bias=scores.user_bias * gain,
            item_bias=scores.item_bias * gain,
            global_mean=line.centre + (scores.global_mean - line.mean) * self.gain,
        )

    def of_side(self, side: int) -> tuple[Floats, Floats]:
        """Return factors and biases of all users (side 0) or items."""
        scores = self.scores
        return (scores.user_factors, scores.user_bias) if side == 0 else (scores.item_factors, scores.item_bias)

    def of_ratings(self, ratings: Ratings, compute: Compute) -> Floats:
        """Return what it predicts of the training ratings."""
        return self.scores.pairs(ratings.row_of_entry(), ratings.indices, compute)

    def of_features(self, side: int, matrix: Any) -> tuple[Floats, Floats]:
        """Return factors and biases of new rows by their features."""
        factors, bias = self.model.state.learnt.new_rows(("user", "item")[side], matrix)
        gain = np.float32(self.gain)
        return (factors * gain if side == 0 else factors), bias * gain

    def with_rated(self, rated: RatedSide, products: Floats, compute: Compute, caller: str) -> Baseline:
        """Return it with rated rows, less what towers say of their entries, in place of those of their side."""
        state = self.model.state
        left = replace(rated, values=rated.values - self._in_own_unit(products))
        folded = state.folding.fold_ratings(state, left, compute, caller)
        ids = {"users": rated.ids} if rated.by == "user" else {"items": rated.ids}
        return replace(self, model=self.model._with_state(folded.replaced(**ids)))

    def folded(self, **tables: FeatureTable) -> Baseline:
        """Return it with the rows of tables added, or with new features of known ones."""
        return replace(self, model=self.model.fold_in(**tables))
