"""Bayesian matrix factorisation by Gibbs sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import single_threaded_blas
from fastcf.models.factorization.noise import Noise
from fastcf.models.factorization.problem import Draws, Parameters, Problem
from fastcf.models.factorization.row_effects import RowEffects, RowFeatures, Side, sides_of
from fastcf.scores import Posterior, State

__all__ = ["GibbsTrainer", "draw_normal_wishart"]

Record = dict[str, Any]
Prior = tuple[NDArray[np.float64], NDArray[np.float64]]

_NOISE_STREAM = 32  # of random numbers, see problem.INIT_STREAM
_EFFECT_STREAM = 1 << 32
_STRENGTH = 2.0  # β0: how many rows the prior mean 0 counts for


class GibbsTrainer:
    r"""Draws factors and biases from their posterior, one side after the other.

    Ratings are divided by their standard deviation, so that the hyperpriors fit any scale. With x_u = (p_u, b_u):
    ``y ~ N(ŷ, 1/α)``, ``x_u ~ N(μ, Λ⁻¹)``, ``μ, Λ ~ NormalWishart(0, 2, d, I)``, the same for items, and
    ``α ~ Gamma(½, rate ½)``. With ``rated_input`` x_u has the mean ``μ + E f_u``, see :class:`RowEffects`. Every draw
    after the burn-in becomes one block of columns of the model's factors, so that inner products of the blocks are
    averages over the draws.

    Parameters
    ----------
    problem : Problem
        The ratings and how they are modelled.
    start : Parameters
        Where the first draw starts; they are overwritten.
    burn_in, thin : int
        Number of draws before the first is kept; every ``thin``-th later draw is kept.
    rated_input : bool
        Whether rows depend on which ratings there are.
    user_noise : bool
        Whether users differ in the variance of their ratings, see :class:`Noise`.
    """

    restorable = False

    def __init__(
        self, problem: Problem, start: Parameters, burn_in: int, thin: int, *, rated_input: bool, user_noise: bool
    ) -> None:
        self._problem, self._burn_in, self._thin = problem, burn_in, thin
        self.validated = problem.held_out is not None
        ratings = problem.ratings
        self._random = np.random.default_rng(problem.seed)
        self._unit = float(ratings.values.std(dtype=np.float64)) or 1.0
        offset: Any = np.float32(problem.global_mean)
        if problem.item_mean is not None:
            offset = problem.item_mean[ratings.indices]
        values = ((ratings.values - offset) / np.float32(self._unit)).astype(np.float32)
        self._sides = sides_of(ratings, values)
        root = np.float32(math.sqrt(self._unit))
        self._factors = start.user_factors / root, start.item_factors / root
        self._bias = start.user_bias / np.float32(self._unit), start.item_bias / np.float32(self._unit)
        self._biased = problem.learnt.bias
        self._k = start.user_factors.shape[1]
        self._noise = Noise((self._unit / problem.learnt.sigma) ** 2, np.ones(ratings.n_users), user_noise)
        most = max(1, -(-(problem.n_epochs - burn_in) // thin))
        rows = ratings.n_users, ratings.n_items
        self._kept_factors = [np.empty((n, most * self._k), np.float32) for n in rows]
        self._kept_biases = [np.empty((most, n), np.float32) for n in rows]
        self._effects: list[list[RowEffects]] = []  # by side: of which ratings there are, then of known features
        for side, table in enumerate(problem.features):
            of_rows = [RowFeatures.rated(self._sides[side], self._sides[1 - side])] if rated_input else []
            of_rows += [] if table is None else [RowFeatures.known(table)]
            self._effects.append([RowEffects.of(each, rows[side], self._k, self._biased[side]) for each in of_rows])
        rated = [effects[0] for effects in self._effects if rated_input]
        self._kept_effects = [np.empty((most, *each.effects.shape), np.float32) for each in rated]
        self._noise_variances: list[float] = []
        self._user_variances = np.zeros(ratings.n_users)  # sums over the draws kept
        self._priors: dict[int, Prior] = {}  # of users and items, last drawn
        self._kept_priors: list[list[Prior]] = []
        held_out = problem.held_out
        self._predicted = np.zeros(0 if held_out is None else held_out.values.size)
        self._loss = math.nan
        self._kept_last = False

    def run_epoch(self, epoch: int) -> None:
        """Draw hyperparameters and rows of both sides, then the noise.

        A draw that Ctrl-C ends is given up: its rows lack their centres meanwhile.
        """
        before = None if self._noise_variances else (self.arrays(), dict(self._priors))  # else the draws kept count
        try:
            self._draw_all(epoch)
        except BaseException:
            if before is not None:
                arrays, self._priors = before
                self.set_arrays(arrays)
            raise
        self._kept_last = epoch >= self._burn_in and (epoch - self._burn_in) % self._thin == 0
        if self._kept_last:
            self._keep()

    def _draw_all(self, epoch: int) -> None:
        """Draw both sides and the noise."""
        with single_threaded_blas():  # the same sums on every machine, and no second set of threads
            self._draw(1, epoch)
            squared_errors = self._draw(0, epoch) / self._noise.users
            self._loss = float(squared_errors.sum())
            self._noise.draw(squared_errors, np.diff(self._sides[0].csr[0]), self._random)

    def _draw(self, side: int, epoch: int) -> NDArray[np.float64]:
        """Draw the rows of a side; return their weighted sums of squared errors thereafter."""
        native, n_threads = self._problem.compute
        factors, bias, biased = self._factors[side], self._bias[side], self._biased[side]
        for effects in self._effects[side]:  # the rows without what is explained of them
            factors -= effects.centres
            bias -= effects.centre_bias
        rows = np.concatenate([factors, bias[:, None]], axis=1, dtype=np.float64) if biased else factors
        rows = rows.astype(np.float64, copy=False)
        mean, precision = draw_normal_wishart(rows, self._random, [effects.scatter for effects in self._effects[side]])
        if epoch == 0:  # what the rows start from says nothing: as far apart as the prior has them, they move freely
            mean, precision = np.zeros(len(mean)), len(mean) * np.eye(len(mean))
        self._priors[side] = mean, precision
        indptr, columns, values = self._sides[side].csr
        users = self._sides[0].rows if side == 0 else columns
        weights = self._noise.weights(users, self._sides[side].weights)
        if self._effects[side]:
            values = self._drawn_effects(side, epoch, precision, weights)
        noise = native.random_on_device(
            *rows.shape, "normal", 1.0, self._problem.seed, _NOISE_STREAM + 2 * epoch + side, n_threads
        )
        squared_errors = np.empty(len(factors))
        native.als_update(
            indptr,
            columns,
            values,
            self._factors[1 - side],
            factors,
            bias if biased else None,
            weights=weights,
            column_offset=self._bias[1 - side] if self._biased[1 - side] else None,
            precision=self._noise.precision,
            prior=precision.astype(np.float32),
            prior_mean=mean.astype(np.float32),
            noise=noise,
            noise_seed=int(self._random.integers(2**64, dtype=np.uint64)),
            squared_errors=squared_errors,
            n_threads=n_threads,
        )
        if self._kept_effects:  # which ratings rows without any would have is unknown: those of others, drawn at random
            self._effects[side][0].impute(np.diff(indptr) > 0, self._random)
        for effects in self._effects[side]:
            factors += effects.centres
            bias += effects.centre_bias
        return squared_errors

    def _drawn_effects(
        self, side: int, epoch: int, precision: NDArray[np.float64], weights: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Draw the effects on a side's rows; return the ratings less what they say of them."""
        seed, (native, n_threads) = self._problem.seed, self._problem.compute
        indptr, columns, values = self._sides[side].csr
        others = self._factors[1 - side], self._bias[1 - side]
        left = values
        for number, effects in enumerate(self._effects[side]):
            residuals = values.copy() if len(self._effects[side]) > 1 else values
            for other in self._effects[side]:
                if other is not effects:
                    residuals -= other.predictions(self._sides[side], others[0], self._problem.compute)
            if epoch > 0:
                effects.draw_strength(precision, self._random)
            stream = _EFFECT_STREAM * (1 + number) + 2 * epoch + side
            left = effects.draw(
                Side((indptr, columns, residuals), self._sides[side].rows, weights),
                self._factors[side],
                self._bias[side],
                *others,
                noise_precision=self._noise.precision,
                precision=precision,
                noise=native.random(*effects.effects.shape, "normal", 1.0, seed, stream, n_threads),
                compute=self._problem.compute,
            )
        return left

    def _keep(self) -> None:
        sample = len(self._noise_variances)
        columns = slice(sample * self._k, (sample + 1) * self._k)
        for kept, factors in zip(self._kept_factors, self._factors, strict=True):
            kept[:, columns] = factors
        for kept, bias in zip(self._kept_biases, self._bias, strict=True):
            kept[sample] = bias
        for kept, effects in zip(self._kept_effects, self._effects, strict=False):  # none, without rated_input
            kept[sample] = effects[0].effects
        if self._problem.held_out is not None:
            self._predicted += self._of_held_out()
        variance = self._unit**2 / self._noise.precision
        self._user_variances += variance / self._noise.users
        self._kept_priors[sample:] = [[self._priors[side] for side in (0, 1)]]
        self._noise_variances.append(variance)  # last: their number is that of the draws kept

    def _of_held_out(self) -> NDArray[np.float64]:
        """Return this draw's predictions of the validation ratings, in its own unit."""
        held_out, (native, n_threads) = self._problem.held_out, self._problem.compute
        assert held_out is not None
        predicted: NDArray[np.float64] = native.predict_pairs(
            held_out.users, held_out.items, *self._factors, *self._bias, n_threads=n_threads
        ).astype(np.float64)
        return predicted

    def measure(self) -> Record:
        """Return half the squared error of this draw, and the validation error of the mean of the draws kept.

        Before any is kept, the validation error is that of this draw.
        """
        problem = self._problem
        loss = self._loss
        if math.isnan(loss):  # before the first draw
            (_, items, values), users, weights = self._sides[0]
            predicted = problem.compute.native.predict_pairs(
                users, items, *self._factors, *self._bias, n_threads=problem.compute.n_threads
            )
            errors = np.square(predicted - values, dtype=np.float64)
            loss = float(errors.sum() if weights is None else errors @ weights.astype(np.float64))
        return {
            "cost": 0.5 * loss * self._unit**2,
            "train_rmse": self._unit * math.sqrt(loss / problem.total_weight),
            "validation_rmse": self._validation_error(),
        }

    def _validation_error(self) -> float | None:
        problem = self._problem
        if problem.held_out is None:
            return None
        _, items, values, weights = problem.held_out
        n = len(self._noise_variances)
        predicted = self._predicted / n if n else self._of_held_out()
        predicted = predicted * self._unit
        if problem.item_mean is None:
            predicted += problem.global_mean
        else:
            predicted += np.where(items >= 0, problem.item_mean[items], problem.global_mean)
        np.clip(predicted, *problem.ratings.rating_range, out=predicted)
        return float(np.sqrt(np.average(np.square(predicted - values), weights=weights)))

    def save_best(self) -> None:
        """Do nothing: draws are averaged; none is the best."""

    restore_best = save_best

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return the arrays to continue from: the last draw, the draws kept, and the random numbers' state."""
        random = self._random.bit_generator.state
        words = [int(random["state"][name]) >> shift & (2**64 - 1) for name in ("state", "inc") for shift in (0, 64)]
        words += [random["has_uint32"], random["uinteger"]]  # half of a number that is left
        n = len(self._noise_variances)
        kept = {
            f"kept_priors_{side}_{what}": np.array([prior[side][what] for prior in self._kept_priors])
            for side in (0, 1)
            for what in (0, 1)
        }
        for name, of_side in zip(("user", "item"), self._effects, strict=True):
            for number, effects in enumerate(of_side):
                kept |= {f"{name}_{part}_{number}": array for part, array in effects.arrays().items()}
        for name, drawn in zip(("user", "item"), self._kept_effects, strict=False):
            kept[f"kept_{name}_effects"] = drawn[:n].copy()
        return {
            "user_factors": self._factors[0].copy(),
            "item_factors": self._factors[1].copy(),
            "user_bias": self._bias[0].copy(),
            "item_bias": self._bias[1].copy(),
            "kept_user_factors": self._kept_factors[0][:, : n * self._k].copy(),
            "kept_item_factors": self._kept_factors[1][:, : n * self._k].copy(),
            "kept_user_bias": self._kept_biases[0][:n].copy(),
            "kept_item_bias": self._kept_biases[1][:n].copy(),
            "noise_variances": np.array(self._noise_variances),
            "user_variances": self._user_variances.copy(),
            "loss": np.array(self._loss),
            "predicted": self._predicted.copy(),
            "random": np.array(words, np.uint64),
            **self._noise.arrays(),
            **kept,
        }

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        self._factors = arrays["user_factors"].copy(), arrays["item_factors"].copy()
        self._bias = arrays["user_bias"].copy(), arrays["item_bias"].copy()
        self._noise_variances = arrays["noise_variances"].tolist()
        n = len(self._noise_variances)
        for side, name in enumerate(("user", "item")):
            self._kept_factors[side][:, : n * self._k] = arrays[f"kept_{name}_factors"]
            self._kept_biases[side][:n] = arrays[f"kept_{name}_bias"]
            for number, effects in enumerate(self._effects[side]):
                effects.set_arrays({part: arrays[f"{name}_{part}_{number}"] for part in effects.arrays()})
            if self._kept_effects:
                self._kept_effects[side][:n] = arrays[f"kept_{name}_effects"]
        self._kept_priors = [
            [(arrays[f"kept_priors_{side}_0"][m], arrays[f"kept_priors_{side}_1"][m]) for side in (0, 1)]
            for m in range(n)
        ]
        self._noise.set_arrays(arrays)
        self._user_variances, self._loss = arrays["user_variances"].copy(), float(arrays["loss"])
        self._predicted = arrays["predicted"].copy()
        words = [int(word) for word in arrays["random"]]
        state = dict(self._random.bit_generator.state)
        state["state"] = {"state": words[0] | words[1] << 64, "inc": words[2] | words[3] << 64}
        state["has_uint32"], state["uinteger"] = words[4:]
        self._random.bit_generator.state = state

    def finish(self, history: tuple[Record, ...], n_epochs: int) -> State:
        """Return the average of the draws kept; of the last one, where there are none yet."""
        problem, k = self._problem, self._k
        n = len(self._noise_variances)
        factors: list[NDArray[np.float32]] = [kept[:, : n * k] for kept in self._kept_factors]
        biases: list[NDArray[np.float32]] = [kept[:n] for kept in self._kept_biases]
        effects = [kept[:n] for kept in self._kept_effects]
        variances, priors = self._noise_variances, self._kept_priors
        user_variances = self._user_variances
        if n == 0:
            factors, biases = list(self._factors), [bias[None] for bias in self._bias]
            effects = [each[0].effects[None] for each, _ in zip(self._effects, self._kept_effects, strict=False)]
            variances = [self._unit**2 / self._noise.precision]
            user_variances = variances[0] / self._noise.users
            width = [k + side for side in self._biased]
            last = [self._priors.get(side, (np.zeros(d), np.eye(d))) for side, d in enumerate(width)]
            n, priors = 1, [last]
        scale = np.float32(math.sqrt(self._unit / n))
        tables = [np.ascontiguousarray(table) * scale for table in factors]
        samples = [each * np.float32(self._unit) for each in biases]
        means = [each.mean(axis=0, dtype=np.float64).astype(np.float32) for each in samples]
        noise_variance, of_users = float(np.mean(variances)), None
        if self._noise.by_user:
            counts = np.diff(self._sides[0].csr[0])
            of_users = (user_variances / n).astype(np.float32)
            noise_variance = float(np.average(of_users, weights=counts))
            of_users[counts == 0] = noise_variance
        posterior = Posterior(samples[0], samples[1], noise_variance, of_users)
        draws = Draws(
            self._unit,
            np.array(variances, np.float32),
            *(np.array([drawn[side][what] for drawn in priors], np.float32) for what in (0, 1) for side in (0, 1)),
            *effects,
        )
        scores = problem.scores(Parameters(*tables, *means), posterior)
        return problem.state(scores, replace(problem.learnt, draws=draws, posterior=posterior), history, n_epochs)


def draw_normal_wishart(
    rows: NDArray[np.float64], random: np.random.Generator, scatters: Sequence[tuple[NDArray[np.float64], int]] = ()
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw the mean and precision matrix of normal rows, (n, d), from their posterior.

    The prior is normal-Wishart with mean 0 worth 2 rows, d degrees of freedom and scale I (R. Salakhutdinov and A.
    Mnih, "Bayesian probabilistic matrix factorization using Markov chain Monte Carlo", ICML 2008, equation 14); the
    Wishart matrix comes from Bartlett's decomposition. ``scatters`` are sums of outer products of further rows, whose
    mean is known to be 0, and their numbers.
    """
    n, d = rows.shape
    further = sum((scatter for scatter, _ in scatters), np.zeros((d, d)))
    n_further = sum(number for _, number in scatters)
    strength = _STRENGTH + n
    mean = rows.mean(axis=0)
    centred = rows - mean
    inverse_scale = np.eye(d) + centred.T @ centred + _STRENGTH * n / strength * np.outer(mean, mean) + further
    bartlett = np.tril(random.standard_normal((d, d)), -1)
    bartlett[np.diag_indices(d)] = np.sqrt(random.chisquare(d + n + n_further - np.arange(d)))
    # With inverse_scale = L Lᵀ the scale is (L⁻ᵀ)(L⁻ᵀ)ᵀ, and so is every matrix with one of its square roots.
    root = np.linalg.solve(np.linalg.cholesky(inverse_scale).T, bartlett)
    precision = root @ root.T
    spread = np.linalg.solve(np.linalg.cholesky(precision).T, random.standard_normal(d))
    return n / strength * mean + spread / math.sqrt(strength), precision
