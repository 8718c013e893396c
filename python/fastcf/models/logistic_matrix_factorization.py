"""Logistic matrix factorisation: users and items as vectors whose inner product predicts a label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from fastcf._backend import Backend
from fastcf._random import RandomState, seed_from
from fastcf.callbacks import Callback
from fastcf.gradient_check import Objective, compare_gradients
from fastcf.metrics import log_loss
from fastcf.models._factorization import CHECKED_RATINGS, TRAINING_CONSTRAINTS, TRAINING_STATE, FactorizationMixin
from fastcf.models._held_out_penalty import held_out_penalty
from fastcf.models._label_biases import start_label_biases
from fastcf.models._labels import log_odds
from fastcf.models._logistic_fold_in import LogisticFoldInMixin
from fastcf.models._objective import mf_objective
from fastcf.models._parameters import Constraint, Interval, Nothing, OneOf
from fastcf.models._partial_fit import PartialFitMixin
from fastcf.models._solvers import GradientSolver, Problem, SgdSolver, Solver
from fastcf.models._training import train
from fastcf.optimizers import Optimizer
from fastcf.ratings import Ratings, as_ratings
from fastcf.serialization import register

__all__ = ["LogisticMatrixFactorization"]


class _Auto(NamedTuple):
    """What "auto" means for a solver."""

    n_factors: int
    n_epochs: int


# Chosen on validation labels of sets of different size, see docs/defaults.md.
_AUTO = {
    "sgd": _Auto(64, 40),
    "minibatch": _Auto(64, 40),
    "gd": _Auto(64, 200),
}
_SOLVERS: dict[str, type[Solver]] = {"sgd": SgdSolver, "minibatch": GradientSolver, "gd": GradientSolver}
_AUTO_REG_EXPONENT = 0.7
_FIRST_REG, _FIRST_EXPONENT = 0.8, 0.5  # where the search for a penalty begins
_AUTO_INIT = 0.3
_AUTO_SHARE = 0.02  # of the way to where a rating alone would have its rows
_CURVATURE = 0.25  # the largest of the logistic cost


@register
class LogisticMatrixFactorization(LogisticFoldInMixin, PartialFitMixin, FactorizationMixin):
    r"""Biased matrix factorisation for labels: ``P(y_ui = 1) = σ(z_ui)``, ``z_ui = m + b_u + b_i + p_u·q_i``.

    Labels are 0 and 1, or ratings cut at ``threshold``. Minimises, over the rated pairs only,
    ``Σ w_ui (softplus(z_ui) − y_ui z_ui) + ½ Σ_u λ n_u^a ‖p_u‖² + ½ Σ_i λ n_i^a ‖q_i‖² + ½ Σ λ_b b²``,
    n_u and n_i being the numbers of ratings of the user and of the item.

    Parameters
    ----------
    n_factors : int or "auto", default "auto"
        k, the length of the vectors p_u and q_i; at most 65,536. "auto" is 64.
    solver : {"sgd", "minibatch", "gd"}, default "sgd"
        As for :class:`MatrixFactorization`: stochastic gradient descent over tiles, the fastest; steps of ``optimizer``
        along the mean gradient of ``batch_size`` ratings; or along that of all ratings.
    threshold : float, optional
        Ratings of at least this are label 1, the others 0. By default the ratings are the labels and must be 0 or 1.
    optimizer : str or Optimizer, default "auto"
        For "minibatch" and "gd": "gd", "momentum", "nesterov", "adagrad", "adadelta", "adam", or an instance of one of
        the classes of :mod:`fastcf.optimizers`. "auto" is Adam.
    batch_size : int, default 1024
        For "minibatch".
    normalize : {"global"} or None, default "global"
        The offset m: the logarithm of the odds of label 1, with half a label added to each side; or 0.
    bias : bool, default True
        Whether to learn b_u and b_i. They start where :class:`BiasModel` has them on the labels, in the unit of z.
    reg : float or "auto", default "auto"
        λ, at least 0. "auto" estimates it: of three or more, the one is taken with which a model trained on nine tenths
        of the labels predicts the other tenth best; then all are trained on. Below 100,000 labels several tenths are
        held out in turn. It takes about four times as long as training once, and more on few labels.
    bias_reg : float or "auto", default "auto"
        λ_b, at least 0. "auto" estimates one penalty for users and one for items from the data: those of
        :class:`BiasModel` on the labels, in the unit of z, which is the variance that biases leave in a label.
    reg_scaling : float, "auto", "count" or "none", default "auto"
        The exponent a: 0 ("none") penalises every vector alike, 1 ("count") by its number of ratings. "auto" is 0.7.
    learning_rate : float or "auto", default "auto"
        Step size of the first epoch, above 0. "auto" is 0.08 for "sgd", divided by the mean weight or a third of the
        largest one where ratings have weights; 0.01 with Adam, 0.03 with AdaGrad, 1 with AdaDelta; else what
        corresponds to "sgd", as far as the row with most ratings allows.
    schedule : {"linear", "cosine", "constant", "inverse", "exponential"}, default "linear"
        How the step size falls, see :func:`fastcf.optimizers.learning_rate_at`.
    decay : float, default 0.1
        The constant of the last two schedules, in [0, 1].
    n_epochs : int or "auto", default "auto"
        Passes over the ratings (at most, with validation). "auto" is 40 for "sgd" and "minibatch", 200 for "gd".
    patience : int or None, default None
        With validation ratings: stop after so many epochs that did not lower their log-loss; None: never. The
        parameters of the best epoch are kept either way.
    min_delta : float, default 0.0
        By how much an epoch must lower the validation log-loss to count as an improvement.
    init : {"normal", "uniform"}, default "normal"
        Distribution of the initial factors: normal with standard deviation ``s``, or uniform on ±``s``.
    init_scale : float or "auto", default "auto"
        s, at least 0. "auto" is 0.3 / √k.
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
        p_u and q_i; zero for rows without ratings.
    user_bias_, item_bias_ : ndarray of shape (n_users,), (n_items,), float32
        b_u and b_i; zero without ``bias``.
    global_mean_ : float
        m.
    item_mean_ : None
        There is no offset by item.
    users_, items_ : IdMap
        The caller's ids behind the rows.
    seen_ : SeenItems or None
        Which items each user rated in training, whatever the label.
    rating_range_ : tuple of float
        (0, 1).
    history_ : list of dict
        Per epoch: ``epoch``, ``cost`` (the objective, each label's share taken just before its step),
        ``train_log_loss`` (of the same predictions), ``validation_log_loss`` or None, ``learning_rate``, ``seconds``.
    n_epochs_ : int
        The epoch whose parameters were kept.
    reg_, reg_exponent_, learning_rate_, user_bias_reg_, item_bias_reg_ : float
        What "auto" came to, a being the exponent. To fit again without the estimation, set ``reg`` to ``reg_``.
    sigma_, sgd_rate_ : float
        1, and the step size that "sgd" began with or would have; ``partial_fit`` goes by them.
    device_ : str
        Where it was computed.

    See Also
    --------
    MatrixFactorization : For ratings; explains the solvers.
    UserRegression : Labels from known features of the items.

    Notes
    -----
    ``predict_matrix`` and ``recommend`` return probabilities, too; items are ranked by z.

    The ratings tell who liked what among what they rated. Where all that is known is who used what, with no label 0
    anywhere, there is nothing for this model to tell apart.

    References
    ----------
    M. Collins, S. Dasgupta and R. Schapire, "A generalization of principal component analysis to the exponential
    family", NIPS 2001 (the logistic cost of an inner product). Y. Koren, R. Bell and C. Volinsky, "Matrix factorization
    techniques for recommender systems", Computer 42(8), 2009 (biases).

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(500, 300, 20_000, random_state=0)
    >>> train, test = fastcf.data.train_test_split(ratings, random_state=0)
    >>> model = fastcf.LogisticMatrixFactorization(n_factors=16, threshold=4, random_state=0).fit(train)
    >>> labels = test.values >= 4
    >>> fastcf.metrics.roc_auc(labels, model.predict_proba(test)) > 0.7
    True
    >>> model.recommend(train.users.ids[0], n=3).scores.shape
    (3,)
    """

    def __init__(
        self,
        n_factors: int | str = "auto",
        *,
        solver: str = "sgd",
        threshold: float | None = None,
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
        self.threshold = threshold
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

    _cost = "logistic"
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        **TRAINING_CONSTRAINTS,
        "solver": (OneOf(tuple(_SOLVERS)),),
        "threshold": (Interval(), Nothing()),
        "normalize": (OneOf(("global",)), Nothing()),
        **LogisticFoldInMixin._constraints,
    }
    _state = (*LogisticFoldInMixin._state, *TRAINING_STATE)

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        validation: Any = None,
        callbacks: Iterable[Callback] = (),
        check_gradients: bool = False,
    ) -> LogisticMatrixFactorization:
        """Learn the parameters.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The labels or, with a ``threshold``, ratings; or user and item ids. Weights weight their costs.
        y : array-like of shape (n,), optional
            The labels or ratings where ``X`` holds ids.
        validation : Ratings, SciPy sparse matrix, or tuple (X, y), optional
            Of the same kind, held out. After each epoch their log-loss is recorded; training stops early when it no
            longer falls (``patience``), and the parameters of the best epoch are kept.
        callbacks : iterable of Callback, optional
            Called after each epoch, see :mod:`fastcf.callbacks`; those that watch a validation error want
            ``monitor="validation_log_loss"``.
        check_gradients : bool, default False
            Whether to compare the gradient of the objective with central differences before training, on some of
            the ratings; see :func:`fastcf.check_gradients`.

        Returns
        -------
        LogisticMatrixFactorization
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
        caller = "LogisticMatrixFactorization.fit"
        ratings, backend = self._begin_fit(X, y)
        ratings = self._labelled(ratings, caller)
        held_out = None
        if validation is not None:
            labelled = self._labelled(self._validation_ratings(validation), f"{caller}: validation")
            held_out = self._validation_rows(labelled, ratings)
        seed = seed_from(self.random_state, caller)
        auto = _AUTO[self.solver]
        n_epochs = auto.n_epochs if isinstance(self.n_epochs, str) else self.n_epochs
        k = auto.n_factors if isinstance(self.n_factors, str) else self.n_factors
        self._remember(ratings, backend)
        self.rating_range_ = (0.0, 1.0)
        self.history_: list[dict[str, Any]] = []
        self.n_epochs_ = 0
        self.item_mean_ = None
        self.reg_exponent_ = self._exponent(_AUTO_REG_EXPONENT)
        self._start(ratings, backend)
        self._initialise(ratings, backend, k, _AUTO_INIT / np.sqrt(k), seed)
        self._settle(ratings, seed)
        if check_gradients:
            some = np.random.default_rng(seed).choice(ratings.nnz, min(ratings.nnz, CHECKED_RATINGS), replace=False)
            objective = mf_objective(self, ratings.take(np.sort(some)), seed, cost="logistic")
            compare_gradients(objective, max_coordinates=20).require(caller)
        problem = Problem(ratings, backend, held_out, self.reg_, self.reg_exponent_, 1.0, seed, n_epochs)
        solver = _SOLVERS[self.solver](self, problem)
        try:
            train(
                self,
                solver,
                solver.run_epoch,
                n_epochs=n_epochs,
                validated=held_out is not None,
                monitor="validation_log_loss",
                patience=self.patience,
                min_delta=self.min_delta,
                callbacks=callbacks,
                verbose=self.verbose,
            )
        finally:
            solver.finish()
        return self

    def _start(self, labels: Ratings, backend: Backend) -> None:
        """Set the offset, and the biases and their penalties by least squares of the labels."""
        start = start_label_biases(labels, backend, reg=self.bias_reg, n_threads=self._threads) if self.bias else None
        self.global_mean_ = 0.0
        if self.normalize:
            self.global_mean_ = start.mean if start else log_odds(labels.values, labels.weights)
        self.user_bias_reg_, self.item_bias_reg_ = (start.user_reg, start.item_reg) if start else (0.0, 0.0)
        self.user_bias_ = start.users if start else np.zeros(labels.n_users, np.float32)
        self.item_bias_ = start.items if start else np.zeros(labels.n_items, np.float32)

    def _settle(self, labels: Ratings, seed: int) -> None:
        """Settle what "auto" comes to."""
        weights = np.ones(1, np.float32) if labels.weights is None else labels.weights[labels.weights > 0]
        mean_weight = float(weights.mean(dtype=np.float64))
        self.reg_ = mean_weight * self._first_reg(labels) if isinstance(self.reg, str) else float(self.reg)
        unit = _CURVATURE * max(mean_weight, float(weights.max()) / 3)  # as for ratings: three times the mean is safe
        self.sigma_, self.sgd_rate_ = 1.0, _AUTO_SHARE / unit  # z has no unit
        if not isinstance(self.learning_rate, str):
            self.learning_rate_ = float(self.learning_rate)
        elif self.solver == "sgd":
            self.learning_rate_ = self.sgd_rate_
        else:
            self.learning_rate_ = self._gradient_rate(labels, unit, 1.0, _AUTO_SHARE)
        if self.solver == "sgd":
            self.sgd_rate_ = self.learning_rate_
        if isinstance(self.reg, str) and self.init_scale != 0:  # factors of zero stay zero, whatever their penalty
            self.reg_ = self._estimated_reg(labels, self.reg_, seed)

    def _first_reg(self, labels: Ratings) -> float:
        """Return where to look for a penalty first: where rows rated as often as most ratings' have the same."""
        counts = np.diff(labels.indptr)[labels.row_of_entry()], np.bincount(labels.indices)[labels.indices]
        often = np.exp(0.5 * sum(np.log(n).mean() for n in counts))
        return float(_FIRST_REG * often ** (_FIRST_EXPONENT - self.reg_exponent_))

    def _estimated_reg(self, labels: Ratings, first: float, seed: int) -> float:
        """Return the penalty with which such a model predicts held-out labels best."""
        options = {**self.get_params(deep=False), "threshold": None, "random_state": seed, "verbose": 0}

        def predict(kept: Ratings, reg: float, held_out: Ratings) -> NDArray[np.float32]:
            model = LogisticMatrixFactorization(**{**options, "reg": reg, "device": self.device_})
            return model.fit(kept).predict_proba(held_out)

        return held_out_penalty(labels, predict, first, seed)

    def _targets(self, ratings: Ratings, caller: str) -> Ratings:
        return self._labelled(ratings, caller)

    def _objective(self, ratings: Ratings, seed: int) -> Objective:
        labelled = self._labelled(ratings, "check_gradients")
        return mf_objective(self, labelled, seed, cost="logistic")

    # -------------------------------------------------------------------------------------------------------
    # Prediction
    # -------------------------------------------------------------------------------------------------------

    def _on_scale(self, predicted: NDArray[np.float32]) -> NDArray[np.float32]:
        expit(predicted, out=predicted)
        return predicted

    def predict_proba(self, X: Any, *, strict: bool = False) -> NDArray[np.float32]:
        """Predict the probabilities of label 1.

        Parameters
        ----------
        X : array-like of shape (n, 2), Ratings or SciPy sparse matrix
            User and item ids; for ratings and matrices, their stored pairs in stored order.
        strict : bool, default False
            Whether unknown ids are an error. Otherwise an unknown user has no bias and no factors, and so has an
            unknown item; where both are unknown it is the base rate.

        Returns
        -------
        ndarray of shape (n,), float32
            The same bits for any number of threads.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If ``X`` does not have two columns, or ``strict`` and an id is unknown.
        """
        probabilities: NDArray[np.float32] = super().predict(X, strict=strict)
        return probabilities

    def predict(self, X: Any, *, strict: bool = False) -> NDArray[np.float32]:
        """Predict labels: 1 where the probability is at least one half, else 0.

        Parameters
        ----------
        X, strict
            As for :meth:`predict_proba`.

        Returns
        -------
        ndarray of shape (n,), float32
        """
        return (self.predict_proba(X, strict=strict) >= 0.5).astype(np.float32)

    def score(self, X: Any, y: ArrayLike | None = None) -> float:
        """Return minus the log-loss, so that larger is better, as scikit-learn's searches expect.

        Parameters
        ----------
        X, y
            Labels or ratings as for ``fit``; ratings are cut at the model's threshold.

        Returns
        -------
        float
        """
        caller = "LogisticMatrixFactorization.score"
        labels = self._labelled(as_ratings(X, y, caller=caller), caller)
        return -log_loss(labels.values, self.predict_proba(labels), sample_weight=labels.weights)
