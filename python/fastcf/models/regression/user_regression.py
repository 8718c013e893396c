"""Regression per user on known features of the items."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from fastcf._parameters import Constraint
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.regression.rows import CONSTRAINTS, RowRegression, fitted_state, loaded_state, packed
from fastcf.scores import State, Targets
from fastcf.serialization import Archive, register

__all__ = ["UserRegression"]


@register
@dataclass(eq=False, repr=False)
class UserRegression(Estimator):
    r"""For every user a regression of their ratings on known features of the items.

    ``ŷ_ui = θ_u·x_i + b_u``, or its logistic function σ(ŷ_ui) for labels. Minimises, for each user separately,

    - squared: ``½ Σ_i w_ui (θ_u·x_i + b_u − y_ui)² + reg/2 ‖θ_u‖²`` (ridge regression);
    - logistic: ``Σ_i w_ui (softplus(z_ui) − y_ui z_ui) + reg/2 ‖θ_u‖²``, with ``z_ui = θ_u·x_i + b_u``.

    The intercepts b_u are not penalised. An item that no user rated is predicted like any other, from its features.

    Features are not scaled, and the penalty treats all weights alike: bring features to comparable scales first, with
    scikit-learn's scalers or :class:`fastcf.preprocessing.MeanRangeScaler`.

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
        Maximum number of iterations per user; by default 100 of Newton's method, 10,000 of gradient descent. Refused
        where there are no iterations: the squared cost without ``solver="gradient"``.
    tol : float, default 1e-8
        Iterations end when the norm of the gradient is at most this fraction of the product of the norms of features
        and initial residuals. Refused where ``max_iter`` is.
    n_threads, device
        As for :class:`MatrixFactorization`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_users, n_features), float32
        θ; 0 for users without ratings. The same array as ``user_factors_``.
    intercept_ : ndarray of shape (n_users,), float32
        b; for users without ratings ``global_mean_``. Equals ``user_bias_ + global_mean_``.
    item_factors_ : ndarray of shape (n_items, n_features), float32
        The features, dense.
    global_mean_ : float
        The mean rating, predicted for unknown users and users without ratings; for ``"logistic"`` the log-odds of label
        1, with half a label of each kind added.
    n_iter_ : int
        The largest number of iterations of a user; 0 where the equations were solved directly.
    users_, items_, seen_, rating_range_, device_
        As for every model; ``items_`` holds the items of the ratings, then the other items of the feature table.

    Notes
    -----
    An unknown item, one without features, is predicted as if its features were 0. A user whose labels are all equal has
    no finite logistic optimum: such users get weights 0 and the intercept ``log((s + ½) / (t + ½))``, s and t being the
    weights of their labels 1 and 0.

    New users: ``fold_in(X)``, and ``history=`` of a query, solve the regressions of their ratings of known items by the
    same method. New items: ``fold_in(item_features=)`` appends their features; known items get the new ones.

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
    >>> model.predict([(7, 4)]).round(1)  # no user rated film 4
    array([1.6], dtype=float32)
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = CONSTRAINTS

    _: KW_ONLY
    cost: str = "squared"
    reg: float = 1.0
    fit_intercept: bool = True
    threshold: float | None = None
    solver: str = "auto"
    max_iter: int | None = None
    tol: float = 1e-8
    n_threads: int | None = None
    device: str = "auto"

    def fit(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, *, item_features: Any
    ) -> UserRegression:
        """Learn every user's weights, in one native call.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`MatrixFactorization.fit`.
        item_features : FeatureTable or tuple (ids, matrix)
            Features of all items of the ratings, and of as many others as are to be predicted; dense or sparse.

        Returns
        -------
        UserRegression
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described, a parameter would be ignored, or an item has no features.
        DeviceError
            If ``device="cuda"`` cannot be used.

        Warns
        -----
        ConvergenceWarning
            If users reach ``max_iter``.
        """
        ratings, backend = self._begin_fit(X, y, sample_weight)
        regression = self._regression
        if regression.direct:
            self._refuse_ignored(("max_iter", "tol"), "where cost='squared' is solved directly")
        self._swap(
            fitted_state(
                "user", ratings, backend, item_features, regression, self._targets, self._threads, self._caller
            )
        )
        return self

    @property
    def _regression(self) -> RowRegression:
        return RowRegression.of(self.get_params(deep=False))

    @property
    def _targets(self) -> Targets:
        return Targets(self.cost, self.threshold, soft=True)

    def _pack(self, state: State) -> Packed:
        return packed(state)

    def _unpack(self, archive: Archive, common: State) -> State:
        return loaded_state("user", archive, common, self._regression)
