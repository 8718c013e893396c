"""The two-tower network: users and items by their features, so that new ones can be predicted, too."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import Backend, resolve_device, single_threaded_blas
from fastcf._random import RandomState, seed_from
from fastcf.callbacks import Callback
from fastcf.gradient_check import Objective, compare_gradients
from fastcf.models._labels import log_odds
from fastcf.models._network import ACTIVATIONS
from fastcf.models._parameters import Boolean, Constraint, Instance, Interval, Nothing, OneOf, RandomSeed, Sizes
from fastcf.models._results import SeenItems
from fastcf.models._tower_vectors import TowerVectorsMixin
from fastcf.models._towers import INITS, Side, draw_tower, side_of, towers_objective
from fastcf.models._training import train
from fastcf.optimizers import OPTIMIZERS, SCHEDULES, Optimizer, as_optimizer, learning_rate_at
from fastcf.ratings import Ratings
from fastcf.serialization import register

__all__ = ["TwoTower"]

_RATES = {"adam": 0.002, "adagrad": 0.02, "adadelta": 1.0, "gd": 1.0}
_MOMENTUM_RATE = 0.2
_AUTO_SHARE = 0.7  # of the farthest rating's distance from the centre: see docs/defaults.md
_AUTO_LOGISTIC_SCALE = 3.0
_PLAIN_GAIN = 0.3  # of the last layer where vectors are not normalised: products that begin small
_CHECKED_RATINGS = 100  # that a gradient check looks at: with many a difference steps over some kink
_CHECKED_PENALTY = 1e-3  # a gradient is right or wrong at any: one that does not drown the rest of the cost


@register
class TwoTower(TowerVectorsMixin):
    r"""Two networks, of users' features and of items', whose vectors' product predicts: ``ŷ = c + u(x_u)·v(x_i)``.

    Whatever has features has a vector, whether or not it was ever rated: the answer to cold start. With ``normalize``
    vectors are brought to the length ``√scale``, so that ``ŷ`` is the mean c and ``scale`` times the cosine. Minimises

    - squared: ``(½ Σ w_ui ((ŷ_ui − y_ui)/σ)² + λ/2 ‖weights‖²) / n`` over n ratings, σ being their standard deviation;
    - logistic: ``(Σ w_ui (softplus(z_ui) − y_ui z_ui) + λ/2 ‖weights‖²) / n`` for labels, with ``z = c + u·v`` and
      ``ŷ = σ(z)``.

    Weights w count relative to their mean. Each distinct user and item of a batch goes through its tower once, however
    many of the batch's ratings are theirs; sparse features are read, and their weights stepped, where they are not
    zero.

    Parameters
    ----------
    user_layers, item_layers : sequence of int, default (256, 128)
        Sizes of the hidden layers of each tower, at least one.
    n_factors : int, default 32
        Length of the vectors.
    ids : {"auto", "none", "user", "item", "both"}, default "auto"
        Which sides have, beside their features, an input for each user (item) with ratings: what is learnt of
        them alone. "auto": sides without features, who are known by nothing else.
    cost : {"squared", "logistic"}, default "squared"
        Of ratings, or of labels in [0, 1].
    threshold : float, optional
        Only for "logistic": ratings of at least this are label 1, the others 0. By default the ratings are the labels
        and must lie in [0, 1].
    activation : {"sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "identity"}, default "elu"
        Of the hidden layers.
    normalize : bool, default True
        Whether vectors are brought to one length, so that their product is a cosine. A vector of zeros stays zero.
    scale : float or "auto", default "auto"
        With ``normalize``: by how much a prediction may differ from c, above 0. "auto" is 0.7 of what the farthest
        rating does, or 3 (log-odds) with the logistic cost; larger ones fit more, and more noise.
    dropout : float, default 0.0
        Share of the hidden values dropped in training, in [0, 1).
    reg : float, default 100.0
        λ, at least 0, in ratings. First weights of sparse features that no row of a batch has shrink, too, exactly,
        under "gd", "momentum" and "nesterov"; under the others they stand still.
    optimizer : str or Optimizer, default "adam"
        "gd", "momentum", "nesterov", "adagrad", "adadelta", "adam", or an instance of a class of
        :mod:`fastcf.optimizers`.
    learning_rate : float or "auto", default "auto"
        Step size of the first epoch. "auto" is 0.002 with Adam, 0.02 with AdaGrad, 1 with AdaDelta and
        gradient descent, else 0.2.
    schedule : {"linear", "cosine", "constant", "inverse", "exponential"}, default "linear"
        How the step size falls, see :func:`fastcf.optimizers.learning_rate_at`.
    decay : float, default 0.1
        The constant of the last two schedules, in [0, 1].
    batch_size : int, default 1024
        Ratings per step.
    n_epochs : int, default 10
        Passes over the ratings (at most, with ``patience``).
    patience : int or None, default None
        With validation ratings: stop after so many epochs that did not lower their error; None: never. The parameters
        of the best epoch are kept either way.
    min_delta : float, default 0.0
        By how much an epoch must lower the validation error to count as an improvement.
    init : {"he", "lecun", "glorot", "normal", "uniform"}, default "he"
        Distribution of the first weights. "he": normal with variance 2/inputs, 1/inputs in the last layer; "lecun":
        1/inputs in all; "glorot": uniform with variance 2/(inputs + outputs); "normal": with standard deviation 0.05;
        "uniform": on ±0.05. The first layer counts a row's inputs by the mean sum of their squares; those of a side
        without features are three times as large.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the first weights, the order of ratings and what is dropped.
    n_threads : int, optional
        Threads to use; all by default. The same seed gives the same bits for any number of threads (on one instruction
        set and BLAS).
    device : {"auto", "cpu", "cuda", "cuda:0", ...}, default "auto"
        Where to compute; only "auto" may fall back. What ran is in ``device_``.
    verbose : {0, 1, 2}, default 0
        Silent; a progress bar; a line per epoch.

    Attributes
    ----------
    user_weights_, item_weights_ : list of ndarray (inputs, outputs), float32
        Of each layer of the towers. Inputs of the first are the features and then, where ``ids`` say so, one per user
        (item) with ratings.
    user_biases_, item_biases_ : list of ndarray, float32
    user_average_, item_average_ : ndarray of shape (n_factors,), float32
        The mean vector of the ratings' users, and of their items: what an unknown user or item without features counts
        as.
    user_factors_, item_factors_, user_bias_, item_bias_, global_mean_
        The same as a factor model, which prediction goes by: vectors less their averages, and what the averages say.
    centre_, scale_, unit_ : float
        c: the mean of the ratings, or the log-odds of label 1; what ``scale`` came to; σ, or 1 with the logistic cost.
    users_, items_ : IdMap
        Those of the ratings, then those that only had features.
    seen_, rating_range_, device_
        As for every model.
    history_ : list of dict
        Per epoch: ``epoch``, ``cost`` (the objective; errors taken just before each step), ``train_rmse`` and
        ``validation_rmse`` (or ``train_log_loss`` and ``validation_log_loss``), ``learning_rate``, ``seconds``.
    n_epochs_ : int
        The epoch whose parameters were kept.
    learning_rate_ : float
        What "auto" came to.

    See Also
    --------
    UserRegression : A linear model of item features for each user.
    MatrixFactorization : Where everybody has ratings; explains validation and callbacks.

    Notes
    -----
    Features are taken as they are: bring them to comparable scales first.

    Beware of features made of the ratings themselves. A user's mean rating holds the rating that is to be predicted:
    the network learns to read it there, which it cannot do for new ratings. Known users' tastes are better learnt by
    ``ids="user"``; features of new items and users come from elsewhere.

    References
    ----------
    P.-S. Huang et al., "Learning deep structured semantic models for web search using clickthrough data", CIKM 2013
    (two towers, cosine). P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube recommendations",
    RecSys 2016 (vectors of users and items for retrieval). X. Yi et al., "Sampling-bias-corrected neural modeling for
    large corpus item recommendations", RecSys 2019 (normalised towers with a temperature, here the scale). K. He et
    al., "Delving deep into rectifiers", ICCV 2015 (first weights).

    Examples
    --------
    >>> import fastcf
    >>> films = fastcf.FeatureTable(["heat", "up", "brave"], [[1, 0], [0, 1], [0, 1]])
    >>> ratings = fastcf.Ratings.from_coo([7, 7, 8, 8], ["heat", "up", "heat", "up"], [5.0, 1.0, 1.0, 5.0])
    >>> model = fastcf.TwoTower((8,), (8,), 4, batch_size=4, n_epochs=200, reg=0, random_state=0)
    >>> model = model.fit(ratings, item_features=films)
    >>> model.predict([(7, "brave")]) < model.predict([(8, "brave")])  # nobody rated brave
    array([ True])
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "user_layers": (Sizes(1 << 20),),
        "item_layers": (Sizes(1 << 20),),
        "n_factors": (Interval(1, 1 << 16, integer=True),),
        "ids": (OneOf(("auto", "none", "user", "item", "both")),),
        "cost": (OneOf(("squared", "logistic")),),
        "threshold": (Interval(), Nothing()),
        "activation": (OneOf(ACTIVATIONS),),
        "normalize": (Boolean(),),
        "scale": (Interval(0, open_low=True), OneOf(("auto",))),
        "dropout": (Interval(0, 0.999),),
        "reg": (Interval(0),),
        "optimizer": (OneOf(OPTIMIZERS), Instance(Optimizer)),
        "learning_rate": (Interval(0, open_low=True), OneOf(("auto",))),
        "schedule": (OneOf(SCHEDULES),),
        "decay": (Interval(0, 1),),
        "batch_size": (Interval(1, integer=True),),
        "n_epochs": (Interval(1, integer=True),),
        "patience": (Interval(1, integer=True), Nothing()),
        "min_delta": (Interval(0),),
        "init": (OneOf(INITS),),
        "random_state": (RandomSeed(),),
        "verbose": (Interval(0, 2, integer=True),),
        **TowerVectorsMixin._constraints,
    }
    _state = (*TowerVectorsMixin._state, "history_", "n_epochs_", "learning_rate_")

    def __init__(
        self,
        user_layers: Iterable[int] = (256, 128),
        item_layers: Iterable[int] = (256, 128),
        n_factors: int = 32,
        *,
        ids: str = "auto",
        cost: str = "squared",
        threshold: float | None = None,
        activation: str = "elu",
        normalize: bool = True,
        scale: float | str = "auto",
        dropout: float = 0.0,
        reg: float = 100.0,
        optimizer: str | Optimizer = "adam",
        learning_rate: float | str = "auto",
        schedule: str = "linear",
        decay: float = 0.1,
        batch_size: int = 1024,
        n_epochs: int = 10,
        patience: int | None = None,
        min_delta: float = 0.0,
        init: str = "he",
        random_state: RandomState = None,
        n_threads: int | None = None,
        device: str = "auto",
        verbose: int = 0,
    ) -> None:
        self.user_layers = user_layers
        self.item_layers = item_layers
        self.n_factors = n_factors
        self.ids = ids
        self.cost = cost
        self.threshold = threshold
        self.activation = activation
        self.normalize = normalize
        self.scale = scale
        self.dropout = dropout
        self.reg = reg
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.decay = decay
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.patience = patience
        self.min_delta = min_delta
        self.init = init
        self.random_state = random_state
        self.n_threads = n_threads
        self.device = device
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        user_features: Any = None,
        item_features: Any = None,
        validation: Any = None,
        callbacks: Iterable[Callback] = (),
        check_gradients: bool = False,
    ) -> TwoTower:
        """Learn both towers.

        Parameters
        ----------
        X, y, callbacks, check_gradients
            As for :meth:`MatrixFactorization.fit`.
        user_features, item_features : FeatureTable or tuple (ids, matrix), optional
            Features of all users (items) of the ratings, and of as many others as are to be predicted, dense or sparse.
            Without, that side is known by its ids only.
        validation : Ratings, SciPy sparse matrix, or tuple (X, y), optional
            Held-out ratings, also of users and items that have only features. Those of ids that have neither are left
            out.

        Returns
        -------
        TwoTower
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described, or a user or item lacks features.
        DeviceError
            If ``device="cuda"`` cannot be used.
        GradientCheckError
            If ``check_gradients`` and they disagree.
        DivergenceError
            If parameters stop being finite; the model then holds those of an earlier epoch.
        KeyboardInterrupt
            After Ctrl-C; the model holds what was learnt so far.
        """
        caller = self._caller
        ratings, backend = self._begin_fit(X, y)
        self._check_threshold()
        labels = np.ascontiguousarray(self._labels(ratings, caller))
        sides = self._sides(ratings, user_features, item_features)
        held_out = None if validation is None else self._held_out(validation, sides)
        seed = seed_from(self.random_state, caller)
        optimizer = as_optimizer(self.optimizer, caller)
        if check_gradients:
            objective = self._objective(ratings, seed, user_features=user_features, item_features=item_features)
            compare_gradients(objective, max_coordinates=20).require(caller)
        self._remember(ratings, backend)
        self._place(ratings, labels, sides)
        self.learning_rate_ = (
            _RATES.get(optimizer.name, _MOMENTUM_RATE) if self.learning_rate == "auto" else float(self.learning_rate)
        )
        self.history_: list[dict[str, Any]] = []
        self.n_epochs_ = 0
        gain = 1.0 if self.normalize else _PLAIN_GAIN
        parameters = tuple(
            side.inputs.split(draw_tower(backend, side, layers, self.init, gain, seed, number, self._threads))
            for number, (side, layers) in enumerate(zip(sides, self._layers, strict=True))
        )
        n = float(ratings.nnz)
        error = "log_loss" if self._is_logistic else "rmse"
        with single_threaded_blas():
            trainer = self._trainer(backend, ratings, labels, sides, optimizer, seed)
            trainer.set_parameters(parameters)
            if held_out is not None:
                trainer.set_validation(*held_out[:2], self._in_units(held_out[2]))

            def run_epoch(epoch: int) -> dict[str, Any]:
                rate = learning_rate_at(self.schedule, self.learning_rate_, epoch, self.n_epochs, self.decay)
                loss = trainer.epoch(rate)
                measured = None
                if held_out is not None and self._is_logistic:
                    measured = trainer.validation_log_loss() / held_out[2].size
                elif held_out is not None:
                    measured = self.unit_ * math.sqrt(trainer.validation_squared_error() / held_out[2].size)
                return {
                    "cost": loss / n + trainer.penalty(),
                    f"train_{error}": loss / n if self._is_logistic else self.unit_ * math.sqrt(2 * loss / n),
                    f"validation_{error}": measured,
                    "learning_rate": rate,
                }

            try:
                train(
                    self,
                    trainer,
                    run_epoch,
                    n_epochs=self.n_epochs,
                    validated=held_out is not None,
                    monitor=f"validation_{error}",
                    patience=self.patience,
                    min_delta=self.min_delta,
                    callbacks=callbacks,
                    verbose=self.verbose,
                )
            finally:
                trainer.get_parameters(parameters)
                self._learnt(parameters, ratings, sides)
        return self

    @property
    def _layers(self) -> tuple[list[int], list[int]]:
        users, items = ([*map(int, layers), int(self.n_factors)] for layers in (self.user_layers, self.item_layers))
        return users, items

    def _sides(
        self, ratings: Ratings, user_features: Any, item_features: Any, *, with_others: bool = True
    ) -> tuple[Side, Side]:
        """Return users and items with features: those of the ratings, and then the others of the tables."""
        given = ("user", ratings.users, user_features), ("item", ratings.items, item_features)
        users, items = (
            side_of(name, ids, features, rated, self.ids, with_others, self._caller)
            for (name, ids, features), rated in zip(given, _counts(ratings), strict=True)
        )
        return users, items

    def _held_out(self, validation: Any, sides: tuple[Side, Side]) -> tuple[Any, ...]:
        """Return rows and values of pairs held out."""
        caller = f"{self._caller}: validation"
        ratings = self._validation_ratings(validation)
        labels = self._labels(ratings, caller)
        users, items = self._pair_rows(ratings, "fit", strict=False, maps=(sides[0].ids, sides[1].ids))
        known = np.logical_and(
            *(np.append(side.known, False)[rows] for side, rows in zip(sides, (users, items), strict=True))
        )
        if not known.any():
            raise ValueError(f"{caller} must have users and items with ratings or features; got {labels.size} without")
        return users[known], items[known], labels[known]

    def _place(self, ratings: Ratings, labels: NDArray[np.float32], sides: tuple[Side, Side]) -> None:
        """Set what is known before training: ids, what was seen, where predictions lie."""
        self.users_, self.items_ = sides[0].ids, sides[1].ids
        more = np.full(len(self.users_) - ratings.n_users, ratings.indptr[-1])
        self.seen_ = SeenItems(np.concatenate([ratings.indptr, more]), ratings.indices)
        if self._is_logistic:
            self.rating_range_ = (0.0, 1.0)
            self.centre_, self.unit_, farthest = log_odds(labels, ratings.weights), 1.0, _AUTO_LOGISTIC_SCALE
        else:
            wide = labels.astype(np.float64)
            self.centre_ = float(np.average(wide, weights=ratings.weights))
            spread = math.sqrt(np.average((wide - self.centre_) ** 2, weights=ratings.weights))
            self.unit_ = spread if spread > 1e-6 * max(1.0, abs(self.centre_)) else 1.0  # else it is but rounding
            low, high = self.rating_range_
            farthest = _AUTO_SHARE * max(self.centre_ - low, high - self.centre_, 1e-6)
        self.scale_ = farthest if self.scale == "auto" else float(self.scale)

    def _in_units(self, labels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ratings less their mean, in units of their standard deviation; labels as they are."""
        if self._is_logistic:
            return labels
        return ((labels - np.float64(self.centre_)) / self.unit_).astype(np.float32)

    def _trainer(
        self, backend: Backend, ratings: Ratings, labels: NDArray[np.float32], sides: tuple[Side, Side],
        optimizer: Optimizer, seed: int,
    ) -> Any:  # fmt: skip
        name, *constants = optimizer.constants
        low, high = self._in_units(np.array(self.rating_range_, np.float32)).tolist()
        user_layers, item_layers = self._layers
        weights = ratings.weights
        if weights is not None:
            weights = (weights / weights.mean(dtype=np.float64)).astype(np.float32)
        return backend.module.TwoTowerTrainer(
            ratings.indptr,
            ratings.indices,
            self._in_units(labels),
            ratings.n_items,
            *(side.native() for side in sides),
            weights=weights,
            user_layers=user_layers,
            item_layers=item_layers,
            dropout=float(self.dropout),
            cost=self.cost,
            centre=self.centre_ if self._is_logistic else 0.0,
            optimizer=name,
            weight_decay=self.reg / ratings.nnz,
            batch_size=self.batch_size,
            lowest=low,
            highest=high,
            seed=seed,
            n_threads=self._threads,
            **dict(zip(("decay", "second_decay", "epsilon"), constants, strict=True)),
            **self._tower_options,
        )

    def _learnt(self, parameters: tuple[Any, ...], ratings: Ratings, sides: tuple[Side, Side]) -> None:
        """Take over the towers' parameters and what follows from them."""
        users, items = (side.inputs.joined(part) for side, part in zip(sides, parameters, strict=True))
        self.user_weights_, self.user_biases_ = users
        self.item_weights_, self.item_biases_ = items
        self._inputs = sides[0].inputs, sides[1].inputs
        vectors = [self._vectors_of(n, side.matrix, side.own) for n, side in enumerate(sides)]
        averages = [
            (count @ rows[: count.size].astype(np.float64) / count.sum()).astype(np.float32)
            for count, rows in zip(_counts(ratings), vectors, strict=True)
        ]
        self.user_average_, self.item_average_ = averages
        for side, rows, average in zip(sides, vectors, averages, strict=True):
            rows[~side.known] = average
        self._own = sides[0].own, sides[1].own
        self._set_vectors(*vectors)

    def _objective(
        self, ratings: Ratings, seed: int, *, user_features: Any = None, item_features: Any = None
    ) -> Objective:
        """Return the objective on some of the ratings, at random parameters; for gradient checks.

        Without features, of users and items known by their ids.
        """
        backend = resolve_device(self.device, "check_gradients")
        some = np.random.default_rng(seed).choice(ratings.nnz, min(ratings.nnz, _CHECKED_RATINGS), replace=False)
        few = Ratings.from_coo(*ratings.take(np.sort(some)).to_coo())  # of no others than their users and items
        labels = self._labels(few, "check_gradients")
        sides = self._sides(few, user_features, item_features, with_others=False)
        return towers_objective(
            backend.module,
            (few.indptr, few.indices, labels, few.weights),
            sides,
            self._layers,
            _CHECKED_PENALTY if self.reg else 0.0,
            self.activation,
            seed,
            dropout=float(self.dropout),
            length=1.5 if self.normalize else 0.0,
            cost=self.cost,
            centre=float(labels.mean()),
            n_threads=self._threads,
        )


def _counts(ratings: Ratings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many ratings each user and each item has."""
    return np.diff(ratings.indptr), np.bincount(ratings.indices, minlength=ratings.n_items)
