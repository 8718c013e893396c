"""Errors of predicted ratings and of predicted probabilities of labels; how well lists of items are ranked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy
from sklearn.metrics import roc_auc_score

from fastcf.ratings import Ratings

__all__ = [
    "RankingScores",
    "UserRankings",
    "accuracy",
    "log_loss",
    "mae",
    "ranking",
    "ranking_by_user",
    "rmse",
    "roc_auc",
]

_Floats = npt.NDArray[np.float64]


def _finite_vector(values: npt.ArrayLike, caller: str, name: str) -> npt.NDArray[np.float64]:
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{caller}: {name} must hold numbers; {error}") from error
    if vector.ndim != 1:
        raise ValueError(f"{caller}: {name} must have 1 dimension; got {vector.ndim}")
    finite = np.isfinite(vector)
    if not finite.all():
        entry = int(np.argmin(finite))
        raise ValueError(f"{caller}: {name} must be finite; got {vector[entry]} at entry {entry}")
    return vector


def _pair(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None, caller: str, name: str = "y_pred"
) -> tuple[_Floats, _Floats, _Floats | None]:
    """Return the two vectors and the weights (None: all alike), checked."""
    true = _finite_vector(y_true, caller, "y_true")
    predicted = _finite_vector(y_pred, caller, name)
    if true.size == 0:
        raise ValueError(f"{caller}: y_true must not be empty")
    if predicted.size != true.size:
        raise ValueError(f"{caller}: {name} must have as many entries as y_true ({true.size}); got {predicted.size}")
    if sample_weight is None:
        return true, predicted, None
    weights = _finite_vector(sample_weight, caller, "sample_weight")
    if weights.size != true.size:
        raise ValueError(
            f"{caller}: sample_weight must have as many entries as y_true ({true.size}); got {weights.size}"
        )
    if weights.min() < 0:
        entry = int(np.argmin(weights))
        raise ValueError(f"{caller}: sample_weight must not be negative; got {weights[entry]} at entry {entry}")
    if float(weights.sum()) == 0:
        raise ValueError(f"{caller}: sample_weight must have a positive sum; got 0.0")
    return true, predicted, weights


def _mean(values: _Floats, weights: _Floats | None) -> float:
    return float(np.mean(values)) if weights is None else float(weights @ values) / float(weights.sum())


def _mean_error(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None, power: int, caller: str
) -> float:
    true, predicted, weights = _pair(y_true, y_pred, sample_weight, caller)
    return _mean(np.abs(predicted - true) ** power, weights)


def _require(ok: npt.NDArray[np.bool_], values: _Floats, caller: str, name: str, what: str) -> None:
    if not ok.all():
        entry = int(np.argmin(ok))
        raise ValueError(f"{caller}: {name} must {what}; got {values[entry]} at entry {entry}")


def rmse(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None) -> float:
    """Root mean squared error.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True ratings; finite.
    y_pred : array-like of shape (n,)
        Predicted ratings; finite.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights with a positive sum; by default every rating counts the same.

    Returns
    -------
    float
        ``sqrt(sum(w * (y_pred - y_true)**2) / sum(w))``, computed in float64, in units of the ratings.

    Raises
    ------
    TypeError
        If an argument does not hold numbers.
    ValueError
        If an argument is empty, not one-dimensional or not finite, if the lengths differ, or if the weights are
        negative or sum to zero.

    Examples
    --------
    >>> rmse([3.0, 5.0], [4.0, 5.0])
    0.7071067811865476
    """
    return float(np.sqrt(_mean_error(y_true, y_pred, sample_weight, 2, "rmse")))


def mae(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None) -> float:
    """Mean absolute error.

    Parameters
    ----------
    y_true, y_pred, sample_weight
        As for :func:`rmse`.

    Returns
    -------
    float
        ``sum(w * abs(y_pred - y_true)) / sum(w)``, computed in float64, in units of the ratings.

    Raises
    ------
    TypeError, ValueError
        As for :func:`rmse`.

    Examples
    --------
    >>> mae([3.0, 5.0], [4.0, 5.0])
    0.5
    """
    return _mean_error(y_true, y_pred, sample_weight, 1, "mae")


def log_loss(y_true: npt.ArrayLike, p: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None) -> float:
    """Mean negative log-likelihood of binary labels, or cross-entropy of labels between 0 and 1.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels in [0, 1].
    p : array-like of shape (n,)
        Predicted probabilities of label 1, in [0, 1]. Kept away from 0 and 1 by the spacing of their dtype, so that one
        wrong certainty does not make the result infinite.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights with a positive sum; by default every label counts the same.

    Returns
    -------
    float
        ``-sum(w * (y * log(p) + (1 - y) * log(1 - p))) / sum(w)``, in nats, computed in float64.

    Raises
    ------
    TypeError, ValueError
        As for :func:`rmse`, and if an argument is out of range.

    See Also
    --------
    sklearn.metrics.log_loss : The same for labels 0 and 1, and for more than two classes.

    Examples
    --------
    >>> round(log_loss([1, 0], [0.8, 0.4]), 4)
    0.367
    """
    true, predicted, weights = _pair(y_true, p, sample_weight, "log_loss", "p")
    _require((true >= 0) & (true <= 1), true, "log_loss", "y_true", "lie in [0, 1]")
    _require((predicted >= 0) & (predicted <= 1), predicted, "log_loss", "p", "lie in [0, 1]")
    dtype = np.asarray(p).dtype
    spacing = float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)
    predicted = np.clip(predicted, spacing, 1 - spacing)
    return _mean(-(xlogy(true, predicted) + xlogy(1 - true, 1 - predicted)), weights)


def accuracy(
    y_true: npt.ArrayLike, p: npt.ArrayLike, *, threshold: float = 0.5, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Share of binary labels that probabilities get right.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels, 0 or 1.
    p : array-like of shape (n,)
        Predicted probabilities of label 1, or any scores; finite.
    threshold : float, default 0.5
        Predict 1 where ``p >= threshold``.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights with a positive sum; by default every label counts the same.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        As for :func:`log_loss`, and if a label is neither 0 nor 1.

    Examples
    --------
    >>> accuracy([1, 0, 1], [0.8, 0.4, 0.3])
    0.6666666666666666
    """
    true, predicted, weights = _pair(y_true, p, sample_weight, "accuracy", "p")
    _require((true == 0) | (true == 1), true, "accuracy", "y_true", "be 0 or 1")
    return _mean(((predicted >= threshold) == (true == 1)).astype(np.float64), weights)


def roc_auc(y_true: npt.ArrayLike, score: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None) -> float:
    """Area under the ROC curve: the probability that a random 1 is scored above a random 0, ties counting half.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels, 0 or 1; both must occur.
    score : array-like of shape (n,)
        Predicted probabilities or any scores; finite.
    sample_weight : array-like of shape (n,), optional
        Non-negative weights; by default every label counts the same.

    Returns
    -------
    float
        Between 0 and 1; 0.5 for scores that tell nothing.

    Raises
    ------
    TypeError, ValueError
        As for :func:`accuracy`, and if the labels (of positive weight) are all 0 or all 1.

    See Also
    --------
    sklearn.metrics.roc_auc_score : Computes it.

    Examples
    --------
    >>> roc_auc([1, 0, 1], [0.8, 0.4, 0.3])
    0.5
    """
    true, predicted, weights = _pair(y_true, score, sample_weight, "roc_auc", "score")
    _require((true == 0) | (true == 1), true, "roc_auc", "y_true", "be 0 or 1")
    counted = true if weights is None else true[weights > 0]
    if counted.min() == counted.max():
        raise ValueError(f"roc_auc: y_true must hold both labels; got {counted.size} times {counted[0]:g}")
    return float(roc_auc_score(true, predicted, sample_weight=weights))


class RankingScores(NamedTuple):
    """How well lists of k items are ranked: means over users, each from 0 to 1; see :func:`ranking`.

    Attributes
    ----------
    precision : float
        Share of the k places that hold a relevant item.
    recall : float
        Share of a user's relevant items that are in the list.
    hit_rate : float
        Share of users with a relevant item in their list.
    reciprocal_rank : float
        One over the place of the first relevant item, 0 without one (MRR).
    average_precision : float
        Precision at the place of each relevant item, summed and divided by the most there could be, min(k, relevant
        items) (MAP).
    ndcg : float
        Sum of ``1 / log2(1 + place)`` over the relevant items, divided by the same of a perfect list.
    n_users : int
        Users that count: those with relevant items.
    """

    precision: float
    recall: float
    hit_rate: float
    reciprocal_rank: float
    average_precision: float
    ndcg: float
    n_users: int


class UserRankings(NamedTuple):
    """How well each user's list of k items is ranked; see :func:`ranking_by_user`.

    Attributes
    ----------
    users : ndarray of shape (m,)
        Ids of the users that count, in the order of the lists; all other arrays are float64 of the same length.
    precision, recall, hit, reciprocal_rank, average_precision, ndcg : ndarray
        As for :class:`RankingScores`, where their means are; ``hit`` is 1 with a relevant item in the list, else 0.
    capped_recall : ndarray
        The relevant items in the list divided by the most that it could hold, min(k, relevant items).
    n_relevant : ndarray of int64
        Relevant items of each user.
    """

    users: npt.NDArray[Any]
    precision: _Floats
    recall: _Floats
    capped_recall: _Floats
    hit: _Floats
    reciprocal_rank: _Floats
    average_precision: _Floats
    ndcg: _Floats
    n_relevant: npt.NDArray[np.int64]


def ranking(
    recommended: Any, users: npt.ArrayLike, held_out: Ratings, *, k: int | None = None, threshold: float | None = None
) -> RankingScores:
    """Compare lists of recommended items with held-out ratings of their users.

    Parameters
    ----------
    recommended : Recommendations or array-like of shape (m, n)
        What ``model.recommend(users, n)`` returns, or the ids of items, best first, none of them twice. Ids
        that are not in ``held_out`` are irrelevant.
    users : array-like of shape (m,)
        The users of the lists.
    held_out : Ratings
        Ratings that the model did not learn from. Users without relevant ones do not count.
    k : int, optional
        Number of places of each list to evaluate, at most n; by default all. Places after the end of a list count as
        irrelevant.
    threshold : float, optional
        Items that a user rated with at least this are relevant; by default all that they rated.

    Returns
    -------
    RankingScores
        Means over users, float64.

    Raises
    ------
    TypeError, ValueError
        If shapes disagree, ids are no ids, k is not from 1 to n, a list holds an item twice, or no user counts.

    Notes
    -----
    Relevance is yes or no. What was held out is all that is known to be relevant: items that users would have liked
    and never met count against a list, so compare figures on the same split only.

    See Also
    --------
    ranking_by_user : The same for each user, for paired differences of models, and recall of what fits in a list.

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
    return RankingScores(
        precision=float(np.mean(each.precision)),
        recall=float(np.mean(each.recall)),
        hit_rate=float(np.mean(each.hit)),
        reciprocal_rank=float(np.mean(each.reciprocal_rank)),
        average_precision=float(np.mean(each.average_precision)),
        ndcg=float(np.mean(each.ndcg)),
        n_users=each.users.size,
    )


def ranking_by_user(
    recommended: Any, users: npt.ArrayLike, held_out: Ratings, *, k: int | None = None, threshold: float | None = None
) -> UserRankings:
    """Compare lists of recommended items with held-out ratings, a figure per user.

    Parameters
    ----------
    recommended, users, held_out, k, threshold
        As for :func:`ranking`.

    Returns
    -------
    UserRankings
        Arrays with an entry per user that has relevant items. Two models' lists for the same users give paired
        differences, whose standard error is far below that of either mean.

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
    recommended: Any, users: npt.ArrayLike, held_out: Ratings, k: int | None, threshold: float | None, caller: str
) -> UserRankings:
    items, given = _lists(recommended, caller)
    if not isinstance(held_out, Ratings):
        raise TypeError(f"{caller}: held_out must be Ratings; got {type(held_out).__name__}")
    rows = held_out.users.find(users, f"{caller}: users")
    m, n = items.shape
    if rows.size != m:
        raise ValueError(f"{caller}: users must be as many as lists ({m}); got {rows.size}")
    k = n if k is None else k
    if isinstance(k, (bool, np.bool_)) or not isinstance(k, (int, np.integer)) or not 1 <= k <= n:
        raise ValueError(f"{caller}: k must be an integer from 1 to {n}, the length of the lists; got {k!r}")
    columns = np.full((m, k), -1, np.int64)
    listed = given[:, :k]
    columns[listed] = held_out.items.find(items[:, :k][listed], f"{caller}: recommended")

    relevant = np.ones(held_out.nnz, bool) if threshold is None else held_out.values >= float(threshold)
    owners = held_out.row_of_entry()[relevant]
    n_relevant = np.bincount(owners, minlength=held_out.n_users)
    counted = rows >= 0
    counted[counted] = n_relevant[rows[counted]] > 0
    if not counted.any():
        raise ValueError(f"{caller}: some user must have relevant ratings in held_out; none has")
    rows, columns = rows[counted].astype(np.int64), columns[counted]
    _refuse_twice(columns, caller)

    keys = np.sort(owners.astype(np.int64) * held_out.n_items + held_out.indices[relevant])
    wanted = rows[:, None] * held_out.n_items + columns
    places = np.searchsorted(keys, wanted).clip(max=keys.size - 1)
    hits = (keys[places] == wanted) & (columns >= 0)
    place = np.arange(1, k + 1)
    discount = 1 / np.log2(1 + place)
    known = n_relevant[rows]
    most = np.minimum(known, k)
    found = hits.sum(axis=1)
    first = np.where(found > 0, 1 / (1 + hits.argmax(axis=1)), 0.0)
    average = (hits * hits.cumsum(axis=1) / place).sum(axis=1) / most
    ndcg = hits @ discount / discount.cumsum()[most - 1]
    return UserRankings(
        users=held_out.users.ids[rows],
        precision=found / k,
        recall=found / known,
        capped_recall=found / most,
        hit=(found > 0).astype(np.float64),
        reciprocal_rank=first,
        average_precision=average,
        ndcg=ndcg,
        n_relevant=known,
    )


def _lists(recommended: Any, caller: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return lists of ids, and where there is an item and no padding."""
    scores = getattr(recommended, "scores", None)
    items = np.asarray(recommended if scores is None else recommended.items)
    if items.ndim != 2 or items.size == 0:
        raise ValueError(f"{caller}: recommended must have shape (m, n), neither of them 0; got {items.shape}")
    return items, np.ones(items.shape, bool) if scores is None else np.asarray(scores) > -np.inf


def _refuse_twice(columns: npt.NDArray[np.int64], caller: str) -> None:
    ordered = np.sort(columns, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        raise ValueError(f"{caller}: lists must not hold an item twice; {int(twice.any(axis=1).sum())} of them do")
