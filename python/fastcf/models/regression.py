"""Regression on known features: per user on the features of items, and per item on those of users."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from fastcf._backend import Backend, host
from fastcf.models._labels import CostMixin, log_odds
from fastcf.models._parameters import Boolean, Constraint, Interval, Nothing, OneOf
from fastcf.models.base import SeenItems
from fastcf.preprocessing import FeatureTable, as_feature_table
from fastcf.ratings import Ratings
from fastcf.serialization import register

__all__ = ["ItemRegression", "UserRegression"]

_MAX_ITER = {"exact": 100, "gradient": 10_000}


class _FeatureRegression(CostMixin):
    """What both regressions share; ``_known`` says whose features are given."""

    _known: ClassVar[str]
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "cost": (OneOf(("squared", "logistic")),),
        "reg": (Interval(0),),
        "fit_intercept": (Boolean(),),
        "threshold": (Interval(), Nothing()),
        "solver": (OneOf(("auto", "exact", "gradient")),),
        "max_iter": (Interval(1, 2**31 - 1, integer=True), Nothing()),
        "tol": (Interval(0, open_low=True),),
        **CostMixin._constraints,
    }
    _state = (*CostMixin._state, "n_iter_")

    def __init__(
        self,
        *,
        cost: str = "squared",
        reg: float = 1.0,
        fit_intercept: bool = True,
        threshold: float | None = None,
        solver: str = "auto",
        max_iter: int | None = None,
        tol: float = 1e-8,
        n_threads: int | None = None,
        device: str = "auto",
    ) -> None:
        self.cost = cost
        self.reg = reg
        self.fit_intercept = fit_intercept
        self.threshold = threshold
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.n_threads = n_threads
        self.device = device

    def _prepare(self, X: Any, y: ArrayLike | None, features: Any) -> tuple[Ratings, Backend, FeatureTable]:
        """Check everything; the table comes back with the rows of the ratings first."""
        ratings, backend = self._begin_fit(X, y)
        if self._is_logistic and self.reg == 0:
            raise ValueError(
                f"{self._caller}: reg must be above 0 for cost='logistic', whose weights else may know no bound; got 0"
            )
        self._check_threshold()
        table = as_feature_table(features, self._caller, f"{self._known}_features")
        ids = ratings.items if self._known == "item" else ratings.users
        return ratings, backend, table.extend(ids, caller=self._caller, what=f"all {self._known}s of the ratings")

    def _regress(
        self,
        rows: tuple[NDArray[np.int64], NDArray[np.int32]],
        labels: NDArray[np.float32],
        weights: NDArray[np.float32] | None,
        table: FeatureTable,
        backend: Backend,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the weights and, less the global mean, the intercept of each row; set the mean and ``n_iter_``."""
        indptr, indices = rows
        n_rows = indptr.size - 1
        coefficients = np.empty((n_rows, table.n_features), np.float32)
        intercept = np.empty(n_rows, np.float32)
        solver = "gradient" if self.solver == "gradient" else "exact"
        features = table.matrix
        if table.is_sparse:
            features = features.indptr.astype(np.int64), features.indices.astype(np.int32), features.data
        report = host.regress_rows(
            indptr,
            indices,
            np.ascontiguousarray(labels),
            features,
            coefficients,
            intercept,
            sample_weights=weights,
            cost=self.cost,
            solver=solver,
            reg=float(self.reg),
            fit_intercept=bool(self.fit_intercept),
            max_iterations=self.max_iter or _MAX_ITER[solver],
            tolerance=float(self.tol),
            n_threads=self._threads,
        )
        if report["unconverged"]:
            warnings.warn(
                f"{self._caller}: {report['unconverged']} of {n_rows} regressions did not converge in "
                f"{report['iterations']} iterations; scale the features, raise max_iter or reg, or take solver='exact'",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.n_iter_ = int(report["iterations"])
        rated = np.diff(indptr) > 0
        if weights is not None:
            wide = weights.astype(np.float64)
            rated = np.bincount(np.repeat(np.arange(n_rows), np.diff(indptr)), wide, n_rows) > 0
        if self._is_logistic:
            self.global_mean_ = log_odds(labels, weights)
        else:
            self.global_mean_ = float(np.average(labels.astype(np.float64), weights=weights))
        return coefficients, np.where(rated, intercept - np.float32(self.global_mean_), np.float32(0))

    def _dense(self, table: FeatureTable) -> NDArray[np.float32]:
        """Return the features as factors: dense, and not the caller's memory."""
        matrix = table.matrix.toarray() if scipy.sparse.issparse(table.matrix) else table.matrix
        return np.ascontiguousarray(matrix)

    def _finish(self, ratings: Ratings, backend: Backend) -> None:
        self._remember(ratings, backend)
        self.item_mean_ = None
        if self._is_logistic:
            self.rating_range_ = (0.0, 1.0)


@register
class UserRegression(_FeatureRegression):
    r"""For every user a regression of their ratings on known features of the items.

    ``ŷ_ui = θ_u·x_i + b_u``, or its logistic function σ(ŷ_ui) for labels. Minimises, for each user by themselves,

    - squared: ``½ Σ_i w_ui (θ_u·x_i + b_u − y_ui)² + reg/2 ‖θ_u‖²`` (ridge regression);
    - logistic: ``Σ_i w_ui (softplus(z_ui) − y_ui z_ui) + reg/2 ‖θ_u‖²``, with ``z_ui = θ_u·x_i + b_u``.

    The intercepts b_u are not penalised. An item that nobody rated is predicted like any other, from its features.

    Features are taken as they are. Bring them to comparable scales first, for the penalty treats all weights alike:
    with scikit-learn's scalers or :class:`fastcf.preprocessing.MeanRangeScaler`.

    Parameters
    ----------
    cost : {"squared", "logistic"}, default "squared"
        Of ratings, or of labels in [0, 1].
    reg : float, default 1.0
        Penalty of the weights; at least 0, above 0 for ``"logistic"``. With 0, users whose ratings do not determine
        their weights get those of least norm.
    fit_intercept : bool, default True
        Whether there are intercepts; without them ``b_u = 0``.
    threshold : float, optional
        Only for ``"logistic"``: ratings of at least this are label 1, the others 0. By default the ratings are the
        labels and must lie in [0, 1].
    solver : {"auto", "exact", "gradient"}, default "auto"
        ``"exact"``: normal equations by Cholesky, or Newton's method for ``"logistic"``, in features or, for users with
        fewer ratings than features, in ratings. ``"gradient"``: full-batch gradient descent with a step of one over the
        largest curvature, to the same optimum; slow where features are correlated. ``"auto"`` is ``"exact"``.
    max_iter : int, optional
        Most iterations per user; by default 100 of Newton's method, 10,000 of gradient descent.
    tol : float, default 1e-8
        Iterations end when the gradient's norm is at most so much of the product of the norms of features and initial
        residuals.
    n_threads : int, optional
        Threads to use; all by default. The result does not depend on it.
    device : {"auto", "cpu", "cuda", "cuda:0", ...}, default "auto"
        Where to compute; only "auto" may fall back. A process uses one GPU: the one named first, or the current one.

    Attributes
    ----------
    coef_ : ndarray of shape (n_users, n_features), float32
        θ; 0 for users without ratings. The same array as ``user_factors_``.
    intercept_ : ndarray of shape (n_users,), float32
        b; for users without ratings ``global_mean_``. Equals ``user_bias_ + global_mean_``.
    item_factors_ : ndarray of shape (n_items, n_features), float32
        The features, dense.
    global_mean_ : float
        The mean rating, which users without ratings and unknown users are predicted; for ``"logistic"`` the logarithm
        of the odds of label 1, with half a label added to each side.
    n_iter_ : int
        The most iterations that a user took; 0 where the equations were solved at once.
    users_, items_, seen_, rating_range_, device_
        As for every model; ``items_`` holds the items of the ratings, then the other items of the feature table.

    Notes
    -----
    An unknown item, one without features, is predicted as if its features were 0. A user whose labels are all alike has
    no finite logistic optimum: such users get weights 0 and the intercept ``log((s + ½) / (t + ½))``, s and t being the
    weights of their labels 1 and 0.

    Arithmetic is float64; results are float32, the same bits for any number of threads.

    References
    ----------
    A. E. Hoerl and R. W. Kennard, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics
    12(1), 1970. T. Hastie, R. Tibshirani and J. Friedman, "The Elements of Statistical Learning", 2nd ed., Springer,
    2009, sections 3.4.1 and 4.4.1.

    Examples
    --------
    >>> import fastcf
    >>> films = fastcf.FeatureTable([1, 2, 3, 4], [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> ratings = fastcf.Ratings.from_coo([7, 7, 7], [1, 2, 3], [5.0, 5.0, 1.0])
    >>> model = fastcf.UserRegression(reg=0.1).fit(ratings, item_features=films)
    >>> model.predict([(7, 4)]).round(1)  # nobody rated film 4
    array([1.6], dtype=float32)
    """

    _known = "item"

    def fit(self, X: Any, y: ArrayLike | None = None, *, item_features: Any) -> UserRegression:
        """Learn every user's weights, in one native call.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The ratings, or user and item ids.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.
        item_features : FeatureTable or tuple (ids, matrix)
            Features of all items of the ratings, and of as many others as are to be predicted; dense or sparse.

        Returns
        -------
        UserRegression
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described, or an item has no features.
        DeviceError
            If ``device="cuda"`` cannot be used.

        Warns
        -----
        ConvergenceWarning
            If users reach ``max_iter``.
        """
        ratings, backend, table = self._prepare(X, y, item_features)
        labels = self._labels(ratings, self._caller)
        weights, bias = self._regress((ratings.indptr, ratings.indices), labels, ratings.weights, table, backend)
        self._finish(ratings, backend)
        self.items_ = table.ids
        self.user_factors_, self.user_bias_ = weights, bias
        self.item_factors_, self.item_bias_ = self._dense(table), np.zeros(table.n_rows, np.float32)
        return self

    @property
    def coef_(self) -> NDArray[np.float32]:
        """The users' weights."""
        return self.user_factors_

    @property
    def intercept_(self) -> NDArray[np.float32]:
        """The users' intercepts."""
        return self.user_bias_ + np.float32(self.global_mean_)


@register
class ItemRegression(_FeatureRegression):
    r"""For every item a regression of its ratings on known features of the users.

    The mirror of :class:`UserRegression`: ``ŷ_ui = θ_i·x_u + b_i``, with θ_i and b_i learnt from the ratings of item i.
    Whoever has features is predicted, whether or not they have rated anything.

    Parameters
    ----------
    cost, reg, fit_intercept, threshold, solver, max_iter, tol, n_threads, device
        As for :class:`UserRegression`, with the roles of users and items exchanged.

    Attributes
    ----------
    coef_ : ndarray of shape (n_items, n_features), float32
        θ; 0 for items without ratings. The same array as ``item_factors_``.
    intercept_ : ndarray of shape (n_items,), float32
        b; for items without ratings ``global_mean_``. Equals ``item_bias_ + global_mean_``.
    user_factors_ : ndarray of shape (n_users, n_features), float32
        The features, dense.
    global_mean_, n_iter_
        As for :class:`UserRegression`.
    users_, items_, seen_, rating_range_, device_
        As for every model; ``users_`` holds the users of the ratings, then the other users of the feature table.

    See Also
    --------
    UserRegression : The costs, the solvers, and their references.

    Examples
    --------
    >>> import fastcf
    >>> people = fastcf.FeatureTable(["ann", "bob", "eve"], [[25.0], [61.0], [58.0]])
    >>> ratings = fastcf.Ratings.from_coo(["ann", "bob"], [50, 50], [5.0, 2.0])
    >>> model = fastcf.ItemRegression().fit(ratings, user_features=people)
    >>> model.predict([("eve", 50)]).round(2)  # she rated nothing
    array([2.25], dtype=float32)
    """

    _known = "user"

    def fit(self, X: Any, y: ArrayLike | None = None, *, user_features: Any) -> ItemRegression:
        """Learn every item's weights, in one native call.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The ratings, or user and item ids.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.
        user_features : FeatureTable or tuple (ids, matrix)
            Features of all users of the ratings, and of as many others as are to be predicted; dense or sparse.

        Returns
        -------
        ItemRegression
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described, or a user has no features.
        DeviceError
            If ``device="cuda"`` cannot be used.

        Warns
        -----
        ConvergenceWarning
            If items reach ``max_iter``.
        """
        ratings, backend, table = self._prepare(X, y, user_features)
        labels = self._labels(ratings, self._caller)
        columns = ratings.by_item()
        sample_weights = None if ratings.weights is None else ratings.weights[columns.entries]
        by_item = labels[columns.entries] if labels is not ratings.values else columns.values
        weights, bias = self._regress((columns.indptr, columns.indices), by_item, sample_weights, table, backend)
        self._finish(ratings, backend)
        self.users_ = table.ids
        more = np.full(table.n_rows - ratings.n_users, ratings.indptr[-1])
        self.seen_ = SeenItems(np.concatenate([ratings.indptr, more]), ratings.indices)
        self.item_factors_, self.item_bias_ = weights, bias
        self.user_factors_, self.user_bias_ = self._dense(table), np.zeros(table.n_rows, np.float32)
        return self

    @property
    def coef_(self) -> NDArray[np.float32]:
        """The items' weights."""
        return self.item_factors_

    @property
    def intercept_(self) -> NDArray[np.float32]:
        """The items' intercepts."""
        return self.item_bias_ + np.float32(self.global_mean_)
