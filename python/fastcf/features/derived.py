"""Features of users and items that come from ratings: how many, how high, how varied, and of which kind."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from fastcf.features.reading import read_ids
from fastcf.ids import IdMap
from fastcf.preprocessing import FeatureTable, as_feature_table
from fastcf.preprocessing.means import shrunk_means
from fastcf.ratings import Ratings, as_ratings

__all__ = ["item_features", "user_features"]


def user_features(
    ratings: Ratings,
    item_features: Any = None,
    *,
    users: IdMap | ArrayLike | None = None,
    shrinkage: float = 5.0,
) -> FeatureTable:
    """Describe users by their ratings: number, mean and spread, and for each feature of the items mean and number.

    Compute them from training ratings alone. A rating that is to be predicted later must not be among these: its value
    would stand in the features (target leakage), and errors measured on it would be too small. A user's own training
    ratings are in their means too, the more so the fewer they are; a model trained on the same ratings trusts these
    features more than new ratings bear out. Shrinkage eases that, and a part of the ratings set aside for the features
    alone avoids it.

    Parameters
    ----------
    ratings : Ratings
        At least one; weights count in means and spreads, not in numbers.
    item_features : FeatureTable or tuple (ids, matrix), optional
        Of all items of the ratings; non-negative, such as the genres of films. With zeros and ones, means and numbers
        are over the items that have the feature; other values weight the items.
    users : IdMap or array-like, optional
        The users, including any without ratings; by default the users of the ratings.
    shrinkage : float, default 5.0
        s: this many ratings of the expected value are added to each mean, so that means of few ratings stay near it.
        At least 0.

    Returns
    -------
    FeatureTable
        Dense, a row per user, with the columns

        - ``log_count``: log(1 + n), n being the number of ratings;
        - ``mean``: (Σ r + s μ) / (n + s), with μ the mean of all ratings;
        - ``spread``: the root of (Σ (r − r̄)² + s σ²) / (n + s), with r̄ the user's mean, unshrunk, and σ² the same
          average over all users;
        - for each feature x of the items, ``mean_x``: (Σ x r + s m) / (Σ x + s), with m the user's ``mean``, and
          ``log_count_x``: log(1 + Σ x). The features are called 0, 1, … where they have no names.

        Without ratings, or without any that have the feature, the expected value stands: μ, σ and m.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or an item of the ratings has no features.

    Notes
    -----
    With features it takes two sparse products, three where ratings have weights, whose results are dense. Arithmetic is
    float64.

    References
    ----------
    S. Funk. Netflix update: try this at home, 2006 (shrunk averages). S. Kaufman, S. Rosset, C. Perlich, O. Stitelman.
    Leakage in data mining. ACM TKDD 6(4), 2012.

    Examples
    --------
    >>> ratings = Ratings.from_coo(["ann", "ann", "bob"], ["up", "heat", "up"], [5.0, 2.0, 4.0])
    >>> genres = FeatureTable(["heat", "up"], [[1, 0], [0, 1]], ["crime", "animation"])
    >>> users = user_features(ratings, genres, shrinkage=1)
    >>> users.names.tolist()
    ['log_count', 'mean', 'spread', 'mean_crime', 'mean_animation', 'log_count_crime', 'log_count_animation']
    >>> users.matrix[:, 3:5].round(3)
    array([[2.778, 4.278],
           [3.833, 3.917]], dtype=float32)
    """
    given = as_ratings(ratings, caller="user_features")
    return _describe(_by_user(given), item_features, users, shrinkage, "user_features", ("user", "item"))


def item_features(
    ratings: Ratings,
    user_features: Any = None,
    *,
    items: IdMap | ArrayLike | None = None,
    shrinkage: float = 5.0,
) -> FeatureTable:
    """Describe items by their ratings: number, mean and spread, and for each feature of the users mean and number.

    The mirror of :func:`fastcf.features.user_features`: read users and items exchanged, its warning included.

    Parameters
    ----------
    ratings : Ratings
        At least one; weights count in means and spreads, not in numbers.
    user_features : FeatureTable or tuple (ids, matrix), optional
        Of all users of the ratings; non-negative, such as one-hot age groups.
    items : IdMap or array-like, optional
        What to describe, items without ratings included; by default the items of the ratings.
    shrinkage : float, default 5.0
        As many ratings of what is expected are added to each mean. At least 0.

    Returns
    -------
    FeatureTable
        Dense, a row per item; the columns are those of :func:`fastcf.features.user_features`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or a user of the ratings has no features.

    Examples
    --------
    >>> ratings = Ratings.from_coo(["ann", "ann", "bob"], ["up", "heat", "up"], [5.0, 2.0, 4.0])
    >>> item_features(ratings, items=["up", "new"], shrinkage=1)
    FeatureTable(2 rows x 3 features, dense: log_count, mean, spread)
    """
    given = as_ratings(ratings, caller="item_features")
    return _describe(_by_item(given), user_features, items, shrinkage, "item_features", ("item", "user"))


class _Rows(NamedTuple):
    """Ratings by row of the described side, as compressed rows over the other."""

    ids: IdMap
    others: IdMap
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]
    weights: NDArray[np.float32] | None

    def product(self, values: NDArray[np.float64], features: Any) -> NDArray[np.float64]:
        """Return the sums of the features of each row's ratings, times these values; dense."""
        shape = len(self.ids), len(self.others)
        result = scipy.sparse.csr_array((values, self.indices, self.indptr), shape=shape) @ features
        return result.toarray() if scipy.sparse.issparse(result) else np.asarray(result)


def _by_user(ratings: Ratings) -> _Rows:
    return _Rows(ratings.users, ratings.items, ratings.indptr, ratings.indices, ratings.values, ratings.weights)


def _by_item(ratings: Ratings) -> _Rows:
    view = ratings.by_item()
    return _Rows(ratings.items, ratings.users, view.indptr, view.indices, view.values, view.weights)


def _describe(
    rows: _Rows,
    features: Any,
    ids: IdMap | ArrayLike | None,
    shrinkage: float,
    caller: str,
    roles: tuple[str, str],
) -> FeatureTable:
    """Return the features of the rows, or of ``ids``; ``roles`` are the names of both sides."""
    if isinstance(shrinkage, bool) or not isinstance(shrinkage, (int, float, np.integer, np.floating)):
        raise TypeError(f"{caller}: shrinkage must be a number of at least 0; got {shrinkage!r}")
    if not 0 <= shrinkage < np.inf:
        raise ValueError(f"{caller}: shrinkage must be a number of at least 0; got {shrinkage!r}")
    own, other = roles
    ones = np.ones(rows.values.size)
    weights = ones if rows.weights is None else rows.weights.astype(np.float64)
    if not weights.any():
        raise ValueError(f"{caller}: weights must not all be zero; got {weights.size} zeros")
    weighted = weights * rows.values
    counts = np.diff(rows.indptr)
    row = np.repeat(np.arange(counts.size), counts)

    totals, sums = (np.bincount(row, each, counts.size) for each in (weights, weighted))
    expected = sums.sum() / totals.sum()
    deviations = rows.values - shrunk_means(sums, totals, expected, 0)[row]
    squares = np.bincount(row, weights * deviations**2, counts.size)
    variance = squares.sum() / totals.sum()
    mean = shrunk_means(sums, totals, expected, shrinkage)
    blocks = [np.log1p(counts), mean, np.sqrt(shrunk_means(squares, totals, variance, shrinkage))]
    unknown = [0.0, expected, np.sqrt(variance)]  # of rows without ratings
    names = ["log_count", "mean", "spread"]
    if features is not None:
        table = as_feature_table(features, caller, f"{other}_features")
        _refuse_negative(table, caller, f"{other}_features")
        known = table.align(rows.others, caller=caller, what=f"all {other}s of the ratings").astype(np.float64)
        held = rows.product(weights, known)
        numbers = held if rows.weights is None else rows.product(ones, known)
        blocks += [shrunk_means(rows.product(weighted, known), held, mean[:, None], shrinkage), np.log1p(numbers)]
        unknown += [expected] * table.n_features + [0.0] * table.n_features
        given = map(str, range(table.n_features)) if table.names is None else table.names
        names += [f"{what}_{name}" for what, name in product(("mean", "log_count"), given)]
    described = np.column_stack(blocks)
    if ids is None:
        return FeatureTable(rows.ids, described, names)
    id_map = read_ids(ids, caller, f"{own}s")
    return FeatureTable(id_map, np.vstack([described, unknown])[rows.ids.rows(id_map)], names)  # row -1: unknown


def _refuse_negative(table: FeatureTable, caller: str, name: str) -> None:
    matrix = table.matrix.tocoo() if table.is_sparse else table.matrix
    low = matrix.data if table.is_sparse else matrix.ravel()
    if low.size and low.min() < 0:
        entry = int(low.argmin())
        column = int(matrix.col[entry]) if table.is_sparse else entry % table.n_features
        label = column if table.names is None else repr(str(table.names[column]))
        raise ValueError(
            f"{caller}: {name} must be non-negative, such as genres; got {low[entry]} in feature {label} "
            "(leave scaled numbers out)"
        )
