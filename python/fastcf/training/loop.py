"""The one loop that trains every model by epochs: history, stopping, the best epoch, callbacks, divergence."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from fastcf.errors import DivergenceError
from fastcf.scores import State
from fastcf.training.callbacks import Callback, CallbackList, EarlyStopping, Record, as_callbacks
from fastcf.training.checkpoint import Checkpoint, Position
from fastcf.training.progress import LogHistory, ProgressBar, PythonLogging
from fastcf.training.unread import history_is_unread
from fastcf.training.validation import Validation
from fastcf.training.view import TrainingView

__all__ = ["Trainer", "Training", "check_patience"]

_LONG = 10.0  # seconds after which a training that was not asked for a bar shows one
_EXPLOSION = 1e6  # a cost this many times the first epoch's is on its way to infinity


class Trainer(Protocol):
    """What the loop needs of a trainer, which holds the parameters and the problem, but not the model.

    Attributes
    ----------
    validated : bool
        Whether measurements hold a validation error of its own.
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
        """Return copies of the arrays from which training continues to the same bits.

        Parameters, the ones saved last, the optimiser's state, and the state of random numbers.
        """
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
    name : str
        Class of the model.
    n_epochs : int
        The largest number of epochs.
    patience : int or None
        With validation: stop after this many epochs without an improvement of what it measures; None: never.
    validation : Validation
        What is measured of held-out ratings, where it is not the trainer's own error.
    callbacks : Callback, iterable of Callback, or None
        Called after each epoch. An :class:`EarlyStopping` among them stops by its parameters, in addition to
        ``patience``, and decides by ``restore_best`` whether the best epoch by its own ``monitor`` is restored.
    checkpoint : Checkpoint
        Where training goes on from, and where it is written to.
    verbose : int, bool or "auto"
        0 or False: silent; 1 or True: a progress bar (on a terminal); 2: a line per epoch; "auto": a bar for trainings
        that take long.
    n_threads : int or None
        Of views.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        name: str,
        n_epochs: int,
        patience: int | None,
        validation: Validation,
        callbacks: Callback | Iterable[Callback] | None,
        checkpoint: Checkpoint,
        verbose: int | bool | str,
        n_threads: int | None,
    ) -> None:
        self._trainer = trainer
        self._name = name
        self._n_epochs = n_epochs
        self._n_threads = n_threads
        self._validation = validation
        self._checkpoint = checkpoint
        given = as_callbacks(callbacks, self._caller)
        validated = trainer.validated or validation.scorer is not None
        check_patience(patience, validated, trainer.restorable, self._caller)
        own = [EarlyStopping(patience or n_epochs)] if validated and trainer.restorable else []
        stoppers = [callback for callback in given if isinstance(callback, EarlyStopping)]
        checkpoint.identify(stopping=[stopper.rule for stopper in stoppers])
        best = next((stopper for stopper in stoppers if stopper.restore_best), None)
        if not stoppers and own:
            best = own[0]
        self._best = best if trainer.restorable else None
        shown: list[Callback] = [PythonLogging()]
        if isinstance(verbose, str):
            shown.append(ProgressBar(n_epochs, delay=_LONG))
        elif verbose:
            shown.append(ProgressBar(n_epochs) if int(verbose) == 1 else LogHistory())
        self._watchers = CallbackList([*own, *given, *shown])
        read = checkpoint.kept or any(getattr(each, "reads_costs", True) for each in self._watchers.callbacks)
        self._measures_all = read or not history_is_unread()
        self._begin()

    @property
    def _caller(self) -> str:
        return f"{self._name}.fit"

    def _begin(self) -> None:
        """Measure the first parameters, or go on from the checkpoint."""
        found = self._checkpoint.position
        self._monitor: str | None = self._validation.name
        self._measured_names: tuple[str, ...] = ()
        if found is None:
            self._saved = self._kept = 0
            self._history: list[Record] = []
            started = time.perf_counter()
            view = self._record(0, None, started)
            view.close()
            self._trainer.save_best()
            self._ended = False
            self._write(0)
        else:
            self._trainer.set_arrays(found.arrays)
            self._history, self._saved, self._ended = list(found.history), found.saved, found.ended
            self._kept = self._history[-1]["epoch"]
        if self._trainer.validated:
            self._monitor = next(name for name in self._history[0] if name.startswith("validation_"))

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
        begun = self._view()
        self._watchers.on_train_begin(begun)
        begun.close()
        try:
            while not self._ended:
                self._run_epoch(len(self._history))
            if self._best and self._saved:
                self._trainer.restore_best()
                self._kept = self._saved
        finally:
            ended = self._view()
            self._watchers.on_train_end(ended)
            ended.close()

    def _run_epoch(self, epoch: int) -> None:
        trainer = self._trainer
        started = time.perf_counter()
        rate = trainer.run_epoch(epoch - 1)
        view = self._record(epoch, rate, started)
        stop = self._watchers.on_epoch_end(view, self._history[-1])
        view.close()
        # Without a best epoch, epochs 1, 2, 4, 8, … are kept against divergence: a copy is not free. Parameters that
        # were not measured may have diverged.
        if self._best.improved_ if self._best else epoch & (epoch - 1) == 0 and self._is_measured(epoch):
            trainer.save_best()
            self._saved = epoch
        self._ended = stop or epoch == self._n_epochs
        self._write(epoch)

    def _record(self, epoch: int, rate: float | None, started: float) -> TrainingView:
        """Measure an epoch and append its record to the history; return the view of its parameters."""
        own = {} if self._validation.name is None else {self._validation.name: None}
        is_measured = self._is_measured(epoch)
        measured = self._trainer.measure() if is_measured else dict.fromkeys(self._measured_names)
        self._measured_names = tuple(measured)
        record: Record = {"epoch": epoch, **measured, **own, "learning_rate": rate}
        if epoch > 0 and is_measured:
            self._refuse_divergence(record)
        self._history.append(record)
        self._kept = epoch
        view = self._view()
        self._validation.measure(view, record, last=epoch == self._n_epochs)
        record["seconds"] = time.perf_counter() - started
        return view

    def _is_measured(self, epoch: int) -> bool:
        return self._measures_all or epoch <= 1 or epoch == self._n_epochs

    def _refuse_divergence(self, record: Record) -> None:
        """Restore the parameters saved last, and raise, where a cost is on its way to infinity."""
        rate, cost = record["learning_rate"], record["cost"]
        first_cost = next((earlier["cost"] for earlier in self._history[1:] if earlier["cost"]), cost)
        # Without a step size the cost may rise from near 0: that of draws of a posterior does.
        exploded = rate is not None and cost > _EXPLOSION * first_cost
        if exploded or not math.isfinite(cost):
            self._trainer.restore_best()
            self._kept = self._saved
            hint = "raise reg" if rate is None else f"lower learning_rate ({rate:.3g}) or raise reg"
            raise DivergenceError(
                f"{self._caller}: training diverged in epoch {record['epoch']}; {hint}. The parameters of epoch "
                f"{self._saved} are kept"
            )

    def _write(self, epoch: int) -> None:
        if self._checkpoint.is_due(epoch, self._ended):
            position = Position(self._history, self._trainer.arrays(), self._saved, self._ended)
            self._checkpoint.write(position)

    def _view(self) -> TrainingView:
        return TrainingView(
            lambda: self.state,
            name=self._name,
            n_epochs=self._n_epochs,
            n_threads=self._n_threads,
            records=tuple(self._history),
            monitor=self._monitor,
            greater_is_better=self._validation.scorer is not None and self._validation.scorer.greater_is_better,
        )
