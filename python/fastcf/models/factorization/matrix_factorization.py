"""Matrix factorisation: users and items as vectors whose inner product predicts the rating."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from fastcf._parameters import VERBOSE, Boolean, Constraint, Instance, Interval, Nothing, OneOf, RandomSeed
from fastcf._random import RandomState, seed_from
from fastcf.errors import DataError
from fastcf.ids import IdMap
from fastcf.models.data_warnings import inside_another_fit
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.factorization.fold_in import LabelFolding, PosteriorFolding, RatingFolding
from fastcf.models.factorization.held_out_search import CENTRED_REG, searched
from fastcf.models.factorization.objective import mf_objective
from fastcf.models.factorization.partial_fit import continued
from fastcf.models.factorization.plan import Plan
from fastcf.models.factorization.problem import Draws, LearntFactors, RatedEffects, Sides, held_out_rows
from fastcf.models.factorization.solvers import SOLVERS, Solver, as_solver
from fastcf.models.factorization.stream import Stream
from fastcf.models.factorization.walk import Hyperparameters
from fastcf.preprocessing import FeatureTable, as_feature_table
from fastcf.ratings import Ratings, as_ratings
from fastcf.scores import FactorScores, Folding, Identity, Posterior, Sigmoid, State, Targets
from fastcf.scores.queries import refuse_other_names
from fastcf.scores.stored import factor_arrays, factors_from
from fastcf.scores.targets import COSTS
from fastcf.serialization import Archive, register
from fastcf.training.callbacks import Callback
from fastcf.training.checkpoint import Checkpoint
from fastcf.training.gradient_check import Objective, compare_gradients
from fastcf.training.loop import check_patience
from fastcf.training.progress import LOGGER
from fastcf.training.validation import Metric

__all__ = ["MatrixFactorization"]

_CHECKED_RATINGS = 20_000  # of fit(check_gradients=True)


@register
@dataclass(eq=False, repr=False)
class MatrixFactorization(Estimator):
    r"""Biased matrix factorisation for ratings or labels: ``m_i + b_u + b_i + p_u·q_i``.

    For ratings, ``cost="squared"``, this is the prediction ŷ_ui, and the fit minimises over the rated pairs
    ``½ Σ w_ui (ŷ_ui − y_ui)² + ½ Σ_u λ n_u^a ‖p_u‖² + ½ Σ_i λ n_i^a ‖q_i‖² + ½ Σ λ_b b²``,
    n_u and n_i being the numbers of ratings of the user and of the item; with ``solver="bayes"`` it averages such
    models over their posterior distribution instead. For labels 0 and 1, ``cost="logistic"``, it is the log-odds z_ui
    of label 1, ``ŷ_ui = σ(z_ui)`` its probability, and ``Σ w_ui (softplus(z_ui) − y_ui z_ui)`` takes the place of the
    squares.

    Parameters
    ----------
    n_factors : int or "auto", default "auto"
        k, the length of the vectors p_u and q_i; at most 65,536. "auto" is searched, see ``reg``; for "bayes" it is 32,
        from 200,000 ratings on 64.
    solver : {"sgd", "als", "bayes", "minibatch", "gd"} or Solver, default "sgd"
        What minimises the objective: an object of :mod:`fastcf.solvers`, which documents the parameters that only it
        uses, or shorthand for one with its defaults. "sgd", :class:`~fastcf.solvers.SGD`: stochastic gradient descent,
        the fastest. "als", :class:`~fastcf.solvers.ALS`: alternating least squares. "bayes",
        :class:`~fastcf.solvers.Gibbs`: Gibbs sampling, the most accurate single model of ratings. "minibatch" and
        "gd", :class:`~fastcf.solvers.GradientDescent`: an optimiser's steps along the gradient of batches or of all
        ratings. "als" and "bayes" are for ratings only.
    cost : {"squared", "logistic"}, default "squared"
        Predict ratings, or probabilities of labels.
    threshold : float or None, default None
        For the logistic cost: ratings of at least this are label 1, others 0. None: the ratings are the labels and must
        be 0 or 1. Refused for the squared cost.
    normalize : {"global", "item"} or None, default "global"
        The offset m_i: the mean rating (for labels the log-odds of label 1, half a label added to each side), each
        item's mean rating (for ratings only), or 0.
    bias : bool, "user" or "item", default True
        Which biases are learnt: both, only b_u, only b_i, or none. They start at the regularised least-squares
        solution, see :class:`BiasModel`.
    reg : float or "auto", default "auto"
        λ, at least 0. "auto" is searched, and so are ``n_epochs`` and ``n_factors`` where they are "auto": a tenth of
        the ratings is held out (of fewer than 100,000 several tenths in turn), models are trained on the rest, and each
        of the three is moved as long as the error of those held out falls by more than chance has it. λ starts at 0.5 σ
        for "sgd" and 1.5 σ for the others, with σ the standard deviation of the residuals of biases. ``rated_input`` of
        "sgd" and "als" is tried, too. A fit takes ten to forty times as long as one whose values are given; above 3 M
        ratings those of some users are searched on. What was found is in ``reg_``, ``n_epochs_``, ``n_factors_``,
        ``rated_effects_``, and in the log. Refused for "bayes", whose priors are learnt, as are the next two.
    bias_reg : float or "auto", default "auto"
        λ_b, at least 0. "auto" estimates one penalty for users and one for items from the data, see :class:`BiasModel`;
        for labels those of the biases on the labels, in the unit of z. Refused without biases.
    reg_scaling : float, "auto", "count" or "none", default "auto"
        The exponent a: 0 ("none") penalises every vector alike, 1 ("count") by its number of ratings (weighted-λ).
        In between, large and small data sets need about the same λ. "auto" is 0.7 for "sgd" and for labels, else 0.5.
    n_epochs : int or "auto", default "auto"
        Passes over the ratings (at most, with validation). "auto" is searched for "sgd", from 20 on, and "als", from
        10 on. It is as many as make 1,500 steps for "minibatch", of labels 3,000, at least 20; 500 for "gd"; for
        "bayes" the burn-in and 100 more.
    patience : int or None, default None
        Stop after this many epochs that did not improve what validation measures (needs ``fit(validation=)``); None:
        never. The parameters of the best epoch are kept either way. With a falling schedule the error may rise for a
        while before the small steps at the end bring it to its lowest, so patience suits the "constant" schedule best.
        For other rules pass a :class:`fastcf.callbacks.EarlyStopping` to ``fit``. Refused for "bayes": no draw is the
        best.
    init : {"normal", "uniform"}, default "normal"
        Distribution of the initial factors: normal with standard deviation ``s``, or uniform on ±``s``.
    init_scale : float or "auto", default "auto"
        s, above 0: factors that start at zero have a gradient of zero and stay there. "auto" is 0.1 √(σ/k), for labels
        0.3 / √k.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the initial factors and the order of the ratings.
    n_threads : int or None, default None
        Threads to use; None: :func:`fastcf.get_num_threads`. The same seed gives the same bits for any number of
        threads, on one instruction set, BLAS and device.
    device : {"auto", "cpu", "cuda", "cuda:0", ...}, default "auto"
        Where to compute; only "auto" may fall back. A process uses one GPU: the one named first, or the current one.
        The device used is ``device_``.
    verbose : {0, 1, 2} or bool, default 0
        Silent; a progress bar, before it one that counts the trainings by which values of "auto" are searched; a line
        per epoch, before that per candidate.

    Attributes
    ----------
    user_factors_, item_factors_ : ndarray of shape (n_users, k), (n_items, k), float32
        p_u and q_i; zero for rows without ratings. After "bayes" k times ``n_samples_`` columns: the draws side by
        side, scaled so that inner products average over them.
    user_bias_, item_bias_ : ndarray of shape (n_users,), (n_items,), float32
        b_u and b_i; zero where ``bias`` leaves them out.
    global_mean_ : float
        The mean offset: the prediction for unknown users and items.
    item_mean_ : ndarray of shape (n_items,), float32, or None
        The items' mean ratings where ``normalize="item"``; the global mean for items without ratings.
    users_, items_ : IdMap
        The caller's ids behind the rows.
    seen_ : SeenItems or None
        The items that each user rated in training.
    rating_range_ : tuple of float
        Smallest and largest rating, (0, 1) for labels; predictions are limited to it.
    history_ : list of dict
        A record per epoch, from epoch 0 before training: ``epoch``, ``cost`` (the objective at the epoch's end),
        ``train_rmse``, ``validation_rmse`` or None (for labels ``train_log_loss``, ``validation_log_loss``),
        ``learning_rate`` or None, ``seconds``. Above 65,536 ratings, costs and training errors are estimated on a
        sample, drawn once: a 16th of the ratings, but 16,384 to 65,536. "bayes" has half the squared error of the
        draw as cost, and the validation error of the mean of the draws so far.
    n_epochs_ : int
        The epoch whose parameters were kept.
    reg_, reg_exponent_, user_bias_reg_, item_bias_reg_, learning_rate_ : float
        The values of "auto", a being the exponent. :meth:`settled` returns a model that has them as parameters.
    n_factors_ : int
        k.
    sigma_, sgd_rate_ : float
        σ (1 for labels), and the step size that "sgd" began with or would have; used by ``partial_fit``.
    rated_effects_ : tuple of (ndarray of shape (d, n_items), ndarray of shape (d, n_users)), float32, or None
        "sgd" and "als" with ``rated_input``: the effects of items on the users who rated them, and of users on items;
        None without. d is k, plus one for the bias, which comes last.
    n_samples_ : int
        "bayes": number of draws.
    draws_ : tuple of arrays
        "bayes": the hyperparameters of the draws, which ``fold_in`` needs.
    noise_variance_ : float
        "bayes": mean variance of a rating of weight 1 around its prediction.
    user_noise_variances_ : ndarray of shape (n_users,), float32, or None
        "bayes" with ``user_noise``: the same of each user's ratings.
    user_bias_samples_, item_bias_samples_ : ndarray of shape (n_samples_, n_users), (n_samples_, n_items), float32
        "bayes": the biases of the draws.
    device_ : str
        The device used.

    See Also
    --------
    BiasModel : The same without factors.
    UserRegression : Ratings or labels from known features of the items.
    fastcf.plot.plot_history : Learning curves.

    Notes
    -----
    Attributes are views of one immutable state, which a fit replaces at its end: other threads get answers of the old
    model or of the new one. New users and items (:meth:`fold_in`, ``history=``) are solved exactly, given the other
    side, with the penalties of the fit: least squares, for labels a logistic regression (which warns with
    ``ConvergenceWarning`` where rows do not settle); after "bayes" every draw is extended by the mean of its new rows'
    posterior.

    Labels tell which of the rated items a user liked. Where every label is 1, as in logs of clicks, there is nothing to
    tell apart.

    References
    ----------
    Y. Koren, R. Bell and C. Volinsky, "Matrix factorization techniques for recommender systems", Computer 42(8), 2009.
    M. Collins, S. Dasgupta and R. Schapire, "A generalization of principal component analysis to the exponential
    family", NIPS 2001 (the logistic cost of an inner product).

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
    >>> liked = fastcf.MatrixFactorization(16, cost="logistic", threshold=4, random_state=0).fit(train)
    >>> fastcf.metrics.roc_auc(test.values >= 4, liked.predict(test)) > 0.7
    True
    """

    _begins = False  # of a copy that is fitted to the ratings so far of a model that began with partial_fit

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "n_factors": (Interval(1, 65536, integer=True), OneOf(("auto",))),
        "solver": (OneOf(SOLVERS), Instance(Solver)),
        "cost": (OneOf(COSTS),),
        "threshold": (Interval(), Nothing()),
        "normalize": (OneOf(("global", "item")), Nothing()),
        "bias": (Boolean(), OneOf(("user", "item"))),
        "reg": (Interval(0), OneOf(("auto",))),
        "bias_reg": (Interval(0), OneOf(("auto",))),
        "reg_scaling": (Interval(0, 1), OneOf(("auto", "count", "none"))),
        "n_epochs": (Interval(1, integer=True), OneOf(("auto",))),
        "patience": (Interval(1, integer=True), Nothing()),
        "init": (OneOf(("normal", "uniform")),),
        "init_scale": (Interval(0), OneOf(("auto",))),
        "random_state": (RandomSeed(),),
        "verbose": VERBOSE,
        **Estimator._constraints,
    }

    n_factors: int | str = "auto"
    _: KW_ONLY
    solver: str | Solver = "sgd"
    cost: str = "squared"
    threshold: float | None = None
    normalize: str | None = "global"
    bias: bool | str = True
    reg: float | str = "auto"
    bias_reg: float | str = "auto"
    reg_scaling: float | str = "auto"
    n_epochs: int | str = "auto"
    patience: int | None = None
    init: str = "normal"
    init_scale: float | str = "auto"
    random_state: RandomState = None
    n_threads: int | None = None
    device: str = "auto"
    verbose: int | bool = 0

    user_factors_: NDArray[np.float32] = field(init=False)
    item_factors_: NDArray[np.float32] = field(init=False)
    user_bias_: NDArray[np.float32] = field(init=False)
    item_bias_: NDArray[np.float32] = field(init=False)
    global_mean_: float = field(init=False)
    item_mean_: NDArray[np.float32] | None = field(init=False)
    history_: list[dict[str, Any]] = field(init=False)
    n_epochs_: int = field(init=False)

    # -------------------------------------------------------------------------------------------------------
    # Training
    # -------------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        user_features: Any = None,
        item_features: Any = None,
        validation: Any = None,
        validation_metric: Metric | None = None,
        validation_every: int = 1,
        validation_users: int | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        check_gradients: bool = False,
    ) -> MatrixFactorization:
        """Learn the parameters.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The ratings (for labels without a ``threshold`` these), or user and item ids. Weights of the ratings weight
            their costs.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.
        sample_weight : array-like of shape (n,), optional
            Non-negative weights: of the pairs, or of the stored entries of a matrix or of ``Ratings`` that have no
            weights of their own. A pair may then occur more than once: it counts with the mean of its values and the
            sum of its weights.
        user_features, item_features : FeatureTable or tuple (ids, matrix), optional
            For ``solver="bayes"``: numbers that are known of every user or item of the ratings, which explain part of
            their vectors (Macau). Users and items that have features and no ratings follow those of the ratings in
            ``users_`` and ``items_``, with what their features explain. Columns are taken to a common unit. ``fold_in``
            and ``history=`` know no features of new rows.
        validation : Ratings, SciPy sparse matrix, or tuple (X, y), optional
            Ratings held out. After each epoch their error is recorded, and the parameters of the best epoch are kept.
            Weights count.
        validation_metric : str, callable or Scorer, optional
            What is measured of them instead, and decides which epoch is the best: a metric of
            :func:`fastcf.metrics.as_scorer` such as "ndcg@10" or "mae", or a function of a recommender and the held-out
            ratings. Recorded as ``validation_ndcg@10``.
        validation_every : int, default 1
            With a ``validation_metric``: measure after each of so many epochs, and after the last one; the others
            record None.
        validation_users : int, optional
            With a ``validation_metric``: measure so many users, drawn at random, the same in every fit; by default all.
        callbacks : Callback, iterable of Callback, or None, default None
            Called after each epoch, see :mod:`fastcf.callbacks`.
        checkpoint : path-like, optional
            A file to write, atomically, from which the same call goes on after the process was killed: it ends with the
            same bits as an undisturbed one. After a training that has ended, the call returns its model. A file of
            other data, other parameters (but ``n_threads``, ``verbose``) or another version is refused. Where
            ``random_state`` is no integer, the file's training has drawn the seed.
        checkpoint_every : int, default 1
            Epochs between two writings.
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
            If the input or a parameter is not as described, or a parameter has no effect with the others; if the
            checkpoint is of another training.
        DataError
            If the checkpoint is damaged, or no checkpoint.
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
        ratings, backend = self._begin_fit(X, y, sample_weight)
        solver, targets = self._checked()
        check_patience(self.patience, validation is not None, not solver.samples, caller)
        tables = self._tables(ratings, solver, user_features, item_features)
        featured = [side for side, table in zip(("user", "item"), tables, strict=True) if table is not None]
        watched = self._validation(
            validation, ratings, validation_metric, validation_every, validation_users, featured=featured
        )
        given = {f"{side}_features": table for side, table in zip(("user", "item"), tables, strict=True)}
        given = {name: table for name, table in given.items() if table is not None}
        kept = self._checkpoint(checkpoint, checkpoint_every, backend, ratings=ratings, **watched.described(), **given)
        ratings = (targets.of_ratings if self._begins else targets.of_training)(ratings, caller)
        ratings = _with_others(ratings, *tables)
        held_out = None
        if watched.of_trainer is not None:
            held = targets.of_ratings(watched.of_trainer, f"{caller}: validation")
            held_out = held_out_rows(held, ratings, caller)
        folding = _folding(targets, sampled=solver.samples)
        auto = solver.first(self.cost, ratings)
        seed = kept.seed(self.random_state)
        matrices = tuple(None if table is None else table.matrix for table in tables)
        plan = Plan(self, solver, auto, targets, backend, folding, seed, self._threads, (matrices[0], matrices[1]))
        settled = plan.settle(ratings)
        values = self._values(plan, ratings, settled.learnt.reg, kept)
        solver.check(values.n_epochs, caller)
        if check_gradients:
            some = np.random.default_rng(seed).choice(ratings.nnz, min(ratings.nnz, _CHECKED_RATINGS), replace=False)
            objective = self._objective_of(ratings.take(np.sort(some)), settled.learnt, seed)
            compare_gradients(objective, max_coordinates=20).require(caller)
        self._train(
            plan.trainer(ratings, settled, values, held_out),
            n_epochs=values.n_epochs,
            patience=self.patience,
            validation=watched,
            callbacks=callbacks,
            checkpoint=kept,
            verbose=self.verbose,
        )
        return self

    def fit_arguments(self) -> frozenset[str]:
        """Return the names of the arguments of ``fit`` that have an effect: features only with ``solver="bayes"``.

        Returns
        -------
        frozenset of str
        """
        featured = as_solver(self.solver, self._caller).featured
        return super().fit_arguments() - (frozenset() if featured else {"user_features", "item_features"})

    def _tables(
        self, ratings: Ratings, solver: Solver, user_features: Any, item_features: Any
    ) -> tuple[FeatureTable | None, FeatureTable | None]:
        """Return the features of users and items of the ratings, followed by those of others."""

        def table(side: str, given: Any, ids: IdMap) -> FeatureTable | None:
            """Return the features of a side."""
            if given is None:
                return None
            if not solver.featured:
                raise ValueError(
                    f"{self._caller}: {side}_features must be None for solver={self.solver!r}, which does not use "
                    "them; use solver='bayes', TwoTower or MixedRegression"
                )
            found = as_feature_table(given, self._caller, f"{side}_features")
            return found.extend(ids, caller=self._caller, what=f"all {side}s of the ratings")

        return table("user", user_features, ratings.users), table("item", item_features, ratings.items)

    @property
    def _targets(self) -> Targets:
        return Targets(self.cost, self.threshold)

    def _checked(self) -> tuple[Solver, Targets]:
        """Return the solver and the targets; refuse parameters that would have no effect."""
        caller = self._caller
        solver, targets = as_solver(self.solver, caller), self._targets
        targets.check(caller)
        if self.cost not in solver.auto:
            raise ValueError(
                f"{caller}: solver must be 'sgd', 'minibatch' or 'gd' (or an object of these) for cost={self.cost!r}; "
                f"got {self.solver!r}"
            )
        if targets.labels and self.normalize == "item":
            raise ValueError(f"{caller}: normalize must be 'global' or None for cost='logistic'; got 'item'")
        if not isinstance(self.init_scale, str) and np.float32(min(self.init_scale, 1)) == 0:  # also by rounding
            raise ValueError(
                f"{caller}: init_scale must be above 0, for factors that start at zero have a gradient of zero and "
                f"stay there; got {self.init_scale!r} (for biases alone take BiasModel)"
            )
        self._refuse_ignored(solver.unused, f"for solver={self.solver!r}")
        if not any(Sides.of(self.bias)):
            self._refuse_ignored(("bias_reg",), "for bias=False")
        return solver, targets

    def _values(self, plan: Plan, ratings: Ratings, reg: float, kept: Checkpoint) -> Hyperparameters:
        """Return penalty, epochs, factors and centres: as given, or searched; ``reg`` is the first penalty."""
        given = {"reg": self.reg, "n_epochs": self.n_epochs, "n_factors": self.n_factors}
        free = [] if plan.solver.samples else [name for name, value in given.items() if isinstance(value, str)]
        centred = plan.solver.centred
        if "reg" in free and centred is None:
            free.append("rated_input")
        elif centred is None:
            LOGGER.info("reg is given: rows are penalised around zero; rated_input=True of the solver takes centres")
        first = Hyperparameters(
            reg * CENTRED_REG if "reg" in free and centred else reg,
            plan.auto.n_epochs if isinstance(self.n_epochs, str) else int(self.n_epochs),
            plan.auto.n_factors if isinstance(self.n_factors, str) else int(self.n_factors),
            centred is True,
        )
        if not free:
            if plan.solver.samples and "auto" in (self.n_factors, self.n_epochs):
                LOGGER.info("by %d ratings: n_epochs %d, n_factors %d", ratings.nnz, first.n_epochs, first.n_factors)
            return first
        verbose = int(self.verbose)
        return Hyperparameters(*kept.settled("hyperparameters", lambda: searched(ratings, plan, first, free, verbose)))

    def shortened(self, n_fits: int = 1) -> MatrixFactorization:
        """Return an unfitted copy: of ``solver="bayes"`` one that keeps fewer draws, of other solvers the plain copy.

        Parameters
        ----------
        n_fits : int, default 1
            Number of fits to parts of the ratings; together they keep 40 draws, each at least 10.

        Returns
        -------
        MatrixFactorization
        """
        solver = as_solver(self.solver, self._caller)
        shorter: MatrixFactorization = clone(self)
        return shorter.set_params(n_epochs=solver.first_look(self.n_epochs, n_fits))

    def _found(self, state: State) -> dict[str, Any]:
        solver = as_solver(self.solver, self._caller)
        if solver.samples:
            return {}
        learnt: LearntFactors = state.learnt
        n_epochs = learnt.planned_epochs or state.n_epochs
        values = {"reg": learnt.reg, "n_epochs": n_epochs, "n_factors": learnt.n_factors}
        found: dict[str, Any] = {name: value for name, value in values.items() if isinstance(getattr(self, name), str)}
        if solver.get_params().get("rated_input") == "auto":
            found["solver"] = clone(solver).set_params(rated_input=learnt.rated_effects is not None)
        return found

    def objective(self, ratings: Ratings, seed: int) -> Objective:
        """Return the objective as a function of the parameters, at random ones, for :func:`fastcf.check_gradients`.

        Parameters
        ----------
        ratings : Ratings
            As for ``fit``.
        seed : int
            Of the parameters.

        Returns
        -------
        Objective
            Penalties are those of the fitted model, else those given; those that are still "auto" are 1, for a gradient
            is right or wrong at any penalty.
        """
        state = self._state
        return self._objective_of(
            self._targets.of_ratings(ratings, "check_gradients"), None if state is None else state.learnt, seed
        )

    def _objective_of(self, ratings: Ratings, learnt: LearntFactors | None, seed: int) -> Objective:
        exponents = {"auto": 0.5, "none": 0.0, "count": 1.0}
        scaling = self.reg_scaling
        penalties = {
            "reg": 1.0 if isinstance(self.reg, str) else float(self.reg),
            "reg_exponent": exponents[scaling] if isinstance(scaling, str) else float(scaling),
            "user_bias_reg": 1.0 if isinstance(self.bias_reg, str) else float(self.bias_reg),
            "item_bias_reg": 1.0 if isinstance(self.bias_reg, str) else float(self.bias_reg),
        }
        if learnt is not None:
            penalties = {name: getattr(learnt, name) for name in penalties}
        return mf_objective(
            ratings,
            cost=self.cost,
            n_factors=16 if isinstance(self.n_factors, str) else self.n_factors,
            bias=Sides.of(self.bias),
            normalize=self.normalize,
            seed=seed,
            n_threads=self.n_threads,
            **penalties,
        )

    # -------------------------------------------------------------------------------------------------------
    # Going on
    # -------------------------------------------------------------------------------------------------------

    def partial_fit(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, *, n_epochs: int = 1
    ) -> MatrixFactorization:
        """Learn from further ratings, starting from the current parameters; new users and items extend the id maps.

        New rows begin with the values of ``fold_in``. Then stochastic gradient descent passes over the new ratings, at
        a tenth of the step size that training began with, whatever the solver was; new ratings get the share of the
        penalties that they would have if all ratings had been fitted at once. After ``fit`` the old ratings are not
        needed; the model holds their pairs only (``seen_``).

        A model that begins with ``partial_fit`` keeps the ratings, and fits all of them again whenever there are a
        quarter more, so that offset, penalties, epochs and factors are settled as data arrive; together these fits cost
        five times that of all. From a million ratings on, what was settled stays, and ratings are no longer kept. (A
        model from a file goes on as after ``fit``.) Its first labels may be of one class.

        Parameters
        ----------
        X, y, sample_weight
            The new ratings, as for ``fit``. A pair may have been rated before.
        n_epochs : int, default 1
            Passes over the new ratings. More passes forget more of the old ratings: use them where tastes have changed.
            Before ``fit``, the passes are those of the constructor.

        Returns
        -------
        MatrixFactorization
            Itself. ``users_`` and ``items_`` keep their rows and get new ones at the end.

        Raises
        ------
        TypeError, ValueError
            If the ratings are not as described, ids are of another kind than the model's, or the model was trained by
            ``solver="bayes"``, which cannot continue without the old ratings: use ``fold_in``.
        DivergenceError
            If parameters stop being finite; the model is then as it was.

        Warns
        -----
        ConvergenceWarning
            As for ``fold_in``.

        Notes
        -----
        Before ``fit`` it is ``fit``, but keeps the ratings. The same bits for any number of threads.
        """
        caller = f"{type(self).__name__}.partial_fit"
        state = self._state
        if not Interval(1, integer=True).accepts(n_epochs):
            raise ValueError(f"{caller}: n_epochs must be {Interval(1, integer=True)}; got {n_epochs!r}")
        if state is None:
            ratings = as_ratings(X, y, sample_weight, caller=caller)
            fitted = self._begun().fit(X, y, sample_weight)._fitted("partial_fit")
            self._swap(_keeping(fitted, Stream(ratings).fitted))
            return self
        if state.learnt.draws is not None:
            raise ValueError(f"{caller}: the model must not be one of solver='bayes'; refit it, or use fold_in")
        refuse_other_names(state.feature_names, X, caller)
        given = as_ratings(X, y, sample_weight, caller=caller)
        ratings = state.targets.of_ratings(given, caller)
        stream = None if state.learnt.stream is None else state.learnt.stream.joined(state, given, caller)
        if stream is not None and stream.due:
            with inside_another_fit():
                fitted = self._begun().fit(stream.ratings)._fitted("partial_fit")
            names = {"feature_names": state.feature_names, "of_matrix": state.of_matrix}
            self._swap(_keeping(fitted, stream.fitted).replaced(**names))
            return self
        seed = seed_from(self.random_state, caller)
        self._swap(_keeping(continued(state, ratings, n_epochs, seed, self._compute(state, caller), caller), stream))
        return self

    def _begun(self) -> MatrixFactorization:
        """Return a copy for a fit of the ratings so far: the state of this model is replaced once, at the end."""
        copied = copy.copy(self)
        copied._begins = True
        return copied

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def _pack(self, state: State) -> Packed:
        scores, learnt = state.scores.as_factors(), state.learnt
        assert scores is not None
        meta = {"global_mean": scores.global_mean, "biased": list(learnt.bias), **learnt.settled}
        meta["planned_epochs"] = learnt.planned_epochs
        packed = Packed(factor_arrays(scores), meta)
        if learnt.rated_effects is not None:
            effects = {f"rated_effects_{side}": array for side, array in learnt.rated_effects._asdict().items()}
            packed.arrays.update({name: array for name, array in effects.items() if array is not None})
        if learnt.draws is not None and scores.posterior is not None:
            posterior = asdict(scores.posterior)
            packed.meta |= {"noise_variance": posterior.pop("noise_variance"), "unit": learnt.draws.unit}
            drawn = {f"draws_{name}": array for name, array in learnt.draws._asdict().items() if array is not None}
            del drawn["draws_unit"]  # a number
            packed.arrays.update({name: array for name, array in {**posterior, **drawn}.items() if array is not None})
        return packed

    def _unpack(self, archive: Archive, common: State) -> State:
        targets, meta = common.targets, archive.meta
        settled: dict[str, Any] = {
            name: float(meta[name])
            for name in LearntFactors(Sides(True, True)).settled
            if name in meta and name != "n_factors"  # which the scores have
        }
        # Parameters may have been changed since the fit; files of version 1 have nothing else.
        bias = Sides(*map(bool, meta["biased"])) if "biased" in meta else Sides.of(self.bias)
        learnt = LearntFactors(bias, **settled)
        scores = factors_from(archive, common, Sigmoid() if targets.labels else Identity())
        learnt = replace(learnt, n_factors=scores.n_factors, planned_epochs=max(int(meta.get("planned_epochs", 0)), 0))
        if "user_bias_samples" in archive.arrays:
            learnt = _with_draws(archive, common, scores, learnt)
            scores = scores.replaced(posterior=learnt.posterior)
        columns = len(common.items), len(common.users)
        effects = [
            archive.array(name, np.float32, (scores.n_factors + biased, n)) if name in archive.arrays else None
            for name, biased, n in zip(("rated_effects_user", "rated_effects_item"), bias, columns, strict=True)
        ]
        if any(each is not None for each in effects):
            learnt = learnt.with_effects(RatedEffects(*effects))
        folding = _folding(targets, sampled=learnt.draws is not None)
        return common.replaced(scores=scores, learnt=learnt, folding=folding)


def _with_others(ratings: Ratings, users: FeatureTable | None, items: FeatureTable | None) -> Ratings:
    """Return the ratings with the rows of feature tables, whose first rows are the ratings' own."""
    ids = ratings.users if users is None else users.ids, ratings.items if items is None else items.ids
    if tuple(map(len, ids)) == ratings.shape:
        return ratings
    return Ratings.from_coo(
        *ratings.to_coo(), timestamps=ratings.timestamps, weights=ratings.weights, user_ids=ids[0], item_ids=ids[1]
    )


def _folding(targets: Targets, sampled: bool) -> Folding:
    """Return the folding of the model."""
    return LabelFolding() if targets.labels else PosteriorFolding() if sampled else RatingFolding()


def _keeping(state: State, stream: Stream | None) -> State:
    """Return the state with the ratings that have arrived; one of draws keeps none, for it cannot go on."""
    return state if state.learnt.draws is not None else state.replaced(learnt=replace(state.learnt, stream=stream))


def _with_draws(archive: Archive, common: State, scores: FactorScores, learnt: LearntFactors) -> LearntFactors:
    """Return the learnt values with the draws of an archive."""
    samples = archive.array("user_bias_samples", np.float32, (None, len(common.users)))
    n = len(samples)
    if n == 0 or scores.n_factors % n:
        raise DataError(f"{archive.path}: the factors are not those of {n} samples")
    k = scores.n_factors // n
    widths = k + learnt.bias.user, k + learnt.bias.item
    shapes = [(n,), *((n, d) for d in widths), *((n, d, d) for d in widths)]
    draws = Draws(
        float(archive.meta["unit"]),
        *(
            archive.array(f"draws_{name}", np.float32, shape)
            for name, shape in zip(Draws._fields[1:6], shapes, strict=True)
        ),
    )
    columns = len(common.items), len(common.users)
    effects = [
        archive.array(name, np.float32, (n, d, n_columns)) if name in archive.arrays else None  # with rated_input only
        for name, d, n_columns in zip(("draws_user_effects", "draws_item_effects"), widths, columns, strict=True)
    ]
    draws = draws._replace(user_effects=effects[0], item_effects=effects[1])
    items = archive.array("item_bias_samples", np.float32, (n, len(common.items)))
    noise = None
    if "user_noise_variances" in archive.arrays:
        noise = archive.array("user_noise_variances", np.float32, (len(common.users),))
    posterior = Posterior(samples, items, float(archive.meta["noise_variance"]), noise)
    return replace(learnt, n_factors=k, draws=draws, posterior=posterior)
