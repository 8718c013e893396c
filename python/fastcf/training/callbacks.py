"""Callbacks of training: progress bars, early stopping, logs, and the base class of your own.

The training loop calls every callback's ``on_train_begin`` once, ``on_epoch_end`` after each epoch with the record that
it appends to ``history_``, and ``on_train_end`` once, also when training was interrupted or failed. Each is handed a
view: a recommender over the trainer's current parameters, which are fetched only where a callback looks at them.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any, ClassVar

from tqdm.auto import tqdm

from fastcf._parameters import Boolean, Constraint, Instance, Interval, validate_parameters

__all__ = ["CSVLogger", "Callback", "CallbackList", "EarlyStopping", "LogHistory", "ProgressBar", "as_callbacks"]

Record = dict[str, Any]
_ERRORS = ("train_rmse", "validation_rmse", "train_log_loss", "validation_log_loss")  # whichever a model records
_FIELDS = ("epoch", "cost", "train_rmse", "validation_rmse", "seconds", "learning_rate")


class Callback:
    """Base class of training callbacks; override what you need.

    A record holds ``epoch`` (from 1), ``cost``, ``train_rmse``, ``validation_rmse`` (None without a validation set),
    ``seconds`` (of this epoch) and ``learning_rate``; models of labels have ``train_log_loss`` and
    ``validation_log_loss`` instead of the RMSE, and any may add to it. A view predicts and recommends as the model
    would with the current parameters; its ``name`` is the model's class, its ``n_epochs`` the number of epochs planned.
    """

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
    """Stop when the validation error no longer falls.

    Parameters
    ----------
    patience : int, default 3
        Epochs without improvement after which training stops; at least 1.
    min_delta : float, default 0.0
        An epoch improves if its value is more than this below the best so far.
    monitor : str, default "validation_rmse"
        The entry of the record to watch; smaller is better. Models of labels have "validation_log_loss".
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
        If a parameter is not as described; during training, if the record lacks what is to be monitored.

    References
    ----------
    L. Prechelt, "Early stopping - but when?", Neural Networks: Tricks of the Trade, 1998.
    """

    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "patience": (Interval(1, integer=True),),
        "min_delta": (Interval(0),),
        "monitor": (Instance(str),),
        "restore_best": (Boolean(),),
    }

    def __init__(
        self, patience: int = 3, min_delta: float = 0.0, *, monitor: str = "validation_rmse", restore_best: bool = True
    ) -> None:
        self.patience = patience
        self.min_delta = min_delta
        self.monitor = monitor
        self.restore_best = restore_best
        validate_parameters(self._constraints, vars(self), "EarlyStopping")
        self._reset()

    def _reset(self) -> None:
        self.best_ = float("inf")
        self.best_epoch_: int | None = None
        self.improved_ = False
        self.stopped_epoch_: int | None = None
        self._waited = 0

    def on_train_begin(self, view: Any) -> None:
        """Reset."""
        self._reset()

    def on_epoch_end(self, view: Any, record: Record) -> bool:
        """Compare with the best so far; True after ``patience`` epochs without improvement. NaN is no improvement."""
        value = record.get(self.monitor)
        if value is None:
            hint = ""
            if self.monitor.startswith("validation_"):
                others = [name for name in record if name.startswith("validation_") and record[name] is not None]
                hint = f"; monitor={others[0]!r} is there" if others else "; pass a validation set to fit"
            raise ValueError(f"EarlyStopping: the record of an epoch must hold {self.monitor!r}; it does not{hint}")
        self.improved_ = bool(value < self.best_ - self.min_delta)
        if self.improved_:
            self.best_, self.best_epoch_, self._waited = float(value), record["epoch"], 0
        else:
            self._waited += 1
        if self._waited >= self.patience:
            self.stopped_epoch_ = record["epoch"]
            return True
        return False


class ProgressBar(Callback):
    """A tqdm bar that counts epochs and shows cost and errors.

    Parameters
    ----------
    n_epochs : int, optional
        Length of the bar; by default the number of epochs planned.
    description : str, optional
        Text before the bar; by default the class of the model.
    fields : sequence of str, optional
        What of the record is shown beside the bar; by default the cost, and the RMSE or log-loss.
    file : text stream, optional
        The stream; by default standard error.
    disable : bool or None, default None
        None: draw only on a terminal.
    """

    def __init__(
        self,
        n_epochs: int | None = None,
        *,
        description: str | None = None,
        fields: Sequence[str] = ("cost", *_ERRORS),
        file: IO[str] | None = None,
        disable: bool | None = None,
    ) -> None:
        self.n_epochs = n_epochs
        self.description = description
        self.fields = tuple(fields)
        self.file = file
        self.disable = disable
        self._bar: Any = None

    def on_train_begin(self, view: Any) -> None:
        """Draw the empty bar."""
        self.on_train_end(view)
        self._bar = tqdm(
            total=self.n_epochs or getattr(view, "n_epochs", None),
            desc=self.description or getattr(view, "name", type(view).__name__),
            unit="epoch",
            file=self.file if self.file is not None else sys.stderr,
            disable=self.disable,
        )

    def on_epoch_end(self, view: Any, record: Record) -> None:
        """Advance by one."""
        if self._bar is None:
            return
        shown = {
            name.removesuffix("_rmse").removesuffix("_log_loss"): f"{record[name]:.4g}"
            for name in self.fields
            if record.get(name) is not None
        }
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(1)

    def on_train_end(self, view: Any) -> None:
        """Leave the bar as it is and end its line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class LogHistory(Callback):
    """Print one line per epoch.

    Parameters
    ----------
    every : int, default 1
        Print each ``every``-th epoch, and always the first.
    file : text stream, optional
        The stream; by default standard output.
    """

    def __init__(self, every: int = 1, file: IO[str] | None = None) -> None:
        validate_parameters({"every": (Interval(1, integer=True),)}, {"every": every}, "LogHistory")
        self.every = every
        self.file = file

    def on_epoch_end(self, view: Any, record: Record) -> None:
        """Print the line."""
        if record["epoch"] != 1 and record["epoch"] % self.every != 0:
            return
        parts = [f"epoch {record['epoch']:>4}"]
        for name in ("cost", *_ERRORS, "learning_rate", "seconds"):
            if record.get(name) is not None:
                parts.append(f"{name} {record[name]:.5g}")
        print("  ".join(parts), file=self.file if self.file is not None else sys.stdout, flush=True)


class CSVLogger(Callback):
    """Write one row per epoch to a CSV file, flushed at once.

    Parameters
    ----------
    path : path-like
        The file; columns are those of the history, then other fields of the first record.
    append : bool, default False
        Whether to continue an existing file instead of replacing it.
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        self.path = path
        self.append = append
        self._file: IO[str] | None = None
        self._writer: csv.DictWriter[str] | None = None

    def on_train_begin(self, view: Any) -> None:
        """Open the file."""
        self.on_train_end(view)
        self._file = open(self.path, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115 - closed at the end of training

    def on_epoch_end(self, view: Any, record: Record) -> None:
        """Write the row, and the head before the first one of a new file."""
        if self._file is None:
            return
        if self._writer is None:
            columns = [*_FIELDS, *(name for name in record if name not in _FIELDS)]
            self._writer = csv.DictWriter(self._file, columns, extrasaction="ignore", lineterminator="\n")
            if self._file.tell() == 0:
                self._writer.writeheader()
        self._writer.writerow(record)
        self._file.flush()

    def on_train_end(self, view: Any) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = self._writer = None
