"""The bias model: the baseline every other model is compared with."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastcf._parameters import Constraint, Interval, OneOf
from fastcf.models.bias.biases import fit_biases
from fastcf.models.estimator import Estimator, Packed
from fastcf.scores import Compute, FactorScores, Folding, State
from fastcf.scores.queries import RatedSide
from fastcf.scores.stored import factor_arrays, factors_from
from fastcf.serialization import Archive, register

__all__ = ["BiasModel"]


@dataclass(frozen=True)
class LearntBiases:
    """The learnt values of :class:`BiasModel` other than biases."""

    shown: ClassVar[tuple[str, ...]] = ("user_reg", "item_reg", "noise_variance", "n_iter")

    user_reg: float
    item_reg: float
    noise_variance: float
    n_iter: int


class BiasFolding(Folding):
    """Biases of new rows from their ratings: ``b = Σ w (y − μ − b_other) / (Σ w + λ)``."""

    rated_sides = ("user", "item")

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Solve the rows exactly, given the other side."""
        scores = state.scores.as_factors()
        assert scores is not None
        users = rated.by == "user"
        other, reg = (scores.item_bias, state.learnt.user_reg) if users else (scores.user_bias, state.learnt.item_reg)
        n_rows = len(rated.ids)
        rows = np.repeat(np.arange(n_rows), np.diff(rated.indptr))
        weights = np.ones(rated.values.size) if rated.weights is None else rated.weights.astype(np.float64)
        residuals = rated.values.astype(np.float64) - scores.global_mean - other[rated.columns]
        total = np.bincount(rows, weights, n_rows) + reg
        sums = np.bincount(rows, weights * residuals, n_rows)
        bias = np.divide(sums, total, out=np.zeros(n_rows), where=total > 0).astype(np.float32)
        factors = np.empty((n_rows, 0), np.float32)
        side = {"user_bias": bias, "user_factors": factors} if users else {"item_bias": bias, "item_factors": factors}
        return state.replaced(scores=scores.replaced(**side))


@register
@dataclass(eq=False, repr=False)
class BiasModel(Estimator):
    r"""Mean plus regularised user and item biases: ``ŷ_ui = μ + b_u + b_i``.

    Minimises ``½ Σ w_ui (ŷ_ui − y_ui)² + λ_user/2 Σ b_u² + λ_item/2 Σ b_i²`` by alternating exact solutions.

    Parameters
    ----------
    user_reg, item_reg : float or "auto", default "auto"
        λ_user, λ_item, at least 0. "auto" estimates them from the data: with b_u ~ N(0, τ²) and noise ~ N(0, σ²), the
        penalty is σ²/τ², and the variances are found together with the biases (mean-field variational
        expectation-maximisation). Rows with few ratings are shrunk more.
    n_threads, device
        As for :class:`MatrixFactorization`.

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
        **Estimator._constraints,
    }

    _: KW_ONLY
    user_reg: float | str = "auto"
    item_reg: float | str = "auto"
    n_threads: int | None = None
    device: str = "auto"

    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> BiasModel:
        """Learn the biases.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`MatrixFactorization.fit`.

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
        ratings, backend = self._begin_fit(X, y, sample_weight)
        biases = fit_biases(ratings, backend, user_reg=self.user_reg, item_reg=self.item_reg, n_threads=self._threads)
        scores = FactorScores(
            np.empty((ratings.n_users, 0), np.float32),
            np.empty((ratings.n_items, 0), np.float32),
            biases.users,
            biases.items,
            biases.mean,
        )
        learnt = LearntBiases(biases.user_reg, biases.item_reg, biases.noise_variance, biases.iterations)
        self._swap(State.of(ratings, backend, scores, learnt=learnt, folding=BiasFolding()))
        return self

    def _pack(self, state: State) -> Packed:
        scores = state.scores.as_factors()
        assert scores is not None
        return Packed(factor_arrays(scores), {"global_mean": scores.global_mean, **asdict(state.learnt)})

    def _unpack(self, archive: Archive, common: State) -> State:
        meta = archive.meta
        learnt = LearntBiases(
            float(meta["user_reg"]), float(meta["item_reg"]), float(meta["noise_variance"]), int(meta["n_iter"])
        )
        return common.replaced(scores=factors_from(archive, common), learnt=learnt, folding=BiasFolding())
