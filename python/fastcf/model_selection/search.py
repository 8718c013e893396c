"""Searches for the best parameters of a model: what they share, grids, and random draws."""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import KW_ONLY, dataclass, field, is_dataclass
from typing import Any, ClassVar, TypeVar

import joblib
import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import ParameterGrid, ParameterSampler

from fastcf._parameters import (
    VERBOSE,
    Boolean,
    Constraint,
    Instance,
    Interval,
    Nothing,
    OneOf,
    RandomSeed,
    positive_count,
    validate_parameters,
)
from fastcf._random import RandomState, seed_from
from fastcf.metrics import Scorer, as_scorer
from fastcf.model_selection.candidates import Candidate, described, with_parameters
from fastcf.model_selection.fits import set_where_none, watchable
from fastcf.model_selection.folds import Fold, folds_of
from fastcf.model_selection.journal import Journal, seed_in
from fastcf.model_selection.results import ranked, table_of
from fastcf.model_selection.runner import Job, Progress, Runner
from fastcf.model_selection.stopping import Bars, MedianStopping
from fastcf.ratings import Ratings, as_ratings

__all__ = ["GridSearch", "Metric", "RandomSearch", "Search", "drawn", "names_in"]

_Own = TypeVar("_Own", bound="Search")
Metric = str | Scorer | Any
"""The name of a metric, a scorer, or a function of the model and the held-out ratings."""


@dataclass(eq=False, repr=False)
class Search(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """What searches share: folds, fits, the table, the best model. A subclass says which candidates there are."""

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "stopping": (OneOf(MedianStopping.shorthands), Instance(MedianStopping), Nothing()),
        "n_jobs": (Interval(1, integer=True), Interval(-1, -1, integer=True), OneOf(("auto",))),
        "refit": (Boolean(),),
        "on_error": (OneOf(("warn", "raise")),),
        "random_state": (RandomSeed(),),
        "verbose": VERBOSE,
    }

    estimator: Any
    _: KW_ONLY
    metric: Metric = "score"
    cv: Any = 5
    n_jobs: int | str = "auto"
    refit: bool = True
    on_error: str = "warn"
    random_state: RandomState = None
    verbose: int | bool = 0
    stopping: str | MedianStopping | None = field(default=None, init=False)  # of the searches that take it

    cv_results_: dict[str, Any] = field(init=False)
    best_index_: int = field(init=False)
    best_params_: dict[str, Any] = field(init=False)
    best_score_: float = field(init=False)
    best_estimator_: Any = field(init=False)
    refit_time_: float = field(init=False)
    n_splits_: int = field(init=False)
    scorer_: Scorer = field(init=False)

    def _rounds(self, seed: int, caller: str) -> Iterator[list[Candidate]]:
        """Yield the candidates; those of a round have been fitted when the next one is asked for."""
        raise NotImplementedError

    def _searched(self) -> list[str]:
        """Return the names of the parameters that are searched."""
        raise NotImplementedError

    # -------------------------------------------------------------------------------------------------------
    # Fitting
    # -------------------------------------------------------------------------------------------------------

    def fit(
        self: _Own,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        journal: str | os.PathLike[str] | None = None,
        **arguments: Any,
    ) -> _Own:
        """Fit every candidate on every fold, and the best one to all ratings.

        Parameters
        ----------
        X : Ratings, SciPy sparse matrix, or array-like of shape (n, 2)
            The ratings, or user and item ids.
        y : array-like of shape (n,), optional
            The ratings where ``X`` holds ids.
        sample_weight : array-like of shape (n,), optional
            Weights of the ratings.
        journal : path-like, optional
            A file that gets a line of JSON when a fit has ended. The same call after the search was killed takes what
            the file holds, does the rest, and ends with the same table. More candidates than before are added.
        **arguments
            Further arguments of the estimator's ``fit``, such as ``item_features``.

        Returns
        -------
        search
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the ratings are not as described, a candidate has a parameter that the estimator has not,
            or no candidate could be fitted on every fold.
        DataError
            If the journal is of another search, or no journal.
        OSError
            If another search writes the journal, in this process or another one.
        """
        caller = f"{type(self).__name__}.fit"
        validate_parameters(self._constraints, {name: getattr(self, name) for name in self._constraints}, caller)
        scorer = as_scorer(self.metric, caller)
        self._refuse_moving_threshold(scorer, caller)
        sign = 1 if scorer.greater_is_better else -1
        ratings = as_ratings(X, y, sample_weight, caller=caller)
        found = seed_in(journal) if self.random_state is None else None
        # Models of other packages take seeds of 32 bits.
        seed = seed_from(self.random_state, caller) % 2**32 if found is None else found
        folds = folds_of(ratings, self.cv, seed, caller)
        rule = self._rule(len(folds), caller)
        candidates: list[Candidate] = []
        with ExitStack() as stack:
            progress = stack.enter_context(closing(Progress(type(self).__name__, scorer, int(self.verbose))))
            book = None
            if journal is not None:
                search = self._identity(scorer, ratings, folds, seed, arguments, caller)
                book = stack.enter_context(Journal(journal, search, caller))
            runner = Runner(
                self.estimator,
                folds,
                scorer,
                arguments,
                seed,
                self.n_jobs,
                self.on_error == "raise",
                progress,
                book,
                caller,
            )
            bars = None if rule is None else Bars(rule, sign)
            for proposed in self._rounds(seed, caller):
                for candidate in proposed:
                    with_parameters(self.estimator, candidate.params)  # refused before the first fit
                    candidate.outcomes = [None] * len(folds)
                candidates += proposed
                progress.expect(len(proposed) * len(folds))
                if rule is None or bars is None:
                    runner.run(Job(each, fold) for each in proposed for fold in range(len(folds)))
                else:
                    _race(proposed, rule, bars, runner, seed)
        self._conclude(candidates, sign, caller)
        self.scorer_, self.n_splits_ = scorer, len(folds)
        if self.refit:
            self._refit(ratings, seed, arguments)
        return self

    def _refuse_moving_threshold(self, scorer: Scorer, caller: str) -> None:
        """Refuse candidates of several thresholds, each measured by its own; raises ValueError."""
        moving = [name for name in self._searched() if name.rpartition("__")[2] == "threshold"]
        own = scorer.name == "score" or getattr(scorer.measure, "threshold", 0) is None
        if moving and own and scorer.name not in ("rmse", "mae"):
            raise ValueError(
                f"{caller}: metric must have a threshold where {moving[0]!r} is searched, or what is relevant would "
                f"differ between candidates; got {scorer.name!r} without; pass for example "
                "fastcf.metrics.as_scorer('ndcg@10', 'search', threshold=4)"
            )

    def _rule(self, n_folds: int, caller: str) -> MedianStopping | None:
        """Return the rule for stopping; raises ValueError where it has no effect."""
        if self.stopping is None:
            return None
        rule = MedianStopping() if isinstance(self.stopping, str) else self.stopping
        rule.validate(caller)
        before_the_end = watchable(self.estimator) and min(rule.at) < 1
        if not before_the_end and (n_folds == 1 or max(rule.at) < 1):
            raise ValueError(
                f"{caller}: stopping must be None where it has no effect: {type(self.estimator).__name__} has no "
                f"epochs to stop after, and there is no other fold to leave out; got {self.stopping!r}"
            )
        return rule

    def _identity(
        self,
        scorer: Scorer,
        ratings: Ratings,
        folds: Sequence[Fold],
        seed: int,
        arguments: Mapping[str, Any],
        caller: str,
    ) -> dict[str, Any]:
        """Return what a journal must be of, as JSON values."""
        what = f"{caller}: parameters in a journal"
        parts = [part for fold in folds for part in (fold.train, fold.held_out, fold.shown) if part is not None]
        return {
            "search": type(self).__name__,
            "estimator": described(self.estimator, what),
            "parameters": self._searched(),
            "metric": {"name": scorer.name, "settings": repr(scorer.measure) if is_dataclass(scorer.measure) else ""},
            "stopping": described(self.stopping, what),
            "seed": seed,
            "ratings": {"digest": _digest([ratings])},
            "folds": {"digest": _digest(parts)},
            "arguments": {name: {"digest": joblib.hash(value)} for name, value in sorted(arguments.items())},
        }

    def _conclude(self, candidates: Sequence[Candidate], sign: int, caller: str) -> None:
        """Set the table and the best candidate."""
        failed = [each for each in candidates if each.status == "failed"]
        why = next((outcome.error for each in failed for outcome in each.outcomes if outcome and outcome.error), "")
        last = max((candidate.columns.get("iter", 0) for candidate in candidates), default=0)
        finalists = [n for n, each in enumerate(candidates) if each.columns.get("iter", 0) == last]
        best = ranked([candidates[n] for n in finalists], sign)
        if not best:
            raise ValueError(
                f"{caller}: a candidate must be fitted on every fold; of {len(candidates)}, {len(failed)} have failed, "
                f"the first by {why or 'nothing'}"
            )
        if failed:
            warnings.warn(
                f"{caller}: {len(failed)} of {len(candidates)} candidates have failed and are ranked last, the first "
                f"by {why}",
                FitFailedWarning,
                stacklevel=3,
            )
        self.cv_results_ = table_of(candidates, sign)
        self.best_index_ = finalists[best[0]]
        self.best_params_ = dict(candidates[self.best_index_].params)
        self.best_score_ = candidates[self.best_index_].mean

    def _refit(self, ratings: Ratings, seed: int, arguments: Mapping[str, Any]) -> None:
        model = with_parameters(self.estimator, self.best_params_)
        lent = set_where_none(model, {"random_state": seed})
        started = time.perf_counter()
        model.fit(ratings, **arguments)
        self.refit_time_ = time.perf_counter() - started
        self.best_estimator_ = model.set_params(**lent)


def _race(candidates: Sequence[Candidate], rule: MedianStopping, bars: Bars, runner: Runner, seed: int) -> None:
    """Fit the first fold of all, group by group, and the other folds of those that were not given up."""
    order = np.random.default_rng(seed).permutation(len(candidates))  # a grid's neighbours are alike
    for group in rule.groups([candidates[n] for n in order]):
        now = bars.now()
        runner.run(Job(candidate, 0, now) for candidate in group)
        bars.add(group)
    n_folds = len(runner.folds)
    first = [candidate.outcomes[0] for candidate in candidates]
    kept = [
        candidate
        for candidate, outcome in zip(candidates, first, strict=True)
        if outcome is not None and outcome.stopped is None and outcome.error is None
    ]
    runner.progress.skip((len(candidates) - len(kept)) * (n_folds - 1))
    runner.run(Job(candidate, fold) for candidate in kept for fold in range(1, n_folds))


def _digest(parts: Sequence[Ratings]) -> str:
    """Return a digest of ratings, their ids included."""
    found = hashlib.blake2b(digest_size=16)
    maps = {id(ids): ids for part in parts for ids in (part.users, part.items)}
    for ids in maps.values():
        found.update(repr(ids.kind).encode())
        found.update(joblib.hash(ids.ids).encode())
    for part in parts:
        for array in (part.indptr, part.indices, part.values, part.weights, part.timestamps):
            found.update(b"-" if array is None else np.ascontiguousarray(array).data)
    return found.hexdigest()


@dataclass(eq=False, repr=False)
class GridSearch(Search):
    """Fit every combination of parameters on folds of the ratings, and the best one to all of them.

    Parameters
    ----------
    estimator : estimator
        What is searched: a model of this package, or what has ``fit(ratings)``, ``get_params`` and ``set_params``. It
        is cloned and stays as it is.
    param_grid : dict of str to sequence, or sequence of these
        Values by parameter; several grids are searched one after the other. ``solver__learning_rate`` is a parameter
        of the object that is ``solver``, ``mf__reg`` one of the member "mf" of a :class:`fastcf.Blend`.
    metric : str, Scorer or callable, default "score"
        What is compared: a name that :func:`fastcf.metrics.as_scorer` takes, such as "rmse" or "ndcg@10"; "score", the
        model's own; a function of the model and the held-out ratings, of which more is better unless its attribute
        ``greater_is_better`` is False; or a scorer. Scores have the metric's own sign: errors are positive, and the
        least is the best.
    cv : int, splitter, ratings or callable, default 5
        The folds: that many of :func:`fastcf.data.k_folds`; a splitter of this module or of scikit-learn, to which a
        rating is a row; ``(train, test)`` or a :class:`fastcf.data.UserSplit`, whose held-out
        users show their history, or several of these; or a function that makes them of the ratings.
    stopping : "median", MedianStopping or None, default None
        Whether candidates that are behind on the first fold are given up; see :class:`MedianStopping`.
    n_jobs : int or "auto", default "auto"
        Fits at a time, in threads of this process: -1 is the number of cores. "auto" measures whether fits side by
        side, or threads inside each, are faster; on a GPU it is 1. The results do not depend on it.
    refit : bool, default True
        Whether the best candidate is fitted to all ratings in the end.
    on_error : {"warn", "raise"}, default "warn"
        Whether candidates whose fit fails are ranked last, with a warning, or end the search.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Seeds the folds, and models whose own ``random_state`` is None, each alike. The same integer gives the same
        table, times excepted, for any number of workers and threads. With None a journal's seed is taken.
    verbose : {0, 1, 2} or bool, default 0
        Silent; a progress bar with the best so far; a line per fit.

    Attributes
    ----------
    cv_results_ : dict
        A column per entry and a row per candidate, as scikit-learn has them: ``params``, ``param_NAME``,
        ``split0_test_score`` and so on, ``mean_test_score``, ``std_test_score``, ``rank_test_score``,
        ``mean_fit_time``, ``std_fit_time``, ``mean_score_time``, ``std_score_time`` (seconds); and ``status``:
        "complete", "stopped" or "failed". The mean score of those that are not complete is NaN.
    best_index_ : int
        The row of the best candidate.
    best_params_ : dict
        Its parameters.
    best_score_ : float
        Its mean score.
    best_estimator_ : estimator
        The model with these parameters, fitted to all ratings, where ``refit``.
    refit_time_ : float
        Seconds that took.
    n_splits_ : int
        Number of folds.
    scorer_ : Scorer
        The metric.

    See Also
    --------
    RandomSearch, HalvingSearch, OptunaSearch : Other candidates.
    sklearn.model_selection.GridSearchCV : Takes these models too, as regressors of pairs of ids.

    Examples
    --------
    >>> import fastcf
    >>> from fastcf.model_selection import GridSearch
    >>> ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    >>> model = fastcf.MatrixFactorization(8, n_epochs=10)
    >>> search = GridSearch(model, {"reg": [0.1, 1.0, 10.0]}, metric="rmse", cv=3, random_state=0).fit(ratings)
    >>> search.best_params_
    {'reg': 0.1}
    >>> search.best_estimator_.recommend(7, n=3).items.size
    3
    """

    param_grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Sequence[Any]]]
    _: KW_ONLY
    stopping: str | MedianStopping | None = None

    def _searched(self) -> list[str]:
        return names_in(self.param_grid)

    def _rounds(self, seed: int, caller: str) -> Iterator[list[Candidate]]:
        yield [Candidate(params) for params in ParameterGrid(self.param_grid)]


@dataclass(eq=False, repr=False)
class RandomSearch(Search):
    """Fit random draws of parameters on folds of the ratings, and the best one to all of them.

    Parameters
    ----------
    estimator : estimator
        As for :class:`GridSearch`.
    param_distributions : dict of str to sequence or distribution, or sequence of these
        Values by parameter, or a distribution of SciPy (``scipy.stats.loguniform(1e-2, 10)``) to draw them from.
        Several dicts are drawn from alike. Where all are sequences, no combination is drawn twice.
    n_iter : int, default 20
        Number of candidates.
    metric, cv, stopping, n_jobs, refit, on_error, random_state, verbose
        As for :class:`GridSearch`; the seed is also that of the draws.

    Attributes
    ----------
    cv_results_, best_index_, best_params_, best_score_, best_estimator_, refit_time_, n_splits_, scorer_
        As for :class:`GridSearch`.

    References
    ----------
    J. Bergstra and Y. Bengio, "Random search for hyper-parameter optimization", JMLR 13, 2012.

    Examples
    --------
    >>> import fastcf
    >>> from fastcf.model_selection import RandomSearch
    >>> from scipy.stats import loguniform
    >>> ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    >>> space = {"reg": loguniform(0.01, 10), "n_factors": [4, 8]}
    >>> search = RandomSearch(fastcf.MatrixFactorization(n_epochs=5), space, 4, cv=3, random_state=0).fit(ratings)
    >>> search.cv_results_["mean_test_score"].size
    4
    """

    param_distributions: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    n_iter: int = 20
    _: KW_ONLY
    stopping: str | MedianStopping | None = None

    def _searched(self) -> list[str]:
        return names_in(self.param_distributions)

    def _rounds(self, seed: int, caller: str) -> Iterator[list[Candidate]]:
        n = positive_count(self.n_iter, caller, "n_iter")
        yield [Candidate(params) for params in drawn(self.param_distributions, n, seed)]


def names_in(space: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the parameters of a space, or of several."""
    return sorted({name for one in ([space] if isinstance(space, Mapping) else space) for name in one})


def drawn(space: Any, n: int, seed: int) -> list[dict[str, Any]]:
    """Return ``n`` draws from a space of parameters, numbers as Python's."""
    draws = ParameterSampler(space, n, random_state=seed % 2**32)
    return [
        {name: value.item() if isinstance(value, np.generic) else value for name, value in draw.items()}
        for draw in draws
    ]
