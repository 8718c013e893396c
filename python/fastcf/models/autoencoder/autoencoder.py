"""The masked autoencoder: a deep network that is fed what is rated and asked for everything."""

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
from fastcf.models._encoded import EncodedMixin
from fastcf.models._labels import labelled
from fastcf.models._network import (
    ACTIVATIONS,
    INITS,
    draw_parameters,
    network_objective,
    penalises_output_bias,
    scale_of,
)
from fastcf.models._network_rows import BOUNDED, Scale, TrainingRows, rows_to_train_on
from fastcf.models._parameters import Boolean, Constraint, Instance, Interval, Nothing, OneOf, RandomSeed, Sizes
from fastcf.models._training import train
from fastcf.optimizers import OPTIMIZERS, SCHEDULES, Optimizer, as_optimizer, learning_rate_at
from fastcf.ratings import Ratings
from fastcf.serialization import register

__all__ = ["Autoencoder"]

_RATES = {"adam": 0.004, "adagrad": 0.03, "adadelta": 1.0}
_GRADIENT_RATE = 0.005
_REG, _LABEL_REG = 500.0, 250.0
_FEWEST_ROWS, _MOST_ROWS, _STEPS_PER_EPOCH = 128, 1024, 64


@register
class Autoencoder(EncodedMixin):
    r"""Masked autoencoder of ratings: ``f(x) = g_o(U h(V x + W r) + c)``.

    A user's (or, item-based, an item's) known ratings x go through an encoder and a decoder that mirrors it; what comes
    out are predictions of all. Beside the ratings the network is fed which there are, r: what people choose to rate
    says much about them, whatever they say of it. Minimises, over the known ratings only,
    ``(Σ w (f(x) − y)² + λ/2 ‖weights‖²) / Σ w``,
    where y are the normalised ratings and x the same, or fewer where inputs are dropped. For labels, with the logistic
    cost, it is ``(2 Σ w (softplus(z) − y z) + λ/2 ‖weights‖²) / Σ w``, z being f(x) and the log-odds by the biases, and
    x how far labels are from the probabilities by the biases. Batches of rows are exact and sparse at both ends: the
    first layer gathers rated rows, the last computes rated outputs, and rows of weights that a batch does not touch
    take their steps when they are next looked at.

    Parameters
    ----------
    layers : sequence of int, default (128,)
        Sizes of the encoder's layers, at least one; the decoder mirrors them. The Netflix study's is (512, 512, 1024).
    cost : {"squared", "logistic"}, default "squared"
        Of ratings; or of labels, whose probabilities are predicted.
    threshold : float, optional
        For the logistic cost: ratings of at least this are label 1, others 0. By default ratings are labels in [0, 1].
    orientation : {"item", "user"}, default "item"
        Whose ratings are a row: "item" has a network that knows what the raters of an item say, usually the more
        accurate; "user" one that new users can be folded into.
    activation : {"sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "identity"}, default "tanh"
        g of the hidden layers.
    output_activation : str, default "identity"
        g_o, one of the same. With "sigmoid" and "tanh" ratings are mapped from their range onto g_o's. The logistic
        cost takes "identity" only: outputs are log-odds.
    tied : bool, default False
        Whether the decoder's weights are the encoder's, transposed (and the gradients of both summed).
    dropout : float, default 0.0
        Share of the encoder's hidden values dropped in training, in [0, 1).
    alpha_dropout : bool, default False
        Dropout that keeps mean and variance of SELU's values instead of the mean.
    input_dropout : float, default 0.5
        Share of the known ratings that the network is not fed but asked for all the same, in [0, 1); those that are fed
        are divided by what is left. Otherwise it may learn to copy.
    rated_input : float, default 30.0
        What is fed for being rated: r is ``rated_input / √n`` at the n known ratings of a row and 0 elsewhere, dropped
        together with them; 0 feeds ratings only. The larger, the faster W learns and the less it is penalised.
    dense_refeeding : int, default 0
        How often f(x) is fed again, as dense rows, after each batch, with a step towards ``f(f(x)) = f(x)``; there r
        is 0. Costs time and memory of rows times columns. Not with the logistic cost.
    normalize : {"bias", "item", "user", "global"} or None, default "bias"
        What is subtracted from ratings before they are divided by the standard deviation of what is left: the mean with
        biases of users and items (:class:`BiasModel`), each item's or user's mean, the mean of all; None feeds ratings
        as they are. Any but "global" and None goes with ``output_activation="identity"`` only; bounded outputs have a
        mapping of their own and ignore it. With the logistic cost predictions begin at the log-odds of the same.
    reg : float or "auto", default "auto"
        λ, at least 0, in ratings: the penalty of the weights, and with ``normalize="bias"`` of the output biases, which
        then only refine what was fitted. "auto" is 500, or 250 with the logistic cost, which is flatter. Rows of
        weights of users and items that are not in a batch shrink too, exactly, under "gd", "momentum" and "nesterov";
        under the others each rating carries its share of the penalty.
    optimizer : str or Optimizer, default "adam"
        "gd", "momentum", "nesterov", "adagrad", "adadelta", "adam", or an instance of a class of
        :mod:`fastcf.optimizers`.
    learning_rate : float or "auto", default "auto"
        Step size of the first epoch. "auto" is 0.004 with Adam, 0.03 with AdaGrad, 1 with AdaDelta, else 0.005.
    schedule : {"linear", "cosine", "constant", "inverse", "exponential"}, default "linear"
        How the step size falls, see :func:`fastcf.optimizers.learning_rate_at`.
    decay : float, default 0.1
        The constant of the last two schedules, in [0, 1].
    batch_size : int or "auto", default "auto"
        Rows per step. "auto" is a sixty-fourth of the rows rounded down to a power of two, but at least 128 and at most
        1,024: a step passes over the weights of all that its rows have rated, which on large sets is what takes time.
    n_epochs : int, default 30
        Passes over the rows (at most, with ``patience``).
    patience : int or None, default None
        With validation ratings: stop after so many epochs that did not lower their error; None: never. The parameters
        of the best epoch are kept either way.
    min_delta : float, default 0.0
        By how much an epoch must lower the validation error to count as an improvement.
    init : {"small", "lecun", "glorot", "normal", "uniform"}, default "small"
        Distribution of the first weights. "lecun": normal with variance 1/inputs (for SELU, Klambauer et al. 2017);
        "small": the same, but a tenth as large at both ends, so that predictions begin near the offsets and units of
        the first layer near their middle; "glorot": uniform with variance 2/(inputs + outputs); "normal": with standard
        deviation 0.05; "uniform": on ±0.05. The first layer counts the known inputs of a row, by their mean square.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the first weights, the order of rows and what is dropped.
    n_threads : int, optional
        Threads to use; all by default. The same seed gives the same bits for any number of threads (on one instruction
        set and BLAS).
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where to compute; only "auto" may fall back. What ran is in ``device_``.
    verbose : {0, 1, 2}, default 0
        Silent; a progress bar; a line per epoch.

    Attributes
    ----------
    input_weights_ : ndarray of shape (n_columns, layers[0]), float32
        V, a row per item (user-based) or per user (item-based).
    rated_weights_ : ndarray of shape (n_columns, layers[0]), float32, or None
        W, likewise; None with ``rated_input=0``.
    hidden_weights_ : list of ndarray (inputs, outputs), float32
        Of the layers between, encoder first; the decoder's are not there where they are tied.
    hidden_biases_ : list of ndarray, float32
        Of all hidden layers.
    output_weights_ : ndarray of shape (n_columns, layers[0]), float32
        U; the input weights where tied.
    output_bias_ : ndarray of shape (n_columns,), float32
        c.
    user_factors_, item_factors_, user_bias_, item_bias_, global_mean_
        The same as a factor model, which prediction goes by: the hidden values of a row, less those of an empty one,
        times ``scale_.gain``, are one side; U is the other.
    scale_ : Scale
        What is subtracted and divided by.
    mean_rating_ : float
        Mean of the training ratings, by their weights.
    users_, items_, seen_, rating_range_, history_, n_epochs_, device_
        As for :class:`MatrixFactorization`, with ``train_log_loss`` and ``validation_log_loss`` for labels. Costs of
        ``history_`` are the objective, errors taken just before each step and with whatever was dropped.
    reg_, learning_rate_, batch_size_ : float, float, int
        What "auto" came to.

    See Also
    --------
    Blend : A weighted average of several models.
    MatrixFactorization : Explains validation and callbacks.
    LogisticMatrixFactorization : Labels by a factorisation.

    Notes
    -----
    Memory in training: parameters times 2 to 4, by optimiser; 12 bytes per rating; batch size times the widest layer.
    Only ``dense_refeeding`` holds batch size times columns.

    References
    ----------
    S. Sedhain, A. Menon, S. Sanner and L. Xie, "AutoRec: autoencoders meet collaborative filtering", WWW 2015 (the
    masked objective; item-based). R. Salakhutdinov, A. Mnih and G. Hinton, "Restricted Boltzmann machines for
    collaborative filtering", ICML 2007, and Y. Koren, "Factorization meets the neighborhood", KDD 2008 (which ratings
    there are as an input of its own, divided by √n). O. Kuchaiev and B. Ginsburg, "Training deep autoencoders for
    collaborative filtering", 2017 (deep, SELU, tied weights, dropout, dense re-feeding). P. Vincent, H. Larochelle,
    Y. Bengio and P.-A. Manzagol, "Extracting and composing robust features with denoising autoencoders", ICML 2008
    (dropped inputs).

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
        "cost": (OneOf(("squared", "logistic")),),
        "threshold": (Interval(), Nothing()),
        "orientation": (OneOf(("item", "user")),),
        "activation": (OneOf(ACTIVATIONS),),
        "output_activation": (OneOf(ACTIVATIONS),),
        "tied": (Boolean(),),
        "dropout": (Interval(0, 0.999),),
        "alpha_dropout": (Boolean(),),
        "input_dropout": (Interval(0, 0.999),),
        "rated_input": (Interval(0, 1e6),),
        "dense_refeeding": (Interval(0, 1000, integer=True),),
        "normalize": (OneOf(("bias", "item", "user", "global")), Nothing()),
        "reg": (Interval(0), OneOf(("auto",))),
        "optimizer": (OneOf(OPTIMIZERS), Instance(Optimizer)),
        "learning_rate": (Interval(0, open_low=True), OneOf(("auto",))),
        "schedule": (OneOf(SCHEDULES),),
        "decay": (Interval(0, 1),),
        "batch_size": (Interval(1, integer=True), OneOf(("auto",))),
        "n_epochs": (Interval(1, integer=True),),
        "patience": (Interval(1, integer=True), Nothing()),
        "min_delta": (Interval(0),),
        "init": (OneOf(INITS),),
        "random_state": (RandomSeed(),),
        "verbose": (Interval(0, 2, integer=True),),
        **EncodedMixin._constraints,
    }
    _state = (*EncodedMixin._state, "history_", "n_epochs_", "reg_", "learning_rate_", "batch_size_", "mean_rating_")

    def __init__(
        self,
        layers: Iterable[int] = (128,),
        *,
        cost: str = "squared",
        threshold: float | None = None,
        orientation: str = "item",
        activation: str = "tanh",
        output_activation: str = "identity",
        tied: bool = False,
        dropout: float = 0.0,
        alpha_dropout: bool = False,
        input_dropout: float = 0.5,
        rated_input: float = 30.0,
        dense_refeeding: int = 0,
        normalize: str | None = "bias",
        reg: float | str = "auto",
        optimizer: str | Optimizer = "adam",
        learning_rate: float | str = "auto",
        schedule: str = "linear",
        decay: float = 0.1,
        batch_size: int | str = "auto",
        n_epochs: int = 30,
        patience: int | None = None,
        min_delta: float = 0.0,
        init: str = "small",
        random_state: RandomState = None,
        n_threads: int | None = None,
        device: str = "auto",
        verbose: int = 0,
    ) -> None:
        self.layers = layers
        self.cost = cost
        self.threshold = threshold
        self.orientation = orientation
        self.activation = activation
        self.output_activation = output_activation
        self.tied = tied
        self.dropout = dropout
        self.alpha_dropout = alpha_dropout
        self.input_dropout = input_dropout
        self.rated_input = rated_input
        self.dense_refeeding = dense_refeeding
        self.normalize = normalize
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

    # -------------------------------------------------------------------------------------------------------
    # Training
    # -------------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        validation: Any = None,
        callbacks: Iterable[Callback] = (),
        check_gradients: bool = False,
    ) -> Autoencoder:
        """Learn the network.

        Parameters
        ----------
        X, y, validation, callbacks, check_gradients
            As for :meth:`MatrixFactorization.fit`; with a ``threshold`` validation ratings are cut, too. They are
            predicted from the training ratings, nothing dropped.

        Returns
        -------
        Autoencoder
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
        caller = "Autoencoder.fit"
        ratings, backend = self._begin_fit(X, y)
        self._check_threshold()
        for name, wanted in (("output_activation", "identity"), ("dense_refeeding", 0)):
            got = getattr(self, name)
            if self._is_logistic and got != wanted:
                raise ValueError(f"{caller}: {name} must be {wanted!r} for cost='logistic'; got {got!r}")
        if self.normalize not in ("global", None) and self._squashes and self.output_activation not in BOUNDED:
            raise ValueError(
                f"{caller}: normalize must be 'global' or None with output_activation={self.output_activation!r}; "
                f"got {self.normalize!r}"
            )
        ratings = labelled(ratings, self._labels(ratings, caller))
        held_out = None
        if validation is not None:
            held_out = self._validation_ratings(validation)
            held_out = labelled(held_out, self._labels(held_out, f"{caller}: validation"))
        seed = seed_from(self.random_state, caller)
        optimizer = as_optimizer(self.optimizer, caller)
        self.learning_rate_ = (
            _RATES.get(optimizer.name, _GRADIENT_RATE) if self.learning_rate == "auto" else float(self.learning_rate)
        )
        auto = _LABEL_REG if self._is_logistic else _REG
        self.reg_ = auto if isinstance(self.reg, str) else float(self.reg)
        if check_gradients:
            compare_gradients(network_objective(self, ratings, backend, seed), max_coordinates=20).require(caller)
        rows = rows_to_train_on(ratings, self.orientation)
        self.batch_size_ = _batch_size(rows) if isinstance(self.batch_size, str) else int(self.batch_size)
        scale = scale_of(self, ratings, backend)
        self._remember(ratings, backend)
        if self._is_logistic:
            self.rating_range_ = (0.0, 1.0)
        self.history_: list[dict[str, Any]] = []
        self.n_epochs_ = 0
        self.scale_ = scale
        self.mean_rating_ = float(np.average(ratings.values.astype(np.float64), weights=ratings.weights))
        inputs = scale.normalised(rows.csr, scale.rows)
        parameters = draw_parameters(
            backend,
            rows.n_columns,
            self._sizes,
            self.tied,
            self.init,
            _known_squares(inputs, rows),
            float(self.rated_input),
            seed,
            self._threads,
        )
        unrated = np.bincount(rows.csr[1], minlength=rows.n_columns) == 0
        for table in (parameters[0], parameters[1], parameters[5]):
            if table is not None:
                table[unrated] = 0  # where nothing is learnt, nothing is to be said
        with single_threaded_blas():
            trainer = self._trainer(backend, rows, inputs, scale, optimizer, seed)
            trainer.set_parameters(parameters)
            if held_out is not None:
                trainer.set_validation(*self._held_out(held_out, ratings, scale), scale.gain)
            total = float(inputs.size if rows.weights is None else rows.weights.sum(dtype=np.float64))
            error = "log_loss" if self._is_logistic else "rmse"

            def run_epoch(epoch: int) -> dict[str, Any]:
                rate = learning_rate_at(self.schedule, self.learning_rate_, epoch, self.n_epochs, self.decay)
                loss = trainer.epoch(rate) / total
                learnt, measured = loss / 2 if self._is_logistic else scale.unit * math.sqrt(loss), None
                if held_out is not None and self._is_logistic:
                    measured = trainer.validation_log_loss() / held_out.nnz
                elif held_out is not None:
                    measured = math.sqrt(trainer.validation_squared_error() / held_out.nnz)
                return {
                    "cost": loss + trainer.penalty(),
                    f"train_{error}": learnt,
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
                self._learnt(parameters, rows, inputs)
        return self

    def _trainer(
        self,
        backend: Backend,
        rows: TrainingRows,
        inputs: NDArray[np.float32],
        scale: Scale,
        optimizer: Optimizer,
        seed: int,
    ) -> Any:
        name, *constants = optimizer.constants
        total = float(inputs.size if rows.weights is None else rows.weights.sum(dtype=np.float64))
        low, high = self.rating_range_
        return backend.module.AutoencoderTrainer(
            *rows.csr[:2],
            inputs,
            rows.csr[2] if self._is_logistic else inputs,
            rows.n_columns,
            weights=rows.weights,
            offsets=scale.entry_offsets(rows.csr, scale.rows) if self._is_logistic else None,
            cost=self.cost,
            output_activation=self.output_activation,
            dropout=self.dropout,
            alpha_dropout=self.alpha_dropout,
            input_dropout=self.input_dropout,
            dense_refeeding=self.dense_refeeding,
            optimizer=name,
            weight_decay=self.reg_ / total,
            penalised_bias=penalises_output_bias(self),
            batch_size=self.batch_size_,
            lowest=low,
            highest=high,
            seed=seed,
            n_threads=self._threads,
            **dict(zip(("decay", "second_decay", "epsilon"), constants, strict=True)),
            **self._network_options,
        )

    def _held_out(self, held_out: Ratings, ratings: Ratings, scale: Scale) -> tuple[Any, ...]:
        """Return rows, columns, offsets and ratings of pairs held out."""
        users, items = self._pair_rows(held_out, "fit", strict=False, maps=(ratings.users, ratings.items))
        rows, columns = (users, items) if self.orientation == "user" else (items, users)
        offsets = np.float32(scale.mean) + np.where(rows >= 0, scale.rows[rows], np.float32(0))
        offsets = np.where(columns >= 0, offsets + scale.columns[columns], offsets)
        if self._squashes:
            offsets[columns < 0] = self.mean_rating_
        return rows, columns, offsets.astype(np.float32), np.ascontiguousarray(held_out.values)

    def _objective(self, ratings: Ratings, seed: int) -> Objective:
        """Return the objective as a function of the parameters, at random ones; for gradient checks."""
        backend = resolve_device(self.device, "check_gradients")
        return network_objective(self, labelled(ratings, self._labels(ratings, "check_gradients")), backend, seed)


def _batch_size(rows: TrainingRows) -> int:
    """Return how many rows a step takes, where nobody says."""
    n_rows = rows.csr[0].size - 1
    return min(max(1 << int(math.log2(max(n_rows // _STEPS_PER_EPOCH, 1))), _FEWEST_ROWS), _MOST_ROWS)


def _known_squares(inputs: NDArray[np.float32], rows: TrainingRows) -> float:
    """Return the mean sum of squares of a row's inputs: what the first layer's products add up."""
    filled = int(np.count_nonzero(np.diff(rows.csr[0])))
    return float(np.vdot(inputs, inputs)) / max(filled, 1)
