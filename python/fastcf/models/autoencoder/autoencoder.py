"""The autoencoder: a deep network from the known ratings of a row, or a user's choices, to predictions of all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import KW_ONLY, asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from fastcf._backend import Backend, resolve_device
from fastcf._parameters import (
    VERBOSE,
    Boolean,
    Constraint,
    Instance,
    Interval,
    Nothing,
    OneOf,
    RandomSeed,
    Sizes,
    validate_parameters,
)
from fastcf._random import RandomState
from fastcf.errors import DataError
from fastcf.models.autoencoder.costs import Multinomial, as_cost
from fastcf.models.autoencoder.encoder import Network, NetworkFolding
from fastcf.models.autoencoder.network import INITS, Architecture, Parameters
from fastcf.models.autoencoder.penalty import searched_penalty
from fastcf.models.autoencoder.problem import NetworkProblem, network_objective
from fastcf.models.autoencoder.rows import (
    BOUNDED,
    Scale,
    choice_scale,
    dropout_of_rows,
    fit_label_scale,
    fit_scale,
    rows_per_step,
    rows_to_train_on,
)
from fastcf.models.autoencoder.trainer import NetworkTrainer
from fastcf.models.estimator import Estimator, Packed
from fastcf.ratings import Ratings, as_ratings
from fastcf.scores import State, Targets
from fastcf.scores.choices import STRENGTHS, Choices
from fastcf.scores.links import ACTIVATIONS
from fastcf.scores.queries import rated_side, refuse_other_names
from fastcf.scores.stored import factor_arrays, factors_from
from fastcf.scores.targets import COSTS
from fastcf.serialization import Archive, register
from fastcf.training.callbacks import Callback
from fastcf.training.checkpoint import Checkpoint
from fastcf.training.gradient_check import Objective, compare_gradients
from fastcf.training.optimizers import OPTIMIZERS, Optimizer, as_optimizer
from fastcf.training.validation import Metric

__all__ = ["Autoencoder"]

_RATES = dict.fromkeys(OPTIMIZERS, 0.005) | {"adam": 0.004, "adagrad": 0.03, "adadelta": 1.0}
_REG, _LABEL_REG, _CHOICE_REG = 400.0, 250.0, 1.0
_RATED_INPUT, _CHOSEN_INPUT = 30.0, 0.0
_INPUT_DROPOUT = 0.5  # of labels and choices
_FIRST_EPOCHS = 15  # at least, of a training that is to show how good it will be
_FEWEST_ROWS, _FEWEST_USERS = 128, 64  # of a batch
_NUMBERS = {  # of a network, in files
    "mean_rating": float,
    "reg": float,
    "learning_rate": float,
    "batch_size": int,
    "input_dropout": float,
}


@register
@dataclass(eq=False, repr=False)
class Autoencoder(Estimator):
    r"""Masked autoencoder of ratings, or of choices: ``f(x) = g_o(U h(V x + W r) + c)``.

    The known ratings x of an item (or, user-based, of a user) go through an encoder and a decoder that mirrors it; the
    outputs are predictions of all. A second input r indicates which ratings are known, which is informative in itself.
    The network minimises, over the known ratings only, ``(Σ w (f(x) − y)² + λ/2 ‖weights‖²) / Σ w``,
    where y are the normalised ratings and x the same, some of them dropped. For labels, with the logistic cost, it is
    ``(2 Σ w (softplus(z) − y z) + λ/2 ‖weights‖²) / Σ w``: z is f(x) plus the log-odds given by the biases, and x the
    difference between labels and the probabilities given by the biases. Batches of rows are exact and sparse at both
    ends: the first layer gathers rated columns, the last computes rated outputs, and rows of weights that a batch does
    not touch take their steps when they are next read.

    For choices, with the multinomial cost, a row is a user and the network minimises
    ``(−Σ_u Σ_i y_ui log softmax(f(x_u))_i + λ/2 ‖weights‖²) / n``: y are strengths of choices, x the same divided by
    their length, some of them dropped, and n is the number of users with choices (Mult-DAE, Liang et al. 2018). The
    softmax of a step is over all items or, for large catalogues, over those that the batch's users chose and a sample
    of the others. Outputs begin at the logarithms of the items' popularity.

    Parameters
    ----------
    layers : sequence of int, default (128,)
        Sizes of the encoder's layers, at least one; the decoder mirrors them. The Netflix study has (512, 512, 1024).
    cost : {"squared", "logistic", "multinomial"} or Multinomial, default "squared"
        Predict ratings, probabilities of labels, or what users choose. "multinomial" is short for
        :class:`fastcf.costs.Multinomial`, an object that says how many items a softmax samples.
    threshold : float, optional
        For the logistic cost: ratings of at least this are label 1, others 0; by default ratings are labels in [0, 1].
        For the multinomial cost: values of at least this are choices; by default values above 0.
    strength : {"one", "value", "log"}, default "one"
        For the multinomial cost only, y of a choice of value v: 1, v, or log(1 + v); multiplied by its weight.
    orientation : {"auto", "item", "user"}, default "auto"
        The ratings in a row: "item" has a vector for each rater of an item and is usually the more accurate; "user"
        can fold in new users. "auto" is "item", or "user" with the multinomial cost, which takes no other.
    activation : {"sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "identity"}, default "tanh"
        g of the hidden layers.
    output_activation : str, default "identity"
        g_o, one of the same. With "sigmoid" and "tanh" ratings are mapped from their range onto g_o's. The logistic
        and the multinomial cost take "identity" only: outputs are log-odds, or logarithms of probabilities up to a
        number per user.
    tied : bool, default False
        Whether the decoder's weights are the encoder's, transposed (and the gradients of both summed).
    dropout : float, default 0.0
        Share of the encoder's hidden values dropped in training, in [0, 1).
    alpha_dropout : bool, default False
        Dropout that keeps mean and variance of SELU's values instead of the mean. Only with a ``dropout`` above 0.
    input_dropout : float or "auto", default "auto"
        Share of the known ratings that is removed from the input but still predicted, in [0, 1); the others are divided
        by one minus this. Without it the network may learn to copy. "auto" is 0.5 for labels and choices; for ratings
        it grows with their number in a row, n: ``1 − ½ min(1, √(n₀ / n))``, where n₀ is 30, or more where a column has
        fewer than 30 ratings on average (times the square of 30 over this average).
    rated_input : float or "auto", default "auto"
        Size of the second input: r is ``rated_input / √n`` at the n known ratings of a row and 0 elsewhere, dropped
        together with them; 0: no second input. The larger, the faster W learns and the less it is penalised. "auto" is
        30, or 0 with the multinomial cost, where r differs from x only by what was seen and not chosen.
    rated_output : bool or "auto", default "auto"
        Whether a row of U is drawn to a centre that says which rows the column has a rating in: ``Σ_i e_i / √n`` over
        the n of them. Penalised are the difference to the centre and, twice as much, the effects e_i: a vector per
        item (user-based: per user), learnt in eight steps per epoch, a tenth as large as the others. r tells of an
        item's raters; centres tell of the items that a user rated. "auto" is True, but False with ``tied``,
        ``dense_refeeding`` and the multinomial cost, which do without.
    dense_refeeding : int, default 0
        Number of further steps after each batch with f(x) as input, as dense rows, towards ``f(f(x)) = f(x)``; r is
        then 0. Takes time and memory of rows times columns. With the squared cost only.
    normalize : {"bias", "item", "user", "global"} or None, default "bias"
        The offsets subtracted from ratings, which are then divided by the standard deviation of the differences: the
        mean with biases of users and items (:class:`BiasModel`), each item's or user's mean, or the mean of all; None:
        ratings are not normalised. With the logistic cost predictions begin at the log-odds of the same. Outputs of
        "sigmoid" and "tanh" have another mapping and take the default only, as the multinomial cost does; other
        nonlinear outputs "global" or None.
    reg : float or "auto", default "auto"
        λ, at least 0, in ratings: the penalty of the weights, and with ``normalize="bias"`` of the output biases, which
        then refine the fitted biases. "auto" is searched on held-out ratings, by factors of 2, from 400 (250 with the
        logistic cost) as long as their error falls by more than chance has it; ``reg_`` holds what was found. It stays
        at that with fewer than 50 ratings and more than 2 million; with the multinomial cost it is 1. Rows of weights
        of users and items that are not in a batch shrink too, exactly, under "gd", "momentum" and "nesterov"; under the
        others each rating has a share of the penalty.
    optimizer : str or Optimizer, default "adam"
        A name or an object of :mod:`fastcf.optimizers`, which has the step size and its schedule as parameters:
        ``Adam(learning_rate=0.01)``. The learning rate "auto" is 0.004 with Adam, 0.03 with AdaGrad, 1 with AdaDelta,
        else 0.005. With Adam, output weights that are not tied take a quarter of it (ratings and labels; in epochs of
        fewer than four steps one part in as many).
    batch_size : int or "auto", default "auto"
        Rows per step. "auto" is a sixty-fourth of the rows rounded down to a power of two, but at least 128 (64
        with the multinomial cost) and at most 1,024.
    n_epochs : int, default 30
        Passes over the rows (at most, with ``patience``).
    patience : int or None, default None
        With validation ratings: stop after this many epochs that did not improve what is measured of them; None: never.
        The parameters of the best epoch are kept either way.
    init : {"small", "lecun", "glorot", "normal", "uniform"}, default "small"
        Distribution of the first weights. "lecun": normal with variance 1/inputs (for SELU, Klambauer et al. 2017);
        "small": the same, but a tenth as large at both ends, so that predictions begin near the offsets and units of
        the first layer near their middle; "glorot": uniform with variance 2/(inputs + outputs); "normal": with standard
        deviation 0.05; "uniform": on ±0.05. The first layer counts the known inputs of a row, by their mean square.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the first weights, the order of rows and dropout.
    n_threads, device, verbose
        As for :class:`MatrixFactorization`.

    Attributes
    ----------
    input_weights_ : ndarray of shape (n_columns, layers[0]), float32
        V, a row per item (user-based) or per user (item-based).
    rated_weights_ : ndarray of shape (n_columns, layers[0]), float32, or None
        W, in the same way; None with ``rated_input=0``.
    hidden_weights_ : tuple of ndarray (inputs, outputs), float32
        Of the layers between, encoder first; the decoder's are missing where they are tied.
    hidden_biases_ : tuple of ndarray, float32
        Of all hidden layers.
    output_weights_ : ndarray of shape (n_columns, layers[0]), float32
        U, centres included; the input weights where tied.
    output_bias_ : ndarray of shape (n_columns,), float32
        c.
    user_factors_, item_factors_, user_bias_, item_bias_, global_mean_
        The network as a factor model, by which it predicts and ranks: the factors of one side are the hidden values of
        a row minus those of a row without ratings, times ``scale_.gain``; those of the other side are the rows of U.
    scale_ : Scale
        The offset and the divisor of the normalisation.
    mean_rating_ : float
        Mean of the training ratings, or labels, by their weights.
    history_ : list of dict
        A record per epoch, from epoch 0, before training: ``epoch``, ``cost``, ``train_rmse``, ``validation_rmse``
        (None without validation ratings), ``learning_rate`` (None for epoch 0), ``seconds``; for labels and choices
        ``train_log_loss`` and ``validation_log_loss``, for choices the mean of −log of the probability of a choice
        among all items. All are measured at the parameters after the epoch, nothing
        dropped. ``cost`` is the objective. Its first term and the training error are taken over the training ratings
        up to 65,536, else over a 16th of them (16,384 to 65,536) in whole rows, drawn once by the seed; for
        choices, of no more than 4 million outputs or 64 rows.
    users_, items_, seen_, rating_range_, n_epochs_, device_
        As for every model; see :class:`fastcf.MatrixFactorization`.
    reg_, learning_rate_, batch_size_ : float, float, int
        The values used.
    input_dropout_ : float
        The share of all known ratings that is removed from the input in training.

    See Also
    --------
    Blend : A weighted average of several models.
    MatrixFactorization : Explains validation and callbacks; learns labels too.

    Notes
    -----
    An unknown row (a user of a user-based model, an item of an item-based one) is predicted as one without ratings,
    f(0). An unknown column is predicted by the known means and biases (with an ``output_activation``, by
    ``mean_rating_``). ``fold_in`` and ``history`` compute new rows of the model's ``orientation`` by the network, which
    does not change, without the ratings of unknown columns.

    With the multinomial cost scores are f(x), which rank the items of one user; they are no ratings and have no limits.
    A user without choices gets popular items. What is stored with a value below the threshold is not asked for and, by
    ``exclude_seen``, not recommended; with a ``rated_input`` the network is told of it.

    Memory in training: parameters times 3 to 5, by optimiser, effects of ``rated_output`` among them; 12 bytes per
    rating, 32 with ``rated_output``; batch size times the widest layer.
    Only ``dense_refeeding`` and the multinomial cost hold batch size times columns (those of the softmax).

    References
    ----------
    S. Sedhain, A. Menon, S. Sanner and L. Xie, "AutoRec: autoencoders meet collaborative filtering", WWW 2015 (the
    masked objective; item-based). R. Salakhutdinov, A. Mnih and G. Hinton, "Restricted Boltzmann machines for
    collaborative filtering", ICML 2007, and Y. Koren, "Factorization meets the neighborhood", KDD 2008 (the
    indicator of known ratings as an input, divided by √n). O. Kuchaiev and B. Ginsburg, "Training deep autoencoders for
    collaborative filtering", 2017 (deep, SELU, tied weights, dropout, dense re-feeding). P. Vincent, H. Larochelle,
    Y. Bengio and P.-A. Manzagol, "Extracting and composing robust features with denoising autoencoders", ICML 2008
    (dropped inputs). D. Liang, R. G. Krishnan, M. D. Hoffman and T. Jebara, "Variational autoencoders for collaborative
    filtering", WWW 2018 (the multinomial cost).

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(500, 300, 20_000, random_state=0)
    >>> train, test = fastcf.data.train_test_split(ratings, random_state=0)
    >>> model = fastcf.Autoencoder(layers=(32,), random_state=0).fit(train)
    >>> model.score(test) > fastcf.BiasModel().fit(train).score(test)
    True
    >>> model.recommend(train.users.ids[:2], n=3).items.shape
    (2, 3)
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "layers": (Sizes(1 << 20),),
        "cost": (OneOf((*COSTS, "multinomial")), Instance(Multinomial)),
        "threshold": (Interval(), Nothing()),
        "strength": (OneOf(STRENGTHS),),
        "orientation": (OneOf(("auto", "item", "user")),),
        "activation": (OneOf(ACTIVATIONS),),
        "output_activation": (OneOf(ACTIVATIONS),),
        "tied": (Boolean(),),
        "dropout": (Interval(0, 0.999),),
        "alpha_dropout": (Boolean(),),
        "input_dropout": (Interval(0, 0.999), OneOf(("auto",))),
        "rated_input": (Interval(0, 1e6), OneOf(("auto",))),
        "rated_output": (Boolean(), OneOf(("auto",))),
        "dense_refeeding": (Interval(0, 1000, integer=True),),
        "normalize": (OneOf(("bias", "item", "user", "global")), Nothing()),
        "reg": (Interval(0), OneOf(("auto",))),
        "optimizer": (OneOf(OPTIMIZERS), Instance(Optimizer)),
        "batch_size": (Interval(1, integer=True), OneOf(("auto",))),
        "n_epochs": (Interval(1, integer=True),),
        "patience": (Interval(1, integer=True), Nothing()),
        "init": (OneOf(INITS),),
        "random_state": (RandomSeed(),),
        "verbose": VERBOSE,
        **Estimator._constraints,
    }

    layers: Iterable[int] = (128,)
    _: KW_ONLY
    cost: str | Multinomial = "squared"
    threshold: float | None = None
    strength: str = "one"
    orientation: str = "auto"
    activation: str = "tanh"
    output_activation: str = "identity"
    tied: bool = False
    dropout: float = 0.0
    alpha_dropout: bool = False
    input_dropout: float | str = "auto"
    rated_input: float | str = "auto"
    rated_output: bool | str = "auto"
    dense_refeeding: int = 0
    normalize: str | None = "bias"
    reg: float | str = "auto"
    optimizer: str | Optimizer = "adam"
    batch_size: int | str = "auto"
    n_epochs: int = 30
    patience: int | None = None
    init: str = "small"
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
        validation: Any = None,
        validation_metric: Metric | None = None,
        validation_every: int = 1,
        validation_users: int | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        check_gradients: bool = False,
    ) -> Autoencoder:
        """Learn the network.

        Parameters
        ----------
        X, y, sample_weight, validation, callbacks, checkpoint, check_gradients
            As for :meth:`MatrixFactorization.fit`; a ``threshold`` cuts validation ratings, too. They are predicted
            from the training ratings, nothing dropped.
        validation_metric, validation_every, validation_users, checkpoint_every
            As for :meth:`MatrixFactorization.fit`.

        Returns
        -------
        Autoencoder
            Itself.

        Raises
        ------
        TypeError, ValueError, DeviceError, GradientCheckError, DivergenceError, KeyboardInterrupt
            As for :meth:`MatrixFactorization.fit`.
        """
        caller = self._caller
        ratings, backend = self._begin_fit(X, y, sample_weight)
        self._check_combinations()
        targets = self._targets
        watched = self._validation(validation, ratings, validation_metric, validation_every, validation_users)
        kept = self._checkpoint(checkpoint, checkpoint_every, backend, ratings=ratings, **watched.described())
        ratings = targets.of_training(ratings, caller)
        held_out = None
        if watched.of_trainer is not None:
            held_out = targets.of_ratings(watched.of_trainer, f"{caller}: validation")
        seed = kept.seed(self.random_state)
        reg = self._penalty(ratings, backend, seed, kept)
        problem = self._problem(ratings, held_out, backend, seed, reg)
        if check_gradients:
            compare_gradients(network_objective(problem), max_coordinates=20).require(caller)
        self._train(
            NetworkTrainer(problem),
            n_epochs=self.n_epochs,
            patience=self.patience,
            validation=watched,
            callbacks=callbacks,
            checkpoint=kept,
            verbose=self.verbose,
        )
        return self

    def shortened(self, n_fits: int = 1) -> Autoencoder:
        """Return an unfitted copy with half the epochs, but 15 at least (or as many as there are).

        Parameters
        ----------
        n_fits : int, default 1
            Without effect: after fewer epochs a network does not show how good it will be.

        Returns
        -------
        Autoencoder
        """
        shorter: Autoencoder = clone(self)
        return shorter.set_params(n_epochs=max(self.n_epochs // 2, min(self.n_epochs, _FIRST_EPOCHS)))

    def objective(self, ratings: Ratings, seed: int) -> Objective:
        """Return the objective as a function of the parameters, at random ones, for :func:`check_gradients`.

        Parameters
        ----------
        ratings : Ratings
            The ratings; the first rows are used.
        seed : int
            Draws the parameters and what is dropped.

        Returns
        -------
        Objective

        Raises
        ------
        TypeError, ValueError
            If a parameter or the ratings are not as described.
        """
        caller = "check_gradients"
        validate_parameters(self._constraints, self.get_params(deep=False), caller)
        self._check_combinations()
        backend = resolve_device(self.device, caller)
        return network_objective(self._problem(self._targets.of_ratings(ratings, caller), None, backend, seed))

    def _check_combinations(self) -> None:
        """Refuse combinations of parameters that exclude each other or have no effect."""
        caller = self._caller
        self._targets.check(caller)
        if as_cost(self.cost) is not None:
            ignored = ("output_activation", "dense_refeeding", "normalize")
            self._refuse_ignored(ignored, "for cost='multinomial'")
            if self._orientation != "user":
                raise ValueError(
                    f"{caller}: orientation must be 'user' or 'auto' for cost='multinomial', whose softmax is over the "
                    f"items of a user; got {self.orientation!r}"
                )
            return self._check_options()
        self._refuse_ignored(["strength"], f"for cost={self.cost!r}")
        if self.cost == "logistic":
            for name, wanted in (("output_activation", "identity"), ("dense_refeeding", 0)):
                got = getattr(self, name)
                if got != wanted:
                    raise ValueError(f"{caller}: {name} must be {wanted!r} for cost='logistic'; got {got!r}")
        self._check_options()
        with_output = f"with output_activation={self.output_activation!r}"
        if self.output_activation in BOUNDED:
            self._refuse_ignored(["normalize"], with_output)
        elif self.output_activation != "identity" and self.normalize not in ("global", None):
            raise ValueError(f"{caller}: normalize must be 'global' or None {with_output}; got {self.normalize!r}")

    def _check_options(self) -> None:
        if self.dropout == 0:
            self._refuse_ignored(["alpha_dropout"], "with dropout=0")
        without = self._without_centres
        if without is not None and self.rated_output not in ("auto", False):
            raise ValueError(
                f"{self._caller}: rated_output must be False or 'auto' with {without}; got {self.rated_output!r}"
            )

    @property
    def _without_centres(self) -> str | None:
        """The parameter with which output weights have no centres, or None."""
        if as_cost(self.cost) is not None:
            return "cost='multinomial'"
        if self.tied:
            return "tied=True"
        return "dense_refeeding" if self.dense_refeeding else None

    @property
    def _targets(self) -> Targets:
        if as_cost(self.cost) is not None:
            return Choices(threshold=self.threshold, strength=self.strength)
        return Targets(str(self.cost), self.threshold, soft=True)

    @property
    def _orientation(self) -> str:
        return _orientation(self.cost) if self.orientation == "auto" else self.orientation

    @property
    def _architecture(self) -> Architecture:
        layers = tuple(int(size) for size in self.layers)
        rated_input = _rated_input(self.cost) if isinstance(self.rated_input, str) else self.rated_input
        return Architecture(layers, self.activation, self.output_activation, bool(self.tied), float(rated_input))

    def _penalty(self, ratings: Ratings, backend: Backend, seed: int, kept: Checkpoint) -> float | None:
        """Return the penalty that held-out ratings or labels choose; None: that of ``_problem``."""
        if not isinstance(self.reg, str) or as_cost(self.cost) is not None:
            return None
        problem_of = partial(self._problem, validation=None, backend=backend, seed=seed)
        found = kept.settled("reg", lambda: searched_penalty(ratings, problem_of, self._caller, int(self.verbose)))
        return float(found)

    def _found(self, state: State) -> dict[str, Any]:
        return {"reg": state.learnt.reg} if isinstance(self.reg, str) and not state.targets.choices else {}

    def _problem(
        self, ratings: Ratings, validation: Ratings | None, backend: Backend, seed: int, reg: float | None = None
    ) -> NetworkProblem:
        orientation, bounded, choices = self._orientation, self.output_activation in BOUNDED, as_cost(self.cost)
        if choices is not None:
            scale, auto = choice_scale(ratings.n_users, ratings.n_items), _CHOICE_REG
        elif self.cost == "logistic":
            scale = fit_label_scale(ratings, backend, self.normalize, orientation, self._threads)
            auto = _LABEL_REG
        else:
            scale = fit_scale(ratings, backend, self.normalize, self.output_activation, orientation, self._threads)
            auto = _REG
        n_rows = ratings.n_users if orientation == "user" else ratings.n_items
        fewest = _FEWEST_ROWS if choices is None else _FEWEST_USERS
        optimizer = as_optimizer(self.optimizer, self._caller)
        default = None if self.cost == "squared" else _INPUT_DROPOUT
        dropped = default if isinstance(self.input_dropout, str) else float(self.input_dropout)
        return NetworkProblem(
            ratings,
            validation,
            self._targets,
            orientation,
            self._architecture,
            scale,
            dropout=self.dropout,
            alpha_dropout=self.alpha_dropout,
            input_dropout=dropout_of_rows(rows_to_train_on(ratings, orientation), dropped),
            dense_refeeding=self.dense_refeeding,
            rated_output=self._without_centres is None if self.rated_output == "auto" else bool(self.rated_output),
            reg=reg if reg is not None else auto if isinstance(self.reg, str) else float(self.reg),
            penalised_bias=self.normalize == "bias" and not bounded and choices is None,
            optimizer=optimizer,
            learning_rate=optimizer.first_rate(_RATES),
            batch_size=rows_per_step(n_rows, fewest) if isinstance(self.batch_size, str) else int(self.batch_size),
            n_epochs=self.n_epochs,
            init=self.init,
            seed=seed,
            backend=backend,
            n_threads=self._threads,
            n_negatives=0 if choices is None else choices.sampled(ratings.n_items),
        )

    # -------------------------------------------------------------------------------------------------------
    # Rows
    # -------------------------------------------------------------------------------------------------------

    def encode(self, X: Any, y: ArrayLike | None = None, *, strict: bool = False) -> NDArray[np.float32]:
        """Return the codes of rows: the values of the encoder's last layer.

        Parameters
        ----------
        X, y
            Ratings as for ``fit``: of users or, where the model is item-based, of items. Training ratings or new ones.
        strict : bool, default False
            Whether ratings of unknown items (users) are an error; otherwise they are left out.

        Returns
        -------
        ndarray of shape (n_rows, layers[-1]), float32
            In the order of the ids of ``X`` (ascending): ``Ratings.users`` or ``Ratings.items``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If the ratings are not as described, or ``strict`` and an id is unknown.
        """
        caller = f"{type(self).__name__}.encode"
        state = self._fitted("encode")
        network: Network = state.learnt
        refuse_other_names(state.feature_names, X, caller)
        ratings = state.targets.of_ratings(as_ratings(X, y, caller=caller), caller)
        columns = state.items if network.orientation == "user" else state.users
        rated = rated_side(ratings, network.orientation, columns, caller, strict=strict, n_threads=self.n_threads)
        return network.codes(rated, self._compute(state, caller))

    def reconstruct(self, X: Any, y: ArrayLike | None = None, *, strict: bool = False) -> NDArray[np.float32]:
        """Return f(x): the predicted ratings of whole rows, given their ratings.

        Parameters
        ----------
        X, y, strict
            As for :meth:`encode`.

        Returns
        -------
        ndarray of shape (n_rows, n_items), float32
            Where the model is item-based (n_users, n_rows): always users by items. 4 bytes per entry.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for :meth:`encode`.
        """
        caller = f"{type(self).__name__}.reconstruct"
        state = self._fitted("reconstruct")
        refuse_other_names(state.feature_names, X, caller)
        ratings = state.targets.of_ratings(as_ratings(X, y, caller=caller), caller)
        compute = self._compute(state, caller)
        folded = self._folded(state, ratings, state.learnt.orientation, compute, caller, strict)
        return self._with_state(folded).predict_matrix()

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def _pack(self, state: State) -> Packed:
        network: Network = state.learnt
        scores, architecture, scale = state.scores.as_factors(), network.architecture, network.scale
        assert scores is not None
        factors = ("output_weights", "input_weights") if architecture.tied else ("output_weights",)
        arrays = {name: array for name, array in network.parameters.named().items() if name not in factors}
        arrays |= {"row_offsets": scale.rows, "column_offsets": scale.columns, **factor_arrays(scores)}
        meta = {
            "scale": [scale.mean, scale.unit, None if np.isinf(scale.row_reg) else scale.row_reg],
            "global_mean": scores.global_mean,
            **{name: getattr(network, name) for name in _NUMBERS},
        }
        # Of the fit, even if parameters have been set since.
        params = {**asdict(architecture), "layers": list(architecture.layers), "orientation": network.orientation}
        params |= {"cost": state.targets.cost, "threshold": state.targets.threshold}
        if isinstance(state.targets, Choices):
            cost = self.cost.to_dict() if isinstance(self.cost, Multinomial) else "multinomial"
            params |= {"cost": cost, "strength": state.targets.strength}
        kind = "multinomial" if state.targets.choices else state.targets.cost
        auto = {"orientation": _orientation(kind), "rated_input": _rated_input(kind)}
        for name, value in auto.items():  # what was left to the library stays so
            if getattr(self, name) == "auto" and params[name] == value:
                params[name] = "auto"
        return Packed(arrays, {**meta, "rated_input": architecture.rated_input}, params=params)

    @classmethod
    def _unpack_params(cls, archive: Archive) -> dict[str, Any]:
        return {**archive.params, "layers": tuple(archive.params["layers"])}

    def _unpack(self, archive: Archive, common: State) -> State:
        meta = {"input_dropout": archive.params["input_dropout"], **archive.meta}  # files of before have one number
        rated_input = meta.get("rated_input", self._architecture.rated_input)  # files of before have no "auto"
        architecture = replace(self._architecture, rated_input=float(rated_input))
        scores = factors_from(archive, common)
        n_rows, n_columns, output_weights = len(common.users), len(common.items), scores.item_factors
        if self._orientation == "item":
            n_rows, n_columns, output_weights = n_columns, n_rows, scores.user_factors
        width = architecture.layers[0]
        if output_weights.shape[1] != width:
            raise DataError(f"{archive.path}: factors must have {width} columns; got {output_weights.shape[1]}")
        mean, unit, row_reg = meta["scale"]
        scale = Scale(
            float(mean),
            float(unit),
            archive.array("row_offsets", np.float32, (n_rows,)),
            archive.array("column_offsets", np.float32, (n_columns,)),
            np.inf if row_reg is None else float(row_reg),
            self.cost == "logistic",
            as_cost(self.cost) is not None,
        )
        if not (np.isfinite(scale.mean) and scale.unit > 0 and scale.row_reg >= 0):
            raise ValueError(f"a scale of {meta['scale']}")

        def table(name: str) -> NDArray[np.float32]:
            return archive.array(name, np.float32, (n_columns, width))

        def hidden(name: str) -> list[NDArray[np.float32]]:
            shapes = getattr(architecture, name)
            return [archive.array(f"{name}_{n}", np.float32, shape) for n, shape in enumerate(shapes)]

        parameters = Parameters(
            output_weights if architecture.tied else table("input_weights"),
            None if architecture.tied else output_weights,
            archive.array("output_bias", np.float32, (n_columns,)),
            hidden("hidden_weights"),
            hidden("hidden_biases"),
            table("rated_weights") if architecture.rated_input else None,
        )
        network = Network.of(
            architecture,
            self._orientation,
            scale,
            parameters,
            self._compute(common, "load"),
            **{name: kind(meta[name]) for name, kind in _NUMBERS.items()},
        )
        return common.replaced(
            scores=scores.replaced(link=network.link),
            learnt=network,
            targets=self._targets,
            folding=NetworkFolding(self._orientation),
        )


def _orientation(cost: Any) -> str:
    """Return the rows of ``orientation="auto"``."""
    return "item" if as_cost(cost) is None else "user"


def _rated_input(cost: Any) -> float:
    """Return the size of the second input of ``rated_input="auto"``."""
    return _RATED_INPUT if as_cost(cost) is None else _CHOSEN_INPUT
