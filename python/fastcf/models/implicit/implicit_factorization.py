"""Matrix factorisation of choices: every user-item cell counts, those not chosen with a small weight."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import Backend, resolve_device, single_threaded_blas
from fastcf._parameters import VERBOSE, Constraint, Instance, Interval, Nothing, OneOf, RandomSeed
from fastcf._random import RandomState
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.implicit.fold_in import ChoiceFolding
from fastcf.models.implicit.held_out import estimated_reg
from fastcf.models.implicit.partial_fit import continued
from fastcf.models.implicit.problem import LearntChoices, Problem
from fastcf.models.implicit.sampled import LearntSampled, SampledFolding
from fastcf.models.implicit.solvers import SOLVERS, ImplicitSolver, as_implicit_solver
from fastcf.ratings import Ratings, as_ratings
from fastcf.scores import Choices, Compute, State
from fastcf.scores.choices import STRENGTHS
from fastcf.scores.queries import refuse_other_names
from fastcf.scores.stored import factor_arrays, factors_from
from fastcf.serialization import Archive, register
from fastcf.training.callbacks import Callback
from fastcf.training.gradient_check import Objective
from fastcf.training.validation import Metric

__all__ = ["ImplicitFactorization"]

_ALL_TO_CHOICES = 30.0  # "auto": weight of all cells together, in that of all choices
_REG = 0.2  # where the search for "auto" begins: the penalty, in the weight of a row's choices
_SEARCH_EPOCHS = 6
_VALIDATION_METRIC = "ndcg@10"
_SEARCH_FACTORS = 64  # the best penalty hardly depends on their number


@register
@dataclass(eq=False, repr=False)
class ImplicitFactorization(Estimator):
    r"""Factorisation of what users chose: scores ``p_u·q_i`` that are near 1 for choices and small for all other cells.

    Minimises ``Σ_Ω c_ui (p_u·q_i − 1)² + α₀ Σ_all (p_u·q_i)² + λ (Σ_u (n_u + α₀ n_items)^ν ‖p_u‖² + Σ_i (n_i +
    α₀ n_users)^ν ‖q_i‖²)``: Ω are the choices, with weights ``c = alpha · strength``; the second sum is over all cells;
    n_u and n_i are the sums of c of a user and of an item.

    Parameters
    ----------
    n_factors : int, default 256
        k, the length of the vectors p_u and q_i; at most 65,536.
    solver : {"auto", "cg", "cholesky", "subspaces", "bpr", "sampled"} or ImplicitSolver, default "auto"
        What minimises the objective: an object of :mod:`fastcf.solvers`, which documents the parameters that only it
        uses, or shorthand for one with its defaults. "cg", :class:`~fastcf.solvers.ConjugateGradients`: alternating
        least squares by a few steps a row, the fastest; "cholesky", :class:`~fastcf.solvers.Cholesky`: by exact
        solutions; "subspaces", :class:`~fastcf.solvers.Subspaces`: by exact solutions of blocks of factors. "auto" is
        "cg". Two minimise other costs, of choices beside items drawn at random: "bpr", :class:`~fastcf.solvers.BPR`,
        and "sampled", :class:`~fastcf.solvers.Sampled`; ``alpha`` and ``unobserved_weight`` are refused for them.
    threshold : float or None, default None
        Values of at least this are choices; other entries were seen and not chosen: they are not recommended, and count
        like cells without an entry. None: values above 0 are choices.
    strength : {"one", "value", "log"}, default "one"
        Strength of a choice of value v: 1, v, or log(1 + v), times its weight.
    alpha : float, default 1.0
        The weight c of a choice of strength 1, above 0.
    unobserved_weight : float or "auto", default "auto"
        α₀, at least 0: the weight of every cell. "auto": all cells together weigh 30 times as much as all choices.
    reg : float or "auto", default "auto"
        λ, at least 0. "auto" estimates it with up to 64 factors: of penalties a factor of 2 apart, the one whose lists
        of 100 items have the largest NDCG for a tenth of the choices that is held out, and between its neighbours by a
        parabola. That takes about as long as training 64 factors twice; ``reg_`` is the result. For "bpr" it
        is 0.01, for "sampled" 0.1.
    reg_scaling : float, default 1.0
        The exponent ν, from 0 (all vectors are penalised alike) to 1 (by what they weigh).
    n_epochs : int or "auto", default "auto"
        Sweeps, each over items and users; passes over all choices for "bpr" and "sampled". "auto": 12, 100 for "bpr"
        and 20 for "sampled".
    init_scale : float, default 0.1
        The first factors are normal, with standard deviation ``init_scale / √k``; above 0.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the first factors.
    n_threads : int or None, default None
        Threads to use; None: :func:`fastcf.get_num_threads`. The same seed gives the same bits for any number of
        threads, on one instruction set, BLAS and device.
    device : {"auto", "cpu", "cuda", "cuda:0", ...}, default "auto"
        Where to compute; only "auto" may fall back. The device used is ``device_``.
    verbose : {0, 1, 2} or bool, default 0
        Silent; a progress bar, before it one that counts the trainings by which ``reg`` is estimated; a line per epoch,
        before that per penalty.

    Attributes
    ----------
    user_factors_, item_factors_ : ndarray of shape (n_users, k), (n_items, k), float32
        p_u less the mean user, and q_i, in the axes in which ``Σ q_i q_iᵀ`` is diagonal, the longest first. Users
        without choices have zeros, the mean user.
    item_bias_ : ndarray of shape (n_items,), float32
        The scores of the mean user, which unknown users have; those of "bpr" and "sampled" with the biases b_i.
    user_bias_ : ndarray of shape (n_users,), float32
        Zeros.
    mean_user_ : ndarray of shape (k,), float32
        The mean of the p_u.
    global_mean_ : float
        0.
    unobserved_weight_, reg_ : float
        The values of "auto".
    users_, items_ : IdMap
        The caller's ids behind the rows.
    seen_ : SeenItems or None
        The items of each user's stored entries, chosen or not.
    history_ : list of dict
        A record per epoch, from epoch 0 before training: ``epoch``, ``cost`` (the objective at the epoch's end, over
        all cells; of "bpr" and "sampled" on a fixed sample of choices and of items drawn for them), ``learning_rate``
        (None for solvers without step size), ``seconds``.
    n_epochs_ : int
        The epoch whose parameters were kept.
    device_ : str
        The device used.

    Notes
    -----
    Attributes are views of one immutable state, which a fit replaces at its end. New users and items (:meth:`fold_in`,
    ``history=``) are solved exactly, given the other side; a training user's row is the one that folding it in gives,
    to rounding, after "cholesky". The model holds its choices, 8 bytes each, from which :meth:`partial_fit` goes on;
    files without seen items leave them out. ``score`` is the NDCG@10 of lists.

    To stop early pass ``fastcf.callbacks.EarlyStopping()`` and validation choices to ``fit``, or
    ``EarlyStopping(monitor="cost")`` without.

    References
    ----------
    Y. Hu, Y. Koren and C. Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008.
    S. Rendle, W. Krichene, L. Zhang and Y. Koren, "Revisiting the performance of iALS on item recommendation
    benchmarks", RecSys 2022 (the objective).

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(300, 200, 10_000, random_state=0)
    >>> model = fastcf.ImplicitFactorization(16, threshold=4, random_state=0).fit(ratings)
    >>> model.recommend(ratings.users.ids[:2], n=3).items.shape
    (2, 3)
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "n_factors": (Interval(1, 65536, integer=True),),
        "solver": (OneOf(SOLVERS), Instance(ImplicitSolver)),
        "threshold": (Interval(), Nothing()),
        "strength": (OneOf(STRENGTHS),),
        "alpha": (Interval(0, open_low=True),),
        "unobserved_weight": (Interval(0), OneOf(("auto",))),
        "reg": (Interval(0), OneOf(("auto",))),
        "reg_scaling": (Interval(0, 1),),
        "n_epochs": (Interval(1, integer=True), OneOf(("auto",))),
        "init_scale": (Interval(0, open_low=True),),
        "random_state": (RandomSeed(),),
        "verbose": VERBOSE,
        **Estimator._constraints,
    }

    n_factors: int = 256
    _: KW_ONLY
    solver: str | ImplicitSolver = "auto"
    threshold: float | None = None
    strength: str = "one"
    alpha: float = 1.0
    unobserved_weight: float | str = "auto"
    reg: float | str = "auto"
    reg_scaling: float = 1.0
    n_epochs: int | str = "auto"
    init_scale: float = 0.1
    random_state: RandomState = None
    n_threads: int | None = None
    device: str = "auto"
    verbose: int | bool = 0

    user_factors_: NDArray[np.float32] = field(init=False)
    item_factors_: NDArray[np.float32] = field(init=False)
    item_bias_: NDArray[np.float32] = field(init=False)
    mean_user_: NDArray[np.float32] = field(init=False)
    unobserved_weight_: float = field(init=False)
    reg_: float = field(init=False)
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
        validation: Any = None,
        validation_metric: Metric | None = None,
        validation_every: int = 1,
        validation_users: int | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
    ) -> ImplicitFactorization:
        """Learn the factors.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The choices, and what was seen and not chosen: ratings, counts, or user and item ids.
        y : array-like of shape (n,), optional
            The values where ``X`` holds ids; without them every pair is a choice, and repeated pairs are counted.
        sample_weight : array-like of shape (n,), optional
            Weights, which multiply the strengths, as for :meth:`MatrixFactorization.fit`; of repeated pairs without
            values the mean.
        validation : Ratings, SciPy sparse matrix, or tuple (X, y), optional
            Choices held out. Their lists are measured before training and after each epoch; the factors of the best
            epoch are kept.
        validation_metric, validation_every, validation_users
            As for :meth:`MatrixFactorization.fit`; the metric is by default "ndcg@10".
        callbacks : Callback, iterable of Callback, or None, default None
            Called after each epoch, see :mod:`fastcf.callbacks`.
        checkpoint, checkpoint_every
            As for :meth:`MatrixFactorization.fit`.

        Returns
        -------
        ImplicitFactorization
            Itself.

        Raises
        ------
        TypeError, ValueError, DataError
            If the input or a parameter is not as described, or a parameter has no effect with the others; if the
            checkpoint is of another training, or damaged.
        DeviceError
            If ``device="cuda"`` cannot be used.
        DivergenceError
            If factors stop being finite; the model then holds those of an earlier epoch.
        KeyboardInterrupt
            After Ctrl-C; the model holds what was learnt so far.
        """
        caller = self._caller
        ratings, backend = self._begin_fit(X, y, sample_weight)
        solver = as_implicit_solver(self.solver, caller)
        self._refuse_ignored(solver.unused, f"for solver={self.solver!r}")
        if validation is not None and validation_metric is None:
            validation_metric = _VALIDATION_METRIC
        watched = self._validation(validation, ratings, validation_metric, validation_every, validation_users)
        kept = self._checkpoint(checkpoint, checkpoint_every, backend, ratings=ratings, **watched.described())
        problem = self._problem(solver, ratings, backend, kept.seed(self.random_state), caller)
        if isinstance(self.reg, str) and solver.reg is None:
            few = replace(problem, n_factors=min(problem.n_factors, _SEARCH_FACTORS))
            verbose = int(self.verbose)
            reg = kept.settled("reg", lambda: estimated_reg(few, lambda part: _trained(solver, part), verbose))
            problem = replace(problem, learnt=replace(problem.learnt, reg=reg))
        self._train(
            solver.trainer(problem),
            n_epochs=problem.n_epochs,
            patience=None,
            validation=watched,
            callbacks=callbacks,
            checkpoint=kept,
            verbose=self.verbose,
        )
        return self

    def _problem(self, solver: ImplicitSolver, ratings: Ratings, backend: Backend, seed: int, caller: str) -> Problem:
        stored = self._targets.of_training(ratings, caller)
        choices = self._choices_of(stored)
        return Problem(
            stored,
            choices,
            self._targets,
            Compute(backend.module, self._threads),
            backend.device,
            int(self.n_factors),
            self._settled(choices, solver),
            float(self.init_scale),
            seed,
            solver.n_epochs if isinstance(self.n_epochs, str) else int(self.n_epochs),
        )

    @property
    def _targets(self) -> Choices:
        return Choices(threshold=self.threshold, strength=self.strength)

    def _choices_of(self, stored: Ratings) -> Ratings:
        """Return the choices among stored entries, with their weights c as values."""
        chosen = stored.take(stored.values > 0)
        weights = np.float32(self.alpha) * chosen.values
        return Ratings(chosen.indptr, chosen.indices, weights, users=chosen.users, items=chosen.items)

    def _settled(self, choices: Ratings, solver: ImplicitSolver) -> LearntChoices:
        """Return the weights and penalties; those of "auto" as documented."""
        weight = self.unobserved_weight
        if isinstance(weight, str):
            cells = float(choices.n_users) * choices.n_items
            weight = _ALL_TO_CHOICES * float(choices.values.sum(dtype=np.float64)) / cells
        if not isinstance(self.reg, str):
            reg = float(self.reg)
        else:
            reg = _REG / (1 + _ALL_TO_CHOICES) if solver.reg is None else solver.reg
        return LearntChoices(float(self.alpha), float(weight), reg, float(self.reg_scaling))

    def _found(self, state: State) -> dict[str, Any]:
        return {"reg": state.learnt.reg} if isinstance(self.reg, str) else {}

    def objective(self, ratings: Ratings, seed: int) -> Objective:
        """Return the objective as a function of the factors, at random ones, for :func:`fastcf.check_gradients`.

        Parameters
        ----------
        ratings : Ratings
            As for ``fit``.
        seed : int
            Of the factors.

        Returns
        -------
        Objective
        """
        solver = as_implicit_solver(self.solver, "check_gradients")
        backend = resolve_device(self.device, "check_gradients")
        return solver.objective(self._problem(solver, ratings, backend, seed, "check_gradients"))

    # -------------------------------------------------------------------------------------------------------
    # Going on
    # -------------------------------------------------------------------------------------------------------

    def partial_fit(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, *, n_epochs: int = 1
    ) -> ImplicitFactorization:
        """Learn from new choices: the vectors of their users and items are solved again, the others stay.

        Users and items of the new entries are solved exactly by all their choices, old and new: in each epoch the
        users, given the items, then the items, and at the end the users once more. Weights and penalties are those of
        the fit, and of the parameters only ``device`` and ``n_threads`` count.

        Parameters
        ----------
        X, y, sample_weight
            The new choices, as for ``fit``. Where a pair is known, the new value takes the place of the old one.
        n_epochs : int, default 1
            How often both sides are solved. Before ``fit``, the epochs are those of the constructor.

        Returns
        -------
        ImplicitFactorization
            Itself. ``users_`` and ``items_`` keep their rows and get new ones at the end; all vectors are turned into
            the axes of the new items.

        Raises
        ------
        TypeError, ValueError
            If the choices are not as described, ids are of another kind than the model's, or the model does not hold
            the choices that it was trained on: that of ``fold_in``, of a file without seen items, or of the solvers
            "bpr" and "sampled".

        Notes
        -----
        Before ``fit`` it is ``fit``. The same bits for any number of threads.
        """
        state = self._state
        caller = f"{type(self).__name__}.partial_fit"
        if not Interval(1, integer=True).accepts(n_epochs):
            raise ValueError(f"{caller}: n_epochs must be {Interval(1, integer=True)}; got {n_epochs!r}")
        if state is None:
            return self.fit(X, y, sample_weight)
        if state.learnt.choices is None:
            raise ValueError(
                f"{caller}: the model must hold the choices that it was trained on; got one of fold_in, of a file "
                "without seen items, or of the solver 'bpr' or 'sampled'; call partial_fit of the model that was "
                "fitted, or fit again"
            )
        refuse_other_names(state.feature_names, X, caller)
        new = state.targets.of_ratings(as_ratings(X, y, sample_weight, caller=caller, counted=True), caller)
        self._swap(continued(state, new, n_epochs, self._compute(state, caller), caller))
        return self

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def _pack(self, state: State) -> Packed:
        scores = state.scores.as_factors()
        assert scores is not None
        arrays, meta = state.learnt.packed(scores.n_items, state.seen is not None)
        return Packed({**factor_arrays(scores), **arrays}, {"global_mean": scores.global_mean, **meta})

    def _unpack(self, archive: Archive, common: State) -> State:
        scores = factors_from(archive, common)
        sampled = "draws" in archive.meta
        kind: type[LearntChoices | LearntSampled] = LearntSampled if sampled else LearntChoices
        learnt = kind.from_archive(archive, scores.n_users, scores.n_items, scores.n_factors)
        folding = SampledFolding() if sampled else ChoiceFolding()
        return common.replaced(scores=scores, learnt=learnt, folding=folding)


def _trained(solver: ImplicitSolver, problem: Problem) -> State:
    """Return the state after a few epochs, without callbacks."""
    with single_threaded_blas():
        trainer = solver.trainer(problem)
        for epoch in range(_SEARCH_EPOCHS):
            trainer.run_epoch(epoch)
        return trainer.finish((), _SEARCH_EPOCHS)
