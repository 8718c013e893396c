"""Matrix factorisation: users and items as vectors whose inner product predicts the rating."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import Backend
from fastcf._random import RandomState, seed_from
from fastcf.callbacks import Callback
from fastcf.gradient_check import Objective, compare_gradients
from fastcf.models._factorization import CHECKED_RATINGS, TRAINING_CONSTRAINTS, TRAINING_STATE, FactorizationMixin
from fastcf.models._fold_in import row_means
from fastcf.models._gibbs import GibbsSolver, PosteriorMixin
from fastcf.models._objective import mf_objective
from fastcf.models._parameters import Constraint, Interval, Nothing, OneOf
from fastcf.models._solvers import AlsSolver, GradientSolver, Problem, SgdSolver, Solver
from fastcf.models._training import train
from fastcf.models.bias import Biases, fit_biases
from fastcf.optimizers import Optimizer
from fastcf.ratings import Ratings
from fastcf.serialization import register

__all__ = ["MatrixFactorization"]


class _Auto(NamedTuple):
    """What "auto" means for a solver; ``reg`` in units of the standard deviation σ that the biases leave."""

    n_factors: int
    n_epochs: int
    reg: float
    reg_exponent: float


# Chosen on validation ratings of sets of different size, see docs/defaults.md.
_AUTO = {
    "sgd": _Auto(64, 40, 0.6, 0.7),
    "als": _Auto(64, 15, 1.75, 0.5),
    "bayes": _Auto(32, 120, 0.0, 0.0),
    "gd": _Auto(64, 200, 1.75, 0.5),
    "minibatch": _Auto(64, 40, 1.75, 0.5),
}
_SOLVERS: dict[str, type[Solver]] = {
    "sgd": SgdSolver,
    "als": AlsSolver,
    "bayes": GibbsSolver,
    "gd": GradientSolver,
    "minibatch": GradientSolver,
}
_AUTO_LEARNING_RATE = 0.04


@register
class MatrixFactorization(PosteriorMixin, FactorizationMixin):
    r"""Biased matrix factorisation for ratings: ``ŷ_ui = m_ui + b_u + b_i + p_u·q_i``.

    Minimises, over the rated pairs only,
    ``½ Σ w_ui (ŷ_ui − y_ui)² + ½ Σ_u λ n_u^a ‖p_u‖² + ½ Σ_i λ n_i^a ‖q_i‖² + ½ Σ λ_b b²``,
    n_u and n_i being the numbers of ratings of the user and of the item; or, with ``solver="bayes"``, averages such
    models over their posterior distribution.

    Parameters
    ----------
    n_factors : int or "auto", default "auto"
        k, the length of the vectors p_u and q_i; at most 65,536. "auto" is 64, and 32 for "bayes".
    solver : {"sgd", "als", "bayes", "minibatch", "gd"}, default "sgd"
        "sgd": stochastic gradient descent over tiles of users and items, the fastest. "als": alternating least
        squares; every sweep solves all users, then all items, exactly (or nearly, see ``cg_steps``). "bayes": Gibbs
        sampling of Bayesian matrix factorisation, usually the most accurate; knows the deviation of its predictions,
        needs no tuning, and takes the memory of ``n_samples_`` models. "minibatch": steps of ``optimizer`` along the
        mean gradient of ``batch_size`` ratings, shuffled anew in each epoch. "gd": the same along the gradient of all
        ratings, one step per epoch.
    optimizer : str or Optimizer, default "auto"
        For "minibatch" and "gd": "gd", "momentum", "nesterov", "adagrad", "adadelta", "adam", or an instance of one of
        the classes of :mod:`fastcf.optimizers`. "auto" is Adam.
    batch_size : int, default 1024
        For "minibatch".
    normalize : {"global", "item"} or None, default "global"
        The offset m_ui: the mean rating, each item's mean rating, or 0.
    bias : bool, default True
        Whether to learn b_u and b_i. They start at the regularised least-squares solution, see :class:`BiasModel`.
    reg : float or "auto", default "auto"
        λ, at least 0. "auto" is 0.6 σ for "sgd" and 1.75 σ for the others, with σ the standard deviation that the
        biases leave (times the mean weight, where ratings have weights). "bayes" has none: its priors are learnt.
    bias_reg : float or "auto", default "auto"
        λ_b, at least 0. "auto" estimates one penalty for users and one for items from the data, see :class:`BiasModel`.
    reg_scaling : float, "auto", "count" or "none", default "auto"
        The exponent a: 0 ("none") penalises every vector alike, 1 ("count") by its number of ratings (weighted-λ).
        In between, large and small data sets want about the same λ. "auto" is 0.7 for "sgd", else 0.5.
    learning_rate : float or "auto", default "auto"
        Step size of the first epoch, above 0. "auto" is 0.04 / σ for "sgd", divided by the mean weight or a third of
        the largest one where ratings have weights. Biases step by σ times as much, so that the scale of the ratings
        does not matter. For "minibatch" and "gd": 0.01 √σ with Adam, 0.03 √σ with AdaGrad (biases √σ times as much), 1
        with AdaDelta; else what corresponds to "sgd", as far as the row with most ratings allows. "als" and "bayes"
        have none, nor the next two.
    schedule : {"linear", "cosine", "constant", "inverse", "exponential"}, default "linear"
        How the step size falls, see :func:`fastcf.optimizers.learning_rate_at`.
    decay : float, default 0.1
        The constant of the last two schedules, in [0, 1].
    n_epochs : int or "auto", default "auto"
        Passes over the ratings (at most, with validation). "auto" is 40 for "sgd" and "minibatch", 15 for "als", 120
        for "bayes", 200 for "gd".
    cg_steps : int or None, default None
        "als": solve every row by so many steps of conjugate gradients from where it is, instead of exactly by
        Cholesky's factorisation. Three are usual, and faster where k is large.
    burn_in : int, default 20
        "bayes": how many of the epochs pass before draws are kept; fewer than ``n_epochs``.
    thin : int, default 1
        "bayes": keep every so many-th draw after that.
    patience : int or None, default None
        With validation ratings: stop after so many epochs that did not lower their error; None: never. The parameters
        of the best epoch are kept either way. With a falling schedule the error may rise for a while before the small
        steps at the end bring it to its lowest, so patience suits the "constant" schedule best.
    min_delta : float, default 0.0
        By how much an epoch must lower the validation error to count as an improvement.
    init : {"normal", "uniform"}, default "normal"
        Distribution of the initial factors: normal with standard deviation ``s``, or uniform on ±``s``.
    init_scale : float or "auto", default "auto"
        s, at least 0. "auto" is 0.1 √(σ/k).
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the initial factors and the order of the ratings.
    n_threads : int, optional
        Threads to use; all by default. The same seed gives the same bits for any number of threads (on one
        instruction set: sums are vectors wide).
    device : {"auto", "cpu", "cuda", "cuda:0", ...}, default "auto"
        Where to compute; only "auto" may fall back. A process uses one GPU: the one named first, or the current one.
        What ran is in ``device_``.
    deterministic : bool, default True
        "sgd" on a GPU: whether the same seed gives the same bits. False lets steps on one item run at once, each
        unaware of the others, for speed. Elsewhere results are the same either way.
    storage : {"float32", "float16"}, default "float32"
        "sgd" on a GPU: how factors are kept during an epoch; arithmetic is float32. Halves move half the bytes. A CPU
        keeps float32.
    verbose : {0, 1, 2}, default 0
        Silent; a progress bar; a line per epoch.

    Attributes
    ----------
    user_factors_, item_factors_ : ndarray of shape (n_users, k), (n_items, k), float32
        p_u and q_i; zero for rows without ratings. After "bayes" k times ``n_samples_`` columns: the draws side by
        side, scaled so that inner products average over them.
    user_bias_, item_bias_ : ndarray of shape (n_users,), (n_items,), float32
        b_u and b_i; zero without ``bias``.
    global_mean_ : float
        The mean offset; what is predicted where nothing is known.
    item_mean_ : ndarray of shape (n_items,), float32, or None
        The items' mean ratings where ``normalize="item"``; the global mean for items without ratings.
    users_, items_ : IdMap
        The caller's ids behind the rows.
    seen_ : SeenItems or None
        Which items each user rated in training.
    rating_range_ : tuple of float
        Smallest and largest rating; predictions are limited to it.
    history_ : list of dict
        Per epoch: ``epoch``, ``cost`` (the objective, each error taken just before its step), ``train_rmse`` (of the
        same errors), ``validation_rmse`` or None, ``learning_rate`` or None, ``seconds``. "als" takes its errors at
        the end of the sweep; "bayes" has half the squared error as cost, and the validation error of the mean of the
        draws so far.
    n_epochs_ : int
        The epoch whose parameters were kept.
    reg_, reg_exponent_, learning_rate_ : float
        What "auto" came to, a being the exponent.
    sigma_, sgd_rate_ : float
        σ, and the step size that "sgd" began with or would have; ``partial_fit`` goes by them.
    user_bias_reg_, item_bias_reg_ : float
        The same for the biases.
    n_samples_ : int
        "bayes": how many draws are averaged.
    draws_ : tuple of arrays
        "bayes": the hyperparameters of the draws, which ``fold_in`` needs.
    noise_variance_ : float
        "bayes": mean variance of a rating of weight 1 around its prediction.
    user_bias_samples_, item_bias_samples_ : ndarray of shape (n_samples_, n_users), (n_samples_, n_items), float32
        "bayes": the biases of the draws.
    device_ : str
        Where it was computed.

    See Also
    --------
    BiasModel : The same without factors.
    fastcf.plot.plot_history : Learning curves.

    References
    ----------
    Y. Koren, R. Bell and C. Volinsky, "Matrix factorization techniques for recommender systems", Computer 42(8), 2009.
    Y. Zhou, D. Wilkinson, R. Schreiber and R. Pan, "Large-scale parallel collaborative filtering for the Netflix
    Prize", AAIM 2008 (weighted-λ). R. Gemulla, E. Nijkamp, P. Haas and Y. Sismanis, "Large-scale matrix factorization
    with distributed stochastic gradient descent", KDD 2011 (blocks that share no rows). R. Salakhutdinov and A. Mnih,
    "Bayesian probabilistic matrix factorization using Markov chain Monte Carlo", ICML 2008 ("bayes", with biases as one
    more factor). G. Takács, I. Pilászy and D. Tikk, "Applications of the conjugate gradient method for implicit
    feedback collaborative filtering", RecSys 2011 (``cg_steps``).

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(500, 300, 20_000, random_state=0)
    >>> train, test = fastcf.data.train_test_split(ratings, random_state=0)
    >>> model = fastcf.MatrixFactorization(n_factors=16, random_state=0).fit(train)
    >>> model.score(test) > fastcf.BiasModel().fit(train).score(test)
    True
    >>> model.recommend(train.users.ids[:2], n=3).items.shape
    (2, 3)
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        **TRAINING_CONSTRAINTS,
        "solver": (OneOf(tuple(_SOLVERS)),),
        "normalize": (OneOf(("global", "item")), Nothing()),
        "cg_steps": (Interval(1, integer=True), Nothing()),
        "burn_in": (Interval(0, integer=True),),
        "thin": (Interval(1, integer=True),),
        **PosteriorMixin._constraints,
    }
    _state = (*PosteriorMixin._state, *TRAINING_STATE)

    def __init__(
        self,
        n_factors: int | str = "auto",
        *,
        solver: str = "sgd",
        optimizer: str | Optimizer = "auto",
        batch_size: int = 1024,
        normalize: str | None = "global",
        bias: bool = True,
        reg: float | str = "auto",
        bias_reg: float | str = "auto",
        reg_scaling: float | str = "auto",
        learning_rate: float | str = "auto",
        schedule: str = "linear",
        decay: float = 0.1,
        n_epochs: int | str = "auto",
        cg_steps: int | None = None,
        burn_in: int = 20,
        thin: int = 1,
        patience: int | None = None,
        min_delta: float = 0.0,
        init: str = "normal",
        init_scale: float | str = "auto",
        random_state: RandomState = None,
        n_threads: int | None = None,
        device: str = "auto",
        deterministic: bool = True,
        storage: str = "float32",
        verbose: int = 0,
    ) -> None:
        self.n_factors = n_factors
        self.solver = solver
        self.optimizer = optimizer
        self.batch_size = batch_size
        self.normalize = normalize
        self.bias = bias
        self.reg = reg
        self.bias_reg = bias_reg
        self.reg_scaling = reg_scaling
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.decay = decay
        self.n_epochs = n_epochs
        self.cg_steps = cg_steps
        self.burn_in = burn_in
        self.thin = thin
        self.patience = patience
        self.min_delta = min_delta
        self.init = init
        self.init_scale = init_scale
        self.random_state = random_state
        self.n_threads = n_threads
        self.device = device
        self.deterministic = deterministic
        self.storage = storage
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        validation: Any = None,
        callbacks: Iterable[Callback] = (),
        check_gradients: bool = False,
    ) -> MatrixFactorization:
        """Learn the parameters.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The ratings, or user and item ids. Weights of the ratings weight their squared errors.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.
        validation : Ratings, SciPy sparse matrix, or tuple (X, y), optional
            Ratings held out. After each epoch their error is recorded; training stops early when it no longer falls
            (``patience``), and the parameters of the best epoch are kept.
        callbacks : iterable of Callback, optional
            Called after each epoch, see :mod:`fastcf.callbacks`.
        check_gradients : bool, default False
            Whether to compare the gradient of the objective with central differences before training, on some of
            the ratings; see :func:`fastcf.check_gradients`.

        Returns
        -------
        MatrixFactorization
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described.
        DeviceError
            If ``device="cuda"`` cannot be used.
        GradientCheckError
            If ``check_gradients`` and they disagree.
        DivergenceError
            If parameters stop being finite; the model then holds those of an earlier epoch.
        KeyboardInterrupt
            After Ctrl-C; the model holds what was learnt so far.
        """
        ratings, backend = self._begin_fit(X, y)
        auto = _AUTO[self.solver]
        n_epochs = auto.n_epochs if isinstance(self.n_epochs, str) else self.n_epochs
        if self.solver == "bayes" and self.burn_in >= n_epochs:
            raise ValueError(
                f"MatrixFactorization.fit: burn_in must be less than n_epochs, {n_epochs}; got {self.burn_in}"
            )
        held_out = None
        if validation is not None:
            held_out = self._validation_rows(self._validation_ratings(validation), ratings)
        mean = _weighted_mean(ratings) if self.normalize else 0.0
        item_mean = _item_means(ratings, mean) if self.normalize == "item" else None
        biases = self._initial_biases(ratings, backend, item_mean)
        seed = seed_from(self.random_state, "MatrixFactorization.fit")
        self._remember(ratings, backend)
        self._forget_draws()
        self.history_: list[dict[str, Any]] = []
        self.n_epochs_ = 0
        self.item_mean_ = item_mean
        self.global_mean_ = biases.mean if self.bias and self.normalize == "global" else mean
        sigma = self._settle(ratings, biases)
        k = auto.n_factors if isinstance(self.n_factors, str) else self.n_factors
        self._initialise(ratings, backend, k, 0.1 * np.sqrt(sigma / k), seed)
        self.reg_exponent_ = self._exponent(auto.reg_exponent)
        problem = Problem(ratings, backend, held_out, self.reg_, self.reg_exponent_, sigma, seed, n_epochs)
        if check_gradients:
            some = np.random.default_rng(seed).choice(ratings.nnz, min(ratings.nnz, CHECKED_RATINGS), replace=False)
            report = compare_gradients(self._objective(ratings.take(np.sort(some)), seed), max_coordinates=20)
            report.require("MatrixFactorization.fit")
        solver = _SOLVERS[self.solver](self, problem)
        try:
            train(
                self,
                solver,
                solver.run_epoch,
                n_epochs=n_epochs,
                validated=held_out is not None and self.solver != "bayes",  # draws are averaged; none is the best
                patience=self.patience,
                min_delta=self.min_delta,
                callbacks=callbacks,
                verbose=self.verbose,
            )
        finally:
            solver.finish()
        return self

    def _initial_biases(self, ratings: Ratings, backend: Backend, item_mean: NDArray[np.float32] | None) -> Biases:
        """Return biases to start from, and the noise that they leave; zeros where none are wanted."""
        penalties = {"user_reg": self.bias_reg, "item_reg": self.bias_reg}
        if not self.bias:
            penalties = {"user_reg": 1e12, "item_reg": 1e12}  # what remains is the mean and the spread around it
        # Training goes on from here, so a rough fit will do.
        biases = fit_biases(ratings, backend, **penalties, item_mean=item_mean, tolerance=1e-2, n_threads=self._threads)
        if not self.bias:
            biases.users[:] = 0
            biases.items[:] = 0
        elif self.normalize != "global":  # no offset takes the fitted mean: both biases share it
            biases.users[np.diff(ratings.indptr) > 0] += np.float32(biases.mean / 2)
            biases.items[np.bincount(ratings.indices, minlength=ratings.n_items) > 0] += np.float32(biases.mean / 2)
        return biases

    def _settle(self, ratings: Ratings, biases: Biases) -> float:
        """Settle what "auto" comes to; return σ, the noise of a rating of mean weight."""
        weights = np.ones(1, np.float32) if ratings.weights is None else ratings.weights[ratings.weights > 0]
        mean_weight = float(weights.mean(dtype=np.float64))
        smallest = 1e-3 * max(1e-30, *map(abs, self.rating_range_))  # ratings that the biases explain wholly
        sigma = max(float(np.sqrt(biases.noise_variance / mean_weight)), smallest)
        self.user_bias_, self.item_bias_ = biases.users, biases.items
        self.user_bias_reg_, self.item_bias_reg_ = (biases.user_reg, biases.item_reg) if self.bias else (0.0, 0.0)
        self.reg_ = _AUTO[self.solver].reg * sigma * mean_weight if isinstance(self.reg, str) else float(self.reg)
        # A step is proportional to its rating's weight; one of three times the mean is still safe.
        unit = sigma * max(mean_weight, float(weights.max()) / 3)
        self.sigma_, self.sgd_rate_ = sigma, _AUTO_LEARNING_RATE / unit
        if not isinstance(self.learning_rate, str):
            self.learning_rate_ = float(self.learning_rate)
        elif self.solver in ("gd", "minibatch"):
            self.learning_rate_ = self._gradient_rate(ratings, unit, float(np.sqrt(unit)), _AUTO_LEARNING_RATE)
        else:
            self.learning_rate_ = self.sgd_rate_
        if self.solver == "sgd":
            self.sgd_rate_ = self.learning_rate_
        return sigma

    def _objective(self, ratings: Ratings, seed: int) -> Objective:
        """Return the objective as a function of the parameters, at random ones; for gradient checks."""
        return mf_objective(self, ratings, seed)


def _weighted_mean(ratings: Ratings) -> float:
    if ratings.weights is None:
        return ratings.mean
    return float(np.average(ratings.values, weights=ratings.weights))


def _item_means(ratings: Ratings, fallback: float) -> NDArray[np.float32]:
    """Return each item's mean rating, and ``fallback`` for items without ratings (or with weights of 0 only)."""
    by_item = ratings.by_item()
    weights = None if ratings.weights is None else ratings.weights[by_item.entries]
    return row_means((by_item.indptr, by_item.indices, by_item.values), weights, fallback)
