"""Popular items: of all users, of a group of users, or of the groups of items that a user rated most."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf._backend import host, resolve_device
from fastcf._durations import Duration
from fastcf._parameters import Constraint, Interval, Nothing, OneOf, check_n_threads
from fastcf.ids import IdMap
from fastcf.models.estimator import Packed
from fastcf.models.popular import Popular as PopularModel
from fastcf.models.popular.groups import as_groups, best_of_rows, decay, shrunk_means, summed
from fastcf.models.popular.scores import PopularScores
from fastcf.ratings import Ratings
from fastcf.retrieval._candidates import COUNT, BaseRetriever, Built, Lists, rows_within
from fastcf.retrieval._stored_groups import packed_groups, unpacked_groups
from fastcf.scores import Compute
from fastcf.scores.protocol import Seen
from fastcf.scores.stored import seen_arrays, seen_from
from fastcf.serialization import Archive, registered_as

__all__ = ["Popular", "TopPerGroup"]

_USERS_AT_ONCE = 1 << 16  # so that a table of users and groups stays small

_POPULARITY: dict[str, tuple[Constraint, ...]] = {
    "by": (OneOf(("count", "mean")),),
    "half_life": (Duration(), Nothing()),
    "shrinkage": (Interval(0),),
}


def _longest(ratings: Ratings) -> int:
    """Return the largest number of ratings of one user, the number of items of a list that may be seen."""
    return int(np.diff(ratings.indptr).max(initial=0))


@dataclass(frozen=True, eq=False)
class _Popular:
    """The learnt values of :class:`Popular`: the fitted model, and the best items of its groups."""

    shown: ClassVar[tuple[str, ...]] = ("group_names",)

    model: PopularModel
    scores: PopularScores
    lists: Lists

    @property
    def group_names(self) -> NDArray[Any]:
        """The names of the groups."""
        names: NDArray[Any] = self.model.state.learnt.group_names
        return names


@dataclass(frozen=True, eq=False)
class _TopPerGroup:
    """The learnt values of :class:`TopPerGroup`: a list per group of items, and the groups of each user."""

    shown: ClassVar[tuple[str, ...]] = ("group_names", "user_groups")

    lists: Lists
    group_names: NDArray[Any]
    user_groups: NDArray[np.int32]


@registered_as("retrieval.Popular")
@dataclass(eq=False, repr=False)
class Popular(BaseRetriever):
    """The most popular items, overall or among the users of a group.

    Parameters
    ----------
    k : int, default 100
        Number of items of each of a user's groups.
    user_groups : FeatureTable or pair (ids, labels), optional
        Groups of users, such as their country: a label per user id, several separated by ``"|"``, or a table whose
        columns are the groups and whose entries, where they are not 0, are memberships. Users need not be in the
        ratings: a new user from a known country gets what is popular there. Users in no group, and all users where
        there are no groups, get what is popular overall.
    by, half_life, shrinkage, threshold
        What is popular, as for the model :class:`fastcf.Popular`, which does the work.
    n_threads : int, optional
        Threads to use; by default :func:`fastcf.get_num_threads`. The result does not depend on it.

    Attributes
    ----------
    users_, items_ : IdMap
        Those of the ratings.
    group_names_ : ndarray
        The labels, or column numbers, of the groups.

    Notes
    -----
    Unknown users get the same as others: this retriever serves cold starts. Scores are sums of (decayed) choices,
    or shrunk means. Lists are long enough to give ``k`` items to the users with the most ratings.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.Ratings.from_coo([1, 1, 2, 2, 3], [7, 8, 8, 9, 8], [3, 4, 5, 4, 4])
    >>> popular = fastcf.retrieval.Popular(k=2).fit(ratings)
    >>> popular.retrieve([99]).of(0)[0]
    array([8, 7])
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = (
        BaseRetriever._constraints | _POPULARITY | {"threshold": (Interval(), Nothing())}
    )
    _objects = ("user_groups",)

    k: int = 100
    _: KW_ONLY
    user_groups: Any = None
    by: Literal["count", "mean"] = "count"
    half_life: float | str | None = None
    shrinkage: float = 10.0
    threshold: float | None = None
    n_threads: int | None = None

    def _learn(self, ratings: Ratings, caller: str) -> tuple[IdMap, _Popular]:
        model = PopularModel(
            self.by,
            half_life=self.half_life,
            shrinkage=self.shrinkage,
            threshold=self.threshold,
            n_threads=self.n_threads,
        )
        scores = model.fit(ratings, user_groups=self.user_groups).state.scores
        assert isinstance(scores, PopularScores)
        compute = Compute(resolve_device("cpu", caller).module, check_n_threads(self.n_threads, caller))
        lists = Lists.of_table(*scores.lists(self.k + _longest(ratings), compute))
        return ratings.items, _Popular(model, scores, lists)

    @classmethod
    def _unpack_params(cls, archive: Archive) -> dict[str, Any]:
        return {**archive.params, "user_groups": unpacked_groups(archive)}

    def _pack(self, built: Built) -> Packed:
        learnt: _Popular = built.learnt
        arrays = {**seen_arrays(built.seen), **learnt.lists.arrays, **packed_groups(self.user_groups)}
        arrays["user_ids"] = built.users.column.ids
        return Packed(arrays, parts={"model": learnt.model.to_archive()})

    def _unpack(self, archive: Archive) -> Built:
        model = archive.model("model")
        if not isinstance(model, PopularModel):
            raise ValueError(f"the model must be a Popular; got {type(model).__name__}")
        scores, users, items = model.state.scores, archive.ids("user_ids"), model.state.items
        assert isinstance(scores, PopularScores)
        lists = Lists.stored(archive, scores.table.shape[0], len(items))
        if len(model.state.users) < len(users):
            raise ValueError(f"the model must have the {len(users)} users; got {len(model.state.users)}")
        return Built(users, items, seen_from(archive, len(users), len(items)), _Popular(model, scores, lists))

    def _lists_of(
        self, built: Built, users: Any, rows: NDArray[np.int32], seen: Seen
    ) -> tuple[Lists, NDArray[np.int32]]:
        learnt: _Popular = built.learnt
        own = rows
        if learnt.group_names.size and rows.size:  # users of groups need not be in the ratings
            own = learnt.model.state.users.rows(users, n_threads=self.n_threads)
        return learnt.lists, learnt.scores.groups_of(own)


@registered_as("retrieval.TopPerGroup")
@dataclass(eq=False, repr=False)
class TopPerGroup(BaseRetriever):
    """The most popular items of each of the groups of items that a user has rated most: favourite genres, for example.

    Parameters
    ----------
    groups : FeatureTable or pair (ids, labels)
        Groups of items: a label per item id, several separated by ``"|"`` (``"Comedy|Drama"``), or a table whose
        columns are the groups and whose entries, where they are not 0, are memberships.
    n_groups : int, default 3
        How many groups a user gets, those with most of the user's ratings; ties by the order of the labels.
    k : int, default 50
        Number of items of each group.
    by, half_life, shrinkage
        What is popular, as for :class:`Popular`, counting all ratings. With a half life, the user's older ratings count
        less for the choice of groups too.
    n_threads : int, optional
        Threads to use; by default :func:`fastcf.get_num_threads`. The result does not depend on it.

    Attributes
    ----------
    users_, items_ : IdMap
        Those of the ratings.
    group_names_ : ndarray
        The labels, or column numbers, of the groups.
    user_groups_ : ndarray of shape (n_users, n_groups), int32
        The groups of each user as positions in ``group_names_``, most rated first; -1 where there are fewer.

    Notes
    -----
    Unknown users get nothing. Scores are those of :class:`Popular`.
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = (
        BaseRetriever._constraints | _POPULARITY | {"n_groups": COUNT}
    )
    _objects = ("groups",)

    groups: Any
    n_groups: int = 3
    k: int = 50
    _: KW_ONLY
    by: Literal["count", "mean"] = "count"
    half_life: float | str | None = None
    shrinkage: float = 10.0
    n_threads: int | None = None

    def _learn(self, ratings: Ratings, caller: str) -> tuple[IdMap, _TopPerGroup]:
        groups = as_groups(self.groups, caller, "groups")
        members = scipy.sparse.csr_array(groups.of(ratings.items))
        age = decay(ratings, self.half_life, caller)
        weights = np.ones(ratings.nnz) if age is None else age
        all_users = scipy.sparse.csr_array(np.ones((ratings.n_users, 1)))
        if self.by == "count":
            rated = summed(ratings, weights, all_users)
        else:
            rated, _ = shrunk_means(ratings, weights, self.shrinkage, all_users)
        # A diagonal of scores would drop items of score 0; entries are replaced instead.
        of_item = np.full(ratings.n_items, np.nan)
        of_item[rated.indices] = rated.data
        by_group = scipy.sparse.csr_array(members.T)
        by_group.sort_indices()
        scores = scipy.sparse.csr_array((of_item[by_group.indices], by_group.indices, by_group.indptr), by_group.shape)
        lists = Lists.of_table(*best_of_rows(scores, self.k + _longest(ratings), self.n_threads or 0))
        return ratings.items, _TopPerGroup(lists, groups.names, self._favourites(ratings, weights, members))

    @classmethod
    def _unpack_params(cls, archive: Archive) -> dict[str, Any]:
        return {**archive.params, "groups": unpacked_groups(archive)}

    def _pack(self, built: Built) -> Packed:
        learnt: _TopPerGroup = built.learnt
        arrays = {**seen_arrays(built.seen), **learnt.lists.arrays, **packed_groups(self.groups)}
        arrays |= {"user_ids": built.users.column.ids, "item_ids": built.items.column.ids}
        return Packed({**arrays, "group_names": learnt.group_names, "user_groups": learnt.user_groups})

    def _unpack(self, archive: Archive) -> Built:
        users, items, names = archive.ids("user_ids"), archive.ids("item_ids"), archive.array("group_names")
        favourites = archive.array("user_groups", np.int32, (len(users), None))
        rows_within(favourites, names.size, "user_groups")
        learnt = _TopPerGroup(Lists.stored(archive, names.size, len(items)), names, favourites)
        return Built(users, items, seen_from(archive, len(users), len(items)), learnt)

    def _favourites(self, ratings: Ratings, weights: NDArray[np.float64], members: Any) -> NDArray[np.int32]:
        """Return the groups that each user rated most."""
        table = np.full((ratings.n_users, self.n_groups), -1, np.int32)
        rated = scipy.sparse.csr_array((weights, ratings.indices, ratings.indptr), ratings.shape)
        for begin in range(0, ratings.n_users, _USERS_AT_ONCE):
            counts = scipy.sparse.csr_array(rated[begin : begin + _USERS_AT_ONCE] @ members)
            counts.sort_indices()
            entries = host.top_candidates(
                counts.indptr.astype(np.int64), counts.data.astype(np.float32), self.n_groups, self.n_threads or 0
            )
            own = table[begin : begin + _USERS_AT_ONCE]
            own[entries >= 0] = counts.indices[entries[entries >= 0]]
        return table

    def _lists_of(
        self, built: Built, users: Any, rows: NDArray[np.int32], seen: Seen
    ) -> tuple[Lists, NDArray[np.int32]]:
        learnt: _TopPerGroup = built.learnt
        chosen = np.where(rows[:, None] >= 0, learnt.user_groups[np.where(rows >= 0, rows, 0)], -1)
        return learnt.lists, chosen.astype(np.int32)
