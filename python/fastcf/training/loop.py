"""The one loop that trains every model by epochs: history, stopping, the best epoch, callbacks, divergence."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from fastcf.errors import DivergenceError
from fastcf.scores import State
from fastcf.training.callbacks import (
    Callback,
    CallbackList,
    EarlyStopping,
    LogHistory,
    ProgressBar,
    as_callbacks,
)
from fastcf.training.view import TrainingView

__all__ = ["Trainer", "Training", "check_patience"]

Record = dict[str, Any]
_EXPLOSION = 1e6  # a cost this many times the first epoch's is on its way to infinity


class Trainer(Protocol):
    """What the loop needs of a trainer, which holds the parameters and the problem, but not the model.

    Attributes
    ----------
    validated : bool
        Whether measurements hold a validation error.
    restorable : bool
        Whether one epoch's parameters can be better than another's; False where draws are averaged.
    """

    validated: bool
    restorable: bool

    def run_epoch(self, epoch: int) -> float | None:
        """Run the epoch of this number, from 0; return its step size, or None where there is none."""
        ...

    def measure(self) -> Record:
        """Return the objective and the errors at the current parameters.

        ``cost`` and ``train_rmse`` and ``validation_rmse`` (or ``train_log_loss``, ``validation_log_loss``), None for
        unknown values; a trainer may add others.
        """
        ...

    def save_best(self) -> None:
        """Save the current parameters."""
        ...

    def restore_best(self) -> None:
        """Restore the parameters saved last."""
        ...

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return copies of the arrays from which training can continue: parameters and the optimiser's state."""
        ...

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        ...

    def finish(self, history: tuple[Record, ...], n_epochs: int) -> State:
        """Return the state of a model with the current parameters, which stay as they are.

        ``history`` and ``n_epochs`` become part of it. Also called between epochs, for the views of callbacks.
        """
        ...


def check_patience(patience: int | None, validated: bool, restorable: bool, caller: str) -> None:
    """Refuse a patience without an error to watch or without a best epoch; raises ValueError."""
    if patience is not None and not (validated and restorable):
        why = "validation ratings, whose error it watches" if restorable else "a solver with a best epoch"
        raise ValueError(f"{caller}: patience needs {why}; got patience={patience} without")


class Training:
    """A training of up to ``n_epochs`` epochs, from which :attr:`state` can be taken whenever it has ended.

    Parameters
    ----------
    trainer : Trainer
        Holds the parameters.
    n_epochs : int
        The largest number of epochs.
    patience : int or None
        With a validation error: stop after this many epochs without an improvement of it; None: never.
    callbacks : Callback, iterable of Callback, or None
        Called after each epoch. An :class:`EarlyStopping` among them stops by its parameters, in addition to
        ``patience``, and decides by ``restore_best`` whether the best epoch by its own ``monitor`` is restored.
    verbose : int or bool
        0 or False: silent; 1 or True: a progress bar (on a terminal); 2: a line per epoch.
    caller : str
        Heads messages.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        n_epochs: int,
        patience: int | None,
        callbacks: Callback | Iterable[Callback] | None,
        verbose: int | bool,
        caller: str,
        view: Callable[[Callable[[], State], int], TrainingView],
    ) -> None:
        self._trainer = trainer
        self._n_epochs = n_epochs
        self._caller = caller
        self._kept = 0
        self._make_view = view
        given = as_callbacks(callbacks, caller)
        check_patience(patience, trainer.validated, trainer.restorable, caller)
        started = time.perf_counter()
        first = {"epoch": 0, **trainer.measure(), "learning_rate": None}
        self._history: list[Record] = [{**first, "seconds": time.perf_counter() - started}]
        own = []
        if trainer.validated and trainer.restorable:
            monitor = next(name for name in first if name.startswith("validation_"))
            own = [EarlyStopping(patience or n_epochs, monitor=monitor)]
        stoppers = [callback for callback in given if isinstance(callback, EarlyStopping)]
        self._best = next((stopper for stopper in stoppers if stopper.restore_best), None)
        if not stoppers and own:
            self._best = own[0]
        if not trainer.restorable:
            self._best = None
        shown: list[Callback] = []
        if verbose:
            shown = [ProgressBar(n_epochs)] if int(verbose) == 1 else [LogHistory()]
        self._watchers = CallbackList([*own, *given, *shown])

    @property
    def state(self) -> State:
        """The state of a model with the trainer's parameters, and the history so far."""
        return self._trainer.finish(tuple(self._history), self._kept)

    def run(self) -> None:
        """Train.

        Raises
        ------
        DivergenceError
            If an epoch's cost is not finite or, where there is a learning rate, a million times the first one's. The
            trainer then holds the parameters of an earlier epoch, all finite.
        KeyboardInterrupt
            After Ctrl-C; the trainer holds what was learnt so far.
        """
        trainer = self._trainer
        trainer.save_best()
        saved = 0
        first_cost = 0.0
        begun = self._view()
        self._watchers.on_train_begin(begun)
        begun.close()
        try:
            for epoch in range(1, self._n_epochs + 1):
                started = time.perf_counter()
                rate = trainer.run_epoch(epoch - 1)
                record = {"epoch": epoch, **trainer.measure(), "learning_rate": rate}
                record["seconds"] = time.perf_counter() - started
                first_cost = first_cost or record["cost"]
                # Without a step size the cost may rise from near 0: that of draws of a posterior does.
                exploded = rate is not None and record["cost"] > _EXPLOSION * first_cost
                if exploded or not math.isfinite(record["cost"]):
                    trainer.restore_best()
                    self._kept = saved
                    hint = "raise reg" if rate is None else f"lower learning_rate ({rate:.3g}) or raise reg"
                    raise DivergenceError(
                        f"{self._caller}: training diverged in epoch {epoch}; {hint}. The parameters of epoch {saved} "
                        "are kept"
                    )
                self._history.append(record)
                self._kept = epoch
                view = self._view()
                stop = self._watchers.on_epoch_end(view, record)
                view.close()
                # Without a best epoch, epochs 1, 2, 4, 8, … are kept against divergence: a copy is not free.
                if self._best.improved_ if self._best else epoch & (epoch - 1) == 0:
                    trainer.save_best()
                    saved = epoch
                if stop:
                    break
            if self._best and saved:
                trainer.restore_best()
                self._kept = saved
        finally:
            ended = self._view()
            self._watchers.on_train_end(ended)
            ended.close()

    def _view(self) -> TrainingView:
        return self._make_view(lambda: self.state, self._n_epochs)
