"""The bias model: the baseline every other model is compared with."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import Backend
from fastcf.models._parameters import Constraint, Interval, OneOf
from fastcf.models.base import FactorModel
from fastcf.ratings import Ratings
from fastcf.serialization import register

__all__ = ["BiasModel", "Biases", "fit_biases"]


class Biases(NamedTuple):
    """What :func:`fit_biases` finds; see :class:`BiasModel` for the meaning."""

    mean: float
    users: NDArray[np.float32]
    items: NDArray[np.float32]
    user_reg: float
    item_reg: float
    noise_variance: float
    iterations: int


def fit_biases(
    ratings: Ratings,
    backend: Backend,
    *,
    user_reg: float | str = "auto",
    item_reg: float | str = "auto",
    item_mean: NDArray[np.float32] | None = None,
    tolerance: float = 1e-4,
    n_threads: int = 0,
) -> Biases:
    """Fit the biases of ratings, on top of ``item_mean`` if given; "auto" estimates a penalty from the data.

    Passes over the ratings end when mean, penalties and noise change by no more than ``tolerance``, relatively.
    """
    users = np.empty(ratings.n_users, np.float32)
    items = np.empty(ratings.n_items, np.float32)
    fit = backend.module.fit_biases(
        ratings.indptr,
        ratings.indices,
        ratings.values,
        users,
        items,
        weights=ratings.weights,
        item_offset=item_mean,
        user_reg=-1.0 if isinstance(user_reg, str) else float(user_reg),
        item_reg=-1.0 if isinstance(item_reg, str) else float(item_reg),
        tolerance=tolerance,
        n_threads=n_threads,
    )
    spread = fit["user_reg"], fit["item_reg"], fit["noise_variance"], fit["iterations"]
    return Biases(fit["mean"], users, items, *spread)


@register
class BiasModel(FactorModel):
    r"""Mean plus regularised user and item biases: ``ŷ_ui = μ + b_u + b_i``.

    Minimises ``½ Σ w_ui (ŷ_ui − y_ui)² + λ_user/2 Σ b_u² + λ_item/2 Σ b_i²`` by alternating exact solutions.

    Parameters
    ----------
    user_reg, item_reg : float or "auto", default "auto"
        λ_user, λ_item, at least 0. "auto" estimates them from the data: with b_u ~ N(0, τ²) and noise ~ N(0, σ²), the
        penalty is σ²/τ², and the variances are found together with the biases (mean-field variational
        expectation-maximisation). A row rated often keeps its own mean; one rated once is shrunk as far as the spread
        of the others suggests.
    n_threads : int, optional
        Threads to use; all by default. The result does not depend on it.
    device : {"auto", "cpu", "cuda", "cuda:0", ...}, default "auto"
        Where to compute; only "auto" may fall back. A process uses one GPU: the one named first, or the current one.

    Attributes
    ----------
    global_mean_ : float
        μ.
    user_bias_, item_bias_ : ndarray of shape (n_users,), (n_items,), float32
        b_u, b_i; 0 for rows without ratings.
    user_reg_, item_reg_ : float
        The penalties used.
    noise_variance_ : float
        σ², the variance that the biases leave in a rating of weight 1 (with "auto": corrected for their own
        uncertainty).
    n_iter_ : int
        Passes over the ratings.
    users_, items_, seen_, rating_range_, device_
        As for every model; see :class:`fastcf.MatrixFactorization`.

    References
    ----------
    Y. Koren, "Factor in the neighbors: scalable and accurate collaborative filtering", ACM TKDD 4(1), 2010 (the
    baseline estimates). S. R. Searle, G. Casella and C. E. McCulloch, "Variance Components", Wiley, 1992.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(200, 100, 5_000, random_state=0)
    >>> model = fastcf.BiasModel().fit(ratings)
    >>> bool(model.score(ratings) > -1.2)
    True
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "user_reg": (Interval(0), OneOf(("auto",))),
        "item_reg": (Interval(0), OneOf(("auto",))),
        **FactorModel._constraints,
    }
    _state = (*FactorModel._state, "user_reg_", "item_reg_", "noise_variance_", "n_iter_")

    def __init__(
        self,
        *,
        user_reg: float | str = "auto",
        item_reg: float | str = "auto",
        n_threads: int | None = None,
        device: str = "auto",
    ) -> None:
        self.user_reg = user_reg
        self.item_reg = item_reg
        self.n_threads = n_threads
        self.device = device

    def fit(self, X: Any, y: ArrayLike | None = None) -> BiasModel:
        """Learn the biases.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The ratings, or user and item ids.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.

        Returns
        -------
        BiasModel
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described.
        DeviceError
            If ``device="cuda"`` cannot be used.
        """
        ratings, backend = self._begin_fit(X, y)
        biases = fit_biases(ratings, backend, user_reg=self.user_reg, item_reg=self.item_reg, n_threads=self._threads)
        self._remember(ratings, backend)
        self.global_mean_, self.item_mean_ = biases.mean, None
        self.user_bias_, self.item_bias_ = biases.users, biases.items
        self.user_factors_ = np.empty((ratings.n_users, 0), np.float32)
        self.item_factors_ = np.empty((ratings.n_items, 0), np.float32)
        self.user_reg_, self.item_reg_ = biases.user_reg, biases.item_reg
        self.noise_variance_, self.n_iter_ = biases.noise_variance, biases.iterations
        return self
