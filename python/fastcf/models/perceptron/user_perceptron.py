"""A small neural network per user over features of items."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import single_threaded_blas
from fastcf._random import RandomState, seed_from
from fastcf.callbacks import Callback
from fastcf.gradient_check import Objective, compare_gradients
from fastcf.metrics import log_loss
from fastcf.models._labels import as_labels
from fastcf.models._parameters import (
    Boolean,
    Constraint,
    Instance,
    Interval,
    Nothing,
    OneOf,
    RandomSeed,
    Range,
    Sizes,
)
from fastcf.models._perceptron import (
    PerceptronScores,
    factors_as_features,
    group_pairs,
    parameter_layout,
    perceptron_objective,
    unit_scale,
    user_keys,
)
from fastcf.models._training import train
from fastcf.models.matrix_factorization import MatrixFactorization
from fastcf.optimizers import OPTIMIZERS, SCHEDULES, Optimizer, as_optimizer, learning_rate_at
from fastcf.preprocessing import FeatureTable
from fastcf.ratings import Ratings, as_ratings
from fastcf.serialization import register

__all__ = ["UserPerceptron"]

_RATES = {"adam": 0.01, "adagrad": 0.1, "adadelta": 1.0, "gd": 0.3, "momentum": 0.03, "nesterov": 0.03}
_REG = {"given": 3.0, "mf": 20.0}  # factors have seen the ratings that they are to explain
_FACTORS = 16  # of the factorisation whose item factors are features
_MOST_LEVELS = 100
_CHECKED_RATINGS, _CHECKED_FEATURES = 200, 8


@register
class UserPerceptron(PerceptronScores):
    r"""For every user a small feed-forward network over known features of the items.

    Layers compute ``a_{l+1} = g(a_l W_l + b_l)`` from the features ``a_0 = x_i``; the K outputs are
    ``h(x) = σ(a W + b)``. For each of the user's n ratings, y being their targets, the network's parameters minimise

    ``J = −1/n Σ_i Σ_k [y_ik log h_k(x_i) + (1 − y_ik) log(1 − h_k(x_i))] + λ/2n Σ θ²``,

    θ being all weights but those of the bias units. Steps follow the gradient of mini-batches: the mean over the batch,
    and ``λ/n θ``. Users are independent of one another and trained in parallel. With no hidden layer this is a
    logistic regression per user (:class:`UserRegression` solves that one exactly).

    Parameters
    ----------
    hidden : sequence of int, default (10,)
        Units of each hidden layer; () for none.
    activation : {"tanh", "sigmoid", "relu"}, default "tanh"
        g.
    targets : {"liked", "levels"}, default "liked"
        "liked": one output, whether a rating reaches the ``threshold``. "levels": an output per level of the ratings,
        one against the rest; there may be 100 of them.
    threshold : float, optional
        Only for "liked": ratings of at least this are 1, the others 0. By default the ratings are the targets and must
        be 0 or 1.
    features : {"given", "mf"}, default "given"
        "given": ``fit`` is handed features. "mf": those are the biases and the 16 factors of the items in a
        :class:`MatrixFactorization` of the same ratings, fitted first, each divided by its root mean square. (To have
        another factorisation, fit it and hand it to ``fit`` as ``item_features``.)
    bias : bool, default True
        Whether layers have bias units.
    reg : float or "auto", default "auto"
        λ, at least 0: penalty of the weights. "auto" is 3, and 20 with ``features="mf"``, whose factors have seen the
        ratings that they are to explain.
    init : tuple (low, high) or {"glorot", "lecun"}, default (−0.1, 0.1)
        First weights, uniform: on [low, high), for example (0, 1); on ±√(6 / (inputs + outputs)); or on ±√(3 / inputs).
        Biases begin as 0, those of the outputs as the log-odds of the user's own targets, with half a rating of each
        kind added. low must be below high where there are hidden layers: if all weights of a layer are equal, its units
        compute the same, get the same gradient and stay equal for ever.
    optimizer : str or Optimizer, default "adam"
        "gd", "momentum", "nesterov", "adagrad", "adadelta", "adam", or an instance of a class of
        :mod:`fastcf.optimizers`.
    learning_rate : float or "auto", default "auto"
        Step size of the first epoch. "auto" is 0.01 with Adam, 0.1 with AdaGrad, 1 with AdaDelta; 0.3 with gradient
        descent and 0.03 with Momentum and Nesterov, but at most 1/λ: larger steps along the penalty of a user with one
        rating would swing ever further.
    schedule : {"linear", "cosine", "constant", "inverse", "exponential"}, default "linear"
        How the step size falls, see :func:`fastcf.optimizers.learning_rate_at`.
    decay : float, default 0.1
        The constant of the last two schedules, in [0, 1].
    batch_size : int, default 10
        Ratings per step; users with fewer take one step an epoch.
    n_epochs : int, default 20
        Passes over every user's ratings (at most, with ``patience``).
    patience : int or None, default None
        With validation ratings: stop after so many epochs that did not lower their log-loss; None: never. The
        parameters of the best epoch are kept either way, of the same epoch for all users.
    min_delta : float, default 0.0
        By how much an epoch must lower the validation log-loss to count as an improvement.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the first weights and the order of ratings, together with the user's id: given the features, a user's
        network is the same whether they are trained alone or among others.
    n_threads : int, optional
        Threads to use; all by default. The same seed gives the same bits for any number of threads.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where the factorisation of ``features="mf"`` runs. The networks are trained and asked on the host, whatever the
        device: each is too small for a GPU.
    verbose : {0, 1, 2}, default 0
        Silent; a progress bar; a line per epoch.

    Attributes
    ----------
    parameters_ : ndarray of shape (n_users, n_parameters), float32
        The networks, a row per user: all weights, then all biases, each with zeros up to a multiple of 16.
    coefs_ : list of ndarray (n_users, inputs, outputs), float32
        The weights of each layer: views of ``parameters_``.
    intercepts_ : list of ndarray (n_users, outputs), float32
        The biases likewise; empty without bias units.
    item_features_ : ndarray of shape (n_items, n_features), float32
        The features, dense.
    feature_scale_ : ndarray of shape (n_features,) or None
        With ``features="mf"``: what they were multiplied by.
    levels_ : ndarray of shape (K,), float32, or None
        With ``targets="levels"``: the ratings that there are.
    base_rate_ : ndarray of shape (K,), float32
        The share of each target among all ratings, with half a rating of each kind added: what unknown users and users
        without ratings are predicted.
    global_mean_ : float
        What to expect of those: the probability, or the rating.
    n_ratings_ : ndarray of shape (n_users,), int64
        How many ratings, of positive weight, each network has seen.
    learning_rate_, reg_ : float
        What "auto" came to.
    users_, items_, seen_, rating_range_, history_, n_epochs_, device_
        As for every model; ``items_`` holds the items of the ratings, then the other items of the features. Records of
        ``history_`` hold ``cost`` (the mean of J over users), ``train_log_loss`` and ``validation_log_loss`` (sums over
        outputs, means over ratings); training errors are taken just before each step.

    See Also
    --------
    UserRegression : Linear and logistic regressions per user, solved exactly.
    LogisticMatrixFactorization : Learns the features of items, too.

    Notes
    -----
    Features are taken as they are. Bring them to comparable scales first, for the penalty treats all weights alike and
    steps have one size: with scikit-learn's scalers or :class:`fastcf.preprocessing.MeanRangeScaler`. Sparse features
    are made dense. Memory: items times features, and users times parameters, that 1 to 3 times by optimiser.

    A user whose targets are all alike is trained like any other; the penalty, and that epochs end, keep their network
    from certainty. Weights of ratings weight their cost; n counts ratings.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton and R. J. Williams, "Learning representations by back-propagating errors", Nature 323,
    1986. A. Ng, "Machine learning", Stanford online course, 2011: "Neural networks: learning" has this cost, random
    initialisation to break symmetry, and gradient checking; "Logistic regression" has one-against-rest. X. Glorot and
    Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010. Y. LeCun et
    al., "Efficient BackProp", 1998.

    Examples
    --------
    >>> import fastcf
    >>> films = fastcf.FeatureTable([1, 2, 3, 4, 5], [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [0.9, 0.0]])
    >>> ratings = fastcf.Ratings.from_coo([7, 7, 7, 7], [1, 2, 3, 4], [5.0, 5.0, 1.0, 2.0])
    >>> model = fastcf.UserPerceptron((3,), threshold=4.0, reg=0.01, n_epochs=200, random_state=0)
    >>> model.fit(ratings, item_features=films).recommend(7, 1).items  # nobody rated film 5
    array([5])
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "hidden": (Sizes(1 << 16, least=0),),
        "activation": (OneOf(("tanh", "sigmoid", "relu")),),
        "targets": (OneOf(("liked", "levels")),),
        "threshold": (Interval(), Nothing()),
        "features": (OneOf(("given", "mf")),),
        "bias": (Boolean(),),
        "reg": (Interval(0), OneOf(("auto",))),
        "init": (OneOf(("glorot", "lecun")), Range()),
        "optimizer": (OneOf(OPTIMIZERS), Instance(Optimizer)),
        "learning_rate": (Interval(0, open_low=True), OneOf(("auto",))),
        "schedule": (OneOf(SCHEDULES),),
        "decay": (Interval(0, 1),),
        "batch_size": (Interval(1, 2**31 - 1, integer=True),),
        "n_epochs": (Interval(1, integer=True),),
        "patience": (Interval(1, integer=True), Nothing()),
        "min_delta": (Interval(0),),
        "random_state": (RandomSeed(),),
        "verbose": (Interval(0, 2, integer=True),),
        **PerceptronScores._constraints,
    }

    def __init__(
        self,
        hidden: Iterable[int] = (10,),
        *,
        activation: str = "tanh",
        targets: str = "liked",
        threshold: float | None = None,
        features: str = "given",
        bias: bool = True,
        reg: float | str = "auto",
        init: tuple[float, float] | str = (-0.1, 0.1),
        optimizer: str | Optimizer = "adam",
        learning_rate: float | str = "auto",
        schedule: str = "linear",
        decay: float = 0.1,
        batch_size: int = 10,
        n_epochs: int = 20,
        patience: int | None = None,
        min_delta: float = 0.0,
        random_state: RandomState = None,
        n_threads: int | None = None,
        device: str = "auto",
        verbose: int = 0,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.targets = targets
        self.threshold = threshold
        self.features = features
        self.bias = bias
        self.reg = reg
        self.init = init
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.decay = decay
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.patience = patience
        self.min_delta = min_delta
        self.random_state = random_state
        self.n_threads = n_threads
        self.device = device
        self.verbose = verbose

    # -------------------------------------------------------------------------------------------------------
    # Training
    # -------------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        item_features: Any = None,
        validation: Any = None,
        callbacks: Iterable[Callback] = (),
        check_gradients: bool = False,
    ) -> UserPerceptron:
        """Learn every user's network.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The ratings, or user and item ids. Weights weight their costs.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.
        item_features : FeatureTable, tuple (ids, matrix) or fitted factor model
            Features of all items of the ratings, and of as many others as are to be predicted; dense or sparse. Of a
            factor model (:class:`LogisticMatrixFactorization`, for example) its items' biases and factors, as they are.
            None with ``features="mf"``.
        validation : Ratings, SciPy sparse matrix, or tuple (X, y), optional
            Ratings held out. After each epoch their log-loss is recorded; training stops early when it no longer falls
            (``patience``), and the parameters of the best epoch are kept.
        callbacks : iterable of Callback, optional
            Called after each epoch, see :mod:`fastcf.callbacks`; those that watch a validation error want
            ``monitor="validation_log_loss"``.
        check_gradients : bool, default False
            Whether to compare the gradient with central differences before training, for the user of most ratings; see
            :func:`fastcf.check_gradients`.

        Returns
        -------
        UserPerceptron
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described, or an item has no features.
        DeviceError
            If ``device="cuda"`` cannot be used.
        GradientCheckError
            If ``check_gradients`` and they disagree.
        DivergenceError
            If parameters stop being finite; the model then holds those of an earlier epoch.
        KeyboardInterrupt
            After Ctrl-C; the model holds what was learnt so far.
        """
        caller = "UserPerceptron.fit"
        ratings, backend = self._begin_fit(X, y)
        targets, levels = self._targets_of(ratings, caller)
        self._check_init(caller)
        held_out = None if validation is None else self._validation_ratings(validation)
        if held_out is not None:
            self._indicators(held_out, levels, f"{caller}: validation")
        seed = seed_from(self.random_state, caller)
        optimizer = as_optimizer(self.optimizer, caller)
        table = self._features_of(ratings, item_features, seed, caller)
        scale = unit_scale(table) if self.features == "mf" else None
        features = self._dense(table, scale)
        if check_gradients:
            compare_gradients(self._objective_on(ratings, features, seed, caller), max_coordinates=20).require(caller)
        self._remember(ratings, backend)
        self.items_, self.levels_ = table.ids, levels
        self.item_features_, self.feature_scale_ = features, scale
        self.rating_range_ = (0.0, 1.0) if levels is None else (float(levels[0]), float(levels[-1]))
        self._count(ratings)
        self.history_: list[dict[str, Any]] = []
        self.n_epochs_ = 0
        self.reg_ = self._penalty
        self.learning_rate_ = self._first_rate(optimizer.name)
        name, *constants = optimizer.constants
        with single_threaded_blas():
            trainer = self._host.PerceptronTrainer(
                ratings.indptr,
                ratings.indices,
                targets,
                self.item_features_,
                user_keys(ratings.users),
                weights=ratings.weights,
                reg=self.reg_,
                optimizer=name,
                batch_size=self.batch_size,
                seed=seed,
                n_threads=self._threads,
                **dict(zip(("decay", "second_decay", "epsilon"), constants, strict=True)),
                **self._network,
            )
            trainer.draw_parameters(*self._first_weights())
            measure = None if held_out is None else self._validation_loss(trainer, held_out, ratings)

            def run_epoch(epoch: int) -> dict[str, Any]:
                rate = learning_rate_at(self.schedule, self.learning_rate_, epoch, self.n_epochs, self.decay)
                cost, loss = trainer.epoch(rate)
                return {
                    "cost": cost,
                    "train_log_loss": loss,
                    "validation_log_loss": None if measure is None else measure(),
                    "learning_rate": rate,
                }

            try:
                train(
                    self,
                    trainer,
                    run_epoch,
                    n_epochs=self.n_epochs,
                    validated=held_out is not None,
                    monitor="validation_log_loss",
                    patience=self.patience,
                    min_delta=self.min_delta,
                    callbacks=callbacks,
                    verbose=self.verbose,
                )
            finally:
                size = parameter_layout(self._host, self._network).size
                self.parameters_ = np.empty((ratings.n_users, size), np.float32)
                trainer.get_parameters(self.parameters_)
        return self

    def _targets_of(self, ratings: Ratings, caller: str) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return a number per rating: the target, or with ``targets="levels"`` the rating; and the levels, if any."""
        if self.targets == "liked":
            return as_labels(ratings.values, self.threshold, caller), None
        if self.threshold is not None:
            raise ValueError(f"{caller}: threshold must be None for targets='levels'; got {self.threshold!r}")
        levels = np.unique(ratings.values)
        if levels.size > _MOST_LEVELS:
            raise ValueError(
                f"{caller}: ratings must have at most {_MOST_LEVELS} levels for targets='levels'; got {levels.size}"
            )
        return ratings.values, levels

    def _indicators(self, ratings: Ratings, levels: NDArray[np.float32] | None, caller: str) -> NDArray[np.float32]:
        """Return the targets of ratings, (n, K)."""
        if levels is None:
            return as_labels(ratings.values, self.threshold, caller)[:, None]
        indicators: NDArray[np.float32] = (ratings.values[:, None] == levels).astype(np.float32)
        return indicators

    @property
    def _penalty(self) -> float:
        return _REG[self.features] if isinstance(self.reg, str) else float(self.reg)

    def _first_rate(self, optimizer: str) -> float:
        if not isinstance(self.learning_rate, str):
            return float(self.learning_rate)
        rate = _RATES[optimizer]
        return min(rate, 1 / max(self.reg_, 1)) if optimizer in ("gd", "momentum", "nesterov") else rate

    def _check_init(self, caller: str) -> None:
        if isinstance(self.init, str) or len(self.hidden) == 0:
            return
        low, high = map(np.float32, self.init)
        if not low < high:
            raise ValueError(
                f"{caller}: init must have low below high with hidden layers, for units whose weights are all equal "
                f"compute the same, get the same gradient and stay equal for ever; got {self.init!r}"
            )

    def _first_weights(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the limits of each layer's first weights."""
        layers = np.array(self._network["layers"], np.float64)
        if not isinstance(self.init, str):
            low, high = (np.full(layers.size - 1, limit, np.float32) for limit in self.init)
            return low, high
        inputs, outputs = layers[:-1], layers[1:]
        limit = np.sqrt(6 / (inputs + outputs) if self.init == "glorot" else 3 / inputs).astype(np.float32)
        return -limit, limit

    def _features_of(self, ratings: Ratings, item_features: Any, seed: int, caller: str) -> FeatureTable:
        """Return the features of the items of the ratings, in their order, then of others."""
        if (self.features == "mf") != (item_features is None):
            wanted = "be None for features='mf'" if self.features == "mf" else "be given for features='given'"
            raise ValueError(f"{caller}: item_features must {wanted}; got {type(item_features).__name__}")
        if self.features == "mf":
            factorisation = MatrixFactorization(
                _FACTORS, random_state=seed, n_threads=self.n_threads, device=self.device
            )
            table = factors_as_features(factorisation.fit(ratings))
        else:
            table = self._given_features(item_features, caller)
        if table.n_features == 0:
            raise ValueError(f"{caller}: item_features must have a feature at least; got 0")
        return table.extend(ratings.items, caller=caller, what="all items of the ratings")

    def _count(self, ratings: Ratings) -> None:
        """Set how many ratings users have, and what to say of those who have none."""
        weights = np.ones(ratings.nnz, np.float32) if ratings.weights is None else ratings.weights
        self.n_ratings_ = np.bincount(ratings.row_of_entry()[weights > 0], minlength=ratings.n_users).astype(np.int64)
        often = weights.astype(np.float64) @ self._indicators(ratings, self.levels_, "UserPerceptron.fit")
        # a base rate of 0 or 1 would be infinitely certain: half a rating of each kind is added
        self.base_rate_ = ((often + 0.5) / (weights.sum(dtype=np.float64) + 1)).astype(np.float32)
        self.global_mean_ = float(self._expected(self.base_rate_[None])[0])

    def _validation_loss(self, trainer: Any, held_out: Ratings, ratings: Ratings) -> Callable[[], float]:
        """Return what measures the networks of a trainer."""
        users, items = self._pair_rows(held_out, "fit", strict=False, maps=(ratings.users, self.items_))
        pairs = group_pairs(users, items, self._known(users))
        targets = self._indicators(held_out, self.levels_, "UserPerceptron.fit: validation")
        outputs = np.tile(self.base_rate_, (users.size, 1))

        def measure() -> float:
            outputs[pairs.entries] = trainer.predict(*pairs[:3])
            return float(targets.shape[1] * log_loss(targets.ravel(), outputs.ravel()))

        return measure

    def _objective(self, ratings: Ratings, seed: int) -> Objective:
        """Return the objective on random features, which will do: a gradient is right or wrong with any."""
        features = np.random.default_rng(seed).standard_normal((ratings.n_items, _CHECKED_FEATURES))
        return self._objective_on(ratings, features, seed, "check_gradients")

    def _objective_on(self, ratings: Ratings, features: NDArray[Any], seed: int, caller: str) -> Objective:
        """Return the objective of the user of most ratings, at random parameters; for gradient checks."""
        values, levels = self._targets_of(ratings, caller)
        rated = np.ones(ratings.nnz, bool) if ratings.weights is None else ratings.weights > 0
        user = int(np.argmax(np.bincount(ratings.row_of_entry()[rated])))
        entries = np.arange(ratings.indptr[user], ratings.indptr[user + 1])
        entries = entries[rated[entries]][:_CHECKED_RATINGS]
        weights = None if ratings.weights is None else ratings.weights[entries].astype(np.float64)
        data = ratings.indices[entries], values[entries], weights
        network = self._shape(features.shape[1], levels)
        return perceptron_objective(self._host, network, features, data, self._penalty, seed)

    def score(self, X: Any, y: ArrayLike | None = None) -> float:
        """Return minus the log-loss, for ``targets="levels"`` minus the root mean squared error: larger is better.

        Parameters
        ----------
        X, y
            Ratings as for ``fit``; cut at the threshold, if there is one.

        Returns
        -------
        float
        """
        if self.targets == "levels":
            return super().score(X, y)
        ratings = as_ratings(X, y, caller="UserPerceptron.score")
        labels = as_labels(ratings.values, self.threshold, "UserPerceptron.score")
        return -log_loss(labels, self.predict(ratings), sample_weight=ratings.weights)
