"""Bayesian matrix factorisation by Gibbs sampling."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fastcf.errors import DataError
from fastcf.models._fold_in import row_means
from fastcf.models._partial_fit import PartialFitMixin
from fastcf.models._solvers import Problem, Record
from fastcf.serialization import Archive

__all__ = ["GibbsSolver", "PosteriorMixin", "draw_normal_wishart"]

_Model = TypeVar("_Model", bound="PosteriorMixin")

_NOISE_STREAM = 32  # of random numbers, see _INIT_STREAM of the model
_STRENGTH = 2.0  # β0: how many rows the prior mean 0 counts for


class Draws(NamedTuple):
    """Hyperparameters of the draws kept, for folding in new rows; in units of the ratings' standard deviation."""

    unit: float
    noise_variances: NDArray[np.float32]  # in the ratings' own unit
    user_means: NDArray[np.float32]
    item_means: NDArray[np.float32]
    user_precisions: NDArray[np.float32]
    item_precisions: NDArray[np.float32]


class Sides:
    """Ratings by user and by item, and the native update of either side of a model's parameters."""

    def __init__(self, model: Any, problem: Problem, values: NDArray[np.float32]) -> None:
        self._model, self._problem = model, problem
        ratings = problem.ratings
        by_item, weights = ratings.by_item(), ratings.weights
        self._users = ratings.indptr, ratings.indices, values
        self._items = by_item.indptr, by_item.indices, values[by_item.entries]
        self._user_weights = weights
        self._item_weights = None if weights is None else weights[by_item.entries]

    def update_users(self, **options: Any) -> None:
        """Draw every user."""
        model = self._model
        self._update(
            self._users, model.item_factors_, model.user_factors_, model.user_bias_,
            weights=self._user_weights, column_offset=model.item_bias_ if model.bias else None, **options,
        )  # fmt: skip

    def update_items(self, **options: Any) -> float:
        """Draw every item; return the weighted sum of squared errors on the ratings thereafter."""
        model = self._model
        squared_errors = np.empty(model.item_factors_.shape[0])
        self._update(
            self._items, model.user_factors_, model.item_factors_, model.item_bias_,
            weights=self._item_weights, column_offset=model.user_bias_ if model.bias else None,
            squared_errors=squared_errors, **options,
        )  # fmt: skip
        return float(squared_errors.sum())

    def _update(self, ratings: Any, fixed: Any, factors: Any, bias: Any, **options: Any) -> None:
        self._problem.backend.module.als_update(
            *ratings, fixed, factors, bias if self._model.bias else None, n_threads=self._model._threads, **options
        )


class GibbsSolver:
    r"""Draws factors and biases from their posterior, one side after the other.

    Ratings are divided by their standard deviation, so that the hyperpriors fit any scale. With x_u = (p_u, b_u):
    ``y ~ N(ŷ, 1/α)``, ``x_u ~ N(μ, Λ⁻¹)``, ``μ, Λ ~ NormalWishart(0, 2, d, I)``, the same for items, and
    ``α ~ Gamma(½, rate ½)``. Every draw after the burn-in becomes one block of columns of the model's factors, so that
    inner products of the blocks are averages over the draws.
    """

    def __init__(self, model: Any, problem: Problem) -> None:
        self._model, self._problem = model, problem
        ratings = problem.ratings
        self._random = np.random.default_rng(problem.seed)
        self._unit = float(ratings.values.std(dtype=np.float64)) or 1.0
        values = ((ratings.values - np.float32(model.global_mean_)) / np.float32(self._unit)).astype(np.float32)
        if model.item_mean_ is not None:
            values = (ratings.values - model.item_mean_[ratings.indices]) / np.float32(self._unit)
        self._item_mean, model.item_mean_ = model.item_mean_, None  # in `values` already, until the end
        root = np.float32(math.sqrt(self._unit))
        for factors in (model.user_factors_, model.item_factors_):
            factors /= root
        for bias in (model.user_bias_, model.item_bias_):
            bias /= np.float32(self._unit)
        self._sides = Sides(model, problem, values)
        self._precision = (self._unit / problem.sigma) ** 2
        kept = -(-(problem.n_epochs - model.burn_in) // model.thin)
        k = model.user_factors_.shape[1]
        self._k = k
        self._factors = [np.empty((rows, kept * k), np.float32) for rows in (ratings.n_users, ratings.n_items)]
        self._biases = [np.empty((kept, rows), np.float32) for rows in (ratings.n_users, ratings.n_items)]
        self._noise_variances: list[float] = []
        self._priors: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []  # of users and items, last drawn
        self._kept_priors: list[list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = []
        held_out = problem.held_out
        self._predicted = np.zeros(0 if held_out is None else held_out.values.size)
        self._blas = threadpool_limits(limits=1, user_api="blas")  # the same sums on every machine, no fight for cores

    def run_epoch(self, epoch: int) -> Record:
        """Draw hyperparameters and rows of both sides, then the noise."""
        model, problem = self._model, self._problem
        self._priors.clear()
        self._draw(0, epoch, self._sides.update_users)
        loss = self._draw(1, epoch, self._sides.update_items)
        self._precision = float(self._random.gamma(0.5 * (1 + problem.ratings.nnz), 2.0 / (1 + loss)))
        keep = epoch >= model.burn_in and (epoch - model.burn_in) % model.thin == 0
        if keep:
            self._keep()
        return {
            "cost": 0.5 * loss * self._unit**2,
            "train_rmse": self._unit * math.sqrt(loss / problem.total_weight),
            "validation_rmse": self._validate(keep),
            "learning_rate": None,
        }

    def _draw(self, side: int, epoch: int, update: Any) -> Any:
        model, problem = self._model, self._problem
        factors, bias = [(model.user_factors_, model.user_bias_), (model.item_factors_, model.item_bias_)][side]
        rows = np.concatenate([factors, bias[:, None]], axis=1, dtype=np.float64) if model.bias else factors
        mean, precision = draw_normal_wishart(rows.astype(np.float64, copy=False), self._random)
        self._priors.append((mean, precision))
        noise = problem.backend.module.random_on_device(
            *rows.shape, "normal", 1.0, problem.seed, _NOISE_STREAM + 2 * epoch + side, model._threads
        )
        return update(
            precision=self._precision,
            prior=precision.astype(np.float32),
            prior_mean=mean.astype(np.float32),
            noise=noise,
            noise_seed=int(self._random.integers(2**64, dtype=np.uint64)),
        )

    def _keep(self) -> None:
        model, k, sample = self._model, self._k, len(self._noise_variances)
        columns = slice(sample * k, (sample + 1) * k)
        for kept, factors in zip(self._factors, (model.user_factors_, model.item_factors_), strict=True):
            kept[:, columns] = factors
        for kept, bias in zip(self._biases, (model.user_bias_, model.item_bias_), strict=True):
            kept[sample] = bias
        self._noise_variances.append(self._unit**2 / self._precision)
        self._kept_priors.append(list(self._priors))

    def _validate(self, keep: bool) -> float | None:
        """Return the error of the mean over the draws kept, or, before there are any, of this one."""
        model, problem = self._model, self._problem
        if problem.held_out is None:
            return None
        users, items, values = problem.held_out
        biases = model.user_bias_, model.item_bias_
        predicted = problem.backend.module.predict_pairs(
            users, items, model.user_factors_, model.item_factors_, *biases, n_threads=model._threads
        ).astype(np.float64)
        if keep:
            self._predicted += predicted
        if self._noise_variances:
            predicted = self._predicted / len(self._noise_variances)
        predicted *= self._unit
        if self._item_mean is None:
            predicted += model.global_mean_
        else:
            predicted += np.where(items >= 0, self._item_mean[items], model.global_mean_)
        np.clip(predicted, *problem.ratings.rating_range, out=predicted)
        return float(np.sqrt(np.square(predicted - values).mean()))

    def save_best(self) -> None:
        """Draws are averaged; none is the best."""

    restore_best = save_best

    def finish(self) -> None:
        """Make the model the average of the draws kept; of the last one, where training ended during the burn-in."""
        model, k = self._model, self._k
        if not self._noise_variances:
            while len(self._priors) < 2:  # stopped before the first draw was complete
                self._priors.append((np.zeros(k + model.bias), np.eye(k + model.bias)))
            self._keep()
        n = len(self._noise_variances)
        scale = np.float32(math.sqrt(self._unit / n))
        for kept in self._factors:
            kept[:, : n * k] *= scale  # what no draw has filled holds anything
        for kept in self._biases:
            kept[:n] *= np.float32(self._unit)
        model.user_factors_, model.item_factors_ = (np.ascontiguousarray(kept[:, : n * k]) for kept in self._factors)
        model.user_bias_samples_, model.item_bias_samples_ = (kept[:n].copy() for kept in self._biases)
        model.user_bias_, model.item_bias_ = (
            kept[:n].mean(axis=0, dtype=np.float64).astype(np.float32) for kept in self._biases
        )
        model.item_mean_ = self._item_mean
        model.n_samples_ = n
        model.noise_variance_ = float(np.mean(self._noise_variances))
        model.draws_ = Draws(
            self._unit,
            np.array(self._noise_variances, np.float32),
            *(np.array([priors[side][0] for priors in self._kept_priors], np.float32) for side in (0, 1)),
            *(np.array([priors[side][1] for priors in self._kept_priors], np.float32) for side in (0, 1)),
        )
        self._blas.restore_original_limits()


class PosteriorMixin(PartialFitMixin):
    """Adds what a model averaged over draws of its posterior knows: how sure it is of each prediction."""

    solver: str
    user_bias_samples_: NDArray[np.float32]
    item_bias_samples_: NDArray[np.float32]
    n_samples_: int
    noise_variance_: float
    draws_: Draws

    def _forget_draws(self) -> None:
        """Remove what an earlier fit by Gibbs sampling left."""
        for name in ("user_bias_samples_", "item_bias_samples_", "n_samples_", "noise_variance_", "draws_"):
            self.__dict__.pop(name, None)

    @overload
    def predict(self, X: Any, *, strict: bool = ..., return_std: Literal[False] = ...) -> NDArray[np.float32]: ...
    @overload
    def predict(
        self, X: Any, *, strict: bool = ..., return_std: Literal[True]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...

    def predict(
        self, X: Any, *, strict: bool = False, return_std: bool = False
    ) -> NDArray[np.float32] | tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predict ratings of pairs.

        Parameters
        ----------
        X : array-like of shape (n, 2), Ratings or SciPy sparse matrix
            User and item ids; for ratings and matrices, their stored pairs in stored order.
        strict : bool, default False
            Whether unknown ids are an error. Otherwise an unknown user has no bias and no factors, and so has an
            unknown item, whose mean is the global one: what is known of the other side still counts.
        return_std : bool, default False
            Whether to return the standard deviation of each rating too; ``solver="bayes"`` only.

        Returns
        -------
        ndarray of shape (n,), float32, or a tuple of two
            Predictions, within the range of the training ratings. Then, with ``return_std``, the posterior standard
            deviations of the ratings: what the draws differ by, and the noise of a rating of weight 1. The same bits
            for any number of threads.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If ``X`` does not have two columns, ``strict`` and an id is unknown, or standard deviations are asked of a
            model that was not trained by ``solver="bayes"``.
        """
        predicted = super().predict(X, strict=strict)
        if not return_std:
            return predicted
        if not hasattr(self, "noise_variance_"):
            raise ValueError(
                f"{type(self).__name__}.predict: return_std needs a model fitted with solver='bayes'; "
                f"got {self.solver!r}"
            )
        users, items = self._pair_rows(X, "predict", strict)
        return predicted, self._standard_deviations(users, items)

    def _standard_deviations(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the standard deviations of ratings at rows; an unknown row has no factors and no bias."""
        n = self.n_samples_
        std = np.empty(users.size, np.float32)
        step = max(1, (1 << 22) // self.user_factors_.shape[1])  # pairs at once: two arrays of 16 MB
        for begin in range(0, users.size, step):
            u, i = users[begin : begin + step], items[begin : begin + step]
            known_user, known_item = u >= 0, i >= 0
            products = np.einsum(
                "esk,esk->es",
                self.user_factors_[u].reshape(u.size, n, -1),
                self.item_factors_[i].reshape(u.size, n, -1),
            )
            samples = n * products * (known_user & known_item)[:, None]
            samples += self.user_bias_samples_[:, u].T * known_user[:, None]
            samples += self.item_bias_samples_[:, i].T * known_item[:, None]
            std[begin : begin + step] = np.sqrt(samples.var(axis=1, dtype=np.float64) + self.noise_variance_)
        return std

    def _fold(self, folded: Any, by: str, csr: tuple[Any, ...], weights: NDArray[np.float32] | None) -> None:
        if not hasattr(self, "draws_"):
            super()._fold(folded, by, csr, weights)
            return
        n, draws = self.n_samples_, self.draws_
        users = by == "user"
        fixed, fixed_bias = (
            (self.item_factors_, self.item_bias_samples_) if users else (self.user_factors_, self.user_bias_samples_)
        )
        means, precisions = (
            (draws.user_means, draws.user_precisions) if users else (draws.item_means, draws.item_precisions)
        )
        indptr, columns, values = csr
        offset: Any = np.float32(self.global_mean_)
        if self.item_mean_ is not None and users:
            offset = self.item_mean_[columns]
        elif self.item_mean_ is not None:
            folded.item_mean_ = row_means(csr, weights, self.global_mean_)
            offset = np.repeat(folded.item_mean_, np.diff(indptr))
        values = ((values - offset) / np.float32(draws.unit)).astype(np.float32)
        k = fixed.shape[1] // n
        scale = np.float32(math.sqrt(draws.unit / n))
        factors = np.empty((indptr.size - 1, n * k), np.float32)
        biases = np.zeros((n, indptr.size - 1), np.float32)
        for sample in range(n):
            block = slice(sample * k, (sample + 1) * k)
            rows = np.empty((indptr.size - 1, k), np.float32)
            self._native.als_update(
                indptr,
                columns,
                values,
                np.ascontiguousarray(fixed[:, block]) / scale,
                rows,
                biases[sample] if self.bias else None,
                weights=weights,
                column_offset=fixed_bias[sample] / np.float32(draws.unit),
                precision=float(draws.unit**2 / draws.noise_variances[sample]),
                prior=precisions[sample],
                prior_mean=means[sample],
                n_threads=self._threads,
            )
            factors[:, block] = rows * scale
        biases *= np.float32(draws.unit)
        bias = biases.mean(axis=0, dtype=np.float64).astype(np.float32)
        if users:
            folded.user_factors_, folded.user_bias_, folded.user_bias_samples_ = factors, bias, biases
        else:
            folded.item_factors_, folded.item_bias_, folded.item_bias_samples_ = factors, bias, biases

    def _to_archive(self) -> Archive:
        archive = super()._to_archive()
        if hasattr(self, "noise_variance_"):
            archive.arrays["user_bias_samples"] = self.user_bias_samples_
            archive.arrays["item_bias_samples"] = self.item_bias_samples_
            archive.meta["noise_variance_"] = self.noise_variance_
            archive.meta["unit"] = self.draws_.unit
            for name, array in self.draws_._asdict().items():
                if name != "unit":
                    archive.arrays[f"draws_{name}"] = array
        return archive

    @classmethod
    def _from_archive(cls: type[_Model], archive: Archive) -> _Model:
        model = super()._from_archive(archive)
        if "user_bias_samples" in archive.arrays:
            samples = archive.array("user_bias_samples", np.float32, (None, len(model.users_)))
            n = len(samples)
            if n == 0 or model.user_factors_.shape[1] % n:
                raise DataError(f"{archive.path}: the factors are not those of {n} samples")
            model.user_bias_samples_ = samples
            model.item_bias_samples_ = archive.array("item_bias_samples", np.float32, (n, len(model.items_)))
            model.n_samples_ = n
            d = model.user_factors_.shape[1] // n + bool(model.bias)
            shapes = ((n,), (n, d), (n, d), (n, d, d), (n, d, d))
            draws = (
                archive.array(f"draws_{name}", np.float32, shape)
                for name, shape in zip(Draws._fields[1:], shapes, strict=True)
            )
            try:
                model.noise_variance_ = float(archive.meta["noise_variance_"])
                model.draws_ = Draws(float(archive.meta["unit"]), *draws)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{archive.path}: what {cls.__name__} remembers is damaged: {error!r}") from error
        return model


def draw_normal_wishart(
    rows: NDArray[np.float64], random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw the mean and precision matrix of normal rows from their posterior.

    The prior is normal-Wishart with mean 0 worth 2 rows, d degrees of freedom and scale I (R. Salakhutdinov and A.
    Mnih, "Bayesian probabilistic matrix factorization using Markov chain Monte Carlo", ICML 2008, equation 14); the
    Wishart matrix comes from Bartlett's decomposition.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        The rows.
    random : numpy.random.Generator
        Where the numbers come from.

    Returns
    -------
    tuple of ndarray of shape (d,), (d, d)
    """
    n, d = rows.shape
    strength = _STRENGTH + n
    mean = rows.mean(axis=0)
    centred = rows - mean
    inverse_scale = np.eye(d) + centred.T @ centred + _STRENGTH * n / strength * np.outer(mean, mean)
    bartlett = np.tril(random.standard_normal((d, d)), -1)
    bartlett[np.diag_indices(d)] = np.sqrt(random.chisquare(d + n - np.arange(d)))
    # With inverse_scale = L Lᵀ the scale is (L⁻ᵀ)(L⁻ᵀ)ᵀ, and so is every matrix with one of its square roots.
    root = np.linalg.solve(np.linalg.cholesky(inverse_scale).T, bartlett)
    precision = root @ root.T
    spread = np.linalg.solve(np.linalg.cholesky(precision).T, random.standard_normal(d))
    return n / strength * mean + spread / math.sqrt(strength), precision
