"""A small neural network per user over features of items."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._callers import errors_of
from fastcf._parameters import (
    VERBOSE,
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
from fastcf._random import RandomState
from fastcf.errors import DataError
from fastcf.models.data_warnings import inside_another_fit
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.factorization import MatrixFactorization
from fastcf.models.perceptron.features import LearntPerceptrons, PerceptronFolding, dense, item_table, unit_scale
from fastcf.models.perceptron.networks import NetworkShape, perceptron_objective
from fastcf.models.perceptron.scores import PerceptronScores
from fastcf.models.perceptron.trainer import PerceptronProblem, PerceptronSettings, PerceptronTrainer
from fastcf.preprocessing import FeatureTable
from fastcf.ratings import Ratings
from fastcf.scores import State, Targets
from fastcf.scores.queries import pair_rows
from fastcf.serialization import Archive, register
from fastcf.training.callbacks import Callback
from fastcf.training.gradient_check import Objective, compare_gradients
from fastcf.training.optimizers import OPTIMIZERS, Optimizer, as_optimizer
from fastcf.training.validation import Metric

__all__ = ["UserPerceptron"]

_RATES = {"adam": 0.01, "adagrad": 0.1, "adadelta": 1.0, "gd": 0.3, "momentum": 0.03, "nesterov": 0.03}
_CURVED = ("gd", "momentum", "nesterov")  # of which steps along a strong penalty could grow
_REG = {"given": 3.0, "mf": 20.0}  # factors were learnt from the ratings that they are to explain
_FACTORS = 16  # of the factorisation whose item factors are features
_MOST_LEVELS = 100
_CHECKED_RATINGS, _CHECKED_FEATURES = 200, 8


@register
@dataclass(eq=False, repr=False)
class UserPerceptron(Estimator):
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
        g; must have its default without hidden layers.
    targets : {"liked", "levels"}, default "liked"
        "liked": one output, whether a rating reaches the ``threshold``. "levels": an output per level of the ratings,
        one against the rest; at most 100.
    threshold : float, optional
        Only for "liked": ratings of at least this are 1, the others 0. By default the ratings are the targets and must
        be 0 or 1.
    features : {"given", "mf"}, default "given"
        "given": ``fit`` gets features. "mf": the features are the biases and the 16 factors of the items in a
        :class:`MatrixFactorization` of the same ratings, fitted first, each divided by its root mean square. (For
        another factorisation, fit it and pass it to ``fit`` as ``item_features``.)
    bias : bool, default True
        Whether layers have bias units.
    reg : float or "auto", default "auto"
        λ, at least 0: penalty of the weights. "auto" is 3, and 20 with ``features="mf"``, which were learnt from the
        same ratings.
    init : tuple (low, high) or {"glorot", "lecun"}, default (−0.1, 0.1)
        First weights, uniform: on [low, high), for example (0, 1); on ±√(6 / (inputs + outputs)); or on ±√(3 / inputs).
        Biases start at 0, those of the outputs at the log-odds of the user's own targets, with half a rating of each
        kind added. low must be below high where there are hidden layers: if all weights of a layer are equal, its units
        compute the same, get the same gradient and stay equal.
    optimizer : str or Optimizer, default "adam"
        A name or an object of :mod:`fastcf.optimizers`, as for :class:`Autoencoder`. The step size "auto" is 0.01 with
        Adam, 0.1 with AdaGrad, 1 with AdaDelta; 0.3 with gradient descent and 0.03 with Momentum and Nesterov, but at
        most 1/λ: larger steps along the penalty of a user with one rating would oscillate with growing amplitude.
    batch_size : int, default 10
        Ratings per step; users with fewer take one step per epoch.
    n_epochs : int, default 20
        Passes over every user's ratings (at most, with ``patience``).
    patience : int or None, default None
        Stop after this many epochs that did not lower the log-loss of the validation ratings, which it needs; None:
        never. With validation ratings the parameters of the best epoch are kept either way, of the same epoch for all
        users.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the first weights and the order of ratings, together with the user's id: given the features, a user's
        network is the same whether it is trained alone or among others.
    n_threads, verbose
        As for :class:`MatrixFactorization`.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where the factorisation of ``features="mf"`` runs. The networks are trained and evaluated on the host, whatever
        the device: each is too small for a GPU.

    Attributes
    ----------
    parameters_ : ndarray of shape (n_users, n_parameters), float32
        The networks, a row per user: all weights, then all biases, each with zeros up to a multiple of 16.
    coefs_ : list of ndarray (n_users, inputs, outputs), float32
        The weights of each layer: views of ``parameters_``.
    intercepts_ : list of ndarray (n_users, outputs), float32
        The same for biases; empty without bias units.
    item_features_ : ndarray of shape (n_items, n_features), float32
        The features, dense.
    feature_scale_ : ndarray of shape (n_features,) or None
        With ``features="mf"``: the factors that they were multiplied by.
    levels_ : ndarray of shape (K,), float32, or None
        With ``targets="levels"``: the distinct ratings.
    base_rate_ : ndarray of shape (K,), float32
        The share of each target among all ratings, with half a rating of each kind added: the outputs for unknown users
        and users without ratings.
    global_mean_ : float
        The prediction for those: the probability, or the rating.
    n_ratings_ : ndarray of shape (n_users,), int64
        Number of ratings, of positive weight, of each network.
    learning_rate_, reg_ : float
        The step size of the first epoch, and λ.
    users_, items_, seen_, rating_range_, n_epochs_, device_
        As for every model; ``items_`` holds the items of the ratings, then the other items of the features.
    history_ : list of dict
        From epoch 0, before training: ``cost`` (the mean of J over users with ratings), ``train_log_loss`` and
        ``validation_log_loss`` (sums over outputs, means over ratings), beside ``epoch``, ``learning_rate``,
        ``seconds``. All are measured at the end of the epoch; cost and training error over all ratings up to 65,536,
        else over a 16th of them (16,384 to 65,536), those of users drawn by the seed. Outputs are
        kept 1.2e-7 away from 0 and 1.

    See Also
    --------
    UserRegression : Linear and logistic regressions per user, solved exactly.
    MatrixFactorization : With ``cost="logistic"``, learns features of items as well.

    Notes
    -----
    Features are not scaled, and the penalty and the step size treat all weights alike: bring features to comparable
    scales first, with scikit-learn's scalers or :class:`fastcf.preprocessing.MeanRangeScaler`. Sparse features are made
    dense. Memory: items times features, and users times parameters, that 2 to 4 times by optimiser.

    A user whose targets are all equal is trained like any other; the penalty and the finite number of epochs keep the
    network from certainty. Weights of ratings weight their cost; n counts ratings.

    With ``targets="levels"`` predictions are the mean of the levels by the outputs, these divided by their sum. An
    unknown item is predicted as if its features were 0; to unknown users all items are the same.

    ``fold_in(item_features=)`` adds items by features in the columns and on the scale of those of ``fit``: a table, a
    pair (ids, matrix) or a fitted factor model. Known items get the new features; the networks do not change.

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
    >>> model.fit(ratings, item_features=films).recommend(7, 1).items  # no user rated film 5
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
        "batch_size": (Interval(1, 2**31 - 1, integer=True),),
        "n_epochs": (Interval(1, integer=True),),
        "patience": (Interval(1, integer=True), Nothing()),
        "random_state": (RandomSeed(),),
        "verbose": VERBOSE,
        **Estimator._constraints,
    }

    hidden: Sequence[int] = (10,)
    _: KW_ONLY
    activation: str = "tanh"
    targets: str = "liked"
    threshold: float | None = None
    features: str = "given"
    bias: bool = True
    reg: float | str = "auto"
    init: tuple[float, float] | str = (-0.1, 0.1)
    optimizer: str | Optimizer = "adam"
    batch_size: int = 10
    n_epochs: int = 20
    patience: int | None = None
    random_state: RandomState = None
    n_threads: int | None = None
    device: str = "auto"
    verbose: int | bool = 0

    # -------------------------------------------------------------------------------------------------------
    # Training
    # -------------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        item_features: Any = None,
        validation: Any = None,
        validation_metric: Metric | None = None,
        validation_every: int = 1,
        validation_users: int | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        check_gradients: bool = False,
    ) -> UserPerceptron:
        """Learn every user's network.

        Parameters
        ----------
        X, y, sample_weight, callbacks, checkpoint
            As for :meth:`MatrixFactorization.fit`.
        item_features : FeatureTable, tuple (ids, matrix) or fitted factor model
            Features of all items of the ratings, and of as many others as are to be predicted; dense or sparse. Of a
            factor model (:class:`MatrixFactorization`, for example) its items' biases and factors, unscaled. None with
            ``features="mf"``.
        validation : Ratings, SciPy sparse matrix, or tuple (X, y), optional
            Ratings held out. After each epoch their log-loss is recorded, by their weights; training stops early when
            it no longer falls (``patience``), and the parameters of the best epoch are kept.
        validation_metric, validation_every, validation_users, checkpoint_every
            As for :meth:`MatrixFactorization.fit`.
        check_gradients : bool, default False
            Whether to compare the gradient with central differences before training, for the user of most ratings; see
            :func:`fastcf.check_gradients`.

        Returns
        -------
        UserPerceptron
            Itself.

        Raises
        ------
        TypeError, ValueError, DeviceError, GradientCheckError, DivergenceError, KeyboardInterrupt
            As for :meth:`MatrixFactorization.fit`, and if features are missing.
        """
        caller = self._caller
        ratings, backend = self._begin_fit(X, y, sample_weight)
        values, levels = self._targets_of(ratings, caller)
        if len(self.hidden) == 0:
            self._refuse_ignored(("activation",), "for hidden=()")
        self._check_init(caller)
        watched = self._validation(
            validation,
            ratings,
            validation_metric,
            validation_every,
            validation_users,
            featured=("item",),
        )
        kept = self._checkpoint(checkpoint, checkpoint_every, backend, ratings=ratings, **watched.described())
        held_out = None if watched.of_trainer is None else self._held_out(watched.of_trainer)
        seed = kept.seed(self.random_state)
        optimizer = as_optimizer(self.optimizer, caller)
        table = self._features_of(ratings, item_features, seed, caller)
        kept.identify(item_features=table)
        scale = unit_scale(table) if self.features == "mf" else None
        features = dense(table, scale)
        if check_gradients:
            compare_gradients(self._objective_on(ratings, features, seed, caller), max_coordinates=20).require(caller)
        shape = self._shape(features.shape[1], levels)
        problem = PerceptronProblem(ratings, values, levels, shape, table.ids, features, scale, self._targets, held_out)
        low, high = self._first_weights(shape)
        settings = PerceptronSettings(
            optimizer,
            self._first_rate(optimizer),
            int(self.n_epochs),
            int(self.batch_size),
            self._penalty,
            low,
            high,
            seed,
            self._threads,
        )
        self._train(
            PerceptronTrainer(problem, settings, backend),
            n_epochs=self.n_epochs,
            patience=self.patience,
            validation=watched,
            callbacks=callbacks,
            checkpoint=kept,
            verbose=self.verbose,
        )
        return self

    @property
    def _targets(self) -> Targets:
        return Targets("logistic", self.threshold) if self.targets == "liked" else Targets()

    def _targets_of(self, ratings: Ratings, caller: str) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return a number per rating: the target, or with ``targets="levels"`` the rating; and the levels, if any."""
        if self.targets == "liked":
            return self._targets.of_training(ratings, caller).values, None
        self._refuse_ignored(("threshold",), "for targets='levels'")
        levels = np.unique(ratings.values)
        if levels.size > _MOST_LEVELS:
            raise ValueError(
                f"{caller}: ratings must have at most {_MOST_LEVELS} levels for targets='levels'; got {levels.size}"
            )
        return ratings.values, levels

    def _held_out(self, ratings: Ratings) -> tuple[Ratings, NDArray[np.float32]]:
        return ratings, self._targets.of(ratings.values, f"{self._caller}: validation")

    def _shape(self, n_features: int, levels: NDArray[np.float32] | None) -> NetworkShape:
        n_outputs, names = (1, []) if levels is None else (levels.size, levels.tolist())
        return NetworkShape([n_features, *map(int, self.hidden), n_outputs], self.activation, bool(self.bias), names)

    @property
    def _penalty(self) -> float:
        return _REG[self.features] if isinstance(self.reg, str) else float(self.reg)

    def _first_rate(self, optimizer: Optimizer) -> float:
        most = 1 / max(self._penalty, 1)
        return optimizer.first_rate({name: min(a, most) if name in _CURVED else a for name, a in _RATES.items()})

    def _check_init(self, caller: str) -> None:
        if isinstance(self.init, str) or len(self.hidden) == 0:
            return
        low, high = map(np.float32, self.init)
        if not low < high:
            raise ValueError(
                f"{caller}: init must have low below high with hidden layers: units whose weights are all equal "
                f"compute the same, get the same gradient and stay equal; got {self.init!r}"
            )

    def _first_weights(self, shape: NetworkShape) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the limits of each layer's first weights."""
        layers = np.array(shape.layers, np.float64)
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
            factorization = MatrixFactorization(
                _FACTORS, random_state=seed, n_threads=self.n_threads, device=self.device
            )
            with errors_of(f"{caller}: the factorization of features='mf'"), inside_another_fit():
                item_features = factorization.fit(ratings)
        table = item_table(item_features, caller)
        if table.n_features == 0:
            raise ValueError(f"{caller}: item_features must have at least one feature; got 0")
        return table.extend(ratings.items, caller=caller, what="all items of the ratings")

    def objective(self, ratings: Ratings, seed: int, *, item_features: Any = None) -> Objective:
        """Return the objective of the user with the most ratings, at random parameters.

        For :func:`fastcf.check_gradients`.

        Parameters
        ----------
        ratings : Ratings
            Of which at most 200 are used.
        seed : int
            Draws parameters, and features where there are none.
        item_features
            As for :meth:`fit`; None: random ones.

        Returns
        -------
        Objective
        """
        caller = "check_gradients"
        if item_features is None:
            features: NDArray[Any] = np.random.default_rng(seed).standard_normal((ratings.n_items, _CHECKED_FEATURES))
        else:
            features = dense(self._features_of(ratings, item_features, seed, caller), None)
        return self._objective_on(ratings, features, seed, caller)

    def _objective_on(self, ratings: Ratings, features: NDArray[Any], seed: int, caller: str) -> Objective:
        values, levels = self._targets_of(ratings, caller)
        rated = np.ones(ratings.nnz, bool) if ratings.weights is None else ratings.weights > 0
        user = int(np.argmax(np.bincount(ratings.row_of_entry()[rated])))
        entries = np.arange(ratings.indptr[user], ratings.indptr[user + 1])
        entries = entries[rated[entries]][:_CHECKED_RATINGS]
        weights = None if ratings.weights is None else ratings.weights[entries].astype(np.float64)
        data = ratings.indices[entries], values[entries], weights
        return perceptron_objective(self._shape(features.shape[1], levels), features, data, self._penalty, seed)

    # -------------------------------------------------------------------------------------------------------
    # Prediction
    # -------------------------------------------------------------------------------------------------------

    def predict_proba(self, X: Any, *, history: Any = None, strict: bool = False) -> NDArray[np.float32]:
        """Predict the probabilities of both labels, or with ``targets="levels"`` of each level.

        Parameters
        ----------
        X, history, strict
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (n, 2) or (n, K), float32
            That a pair's rating is not liked, and that it is. With ``targets="levels"`` that it is each of
            ``levels_``: the networks' outputs, each one against the rest, so that a row need not add up to 1.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for :meth:`predict`.
        """
        caller = f"{type(self).__name__}.predict_proba"
        state = self._fitted("predict_proba")
        compute = self._compute(state, caller)
        if history is not None:
            state = self._of_newcomers(state, history, compute, caller, strict)
        scores = state.scores
        assert isinstance(scores, PerceptronScores)
        rows = pair_rows(X, state.users, state.items, caller, strict=strict, n_threads=self.n_threads)
        outputs = scores.outputs(*rows, compute)
        return np.hstack([1 - outputs, outputs]) if scores.levels is None else outputs

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def _pack(self, state: State) -> Packed:
        scores, learnt = state.scores, state.learnt
        assert isinstance(scores, PerceptronScores)
        arrays: dict[str, NDArray[Any]] = {
            "parameters": scores.parameters,
            "item_features": scores.item_features,
            "base_rate": scores.base_rate,
            "n_ratings": scores.n_ratings,
        }
        for name, array in (("levels", scores.levels), ("feature_scale", learnt.feature_scale)):
            if array is not None:
                arrays[name] = array
        params = {
            "hidden": scores.shape.layers[1:-1],
            "activation": scores.shape.activation,
            "bias": scores.shape.bias,
            "targets": "liked" if scores.levels is None else "levels",
            "threshold": state.targets.threshold,
        }
        return Packed(arrays, {"learning_rate": learnt.learning_rate, "reg": learnt.reg}, params=params)

    @classmethod
    def _unpack_params(cls, archive: Archive) -> dict[str, Any]:
        params = dict(archive.params)
        for name in ("hidden", "init"):
            if isinstance(params[name], list):
                params[name] = tuple(params[name])
        return params

    def _unpack(self, archive: Archive, common: State) -> State:
        n_users, n_items = len(common.users), len(common.items)
        features = archive.array("item_features", np.float32, (n_items, None))
        base_rate = archive.array("base_rate", np.float32, (None,))
        n_ratings = archive.array("n_ratings", np.int64, (n_users,))
        k, width = base_rate.size, features.shape[1]
        levels = archive.array("levels", np.float32, (k,)) if "levels" in archive.arrays else None
        scale = archive.array("feature_scale", np.float32, (width,)) if "feature_scale" in archive.arrays else None
        if (levels is None and k != 1) or not (k and width):
            raise DataError(f"{archive.path}: networks must have inputs, and an output per level; got {width} and {k}")
        shape = self._shape(width, levels)
        parameters = archive.array("parameters", np.float32, (n_users, shape.layout.size))
        return common.replaced(
            scores=PerceptronScores(parameters, shape, features, levels, base_rate, n_ratings),
            learnt=LearntPerceptrons(scale, float(archive.meta["learning_rate"]), float(archive.meta["reg"])),
            folding=PerceptronFolding(),
        )
