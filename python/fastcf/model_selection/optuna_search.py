"""Search by Optuna's samplers, the extra ``fastcf[search]``."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from fastcf._parameters import Constraint, Interval
from fastcf.metrics import as_scorer
from fastcf.model_selection.candidates import Candidate
from fastcf.model_selection.search import Search, names_in
from fastcf.model_selection.stopping import MedianStopping

__all__ = ["OptunaSearch"]


@dataclass(eq=False, repr=False)
class OptunaSearch(Search):
    """Fit candidates that a sampler of Optuna draws, knowing the scores of earlier ones. Needs ``fastcf[search]``.

    The sampler is asked for ``batch_size`` candidates at a time and told their scores, so that the result does not
    depend on the number of workers.

    Parameters
    ----------
    estimator : estimator
        As for :class:`GridSearch`.
    param_distributions : dict of str to optuna.distributions.BaseDistribution or sequence
        The distribution of each parameter, for example ``FloatDistribution(1e-2, 10, log=True)``, or its values. Values
        that are no numbers, texts, booleans or None, such as layers or solvers, are their ``repr`` to Optuna.
    n_iter : int, default 30
        Number of candidates.
    sampler : optuna.samplers.BaseSampler, optional
        What draws them; by default ``TPESampler`` with the search's seed. It is copied.
    batch_size : int, default 5
        How many candidates are drawn before their scores are known. Fewer are drawn better, more keep more cores busy.
    metric, cv, stopping, n_jobs, refit, on_error, random_state, verbose
        As for :class:`GridSearch`. Candidates that are stopped are told as pruned.

    Attributes
    ----------
    cv_results_, best_index_, best_params_, best_score_, best_estimator_, refit_time_, n_splits_, scorer_
        As for :class:`GridSearch`.
    study_ : optuna.study.Study
        What Optuna was told, for its plots and importances.

    References
    ----------
    T. Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019.

    Examples
    --------
    >>> import fastcf
    >>> from fastcf.model_selection import OptunaSearch
    >>> from optuna.distributions import FloatDistribution
    >>> ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    >>> space = {"reg": FloatDistribution(0.01, 10, log=True)}
    >>> search = OptunaSearch(fastcf.MatrixFactorization(4, n_epochs=5), space, 6, cv=3, random_state=0).fit(ratings)
    >>> len(search.study_.trials)
    6
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        **Search._constraints,
        "n_iter": (Interval(1, integer=True),),
        "batch_size": (Interval(1, integer=True),),
    }
    param_distributions: Mapping[str, Any]
    n_iter: int = 30
    _: KW_ONLY
    sampler: Any = None
    batch_size: int = 5
    stopping: str | MedianStopping | None = None
    study_: Any = field(init=False)

    def _searched(self) -> list[str]:
        return names_in(self.param_distributions)

    def _rounds(self, seed: int, caller: str) -> Iterator[list[Candidate]]:
        optuna = _optuna(caller)
        spaces, values = {}, {}
        for name, space in self.param_distributions.items():
            where = f"{caller}: {name} of param_distributions"
            spaces[name], values[name] = _distribution(space, optuna.distributions, where)
        states = optuna.trial.TrialState
        better = as_scorer(self.metric, caller).greater_is_better
        sampler = optuna.samplers.TPESampler(seed=seed % 2**32) if self.sampler is None else copy.deepcopy(self.sampler)
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # or the study is announced
        try:
            study = optuna.create_study(sampler=sampler, direction="maximize" if better else "minimize")
        finally:
            optuna.logging.set_verbosity(level)
        self.study_ = study
        for done in range(0, self.n_iter, self.batch_size):
            n = min(self.batch_size, self.n_iter - done)
            trials = [study.ask(spaces) for _ in range(n)]
            candidates = [
                Candidate({name: values[name].get(drawn, drawn) for name, drawn in trial.params.items()})
                for trial in trials
            ]
            yield candidates
            for trial, candidate in zip(trials, candidates, strict=True):
                if candidate.status == "complete":
                    study.tell(trial, candidate.mean)
                else:
                    study.tell(trial, state=states.PRUNED if candidate.status == "stopped" else states.FAIL)


def _distribution(space: Any, kinds: Any, what: str) -> tuple[Any, dict[Any, Any]]:
    """Return the distribution of Optuna that a space is, and the values that texts stand for in it.

    ``what`` heads the messages of TypeError and ValueError.
    """
    if isinstance(space, kinds.BaseDistribution):
        return space, {}
    if isinstance(space, Sequence) and not isinstance(space, str) and space:
        if all(value is None or isinstance(value, bool | int | float | str) for value in space):
            return kinds.CategoricalDistribution(list(space)), {}
        values = {repr(value): value for value in space}
        if len(values) < len(space):
            raise ValueError(f"{what} must hold values of different texts; got {', '.join(map(repr, space))}")
        return kinds.CategoricalDistribution(list(values)), values
    raise TypeError(
        f"{what} must be a distribution of optuna.distributions, such as FloatDistribution(0.01, 10, log=True), or a "
        f"list of values; got {space!r}; RandomSearch takes distributions of SciPy"
    )


def _optuna(caller: str) -> Any:
    try:
        return importlib.import_module("optuna")
    except ImportError as error:
        raise ImportError(f"{caller}: needs Optuna: pip install 'fastcf[search]'") from error
