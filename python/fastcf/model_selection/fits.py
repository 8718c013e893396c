"""One fit of a search: a candidate on a fold, measured, and given up early where it is behind."""

from __future__ import annotations

import inspect
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastcf.metrics import Scorer
from fastcf.model_selection.folds import Fold
from fastcf.models.data_warnings import inside_another_fit
from fastcf.training.callbacks import Callback, Record, as_callbacks
from fastcf.training.unread import unread_history

__all__ = ["Fit", "Outcome", "set_where_none", "watchable"]

Bars = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Outcome:
    """What came of a fit.

    Attributes
    ----------
    score : float
        On the held-out ratings; of a training that was stopped, at that moment; NaN after a failure.
    fit_seconds, score_seconds : float
        What training and scoring took; measurements during training count as scoring.
    measured : tuple of (float, float)
        Shares of the epochs, and the scores after them.
    stopped : float, optional
        The share of the epochs after which the candidate was given up.
    error : str, optional
        Why the fit has failed.
    """

    score: float
    fit_seconds: float
    score_seconds: float
    measured: tuple[tuple[float, float], ...] = ()
    stopped: float | None = None
    error: str | None = None


def set_where_none(model: Any, values: Mapping[str, Any]) -> dict[str, None]:
    """Set parameters that the model has and that are None, and return what sets them back."""
    own = model.get_params(deep=False)
    lent = {name: value for name, value in values.items() if name in own and own[name] is None and value is not None}
    model.set_params(**lent)
    return dict.fromkeys(lent)


class _Watch(Callback):
    """Measures a model after shares of its planned epochs, and stops its training where it is behind.

    ``bars`` are pairs of a share and the score that must be reached there; ``stop``, once set, ends the training too.
    """

    reads_costs = False

    def __init__(self, fold: Fold, scorer: Scorer, bars: Bars, stop: threading.Event | None) -> None:
        self._stop = stop
        self._fold = fold
        self._scorer = scorer
        self._bars = list(bars)
        self.measured: list[tuple[float, float]] = []
        self.stopped: float | None = None
        self.seconds = 0.0

    def on_epoch_end(self, view: Any, record: Record) -> bool:
        """Measure if a share below 1 has been reached; True if the candidate is behind, or the search has ended."""
        if self._stop is not None and self._stop.is_set():
            return True
        due = [bar for bar in self._bars if bar[0] < 1 and record["epoch"] >= math.ceil(bar[0] * view.n_epochs)]
        if due:
            self._compare(due, self.measure(view))
        return self.stopped is not None

    def measure(self, model: Any) -> float:
        """Return the score of a model or of a view of one."""
        started = time.perf_counter()
        score = self._scorer(self._fold.tested(model), self._fold.held_out)
        self.seconds += time.perf_counter() - started
        return score

    def finish(self, score: float) -> None:
        """Compare a fitted model with what is left of the bars."""
        self._compare(list(self._bars), score)

    def _compare(self, due: Bars | list[tuple[float, float]], score: float) -> None:
        self._bars = self._bars[len(due) :]
        for share, bar in due:
            self.measured.append((share, score))
            if score < bar if self._scorer.greater_is_better else score > bar:
                self.stopped = share


@dataclass(frozen=True)
class Fit:
    """A model to be fitted and measured.

    Attributes
    ----------
    model : estimator
        A clone with the candidate's parameters, which is fitted in place.
    fold : Fold
        The ratings.
    scorer : Scorer
        The measure.
    arguments : mapping
        Further arguments of the model's ``fit``.
    bars : tuple of (float, float)
        Ascending shares of the epochs after which to measure, and what must be reached there.
    stop : threading.Event, optional
        Ends the training when it is set: its outcome is not needed.
    """

    model: Any
    fold: Fold
    scorer: Scorer
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bars: Bars = ()
    stop: threading.Event | None = None

    def run(self, lent: Mapping[str, Any]) -> Outcome:
        """Fit and measure, with a seed and threads where the model's own are None; raises what the fit raises."""
        set_where_none(self.model, lent)
        watch = _Watch(self.fold, self.scorer, self.bars, self.stop)
        arguments = dict(self.arguments)
        if (self.bars or self.stop is not None) and watchable(self.model):
            arguments["callbacks"] = [*as_callbacks(arguments.get("callbacks"), "fit"), watch]
        started = time.perf_counter()
        # Ratings that mislead are reported once, where the best model is fitted to all.
        with inside_another_fit(), unread_history():
            self.model.fit(self.fold.train, **arguments)
        seconds = time.perf_counter() - started - watch.seconds
        score = watch.measured[-1][1] if watch.stopped is not None else watch.measure(self.model)
        if watch.stopped is None:
            watch.finish(score)
        return Outcome(score, seconds, watch.seconds, tuple(watch.measured), watch.stopped)


def watchable(model: Any) -> bool:
    """Whether training calls callbacks."""
    return "callbacks" in inspect.signature(model.fit).parameters
