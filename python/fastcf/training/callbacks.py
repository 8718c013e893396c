"""The base class of callbacks of training, several as one, and early stopping.

The training loop calls every callback's ``on_train_begin`` once, ``on_epoch_end`` after each epoch with the record that
it appends to ``history_``, and ``on_train_end`` once, also when training was interrupted or failed. Each is handed a
view: a recommender over the trainer's current parameters, which are fetched only where a callback looks at them. A
training that goes on from a checkpoint begins with the records so far, ``view.records``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from fastcf._parameters import Boolean, Constraint, Instance, Interval, Nothing, validate_parameters

__all__ = ["Callback", "CallbackList", "EarlyStopping", "Record", "as_callbacks"]

Record = dict[str, Any]


class Callback:
    """Base class of training callbacks; override what you need.

    A record holds ``epoch`` (from 1), ``cost``, ``train_rmse``, ``validation_rmse`` (None without a validation set),
    ``seconds`` (of this epoch) and ``learning_rate``; models of labels have ``train_log_loss`` and
    ``validation_log_loss`` instead of the RMSE, ``fit(validation_metric="ndcg@10")`` adds ``validation_ndcg@10`` (None
    after epochs in which it was not measured), and callbacks may add entries of their own. Values are numbers.

    A view predicts and recommends as the model would with the current parameters. Its ``name`` is the model's class,
    ``n_epochs`` the number of epochs planned, ``records`` the records so far, from epoch 0 before training: when a
    training goes on from a checkpoint, also those of the epochs before. ``monitor`` is the entry that says which epoch
    is the best (None without validation), ``greater_is_better`` whether greater values of it are better.

    Attributes
    ----------
    reads_costs : bool
        Whether it looks at costs and errors of records, True by default. Fits of a search whose callbacks do not
        measure these after the first and the last epoch only; the other records have None.
    """

    reads_costs: bool = True

    def on_train_begin(self, view: Any) -> None:
        """Prepare; ``view`` has the parameters that training starts from."""

    def on_epoch_end(self, view: Any, record: Record) -> bool | None:
        """Look at an epoch's record, and at its parameters; return True to stop training after it."""
        return None

    def on_train_end(self, view: Any) -> None:
        """Clean up; also called when training was interrupted or failed."""


class CallbackList(Callback):
    """Several callbacks as one, for the training loop.

    Parameters
    ----------
    callbacks : iterable of Callback
        Called in this order.

    Raises
    ------
    TypeError
        If one of them lacks a method of the protocol.
    """

    def __init__(self, callbacks: Iterable[Callback] = ()) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            for name in ("on_train_begin", "on_epoch_end", "on_train_end"):
                if isinstance(callback, type) or not callable(getattr(callback, name, None)):
                    raise TypeError(f"callbacks must be fastcf.callbacks.Callback objects; got {callback!r}")

    def on_train_begin(self, view: Any) -> None:
        """Call all; if one fails, those before it are ended."""
        for n, callback in enumerate(self.callbacks):
            try:
                callback.on_train_begin(view)
            except BaseException:
                CallbackList(self.callbacks[:n]).on_train_end(view)
                raise

    def on_epoch_end(self, view: Any, record: Record) -> bool:
        """Call all of them; True if any returns True."""
        answers = [bool(callback.on_epoch_end(view, record)) for callback in self.callbacks]
        return any(answers)

    def on_train_end(self, view: Any) -> None:
        """Call all, even if one fails; the first failure is raised afterwards."""
        failure: BaseException | None = None
        for callback in self.callbacks:
            try:
                callback.on_train_end(view)
            except BaseException as error:
                failure = failure or error
        if failure is not None:
            raise failure


def as_callbacks(callbacks: Any, caller: str) -> list[Callback]:
    """Return the ``callbacks`` of ``fit`` (None, one or several) as a list; those in a :class:`CallbackList` too.

    Raises
    ------
    TypeError
        If it is none of these.
    """
    if callbacks is None:
        return []
    if callable(getattr(callbacks, "on_epoch_end", None)) and not isinstance(callbacks, type):
        callbacks = [callbacks]
    try:
        given = list(callbacks)
    except TypeError:
        raise TypeError(f"{caller}: callbacks must be callbacks, one or several, or None; got {callbacks!r}") from None
    return [
        inner
        for callback in given
        for inner in (as_callbacks(callback.callbacks, caller) if type(callback) is CallbackList else [callback])
    ]


class EarlyStopping(Callback):
    """Stop when what validation measures no longer improves.

    Parameters
    ----------
    patience : int, default 3
        Epochs without improvement after which training stops; at least 1. Where validation measures every few epochs
        only, those are counted.
    min_delta : float, default 0.0
        An epoch improves if its value is better than the best so far by more than this.
    monitor : str, optional
        The entry of the record to watch: "cost", or what a callback before this one has added. By default what
        validation measures, whatever its name.
    greater_is_better : bool, optional
        Whether greater values are better. By default as the metric of validation has it; of other entries, smaller ones
        are.
    restore_best : bool, default True
        Whether the training loop restores the parameters of the best epoch by ``monitor`` at the end, also where there
        is no validation set. With False the parameters of the last epoch are kept. Of several such callbacks the first
        that restores decides. Where draws are averaged (``solver="bayes"``) no epoch is the best.

    Attributes
    ----------
    best_ : float
        Best value so far (infinite before the first epoch).
    best_epoch_ : int or None
        Its epoch.
    improved_ : bool
        Whether the last epoch was the best so far.
    stopped_epoch_ : int or None
        Epoch after which training was stopped.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as described; as training begins, if there is nothing to watch; during training, if the
        record lacks what is to be monitored.

    References
    ----------
    L. Prechelt, "Early stopping - but when?", Neural Networks: Tricks of the Trade, 1998.
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "patience": (Interval(1, integer=True),),
        "min_delta": (Interval(0),),
        "monitor": (Instance(str), Nothing()),
        "greater_is_better": (Boolean(), Nothing()),
        "restore_best": (Boolean(),),
    }

    def __init__(
        self,
        patience: int = 3,
        min_delta: float = 0.0,
        *,
        monitor: str | None = None,
        greater_is_better: bool | None = None,
        restore_best: bool = True,
    ) -> None:
        self.patience = patience
        self.min_delta = min_delta
        self.monitor = monitor
        self.greater_is_better = greater_is_better
        self.restore_best = restore_best
        validate_parameters(self._constraints, self.rule, "EarlyStopping")
        self._begin(monitor or "", False)

    @property
    def rule(self) -> dict[str, Any]:
        """The parameters, by name."""
        return {name: getattr(self, name) for name in self._constraints}

    def _begin(self, watched: str, greater: bool) -> None:
        self._watched, self._sign = watched, -1.0 if greater else 1.0
        self.best_ = self._sign * math.inf
        self.best_epoch_: int | None = None
        self.improved_ = False
        self.stopped_epoch_: int | None = None
        self._waited = 0

    def on_train_begin(self, view: Any) -> None:
        """Begin anew, or with the epochs before a checkpoint."""
        watched = self.monitor or view.monitor
        first = view.records[0]
        if watched is None or (watched.startswith("validation_") and watched in first and first[watched] is None):
            missing = "validation ratings" if watched is None else f"the record of an epoch to hold {watched!r}"
            hint = "pass validation ratings to fit" if view.monitor is None else f"monitor={view.monitor!r} is there"
            raise ValueError(f"EarlyStopping: monitor={self.monitor!r} needs {missing}; {hint}")
        greater = watched == view.monitor and view.greater_is_better
        self._begin(watched, greater if self.greater_is_better is None else bool(self.greater_is_better))
        for record in view.records[1:]:
            self.on_epoch_end(view, record)

    def on_epoch_end(self, view: Any, record: Record) -> bool:
        """Compare with the best so far; True after ``patience`` epochs without improvement. NaN is no improvement."""
        self.improved_ = False
        if self._watched not in record:
            hint = "" if view.monitor is None else f"; monitor={view.monitor!r} is there"
            raise ValueError(f"EarlyStopping: the record of an epoch must hold {self._watched!r}; it does not{hint}")
        value = record[self._watched]
        if value is None:  # not measured after this epoch
            return False
        self.improved_ = bool(self._sign * value < self._sign * self.best_ - self.min_delta)
        if self.improved_:
            self.best_, self.best_epoch_, self._waited = float(value), record["epoch"], 0
        else:
            self._waited += 1
        if self._waited >= self.patience:
            self.stopped_epoch_ = record["epoch"]
            return True
        return False
