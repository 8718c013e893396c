"""The loop that every model trained by epochs runs: history, early stopping, callbacks, Ctrl-C, divergence."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from fastcf.callbacks import Callback, CallbackList, EarlyStopping, LogHistory, ProgressBar
from fastcf.errors import DivergenceError

__all__ = ["Trainer", "train"]

Record = dict[str, Any]
_EXPLOSION = 1e6  # a cost this many times the first epoch's is on its way to infinity


class Trainer(Protocol):
    """What the loop asks of a native trainer."""

    def save_best(self) -> None:
        """Remember the parameters as they are."""

    def restore_best(self) -> None:
        """Bring back what was remembered last."""


def train(
    model: Any,
    trainer: Trainer,
    run_epoch: Callable[[int], Record],
    *,
    n_epochs: int,
    validated: bool,
    monitor: str = "validation_rmse",
    patience: int | None,
    min_delta: float,
    callbacks: Iterable[Callback],
    verbose: int,
) -> None:
    """Train a model for up to ``n_epochs`` epochs; its ``history_`` and ``n_epochs_`` are kept up to date.

    Parameters
    ----------
    model : estimator
        Gets ``history_`` (list of dict) and ``n_epochs_`` (the epoch whose parameters the trainer holds at the end).
    trainer : Trainer
        Owns the parameters.
    run_epoch : callable
        Runs the epoch of this number, from 0, and returns its record: ``cost``, ``train_rmse``, ``validation_rmse``
        (or errors of other names), ``learning_rate``, whatever else the model adds.
    n_epochs : int
        At most so many.
    validated : bool
        Whether records hold a validation error. If so, the best epoch's parameters are restored at the end.
    monitor : str, default "validation_rmse"
        Under which name.
    patience : int or None
        Stop after so many epochs without improvement of the validation error; None: never.
    min_delta : float
        What counts as an improvement.
    callbacks : iterable of Callback
        Called after each epoch.
    verbose : int
        0: silent; 1: a progress bar (on a terminal); 2: a line per epoch.

    Raises
    ------
    DivergenceError
        If an epoch's cost is not finite or, where there is a learning rate, a million times the first one's. The
        trainer then holds the parameters of an earlier epoch, all finite.
    KeyboardInterrupt
        After Ctrl-C; the trainer holds what was learnt so far.
    """
    best = None
    if validated:
        best = EarlyStopping(patience=patience or n_epochs, min_delta=min_delta, monitor=monitor)
    shown: list[Callback] = [ProgressBar(n_epochs)] if verbose == 1 else [LogHistory()] if verbose > 1 else []
    watchers = CallbackList([*([best] if best else []), *callbacks, *shown])
    model.history_ = []
    model.n_epochs_ = 0
    model._planned_epochs = n_epochs  # what progress is measured by
    kept = 0
    first_cost = 0.0
    trainer.save_best()
    watchers.on_train_begin(model)
    try:
        for epoch in range(n_epochs):
            started = time.perf_counter()
            record = run_epoch(epoch)
            first_cost = first_cost or record["cost"]
            # Where there is no step size, sums may rise from almost nothing to what is usual: draws of a posterior do.
            exploded = record["learning_rate"] is not None and record["cost"] > _EXPLOSION * first_cost
            if exploded or not math.isfinite(record["cost"]):
                trainer.restore_best()
                model.n_epochs_ = kept
                rate = record["learning_rate"]
                hint = "raise reg" if rate is None else f"lower learning_rate ({rate:.3g}) or raise reg"
                raise DivergenceError(
                    f"{type(model).__name__}.fit: training diverged in epoch {epoch + 1}; {hint}. The parameters of "
                    f"epoch {kept} are kept"
                )
            record = {"epoch": epoch + 1, **record, "seconds": time.perf_counter() - started}
            model.history_.append(record)
            model.n_epochs_ = epoch + 1
            stop = watchers.on_epoch_end(model, record)
            # Without a validation error, epochs 1, 2, 4, 8, … are kept against divergence: a copy is not free.
            if best.improved_ if best else (epoch + 1) & epoch == 0:
                trainer.save_best()
                kept = epoch + 1
            if stop:
                break
        if best and kept:
            trainer.restore_best()
            model.n_epochs_ = kept
    finally:
        watchers.on_train_end(model)
