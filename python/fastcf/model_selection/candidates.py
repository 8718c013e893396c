"""Candidates of a search: settings of parameters, and what came of them on every fold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone

from fastcf._parameters import Settings
from fastcf.model_selection.fits import Outcome

__all__ = ["Candidate", "described", "with_parameters"]


@dataclass
class Candidate:
    """A setting of parameters.

    Attributes
    ----------
    params : mapping
        Values by the names of ``set_params``.
    columns : mapping
        Further columns of the table of results.
    users : float
        Share of the users that it is fitted to and tested with.
    outcomes : list of Outcome or None
        By fold; None: not fitted.
    """

    params: Mapping[str, Any]
    columns: Mapping[str, Any] = field(default_factory=dict)
    users: float = 1.0
    outcomes: list[Outcome | None] = field(default_factory=list)

    @property
    def status(self) -> str:
        """Whether all folds were fitted ("complete"), a fit has failed ("failed"), or it was given up ("stopped")."""
        if any(outcome is not None and outcome.error is not None for outcome in self.outcomes):
            return "failed"
        complete = all(outcome is not None and outcome.stopped is None for outcome in self.outcomes)
        return "complete" if complete else "stopped"

    @property
    def scores(self) -> list[float]:
        """The scores by fold, NaN where there is none."""
        return [math.nan if outcome is None else outcome.score for outcome in self.outcomes]

    @property
    def mean(self) -> float:
        """The mean score of the folds; NaN unless complete."""
        return float(np.mean(self.scores)) if self.status == "complete" else math.nan


def with_parameters(estimator: Any, params: Mapping[str, Any]) -> Any:
    """Return a clone of the estimator with other parameters, which are copied too."""
    return clone(estimator).set_params(**{name: clone(value, safe=False) for name, value in params.items()})


def described(value: Any, what: str) -> Any:
    """Return parameters as JSON values, equal where the parameters are.

    Raises
    ------
    TypeError
        If a value has no description that another process would write alike; ``what`` heads the message.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Settings):
        return described(value.to_dict(), what)
    if isinstance(value, Mapping):
        return {str(name): described(each, what) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return described(value.tolist(), what)
    if isinstance(value, Sequence):
        return [described(each, what) for each in value]
    if hasattr(value, "get_params") and not isinstance(value, type):
        return {"class": _name(type(value)), "params": described(value.get_params(deep=False), what)}
    if callable(value) and "<" not in _name(value):
        return {"function": _name(value)}
    raise TypeError(f"{what} must be numbers, texts, lists, models, solvers or named functions; got {value!r}")


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '<none>')}"
