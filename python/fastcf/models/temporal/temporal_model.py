"""A model of ratings beside effects of time."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone

from fastcf._backend import Backend
from fastcf._callers import errors_of
from fastcf._columns import time_vector
from fastcf._durations import Duration, duration_of
from fastcf._parameters import Constraint, Interval, OneOf
from fastcf.errors import DivergenceError
from fastcf.models.data_warnings import inside_another_fit
from fastcf.models.estimator import Estimator, Packed
from fastcf.models.temporal.effects import PeriodEffects, fit_period_effects
from fastcf.models.temporal.learnt import LearntTimes, TemporalFolding
from fastcf.ratings import Ratings
from fastcf.scores import SeenItems, State
from fastcf.scores.queries import pair_rows, refuse_other_names
from fastcf.serialization import Archive, register

__all__ = ["TemporalModel"]

_SIDES = "user", "item"
_NO_SECONDS = 10**11  # from here on numbers are milliseconds or less, as for Ratings.from_coo
_CLOCK = 10**9  # from here on (2001) times of a training are seconds since 1970,
_NO_CLOCK = 10**8  # and numbers below (1973) are no times beside these, but years, or days as YYYYMMDD


@register
@dataclass(eq=False, repr=False)
class TemporalModel(Estimator):
    r"""Any model of ratings beside effects of time: ``ŷ_ui(t) = f(u, i) + b_{u,⌊t/T_user⌋} + b_{i,⌊t/T_item⌋}``.

    People rate higher on one evening than on another, and items come into fashion and go out of it. Effects of a user
    in some hours and of an item in a month explain a part of that, so that the model inside learns from cleaner
    ratings. They help where ratings of known times are predicted, of the same evening as others for example. Periods
    after all training ratings have no effects: predictions there are those of the model inside.

    The effects are shrunk means of what :class:`BiasModel` leaves of the ratings, users' and items' in turn: they
    minimise ``Σ w (y − μ − b_u − b_i − b_{u,t} − b_{i,t})² + user_reg Σ b_{u,t}² + item_reg Σ b_{i,t}²`` over the last
    two. The model inside is fitted to the ratings less the effects.

    Parameters
    ----------
    model : estimator
        A model of ratings, not of labels or choices; a clone of it is fitted. :class:`Blend` is one, too.
    user_period, item_period : float or str, default "3h" and "30d"
        T: lengths of the periods, in the unit of the timestamps (seconds, if they come from dates), or text such as
        "12h" (units s, min, h, d and w).
    user_reg, item_reg : float or "auto", default "auto"
        Penalties of the effects, in ratings, at least 0. "auto": those of 1, 2, 4, …, 256 and infinity (no effects)
        that predict a tenth of the ratings best, where there are 20 ratings or more.
    n_threads, device
        As for :class:`MatrixFactorization`; of the biases, and of ``model`` where its own are not set.

    Attributes
    ----------
    model_ : estimator
        The fitted model inside: of ratings less the effects. Neighbours are its, as time does not change them.
    time_ : int
        The time of :meth:`recommend`, and of predictions whose time is not given: the last of the training ratings, or
        that of :meth:`at`.
    user_reg_, item_reg_ : float
        The penalties used.
    n_effects_ : tuple of int
        Numbers of effects of users and of items.
    users_, items_, seen_, rating_range_, device_
        As for every model.

    See Also
    --------
    MatrixFactorization, Autoencoder, Blend : What may be inside.

    Notes
    -----
    Only the model inside may be random: the held-out tenth is drawn by a fixed seed. The same bits for any number of
    threads.

    References
    ----------
    Y. Koren, "Collaborative filtering with temporal dynamics", KDD 2009 (biases by day and by period).

    Examples
    --------
    >>> import numpy as np
    >>> import fastcf
    >>> users, items = np.repeat(np.arange(8), 10), np.tile(np.arange(10), 8)
    >>> second = (users + items) % 2 == 1  # what is rated on the second day gets a star more
    >>> ratings = fastcf.Ratings.from_coo(users, items, 3.0 + second, timestamps=np.where(second, 86_400, 0))
    >>> model = fastcf.TemporalModel(fastcf.BiasModel(), user_reg=1.0, item_reg=100.0).fit(ratings)
    >>> before, after = (model.predict([(0, 0)], timestamps=[day])[0] for day in (0, 86_400))
    >>> bool(after > before + 0.5)
    True
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "user_period": (Duration(),),
        "item_period": (Duration(),),
        "user_reg": (Interval(0), OneOf(("auto",))),
        "item_reg": (Interval(0), OneOf(("auto",))),
        **Estimator._constraints,
    }

    model: Any
    _: KW_ONLY
    user_period: float | str = "3h"
    item_period: float | str = "30d"
    user_reg: float | str = "auto"
    item_reg: float | str = "auto"
    n_threads: int | None = None
    device: str = "auto"

    @property
    def model_(self) -> Estimator:
        """The fitted model inside."""
        learnt: LearntTimes = self._fitted("model_").learnt
        return learnt.model._with_state(learnt.state)

    def set_params(self, **params: Any) -> TemporalModel:
        """Set parameters; ``model__reg`` is one of the model inside.

        Parameters
        ----------
        **params
            New values.

        Returns
        -------
        TemporalModel
            Itself.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        BaseEstimator.set_params(self, **params)
        return self

    def fit(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, **arguments: Any
    ) -> TemporalModel:
        """Learn the effects, then the model inside.

        Parameters
        ----------
        X : Ratings, or what they can be made from
            With timestamps, which only :class:`Ratings` have.
        y, sample_weight
            As for :meth:`MatrixFactorization.fit`.
        **arguments
            Passed to the ``fit`` of the model inside (features, callbacks, a checkpoint). ``validation`` loses the
            effects at its times, or without timestamps those at the last time of the training.

        Returns
        -------
        TemporalModel
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the input or a parameter is not as described, an argument is none of the model inside, or the ratings
            have no timestamps.
        DeviceError, GradientCheckError
            As for the model inside.
        DivergenceError, KeyboardInterrupt
            As for the model inside; where that keeps what it has learnt, so does this one.
        """
        caller = self._caller
        member = _checked(self.model, caller)
        ratings, backend = self._begin_fit(X, y, sample_weight)
        if ratings.timestamps is None:
            raise ValueError(
                f"{caller}: ratings must have timestamps; got none (pass Ratings with timestamps, as loaders of logs "
                f"make them, or fit {type(member).__name__} alone)"
            )
        unused = sorted(arguments.keys() - (member.fit_arguments() - {"X", "y", "sample_weight"}))
        if unused:
            raise ValueError(f"{caller}: {unused[0]} must be an argument of {type(member).__name__}.fit; it is none")
        lengths = tuple(duration_of(getattr(self, f"{side}_period"), caller, f"{side}_period") for side in _SIDES)
        regs = tuple(None if isinstance(reg, str) else float(reg) for reg in (self.user_reg, self.item_reg))
        effects = fit_period_effects(
            ratings, backend, (lengths[0], lengths[1]), (regs[0], regs[1]), caller, self._threads
        )
        last = int(ratings.timestamps.max())
        if arguments.get("validation") is not None:
            held_out = self._validation_ratings(arguments["validation"], ratings)
            arguments["validation"] = _without(held_out, ratings, effects, last)
        lent = {name: getattr(self, name) for name in ("n_threads", "device")}
        own = member.get_params(deep=False)
        lent = {name: value for name, value in lent.items() if own.get(name, value) in (None, "auto")}
        fitted: Estimator = clone(member).set_params(**lent)
        try:
            with errors_of(f"{caller}: model"), inside_another_fit():
                fitted.fit(_without(ratings, ratings, effects, last), **arguments)
        except (KeyboardInterrupt, DivergenceError):
            if fitted.__sklearn_is_fitted__():
                self._swap(self._state_of(ratings, fitted, own, effects, last, backend))
            raise
        self._swap(self._state_of(ratings, fitted, own, effects, last, backend))
        return self

    def _found(self, state: State) -> dict[str, Any]:
        learnt: LearntTimes = state.learnt
        found: dict[str, Any] = {"model": learnt.model._with_state(learnt.state).settled()}
        for side, effects in zip(_SIDES, (learnt.users, learnt.items), strict=True):
            name = f"{side}_reg"
            if isinstance(getattr(self, name), str) and np.isfinite(effects.reg):  # infinite is none that can be given
                found[name] = effects.reg
        return found

    def _take_parameters(self, given: Estimator) -> None:
        super()._take_parameters(given)
        state = self._fitted("set_params")
        learnt: LearntTimes = state.learnt
        model = learnt.model._with_state(learnt.state)
        model._take_parameters(self.model)
        self._swap(state.replaced(learnt=replace(learnt, model=model)))

    def shortened(self, n_fits: int = 1) -> TemporalModel:
        """Return an unfitted copy with the shortened model inside.

        Parameters
        ----------
        n_fits : int, default 1
            As for the model inside.

        Returns
        -------
        TemporalModel
        """
        shorter: TemporalModel = clone(self)
        return shorter.set_params(model=self.model.shortened(n_fits))

    @staticmethod
    def _state_of(
        ratings: Ratings,
        fitted: Estimator,
        params: Mapping[str, Any],
        effects: tuple[PeriodEffects, PeriodEffects],
        last: int,
        backend: Backend,
    ) -> State:
        inner = fitted.state
        model = copy.copy(fitted).set_params(**{name: params[name] for name in ("n_threads", "device")})
        users, items = (
            each if own == ids else each.renumbered(own.rows(ids))
            for each, own, ids in zip(effects, (inner.users, inner.items), (ratings.users, ratings.items), strict=True)
        )
        learnt = LearntTimes(model, inner, users, items, last)
        seen = SeenItems(ratings.indptr, ratings.indices) if inner.seen is None else inner.seen
        return State.of(
            ratings,
            backend,
            learnt.scores(),
            users=inner.users,
            items=inner.items,
            seen=seen,
            history=inner.history,
            n_epochs=inner.n_epochs,
            learnt=learnt,
            folding=TemporalFolding(learnt),
        )

    # -------------------------------------------------------------------------------------------------------
    # Queries
    # -------------------------------------------------------------------------------------------------------

    def at(self, time: Any) -> TemporalModel:
        """Return the model as of a time, for lists, histories and predictions without times of their own.

        Parameters
        ----------
        time : int, str, datetime or numpy.datetime64
            A time as timestamps have it: seconds (or the unit of the training's timestamps), or a date.

        Returns
        -------
        TemporalModel
            A copy that shares everything but the effects at ``time`` with this one.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            If it is not a time.
        """
        state = self._fitted("at")
        moment = int(_moments([time], state.learnt.time, f"{type(self).__name__}.at", "time")[0])
        learnt = replace(state.learnt, time=moment)
        return self._with_state(state.replaced(scores=learnt.scores(), learnt=learnt))

    def predict(  # type: ignore[override]  # one form of the others': without deviations, with times
        self,
        X: Any,
        *,
        timestamps: ArrayLike | None = None,
        history: Any = None,
        clip: bool = True,
        strict: bool = False,
        return_std: bool = False,
    ) -> NDArray[np.float32]:
        """Predict the ratings of pairs at their times.

        Parameters
        ----------
        X : array-like of shape (n, 2), Ratings or SciPy sparse matrix
            As for every model. Ratings with timestamps are predicted at these.
        timestamps : array-like of shape (n,), optional
            Times of the pairs: numbers as in training, or dates. Milliseconds and smaller units become seconds, as in
            :meth:`Ratings.from_coo`. By default those of ``X``, else ``time_``.
        history, clip, strict
            As for every model; ratings of a history count as given at ``time_``, which is also the time predicted.
        return_std : bool, default False
            Must be False: deviations are those of ``model_``.

        Returns
        -------
        ndarray of shape (n,), float32
            The same bits for any number of threads.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError, ValueError
            As for every model; if there are not as many timestamps as pairs, or some beside a history.
        """
        caller = f"{type(self).__name__}.predict"
        if return_std:
            raise ValueError(f"{caller}: return_std must be False; ask model_.predict for its deviations; got True")
        given = timestamps is not None
        times = X.timestamps if not given and isinstance(X, Ratings) else timestamps
        if given and history is not None:
            raise ValueError(f"{caller}: timestamps must be None with a history; use at(time).predict")
        if times is None or history is not None:
            return super().predict(X, history=history, clip=clip, strict=strict)
        state = self._fitted("predict")
        moments = _moments(times, state.learnt.time, caller, "timestamps")
        refuse_other_names(state.feature_names, X, caller)
        rows = pair_rows(X, state.users, state.items, caller, strict=strict, n_threads=self.n_threads)
        if moments.shape != rows[0].shape:
            raise ValueError(f"{caller}: timestamps must be one per pair ({rows[0].size}); got {moments.size}")
        learnt: LearntTimes = state.learnt
        predicted = learnt.pairs(*rows, moments, self._compute(state, caller))
        return np.clip(predicted, *state.rating_range, out=predicted) if clip else predicted

    # -------------------------------------------------------------------------------------------------------
    # Files
    # -------------------------------------------------------------------------------------------------------

    def _pack(self, state: State) -> Packed:
        learnt: LearntTimes = state.learnt
        inner = learnt.state if state.seen is not None else learnt.state.replaced(seen=None)
        arrays: dict[str, Any] = {}
        meta: dict[str, Any] = {"time": learnt.time}
        for side, effects in zip(_SIDES, (learnt.users, learnt.items), strict=True):
            arrays |= {
                f"{side}_effect_rows": effects.rows,
                f"{side}_effect_periods": effects.periods,
                f"{side}_effects": effects.values,
            }
            meta[f"{side}_length"] = effects.length
            meta[f"{side}_penalty"] = None if np.isinf(effects.reg) else effects.reg
        return Packed(arrays, meta, {"model": learnt.model._with_state(inner).to_archive()}, {"model": None})

    @classmethod
    def _unpack_params(cls, archive: Archive) -> dict[str, Any]:
        return {**archive.params, "model": archive.model("model")}

    def _unpack(self, archive: Archive, common: State) -> State:
        fitted = _checked(self.model, type(self).__name__)
        inner = fitted.state
        if inner.users != common.users or inner.items != common.items:
            raise ValueError("the model inside must have the users and items of the whole")
        self.model = clone(fitted)
        users, items = (
            _stored(archive, side, len(ids)) for side, ids in zip(_SIDES, (common.users, common.items), strict=True)
        )
        inner = inner.replaced(users=common.users, items=common.items)
        learnt = LearntTimes(copy.copy(fitted), inner, users, items, int(archive.meta["time"]))
        return common.replaced(scores=learnt.scores(), learnt=learnt, folding=TemporalFolding(learnt))


def _checked(model: Any, caller: str) -> Estimator:
    """Return the model inside; raises TypeError or ValueError where it is none of ratings."""
    if not isinstance(model, Estimator):
        raise TypeError(f"{caller}: model must be a model of this package; got {model!r}")
    targets = model._targets
    if targets.labels or targets.choices or model.get_params(deep=False).get("threshold") is not None:
        raise ValueError(f"{caller}: model must predict ratings, not labels or choices; got {model!r}")
    return model


def _moments(times: Any, known: int, caller: str, name: str) -> NDArray[np.int64]:
    """Return times in the unit of a ``known`` one of the training: in seconds, if that is, whatever numbers are."""
    moments = time_vector(times, caller, name)
    if moments.size and abs(known) < _NO_SECONDS <= np.abs(moments).max():
        return time_vector(times, caller, name, "auto")
    some = moments[moments != 0]
    if known >= _CLOCK and some.size and some.min() > 0 and some.max() < _NO_CLOCK and _are_numbers(times):
        raise ValueError(
            f"{caller}: {name} must be seconds since 1970, as those of the training, or dates such as '2018-07-07'; "
            f"got {some[0]}"
        )
    return moments


def _are_numbers(times: Any) -> bool:
    """Tell whether times are numbers, or texts of some, and no dates."""
    given = np.asarray(times)
    return given.dtype.kind in "iuf" or all(str(each).strip().isdecimal() for each in given.tolist())


def _without(ratings: Ratings, trained: Ratings, effects: tuple[PeriodEffects, PeriodEffects], last: int) -> Ratings:
    """Return ratings less the effects at their times, or at the last; ``trained`` has the rows of the effects."""
    rows = pair_rows(ratings, trained.users, trained.items, "TemporalModel.fit")
    times = last if ratings.timestamps is None else ratings.timestamps
    return ratings.with_values(ratings.values - (effects[0].at(rows[0], times) + effects[1].at(rows[1], times)))


def _stored(archive: Archive, side: str, n_rows: int) -> PeriodEffects:
    """Return the effects of an archive."""
    rows = archive.array(f"{side}_effect_rows", np.int32, (None,))
    periods = archive.array(f"{side}_effect_periods", np.int64, (rows.size,))
    values = archive.array(f"{side}_effects", np.float32, (rows.size,))
    length, penalty = float(archive.meta[f"{side}_length"]), archive.meta[f"{side}_penalty"]
    reg = np.inf if penalty is None else float(penalty)
    if not (np.isfinite(length) and length > 0 and reg >= 0 and np.isfinite(values).all()):
        raise ValueError(f"effects of {side}s: length {length}, penalty {penalty}")
    ascending = (rows[1:] > rows[:-1]) | ((rows[1:] == rows[:-1]) & (periods[1:] > periods[:-1]))
    width = int(periods.max()) - int(periods.min()) + 1 if rows.size else 1
    if not ascending.all() or (rows.size and not 0 <= rows[0] <= rows[-1] < n_rows) or width > 2**62 // max(n_rows, 1):
        raise ValueError(f"effects of {side}s are not in the order of their rows and periods")
    return PeriodEffects(length, reg, rows, periods, values)
