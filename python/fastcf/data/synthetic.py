"""Synthetic ratings with the shape of real ones, for demonstrations, tests and benchmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import ingest
from fastcf._parameters import check_n_threads
from fastcf._random import RandomState, seed_from
from fastcf.metrics import RankingScores, ranking
from fastcf.ratings import IdMap, Ratings

__all__ = ["Truth", "make_ratings"]

_CALLER = "make_ratings"
_USERS_AT_ONCE = 1024  # whose weights for all items are in memory
_HALF_STARS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)


class Truth(NamedTuple):
    """The model that synthetic ratings were drawn from.

    The true score of user ``u`` and item ``i`` is ``mean + user_bias[u] + item_bias[i] + user_factors[u] @
    item_factors[i]``.

    Attributes
    ----------
    mean : float
        Centre of the scores, before rounding and clipping to the levels.
    user_bias : ndarray of shape (n_users,), float32
        Offsets of the users.
    item_bias : ndarray of shape (n_items,), float32
        Offsets of the items.
    user_factors : ndarray of shape (n_users, n_factors), float32
        Factors of the users.
    item_factors : ndarray of shape (n_items, n_factors), float32
        Factors of the items.
    rmse : float
        RMSE, over all ratings, of predicting the true score clipped to the scale: what a model that has learnt
        everything scores, up to the little that rounding to levels leaves.
    rmse_biases : float
        RMSE of predicting ``mean + user_bias[u] + item_bias[i]``, clipped: what a perfect model without factors scores.
    exposure : ndarray of shape (n_items,), float32
        How likely each item is to be met, whatever the taste; sums to 1. Falls with popularity rank.
    choice : float
        Factor of taste: a user's next item is ``i`` with a probability proportional to ``exposure[i] * exp(choice *
        user_factors[u] @ item_factors[i])``, among the items not chosen yet. It is the ``choice`` of
        :func:`make_ratings` divided by ``signal``.
    """

    mean: float
    user_bias: NDArray[np.float32]
    item_bias: NDArray[np.float32]
    user_factors: NDArray[np.float32]
    item_factors: NDArray[np.float32]
    rmse: float
    rmse_biases: float
    exposure: NDArray[np.float32]
    choice: float

    def log_weights(self, users: ArrayLike) -> NDArray[np.float64]:
        """Return the logarithm of what the probability of each item is proportional to.

        Parameters
        ----------
        users : array-like of int, shape (m,)
            Users, 0..n_users-1.

        Returns
        -------
        ndarray of shape (m, n_items), float64
            The order of the items by it, less those chosen already, is the ranking that no model can beat on average.
        """
        taste = self.user_factors[np.asarray(users, np.int64)].astype(np.float64) @ self.item_factors.T
        weights: NDArray[np.float64] = np.log(self.exposure.astype(np.float64)) + self.choice * taste
        return weights

    def ranking(
        self, train: Ratings, held_out: Ratings, *, k: int = 10, threshold: float | None = None
    ) -> RankingScores:
        """Measure the perfect lists: the items that the users most probably choose, less those of the training part.

        Parameters
        ----------
        train : Ratings
            What the users have chosen so far, a part of the ratings made; no list holds it.
        held_out : Ratings
            Another part, to measure with.
        k : int, default 10
            Length of the lists.
        threshold : float, optional
            Ratings of at least this are relevant; by default all.

        Returns
        -------
        RankingScores
            As :func:`fastcf.metrics.ranking` has it: the aim of a model's lists, which held-out choices that happened
            to be improbable keep below 1.

        Raises
        ------
        TypeError, ValueError
            If the parts are no ratings with ids 0..n-1 of users and items, or as :func:`fastcf.metrics.ranking`.
        """
        for name, part in (("train", train), ("held_out", held_out)):
            if not isinstance(part, Ratings):
                raise TypeError(f"Truth.ranking: {name} must be Ratings; got {type(part).__name__}")
            for side, ids, n in (
                ("users", part.users.ids, self.user_bias.size),
                ("items", part.items.ids, self.item_bias.size),
            ):
                if ids.dtype.kind not in "iu" or (ids.size and not 0 <= ids.min() <= ids.max() < n):
                    raise ValueError(f"Truth.ranking: {name} must have {side} from 0 to {n - 1}, as they were made")
        if held_out.nnz == 0:
            raise ValueError("Truth.ranking: held_out must hold ratings; got none")
        users = held_out.users.ids[held_out.user_counts() > 0]
        lists = [
            self._lists(users[begin : begin + _USERS_AT_ONCE], train, k)
            for begin in range(0, users.size, _USERS_AT_ONCE)
        ]
        return ranking(np.concatenate(lists), users, held_out, k=k, threshold=threshold)

    def _lists(self, users: NDArray[np.int64], train: Ratings, k: int) -> NDArray[np.int64]:
        weights = self.log_weights(users)
        rows = train.users.rows(users)
        counts = np.where(rows >= 0, train.user_counts()[rows], 0)
        begins = np.where(rows >= 0, train.indptr[rows], 0)
        entries = np.repeat(begins - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        weights[np.repeat(np.arange(users.size), counts), train.items.ids[train.indices[entries]]] = -np.inf
        return np.argsort(-weights, axis=1, kind="stable")[:, :k]


def _integer(name: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{_CALLER}: {name} must be an integer; got {value!r}")
    if not low <= int(value) <= high:
        raise ValueError(f"{_CALLER}: {name} must be in [{low}, {high}]; got {value}")
    return int(value)


def _number(name: str, value: object, low: float, high: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{_CALLER}: {name} must be a number; got {value!r}")
    number = float(value)
    if not (math.isfinite(number) and low <= number <= high):
        limits = "finite" if low == -math.inf else f"in [{low:g}, {high:g}]" if high < math.inf else f"at least {low:g}"
        raise ValueError(f"{_CALLER}: {name} must be {limits}; got {value}")
    return number


def _levels(levels: Sequence[float] | NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    if levels is None:
        return None
    try:
        array = np.ascontiguousarray(levels, dtype=np.float32)
    except (TypeError, ValueError):
        raise TypeError(f"{_CALLER}: levels must be numbers; got {levels!r}") from None
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{_CALLER}: levels must be one-dimensional and not empty; got shape {array.shape}")
    if not np.isfinite(array).all() or (np.diff(array) <= 0).any():
        raise ValueError(f"{_CALLER}: levels must be finite and ascending; got {array.tolist()}")
    return array


@overload
def make_ratings(
    n_users: int = ...,
    n_items: int = ...,
    n_ratings: int = ...,
    *,
    n_factors: int = ...,
    popularity: float = ...,
    activity: float = ...,
    choice: float = ...,
    mean: float | None = ...,
    user_bias: float = ...,
    item_bias: float = ...,
    signal: float = ...,
    noise: float = ...,
    levels: Sequence[float] | NDArray[np.float32] | None = ...,
    timestamps: bool = ...,
    random_state: RandomState = ...,
    n_threads: int | None = ...,
    return_truth: Literal[False] = ...,
) -> Ratings: ...
@overload
def make_ratings(
    n_users: int = ...,
    n_items: int = ...,
    n_ratings: int = ...,
    *,
    n_factors: int = ...,
    popularity: float = ...,
    activity: float = ...,
    choice: float = ...,
    mean: float | None = ...,
    user_bias: float = ...,
    item_bias: float = ...,
    signal: float = ...,
    noise: float = ...,
    levels: Sequence[float] | NDArray[np.float32] | None = ...,
    timestamps: bool = ...,
    random_state: RandomState = ...,
    n_threads: int | None = ...,
    return_truth: Literal[True],
) -> tuple[Ratings, Truth]: ...
def make_ratings(
    n_users: int = 1000,
    n_items: int = 500,
    n_ratings: int = 50_000,
    *,
    n_factors: int = 8,
    popularity: float = 2.0,
    activity: float = 1.2,
    choice: float = 0.0,
    mean: float | None = None,
    user_bias: float = 0.4,
    item_bias: float = 0.5,
    signal: float = 0.5,
    noise: float = 0.7,
    levels: Sequence[float] | NDArray[np.float32] | None = _HALF_STARS,
    timestamps: bool = False,
    random_state: RandomState = None,
    n_threads: int | None = None,
    return_truth: bool = False,
) -> Ratings | tuple[Ratings, Truth]:
    """Make ratings that look like real ones: power-law items, log-normal users, low-rank taste, rating levels.

    User ``u`` rates item ``i`` with the level nearest to
    ``mean + b_u + b_i + p_u @ q_i + noise * z``, where biases, factors and ``z`` are normal. With the defaults, sizes
    like those of MovieLens and Netflix give their shape: the favourite item is rated by 40 to 50 % of the users, the
    median item and the median user have about a tenth and a half of the mean number of ratings.

    Parameters
    ----------
    n_users, n_items : int, default 1000 and 500
        Sizes; ids are ``0..n-1``. An item may stay unrated; a user only where ``n_ratings < n_users``.
    n_ratings : int, default 50,000
        Number of ratings, met exactly; no pair occurs twice. At most ``n_users * n_items``.
    n_factors : int, default 8
        Rank of the taste; 0 leaves only biases.
    popularity : float in [0, 10], default 2.0
        Exponent of the items' power law: an item's weight is ``(rank + 0.015 n_items) ** -popularity``. 0 makes all
        items alike.
    activity : float in [0, 10], default 1.2
        Sigma of the log-normal number of ratings per user. 0 makes all users alike.
    choice : float in [0, 10], default 0.0
        How much users choose by taste what they rate: an item's weight is multiplied by ``exp(choice * t)``, ``t`` the
        taste ``p_u @ q_i`` in units of its deviation ``signal``. With 0 it depends on popularity alone, so that no
        model can learn better lists than the most rated items; with 1, or 2, these reach three quarters, or half, of
        the NDCG of the truth (for the default sizes). Costs time in proportion to ``n_users * n_items``.
    mean : float, optional
        Centre of the scores; by default two thirds up the scale of ``levels`` (3.5 for half stars), 3.5 without levels.
    user_bias, item_bias : float, default 0.4 and 0.5
        Standard deviations of the biases, in units of the rating. The defaults suit five-star scales.
    signal : float, default 0.5
        Standard deviation of ``p_u @ q_i``.
    noise : float, default 0.7
        Standard deviation of the noise. With levels ``step`` apart the best possible RMSE is about
        ``sqrt(noise**2 + step**2 / 12)``, less the part that clipping to the scale removes; see :class:`Truth`.
    levels : sequence of float or None, default half stars from 0.5 to 5
        The ratings there are, ascending. None: continuous ratings, neither rounded nor clipped.
    timestamps : bool, default False
        Whether to date the ratings, in seconds since 1970 between 2000 and 2020; each user is active for some months.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        The same integer gives the same ratings, whatever ``n_threads``.
    n_threads : int or None, default None
        None: the default (:func:`fastcf.get_num_threads`).
    return_truth : bool, default False
        Whether to return the model behind the ratings, too.

    Returns
    -------
    ratings : Ratings
        The ratings, with ids ``0..n-1``.
    truth : Truth
        Only with ``return_truth=True``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range, or ``choice`` is above 0 where there is no taste
        (``n_factors=0`` or ``signal=0``).

    Notes
    -----
    Rows are generated in place: beside the result (8 bytes per rating, 16 with timestamps) only the factors of users
    and items are held. The items of a user are drawn without replacement, by rejection from an alias table [1]_ or,
    for users who rate a large part of all items, by exponential keys [2]_; both give the same distribution.

    References
    ----------
    .. [1] M. D. Vose, "A linear algorithm for generating random numbers with a given distribution", IEEE Transactions
       on Software Engineering 17 (9), 1991.
    .. [2] P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir", Information Processing
       Letters 97 (5), 2006.

    Examples
    --------
    >>> make_ratings(100, 50, 1000, random_state=0)
    Ratings(100 users x 50 items, 1,000 ratings from 0.5 to 5)

    Choices by taste, and the best that lists can be:

    >>> from fastcf.data import leave_n_out
    >>> ratings, truth = make_ratings(choice=1.5, random_state=0, return_truth=True)
    >>> train, test = leave_n_out(ratings, 0.2, random_state=0)
    >>> truth.ranking(train, test, k=10).ndcg > 0.2
    True
    """
    n_users = _integer("n_users", n_users, 1, 2**31 - 1)
    n_items = _integer("n_items", n_items, 1, 2**31 - 1)
    n_ratings = _integer("n_ratings", n_ratings, 0, n_users * n_items)
    n_factors = _integer("n_factors", n_factors, 0, 2**16)
    threads = check_n_threads(n_threads, "make_ratings")
    scale = _levels(levels)
    if mean is None:
        centre = 3.5 if scale is None else float(scale[0] + (scale[-1] - scale[0]) * 2 / 3)
    else:
        centre = _number("mean", mean, -math.inf)

    by_taste, deviation = _number("choice", choice, 0, 10), _number("signal", signal, 0)
    if by_taste > 0 and (n_factors == 0 or deviation == 0):
        raise ValueError(
            f"{_CALLER}: choice must be 0 where there is no taste to choose by; got {choice} with "
            f"n_factors={n_factors} and signal={signal} (set both above 0)"
        )
    indptr = np.empty(n_users + 1, np.int64)
    indices = np.empty(n_ratings, np.int32)
    values = np.empty(n_ratings, np.float32)
    times = np.empty(n_ratings, np.int64) if timestamps else None
    user_factors = np.empty((n_users, n_factors), np.float32)
    item_factors = np.empty((n_items, n_factors), np.float32)
    user_biases = np.empty(n_users, np.float32)
    item_biases = np.empty(n_items, np.float32)
    exposure = np.empty(n_items, np.float32)
    rmse, rmse_biases = ingest.make_ratings(
        n_users=n_users,
        n_items=n_items,
        n_ratings=n_ratings,
        popularity=_number("popularity", popularity, 0, 10),
        activity=_number("activity", activity, 0, 10),
        choice=by_taste,
        mean=centre,
        user_bias_deviation=_number("user_bias", user_bias, 0),
        item_bias_deviation=_number("item_bias", item_bias, 0),
        signal=deviation,
        noise=_number("noise", noise, 0),
        levels=scale,
        seed=seed_from(random_state, _CALLER),
        indptr=indptr,
        indices=indices,
        values=values,
        timestamps=times,
        user_factors=user_factors,
        item_factors=item_factors,
        user_bias=user_biases,
        item_bias=item_biases,
        exposure=exposure,
        n_threads=threads,
    )
    ratings = Ratings(indptr, indices, values, users=IdMap.range(n_users), items=IdMap.range(n_items), timestamps=times)
    if not return_truth:
        return ratings
    slope = by_taste / deviation if by_taste > 0 else 0.0
    return ratings, Truth(
        centre, user_biases, item_biases, user_factors, item_factors, rmse, rmse_biases, exposure, slope
    )
