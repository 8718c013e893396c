"""From fitted members and held-out ratings to the state of a blend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import Backend
from fastcf._parameters import ListMeasure
from fastcf.ids import IdMap
from fastcf.metrics import rmse
from fastcf.metrics.scorers import LIST_METRICS
from fastcf.models.blend.counts import CountScale, CountWeights, counts_of, fitted_scale
from fastcf.models.blend.fitting import Fold
from fastcf.models.blend.learnt import BlendFolding, LearntBlend, Member, union_of_ids, weighted_sum
from fastcf.models.blend.list_weights import list_weights
from fastcf.models.blend.searched_weights import error_weights
from fastcf.models.blend.weights import blend_weights
from fastcf.ratings import Ratings
from fastcf.scores import Choices, Compute, Part, SeenItems, State, Targets
from fastcf.scores.queries import pair_rows
from fastcf.scores.seen import union_of_seen
from fastcf.scores.targets import as_labels

__all__ = ["LISTS", "Weighing", "ids_of_members", "with_members"]

LISTS = ListMeasure(tuple(LIST_METRICS))
"""Metrics of lists."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Weighing:
    """How the weights of a blend are found.

    Attributes
    ----------
    metric, threshold, reg, intercept, non_negative
        As :class:`fastcf.Blend` has them.
    by_count : bool
        Whether weights may depend on the numbers of ratings that members were fitted to.
    compute : Compute
        The device.
    caller : str
        Named in messages.
    """

    metric: str
    threshold: float | None
    reg: float | str
    intercept: bool
    non_negative: bool
    by_count: bool
    compute: Compute
    caller: str

    @property
    def list_length(self) -> int:
        """The length of the lists that are measured; 0 for the error of predictions."""
        return LISTS.length(self.metric)

    @property
    def targets(self) -> Targets:
        """What the blend predicts."""
        return self.targets_of(self.metric, self.threshold)

    @staticmethod
    def targets_of(metric: str, threshold: float | None) -> Targets:
        """Return what a blend by a metric predicts."""
        return Choices(threshold=threshold, strength="as given") if LISTS.length(metric) else Targets()

    def state(
        self, fitted: Sequence[Sequence[Member]], folds: Sequence[Fold], rated: Ratings, backend: Backend, joined: bool
    ) -> State:
        """Return the state of a blend of the members fitted to the first fold.

        ``rated`` counts as seen, and gives the range of ratings. If the members were fitted elsewhere
        (``joined``), what they have seen, and their ranges, count as well.
        """
        members = fitted[0]
        users, items = ids = ids_of_members(members, self.caller)
        parts: Any = [(rated.users, rated.items, SeenItems(rated.indptr, rated.indices))]
        span = [rated.rating_range]
        if joined:
            states = [member.state for member in members]
            parts += [(own.users, own.items, own.seen) for own in states]
            span = [own.rating_range for own in states]
        limits = min(low for low, _ in span), max(high for _, high in span)
        seen: SeenItems | None = parts[0][2]
        if joined or ids != (rated.users, rated.items):
            seen = union_of_seen(parts, *ids) if all(each is not None for *_, each in parts) else None
        if self.list_length:
            learnt = self._of_lists(members, folds[0].held_out, seen, ids, rated.mean)
            limits = (-np.inf, np.inf)
        else:
            learnt = self._of_predictions(fitted, folds, ids, rated.mean, limits)
        return State.of(
            rated,
            backend,
            weighted_sum(learnt, users, items),
            users=users,
            items=items,
            seen=seen,
            rating_range=limits,
            targets=self.targets,
            learnt=learnt,
            folding=BlendFolding(learnt),
        )

    def _of_lists(
        self,
        members: Sequence[Member],
        held_out: Ratings,
        seen: SeenItems | None,
        ids: tuple[IdMap, IdMap],
        mean: float,
    ) -> LearntBlend:
        """Fit the weights to the held-out choices, which lists of the validation do not leave out."""
        caller = f"{self.caller}: validation"
        strengths = self.targets.of_training(held_out, caller).values
        chosen = held_out.take(strengths > 0)  # with its ratings, which grade
        rows = pair_rows(chosen, *ids, caller)
        known = (rows[0] >= 0) & (rows[1] >= 0)
        if not known.any():
            raise ValueError(f"{caller} must hold choices of users and items that members know; got none")
        users, items = (side[row[known]] for side, row in zip((ids[0].ids, ids[1].ids), rows, strict=True))
        chosen = Ratings.from_coo(users, items, chosen.values[known], user_ids=ids[0], item_ids=ids[1])
        seen = None if seen is None else seen.without(chosen, *ids)
        name = self.metric.partition("@")[0]
        equal = LearntBlend(tuple(members), np.ones(len(members)), 0.0, 0.0, 0.0, (), 0, mean, name, lists=True)
        found = list_weights(weighted_sum(equal, *ids), chosen, seen, name, self.list_length, self.compute)
        return replace(
            equal,
            weights=found.weights,
            measure=found.measure,
            member_measures=found.member_measures,
            n_validation=int(known.sum()),
        )

    def _of_predictions(
        self,
        fitted: Sequence[Sequence[Member]],
        folds: Sequence[Fold],
        ids: tuple[IdMap, IdMap],
        mean: float,
        limits: tuple[float, float],
    ) -> LearntBlend:
        """Fit the weights to the held-out ratings of all folds."""
        scores = np.concatenate(
            [self._scores(own, fold.held_out) for own, fold in zip(fitted, folds, strict=True)], axis=0
        )
        values = np.concatenate([fold.held_out.values for fold in folds])
        weighted = [fold.held_out.weights for fold in folds if fold.held_out.weights is not None]
        sample = np.concatenate(weighted) if weighted else None
        members, n = tuple(fitted[0]), values.size
        if self.metric != "rmse":
            if self.metric == "log_loss":
                as_labels(values, None, f"{self.caller}: validation", soft=True)
            found = error_weights(scores, values, sample, self.metric, limits)
            measures = found.measure, found.member_measures
            return LearntBlend(members, found.weights, 0.0, 0.0, *measures, n, mean, self.metric)
        scales, support = self._support(folds) if self.by_count else (None, None)
        settings = {"intercept": self.intercept, "non_negative": self.non_negative}
        part = np.repeat(np.arange(len(folds)), [fold.held_out.nnz for fold in folds])
        combined = blend_weights(scores, values, sample, self.reg, support=support, part=part, **settings)
        predicted = scores @ combined.weights + combined.intercept
        by_count = None
        if combined.slopes is not None and scales is not None and support is not None:
            by_count = CountWeights(combined.slopes, *combined.count_slopes, scales, counts_of(folds[0].train, *ids))
            of_user, of_item = support
            predicted += by_count.user_slope * of_user + (by_count.item_slope + scores @ combined.slopes) * of_item

        def error(predicted: _Floats) -> float:
            return rmse(values, np.clip(predicted, *limits), sample_weight=sample)

        own_errors = tuple(error(column) for column in scores.T)
        own = combined.weights, combined.intercept, combined.reg
        return LearntBlend(members, *own, error(predicted), own_errors, n, mean, by_count=by_count)

    def _scores(self, members: Sequence[Member], held_out: Ratings) -> _Floats:
        """Return what members predict for held-out ratings, a column per member."""
        columns = []
        for member in members:
            own = member.state
            rows = pair_rows(held_out, own.users, own.items, self.caller)
            part = Part(own.scores, 1.0, None, None, own.rating_range)
            columns.append(part.pairs(*rows, self.compute).astype(np.float64))
        return np.stack(columns, axis=1)

    @staticmethod
    def _support(
        folds: Sequence[Fold],
    ) -> tuple[tuple[CountScale, CountScale], tuple[_Floats, _Floats]] | tuple[None, None]:
        """Return the scales of counts, and the support of the users and items of all held-out ratings."""
        found = []
        for train, held_out in folds:
            users, items = counts_of(train, held_out.users, held_out.items)
            found.append((users[held_out.row_of_entry()], items[held_out.indices]))
        of_users, of_items = (np.concatenate(each) for each in zip(*found, strict=True))
        user_scale, item_scale = fitted_scale(of_users), fitted_scale(of_items)
        if user_scale is None or item_scale is None:
            return None, None
        return (user_scale, item_scale), (user_scale(of_users), item_scale(of_items))


def ids_of_members(members: Sequence[Member], caller: str) -> tuple[IdMap, IdMap]:
    """Return the users and the items of all members."""
    users = union_of_ids({member.name: member.state.users for member in members}, "users_", caller)
    return users, union_of_ids({member.name: member.state.items for member in members}, "items_", caller)


def with_members(state: State, members: Sequence[Member], ratings: Ratings | None = None) -> State:
    """Return the state of a blend with its members fitted again, to ``ratings`` if all were, in the same rows."""
    learnt: LearntBlend = replace(state.learnt, members=tuple(members))
    if learnt.by_count is not None and ratings is not None:
        counts = counts_of(ratings, state.users, state.items)
        learnt = replace(learnt, by_count=replace(learnt.by_count, counts=counts))
    return state.replaced(
        scores=weighted_sum(learnt, state.users, state.items), learnt=learnt, folding=BlendFolding(learnt)
    )
