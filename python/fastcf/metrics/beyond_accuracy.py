"""What lists are like beside being right: how much of the catalogue they show, how popular, new and diverse it is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse

from fastcf.ids import IdMap
from fastcf.metrics.catalogue import Catalogue, coverage, gini
from fastcf.metrics.lists import Lists, MakesLists, Retrieves, as_lists, lengths_of
from fastcf.metrics.rankings import relevant_ratings
from fastcf.preprocessing import FeatureTable, as_feature_table
from fastcf.ratings import Ratings

__all__ = ["BeyondAccuracy", "UserBeyondAccuracy", "beyond_accuracy", "beyond_accuracy_by_user"]

_Floats = npt.NDArray[np.float64]

_USERS_AT_ONCE = 1 << 14  # so that a table of users and features stays small


class BeyondAccuracy(NamedTuple):
    """What lists of k items are like; see :func:`beyond_accuracy`. Means are over users.

    Attributes
    ----------
    coverage : float
        Share of the catalogue that is in some list.
    gini : float
        Gini index of how often the items of the catalogue are in lists: 0 where all are listed equally often, near 1
        where few items fill the lists.
    mean_popularity : float
        Mean of the share of users who rated the listed items in training.
    novelty : float
        Mean of ``-log2`` of that share, in bits; an item without ratings counts as with one.
    diversity : float or None
        Mean of one minus the cosine of the vectors of two items of a list; None without vectors.
    serendipity : float or None
        Mean share of the places with an item that is relevant and not expected; None without expected lists.
    n_users : int
        Number of lists.
    """

    coverage: float
    gini: float
    mean_popularity: float
    novelty: float
    diversity: float | None
    serendipity: float | None
    n_users: int


class UserBeyondAccuracy(NamedTuple):
    """What each user's list of k items is like; see :func:`beyond_accuracy_by_user`.

    Attributes
    ----------
    users : ndarray of shape (m,)
        The users, in the order of the lists; all other arrays are float64 of the same length.
    mean_popularity, novelty, diversity, serendipity : ndarray, the last two or None
        As for :class:`BeyondAccuracy`, where their means are. NaN where they are not defined, which the means leave
        out: of empty lists, the diversity of lists with fewer than two items with vectors, and the serendipity of users
        without relevant items.
    counts : ndarray of int64, shape (n_catalogue,)
        How often each item of the catalogue is listed, in the order of ``catalogue``.
    catalogue : IdMap
        The items that could be listed.
    """

    users: npt.NDArray[Any]
    mean_popularity: _Floats
    novelty: _Floats
    diversity: _Floats | None
    serendipity: _Floats | None
    counts: npt.NDArray[np.int64]
    catalogue: IdMap

    def means(self) -> BeyondAccuracy:
        """Return the means over the users, and the figures of all lists together.

        Returns
        -------
        BeyondAccuracy
        """
        return BeyondAccuracy(
            coverage=coverage(self.counts),
            gini=gini(self.counts),
            mean_popularity=_mean(self.mean_popularity),
            novelty=_mean(self.novelty),
            diversity=None if self.diversity is None else _mean(self.diversity),
            serendipity=None if self.serendipity is None else _mean(self.serendipity),
            n_users=self.users.size,
        )


def beyond_accuracy(
    recommended: Any,
    users: npt.ArrayLike | None = None,
    train: Ratings | None = None,
    *,
    k: int = 10,
    catalogue: IdMap | npt.ArrayLike | None = None,
    vectors: Any = None,
    expected: Any = None,
    held_out: Ratings | None = None,
    threshold: float | None = None,
) -> BeyondAccuracy:
    """Describe lists of recommended items beside their accuracy.

    Parameters
    ----------
    recommended : Recommendations, array-like of shape (m, n), or a fitted model, recommender or retriever
        Lists, or what makes them, as for :func:`ranking`.
    users : array-like of shape (m,), optional
        The users of the lists, none of them twice. By default the users that ``Recommendations`` were made for; where
        lists are made, all users with ratings in ``train``.
    train : Ratings
        The ratings that the model learnt from: who rated what says what is popular.
    k : int, default 10
        Number of places of each list to look at, at most n.
    catalogue : IdMap or array-like of ids, optional
        Items that could be listed, all listed ones among them; by default those of ``train``.
    vectors : FeatureTable or tuple (ids, matrix), optional
        Vectors of items, for the diversity: features such as genres, or ``(model.items_, model.item_factors_)``. Items
        without a vector, or with one of zeros, form no pairs.
    expected : as ``recommended``, optional
        Lists that the same users expect, for the serendipity, mostly those of :class:`fastcf.Popular`; its first k
        places count.
    held_out : Ratings, optional
        Which items are relevant, for the serendipity; needed with ``expected``.
    threshold : float, optional
        Items that a user rated in ``held_out`` with at least this are relevant; by default all.

    Returns
    -------
    BeyondAccuracy
        float64.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    With n_u users who have ratings, n_i of them with ratings of item i, and c_(1) ≤ c_(2) ≤ … ≤ c_(N) the numbers of
    lists that items of the catalogue are in: popularity ``n_i / n_u``, novelty ``-log2(max(n_i, 1) / n_u)``, Gini index
    ``sum((2 j - N - 1) c_(j)) / (N sum(c))``, diversity ``1 - sum(cos(v_i, v_j), i < j) / (p (p - 1) / 2)`` for the p
    items with vectors, serendipity ``|list ∩ relevant − expected| / k``. Deterministic.

    References
    ----------
    Novelty: T. Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 107(10),
    2010. Diversity: C.-N. Ziegler et al., "Improving recommendation lists through topic diversification", WWW 2005.
    Coverage and serendipity: M. Ge, C. Delgado-Battenfeld and D. Jannach, "Beyond accuracy: evaluating recommender
    systems by coverage and serendipity", RecSys 2010.

    Examples
    --------
    >>> import fastcf
    >>> train = fastcf.Ratings.from_coo([1, 1, 2, 2, 3], [7, 8, 8, 9, 8], [3, 4, 5, 4, 4])
    >>> found = fastcf.metrics.beyond_accuracy([[9], [7], [9]], [1, 2, 3], train, k=1)
    >>> round(found.coverage, 3), round(found.mean_popularity, 3), round(found.novelty, 3)
    (0.667, 0.333, 1.585)
    """
    options = {"catalogue": catalogue, "vectors": vectors, "expected": expected, "held_out": held_out}
    return _by_user(recommended, users, train, k, threshold, "beyond_accuracy", **options).means()


def beyond_accuracy_by_user(
    recommended: Any,
    users: npt.ArrayLike | None = None,
    train: Ratings | None = None,
    *,
    k: int = 10,
    catalogue: IdMap | npt.ArrayLike | None = None,
    vectors: Any = None,
    expected: Any = None,
    held_out: Ratings | None = None,
    threshold: float | None = None,
) -> UserBeyondAccuracy:
    """Describe each user's list of recommended items beside its accuracy.

    Parameters
    ----------
    recommended, users, train, k, catalogue, vectors, expected, held_out, threshold
        As for :func:`beyond_accuracy`.

    Returns
    -------
    UserBeyondAccuracy

    Raises
    ------
    TypeError, ValueError
        As for :func:`beyond_accuracy`.
    """
    options = {"catalogue": catalogue, "vectors": vectors, "expected": expected, "held_out": held_out}
    return _by_user(recommended, users, train, k, threshold, "beyond_accuracy_by_user", **options)


def _by_user(
    recommended: Any,
    users: npt.ArrayLike | None,
    train: Ratings | None,
    k: int,
    threshold: float | None,
    caller: str,
    *,
    catalogue: Any,
    vectors: Any,
    expected: Any,
    held_out: Ratings | None,
) -> UserBeyondAccuracy:
    if not isinstance(train, Ratings) or train.nnz == 0:
        got = "none" if isinstance(train, Ratings) else type(train).__name__
        raise TypeError(f"{caller}: train must be Ratings, one or more; got {got}")
    if (expected is None) != (held_out is None):
        given = "expected" if held_out is None else "held_out"
        raise ValueError(f"{caller}: expected and held_out must be given together; got {given} alone")
    if threshold is not None and held_out is None:
        raise ValueError(f"{caller}: threshold must be None without held_out, which it cuts; got {threshold!r}")
    if users is None and isinstance(recommended, (MakesLists, Retrieves)):
        users = train.users.ids[train.user_counts() > 0]
    if np.ndim(k):
        raise TypeError(f"{caller}: k must be an integer; got {k!r}")
    (k,) = lengths_of(k, caller)
    lists = as_lists(recommended, users, k, caller).first(k, caller)
    items = catalogue if catalogue is None or isinstance(catalogue, IdMap) else IdMap(catalogue)
    known = Catalogue.of_ratings(train, items)
    shown = known.shown(lists, caller)
    return UserBeyondAccuracy(
        users=lists.users,
        mean_popularity=shown.mean_popularity,
        novelty=shown.novelty,
        diversity=None if vectors is None else _diversity(lists, as_feature_table(vectors, caller, "vectors"), caller),
        serendipity=None if held_out is None else _serendipity(lists, expected, held_out, k, threshold, caller),
        counts=shown.counts,
        catalogue=known.items,
    )


def _diversity(lists: Lists, table: FeatureTable, caller: str) -> _Floats:
    """Return one minus the mean cosine of the pairs of each list.

    The sum of unit vectors has the squared length p + 2 Σ cos for p items, so no pair is formed.
    """
    matrix = scipy.sparse.csr_array(table.matrix, dtype=np.float64) if table.is_sparse else table.matrix.astype(float)
    squares = matrix.multiply(matrix).sum(axis=1) if table.is_sparse else (matrix**2).sum(axis=1)
    norms = np.sqrt(np.asarray(squares).reshape(-1))
    units = scipy.sparse.diags_array(np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)) @ matrix
    places, rows = lists.entries(table.ids, caller)
    used = (rows >= 0) & (norms[rows] > 0)
    listed = scipy.sparse.csr_array(
        (np.ones(used.sum()), (places[used], rows[used])), shape=(len(lists.items), table.n_rows)
    )
    squared = np.empty(len(lists.items))
    for begin in range(0, squared.size, _USERS_AT_ONCE):
        sums = listed[begin : begin + _USERS_AT_ONCE] @ units
        part = sums.multiply(sums) if table.is_sparse else sums**2
        squared[begin : begin + _USERS_AT_ONCE] = np.asarray(part.sum(axis=1)).reshape(-1)
    sizes = np.diff(listed.indptr)
    pairs = sizes * (sizes - 1)
    unlike: _Floats = np.divide(pairs + sizes - squared, pairs, out=np.full(squared.size, np.nan), where=pairs > 0)
    return unlike


def _serendipity(
    lists: Lists, expected: Any, held_out: Ratings, k: int, threshold: float | None, caller: str
) -> _Floats:
    """Return the share of the k places of each list that hold a relevant item which is not in the expected list."""
    _, relevant = relevant_ratings(held_out, threshold, caller)
    plain = as_lists(expected, lists.users, k, f"{caller}: expected").first(k, f"{caller}: expected")
    if len(plain.items) != len(lists.items):
        raise ValueError(
            f"{caller}: expected must be as many lists as recommended ({len(lists.items)}); got {len(plain.items)}"
        )
    n = relevant.n_items
    owners = relevant.users.find(lists.users, f"{caller}: users").astype(np.int64)
    places, rows = lists.entries(relevant.items, caller)
    stored = relevant.row_of_entry().astype(np.int64) * n + relevant.indices
    known = (rows >= 0) & (owners[places] >= 0)
    hits = known & np.isin(np.where(known, owners[places] * n + rows, -1), stored)
    also, plain_rows = plain.entries(relevant.items, f"{caller}: expected")
    hits &= ~np.isin(places * n + rows, (also * n + plain_rows)[plain_rows >= 0])
    n_relevant = np.where(owners >= 0, relevant.user_counts()[owners], 0)
    share: _Floats = np.bincount(places, hits, minlength=len(lists.items)) / k
    share[n_relevant == 0] = np.nan
    return share


def _mean(values: _Floats) -> float:
    """Return the mean of the values that are defined, NaN where none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
