"""Successive halving: many candidates with few epochs or users, and the best of them with more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from fastcf._parameters import Constraint, Instance, Interval, Nothing, validate_parameters
from fastcf.metrics import as_scorer
from fastcf.model_selection.candidates import Candidate
from fastcf.model_selection.results import ranked
from fastcf.model_selection.search import Search, drawn, names_in

__all__ = ["HalvingSearch"]

USERS = "users"


@dataclass(eq=False, repr=False)
class HalvingSearch(Search):
    """Fit many random draws of parameters with few resources, keep the best third, fit these with three times as many.

    Every fit is a whole training: with fewer epochs the learning rate falls to its end earlier. So candidates are
    compared at the end of their schedules, and not while their steps are still large.

    Parameters
    ----------
    estimator : estimator
        As for :class:`GridSearch`.
    param_distributions : dict of str to sequence or distribution, or sequence of these
        As for :class:`RandomSearch`.
    n_candidates : int, default 27
        Number of candidates of the first round.
    factor : int, default 3
        Of each round, one in this many is kept, rounded up, and gets this many times the resources.
    resource : str, default "users"
        What there is more of in each round: "users", a random share of the users, all in the last round; or the name of
        a parameter that is an integer, such as "n_epochs".
    max_resources : int, optional
        The parameter's value in the last round; by default the estimator's. None for "users".
    min_resources : int or float, optional
        The least in the first round: a value, by default 1, or a share of the users, by default 0.05. There are as many
        rounds as it and ``n_candidates`` allow.
    metric, cv, n_jobs, refit, on_error, random_state, verbose
        As for :class:`GridSearch`; the seed is also that of the draws.

    Attributes
    ----------
    cv_results_ : dict
        As for :class:`GridSearch`, with a row per candidate and round, and the columns ``iter``, the round from 0, and
        ``n_resources``, the parameter's value or the share of the users.
    best_index_, best_params_, best_score_, best_estimator_, refit_time_, n_splits_, scorer_
        As for :class:`GridSearch`; the best is that of the last round.

    References
    ----------
    K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS
    2016.

    Examples
    --------
    >>> import fastcf
    >>> from fastcf.model_selection import HalvingSearch
    >>> from scipy.stats import loguniform
    >>> ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    >>> model = fastcf.MatrixFactorization(4, n_epochs=9)
    >>> search = HalvingSearch(model, {"reg": loguniform(0.01, 10)}, 9, resource="n_epochs", cv=3, random_state=0)
    >>> search.fit(ratings).cv_results_["n_resources"].tolist()
    [3, 3, 3, 3, 3, 3, 3, 3, 3, 9, 9, 9]
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        **{name: allowed for name, allowed in Search._constraints.items() if name != "stopping"},
        "n_candidates": (Interval(1, integer=True),),
        "factor": (Interval(2, integer=True),),
        "resource": (Instance(str),),
        "max_resources": (Interval(1, integer=True), Nothing()),
        "min_resources": (Interval(0, open_low=True), Nothing()),
    }

    param_distributions: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    n_candidates: int = 27
    _: KW_ONLY
    factor: int = 3
    resource: str = USERS
    max_resources: int | None = None
    min_resources: float | None = None

    def _searched(self) -> list[str]:
        return names_in(self.param_distributions)

    def _rounds(self, seed: int, caller: str) -> Iterator[list[Candidate]]:
        sign = 1 if as_scorer(self.metric, caller).greater_is_better else -1
        draws = drawn(self.param_distributions, self.n_candidates, seed)
        for n, amount in enumerate(self._amounts(len(draws), caller)):
            columns = {"iter": n, "n_resources": amount}
            if self.resource == USERS:
                candidates = [Candidate(params, columns, users=amount) for params in draws]
            else:
                candidates = [Candidate({**params, self.resource: amount}, columns) for params in draws]
            yield candidates
            best = ranked(candidates, sign)[: math.ceil(len(candidates) / self.factor)]
            draws = [draws[position] for position in best]

    def _amounts(self, n_candidates: int, caller: str) -> list[float]:
        """Return the resources of the rounds, the most last."""
        if self.resource == USERS:
            validate_parameters({"max_resources": (Nothing(),)}, vars(self), f"{caller}: for resource='users'")
            most: float = 1.0
            least = 0.05 if self.min_resources is None else self.min_resources
        else:
            most = self._most(caller)
            least = 1 if self.min_resources is None else self.min_resources
        if least > most:
            raise ValueError(
                f"{caller}: min_resources must be at most {most}, the resources of the last round; got {least}"
            )
        n_rounds = 1
        while self.factor**n_rounds < n_candidates and most / self.factor**n_rounds >= least:
            n_rounds += 1
        amounts = [most / self.factor**n for n in reversed(range(n_rounds))]
        return amounts if self.resource == USERS else [max(1, round(amount)) for amount in amounts]

    def _most(self, caller: str) -> int:
        """Return the largest value of the parameter that is the resource."""
        own = self.estimator.get_params()
        if self.resource not in own or self.resource in self._searched():
            raise ValueError(
                f"{caller}: resource must be 'users', or a parameter of {type(self.estimator).__name__} that is not "
                f"searched; got {self.resource!r}"
            )
        most = own[self.resource] if self.max_resources is None else self.max_resources
        if not Interval(1, integer=True).accepts(most):
            raise ValueError(
                f"{caller}: max_resources must be given where {self.resource} is no integer of at least 1; got "
                f"{self.resource}={most!r}"
            )
        return int(most)
