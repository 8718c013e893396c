"""Two steps: a plausible list from several cheap sources, then the best of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError
from sklearn.utils.metaestimators import available_if

from fastcf._backend import host, resolve_device
from fastcf._callers import errors_of
from fastcf._id_columns import as_id_column
from fastcf._parameters import THREADS, Constraint, Interval, check_n_threads, positive_count
from fastcf._tables import Column, Tabular
from fastcf.ids import IdMap
from fastcf.models.blend.members import named
from fastcf.models.estimator import Packed
from fastcf.ratings import as_ratings
from fastcf.retrieval._candidates import Candidates, Fitted, Retriever, user_ids
from fastcf.retrieval._models import archive_of, snapshot
from fastcf.scores import Compute, Explanation, Recommender, SeenItems, State
from fastcf.scores.lists import best_under_rules, compacted
from fastcf.scores.protocol import Seen
from fastcf.scores.queries import one
from fastcf.scores.results import below, ids_of, long_columns
from fastcf.scores.rules import RuleSet
from fastcf.scores.seen import seen_in
from fastcf.scores.stored import seen_arrays, seen_from
from fastcf.serialization import Archive, registered_as

__all__ = ["RankedItems", "TwoStageRecommender"]

_MOST_RETRIEVERS = 64  # a bit for each
_USERS_AT_ONCE = 2048

_Merged = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint64]]


@dataclass(frozen=True, eq=False)
class RankedItems(Tabular):
    """Items recommended to users, best first, and the retrievers that found them.

    Unpacks as ``items, scores, found_by``. ``to_frame``, ``to_arrow`` and ``to_dicts`` give a long table with the
    columns user, rank (from 1), item, score and found_by, without padding.

    Attributes
    ----------
    items : ndarray of shape (n,) for one user, (m, n) for several
        The caller's item ids. Where fewer than ``n`` items remain, rows end in padding: -1, or "" for string ids.
    scores : ndarray of the same shape, float32
        The ranker's predictions; -inf marks padding.
    found_by : ndarray of the same shape, uint64
        Bit ``r`` is set where the ``r``-th retriever found the item; :meth:`TwoStageRecommender.names_of` spells it
        out. 0 in padding.
    users : id or ndarray of shape (m,), optional
        The users, as they were asked for; by default their positions.
    """

    items: NDArray[Any]
    scores: NDArray[np.float32]
    found_by: NDArray[np.uint64]
    users: Any = None

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.items, self.scores, self.found_by))

    def _columns(self, n: int | None = None) -> dict[str, Column]:
        users, ranks, items, scores = long_columns(self.users, self.items, self.scores, n)
        found_by = self.found_by[np.isfinite(self.scores)][:n]
        return {"user": users, "rank": ranks, "item": items, "score": scores, "found_by": found_by}

    def _n_rows(self) -> int:
        return int(np.isfinite(self.scores).sum())


@dataclass(frozen=True, eq=False)
class _StateRanker:
    """Ranks by the scores of a model as it was at ``fit``.

    Ranking needs scores of pairs (positions among user ids, item rows), and then for the best ones' predictions.
    """

    model: Recommender
    n_threads: int

    @property
    def state(self) -> State:
        """The state of the model."""
        return self.model.state

    @property
    def items(self) -> IdMap:
        """The items of the model."""
        return self.state.items

    @property
    def explain(self) -> Any:
        """The method of the model; raises AttributeError with the reason where it has none."""
        return self.model.explain

    @property
    def _compute(self) -> Compute:
        return Compute(resolve_device(self.state.device, "TwoStageRecommender.recommend").module, self.n_threads)

    def scores(self, users: NDArray[Any], owners: NDArray[np.int64], items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the scores of pairs."""
        return self.state.scores.pairs(self.state.users.rows(users)[owners], items, self._compute)

    def predictions(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return predictions, limited to the range of the ratings."""
        predicted = self.state.scores.link.predictions(scores, self._compute)
        return np.clip(predicted, *self.state.rating_range)


@dataclass(frozen=True, eq=False)
class _PairRanker:
    """Ranks by an object that predicts pairs of ids."""

    ranker: Any
    items: IdMap

    @property
    def explain(self) -> Any:
        """The method of the object; raises AttributeError where it has none."""
        return self.ranker.explain

    def scores(self, users: NDArray[Any], owners: NDArray[np.int64], items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the predictions of pairs."""
        if items.size == 0:
            return np.empty(0, np.float32)
        sides = users[owners], self.items.ids[items]
        plain = sides[0].dtype.kind == sides[1].dtype.kind == "i"  # else integers would become floats, or texts
        pairs = np.stack([side if plain else side.astype(object) for side in sides], axis=1)
        return np.asarray(self.ranker.predict(pairs), np.float32)

    def predictions(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores."""
        return scores


def _ranker_of(model: Any, caller: str) -> _StateRanker | _PairRanker:
    """Return what ranks by a fitted model; raises NotFittedError or TypeError where nothing can."""
    if not hasattr(model, "predict"):
        raise TypeError(f"{caller}: ranker must have a method predict; got {type(model).__name__}")
    if not hasattr(model, "items_"):
        hint = "a regressor of scikit-learn goes into a FeatureRanker"
        raise NotFittedError(f"{caller}: ranker must be fitted and have items_ ({hint}); got {model!r}")
    if isinstance(model, Recommender):
        return _StateRanker(snapshot(model, caller), check_n_threads(model.n_threads, caller))
    return _PairRanker(model, model.items_)


@dataclass(frozen=True, eq=False)
class _Stages:
    """The state of a two-stage recommender; ``translations`` caches rows in the ranker of retrievers' items."""

    shown: ClassVar[tuple[str, ...]] = ("retrievers", "users", "items", "seen")

    retrievers: dict[str, Retriever]
    ranker: _StateRanker | _PairRanker
    users: IdMap
    seen: SeenItems
    translations: dict[str, tuple[IdMap, NDArray[np.int32]]] = field(default_factory=dict)

    @property
    def items(self) -> IdMap:
        """The items of the ranker."""
        return self.ranker.items


@registered_as("retrieval.TwoStageRecommender")
@dataclass(eq=False, repr=False)
class TwoStageRecommender(Fitted):
    """Retrieves candidates from several sources and ranks them by one model.

    Parameters
    ----------
    retrievers : list of retrievers or of pairs (name, retriever)
        At most 64 objects with the methods of :class:`Retriever`. Those without a name are named after their class in
        lower case, numbered where several have the same (``popular-2``).
    ranker : fitted model
        Any fitted model of this package, a :class:`FeatureRanker`, or an object with ``items_`` (:class:`IdMap`) and a
        ``predict`` of (n, 2) arrays of user and item ids. Candidates unknown to it are dropped.
    n_threads : int, optional
        Threads for merging; by default :func:`fastcf.get_num_threads`. The result does not depend on it. Retrievers
        and ranker have their own settings.

    Attributes
    ----------
    retrievers_ : dict of str to retriever
        The fitted retrievers, by name.
    users_, items_ : IdMap
        The users of the ratings, and the items of the ranker.
    seen_ : SeenItems
        Which items of the ranker each user rated.

    Notes
    -----
    Candidates are merged, rid of duplicates and of what users have seen, and cut to the best natively, in batches of
    users. A model of this package scores them by the same numbers as its ``predict``; ties are ranked by the order of
    ``items_.ids``. The retrievers' own scores are not used.

    Unknown users get what retrievers have for them, ranked by what the ranker predicts for unknown users;
    :class:`Popular` has items for all users.

    Candidates are ranked by the state that the ranker had at ``fit``, and so do the retrievers of this package
    retrieve. When a model is fitted again, recommendations stay the same until ``fit`` is called again.

    References
    ----------
    P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube recommendations", RecSys 2016. A. Ng,
    "Unsupervised learning, recommenders, reinforcement learning", 2022: recommending from a large catalogue.

    Examples
    --------
    >>> import fastcf
    >>> from fastcf.retrieval import NearestVectors, Popular, RelatedItems, TwoStageRecommender
    >>> ratings = fastcf.data.make_ratings(200, 300, 6_000, random_state=0)
    >>> model = fastcf.MatrixFactorization(8, random_state=0).fit(ratings)
    >>> sources = [NearestVectors(model, k=50), RelatedItems(model), Popular(k=50)]
    >>> recommender = TwoStageRecommender(sources, ranker=model).fit(ratings)
    >>> items, scores, found_by = recommender.recommend(7, n=5)
    >>> recommender.names_of(found_by[0])[0]
    'nearestvectors'
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "n_threads": THREADS,
    }
    _objects = ("retrievers", "ranker")

    retrievers: Any
    ranker: Any
    _: KW_ONLY
    n_threads: int | None = None

    def fit(self, X: Any, y: ArrayLike | None = None) -> TwoStageRecommender:
        """Fit the retrievers, not clones of them, and store the seen items; the ranker does not change.

        Parameters
        ----------
        X, y
            Ratings, as any estimator takes them: the newest there are, not only those that the ranker was fitted to.

        Returns
        -------
        TwoStageRecommender
            Itself.

        Raises
        ------
        NotFittedError
            If the ranker is not fitted, or a retriever's model.
        TypeError, ValueError
            If a parameter or the ratings are not as described.
        """
        caller = "TwoStageRecommender.fit"
        self._check(caller)
        retrievers = self._checked(caller)
        ranker = _ranker_of(self.ranker, caller)
        ratings = as_ratings(X, y, caller=caller)
        for name, retriever in retrievers.items():
            with errors_of(f"{caller}: the retriever {name!r}"):
                retriever.fit(ratings)
        self._built = _Stages(retrievers, ranker, ratings.users, seen_in(ratings, ratings.users, ranker.items))
        return self

    def _checked(self, caller: str) -> dict[str, Retriever]:
        wanted = f"{caller}: retrievers must be a list of 1 to {_MOST_RETRIEVERS} retrievers or pairs (name, retriever)"
        if not isinstance(self.retrievers, (list, tuple)):
            raise TypeError(f"{wanted}; got {type(self.retrievers).__name__}")
        pairs = named(self.retrievers)
        if not 1 <= len(pairs) <= _MOST_RETRIEVERS:
            raise ValueError(f"{wanted}; got {len(pairs)}")
        for name, retriever in pairs:
            if not isinstance(name, str) or not isinstance(retriever, Retriever):
                raise TypeError(f"{wanted}, which have the methods fit and retrieve; got {(name, retriever)!r}")
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError(f"{caller}: names of retrievers must differ; got {[name for name, _ in pairs]}")
        return found

    def recommend(
        self,
        users: Any,
        n: int = 10,
        *,
        exclude_seen: bool = True,
        min_score: float | None = None,
        rules: RuleSet | None = None,
    ) -> RankedItems:
        """Return the best ``n`` candidates of users.

        Parameters
        ----------
        users : id or array-like of shape (m,)
            One user id, or several; unknown ones get what retrievers have for them.
        n : int, default 10
            Number of items per user; at least 1.
        exclude_seen : bool, default True
            Whether to leave out what a user has rated, in the ratings of ``fit``.
        min_score : float, optional
            Recommend only items whose prediction is at least this. Lists may be shorter.
        rules : fastcf.serving.Rules, optional
            What is in stock, boosted, limited by category or kept from single users, by the items of the ranker.
            Retrievers do not know of it: ask them for so many candidates that enough are left.

        Returns
        -------
        RankedItems
            Items, scores and which retrievers found each. The same for any number of threads, and for users alone or
            among others, if the retrievers' candidates are; those of approximate indexes may differ.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If ``n`` is less than 1, ``min_score`` is no number, or a retriever's candidates are not as
            :class:`Candidates` describes.
        """
        caller = "TwoStageRecommender.recommend"
        built: _Stages = self._fitted("recommend", "recommender")
        n = positive_count(n, caller)
        if min_score is not None and not Interval().accepts(min_score):
            raise ValueError(f"{caller}: min_score must be {Interval()} or None; got {min_score!r}")
        n_threads = check_n_threads(self.n_threads, caller)
        ids = user_ids(users)
        ids = as_id_column(ids, f"{caller}: users").array() if np.size(ids) else np.empty(0, np.int64)
        over = None if rules is None else rules.over(built.items, caller)
        items = np.full((ids.size, n), -1, np.int32)
        scores = np.full((ids.size, n), -np.inf, np.float32)
        found_by = np.zeros((ids.size, n), np.uint64)
        for begin in range(0, ids.size, _USERS_AT_ONCE):
            batch = slice(begin, begin + _USERS_AT_ONCE)
            indptr, candidates, bits = self._merge(built, ids[batch], exclude_seen, n_threads, caller)
            owners = np.repeat(np.arange(ids[batch].size), np.diff(indptr))
            with errors_of(f"{caller}: the ranker"):
                ranked = built.ranker.scores(ids[batch], owners, candidates)
            if over is None:
                entries = host.top_candidates(indptr, ranked, n, n_threads)
            else:
                own = over.excluded_for(ids[batch], caller, n_threads)
                entries = best_under_rules(over, own, indptr, candidates, ranked, n, n_threads)
            place = entries >= 0
            best = entries[place]
            items[batch][place] = candidates[best]
            scores[batch][place] = built.ranker.predictions(ranked[best])
            found_by[batch][place] = bits[best]
        if min_score is not None:
            kept = ~below(scores, min_score)
            found_by = np.take_along_axis(np.where(kept, found_by, 0), np.argsort(~kept, axis=1, kind="stable"), axis=1)
            items, scores = compacted(kept, items, scores)
        found = ids_of(built.items, items), scores, found_by
        if np.ndim(users) == 0:
            return RankedItems(found[0][0], scores[0], found_by[0], one(users)[0])
        return RankedItems(*found, ids)

    def __getattr__(self, name: str) -> Any:
        if name == "explain":  # not available: the ranker says why
            return self._built.ranker.explain
        return super().__getattr__(name)

    @available_if(lambda recommender: recommender._built is None or recommender._built.ranker.explain)  # type: ignore[untyped-decorator]  # scikit-learn ships no types
    def explain(
        self, user: Any, items: Any, *, n: int | None = 10, by: Literal["item"] | None = None, strict: bool = False
    ) -> Explanation | list[Explanation]:
        """Return what a user's score of an item is made of: the explanation of the ranker, which alone orders the list.

        Available where the ranker has ``explain``; which retrievers found an item, ``recommend`` says.

        Parameters
        ----------
        user, items, n, by, strict
            As for :meth:`fastcf.Recommender.explain`. The items need not be candidates.

        Returns
        -------
        Explanation, or list of Explanation for several items
            Of the ranker as it was at ``fit``: the parts add up to its score, and ``prediction`` is the item's score in
            :class:`RankedItems`.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            As :meth:`fastcf.Recommender.explain`.
        """
        built: _Stages = self._fitted("explain", "recommender")
        found: Explanation | list[Explanation] = built.ranker.explain(user, items, n=n, by=by, strict=strict)
        return found

    def _merge(self, built: _Stages, users: NDArray[Any], exclude_seen: bool, n_threads: int, caller: str) -> _Merged:
        """Return the candidates of all retrievers: offsets per user, item rows, and which retrievers found them."""
        rows = built.users.find(users, f"{caller}: users", n_threads)
        found = [_retrieved(built, name, users, exclude_seen, caller) for name in built.retrievers]
        ends = np.cumsum([items.size for _, items in found])
        begins = [indptr[:-1] + end - items.size for (indptr, items), end in zip(found, ends, strict=True)]
        lists = np.arange(len(found) * users.size, dtype=np.int32).reshape(len(found), users.size)
        seen: Seen = built.seen.of(rows) if exclude_seen else (None, None)
        indptr, items, _, bits = host.merge_candidates(
            np.concatenate([*begins, ends[-1:]]),
            np.concatenate([items for _, items in found]),
            None,
            np.arange(users.size + 1, dtype=np.int64) * len(found),
            np.ascontiguousarray(lists.T).reshape(-1),
            seen[0],
            seen[1],
            n_threads=n_threads,
        )
        return indptr, items, bits

    @classmethod
    def _unpack_params(cls, archive: Archive) -> dict[str, Any]:
        retrievers = [(name, archive.model(_part_of(name))) for name in archive.params["retrievers"]]
        return {**archive.params, "retrievers": retrievers, "ranker": archive.model("ranker")}

    def _pack(self, built: _Stages) -> Packed:
        caller = type(self).__name__
        ranker = built.ranker.model if isinstance(built.ranker, _StateRanker) else built.ranker.ranker
        parts = {"ranker": archive_of(ranker, "ranker", caller)}
        parts |= {_part_of(name): archive_of(each, repr(name), caller) for name, each in built.retrievers.items()}
        arrays = {"user_ids": built.users.column.ids, **seen_arrays(built.seen)}
        return Packed(arrays, parts=parts, params={"retrievers": list(built.retrievers)})

    def _unpack(self, archive: Archive) -> _Stages:
        caller = type(self).__name__
        ranker, users = _ranker_of(self.ranker, caller), archive.ids("user_ids")
        seen = seen_from(archive, len(users), len(ranker.items))
        if seen is None:
            raise ValueError("the array 'seen_indptr' is missing")
        return _Stages(self._checked(caller), ranker, users, seen)

    def names_of(self, found_by: Any) -> list[str]:
        """Return the names of the retrievers that found an item.

        Parameters
        ----------
        found_by : int
            An entry of :attr:`RankedItems.found_by`.

        Returns
        -------
        list of str
            In the order of ``retrievers_``; none for padding.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        built: _Stages = self._fitted("names_of", "recommender")
        return [name for r, name in enumerate(built.retrievers) if int(found_by) >> r & 1]


def _part_of(name: str) -> str:
    """Return the name of a retriever's part of a file."""
    return f"retriever {name}"


def _retrieved(
    built: _Stages, name: str, users: NDArray[Any], exclude_seen: bool, caller: str
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return a retriever's candidates as compressed rows of the ranker's items; -1 where it has none."""
    with errors_of(f"{caller}: the retriever {name!r}"):
        found = built.retrievers[name].retrieve(users, exclude_seen=exclude_seen)
    if not isinstance(found, Candidates):
        raise TypeError(f"{caller}: {name!r} must return Candidates; got {type(found).__name__}")
    indptr, indices = np.asarray(found.indptr, np.int64), np.asarray(found.indices, np.int32)
    if indptr.shape != (users.size + 1,) or indices.ndim != 1 or indptr[-1] != indices.size:
        raise ValueError(
            f"{caller}: {name!r} must return compressed rows for {users.size} users; got indptr of shape "
            f"{indptr.shape} for {indices.size} indices"
        )
    if indices.size and not 0 <= indices.min() <= indices.max() < len(found.items):
        raise ValueError(
            f"{caller}: {name!r} must return rows of its items, in [0, {len(found.items)}); got "
            f"{indices.min()} to {indices.max()}"
        )
    if found.items is built.items:
        return indptr, indices
    known = built.translations.get(name)
    if known is None or known[0] is not found.items:
        known = found.items, built.items.rows(found.items)
        built.translations[name] = known
    return indptr, known[1][indices]
