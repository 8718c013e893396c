"""The learnt values of a blend: its members' states, their weights, and the sum of their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastcf._callers import errors_of
from fastcf.ids import IdMap, distinct, extended
from fastcf.models.blend.counts import CountWeights
from fastcf.models.estimator import Estimator
from fastcf.scores import Breakdown, Compute, Folding, Part, Scores, StandardScores, State, WeightedScores
from fastcf.scores.explanations import MemberShare, explained
from fastcf.scores.protocol import Rows
from fastcf.scores.queries import RatedSide

__all__ = ["BlendFolding", "LearntBlend", "Member", "union_of_ids", "weighted_sum"]


@dataclass(frozen=True, eq=False)
class Member:
    """A member of a fitted blend.

    Attributes
    ----------
    name : str
        Its name.
    model : Estimator
        Its class and parameters.
    state : State
        Its state in the blend.
    """

    name: str
    model: Estimator
    state: State


@dataclass(frozen=True, eq=False)
class LearntBlend:
    """The learnt values of :class:`fastcf.Blend`, without the sum of scores.

    ``measure`` is what the blend gets for the validation ratings by the ``metric`` ("rmse", or "ndcg" of lists);
    ``member_measures`` are those of the members.
    """

    members: tuple[Member, ...]
    weights: NDArray[np.float64]
    intercept: float
    reg: float | None
    measure: float
    member_measures: tuple[float, ...]
    n_validation: int
    global_mean: float
    metric: str = "rmse"
    lists: bool = False
    by_count: CountWeights | None = None

    @property
    def slopes(self) -> NDArray[np.float64] | None:
        """What an item's support adds to the weights."""
        return None if self.by_count is None else self.by_count.slopes

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the attributes of the model."""
        measures = f"validation_{self.metric}", f"member_{self.metric}"
        regressed = ("intercept", "reg", "slopes") if self.metric == "rmse" else ()
        return "weights", *regressed, *measures, "n_validation", *(() if self.lists else ("global_mean",))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("validation_") and name == f"validation_{self.metric}":
            return self.measure
        if name.startswith("member_") and name == f"member_{self.metric}":
            return self.by_member()
        raise AttributeError(name)

    def by_member(self) -> dict[str, float]:
        """Return the measure of each member by its name."""
        return dict(zip((member.name for member in self.members), self.member_measures, strict=True))


def union_of_ids(maps: Mapping[str, IdMap], attribute: str, caller: str) -> IdMap:
    """Return the map of all ids of the members' maps, the first member's where all agree; ids must be of one kind."""
    first, *others = maps.values()
    if all(each == first for each in others):
        return first
    text = [each.kind == "str" for each in maps.values()]
    if any(text) and not all(text):
        names = list(maps)
        raise ValueError(
            f"{caller}: members must have ids of one kind in {attribute}; got strings in {names[text.index(True)]!r} "
            f"and integers in {names[text.index(False)]!r} (load both with id_type='str', or convert with .astype(str))"
        )
    union = first
    for each in others:
        union = extended(union, each, f"{caller}: members")
    return distinct(union.column)


def _rows_in(own: IdMap, ids: IdMap) -> Rows | None:
    """Return the row of each id in a member's map; None where the maps agree."""
    return None if own is ids or own == ids else own.rows(ids)


def weighted_sum(learnt: LearntBlend, users: IdMap, items: IdMap) -> WeightedScores:
    """Return the scores of a blend: of the members' states, in the rows of ``users`` and ``items``."""
    parts = []
    by_count, intercept = learnt.by_count, learnt.intercept
    weights, slopes = learnt.weights, np.zeros(learnt.weights.size)
    if by_count is not None:  # in scores, weights and constant are those of rows without ratings
        of_user, of_item = by_count.unknown()
        slopes = by_count.slopes
        weights = weights + slopes * of_item
        intercept += by_count.user_slope * of_user + by_count.item_slope * of_item
    for member, weight, slope in zip(learnt.members, weights.tolist(), slopes.tolist(), strict=True):
        own = member.state
        counts = weight != 0 or slope != 0
        rows = (_rows_in(own.users, users), _rows_in(own.items, items)) if counts else (None, None)
        parts.append(Part(_scores_of(own, learnt.lists), weight, *rows, _limits(own, learnt.lists), slope))
    support = None if by_count is None else by_count.support()
    return WeightedScores(tuple(parts), intercept, len(users), len(items), support=support)


def _scores_of(state: State, lists: bool) -> Scores:
    """Return the scores of a member: for lists on a common scale."""
    return StandardScores(state.scores) if lists else state.scores


def _limits(state: State, lists: bool) -> tuple[float, float]:
    """Return the limits of a member's contribution."""
    return (-np.inf, np.inf) if lists else state.rating_range


class BlendFolding(Folding):
    """New rows of every member, weighted as before: of the sides that all members with a weight can compute."""

    def __init__(self, learnt: LearntBlend) -> None:
        weights = learnt.weights if learnt.slopes is None else np.abs(learnt.weights) + np.abs(learnt.slopes)
        weighted = [member for member, weight in zip(learnt.members, weights, strict=True) if weight != 0]
        sides = {member.name: member.state.folding.rated_sides for member in weighted}
        self.rated_sides = tuple(side for side in ("user", "item") if all(side in own for own in sides.values()))
        missing = [repr(name) for name, own in sides.items() if not set(own) >= {"user", "item"}]
        members = "member" if len(missing) == 1 else "members"
        self.why = f" (limited by its {members} {', '.join(missing)})" if missing else ""

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Let each member compute the rows, from the ratings of ids of the other side that it has."""
        learnt: LearntBlend = state.learnt
        sums = cast(WeightedScores, state.scores)
        by_user = rated.by == "user"
        parts, members = [], []
        for part, member in zip(sums.parts, learnt.members, strict=True):
            if not part.counts:  # it has no effect, and may not support it
                members.append(member)
                parts.append(part)
                continue
            own = member.state
            theirs = _translated(rated, part.item_rows if by_user else part.user_rows)
            with errors_of(f"the member {member.name!r}"):
                values, weights = own.targets.of_entries(theirs.values, theirs.weights, caller)
                theirs = replace(theirs, values=values, weights=weights)
                folded = own.folding.fold_ratings(own, theirs, compute, caller).replaced(seen=theirs.seen)
            kept = theirs if by_user and own.folding.explains_by_ratings else None
            folded = folded.replaced(rated=kept)
            if by_user:
                folded, part = folded.replaced(users=rated.ids), replace(part, user_rows=None)
            else:
                folded, part = folded.replaced(items=rated.ids), replace(part, item_rows=None)
            members.append(replace(member, state=folded))
            parts.append(replace(part, scores=_scores_of(folded, learnt.lists)))
        n_users, n_items = (len(rated.ids), sums.n_items) if by_user else (sums.n_users, len(rated.ids))
        by_count = None if learnt.by_count is None else learnt.by_count.with_rows(rated.by, np.diff(rated.indptr))
        support = None if by_count is None else by_count.support()
        scores = WeightedScores(tuple(parts), sums.intercept, n_users, n_items, support=support)
        return state.replaced(scores=scores, learnt=replace(learnt, members=tuple(members), by_count=by_count))

    def unexplained(self, state: State) -> str:
        """Return nothing: a score is a sum over members."""
        return ""

    def breakdown(self, state: State, user: int, items: Rows, compute: Compute) -> Breakdown:
        """Return what each member with a weight adds to the scores of a user row, and what its own are made of."""
        learnt: LearntBlend = state.learnt
        sums = cast(WeightedScores, state.scores)
        users = np.full(items.size, user, np.int32)
        values, members = {}, {}
        for part, member in zip(sums.parts, learnt.members, strict=True):
            if part.counts:
                weights = sums.weights(part, items)
                values[member.name] = weights * part.pairs(users, items, compute).astype(np.float64)
                members[member.name] = _share(part, weights, member, learnt.lists, user, items, compute)
        constants = sums.constants(users, items)
        base = {"intercept": constants} if constants.any() else {}
        terms = np.array(list(values.values())).reshape(len(values), items.size)
        return Breakdown(base, "member", np.array(list(values), dtype=str), terms, members)


def _share(
    part: Part, weights: NDArray[np.float64], member: Member, lists: bool, user: int, items: Rows, compute: Compute
) -> MemberShare:
    """Return by what a member's scores of items are multiplied in the sum, and what they are made of."""
    own, row = member.state, int(part.users(np.array([user], np.int32))[0])
    scale = weights if part.scores.linear else None
    if lists:
        scale = weights * StandardScores(own.scores).scale_of(row, compute)[1]
    inner = None
    if not own.folding.unexplained(own):
        inner = explained(own, row, part.items(items), compute, member.name)
    return MemberShare(scale, inner)


def _translated(rated: RatedSide, table: Rows | None) -> RatedSide:
    """Return the ratings by a member's rows of the other side; those of ids unknown to it are left out."""
    if table is None:
        return rated
    columns = table[rated.columns]
    rows = np.repeat(np.arange(len(rated.ids)), np.diff(rated.indptr))
    kept = columns >= 0
    order = np.lexsort((columns[kept], rows[kept]))
    indptr = np.zeros(len(rated.ids) + 1, np.int64)
    np.cumsum(np.bincount(rows[kept], minlength=len(rated.ids)), out=indptr[1:])
    weights = None if rated.weights is None else rated.weights[kept][order]
    return RatedSide(rated.by, rated.ids, indptr, columns[kept][order], rated.values[kept][order], weights)
