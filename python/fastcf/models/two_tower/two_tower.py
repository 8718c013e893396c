"""The two-tower network: users and items by their features, so that new ones can be predicted, too."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import resolve_device
from fastcf._callers import errors_of
from fastcf._parameters import VERBOSE, Boolean, Constraint, Instance, Interval, Nothing, OneOf, RandomSeed, Sizes
from fastcf._random import RandomState
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.two_tower.baseline import Baseline, LabelBounds
from fastcf.models.two_tower.choices import log_weights
from fastcf.models.two_tower.learnt import SIDES, LearntTowers, TowerFolding
from fastcf.models.two_tower.start import check_start, learnt_from
from fastcf.models.two_tower.towers import INITS, Shape, Side, draw_tower, side_of, towers_objective
from fastcf.models.two_tower.trainer import HeldOut, Spread, TowerProblem, TowerSettings, TowerTrainer, counts
from fastcf.preprocessing import FeatureTable, as_feature_table
from fastcf.ratings import Ratings
from fastcf.scores import Choices, Compute, Identity, SeenItems, Sigmoid, State, Targets
from fastcf.scores.choices import STRENGTHS
from fastcf.scores.links import ACTIVATIONS
from fastcf.scores.queries import pair_rows
from fastcf.scores.recommender import Recommender
from fastcf.scores.stored import factor_arrays, factors_from
from fastcf.scores.targets import COSTS, log_odds, with_values
from fastcf.serialization import Archive, register
from fastcf.training.callbacks import Callback
from fastcf.training.gradient_check import Objective, compare_gradients
from fastcf.training.optimizers import OPTIMIZERS, Optimizer, as_optimizer
from fastcf.training.validation import Metric

__all__ = ["TwoTower"]

_RATES = {"adam": 0.002, "adagrad": 0.02, "adadelta": 1.0, "gd": 1.0, "momentum": 0.2, "nesterov": 0.2}
_AUTO_SHARE = 0.7  # of the farthest rating's distance from the centre: see docs/defaults.md
_AUTO_BASELINE_SCALE = 0.35  # of the standard deviation of what the baseline leaves
_AUTO_LOGISTIC_SCALE = 3.0
_AUTO_EPOCHS, _AUTO_BASELINE_EPOCHS = 10, 5
_AUTO_CHOICE_SCALE = 10.0
_LEAST_BATCH, _LARGEST_BATCH = 1024, 16_384
_CHECKED_RATINGS = 100  # of a gradient check, which evaluates the cost of all of them some thousand times
_CHECKED_PENALTY = 1e-3  # of a gradient check: small compared with the rest of the cost


@register
@dataclass(eq=False, repr=False)
class TwoTower(Estimator):
    r"""Two networks, of users' features and of items', whose vectors' product predicts: ``ŷ = f_ui + u(x_u)·v(x_i)``.

    Users and items with features have vectors, with or without ratings: for cold starts. With
    ``normalize`` vectors are brought to the length ``√scale``, so that their product is ``scale`` times the cosine.
    f_ui is the ``baseline``: a regression fitted first, to whose predictions the towers add what it leaves; else a
    constant c. Minimises

    - squared: ``(½ Σ w_ui ((ŷ_ui − y_ui)/σ)² + λ/2 ‖weights‖²) / n`` over n ratings, σ being the standard deviation of
      ``y − f``;
    - logistic: ``(Σ w_ui (softplus(z_ui) − y_ui z_ui) + λ/2 ‖weights‖²) / n`` for labels, with ``z = c + u·v`` and
      ``ŷ = σ(z)``; beside a baseline ``z = f + u·v``, and the squares of the quadratic bound that touches this cost at
      f take its place: the squared cost with the ratings ``(y − ½)/a`` and the weights ``w a``, ``a = (σ(f) − ½)/f``;
    - softmax: ``(Σ w_ui log(1 + Σ_j a_j exp(u·v_j − u·v_i)) + λ/2 ‖weights‖²) / n`` for choices, j being the items of
      the batch that the user did not choose in it, each a_j times: as often, on average, as a batch has choices of it.
      The score of an item is ``u·v + log p``, with p its share of all choices, the probability by which batches drew
      it. So the vectors learn how much more often than others a user chooses an item.

    Weights w count relative to their mean. Each distinct user and item of a batch goes through its tower once; sparse
    features are read, and their weights updated, where they are not zero.

    Parameters
    ----------
    user_layers, item_layers : sequence of int, default (256, 128)
        Sizes of the hidden layers of each tower, at least one.
    n_factors : int, default 32
        Length of the vectors.
    ids : {"auto", "none", "user", "item", "both"}, default "auto"
        Which sides have, beside their features, an id input for each user (item) with ratings. "auto": sides
        without features. (What is peculiar to known users and items with features is in the baseline.)
    baseline : {"auto", "none"}, default "auto"
        "auto": with the squared cost f is a :class:`MixedRegression` on the same features, or without any a
        :class:`BiasModel`: biases and slopes of features for all and for each user and item. With the logistic cost it
        is the same regression r of the labels as log-odds, ``log(p/(1 − p)) + (r − p) / (p (1 − p))``, p being their
        mean. "none", and for choices: f is the constant c.
    cost : {"squared", "logistic", "softmax"}, default "squared"
        Of ratings, of labels in [0, 1], or of choices: for lists.
    threshold : float, optional
        Not for "squared". "logistic": ratings of at least this are label 1, the others 0; by default the ratings are
        the labels and must lie in [0, 1]. "softmax": ratings of at least this are choices, by default values above 0;
        the other entries are not recommended and not learnt from.
    strength : {"one", "value", "log"}, default "one"
        Only for "softmax": the weight of a choice of value v is 1, v or log(1 + v), times the weight of the rating.
    activation : {"sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "identity"}, default "elu"
        Of the hidden layers.
    normalize : bool, default True
        Whether vectors are brought to one length, so that their product is a cosine. A vector of zeros stays zero.
    scale : float or "auto", default "auto"
        The largest difference between a prediction and f, above 0; with the softmax cost one over the temperature.
        "auto" is 0.35 σ, without a baseline 0.7 of the distance of the farthest rating or 3 (log-odds) with the
        logistic cost; or 10 with the softmax cost; larger values fit more, and more noise. Must be "auto" without
        ``normalize``.
    dropout : float, default 0.0
        Share of the hidden values dropped in training, in [0, 1).
    reg : float, default 100.0
        λ, at least 0, in ratings. First weights of sparse features that no row of a batch has decay as well, exactly,
        under "gd", "momentum" and "nesterov"; under the others they do not change.
    optimizer : str or Optimizer, default "adam"
        A name or an object of :mod:`fastcf.optimizers`, as for :class:`Autoencoder`. The step size "auto" is 0.002 with
        Adam, 0.02 with AdaGrad, 1 with AdaDelta and gradient descent, 0.2 with Momentum and Nesterov.
    batch_size : int or "auto", default "auto"
        Ratings per step. "auto": 1024, of more than 102,400 ratings a hundredth, up to 16,384, so that an epoch has a
        hundred steps; 1024 for choices. With the softmax cost also how many choices are compared: a batch of B choices
        then takes up to 4 B² bytes.
    n_epochs : int or "auto", default "auto"
        Passes over the ratings (at most, with ``patience``). "auto": 5 beside a baseline, else 10.
    patience : int or None, default None
        As for :class:`MatrixFactorization`.
    init : {"he", "lecun", "glorot", "normal", "uniform"}, default "he"
        Distribution of the first weights. "he": normal with variance 2/inputs, 1/inputs in the last layer; "lecun":
        1/inputs in all; "glorot": uniform with variance 2/(inputs + outputs); "normal": with standard deviation 0.05;
        "uniform": on ±0.05. The number of inputs of the first layer is the mean sum of squares of a row; first weights
        of a side without features are three times as large.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the first weights, the order of ratings and dropout.
    n_threads, device
        As for :class:`MatrixFactorization`.
    verbose : int, bool or "auto", default "auto"
        As for :class:`MatrixFactorization`; "auto": a progress bar on a terminal, if training takes more than ten
        seconds.

    Attributes
    ----------
    user_weights_, item_weights_ : list of ndarray (inputs, outputs), float32
        Of each layer of the towers. Inputs of the first are the features and then, by ``ids``, one per user (item)
        with ratings.
    user_biases_, item_biases_ : list of ndarray, float32
    user_average_, item_average_ : ndarray of shape (n_factors,), float32
        The mean vector of the ratings' users, and of their items: the vector of an unknown user or item. Vectors of the
        towers are followed by the baseline's factors.
    user_factors_, item_factors_, user_bias_, item_bias_, global_mean_
        The same as a factor model, by which predictions are computed: vectors less their averages, and the products
        with the averages.
    centre_, scale_, unit_ : float
        c: the baseline's mean, without one the mean of the ratings, the log-odds of label 1, or 0 for choices; the
        ``scale`` used; σ, or 1 for choices and for labels without a baseline.
    log_popularity_ : ndarray of shape (n_items,), float32, or None
        log p of each item, half a choice added to each, with the softmax cost. For items that nobody has met, which
        have no entries: what their features let expect, by a ridge regression (penalty 1) of log p on the features of
        the others. Less for items that have neither choices nor features, so that they come last.
    users_, items_ : IdMap
        Those of the ratings, then those that have features only.
    seen_, rating_range_, device_
        As for :class:`MatrixFactorization`.
    history_ : list of dict
        From epoch 0, before training: ``epoch``, ``cost``, ``train_rmse`` and ``validation_rmse`` (or
        ``train_log_loss`` and ``validation_log_loss``: for choices the mean of the logarithm in the cost, in batches
        that stay the same), ``learning_rate``, ``seconds``. ``cost`` is the objective at
        the end of the epoch, nothing dropped, and the training error is measured there too, not clipped: over all
        ratings up to 65,536, else over a 16th of them (16,384 to 65,536), those of users drawn by the seed. Beside a
        baseline both are without the biases of single items, which are fitted to what the towers leave.
    n_epochs_ : int
        The epoch whose parameters were kept.
    learning_rate_ : float
        The step size of the first epoch.

    See Also
    --------
    UserRegression : A linear model of item features for each user.
    MatrixFactorization : For users and items that all have ratings; explains validation and callbacks.

    Notes
    -----
    Features are not scaled: bring them to comparable scales first.

    With a baseline, users' biases and slopes are fitted before the towers, and items' own biases after them: so the
    items' tower learns how biases depend on features, which is all there is of a new item.

    Of choices: an unknown user gets the lists of the average user, which follow popularity. Items that have features
    and no entries, and new ones of ``fold_in``, are scored by these: their vectors, and the popularity that features
    let expect. To rank new items only among each other, pass them as ``candidates``. Items that have neither choices
    nor features come last. ``score`` is the NDCG@10 of lists.

    ``fold_in(user_features=, item_features=)`` adds users and items by their features, without training: they have no
    id input. Known ones with new features keep theirs. The towers are shared with this model, not copied. With a
    baseline ``fold_in(X)`` and ``history=`` of a query take ratings as well: the baseline's biases and slopes are
    solved for what the towers leave of them. Fold newcomers in by their features first, then by their ratings.

    Beware of features computed from the ratings themselves. A user's mean rating contains the rating that is to be
    predicted: the network learns to read it from the mean, which fails for new ratings. Use ``ids="user"`` for
    the tastes of known users; features of new items and users come from other sources.

    References
    ----------
    P.-S. Huang et al., "Learning deep structured semantic models for web search using clickthrough data", CIKM 2013
    (two towers, cosine). P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube recommendations",
    RecSys 2016 (vectors of users and items for retrieval). G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge
    in a neural network", 2015 (``init_from``). T. Jaakkola and M. Jordan, "Bayesian parameter estimation via
    variational methods", Statistics and Computing 10, 2000 (the bound). X. Yi et al., "Sampling-bias-corrected neural
    modeling for large corpus item recommendations", RecSys 2019 (normalised towers with a temperature, here one over
    the scale; the softmax among the items of a batch, less the logarithm of the probability of their being in it). K.
    He et al., "Delving deep into rectifiers", ICCV 2015 (first weights).

    Examples
    --------
    >>> import fastcf
    >>> films = fastcf.FeatureTable(["heat", "up", "brave"], [[1, 0], [0, 1], [0, 1]])
    >>> ratings = fastcf.Ratings.from_coo([7, 7, 8, 8], ["heat", "up", "heat", "up"], [5.0, 1.0, 1.0, 5.0])
    >>> model = fastcf.TwoTower((8,), (8,), 4, batch_size=4, n_epochs=200, reg=0, random_state=0)
    >>> model = model.fit(ratings, item_features=films)
    >>> model.predict([(7, "brave")]) < model.predict([(8, "brave")])  # no user rated brave
    array([ True])
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "user_layers": (Sizes(1 << 20),),
        "item_layers": (Sizes(1 << 20),),
        "n_factors": (Interval(1, 1 << 16, integer=True),),
        "ids": (OneOf(("auto", "none", "user", "item", "both")),),
        "baseline": (OneOf(("auto", "none")),),
        "cost": (OneOf((*COSTS, "softmax")),),
        "threshold": (Interval(), Nothing()),
        "strength": (OneOf(STRENGTHS),),
        "activation": (OneOf(ACTIVATIONS),),
        "normalize": (Boolean(),),
        "scale": (Interval(0, open_low=True), OneOf(("auto",))),
        "dropout": (Interval(0, 0.999),),
        "reg": (Interval(0),),
        "optimizer": (OneOf(OPTIMIZERS), Instance(Optimizer)),
        "batch_size": (Interval(1, integer=True), OneOf(("auto",))),
        "n_epochs": (Interval(1, integer=True), OneOf(("auto",))),
        "patience": (Interval(1, integer=True), Nothing()),
        "init": (OneOf(INITS),),
        "random_state": (RandomSeed(),),
        "verbose": (*VERBOSE, OneOf(("auto",))),
        **Estimator._constraints,
    }

    user_layers: Sequence[int] = (256, 128)
    item_layers: Sequence[int] = (256, 128)
    n_factors: int = 32
    _: KW_ONLY
    ids: str = "auto"
    baseline: str = "auto"
    cost: str = "squared"
    threshold: float | None = None
    strength: str = "one"
    activation: str = "elu"
    normalize: bool = True
    scale: float | str = "auto"
    dropout: float = 0.0
    reg: float = 100.0
    optimizer: str | Optimizer = "adam"
    batch_size: int | str = "auto"
    n_epochs: int | str = "auto"
    patience: int | None = None
    init: str = "he"
    random_state: RandomState = None
    n_threads: int | None = None
    device: str = "auto"
    verbose: int | bool | str = "auto"

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        user_features: Any = None,
        item_features: Any = None,
        init_from: Recommender | None = None,
        validation: Any = None,
        validation_metric: Metric | None = None,
        validation_every: int = 1,
        validation_users: int | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        check_gradients: bool = False,
    ) -> TwoTower:
        """Learn both towers.

        Parameters
        ----------
        X, y, sample_weight, callbacks, checkpoint, check_gradients
            As for :meth:`MatrixFactorization.fit`.
        user_features, item_features : FeatureTable or tuple (ids, matrix), optional
            Features of all users (items) of the ratings, and of as many others as are to be predicted, dense or sparse.
            A side without is known by its ids only.
        init_from : fitted model, optional
            A model of the same ratings (labels), for example a :class:`MatrixFactorization`: the towers first learn its
            predictions, less those of the baseline, in three epochs over the pairs of the ratings and as many others.
            By default they start at random. Refused for choices.
        validation : Ratings, SciPy sparse matrix, or tuple (X, y), optional
            Held-out ratings, also of users and items that have features only. Ratings of other ids are left out of the
            model's own error, if there is no baseline and they have no weights.
        validation_metric, validation_every, validation_users, checkpoint_every
            As for :meth:`MatrixFactorization.fit`.

        Returns
        -------
        TwoTower
            Itself.

        Raises
        ------
        TypeError, ValueError, DeviceError, GradientCheckError, DivergenceError, KeyboardInterrupt
            As for :meth:`MatrixFactorization.fit`, if features are missing, and if ``init_from`` is no model of the
            same kind of targets.
        """
        caller = self._caller
        ratings, backend = self._begin_fit(X, y, sample_weight)
        targets = self._targets
        targets.check(caller)
        if not self.normalize:
            self._refuse_ignored(("scale",), "for normalize=False")
        if not targets.choices:
            self._refuse_ignored(("strength",), f"for cost={self.cost!r}, which takes values as they are")
        if init_from is not None:
            check_start(init_from, targets, caller)
        featured = [
            side
            for side, table in zip(("user", "item"), (user_features, item_features), strict=True)
            if table is not None
        ]
        beside = self.cost != "softmax" and self.baseline == "auto"
        if beside and validation is not None and validation_metric is None:
            validation_metric = targets.error  # of a view of the training: the trainer's own has no baseline
        watched = self._validation(
            validation, ratings, validation_metric, validation_every, validation_users, featured=featured
        )
        seen, given = SeenItems(ratings.indptr, ratings.indices), ratings
        if targets.labels:
            targets.of_training(ratings, caller)  # refuses labels that are all alike
        ratings, values = self._learnt_from(ratings, caller)
        sides = self._sides(ratings, user_features, item_features, with_others=True)
        held_out = None if watched.of_trainer is None else self._held_out(watched.of_trainer, sides)
        tables = [
            None if table is None else FeatureTable(side.ids, side.matrix)
            for table, side in zip((user_features, item_features), sides, strict=True)
        ]
        features = dict(zip(("user_features", "item_features"), tables, strict=True))
        first = None if init_from is None else with_values(ratings, init_from.predict(ratings))
        data = {"ratings": given, "init_from": first, **watched.described(), **features}
        kept = self._checkpoint(checkpoint, checkpoint_every, backend, **data)
        seed = kept.seed(self.random_state)
        optimizer = as_optimizer(self.optimizer, caller)
        if check_gradients:
            objective = self.objective(ratings, seed, user_features=user_features, item_features=item_features)
            compare_gradients(objective, max_coordinates=20).require(caller)
        compute = Compute(backend.module, self._threads)
        baseline, bounds = None, None
        if beside:
            options = {"n_threads": self.n_threads, "device": backend.device}
            given_targets = with_values(ratings, values)
            with errors_of(f"{caller}: the baseline"):
                baseline = Baseline.of(given_targets, (tables[0], tables[1]), labels=targets.labels, **options)
            predicted, centre = baseline.of_ratings(ratings, compute), np.float32(baseline.scores.global_mean)
            bounds = LabelBounds.of(values, predicted) if targets.labels else None
            values = ((values - predicted if bounds is None else bounds.left) + centre).astype(np.float32)
        spread = self._spread(ratings, values, baseline, bounds)
        n_epochs = self._epochs(baseline)
        shape = self._shape(math.sqrt(spread.scale / spread.unit))
        users, items = (
            draw_tower(side, layers, self.init, bool(self.normalize), targets.choices, seed, number, compute)
            for number, (side, layers) in enumerate(zip(sides, shape[:2], strict=True))
        )
        settings = TowerSettings(
            shape,
            optimizer,
            optimizer.first_rate(_RATES),
            n_epochs,
            self._batch(ratings),
            float(self.dropout),
            float(self.reg),
            seed,
            self._threads,
        )
        problem = TowerProblem(ratings, values, seen, targets, sides, spread, held_out, baseline, bounds)
        parameters = users, items
        if init_from is not None and kept.position is None:
            parameters = learnt_from(init_from, problem, settings, parameters, backend)
        self._train(
            TowerTrainer(problem, settings, parameters, backend),
            n_epochs=n_epochs,
            patience=self.patience,
            validation=watched,
            callbacks=callbacks,
            checkpoint=kept,
            verbose=self.verbose,
        )
        return self

    @property
    def _targets(self) -> Targets:
        if self.cost == "softmax":
            return Choices(threshold=self.threshold, strength=self.strength)
        return Targets(self.cost, self.threshold, soft=True)

    def _learnt_from(self, ratings: Ratings, caller: str) -> tuple[Ratings, NDArray[np.float32]]:
        """Return the ratings to learn from, and their targets: of choices only those, with their strengths."""
        targets = self._targets
        if isinstance(targets, Choices):
            strengths = targets.of_training(ratings, caller)
            ratings = strengths.take(strengths.values > 0)
            return ratings, ratings.values
        return ratings, np.ascontiguousarray(targets.of(ratings.values, caller))

    def _shape(self, length: float) -> Shape:
        """Return the architecture; ``length`` counts where vectors are normalised."""
        users, items = ([*map(int, layers), int(self.n_factors)] for layers in (self.user_layers, self.item_layers))
        return Shape(users, items, self.activation, length if self.normalize else 0.0)

    def _sides(
        self, ratings: Ratings, user_features: Any, item_features: Any, *, with_others: bool
    ) -> tuple[Side, Side]:
        """Return users and items with features: those of the ratings, and then the others of the tables."""
        given = ("user", ratings.users, user_features), ("item", ratings.items, item_features)
        users, items = (
            side_of(name, ids, features, rated, self.ids, with_others, self._caller)
            for (name, ids, features), rated in zip(given, counts(ratings), strict=True)
        )
        return users, items

    def _held_out(self, validation: Ratings, sides: tuple[Side, Side]) -> HeldOut:
        """Return the pairs held out of whom something is known."""
        caller = f"{self._caller}: validation"
        ratings, values = self._learnt_from(validation, caller)
        rows = pair_rows(ratings, sides[0].ids, sides[1].ids, caller, n_threads=self.n_threads)
        known = np.logical_and(*(np.append(side.known, False)[own] for side, own in zip(sides, rows, strict=True)))
        if not known.any():
            raise ValueError(f"{caller} must have users and items with ratings or features; got {values.size} without")
        weights = None if ratings.weights is None else ratings.weights[known]
        return HeldOut(rows[0][known], rows[1][known], values[known], weights)

    def _batch(self, ratings: Ratings) -> int:
        """Return the ratings of a step."""
        if not isinstance(self.batch_size, str):
            return int(self.batch_size)
        return _LEAST_BATCH if self._targets.choices else min(max(ratings.nnz // 100, _LEAST_BATCH), _LARGEST_BATCH)

    def _epochs(self, baseline: Baseline | None) -> int:
        if isinstance(self.n_epochs, str):
            return _AUTO_EPOCHS if baseline is None else _AUTO_BASELINE_EPOCHS
        return int(self.n_epochs)

    def _spread(
        self, ratings: Ratings, values: NDArray[np.float32], baseline: Baseline | None, bounds: LabelBounds | None
    ) -> Spread:
        """Return the range of predictions."""
        if self._targets.choices:
            centre, unit, rating_range = 0.0, 1.0, (-math.inf, math.inf)
            farthest = _AUTO_CHOICE_SCALE
        elif self._targets.labels and bounds is None:
            centre, unit, rating_range = log_odds(values, ratings.weights), 1.0, (0.0, 1.0)
            farthest = _AUTO_LOGISTIC_SCALE
        else:
            wide, rating_range, weights = values.astype(np.float64), ratings.rating_range, ratings.weights
            if bounds is not None:
                rating_range = (0.0, 1.0)
                weights = bounds.curvature if weights is None else weights * bounds.curvature
            centre = float(np.average(wide, weights=weights))
            deviation = math.sqrt(np.average((wide - centre) ** 2, weights=weights))
            unit = deviation if deviation > 1e-6 * max(1.0, abs(centre)) else 1.0  # else all ratings are equal
            farthest = _AUTO_SHARE * max(centre - rating_range[0], rating_range[1] - centre, 1e-6)
            if baseline is not None:
                centre, farthest = baseline.scores.global_mean, _AUTO_BASELINE_SCALE * unit
        scale = farthest if isinstance(self.scale, str) else float(self.scale)
        return Spread(centre, unit, scale, rating_range)

    def objective(
        self, ratings: Ratings, seed: int, *, user_features: Any = None, item_features: Any = None
    ) -> Objective:
        """Return the objective on some of the ratings, at random parameters; for :func:`fastcf.check_gradients`.

        Parameters
        ----------
        ratings : Ratings
            Of which 100 are drawn.
        seed : int
            Draws ratings and parameters.
        user_features, item_features
            As for :meth:`fit`; a side without is known by its ids.

        Returns
        -------
        Objective
        """
        backend = resolve_device(self.device, "check_gradients")
        ratings, _ = self._learnt_from(ratings, "check_gradients")
        some = np.random.default_rng(seed).choice(ratings.nnz, min(ratings.nnz, _CHECKED_RATINGS), replace=False)
        few = Ratings.from_coo(*ratings.take(np.sort(some)).to_coo())  # of no users and items but theirs
        choices = self._targets.choices
        values = few.values if choices else self._targets.of(few.values, "check_gradients")
        return towers_objective(
            (few.indptr, few.indices, values, values if choices else few.weights),
            self._sides(few, user_features, item_features, with_others=False),
            self._shape(1.5),
            _CHECKED_PENALTY if self.reg else 0.0,
            seed,
            Compute(backend.module, self._threads),
            dropout=float(self.dropout),
            cost=self.cost,
            centre=0.0 if choices else float(values.mean()),
            offsets=log_weights(counts(few)[1], few.nnz // 2) if choices else None,
        )

    # -------------------------------------------------------------------------------------------------------
    # Vectors
    # -------------------------------------------------------------------------------------------------------

    def user_vectors(self, features: Any = None) -> NDArray[np.float32]:
        """Return vectors u of users, for serving: predictions are ``centre_`` plus the product with an item's vector.

        Parameters
        ----------
        features : array-like or SciPy sparse matrix of shape (m, n_features), or FeatureTable, optional
            Of any users: their vectors follow from these features alone. By default the vectors of all users of the
            model, id inputs included, in the order of ``users_.ids``.

        Returns
        -------
        ndarray of shape (m, n_factors or more), float32
            Of length ``√scale_`` with ``normalize``; scores of choices have ``log_popularity_`` added. With a baseline
            longer: followed by its factors and biases, so that the product has these, too.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If the features are not as described or not as many as in ``fit``.
        """
        return self._vectors(0, features)

    def item_vectors(self, features: Any = None) -> NDArray[np.float32]:
        """Return vectors v of items, for an index: predictions are ``centre_`` plus the product with a user's vector.

        Parameters
        ----------
        features : array-like or SciPy sparse matrix of shape (m, n_features), or FeatureTable, optional
            Of any items: their vectors follow from these features alone. By default the vectors of all items of the
            model, id inputs included, in the order of ``items_.ids``.

        Returns
        -------
        ndarray of shape (m, n_factors or more), float32
            As :meth:`user_vectors` returns them.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If the features are not as described or not as many as in ``fit``.
        """
        return self._vectors(1, features)

    def _vectors(self, side: int, features: Any) -> NDArray[np.float32]:
        method = f"{SIDES[side]}_vectors"
        state, caller = self._fitted(method), f"{type(self).__name__}.{method}"
        learnt, scores = state.learnt, state.scores.as_factors()
        assert isinstance(learnt, LearntTowers)
        assert scores is not None
        if features is None:
            return learnt.known_served(side, scores)
        if not isinstance(features, (FeatureTable, tuple)):
            n = features.shape[0] if hasattr(features, "shape") else len(features)
            features = (np.arange(n), features)
        table = as_feature_table(features, caller, "features")
        learnt.check(side, table, caller, "features")
        return learnt.vectors_of_features(side, table.matrix, self._compute(state, caller))

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def _pack(self, state: State) -> Packed:
        scores, shape = state.scores.as_factors(), state.learnt.shape
        assert scores is not None
        arrays, meta, parts = state.learnt.packed()
        targets = state.targets
        params = {
            "user_layers": shape.user_layers[:-1],
            "item_layers": shape.item_layers[:-1],
            "n_factors": shape.user_layers[-1],
            "activation": shape.activation,
            "normalize": shape.length > 0,
            "cost": "softmax" if isinstance(targets, Choices) else targets.cost,
            "strength": targets.strength if isinstance(targets, Choices) else "one",
            "threshold": targets.threshold,
        }
        return Packed({**factor_arrays(scores), **arrays}, {"global_mean": scores.global_mean, **meta}, parts, params)

    @classmethod
    def _unpack_params(cls, archive: Archive) -> dict[str, Any]:
        params = dict(archive.params)
        for name in ("user_layers", "item_layers"):
            params[name] = tuple(params[name])
        return params

    def _unpack(self, archive: Archive, common: State) -> State:
        learnt = LearntTowers.unpacked(archive, common, self._shape(1.0))
        scores = factors_from(archive, common, Sigmoid() if common.targets.labels else Identity())
        scores = scores.replaced(user_centre=learnt.user_average, item_centre=learnt.item_average)
        return common.replaced(scores=scores, learnt=learnt, folding=TowerFolding(learnt.baseline))
