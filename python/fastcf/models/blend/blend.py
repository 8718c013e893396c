"""Several models in one: weighted sums of their predictions or, for lists, of their standardised scores."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone

from fastcf._callers import level_outside
from fastcf._parameters import VERBOSE, Boolean, Constraint, Interval, Nothing, OneOf, RandomSeed
from fastcf._random import RandomState
from fastcf.errors import DataWarning, DivergenceError
from fastcf.metrics.titles import title_of
from fastcf.models.blend.checkpoints import MemberCheckpoints
from fastcf.models.blend.counts import CountWeights
from fastcf.models.blend.fitting import Fold, MemberFits, folds_of, progress
from fastcf.models.blend.learnt import BlendFolding, LearntBlend, Member, weighted_sum
from fastcf.models.blend.members import DROP, checked, named, parameters_of, replaced, takes
from fastcf.models.blend.weighing import LISTS, Weighing, ids_of_members, with_members
from fastcf.models.estimator import Estimator, Packed
from fastcf.ratings import Ratings
from fastcf.scores import Compute, State, Targets
from fastcf.scores.queries import pair_rows
from fastcf.serialization import Archive, register
from fastcf.training.checkpoint import Position

__all__ = ["Blend"]

_ERRORS = ("rmse", "mae", "log_loss")


@register
@dataclass(eq=False, repr=False)
class Blend(Estimator):
    r"""The weighted average of several models' predictions: ``ŷ_ui = c + Σ_m a_m f_m(u, i)``.

    Where that lowers the error, the weights depend on how many ratings the item has, and c on those of item and user:
    ``ŷ_ui = c + d s_u + e s_i + Σ_m (a_m + v_m s_i) f_m(u, i)``, with ``s = 1 / √(1 + n)`` in standard units. One model
    is best for popular items, another for rare ones.

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
        Only for "rmse", as the next three. The penalty, at least 0, as scikit-learn's ``Ridge`` has
        it: of a sum over the validation ratings. With 0, members that predict alike share their weight. "auto" takes,
        out of 33 penalties, the one of the least leave-one-out error, whatever the scale of the ratings. If that error
        is not less than that of the best convex combination by a standard error of the difference, it takes this one:
        weights that are not negative and add up to 1. On few ratings the blend is then about as good as its best
        member, or better: see the notes.
    intercept : bool, default True
        Whether there is a c, which is not penalised; else c = 0. That of a convex combination is shrunk by how
        uncertain it is.
    non_negative : bool, default False
        Whether weights must not be negative. "auto" chooses its penalty without regard to that.
    by_count : bool, default True
        Whether weights may depend on numbers of ratings. They do where the leave-one-out error of the regression that
        has v, d and e as well is less than that of the best constants by a standard error of the difference. Refused
        where other parameters exclude it: a number as ``reg``, no intercept, ``non_negative``, fitted members.
    fit_members : bool, default True
        Whether ``fit`` fits clones of the members. Otherwise they must be fitted and are taken as they are.
    validation_fraction : float, default 0.1
        Share of the ratings, between 0 and 1, that ``fit`` holds out at random to fit the weights to, two ratings at
        least; for ``fit_members=True`` without ``validation``. Where that is fewer than 5,000, further parts are held
        out in turn until there are as many, or five parts; with ``refit=False`` and for lists it is one part.
    refit : bool, default True
        Whether the members are then fitted once more to all ratings, those held out included; the weights stay. Mostly
        makes better predictions. The first fits are shorter ones then (:meth:`shortened` of the members), and what they
        find by a search holds for the others (:meth:`settled`): factorisations and autoencoders take 1.3 to 1.5 times
        as long as alone, members of other kinds twice. On fewer than 50,000 ratings a member "bayes" takes up to twice
        as long, an autoencoder up to 3.5 times, others as often as parts are held out and once more. For
        ``fit_members=True`` without ``validation``, to which only the weights are fitted.
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
        a_m, in the order of the members: the mean weights of the validation ratings. Read-only.
    slopes_ : ndarray of shape (M,), float64, or None
        v_m: what is added to the weights of an item whose s is a standard deviation above that of a mean validation
        rating. Positive for members that are good on items of few ratings. None: weights are the same for all.
    intercept_ : float
        c.
    reg_ : float or None
        The penalty used; None: the weights are a convex combination.
    validation_rmse_ : float
        Error of the blend on the validation ratings, by the members' first fits. The weights were fitted to these, so
        it is slightly lower than on other ratings. Named after the metric: ``validation_ndcg_`` for "ndcg@10", of the
        validation choices.
    member_rmse_ : dict of str to float
        Errors of the members on the validation ratings, before any of them was fitted again; ``member_ndcg_``.
    n_validation_ : int
        Number of validation ratings, of all parts together.
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

    With weights by count a linear member has one more factor, which carries its users' biases; the blend stays linear.
    s is limited to the values that the outer 20 validation ratings have, so that weights are not extrapolated to items
    that no validation rating has tried; new users and items have the counts of their given ratings.

    **No worse than its best member** is a statement about averages: weights are fitted to 5,000 validation ratings, or
    to half of fewer than 10,000 ratings, and a blend that loses by them is not taken. On made-up sets of 500 to 20,000
    ratings the test error was 0.996 to 1.004 times that of the member which turned out to be the best, on average over
    seeds; single sets of 500 ratings went up to 1.04.

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
    Töscher and R. Legenstein, "Combining predictions for accurate recommender systems", KDD 2010. J. Sill, G. Takács,
    L. Mackey and D. Lin, "Feature-weighted linear stacking", 2009 (weights that depend on numbers of ratings).

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
        "metric": (OneOf(_ERRORS), LISTS),
        "threshold": (Interval(), Nothing()),
        "reg": (Interval(0), OneOf(("auto",))),
        "intercept": (Boolean(),),
        "non_negative": (Boolean(),),
        "by_count": (Boolean(),),
        "fit_members": (Boolean(),),
        "validation_fraction": (Interval(0, 1, open_low=True),),
        "refit": (Boolean(),),
        "random_state": (RandomSeed(),),
        "verbose": VERBOSE,
        **Estimator._constraints,
    }

    models: Sequence[Any]
    _: KW_ONLY
    metric: str = "rmse"
    threshold: float | None = None
    reg: float | str = "auto"
    intercept: bool = True
    non_negative: bool = False
    by_count: bool = True
    fit_members: bool = True
    validation_fraction: float = 0.1
    refit: bool = True
    random_state: RandomState = None
    n_threads: int | None = None
    device: str = "auto"
    verbose: int | bool = 0

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
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default True
            Whether the members, by their names, and their parameters, as ``name__parameter``, are among them.

        Returns
        -------
        dict of str to object
        """
        params = self._own_params()
        return params | parameters_of(self.models) if deep else params

    def set_params(self, **params: Any) -> Blend:
        """Set parameters.

        Parameters
        ----------
        **params : object
            The blend's parameters, members by their names, and parameters of members as ``name__parameter``.
            ``"drop"`` for a member leaves it out.

        Returns
        -------
        Blend
            Itself.

        Raises
        ------
        ValueError
            If there is no such parameter.
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
        self._refuse_ineffective()
        weighing = self._weighing(Compute(backend.module, self._threads))
        lists = weighing.list_length > 0
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
        refit = bool(self.fit_members and self.refit and validation is None)
        folds = self._folds(ratings, validation, features, seed, one=lists or not refit)
        whole.identify(learnt_from=folds[0].train, held_out=folds[0].held_out)
        if kept.folder is not None:
            whole.write(Position([], {}, 0, False))
        seeds = dict(zip(members, np.random.SeedSequence(seed).generate_state(len(members), np.uint64), strict=True))
        rated = folds[0].train if validation is not None else ratings
        n_fits = len(members) * ((len(folds) if self.fit_members else 0) + refit)
        with progress(n_fits, int(self.verbose)) as done:
            fits = MemberFits(members, features, kept, seeds, self.n_threads, refit, done, caller)
            if self.fit_members:
                fitted = fits.to_folds(folds)
            else:
                fitted = [[Member(name, copy.copy(member), member.state) for name, member in members.items()]]
                ids_of_members(fitted[0], caller)  # of one kind
                _warn_of_seen(fitted[0], folds[0].held_out, caller)
            state = weighing.state(fitted, folds, rated, backend, joined=not self.fit_members)
            if self.verbose > 1:
                found = state.learnt
                shown = ", ".join(f"{m.name} {a:.3f}" for m, a in zip(found.members, found.weights, strict=True))
                print(f"Blend: validation {title_of(self.metric)} {found.measure:.4f}; weights {shown}", flush=True)
            if refit:
                learnt = list(fitted[0])
                try:
                    for m, first in enumerate(fitted[0]):
                        learnt[m] = fits.to_all(first, ratings)
                except (KeyboardInterrupt, DivergenceError):
                    self._swap(with_members(state, learnt))
                    raise
                state = with_members(state, learnt, ratings)
        self._swap(state)
        return self

    def _refuse_ineffective(self) -> None:
        """Refuse parameters without effect."""
        if self.metric != "rmse":
            self._refuse_ignored(("reg", "intercept", "non_negative", "by_count"), f"for metric={self.metric!r}")
        if not LISTS.length(self.metric):
            self._refuse_ignored(("threshold",), f"for metric={self.metric!r}")
        if not self.fit_members:
            self._refuse_ignored(("by_count",), "with fit_members=False")
        for name, by_default in (("reg", "auto"), ("intercept", True), ("non_negative", False)):
            if getattr(self, name) != by_default:
                self._refuse_ignored(("by_count",), f"for {name}={getattr(self, name)!r}")

    def _weighing(self, compute: Compute) -> Weighing:
        """Return how the weights are found."""
        plain = not isinstance(self.reg, str) or not self.intercept or self.non_negative
        by_count = bool(self.by_count and self.fit_members and not plain)
        return Weighing(
            self.metric,
            self.threshold,
            self.reg,
            bool(self.intercept),
            bool(self.non_negative),
            by_count,
            compute,
            self._caller,
        )

    @property
    def _targets(self) -> Targets:
        return Weighing.targets_of(self.metric, self.threshold)

    def _folds(
        self, ratings: Ratings, validation: Any, features: Mapping[str, Any], seed: int, *, one: bool
    ) -> list[Fold]:
        """Return the ratings to fit the members and the weights to."""
        if not self.fit_members:
            if validation is not None:
                raise ValueError(
                    "Blend.fit: validation must be None with fit_members=False, where X itself is what the weights are "
                    f"fitted to; got {type(validation).__name__}"
                )
            folds = [Fold(ratings, ratings)]
        elif validation is not None:
            featured = {name.removesuffix("_features") for name in features}
            folds = [Fold(ratings, self._validation_ratings(validation, ratings, featured))]
        else:
            folds = folds_of(ratings, self.validation_fraction, seed, self._caller, one=one)
        held_out = [fold.held_out for fold in folds]
        if (n := sum(each.nnz for each in held_out)) < 2:
            raise ValueError(f"Blend.fit: validation must hold at least 2 ratings; got {n}")
        if not any(each.weights is None or each.weights.any() for each in held_out):
            raise ValueError(f"Blend.fit: weights of the validation ratings must not all be zero; got {n}")
        return folds

    def shortened(self, n_fits: int = 1) -> Blend:
        """Return an unfitted copy whose members are fitted once.

        Parameters
        ----------
        n_fits : int, default 1
            Without effect: weights need whole fits.

        Returns
        -------
        Blend
        """
        shorter: Blend = clone(self)
        return shorter.set_params(refit=False) if self.fit_members else shorter

    def _found(self, state: State) -> dict[str, Any]:
        members = {member.name: member.model._with_state(member.state) for member in state.learnt.members}
        if self.fit_members:
            members = {name: model.settled() for name, model in members.items()}
        return {"models": replaced(self.models, members, ())}

    def _take_parameters(self, given: Estimator) -> None:
        super()._take_parameters(given)
        state, models, members = self._fitted("set_params"), dict(named(self.models)), []
        for member in state.learnt.members:
            model = member.model._with_state(member.state)
            model._take_parameters(models[member.name])
            members.append(replace(member, model=model))
        self._swap(state.replaced(learnt=replace(state.learnt, members=tuple(members))))

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
        arrays = {"weights": learnt.weights, **({} if learnt.by_count is None else learnt.by_count.arrays())}
        return Packed(arrays, meta, parts, {"models": listed})

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
            CountWeights.of(archive, len(members), len(common.users), len(common.items)),
        )
        sums = weighted_sum(learnt, common.users, common.items)
        return common.replaced(scores=sums, learnt=learnt, folding=BlendFolding(learnt))


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
