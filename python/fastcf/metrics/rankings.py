"""How well lists of items are ranked: held-out ratings say which items are relevant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from fastcf._backend import host
from fastcf._thresholds import reaches
from fastcf.metrics.lists import MakesLists, Retrieves, as_lists, lengths_of
from fastcf.ratings import Ratings

__all__ = ["RankingScores", "UserRankings", "ranking", "ranking_by_user", "relevant_ratings", "row_measures"]

_Floats = npt.NDArray[np.float64]

_LENGTH = 10  # of the lists that recommenders make by default


class RankingScores(NamedTuple):
    """How well lists of k items are ranked: means over users, each from 0 to 1; see :func:`ranking`.

    Attributes
    ----------
    precision : float
        Share of the k places that hold a relevant item.
    recall : float
        Share of a user's relevant items that are in the list.
    capped_recall : float
        The relevant items in the list, divided by the most that it could hold: min(k, relevant items).
    hit_rate : float
        Share of users with a relevant item in their list.
    reciprocal_rank : float
        One over the place of the first relevant item, 0 without one (MRR).
    average_precision : float
        Precision at the place of each relevant item, summed and divided by the most there could be, min(k, relevant
        items) (MAP).
    ndcg : float
        Sum of ``1 / log2(1 + place)`` over the relevant items, divided by the same of a perfect list.
    graded_ndcg : float
        Sum of ``rating / log2(1 + place)`` over the relevant items, divided by the same of a perfect list. Ratings
        below 0 count as 0.
    n_users : int
        Users that count: those with relevant items.
    n_without : int
        Users that do not count: they have a list, or held-out ratings where lists are made, and no relevant items.
    """

    precision: float
    recall: float
    capped_recall: float
    hit_rate: float
    reciprocal_rank: float
    average_precision: float
    ndcg: float
    graded_ndcg: float
    n_users: int
    n_without: int


class UserRankings(NamedTuple):
    """How well each user's list of k items is ranked; see :func:`ranking_by_user`.

    Attributes
    ----------
    users : ndarray of shape (m,)
        Ids of the users that count, in the order of the lists; all other arrays are float64 of the same length.
    precision, recall, capped_recall, hit, reciprocal_rank, average_precision, ndcg, graded_ndcg : ndarray
        As for :class:`RankingScores`, where their means are; ``hit`` is 1 with a relevant item in the list, else 0.
    n_relevant : ndarray of int64
        Relevant items of each user.
    n_without : int
        As for :class:`RankingScores`: these users are left out.
    """

    users: npt.NDArray[Any]
    precision: _Floats
    recall: _Floats
    capped_recall: _Floats
    hit: _Floats
    reciprocal_rank: _Floats
    average_precision: _Floats
    ndcg: _Floats
    graded_ndcg: _Floats
    n_relevant: npt.NDArray[np.int64]
    n_without: int

    def means(self) -> RankingScores:
        """Return the means over the users.

        Returns
        -------
        RankingScores
        """
        return RankingScores(
            precision=float(np.mean(self.precision)),
            recall=float(np.mean(self.recall)),
            capped_recall=float(np.mean(self.capped_recall)),
            hit_rate=float(np.mean(self.hit)),
            reciprocal_rank=float(np.mean(self.reciprocal_rank)),
            average_precision=float(np.mean(self.average_precision)),
            ndcg=float(np.mean(self.ndcg)),
            graded_ndcg=float(np.mean(self.graded_ndcg)),
            n_users=self.users.size,
            n_without=self.n_without,
        )


_MEASURES = UserRankings._fields[1:-2]  # in the order of ListMeasures, csrc/math/list_measures.h


@overload
def ranking(
    recommended: Any,
    users: npt.ArrayLike | None = ...,
    held_out: Ratings | None = ...,
    *,
    k: int | None = ...,
    threshold: float | None = ...,
) -> RankingScores: ...
@overload
def ranking(
    recommended: Any,
    users: npt.ArrayLike | None = ...,
    held_out: Ratings | None = ...,
    *,
    k: Sequence[int],
    threshold: float | None = ...,
) -> dict[int, RankingScores]: ...


def ranking(
    recommended: Any,
    users: npt.ArrayLike | None = None,
    held_out: Ratings | None = None,
    *,
    k: int | Sequence[int] | None = None,
    threshold: float | None = None,
) -> RankingScores | dict[int, RankingScores]:
    """Compare lists of recommended items with held-out ratings of their users.

    Parameters
    ----------
    recommended : Recommendations, array-like of shape (m, n), or a fitted model, recommender or retriever
        What ``model.recommend(users, n)`` returns, or the ids of items, best first, none of them twice. Ids
        that are not in ``held_out`` are irrelevant. Anything with a method ``recommend``, or ``retrieve`` as retrievers
        have it, makes the lists itself, with the defaults of these methods: seen items are left out.
    users : array-like of shape (m,), optional
        The users of the lists, none of them twice. By default the users that ``Recommendations`` were made for; where
        lists are made, all users with relevant items.
    held_out : Ratings
        Ratings that the model did not learn from. Users without relevant ones do not count.
    k : int or sequence of int, optional
        Number of places of each list to evaluate, at most n; by default all, and 10 where lists are made. Places after
        the end of a list count as irrelevant. Several numbers: the figures of each, from the same lists.
    threshold : float, optional
        Items that a user rated with at least this are relevant; by default all that they rated. Compared in float32,
        in which ratings are stored.

    Returns
    -------
    RankingScores, or dict of int to RankingScores
        Means over users, float64; with several k a dict by k.

    Raises
    ------
    TypeError, ValueError
        If shapes disagree, ids are no ids, k is not from 1 to n, a list holds an item twice, a user has several lists,
        or no user counts.

    Notes
    -----
    Relevance is yes or no, except for the graded NDCG. What was held out is all that is known to be relevant: items
    that users would have liked and never met count against a list, so compare figures on the same split only.

    See Also
    --------
    ranking_by_user : The same for each user, for paired differences of models.

    References
    ----------
    K. Järvelin and J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002.

    Examples
    --------
    >>> import fastcf
    >>> held_out = fastcf.Ratings.from_coo([7, 7, 8], [1, 2, 5], [5.0, 3.0, 4.0])
    >>> scores = fastcf.metrics.ranking([[1, 3], [4, 6]], [7, 8], held_out)
    >>> scores.precision, scores.recall, scores.hit_rate
    (0.25, 0.25, 0.5)
    """
    each = _by_user(recommended, users, held_out, k, threshold, "ranking")
    return each.means() if isinstance(each, UserRankings) else {length: one.means() for length, one in each.items()}


@overload
def ranking_by_user(
    recommended: Any,
    users: npt.ArrayLike | None = ...,
    held_out: Ratings | None = ...,
    *,
    k: int | None = ...,
    threshold: float | None = ...,
) -> UserRankings: ...
@overload
def ranking_by_user(
    recommended: Any,
    users: npt.ArrayLike | None = ...,
    held_out: Ratings | None = ...,
    *,
    k: Sequence[int],
    threshold: float | None = ...,
) -> dict[int, UserRankings]: ...


def ranking_by_user(
    recommended: Any,
    users: npt.ArrayLike | None = None,
    held_out: Ratings | None = None,
    *,
    k: int | Sequence[int] | None = None,
    threshold: float | None = None,
) -> UserRankings | dict[int, UserRankings]:
    """Compare lists of recommended items with held-out ratings, a figure per user.

    Parameters
    ----------
    recommended, users, held_out, k, threshold
        As for :func:`ranking`.

    Returns
    -------
    UserRankings, or dict of int to UserRankings
        Arrays with an entry per user that has relevant items; with several k a dict by k. Two models' lists for the
        same users give paired differences, whose standard error is far below that of either mean.

    Raises
    ------
    TypeError, ValueError
        As for :func:`ranking`.

    References
    ----------
    Recall divided by min(k, relevant items): D. Liang et al., "Variational autoencoders for collaborative filtering",
    WWW 2018.

    Examples
    --------
    >>> import fastcf
    >>> held_out = fastcf.Ratings.from_coo([7, 7, 8], [1, 2, 5], [5.0, 3.0, 4.0])
    >>> each = fastcf.metrics.ranking_by_user([[1], [4]], [7, 8], held_out)
    >>> each.users.tolist(), each.recall.tolist(), each.capped_recall.tolist()
    ([7, 8], [0.5, 0.0], [1.0, 0.0])
    """
    return _by_user(recommended, users, held_out, k, threshold, "ranking_by_user")


def _by_user(
    recommended: Any,
    users: npt.ArrayLike | None,
    held_out: Ratings | None,
    k: int | Sequence[int] | None,
    threshold: float | None,
    caller: str,
) -> UserRankings | dict[int, UserRankings]:
    makes = isinstance(recommended, (MakesLists, Retrieves))
    lengths = lengths_of(_LENGTH if makes and k is None else k, caller)
    rated, relevant = relevant_ratings(held_out, threshold, caller)
    n_relevant = relevant.user_counts()
    unlisted = 0
    if users is None and makes:
        users = relevant.users.ids[n_relevant > 0]
        unlisted = int((rated.user_counts() > 0).sum()) - users.size
    lists = as_lists(recommended, users, max(lengths, default=1), caller)
    lengths = lengths or (lists.items.shape[1],)
    rows = relevant.users.find(lists.users, f"{caller}: users")
    counted = (rows >= 0) & (n_relevant[rows] > 0)
    if not counted.any():
        raise ValueError(f"{caller}: some user must have relevant ratings in held_out; none has")
    columns = lists.first(max(lengths), caller).rows(relevant.items, caller)[counted]
    measures = row_measures(rows[counted], columns, relevant, lengths, caller)
    known, n_without = n_relevant[rows[counted]], unlisted + int((~counted).sum())
    found = {
        length: UserRankings(lists.users[counted], **fields, n_relevant=known, n_without=n_without)
        for length, fields in zip(lengths, measures, strict=True)
    }
    return found if np.ndim(k) else found[lengths[0]]  # type: ignore[arg-type]  # np.ndim(None) is 0


def relevant_ratings(held_out: Any, threshold: float | None, caller: str) -> tuple[Ratings, Ratings]:
    """Return held-out ratings, checked, and those of at least a threshold; raises ValueError where there are none."""
    if not isinstance(held_out, Ratings):
        raise TypeError(f"{caller}: held_out must be Ratings; got {type(held_out).__name__}")
    relevant = held_out if threshold is None else held_out.take(reaches(held_out.values, threshold))
    if relevant.nnz == 0:
        raise ValueError(f"{caller}: some user must have relevant ratings in held_out; none has")
    return held_out, relevant


def row_measures(
    users: npt.NDArray[np.int32],
    items: npt.NDArray[np.int32],
    relevant: Ratings,
    lengths: Sequence[int],
    caller: str,
) -> list[dict[str, _Floats]]:
    """Return the measures of lists by rows of ``relevant``: of each length, arrays by the names of ``UserRankings``.

    ``users`` of shape (m,) have relevant items; ``items`` of shape (m, n) are -1 where there is none. Raises ValueError
    for a list that holds an item twice.
    """
    measures, repeated = host.list_measures(
        users, items, relevant.indptr, relevant.indices, relevant.values, np.asarray(lengths, np.int64)
    )
    if repeated >= 0:
        user = relevant.users.id_at(int(users[repeated]))
        raise ValueError(f"{caller}: lists must not hold an item twice; that of user {user!r} does")
    return [dict(zip(_MEASURES, fields, strict=True)) for fields in measures]
