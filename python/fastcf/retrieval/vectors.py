"""Nearest vectors: of items to a user's vector, and of items to the latest items of a user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import resolve_device
from fastcf._parameters import Constraint, Interval, OneOf, check_n_threads, validate_parameters
from fastcf.ids import IdMap
from fastcf.models.estimator import Packed
from fastcf.ratings import Ratings, as_ratings
from fastcf.retrieval._candidates import COUNT, BaseRetriever, Built, Candidates, Lists, rows_within
from fastcf.retrieval._graph import IndexSettings
from fastcf.retrieval._index import LIBRARIES, VectorIndex
from fastcf.retrieval._models import archive_of, snapshot
from fastcf.scores import METRICS, Compute, FactorScores, Recommender, State
from fastcf.scores.protocol import Seen
from fastcf.scores.seen import seen_in
from fastcf.scores.stored import seen_arrays, seen_from
from fastcf.serialization import Archive, registered_as

__all__ = ["NearestVectors", "RelatedItems"]

IndexName = Literal["exact", "usearch", "hnswlib"]

_MAX_LINKS = 1024

_Searched = Callable[[FactorScores, str], NDArray[np.float32]]

_INDEX: dict[str, tuple[Constraint, ...]] = {
    "index": (OneOf(("exact", *LIBRARIES)),),
    "m": (Interval(2, _MAX_LINKS, integer=True),),
    "ef_construction": COUNT,
    "ef": COUNT,
}


def _factors_of(model: Recommender, caller: str) -> FactorScores:
    """Return the scores of a model as factors."""
    scores = model.state.scores.as_factors()
    if scores is None:
        raise TypeError(f"{caller}: model must have a vector per item; got {type(model).__name__}")
    return scores


@dataclass(frozen=True, eq=False)
class _Indexed:
    """A model as it was at ``fit``, its scores, and the index of its item vectors, if there is one."""

    shown: ClassVar[tuple[str, ...]] = ("index",)

    model: Recommender
    scores: Any  # FactorScores, or for related items any that compare items
    index: VectorIndex | None
    metric: str

    @property
    def state(self) -> State:
        """The state of the model."""
        return self.model.state

    def compute(self, n_threads: int | None, caller: str) -> Compute:
        """Return the device of the model."""
        return Compute(resolve_device(self.state.device, caller).module, check_n_threads(n_threads, caller))

    def packed(self, seen: Any, caller: str) -> Packed:
        """Return what it is stored as, with what users have seen."""
        parts = {"model": archive_of(self.model, "model", caller)}
        if self.index is None:
            return Packed(seen_arrays(seen), parts=parts)
        return Packed({**seen_arrays(seen), **self.index.arrays}, {"index": self.index.settings._asdict()}, parts)

    @classmethod
    def stored(cls, archive: Archive, model: Recommender, scores: Any, searched: _Searched, metric: str) -> _Indexed:
        """Return it with the index of an archive, if it has one; raises DataError, ImportError or ValueError."""
        index = None
        if "index" in archive.meta:
            settings = IndexSettings(**archive.meta["index"])
            constraints = {"library": _INDEX["index"], **{name: _INDEX[name] for name in ("m", "ef_construction")}}
            validate_parameters(constraints, settings._asdict(), archive.class_name)
            index = VectorIndex.stored(archive, settings, searched(scores, metric))
        return cls(model, scores, index, metric)


def _indexed(
    retriever: NearestVectors | RelatedItems,
    before: _Indexed | None,
    model: Recommender,
    scores: Any,
    searched: _Searched,
    metric: str,
    caller: str,
) -> _Indexed:
    """Return a model with the index that a retriever asks for; ``before`` is kept if its index is the same."""
    if retriever.index == "exact":
        return _Indexed(model, scores, None, metric)
    settings = IndexSettings(retriever.index, retriever.m, retriever.ef_construction)
    if before is not None and before.index is not None and before.state.scores is model.state.scores:
        same = (before.index.settings, before.metric) == (settings, metric)
        if same:
            return before
    known = np.ones(scores.n_items, bool)
    known[scores.unknown_items] = False
    index = VectorIndex(
        settings,
        searched(scores, metric),
        np.flatnonzero(known).astype(np.int32),
        n_threads=check_n_threads(retriever.n_threads, caller),
        caller=caller,
    )
    return _Indexed(model, scores, index, metric)


def _reach(k: int, n_items: int) -> int:
    """Return the number of items to search for ``k`` that a user has not seen."""
    return min(2 * k, n_items)


@registered_as("retrieval.NearestVectors")
@dataclass(eq=False, repr=False)
class NearestVectors(BaseRetriever):
    """The items whose vectors have the largest inner products with the user's: the best by a factor model's own score.

    Parameters
    ----------
    model : fitted model with a vector per user and per item
        A factorisation, an autoencoder, a regression on features, a blend of linear models. Item biases and means count
        too.
    k : int, default 100
        Number of items.
    index : {"exact", "usearch", "hnswlib"}, default "exact"
        All items are scored natively; or an approximate index of one of these libraries is searched, which takes
        a fraction of the time in a large catalogue and misses some items: :meth:`recall` measures how many.
    m : int, default 16
        Links per node of the index. More: better recall, more memory, slower. Refused, as are the next two, for
        "exact".
    ef_construction : int, default 128
        Effort of building the index. More: better recall, slower to build.
    ef : int, default 128
        Effort of searching it, at least ``2 k`` in effect. More: better recall, slower. May be changed after ``fit``.
    n_threads : int, optional
        Threads to use; by default :func:`fastcf.get_num_threads`. Exact results do not depend on it. With
        several threads, both libraries build another index each time, so approximate results differ.

    Attributes
    ----------
    users_, items_ : IdMap
        Those of the model.
    index_ : object or None
        The approximate index.

    Notes
    -----
    Unknown users have no vector and get nothing. Scores are inner products and item biases, without what is the same
    for all items of a user. An index returns the 2k nearest items, so that k remain without what a user has seen; users
    with more than k of them seen get fewer. Items whose factors and bias are all 0, those without ratings, are not
    candidates of any user. The bias of an item is one more coordinate of its vector, where the query has a 1.

    Candidates are those of the model's state at ``fit``. When the model is fitted again, they stay the same until
    ``fit`` is called again.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    >>> model = fastcf.MatrixFactorization(8, random_state=0).fit(ratings)
    >>> nearest = fastcf.retrieval.NearestVectors(model, k=10).fit()
    >>> bool((nearest.retrieve([3]).of(0)[0] == model.recommend(3, n=10).items).all())
    True
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = BaseRetriever._constraints | _INDEX
    _objects = ("model",)

    model: Any
    k: int = 100
    _: KW_ONLY
    index: IndexName = "exact"
    m: int = 16
    ef_construction: int = 128
    ef: int = 128
    n_threads: int | None = None

    def fit(self, X: Any = None, y: ArrayLike | None = None) -> NearestVectors:
        """Build the index; one of the same vectors is kept.

        Parameters
        ----------
        X, y
            Ratings that users are not to get again, as any estimator takes them; by default those that the model was
            fitted to.

        Returns
        -------
        NearestVectors
            Itself.

        Raises
        ------
        ImportError
            If the library of the index is not installed.
        NotFittedError
            If the model is not fitted.
        TypeError, ValueError
            If a parameter is not as described.
        """
        caller = f"{type(self).__name__}.fit"
        self._check(caller)
        model = snapshot(self.model, caller)
        state, scores = model.state, _factors_of(model, caller)
        seen = state.seen
        if X is not None:
            seen = seen_in(as_ratings(X, y, caller=caller), state.users, state.items)
        before = None if self._built is None else self._built.learnt
        learnt = _indexed(self, before, model, scores, _with_bias, "dot", caller)
        self._built = Built(state.users, state.items, seen, learnt)
        return self

    def _pack(self, built: Built) -> Packed:
        packed: Packed = built.learnt.packed(built.seen, type(self).__name__)
        return packed

    def _unpack(self, archive: Archive) -> Built:
        model = snapshot(self.model, type(self).__name__)
        state, scores = model.state, _factors_of(model, type(self).__name__)
        learnt = _Indexed.stored(archive, model, scores, _with_bias, "dot")
        return Built(state.users, state.items, seen_from(archive, len(state.users), len(state.items)), learnt)

    def _lists_of(
        self, built: Built, users: Any, rows: NDArray[np.int32], seen: Seen
    ) -> tuple[Lists, NDArray[np.int32]]:
        learnt: _Indexed = built.learnt
        known = rows >= 0
        safe = np.where(known, rows, 0)  # unknown users get no list
        if learnt.index is None:
            compute = learnt.compute(self.n_threads, f"{type(self).__name__}.retrieve")
            found, scores = learnt.scores.search(safe, min(self.k, len(built.items)), seen, compute)
        else:
            queries = np.pad(learnt.scores.user_factors[safe], ((0, 0), (0, 1)), constant_values=1)
            found, scores = learnt.index.search(queries, _reach(self.k, len(built.items)), self.ef)
        return Lists.of_table(found, scores), np.where(known, np.arange(rows.size), -1)[:, None].astype(np.int32)

    def recall(self, users: Any) -> float:
        """Return the share of the exact candidates of users that the index finds.

        Parameters
        ----------
        users : array-like of shape (m,)
            User ids; a few hundred are enough.

        Returns
        -------
        float
            1.0 where ``index="exact"``; nan where no user is known.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        built: Built = self._fitted("recall", "retriever")
        found = self._candidates(built, users, True)
        exact = self._candidates(replace(built, learnt=replace(built.learnt, index=None)), users, True)
        if exact.indices.size == 0:
            return float("nan")

        def keys(candidates: Candidates) -> NDArray[np.int64]:
            owner = np.repeat(np.arange(candidates.indptr.size - 1), np.diff(candidates.indptr))
            return owner * len(built.items) + candidates.indices

        return float(np.isin(keys(exact), keys(found), assume_unique=True).mean())


@registered_as("retrieval.RelatedItems")
@dataclass(eq=False, repr=False)
class RelatedItems(BaseRetriever):
    """The items most similar to the latest items of a user: "because you watched …".

    Parameters
    ----------
    model : fitted model that compares items
        By a vector per item, or by weights between items; see ``similar_items``.
    n_recent : int, default 10
        How many items of a user are looked at: the latest by their timestamps, or the best rated where the ratings
        have none. Ties: the better rated, then the smaller item row.
    k : int, default 20
        Number of items for each of them.
    metric : {"cosine", "dot", "euclidean"}, default "cosine"
        Similarity of the model's vectors as they are: cosine, inner product, or distance ‖v_k − v_i‖. Weights between
        items are taken as they are.
    index, m, ef_construction, ef, n_threads
        As for :class:`NearestVectors`.

    Attributes
    ----------
    users_ : IdMap
        The users of the ratings.
    items_ : IdMap
        The items of the model.
    recent_ : ndarray of shape (n_users, n_recent), int32
        Rows of the items looked at, latest first; -1 where there are fewer. Items unknown to the model are
        left out.
    index_ : object or None
        The approximate index.

    Notes
    -----
    Unknown users get nothing. Scores are similarities, or distances times −1. An item is not related to itself; items
    without training data, whose vectors are zeros, are related to nothing. The 2k most similar are looked at, so that k
    remain without what a user has seen. What all searches share is computed by ``fit``, which is quick: the ratings
    need not be those that the model was fitted to, and recommendations follow newer ones. The vectors are those of
    the model's state at ``fit``, also after the model is fitted again.
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = (
        BaseRetriever._constraints | _INDEX | {"n_recent": COUNT, "metric": (OneOf(METRICS),)}
    )
    _objects = ("model",)

    model: Any
    n_recent: int = 10
    k: int = 20
    _: KW_ONLY
    metric: Literal["cosine", "dot", "euclidean"] = "cosine"
    index: IndexName = "exact"
    m: int = 16
    ef_construction: int = 128
    ef: int = 128
    n_threads: int | None = None

    def _learn(self, ratings: Ratings, caller: str) -> tuple[IdMap, _Related]:
        model = snapshot(self.model, caller)
        before = None if self._built is None else self._built.learnt.indexed
        scores = _compared(model, self.index != "exact", caller)
        indexed = _indexed(self, before, model, scores, _searched, self.metric, caller)
        return model.state.items, _Related.of(self._latest(ratings, model.state.items), indexed)

    def _pack(self, built: Built) -> Packed:
        learnt: _Related = built.learnt
        packed = learnt.indexed.packed(built.seen, type(self).__name__)
        packed.arrays |= {"user_ids": built.users.column.ids, "recent": learnt.recent}
        packed.meta["metric"] = learnt.indexed.metric
        return packed

    def _unpack(self, archive: Archive) -> Built:
        model, metric = snapshot(self.model, type(self).__name__), archive.meta["metric"]
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {', '.join(METRICS)}; got {metric!r}")
        users, items = archive.ids("user_ids"), model.state.items
        recent = archive.array("recent", np.int32, (len(users), None))
        rows_within(recent, len(items), "recent")
        scores = _compared(model, "index" in archive.meta, type(self).__name__)
        learnt = _Related.of(recent, _Indexed.stored(archive, model, scores, _searched, metric))
        return Built(users, items, seen_from(archive, len(users), len(items)), learnt)

    def _latest(self, ratings: Ratings, items: IdMap) -> NDArray[np.int32]:
        """Return the model's rows of the last known items of each user."""
        rows = items.rows(ratings.items)[ratings.indices]
        users = ratings.row_of_entry()
        keys: list[NDArray[Any]] = [ratings.indices, -ratings.values]
        if ratings.timestamps is not None:
            keys.append(~ratings.timestamps)  # descending; minus the least integer would be itself
        order = np.lexsort([*keys, users])
        order = order[rows[order] >= 0]
        owners = users[order]
        counts = np.bincount(owners, minlength=ratings.n_users)
        place = np.arange(order.size) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = place < self.n_recent
        recent = np.full((ratings.n_users, self.n_recent), -1, np.int32)
        recent[owners[kept], place[kept]] = rows[order[kept]]
        return recent

    def _lists_of(
        self, built: Built, users: Any, rows: NDArray[np.int32], seen: Seen
    ) -> tuple[Lists, NDArray[np.int32]]:
        learnt: _Related = built.learnt
        recent = np.where(rows[:, None] >= 0, learnt.recent[np.where(rows >= 0, rows, 0)], -1)
        wanted = np.unique(recent)
        wanted = np.ascontiguousarray(wanted[wanted >= 0])
        lists = Lists.of_table(*self._neighbours(learnt, wanted))
        chosen = np.where(recent >= 0, np.searchsorted(wanted, recent), -1).astype(np.int32)
        return lists, chosen

    def _neighbours(self, learnt: _Related, items: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the nearest items of item rows, nearest first."""
        if items.size == 0:
            return np.empty((0, 1), np.int32), np.empty((0, 1), np.float32)
        indexed = learnt.indexed
        n_items = len(indexed.state.items)
        reach = _reach(self.k, n_items)
        if indexed.index is None:
            compute = indexed.compute(self.n_threads, f"{type(self).__name__}.retrieve")
            found, scores = indexed.scores.item_neighbours(items, reach, indexed.metric, compute)
            return found, -scores if indexed.metric == "euclidean" else scores
        table = indexed.scores.item_vectors
        queries = table.directed(indexed.metric)[items]
        asked = queries
        if indexed.metric == "euclidean":
            asked = np.pad(queries, ((0, 0), (0, 1)), constant_values=1)
        found, scores = indexed.index.search(asked, min(reach + 1, n_items), self.ef)
        if indexed.metric == "euclidean":  # scores are v_k·v_i − ‖v_i‖² / 2
            squares = np.einsum("ij,ij->i", queries, queries)[:, None] - 2 * scores
            scores = -np.sqrt(np.maximum(squares, 0))
        found[found == items[:, None]] = -1
        found[np.isin(items, table.unknown)] = -1
        return found, scores


@dataclass(frozen=True, eq=False)
class _Related:
    """Learnt values of :class:`RelatedItems`: the last items of each user, and what is searched."""

    shown: ClassVar[tuple[str, ...]] = ("recent", "index")

    recent: NDArray[np.int32]
    indexed: _Indexed

    @classmethod
    def of(cls, recent: NDArray[np.int32], indexed: _Indexed) -> _Related:
        """Return the values, ready for searches: what all of these share is computed now."""
        if indexed.index is None and isinstance(indexed.scores, FactorScores):
            indexed.scores.item_vectors.prepare(indexed.metric)
        return cls(recent, indexed)

    @property
    def index(self) -> VectorIndex | None:
        """The approximate index."""
        return self.indexed.index


def _compared(model: Recommender, by_vectors: bool, caller: str) -> Any:
    """Return the scores of a model that compare its items; ``by_vectors``: factors."""
    scores = model.state.scores
    if by_vectors or not scores.compares_items:
        return _factors_of(model, caller)
    return scores


def _with_bias(scores: FactorScores, metric: str) -> NDArray[np.float32]:
    """Return the vectors of items with their biases as a last coordinate."""
    return np.column_stack([scores.item_factors, scores.item_score])


def _searched(scores: FactorScores, metric: str) -> NDArray[np.float32]:
    """Return vectors whose largest inner products with those asked for are the nearest.

    For distances there is one more coordinate, −‖v‖² / 2, where the asked ones have a 1.
    """
    vectors = scores.item_vectors.directed(metric)
    if metric != "euclidean":
        return vectors
    return np.column_stack([vectors, -np.einsum("ij,ij->i", vectors, vectors) / 2]).astype(np.float32)
