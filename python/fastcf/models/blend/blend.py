"""Several models in one: weighted sums of their predictions or, for lists, of their standardised scores."""

from __future__ import annotations

import contextlib
import copy
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from tqdm.auto import tqdm

from fastcf._backend import Backend
from fastcf._callers import level_outside
from fastcf._parameters import VERBOSE, Boolean, Constraint, Interval, ListMeasure, Nothing, OneOf, RandomSeed
from fastcf._random import RandomState
from fastcf.data.splits import train_test_split
from fastcf.errors import DataWarning, DivergenceError
from fastcf.ids import IdMap
from fastcf.metrics import rmse
from fastcf.metrics.scorers import LIST_METRICS
from fastcf.metrics.titles import title_of
from fastcf.models.blend.checkpoints import AGAIN, FIRST, MemberCheckpoints
from fastcf.models.blend.learnt import BlendFolding, LearntBlend, Member, union_of_ids, weighted_sum
from fastcf.models.blend.list_weights import list_weights
from fastcf.models.blend.members import DROP, checked, named, parameters_of, replaced, takes
from fastcf.models.blend.searched_weights import error_weights
from fastcf.models.blend.weights import blend_weights
from fastcf.models.data_warnings import inside_another_fit
from fastcf.models.estimator import Estimator, Packed
from fastcf.ratings import Ratings
from fastcf.scores import Choices, Compute, Part, SeenItems, State, Targets
from fastcf.scores.queries import pair_rows
from fastcf.scores.seen import union_of_seen
from fastcf.scores.targets import as_labels
from fastcf.serialization import Archive, register
from fastcf.training.checkpoint import Position

__all__ = ["Blend"]

_ERRORS = ("rmse", "mae", "log_loss")
_LISTS = ListMeasure(tuple(LIST_METRICS))


@register
class Blend(Estimator):
    r"""The weighted average of several models' predictions: ``ŷ_ui = c + Σ_m a_m f_m(u, i)``.

    The weights are fitted to ratings that the members have not seen, by ridge regression that is shrunk towards the
    plain average of the M members: ``argmin Σ_v w_v (y_v − c − Σ_m a_m f_m(v))² + reg Σ_m (a_m − 1/M)²``. Usual ridge
    regression shrinks towards 0, where all predictions are the mean rating. The plain average, at which this one ends,
    has a mean squared error of at most the mean of the members' (the square is convex), whatever the ratings.

    With ``metric="ndcg@10"`` the blend makes lists: models of choices and of ratings together. It adds the members'
    scores, standardised for each user over all items, and takes the non-negative weights of the best NDCG of held-out
    choices. With "mae" and "log_loss" predictions are summed by non-negative weights of the least error, which add up
    to 1.

    Parameters
    ----------
    models : list of estimators or of pairs (name, estimator)
        The members: models of this package, other blends included. Names are for ``get_params``, ``set_params`` and
        searches (``mf__n_factors``); members without one are named after their class in lower case, numbered where
        several have the same (``matrixfactorization-2``). ``"drop"`` in place of an estimator leaves it out.
    metric : str, default "rmse"
        What the weights are fitted to: "rmse"; "mae"; "log_loss" of members that learn labels 0 and 1; or a metric of
        lists of k items, "ndcg@k", "recall@k", "capped_recall@k", "precision@k", "hit_rate@k", "mrr@k", "map@k",
        "graded_ndcg@k", for example "ndcg@10". Others have no gain of each user or rating by which weights could be
        searched.
    threshold : float, optional
        For lists: held-out ratings of at least this are choices; by default those above 0. Members have thresholds of
        their own.
    reg : float or "auto", default "auto"
        Only for "rmse", as ``intercept`` and ``non_negative``. The penalty, at least 0, as scikit-learn's ``Ridge`` has
        it: of a sum over the validation ratings. With 0, members that predict alike share their weight. "auto" takes,
        out of 33 penalties, the one of the least leave-one-out error, whatever the scale of the ratings. If that error
        is not less than that of the best convex combination by a standard error of the difference, it takes this one:
        weights that are not negative and add up to 1. On few ratings the blend is then about as good as its best
        member, or better.
    intercept : bool, default True
        Whether there is a c, which is not penalised; else c = 0. That of a convex combination is shrunk by how
        uncertain it is.
    non_negative : bool, default False
        Whether weights must not be negative. "auto" chooses its penalty without regard to that.
    fit_members : bool, default True
        Whether ``fit`` fits clones of the members. Otherwise they must be fitted and are taken as they are.
    validation_fraction : float, default 0.1
        Share of the ratings, between 0 and 1, that ``fit`` holds out at random to fit the weights to, two ratings at
        least; for ``fit_members=True`` without ``validation``.
    refit : bool, default True
        Whether the members are then fitted once more to all ratings, those held out included; the weights stay. Takes
        as long again, and mostly makes better predictions. For ``fit_members=True`` without ``validation``, to which
        only the weights are fitted.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds what is held out, and members whose own ``random_state`` is None.
    n_threads : int, optional
        Threads to use, also to fit members whose own ``n_threads`` is None; by default
        :func:`fastcf.get_num_threads`. The result does not depend on it.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where the blend predicts and ranks; only "auto" may fall back. Members are fitted on the device of their own
        parameters.
    verbose : {0, 1, 2} or bool, default 0
        0 or False: silent; 1 or True: a progress bar over the members; 2: a line per member.

    Attributes
    ----------
    models_ : dict of str to estimator
        The fitted members, by name: copies, made at each access; fitting one further does not change the blend.
    weights_ : ndarray of shape (M,), float64
        a_m, in the order of the members. Read-only.
    intercept_ : float
        c.
    reg_ : float or None
        The penalty used; None: the weights are a convex combination.
    validation_rmse_ : float
        Error of the blend on the validation ratings. The weights were fitted to these, so it is slightly lower than on
        other ratings. Named after the metric: ``validation_ndcg_`` for "ndcg@10", of the validation choices.
    member_rmse_ : dict of str to float
        Errors of the members on the validation ratings, before any of them was fitted again; ``member_ndcg_``.
    n_validation_ : int
        Number of validation ratings.
    users_, items_ : IdMap
        All ids of the members.
    seen_ : SeenItems or None
        Which items each user rated in ``X``; with ``fit_members=False`` also in the members' training ratings (None if
        a member lacks them).
    rating_range_ : tuple of float
        Smallest and largest rating; predictions are limited to it.
    global_mean_ : float
        Mean of the ratings.
    device_ : str
        Where the blend answers.

    See Also
    --------
    sklearn.ensemble.VotingRegressor : The plain average.
    sklearn.ensemble.StackingRegressor : Any regression on predictions of cross-validation.

    Notes
    -----
    **Linear members** predict ``m_i + b_u + b_i + p_u·q_i``: ``BiasModel``; ``MatrixFactorization``, regressions and
    two-tower networks of squared cost; autoencoders of a linear output; blends of such models. They take part before
    their predictions are limited to the range of ratings; the blend is limited once, at the end. So a blend of linear
    members is a factor model again, whose factors are the members' side by side, and ``recommend`` searches it
    natively; the first call makes a copy of the members' item factors for that. Other members take part with limited
    predictions; then ``recommend`` scores all items, in batches of users that take 16 MiB.

    **Models of labels** take part with their probabilities, if they learn from the ratings themselves (0 or 1, or
    between): the blend then minimises the squared error of probabilities. Those with a ``threshold`` do not predict
    the ratings and are refused.

    **Lists.** Members may have other thresholds, costs and ranges: only the order and the spread of their scores count.
    Predictions are sums of standardised scores: comparable within one user. Lists leave out all that was rated,
    low ratings included.
    ``recommend`` scores all items.

    **Weights that are searched**, by all metrics but the RMSE, start at the plain average. A step is taken only where
    it gains half a standard error, so a blend of similar members stays near the average.

    **Unknown users and items** are scored as each member scores them. The time order is ignored: to hold out the
    latest ratings, pass them as ``validation`` (:func:`fastcf.data.split_by_time`).

    **New rows** (:meth:`fold_in`, and ``history=`` of :meth:`predict` and :meth:`recommend`) are computed by each
    member from the same ratings, and weighted as before. All members with a weight must support it.

    **The members' states are those at the end of** ``fit``. A member that is fitted again afterwards does not change
    the blend.

    References
    ----------
    R. Bell, Y. Koren and C. Volinsky, "The BellKor solution to the Netflix Prize", 2007, and "The BellKor 2008 solution
    to the Netflix Prize", 2008 (linear blends of predictors fitted on held-out ratings, members trained again on all).
    L. Breiman, "Stacked regressions", Machine Learning 24(1), 1996 (ridge and non-negative weights). M. Jahrer, A.
    Töscher and R. Legenstein, "Combining predictions for accurate recommender systems", KDD 2010.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(500, 300, 20_000, random_state=0)
    >>> train, test = fastcf.data.train_test_split(ratings, random_state=0)
    >>> members = [("mf", fastcf.MatrixFactorization(16)), ("als", fastcf.MatrixFactorization(8, solver="als"))]
    >>> blend = fastcf.Blend([*members, ("bias", fastcf.BiasModel())], random_state=0).fit(train)
    >>> blend.score(test) > blend.models_["bias"].score(test)
    True
    >>> blend.recommend(train.users.ids[:2], n=3).items.shape
    (2, 3)
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "metric": (OneOf(_ERRORS), _LISTS),
        "threshold": (Interval(), Nothing()),
        "reg": (Interval(0), OneOf(("auto",))),
        "intercept": (Boolean(),),
        "non_negative": (Boolean(),),
        "fit_members": (Boolean(),),
        "validation_fraction": (Interval(0, 1, open_low=True),),
        "refit": (Boolean(),),
        "random_state": (RandomSeed(),),
        "verbose": VERBOSE,
        **Estimator._constraints,
    }

    def __init__(
        self,
        models: Sequence[Any],
        *,
        metric: str = "rmse",
        threshold: float | None = None,
        reg: float | str = "auto",
        intercept: bool = True,
        non_negative: bool = False,
        fit_members: bool = True,
        validation_fraction: float = 0.1,
        refit: bool = True,
        random_state: RandomState = None,
        n_threads: int | None = None,
        device: str = "auto",
        verbose: int | bool = 0,
    ) -> None:
        self.models = models
        self.metric = metric
        self.threshold = threshold
        self.reg = reg
        self.intercept = intercept
        self.non_negative = non_negative
        self.fit_members = fit_members
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.random_state = random_state
        self.n_threads = n_threads
        self.device = device
        self.verbose = verbose

    # -------------------------------------------------------------------------------------------------------
    # Members
    # -------------------------------------------------------------------------------------------------------

    @property
    def models_(self) -> dict[str, Estimator]:
        """The fitted members, by name."""
        members = self._fitted("models_").learnt.members
        return {member.name: member.model._with_state(member.state) for member in members}

    def _own_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_params(deep=False)
        return params

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; if ``deep``, also the members by name and theirs, as ``name__parameter``."""
        params = self._own_params()
        return params | parameters_of(self.models) if deep else params

    def set_params(self, **params: Any) -> Blend:
        """Set parameters: the blend's, members by name, and parameters of members as ``name__parameter``.

        ``"drop"`` for a member leaves it out. Returns the blend; raises ValueError if there is no such parameter.
        """
        self.models = replaced(params.pop("models", self.models), params, self._own_params())
        BaseEstimator.set_params(self, **params)  # by get_params: the members' own too
        return self

    # -------------------------------------------------------------------------------------------------------
    # Fitting
    # -------------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        validation: Any = None,
        user_features: Any = None,
        item_features: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
    ) -> Blend:
        """Fit the members and the weights.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The ratings, or user and item ids. With ``fit_members=False`` they are those that the weights are fitted to:
            the members must not have seen them. Weights of the ratings weight their squared errors.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.
        sample_weight : array-like of shape (n,), optional
            Weights of the ratings, as for :meth:`MatrixFactorization.fit`.
        validation : Ratings, SciPy sparse matrix, or tuple (X, y), optional
            Ratings to fit the weights to, at least 2; the members learn from all of ``X`` and nothing of these. By
            default a share of ``X``, drawn at random, is held out.
        user_features, item_features : FeatureTable or tuple (ids, matrix), optional
            Passed to the members whose ``fit`` takes them.
        checkpoint : path-like, optional
            A folder, made where there is none, from which the same call goes on after the process was killed: it ends
            with the same bits as an undisturbed one. It gets a file for each training of a member whose ``fit`` takes
            a checkpoint, as :meth:`MatrixFactorization.fit` describes it, or a folder where the member is a blend;
            other members are fitted again. A folder of another blend is refused.
        checkpoint_every : int, default 1
            Epochs of a member between two writings.

        Returns
        -------
        Blend
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described, or has no effect, also of a member; if the checkpoint is of
            another blend.
        DataError
            If a file of the checkpoint is damaged, or none.
        NotFittedError
            If ``fit_members=False`` and a member is not fitted.
        DeviceError
            If ``device="cuda"`` cannot be used.
        KeyboardInterrupt
            After Ctrl-C. While members are fitted again, the blend is then complete: members that were not fitted again
            are as they were before.
        DivergenceError
            If a member's training diverges; as for Ctrl-C.
        """
        caller = self._caller
        ratings, backend = self._begin_fit(X, y, sample_weight)
        if not self.fit_members:
            self._refuse_ignored(("validation_fraction", "refit"), "with fit_members=False")
        elif validation is not None:
            self._refuse_ignored(("validation_fraction", "refit"), "where validation ratings are given")
        if self.metric != "rmse":
            self._refuse_ignored(("reg", "intercept", "non_negative"), f"for metric={self.metric!r}")
        if not self._list_length:
            self._refuse_ignored(("threshold",), f"for metric={self.metric!r}")
        lists = self._list_length > 0
        members = checked(self.models, self._own_params(), caller, fitted=not self.fit_members, lists=lists)
        features = {"user_features": user_features, "item_features": item_features}
        features = {name: table for name, table in features.items() if table is not None}
        for name in features:
            if not self.fit_members or not any(takes(member, name) for member in members.values()):
                raise ValueError(f"{caller}: {name} must be None where no member is fitted to them; got a table")
        if checkpoint is not None and not self.fit_members:
            raise ValueError(f"{caller}: checkpoint must be None with fit_members=False; got {checkpoint!r}")
        kept = MemberCheckpoints.of(checkpoint, checkpoint_every, members, caller)
        whole = self._checkpoint(kept.of_blend, checkpoint_every, backend, ratings=ratings, models=list(members))
        seed = whole.seed(self.random_state)
        train, held_out = self._split(ratings, validation, features, seed)
        whole.identify(learnt_from=train, held_out=held_out)
        if kept.folder is not None:
            whole.write(Position([], {}, 0, False))
        seeds = dict(zip(members, np.random.SeedSequence(seed).generate_state(len(members), np.uint64), strict=True))
        refit = bool(self.fit_members and self.refit and validation is None)
        compute = Compute(backend.module, self._threads)

        def learn(name: str, on: Ratings, training: str) -> Member:
            arguments = {table: value for table, value in features.items() if takes(members[name], table)}
            arguments |= kept.arguments(name, training)
            fitted = self._fitted_clone(members[name], on, arguments, int(seeds[name]))
            done(f"{name}: fitted to {on.nnz:,} ratings")
            return Member(name, fitted, fitted.state)

        with self._progress(len(members) * (bool(self.fit_members) + refit)) as done:
            if self.fit_members:
                learnt = [learn(name, train, FIRST) for name in members]
            else:
                learnt = [Member(name, copy.copy(member), member.state) for name, member in members.items()]
                _ids_of(learnt, caller)  # of one kind
                _warn_of_seen(learnt, held_out, caller)
            rated = train if validation is not None else ratings
            state = self._weighted(learnt, rated, held_out, backend, compute)
            if self.verbose > 1:
                found = state.learnt
                shown = ", ".join(f"{m.name} {a:.3f}" for m, a in zip(learnt, found.weights, strict=True))
                print(f"Blend: validation {title_of(self.metric)} {found.measure:.4f}; weights {shown}", flush=True)
            if refit:
                try:
                    for m, name in enumerate(members):
                        learnt[m] = learn(name, ratings, AGAIN)
                except (KeyboardInterrupt, DivergenceError):
                    self._swap(_with_members(state, learnt))
                    raise
                state = _with_members(state, learnt)
        self._swap(state)
        return self

    @property
    def _list_length(self) -> int:
        """The length of the lists that are measured; 0 for the error of predictions."""
        return _LISTS.length(self.metric)

    @property
    def _targets(self) -> Targets:
        return Choices(threshold=self.threshold, strength="as given") if self._list_length else Targets()

    @contextlib.contextmanager
    def _progress(self, n_fits: int) -> Iterator[Callable[[str], None]]:
        """Show how many members have been fitted; call the yielded function after each."""
        started = time.perf_counter()
        with tqdm(
            total=n_fits, desc="Blend", unit="fit", file=sys.stderr, disable=int(self.verbose) != 1 or None
        ) as bar:

            def done(text: str) -> None:
                nonlocal started
                bar.update(1)
                if self.verbose > 1:
                    print(f"{text} in {time.perf_counter() - started:.2f} s", flush=True)
                started = time.perf_counter()

            yield done

    def _split(
        self, ratings: Ratings, validation: Any, features: Mapping[str, Any], seed: int
    ) -> tuple[Ratings, Ratings]:
        """Return the ratings to fit the members and the weights to."""
        if not self.fit_members:
            if validation is not None:
                raise ValueError(
                    "Blend.fit: validation must be None with fit_members=False, where X itself is what the weights are "
                    f"fitted to; got {type(validation).__name__}"
                )
            train, held_out = ratings, ratings
        elif validation is not None:
            featured = {name.removesuffix("_features") for name in features}
            train, held_out = ratings, self._validation_ratings(validation, ratings, featured)
        else:
            n_held = max(2, round(ratings.nnz * self.validation_fraction))
            if n_held >= ratings.nnz:
                raise ValueError(
                    f"Blend.fit: validation_fraction must leave ratings to learn from, 2 at least being held out; got "
                    f"{self.validation_fraction!r}, which is {n_held} of {ratings.nnz}"
                )
            train, held_out = train_test_split(ratings, n_held, seed)
        if held_out.nnz < 2:
            raise ValueError(f"Blend.fit: validation must hold at least 2 ratings; got {held_out.nnz}")
        if held_out.weights is not None and not held_out.weights.any():
            raise ValueError(f"Blend.fit: weights of the validation ratings must not all be zero; got {held_out.nnz}")
        return train, held_out

    def _fitted_clone(self, model: Estimator, ratings: Ratings, arguments: Mapping[str, Any], seed: int) -> Estimator:
        """Return a fitted clone; seed and threads are set for the fit, if its own are None."""
        member: Estimator = clone(model)
        own = member.get_params(deep=False)
        lent = {"random_state": seed, "n_threads": self.n_threads}
        lent = {name: value for name, value in lent.items() if name in own and own[name] is None and value is not None}
        member.set_params(**lent)
        with inside_another_fit():
            member.fit(ratings, **arguments)
        return member.set_params(**dict.fromkeys(lent))

    def _weighted(
        self, members: Sequence[Member], ratings: Ratings, held_out: Ratings, backend: Backend, compute: Compute
    ) -> State:
        """Fit the weights and return the state of the blend; ``ratings`` are the seen items."""
        users, items = ids = _ids_of(members, self._caller)
        parts: Any = [(ratings.users, ratings.items, SeenItems(ratings.indptr, ratings.indices))]
        span = [ratings.rating_range]
        if not self.fit_members:
            states = [member.state for member in members]
            parts += [(own.users, own.items, own.seen) for own in states]
            span = [own.rating_range for own in states]
        limits = min(low for low, _ in span), max(high for _, high in span)
        seen: SeenItems | None = parts[0][2]
        if not self.fit_members or ids != (ratings.users, ratings.items):
            seen = union_of_seen(parts, *ids) if all(each is not None for *_, each in parts) else None
        if self._list_length:
            learnt = self._list_weights(members, held_out, seen, ids, ratings.mean, compute)
            limits = (-np.inf, np.inf)
        else:
            learnt = self._prediction_weights(members, ratings.mean, held_out, limits, compute)
        return State.of(
            ratings,
            backend,
            weighted_sum(learnt, users, items),
            users=users,
            items=items,
            seen=seen,
            rating_range=limits,
            targets=self._targets,
            learnt=learnt,
            folding=BlendFolding(learnt),
        )

    def _list_weights(
        self,
        members: Sequence[Member],
        held_out: Ratings,
        seen: SeenItems | None,
        ids: tuple[IdMap, IdMap],
        mean: float,
        compute: Compute,
    ) -> LearntBlend:
        """Fit the weights to the held-out choices, which lists of the validation do not leave out."""
        caller = f"{self._caller}: validation"
        strengths = self._targets.of_training(held_out, caller).values
        chosen = held_out.take(strengths > 0)  # with its ratings, which grade
        rows = pair_rows(chosen, *ids, caller)
        known = (rows[0] >= 0) & (rows[1] >= 0)
        if not known.any():
            raise ValueError(f"{caller} must hold choices of users and items that members know; got none")
        users, items = (side[row[known]] for side, row in zip((ids[0].ids, ids[1].ids), rows, strict=True))
        chosen = Ratings.from_coo(users, items, chosen.values[known], user_ids=ids[0], item_ids=ids[1])
        seen = None if seen is None else seen.without(chosen, *ids)
        name = self.metric.partition("@")[0]
        equal = LearntBlend(tuple(members), np.ones(len(members)), 0.0, 0.0, 0.0, (), 0, mean, name, lists=True)
        found = list_weights(weighted_sum(equal, *ids), chosen, seen, name, self._list_length, compute)
        return replace(
            equal,
            weights=found.weights,
            measure=found.measure,
            member_measures=found.member_measures,
            n_validation=int(known.sum()),
        )

    def _prediction_weights(
        self, members: Sequence[Member], mean: float, held_out: Ratings, limits: tuple[float, float], compute: Compute
    ) -> LearntBlend:
        """Fit the weights to the held-out ratings."""
        columns = []
        for member in members:
            own = member.state
            rows = pair_rows(held_out, own.users, own.items, self._caller)
            columns.append(Part(own.scores, 1.0, None, None, own.rating_range).pairs(*rows, compute).astype(np.float64))
        scores = np.stack(columns, axis=1)
        values, sample = held_out.values, held_out.weights
        if self.metric != "rmse":
            if self.metric == "log_loss":
                as_labels(values, None, f"{self._caller}: validation", soft=True)
            found = error_weights(scores, values, sample, self.metric, limits)
            measures = found.measure, found.member_measures
            return LearntBlend(tuple(members), found.weights, 0.0, 0.0, *measures, held_out.nnz, mean, self.metric)
        weights, intercept, reg = blend_weights(
            scores,
            values,
            sample,
            self.reg,
            intercept=bool(self.intercept),
            non_negative=bool(self.non_negative),
        )

        def error(predicted: NDArray[np.float64]) -> float:
            return rmse(values, np.clip(predicted, *limits), sample_weight=sample)

        return LearntBlend(
            tuple(members),
            weights,
            intercept,
            reg,
            error(scores @ weights + intercept),
            tuple(error(column) for column in scores.T),
            held_out.nnz,
            mean,
        )

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def _pack(self, state: State) -> Packed:
        learnt: LearntBlend = state.learnt
        parts = {}
        for member in learnt.members:
            own = member.state if state.seen is not None else member.state.replaced(seen=None)
            parts[member.name] = member.model._with_state(own).to_archive()
        listed = [
            [name, DROP if name not in parts else "named" if isinstance(entry, tuple) else "unnamed"]
            for (name, _), entry in zip(named(self.models), self.models, strict=True)
        ]
        if not parts.keys() <= {name for name, _ in listed}:  # the parameter was changed after the fit
            listed = [[name, "named"] for name in parts]
        meta = {name: getattr(learnt, name) for name in ("intercept", "reg", "n_validation", "global_mean", "metric")}
        meta |= {"validation_rmse": learnt.measure, "member_rmse": learnt.by_member()}  # by whatever metric
        return Packed({"weights": learnt.weights}, meta, parts, {"models": listed})

    @classmethod
    def _unpack_params(cls, archive: Archive) -> dict[str, Any]:
        """Return the parameters, the members among them as they were fitted."""
        models: list[Any] = []
        for name, how in archive.params["models"]:
            model = DROP if how == DROP else archive.model(name)
            models.append(model if how == "unnamed" else (name, model))
        return {**archive.params, "models": models}

    def _unpack(self, archive: Archive, common: State) -> State:
        lists = common.targets.choices
        fitted = checked(self.models, (), type(self).__name__, fitted=True, lists=lists)
        if fitted.keys() != archive.parts.keys():
            raise ValueError(f"members must be {', '.join(archive.parts)}; got {', '.join(fitted)}")
        members = []
        for name, model in fitted.items():
            own = model.state  # with the blend's id maps where they agree: ids are then looked up once
            users = common.users if own.users == common.users else own.users
            items = common.items if own.items == common.items else own.items
            members.append(Member(name, copy.copy(model), own.replaced(users=users, items=items)))
        if self.fit_members:
            self.models = clone(self.models, safe=False)
        meta = archive.meta
        learnt = LearntBlend(
            tuple(members),
            archive.array("weights", np.float64, (len(members),)),
            float(meta["intercept"]),
            None if meta["reg"] is None else float(meta["reg"]),
            float(meta["validation_rmse"]),
            tuple(float(meta["member_rmse"][name]) for name in fitted),
            int(meta["n_validation"]),
            float(meta["global_mean"]),
            str(meta.get("metric", "ndcg" if lists else "rmse")),
            lists,
        )
        sums = weighted_sum(learnt, common.users, common.items)
        return common.replaced(scores=sums, learnt=learnt, folding=BlendFolding(learnt))


def _ids_of(members: Sequence[Member], caller: str) -> tuple[IdMap, IdMap]:
    """Return the users and the items of all members."""
    users = union_of_ids({member.name: member.state.users for member in members}, "users_", caller)
    return users, union_of_ids({member.name: member.state.items for member in members}, "items_", caller)


def _with_members(state: State, members: Sequence[Member]) -> State:
    """Return the state of a blend with its members fitted again, in the same rows."""
    learnt = replace(state.learnt, members=tuple(members))
    return state.replaced(
        scores=weighted_sum(learnt, state.users, state.items), learnt=learnt, folding=BlendFolding(learnt)
    )


def _warn_of_seen(members: Sequence[Member], ratings: Ratings, caller: str) -> None:
    """Warn of members that were fitted to ratings that the weights are fitted to."""
    for member in members:
        own = member.state
        if own.seen is None:
            continue
        users, items = pair_rows(ratings, own.users, own.items, caller)
        known = (users >= 0) & (items >= 0)
        n_seen = own.seen.count_pairs(users[known], items[known], len(own.items))
        if n_seen:
            warnings.warn(
                f"{caller}: the member {member.name!r} was fitted to {n_seen:,} of the {ratings.nnz:,} ratings that "
                "the weights are fitted to; its weight will be too large; give ratings that no member was fitted to",
                DataWarning,
                stacklevel=level_outside(),
            )
