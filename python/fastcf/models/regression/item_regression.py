"""Regression per item on known features of the users."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from fastcf._parameters import Constraint
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.regression.rows import CONSTRAINTS, RowRegression, fitted_state, loaded_state, packed
from fastcf.scores import State, Targets
from fastcf.serialization import Archive, register

__all__ = ["ItemRegression"]


@register
@dataclass(eq=False, repr=False)
class ItemRegression(Estimator):
    r"""For every item a regression of its ratings on known features of the users.

    The mirror of :class:`UserRegression`: ``ŷ_ui = θ_i·x_u + b_i``, with θ_i and b_i learnt from the ratings of item i.
    Every user with features is predicted, whether or not they have rated anything.

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
    UserRegression : The costs, the solvers, new rows, and references; exchange users and items.

    Examples
    --------
    >>> import fastcf
    >>> features = fastcf.FeatureTable(["ann", "bob", "eve"], [[25.0], [61.0], [58.0]])
    >>> ratings = fastcf.Ratings.from_coo(["ann", "bob"], [50, 50], [5.0, 2.0])
    >>> model = fastcf.ItemRegression().fit(ratings, user_features=features)
    >>> model.predict([("eve", 50)]).round(2)  # she rated nothing
    array([2.25], dtype=float32)
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
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, *, user_features: Any
    ) -> ItemRegression:
        """Learn every item's weights, in one native call.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`UserRegression.fit`.
        user_features : FeatureTable or tuple (ids, matrix)
            Features of all users of the ratings, and of as many others as are to be predicted; dense or sparse.

        Returns
        -------
        ItemRegression
            Itself.

        Raises
        ------
        TypeError, ValueError, DeviceError
            As for :meth:`UserRegression.fit`.

        Warns
        -----
        ConvergenceWarning
            If items reach ``max_iter``.
        """
        ratings, backend = self._begin_fit(X, y, sample_weight)
        regression = self._regression
        if regression.direct:
            self._refuse_ignored(("max_iter", "tol"), "where cost='squared' is solved directly")
        self._swap(
            fitted_state(
                "item", ratings, backend, user_features, regression, self._targets, self._threads, self._caller
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
        return loaded_state("item", archive, common, self._regression)
