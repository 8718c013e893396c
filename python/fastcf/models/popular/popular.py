"""What most people chose, or rated best."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from fastcf._durations import Duration
from fastcf._parameters import THREADS, Constraint, Interval, Nothing, OneOf
from fastcf.errors import DataError
from fastcf.ids import extended
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.popular.groups import Groups, as_groups, decay, shrunk_means, summed
from fastcf.models.popular.scores import PopularScores
from fastcf.ratings import Ratings
from fastcf.scores import Choices, Compute, Folding, SeenItems, State, Targets
from fastcf.scores.choices import STRENGTHS
from fastcf.scores.queries import RatedSide
from fastcf.scores.stored import packed_rows, unpacked_rows
from fastcf.serialization import Archive, register

__all__ = ["Popular"]


@dataclass(frozen=True, eq=False)
class LearntGroups:
    """The names of the groups of :class:`Popular`."""

    shown: ClassVar[tuple[str, ...]] = ("group_names",)

    group_names: NDArray[Any]


class PopularFolding(Folding):
    """New users are users of no group; known ones keep theirs. Their history makes no difference."""

    rated_sides = ("user",)
    why = ", which counts the choices of items: fit again for new items"

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Look up the groups of the rows."""
        old = state.scores
        assert isinstance(old, PopularScores)
        rows = np.full(len(rated.ids), -1, np.int32) if rated.strangers else state.users.rows(rated.ids)
        groups = old.groups_of(rows)
        return state.replaced(scores=PopularScores(old.table, groups, old.rest))


def rows_of_users(groups: Groups | None, ratings: Ratings, users: Any) -> tuple[Any, NDArray[np.int32]]:
    """Return who counts for which row of the table, all users and groups, and the rows that each of ``users`` gets."""
    members = scipy.sparse.csr_array(np.ones((ratings.n_users, 1)))
    if groups is None:
        return members, np.zeros((len(users), 1), np.int32)
    members = scipy.sparse.hstack([members, groups.of(ratings.users)], format="csr")
    own = scipy.sparse.csr_array(groups.of(users))
    own.sort_indices()
    sizes = np.diff(own.indptr)
    chosen = np.full((len(users), max(1, int(sizes.max(initial=0)))), -1, np.int32)
    chosen[np.arange(chosen.shape[1]) < sizes[:, None]] = own.indices + 1
    chosen[sizes == 0, 0] = 0
    return members, chosen


@register
@dataclass(eq=False, repr=False)
class Popular(Estimator):
    """The most popular items, overall or among the users of a group: the baseline of lists.

    Parameters
    ----------
    by : {"count", "mean"}, default "count"
        Popular is what is chosen most often, or what is rated best.
    half_life : float or str, optional
        The age, before the latest rating, at which a rating counts half; at twice that age it counts a quarter. A
        number in the unit of the timestamps or, for timestamps in seconds, text such as ``"30d"`` (units s, min, h, d
        and w). By default all count alike.
    shrinkage : float, default 10
        For ``by="mean"``: how many ratings of the overall mean are added to each item's own, so that items with one
        good rating do not lead; at least 0. Refused for ``by="count"``.
    threshold : float, optional
        For ``by="count"``: values of at least this are choices. None: values above 0. Other entries were seen and not
        chosen. Refused for ``by="mean"``.
    strength : {"one", "value", "log"}, default "one"
        For ``by="count"``: the strength of a choice of value v: 1, v, or log(1 + v), times its weight. Refused for
        ``by="mean"``.
    n_threads : int, optional
        Threads to use; by default :func:`fastcf.get_num_threads`. The result does not depend on it.

    Attributes
    ----------
    users_, items_, seen_, rating_range_, device_
        As for every model; see :class:`fastcf.MatrixFactorization`. Users of ``user_groups`` without ratings are
        users too.
    group_names_ : ndarray
        The labels, or column numbers, of the groups.

    Notes
    -----
    By "count", scores are sums of strengths; ``score`` is the NDCG@10 of lists. By "mean", predictions are the shrunk
    means, as are those of items without ratings: that of all ratings; ``score`` is minus the RMSE. A user of several
    groups gets, for each item, the largest of their scores. Lists hold items that were chosen, or rated, in the user's
    groups; they may be shorter than asked for. Unknown users are users of no group. ``history=`` has the seen items of
    new users.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.Ratings.from_coo([1, 1, 2, 2, 3], [7, 8, 8, 9, 8], [3, 4, 5, 4, 4])
    >>> fastcf.Popular().fit(ratings).recommend(99, n=2).items
    array([8, 7])
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "by": (OneOf(("count", "mean")),),
        "half_life": (Duration(), Nothing()),
        "shrinkage": (Interval(0),),
        "threshold": (Interval(), Nothing()),
        "strength": (OneOf(STRENGTHS),),
        "n_threads": THREADS,
    }

    device = "cpu"  # nothing here is worth another

    by: Literal["count", "mean"] = "count"
    _: KW_ONLY
    half_life: float | str | None = None
    shrinkage: float = 10.0
    threshold: float | None = None
    strength: str = "one"
    n_threads: int | None = None

    def fit(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, *, user_groups: Any = None
    ) -> Popular:
        """Count choices, or average ratings.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`MatrixFactorization.fit`; for ``by="count"`` without ``y`` pairs are choices, and repeated
            ones count.
        user_groups : FeatureTable or pair (ids, labels), optional
            Groups of users, such as their country: a label per user id, several separated by ``"|"``, or a table whose
            columns are the groups and whose entries, where they are not 0, are memberships. Users need not be in the
            ratings: a new user from a known country gets what is popular there. Users in no group, and all users where
            there are no groups, get what is popular overall.

        Returns
        -------
        Popular
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described, there is no choice, a parameter has no effect, or a half
            life is given for ratings without timestamps.
        """
        ratings, backend = self._begin_fit(X, y, sample_weight)
        by_count, caller = self.by == "count", self._caller
        self._refuse_ignored(("shrinkage",) if by_count else ("threshold", "strength"), f"for by={self.by!r}")
        groups = None if user_groups is None else as_groups(user_groups, caller, "user_groups")
        users = ratings.users
        if groups is not None:
            users = extended(users, groups.ids, f"{caller}: user_groups")
        members, chosen = rows_of_users(groups, ratings, users)
        age = decay(ratings, self.half_life, caller)
        if by_count:
            choices = Choices(threshold=self.threshold, strength=self.strength)
            strengths = choices.of_training(ratings, caller).values.astype(np.float64)
            table, rest = summed(ratings, strengths if age is None else strengths * age, members), 0.0
            table.eliminate_zeros()  # of items that were seen and not chosen
        else:
            weights = np.ones(ratings.nnz) if ratings.weights is None else ratings.weights.astype(np.float64)
            table, rest = shrunk_means(ratings, weights if age is None else weights * age, self.shrinkage, members)
        scores = PopularScores(table.astype(np.float32), chosen, rest)
        state = State.of(
            ratings,
            backend,
            scores,
            users=users,
            seen=SeenItems(ratings.indptr, ratings.indices).padded(len(users)),
            targets=self._targets,
            learnt=LearntGroups(np.empty(0, str) if groups is None else groups.names),
            folding=PopularFolding(),
        )
        self._swap(state.replaced(rating_range=(-np.inf, np.inf)) if by_count else state)
        return self

    @property
    def _targets(self) -> Targets:
        return Choices(threshold=self.threshold, strength=self.strength) if self.by == "count" else Targets()

    def _pack(self, state: State) -> Packed:
        scores = state.scores
        assert isinstance(scores, PopularScores)
        arrays = {"groups": scores.groups, "group_names": state.learnt.group_names}
        return Packed({**packed_rows("popular", scores.table), **arrays}, {"rest": scores.rest})

    def _unpack(self, archive: Archive, common: State) -> State:
        names = archive.array("group_names")
        table = unpacked_rows(archive, "popular", 1 + names.size, len(common.items))
        groups = archive.array("groups", np.int32, (len(common.users), None))
        if groups.shape[1] < 1 or groups.min(initial=0) < -1 or groups.max(initial=0) > names.size:
            raise DataError(f"{archive.path}: groups of users do not fit the {names.size} there are")
        scores = PopularScores(table, groups, float(archive.meta["rest"]))
        return common.replaced(scores=scores, learnt=LearntGroups(names), folding=PopularFolding())
