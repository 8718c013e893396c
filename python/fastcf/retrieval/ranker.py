"""Any regressor of scikit-learn as a model of ratings, over features of users and items."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import has_fit_parameter

from fastcf._random import RandomState, seed_from
from fastcf.ids import IdMap
from fastcf.models._parameters import Constraint, Interval, Nothing, RandomSeed, validate_parameters
from fastcf.models._sklearn import PairRegressor
from fastcf.preprocessing import as_feature_table
from fastcf.ratings import as_ratings

__all__ = ["FeatureRanker"]

_Rows = NDArray[np.int32]

_BATCH_BYTES = 1 << 26  # of features, as float64, that regressors may make of them


class FeatureRanker(PairRegressor):
    """A regressor on the features of the user and of the item, side by side: gradient boosting, for example.

    Parameters
    ----------
    regressor : estimator
        Any regressor of scikit-learn, or with its ``fit`` and ``predict``; ``fit`` works on a clone.
    user_features, item_features : FeatureTable or pair (ids, matrix), optional
        Features of users and of items, one of the two at least. Ids without features get the mean of each feature.
    max_ratings : int, optional
        Learn from so many of the ratings at most, drawn at random; by default from all.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the draw.
    n_threads : int, optional
        Threads for looking up ids; all by default. The regressor has its own setting.

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor. Its columns are the users' features and then the items'.
    users_, items_ : IdMap
        Those of the tables, or of the ratings where there is no table.

    Notes
    -----
    The matrix of features takes 4 bytes per rating and feature; it is filled, and predictions are made, a batch of
    ratings at a time. Where the features say nothing of a pair, there is nothing to rank by: give it what tells items
    apart for a user.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(100, 50, 1_000, random_state=0)
    >>> films = fastcf.FeatureTable(ratings.items, np.random.default_rng(0).normal(size=(ratings.n_items, 3)))
    >>> ranker = fastcf.retrieval.FeatureRanker(HistGradientBoostingRegressor(), item_features=films).fit(ratings)
    >>> ranker.predict([(1, 2), (1, 3)]).shape
    (2,)
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "max_ratings": (Interval(1, integer=True), Nothing()),
        "random_state": (RandomSeed(),),
        "n_threads": (Interval(1, 1024, integer=True), Nothing()),
    }

    users_: IdMap
    items_: IdMap
    _user_matrix: Any
    _item_matrix: Any

    def __init__(
        self,
        regressor: Any,
        user_features: Any = None,
        item_features: Any = None,
        *,
        max_ratings: int | None = None,
        random_state: RandomState = None,
        n_threads: int | None = None,
    ) -> None:
        self.regressor = regressor
        self.user_features = user_features
        self.item_features = item_features
        self.max_ratings = max_ratings
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X: Any, y: ArrayLike | None = None) -> FeatureRanker:
        """Learn the ratings from the features.

        Parameters
        ----------
        X, y
            Ratings, as any estimator takes them. Their weights are used where the regressor takes weights.

        Returns
        -------
        FeatureRanker
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the ratings are not as described, or there are no features.
        """
        caller = "FeatureRanker.fit"
        validate_parameters(self._constraints, self.get_params(deep=False), caller)
        ratings = as_ratings(X, y, caller=caller)
        if self.user_features is None and self.item_features is None:
            raise ValueError(f"{caller}: user_features or item_features must be given; got None for both")
        users, user_matrix = _with_mean(self.user_features, ratings.users, caller, "user_features")
        items, item_matrix = _with_mean(self.item_features, ratings.items, caller, "item_features")
        user_rows, item_rows = users.rows(ratings.users.ids), items.rows(ratings.items.ids)
        entries = np.arange(ratings.nnz)
        if self.max_ratings is not None and self.max_ratings < ratings.nnz:
            random = np.random.default_rng(seed_from(self.random_state, caller))
            entries = np.sort(random.choice(ratings.nnz, self.max_ratings, replace=False))
        owners, rated = user_rows[ratings.row_of_entry()[entries]], item_rows[ratings.indices[entries]]
        matrix = np.empty((entries.size, user_matrix.shape[1] + item_matrix.shape[1]), np.float32)
        for batch in _batches(entries.size, matrix.shape[1]):
            _fill(matrix[batch], (user_matrix, owners[batch]), (item_matrix, rated[batch]))
        regressor = clone(self.regressor)
        weighted = ratings.weights is not None and has_fit_parameter(regressor, "sample_weight")
        options = {"sample_weight": ratings.weights[entries]} if weighted and ratings.weights is not None else {}
        regressor.fit(matrix, ratings.values[entries].astype(np.float64), **options)
        self.regressor_ = regressor
        self.users_, self.items_ = users, items
        self._user_matrix, self._item_matrix = user_matrix, item_matrix
        return self

    def predict(self, X: Any, *, strict: bool = False) -> NDArray[np.float32]:
        """Predict ratings of pairs.

        Parameters
        ----------
        X, strict
            As for every model, see :meth:`MatrixFactorization.predict`. Unknown ids have the mean of each feature.

        Returns
        -------
        ndarray of shape (n,), float32

        Raises
        ------
        NotFittedError, ValueError
            As for every model.
        """
        if not hasattr(self, "regressor_"):
            raise NotFittedError("FeatureRanker.predict: the model must be fitted first; call fit")
        return self._pair_scores(*self._pair_rows(X, "predict", strict))

    def _pair_scores(self, users: _Rows, items: _Rows) -> NDArray[np.float32]:
        scores = np.empty(users.size, np.float32)
        width = self._user_matrix.shape[1] + self._item_matrix.shape[1]
        for batch in _batches(users.size, width):
            matrix = np.empty((scores[batch].size, width), np.float32)
            _fill(matrix, (self._user_matrix, users[batch]), (self._item_matrix, items[batch]))
            scores[batch] = self.regressor_.predict(matrix)
        return scores

    def _on_scale(self, predicted: NDArray[np.float32]) -> NDArray[np.float32]:
        return predicted


def _with_mean(features: Any, ids: IdMap, caller: str, name: str) -> tuple[IdMap, Any]:
    """Return the ids and features of a table, with the mean of each as a last row: row -1 is somebody unknown."""
    if features is None:
        return ids, np.empty((len(ids) + 1, 0), np.float32)
    table = as_feature_table(features, caller, name)
    mean = np.asarray(table.matrix.mean(axis=0), np.float32).reshape(1, -1)
    if table.is_sparse:
        return table.ids, scipy.sparse.vstack([table.matrix, scipy.sparse.csr_array(mean)], format="csr")
    return table.ids, np.concatenate([table.matrix, mean])


def _batches(n: int, width: int) -> list[slice]:
    step = max(1, _BATCH_BYTES // (8 * max(1, width)))
    return [slice(begin, begin + step) for begin in range(0, n, step)]


def _fill(matrix: NDArray[np.float32], *sides: tuple[Any, _Rows]) -> None:
    """Write the features of rows of both sides next to each other."""
    column = 0
    for features, rows in sides:
        own = features[np.where(rows < 0, features.shape[0] - 1, rows)]
        end = column + features.shape[1]
        matrix[:, column:end] = own.toarray() if scipy.sparse.issparse(own) else own
        column = end
