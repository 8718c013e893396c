"""Several models in one: the average of their predictions, weighted by ridge regression on held-out ratings."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from tqdm.auto import tqdm

from fastcf._random import RandomState, seed_from
from fastcf.data.splits import train_test_split
from fastcf.errors import DataError
from fastcf.metrics import rmse
from fastcf.models._blending import (
    BlendedScores,
    pair_scores,
    ridge_weights,
    union_of_ids,
    union_of_seen,
)
from fastcf.models._members import DROP, MembersMixin, takes
from fastcf.models._parameters import Boolean, Constraint, Interval, OneOf, RandomSeed
from fastcf.models.base import FactorModel, SeenItems
from fastcf.ratings import Ratings
from fastcf.serialization import Archive, from_archive, register

__all__ = ["Blend"]

_SHARED = ("user_ids", "item_ids", "seen_indptr", "seen_indices")  # what members mostly have in common with the blend


@register
class Blend(MembersMixin, BlendedScores):
    r"""The weighted average of several models' predictions: ``ŷ_ui = c + Σ_m a_m f_m(u, i)``.

    The weights are fitted to ratings that the members have not seen, by ridge regression that is shrunk towards the
    plain average of the M members: ``argmin Σ_v w_v (y_v − c − Σ_m a_m f_m(v))² + reg Σ_m (a_m − 1/M)²``. Usual ridge
    regression shrinks towards 0, where all predictions are the mean rating. The plain average, at which this one ends,
    has a mean squared error of at most the mean of the members' (the square is convex), whatever the ratings.

    Parameters
    ----------
    models : list of estimators or of pairs (name, estimator)
        The members: models of this package, other blends included. Names are for ``get_params``, ``set_params`` and
        searches (``mf__n_factors``); members without one are named after their class in lower case, numbered where
        several have the same (``matrixfactorization-2``). ``"drop"`` in place of an estimator leaves it out.
    reg : float or "auto", default "auto"
        The penalty, at least 0, as scikit-learn's ``Ridge`` has it: of a sum over the validation ratings. With 0,
        members that predict alike share their weight. "auto" takes, out of 33 penalties, the one of the least
        leave-one-out error, whatever the scale of the ratings.
    intercept : bool, default True
        Whether there is a c, which is not penalised; else c = 0.
    non_negative : bool, default False
        Whether weights must not be negative. "auto" chooses its penalty without regard to that.
    fit_members : bool, default True
        Whether ``fit`` fits clones of the members. Otherwise they must be fitted and are taken as they are.
    validation_fraction : float, default 0.1
        Share of the ratings, between 0 and 1, that ``fit`` holds out at random to fit the weights to, where it gets no
        ``validation``; two ratings at least.
    refit : bool, default True
        Whether the members are then fitted once more to all ratings, those held out included; the weights stay. Takes
        as long again, and mostly makes better predictions. Ratings given as ``validation`` are never learnt from but
        for the weights.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds what is held out, and members whose own ``random_state`` is None.
    n_threads : int, optional
        Threads to use, also by members that do not say; all by default. The result does not depend on it.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where ``recommend`` ranks the items of linear members (see Notes); only "auto" may fall back. Where members
        train and predict, they say themselves.
    verbose : {0, 1, 2}, default 0
        Silent; a progress bar over the members; a line per member.

    Attributes
    ----------
    models_ : dict of str to estimator
        The fitted members, by name.
    weights_ : ndarray of shape (M,), float64
        a_m, in the order of the members.
    intercept_ : float
        c.
    reg_ : float
        The penalty used.
    validation_rmse_ : float
        Error of the blend on the validation ratings. Its weights were fitted to these, so that it is a little less
        than on others.
    member_rmse_ : dict of str to float
        Errors of the members on the validation ratings, before any were fitted again.
    n_validation_ : int
        Number of validation ratings.
    users_, items_ : IdMap
        All ids that a member knows.
    seen_ : SeenItems or None
        Which items each user rated in ``X``; with ``fit_members=False`` also, or else None, what the members saw.
    rating_range_ : tuple of float
        Smallest and largest rating; predictions are limited to it.
    global_mean_ : float
        Mean of the ratings.
    device_ : str
        Where items are ranked.

    See Also
    --------
    sklearn.ensemble.VotingRegressor : The plain average.
    sklearn.ensemble.StackingRegressor : Any regression on predictions of cross-validation.

    Notes
    -----
    **Linear members** are those that predict ``m_i + b_u + b_i + p_u·q_i``: ``BiasModel``, ``MatrixFactorization`` and
    regressions of squared cost. They take part before their predictions are limited to the range of ratings; the blend
    is limited once, at the end. So a blend of linear members is a factor model again, whose factors are the members'
    side by side, and ``recommend`` searches it natively; for that it keeps a copy of the members' item factors, made
    by the first call. With other members, all items are scored, in batches of users that take 16 MiB.

    **Models of labels** take part with their probabilities, if they learn from the ratings themselves (0 or 1, or
    between): the blend then minimises the squared error of probabilities. Those with a ``threshold`` predict something
    else than the ratings and are refused.

    **Unknown users and items** are what they are to each member. The time order is not looked at: to hold out the
    latest ratings, hand them over as ``validation`` (:func:`fastcf.data.split_by_time`).

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
        "reg": (Interval(0), OneOf(("auto",))),
        "intercept": (Boolean(),),
        "non_negative": (Boolean(),),
        "fit_members": (Boolean(),),
        "validation_fraction": (Interval(0, 1, open_low=True),),
        "refit": (Boolean(),),
        "random_state": (RandomSeed(),),
        "verbose": (Interval(0, 2, integer=True),),
        **FactorModel._constraints,
    }
    _errors = ("reg_", "validation_rmse_", "member_rmse_", "n_validation_")
    _state = (*FactorModel._state, "intercept_", *_errors)

    def __init__(
        self,
        models: Sequence[Any],
        *,
        reg: float | str = "auto",
        intercept: bool = True,
        non_negative: bool = False,
        fit_members: bool = True,
        validation_fraction: float = 0.1,
        refit: bool = True,
        random_state: RandomState = None,
        n_threads: int | None = None,
        device: str = "auto",
        verbose: int = 0,
    ) -> None:
        self.models = models
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
    # Fitting
    # -------------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        validation: Any = None,
        user_features: Any = None,
        item_features: Any = None,
    ) -> Blend:
        """Fit the members and the weights.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The ratings, or user and item ids. With ``fit_members=False`` they are those that the weights are fitted to:
            the members must not have seen them. Weights of the ratings weight their squared errors, here too.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.
        validation : Ratings, SciPy sparse matrix, or tuple (X, y), optional
            Ratings to fit the weights to, at least 2; the members learn from all of ``X`` and nothing of these. By
            default a share of ``X``, drawn at random, is held out.
        user_features, item_features : FeatureTable or tuple (ids, matrix), optional
            Handed to the members whose ``fit`` takes them.

        Returns
        -------
        Blend
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described; members say so of theirs.
        NotFittedError
            If ``fit_members=False`` and a member is not fitted.
        DeviceError
            If ``device="cuda"`` cannot be used.
        KeyboardInterrupt
            After Ctrl-C. While members are fitted again the blend can be used: the others are as they were before.
        """
        caller = "Blend.fit"
        ratings, backend = self._begin_fit(X, y)
        members = self._members(caller)
        features = {"user_features": user_features, "item_features": item_features}
        features = {name: table for name, table in features.items() if table is not None}
        for name in features:
            if not self.fit_members or not any(takes(member, name) for member in members.values()):
                raise ValueError(f"{caller}: {name} must be None where no member is fitted to them; got a table")
        seed = seed_from(self.random_state, caller)
        train, held_out = self._split(ratings, validation, seed)
        seeds = dict(zip(members, np.random.SeedSequence(seed).generate_state(len(members), np.uint64), strict=True))
        refit = bool(self.fit_members and self.refit and validation is None)

        def learn(name: str, on: Ratings) -> Any:
            fitted = self._fitted(members[name], on, features, int(seeds[name]))
            done(f"{name}: fitted to {on.nnz:,} ratings")
            return fitted

        with self._progress(len(members) * (bool(self.fit_members) + refit)) as done:
            learnt = {name: learn(name, train) for name in members} if self.fit_members else members
            if not self.fit_members:
                _warn_of_seen(members, held_out, caller)
            scores = np.stack([pair_scores(member, held_out, self.n_threads) for member in learnt.values()], axis=1)
            self._conclude(learnt, scores, train if validation is not None else ratings, held_out, caller)
            self.device_ = backend.device
            if self.verbose > 1:
                shown = ", ".join(f"{name} {a:.3f}" for name, a in zip(learnt, self.weights_, strict=True))
                print(f"Blend: validation RMSE {self.validation_rmse_:.4f}; weights {shown}", flush=True)
            if refit:
                for name in members:
                    self.models_[name] = learn(name, ratings)
        return self

    @contextlib.contextmanager
    def _progress(self, n_fits: int) -> Iterator[Callable[[str], None]]:
        """Show how many members have been fitted; what is returned is to be told of each."""
        started = time.perf_counter()
        with tqdm(total=n_fits, desc="Blend", unit="fit", file=sys.stderr, disable=self.verbose != 1 or None) as bar:

            def done(text: str) -> None:
                nonlocal started
                bar.update(1)
                if self.verbose > 1:
                    print(f"{text} in {time.perf_counter() - started:.2f} s", flush=True)
                started = time.perf_counter()

            yield done

    def _split(self, ratings: Ratings, validation: Any, seed: int) -> tuple[Ratings, Ratings]:
        """Return the ratings to fit the members and the weights to."""
        if not self.fit_members:
            if validation is not None:
                raise ValueError(
                    "Blend.fit: validation must be None with fit_members=False, where X itself is what the weights are "
                    f"fitted to; got {type(validation).__name__}"
                )
            train, held_out = ratings, ratings
        elif validation is not None:
            train, held_out = ratings, self._validation_ratings(validation)
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

    def _fitted(self, model: Any, ratings: Ratings, features: dict[str, Any], seed: int) -> Any:
        """Return a fitted clone; what is lent to it, seed and threads, is its own parameter no longer."""
        member = clone(model)
        own = member.get_params(deep=False)
        lent = {"random_state": seed, "n_threads": self.n_threads}
        lent = {name: value for name, value in lent.items() if name in own and own[name] is None and value is not None}
        member.set_params(**lent)
        member.fit(ratings, **{name: table for name, table in features.items() if takes(member, name)})
        return member.set_params(**dict.fromkeys(lent))

    def _conclude(
        self, members: dict[str, Any], scores: NDArray[np.float64], ratings: Ratings, held_out: Ratings, caller: str
    ) -> None:
        """Fit the weights and set all that is learnt; ``ratings`` are those that users are known to have given."""
        users, items = (union_of_ids(members, name, caller) for name in ("users_", "items_"))
        weights, intercept, reg = ridge_weights(
            scores,
            held_out.values,
            held_out.weights,
            self.reg,
            intercept=bool(self.intercept),
            non_negative=bool(self.non_negative),
        )
        parts: Any = [(ratings.users, ratings.items, SeenItems(ratings.indptr, ratings.indices))]
        span = [ratings.rating_range]
        if not self.fit_members:
            parts += [(member.users_, member.items_, member.seen_) for member in members.values()]
            span = [member.rating_range_ for member in members.values()]
        self.models_ = dict(members)
        self.weights_, self.intercept_, self.reg_ = weights, intercept, reg
        self.users_, self.items_ = users, items
        self.rating_range_ = min(low for low, _ in span), max(high for _, high in span)
        self.global_mean_ = ratings.mean
        complete = all(seen is not None for *_, seen in parts)
        direct = self.fit_members and users == ratings.users and items == ratings.items
        self.seen_ = parts[0][2] if direct else union_of_seen(parts, users, items) if complete else None
        self._joint = None

        def error(predicted: NDArray[np.float64]) -> float:
            limited = np.clip(predicted, *self.rating_range_)
            return rmse(held_out.values, limited, sample_weight=held_out.weights)

        self.validation_rmse_ = error(scores @ weights + intercept)
        self.member_rmse_ = {name: error(scores[:, m]) for m, name in enumerate(members)}
        self.n_validation_ = held_out.nnz

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def _to_archive(self) -> Archive:
        arrays: dict[str, NDArray[Any]] = {
            "user_ids": self.users_.ids,
            "item_ids": self.items_.ids,
            "weights": self.weights_,
        }
        if self.seen_ is not None:
            arrays["seen_indptr"], arrays["seen_indices"] = self.seen_
        members = []
        for m, (name, member) in enumerate(self.models_.items()):
            archive = member._to_archive()
            if self.seen_ is None:
                archive = replace(archive, arrays={k: a for k, a in archive.arrays.items() if k[:5] != "seen_"})
            own = archive.arrays.keys()
            shared = [key for key in _SHARED if key in own & arrays.keys() and _same(archive.arrays[key], arrays[key])]
            arrays |= {f"member{m}/{key}": array for key, array in archive.arrays.items() if key not in shared}
            described = {"class": archive.class_name, "params": archive.params, "meta": archive.meta, "shared": shared}
            members.append({"name": name, **described})
        meta = {name: getattr(self, name) for name in self._state} | {"members": members}
        params = self.get_params(deep=False)
        params["models"] = [
            [name, DROP if name not in self.models_ else "named" if isinstance(entry, tuple) else "unnamed"]
            for (name, _), entry in zip(self._named(), self.models, strict=True)
        ]
        return Archive(type(self).__name__, params, arrays, meta)

    @classmethod
    def _from_archive(cls, archive: Archive) -> Blend:
        try:
            models: dict[str, Any] = {}
            for m, entry in enumerate(archive.meta["members"]):
                prefix = f"member{m}/"
                arrays = {key: archive.array(key) for key in entry["shared"]}
                arrays |= {k.removeprefix(prefix): a for k, a in archive.arrays.items() if k.startswith(prefix)}
                own = replace(archive, class_name=entry["class"], params=entry["params"], meta=entry["meta"])
                models[entry["name"]] = from_archive(replace(own, arrays=arrays))
            fit_members = archive.params["fit_members"]
            listed: list[Any] = []
            for name, how in archive.params["models"]:
                model = DROP if how == DROP else clone(models[name]) if fit_members else models[name]
                listed.append(model if how == "unnamed" else (name, model))
        except DataError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{archive.path}: the members of the Blend are damaged: {error!r}") from error
        blend = cls._with_parameters(archive, {**archive.params, "models": listed})
        blend._restore_ids(archive)
        blend.models_ = models
        blend.weights_ = archive.array("weights", np.float64, (len(models),))
        blend._joint = None
        blend._restore_state(archive)
        for member in models.values():  # one map, for looking it up once and to see at once that rows agree
            member.users_ = blend.users_ if member.users_ == blend.users_ else member.users_
            member.items_ = blend.items_ if member.items_ == blend.items_ else member.items_
        return blend


def _same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return first is second or (first.dtype == second.dtype and np.array_equal(first, second))


def _warn_of_seen(members: dict[str, Any], ratings: Ratings, caller: str) -> None:
    """Warn of members that learnt from the ratings which they are to be weighted by."""
    for name, member in members.items():
        if getattr(member, "seen_", None) is None:
            continue
        users, items = member._pair_rows(ratings, "fit", False)
        known = (users >= 0) & (items >= 0)
        n_seen = member.seen_.count_pairs(users[known], items[known], len(member.items_))
        if n_seen:
            warnings.warn(
                f"{caller}: the member {name!r} was fitted to {n_seen:,} of the {ratings.nnz:,} ratings that the "
                "weights are fitted to; its weight will be too large",
                stacklevel=3,
            )
