"""Nearest vectors: of items to a user's vector, and of items to the items a user had to do with last."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError

from fastcf.ids import IdMap
from fastcf.models._parameters import Constraint, Interval, OneOf
from fastcf.models._results import SeenItems
from fastcf.models.base import FactorModel
from fastcf.ratings import Ratings, as_ratings
from fastcf.retrieval._candidates import COUNT, BaseRetriever, Candidates, Lists, Seen, seen_in
from fastcf.retrieval._index import LIBRARIES, VectorIndex

__all__ = ["NearestVectors", "RelatedItems"]

IndexName = Literal["exact", "usearch", "hnswlib"]

_MAX_LINKS = 1024


class _VectorRetriever(BaseRetriever):
    """Base of the retrievers that search a fitted model's item vectors, exactly or by an index."""

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = BaseRetriever._constraints | {
        "index": (OneOf(("exact", *LIBRARIES)),),
        "m": (Interval(2, _MAX_LINKS, integer=True),),
        "ef_construction": COUNT,
        "ef": COUNT,
    }

    model: FactorModel
    index: IndexName
    m: int
    ef_construction: int
    ef: int
    index_: VectorIndex | None
    _indexed: tuple[Any, ...]

    def _check_parameters(self, caller: str) -> None:
        super()._check_parameters(caller)
        if not isinstance(self.model, FactorModel):
            raise TypeError(f"{caller}: model must be a model of this package; got {type(self.model).__name__}")
        if not hasattr(self.model, "users_"):
            raise NotFittedError(f"{caller}: model must be fitted first; call its fit")
        if not hasattr(self.model, "item_factors_"):
            raise TypeError(f"{caller}: model must have item_factors_; got {type(self.model).__name__}")

    def _vectors(self) -> NDArray[np.float32]:
        """Return what the index holds, a row per item."""
        raise NotImplementedError

    def _build(self, caller: str) -> None:
        """Build the index, unless there is one of the same vectors already."""
        options = self.index, self.m, self.ef_construction
        key = (self.model.item_factors_, self.model.item_bias_, self.model.item_mean_)
        built = getattr(self, "_indexed", None)
        if built is not None and built[0] == options and all(a is b for a, b in zip(built[1], key, strict=True)):
            return
        self.index_ = None
        if self.index != "exact":
            known = self.model.item_factors_.any(axis=1)
            self.index_ = VectorIndex(
                self.index,
                self._vectors(),
                np.flatnonzero(known | ~known.any()).astype(np.int32),
                m=self.m,
                ef_construction=self.ef_construction,
                n_threads=self.n_threads or 0,
                caller=caller,
            )
        self._indexed = options, key

    @property
    def _reach(self) -> int:
        """How many are looked at to find ``k`` that a user has not seen."""
        return min(2 * self.k, len(self.items_))


class NearestVectors(_VectorRetriever):
    """The items whose vectors have the largest inner products with the user's: the best by a factor model's own score.

    Parameters
    ----------
    model : fitted model with ``user_factors_`` and ``item_factors_``
        A factorisation, an autoencoder, a regression on features. Item biases and means count too.
    k : int, default 100
        How many items.
    index : {"exact", "usearch", "hnswlib"}, default "exact"
        All items are scored natively; or an approximate index of one of these libraries is searched, which takes
        a fraction of the time in a large catalogue and misses some: :meth:`recall` tells how many.
    m : int, default 16
        Links per node of the index. More: better recall, more memory, slower.
    ef_construction : int, default 128
        Effort of building the index. More: better recall, slower to build.
    ef : int, default 128
        Effort of searching it, at least ``2 k`` in effect. More: better recall, slower. May be changed after ``fit``.
    n_threads : int, optional
        Threads to use; all by default. Exact results do not depend on it. Both libraries build different indexes from
        one time to the next when they use several, so that approximate results do.

    Attributes
    ----------
    users_, items_ : IdMap
        Those of the model.
    index_ : object or None
        The approximate index.

    Notes
    -----
    Unknown users have no vector and get nothing. Scores are inner products and item biases, without what is the same
    for all items of a user. Of an index the 2k nearest items are asked for, so that k are left without what a user has
    seen; who has seen more of them gets fewer. Items whose factors are all 0, as those that nobody rated have, are not
    in an index. The bias of an item is one more coordinate of its vector, where the query has a 1.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    >>> model = fastcf.MatrixFactorization(8, random_state=0).fit(ratings)
    >>> nearest = fastcf.retrieval.NearestVectors(model, k=10).fit()
    >>> bool((nearest.retrieve([3]).of(0)[0] == model.recommend(3, n=10).items).all())
    True
    """

    def __init__(
        self,
        model: Any,
        k: int = 100,
        *,
        index: IndexName = "exact",
        m: int = 16,
        ef_construction: int = 128,
        ef: int = 128,
        n_threads: int | None = None,
    ) -> None:
        self.model = model
        self.k = k
        self.index = index
        self.m = m
        self.ef_construction = ef_construction
        self.ef = ef
        self.n_threads = n_threads

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
        caller = "NearestVectors.fit"
        self._check_parameters(caller)
        model = self.model
        seen: SeenItems | None = model.seen_
        if X is not None:
            seen = seen_in(as_ratings(X, y, caller=caller), model.users_, model.items_)
        self.users_, self.items_, self.seen_ = model.users_, model.items_, seen
        self._build(caller)
        return self

    def _item_score(self) -> NDArray[np.float32]:
        """Return what an item has beside its vector."""
        bias, mean = self.model.item_bias_, self.model.item_mean_
        return bias if mean is None else bias + mean

    def _vectors(self) -> NDArray[np.float32]:
        return np.column_stack([self.model.item_factors_, self._item_score()])

    def _lists_of(self, users: Any, rows: NDArray[np.int32], seen: Seen) -> tuple[Lists, NDArray[np.int32]]:
        known = rows >= 0
        queries = self.model.user_factors_[np.where(known, rows, 0)]  # of anybody, for unknown users
        if self.index_ is None:
            width = min(self.k, len(self.items_))
            found, scores = self.model._native.topk(
                queries, self.model._item_table, self._item_score(), width, *seen, n_threads=self.n_threads or 0
            )
        else:
            with_bias = np.pad(queries, ((0, 0), (0, 1)), constant_values=1)
            found, scores = self.index_.search(with_bias, self._reach, self.ef)
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
        found = self.retrieve(users)
        twin = NearestVectors(self.model, self.k, n_threads=self.n_threads).fit()
        twin.seen_ = self.seen_
        exact = twin.retrieve(users)
        if exact.indices.size == 0:
            return float("nan")

        def keys(candidates: Candidates) -> NDArray[np.int64]:
            owner = np.repeat(np.arange(candidates.indptr.size - 1), np.diff(candidates.indptr))
            return owner * len(self.items_) + candidates.indices

        return float(np.isin(keys(exact), keys(found), assume_unique=True).mean())


class RelatedItems(_VectorRetriever):
    """The items most similar to those that a user had to do with last: "because you watched …".

    Parameters
    ----------
    model : fitted model with ``item_factors_``
        Items are similar as its vectors say, see ``similar_items``.
    n_recent : int, default 10
        How many items of a user are looked at: the latest by their timestamps, or the best rated where the ratings
        have none. Ties: the better rated, then the smaller item row.
    k : int, default 20
        How many items for each of them.
    metric : {"cosine", "dot"}, default "cosine"
        Similarity of vectors.
    index, m, ef_construction, ef, n_threads
        As for :class:`NearestVectors`.

    Attributes
    ----------
    users_ : IdMap
        The users of the ratings.
    items_ : IdMap
        The items of the model.
    recent_ : ndarray of shape (n_users, n_recent), int32
        Rows of the items looked at, latest first; -1 where there are fewer. Items that the model does not know are
        left out.
    index_ : object or None
        The approximate index.

    Notes
    -----
    Unknown users get nothing. Scores are similarities. An item is not related to itself; the 2k most similar are looked
    at, so that k are left without what a user has seen. The ratings need not be those that the model was fitted to:
    ``fit`` is quick, and makes recommendations follow what users did since.
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = _VectorRetriever._constraints | {
        "n_recent": COUNT,
        "metric": (OneOf(("cosine", "dot")),),
    }

    recent_: NDArray[np.int32]
    _table: NDArray[np.float32] | None

    def __init__(
        self,
        model: Any,
        n_recent: int = 10,
        k: int = 20,
        *,
        metric: Literal["cosine", "dot"] = "cosine",
        index: IndexName = "exact",
        m: int = 16,
        ef_construction: int = 128,
        ef: int = 128,
        n_threads: int | None = None,
    ) -> None:
        self.model = model
        self.n_recent = n_recent
        self.k = k
        self.metric = metric
        self.index = index
        self.m = m
        self.ef_construction = ef_construction
        self.ef = ef
        self.n_threads = n_threads

    def _learn(self, ratings: Ratings, caller: str) -> IdMap:
        self.recent_ = self._latest(ratings)
        self._build(caller)
        self._table = self._vectors() if self.index_ is None else None
        items: IdMap = self.model.items_
        return items

    def _latest(self, ratings: Ratings) -> NDArray[np.int32]:
        """Return the model's rows of the last known items of each user."""
        items = self.model.items_.rows(ratings.items.ids)[ratings.indices]
        users = ratings.row_of_entry()
        keys: list[NDArray[Any]] = [ratings.indices, -ratings.values]
        if ratings.timestamps is not None:
            keys.append(~ratings.timestamps)  # descending; minus the least integer would be itself
        order = np.lexsort([*keys, users])
        order = order[items[order] >= 0]
        owners = users[order]
        counts = np.bincount(owners, minlength=ratings.n_users)
        place = np.arange(order.size) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = place < self.n_recent
        recent = np.full((ratings.n_users, self.n_recent), -1, np.int32)
        recent[owners[kept], place[kept]] = items[order[kept]]
        return recent

    def _vectors(self) -> NDArray[np.float32]:
        return self._directed(self.model.item_factors_)

    def _directed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors whose inner products are the similarities."""
        if self.metric == "dot":
            return vectors
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, np.where(lengths > 0, lengths, 1), dtype=np.float32)

    def _lists_of(self, users: Any, rows: NDArray[np.int32], seen: Seen) -> tuple[Lists, NDArray[np.int32]]:
        recent = np.where(rows[:, None] >= 0, self.recent_[np.where(rows >= 0, rows, 0)], -1)
        wanted = np.unique(recent)
        wanted = np.ascontiguousarray(wanted[wanted >= 0])
        lists = Lists.of_table(*self._neighbours(wanted))
        chosen = np.where(recent >= 0, np.searchsorted(wanted, recent), -1).astype(np.int32)
        return lists, chosen

    def _neighbours(self, items: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the nearest items of item rows, nearest first."""
        if items.size == 0:
            return np.empty((0, 1), np.int32), np.empty((0, 1), np.float32)
        if self._table is not None:
            itself = np.arange(items.size + 1, dtype=np.int64), items  # is what a query has seen
            found, scores = self.model._native.topk(
                self._table[items], self._table, None, self._reach, *itself, n_threads=self.n_threads or 0
            )
        else:
            assert self.index_ is not None
            queries = self._directed(self.model.item_factors_[items])
            found, scores = self.index_.search(queries, min(self._reach + 1, len(self.items_)), self.ef)
            found[found == items[:, None]] = -1
        return found, scores
