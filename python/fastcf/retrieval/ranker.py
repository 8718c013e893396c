"""Any regressor of scikit-learn as a model of ratings, over features of users and items."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from fastcf._backend import resolve_device
from fastcf._callers import errors_of
from fastcf._parameters import THREADS, Constraint, Interval, Nothing, RandomSeed, validate_parameters
from fastcf._random import RandomState, seed_from
from fastcf.ids import IdMap
from fastcf.models.estimator import Estimator
from fastcf.preprocessing import as_feature_table
from fastcf.ratings import as_ratings
from fastcf.scores import Compute, Identity, Link, Scores, Selection, State
from fastcf.scores.blocks import best_of_blocks
from fastcf.scores.protocol import Found, Rows
from fastcf.scores.queries import names_of
from fastcf.scores.seen import seen_in
from fastcf.serialization import Archive

__all__ = ["FeatureRanker"]

_BATCH_BYTES = 1 << 26  # of features, as the float64 that regressors may convert them to


@dataclass(frozen=True, eq=False)
class _RegressionScores(Scores):
    """Predictions of a regressor from the features of pairs: rows of two tables, whose last row is that of row -1."""

    shown: ClassVar[tuple[str, ...]] = ("regressor",)

    regressor: Any
    user_features: Any
    item_features: Any
    n_users: int
    n_items: int
    link: Link = field(default_factory=Identity)

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> NDArray[np.float32]:
        """Return the predictions of pairs of rows, a batch of their features at a time."""
        scores = np.empty(users.size, np.float32)
        width = self.user_features.shape[1] + self.item_features.shape[1]
        for batch in _batches(users.size, width):
            matrix = np.empty((scores[batch].size, width), np.float32)
            _fill(matrix, (self.user_features, users[batch]), (self.item_features, items[batch]))
            with errors_of("the regressor"):
                scores[batch] = self.regressor.predict(matrix)
        return scores

    def block(self, users: Rows, compute: Compute) -> NDArray[np.float32]:
        """Return the predictions of all items for user rows."""
        items = np.tile(np.arange(self.n_items, dtype=np.int32), users.size)
        return self.pairs(np.repeat(users, self.n_items), items, compute).reshape(users.size, self.n_items)

    def best(self, users: Rows, selection: Selection, compute: Compute) -> Found:
        """Return the best items of user rows, from blocks."""
        return best_of_blocks(self, users, selection, compute)


@dataclass(eq=False, repr=False)
class FeatureRanker(Estimator):
    """A regressor on the features of the user and of the item, side by side: gradient boosting, for example.

    Parameters
    ----------
    regressor : estimator
        Any regressor of scikit-learn, or with its ``fit`` and ``predict``; ``fit`` works on a clone.
    user_features, item_features : FeatureTable or pair (ids, matrix), optional
        Features of users and of items, one of the two at least. Ids without features get the mean of each feature.
    max_ratings : int, optional
        The largest number of ratings to learn from, drawn at random; by default all.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the draw.
    n_threads : int, optional
        Threads for looking up ids; by default :func:`fastcf.get_num_threads`. The regressor has its own setting.

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor. Its columns are the users' features and then the items'.
    users_, items_ : IdMap
        Those of the tables, or of the ratings where there is no table.
    seen_ : SeenItems
        Which items each user rated in the ratings of ``fit``.
    rating_range_ : tuple of float
        Unlimited: predictions are the regressor's.

    Notes
    -----
    A model like any other: it predicts, recommends and takes part in a :class:`fastcf.Blend`; but it has no files, only
    pickles, as the regressor belongs to another library. ``recommend`` predicts all items of a user: for large
    catalogues, let a :class:`TwoStageRecommender` retrieve a few.

    The matrix of features takes 4 bytes per rating and feature; it is filled, and predictions are made, a batch of
    ratings at a time. Pairs of the same features get the same prediction: include features that differ between the
    items of a user.

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
        "n_threads": THREADS,
    }

    regressor: Any
    user_features: Any = None
    item_features: Any = None
    _: KW_ONLY
    max_ratings: int | None = None
    random_state: RandomState = None
    n_threads: int | None = None

    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> FeatureRanker:
        """Learn the ratings from the features.

        Parameters
        ----------
        X, y, sample_weight
            Ratings, as any estimator takes them. Their weights are used where the regressor takes weights;
            ``sample_weight`` is refused where it does not.

        Returns
        -------
        FeatureRanker
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the ratings are not as described, or there are no features.
        """
        caller = self._caller
        validate_parameters(self._constraints, self.get_params(deep=False), caller)
        ratings = as_ratings(X, y, sample_weight, caller=caller)
        if self.user_features is None and self.item_features is None:
            raise ValueError(f"{caller}: user_features or item_features must be given; got None for both")
        users, user_matrix = _with_mean(self.user_features, ratings.users, caller, "user_features")
        items, item_matrix = _with_mean(self.item_features, ratings.items, caller, "item_features")
        user_rows, item_rows = users.rows(ratings.users), items.rows(ratings.items)
        entries = np.arange(ratings.nnz)
        if self.max_ratings is not None and self.max_ratings < ratings.nnz:
            random = np.random.default_rng(seed_from(self.random_state, caller))
            entries = np.sort(random.choice(ratings.nnz, self.max_ratings, replace=False))
        owners, rated = user_rows[ratings.row_of_entry()[entries]], item_rows[ratings.indices[entries]]
        matrix = np.empty((entries.size, user_matrix.shape[1] + item_matrix.shape[1]), np.float32)
        for batch in _batches(entries.size, matrix.shape[1]):
            _fill(matrix[batch], (user_matrix, owners[batch]), (item_matrix, rated[batch]))
        regressor = clone(self.regressor)
        weighted = has_fit_parameter(regressor, "sample_weight")
        if sample_weight is not None and not weighted:
            raise ValueError(f"{caller}: sample_weight must be None for {type(regressor).__name__}, which takes none")
        options = {"sample_weight": ratings.weights[entries]} if weighted and ratings.weights is not None else {}
        with errors_of(f"{caller}: the regressor"):
            regressor.fit(matrix, ratings.values[entries].astype(np.float64), **options)
        state = State(
            users,
            items,
            seen_in(ratings, users, items),
            _RegressionScores(regressor, user_matrix, item_matrix, len(users), len(items)),
            (-np.inf, np.inf),
            resolve_device("cpu", caller).device,
        )
        self._named_columns = names_of(X)
        self._swap(state)
        return self

    def to_archive(self) -> Archive:
        """Raise TypeError: files hold no code, which a regressor of another library is."""
        self._fitted("to_archive")
        raise TypeError(
            f"{type(self).__name__}.save: files hold no code, which the regressor {type(self.regressor).__name__} of "
            "another library is; pickle it, and load the pickle only where you trust it"
        )


def _with_mean(features: Any, ids: IdMap, caller: str, name: str) -> tuple[IdMap, Any]:
    """Return the ids and features of a table, with the mean of each as a last row, that of row -1."""
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


def _fill(matrix: NDArray[np.float32], *sides: tuple[Any, Rows]) -> None:
    """Write the features of rows of both sides next to each other."""
    column = 0
    for features, rows in sides:
        own = features[np.where(rows < 0, features.shape[0] - 1, rows)]
        end = column + features.shape[1]
        matrix[:, column:end] = own.toarray() if scipy.sparse.issparse(own) else own
        column = end
