"""What training shows while it runs: a progress bar, lines, records for Python's logging."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any

from tqdm.auto import tqdm

from fastcf._parameters import Interval, validate_parameters
from fastcf.training.callbacks import Callback, Record

__all__ = ["LOGGER", "LogHistory", "ProgressBar", "PythonLogging", "search_progress"]

LOGGER = logging.getLogger("fastcf")


def shown_fields(record: Record) -> list[str]:
    """Return what of a record is shown: the cost, and what is measured in training and validation."""
    return [name for name in record if name == "cost" or name.startswith(("train_", "validation_"))]


def line_of(record: Record) -> str:
    """Return a record as a line of text."""
    parts = [f"epoch {record['epoch']:>4}"]
    for name in (*shown_fields(record), "learning_rate", "seconds"):
        if record.get(name) is not None:
            parts.append(f"{name} {record[name]:.5g}")
    return "  ".join(parts)


class ProgressBar(Callback):
    """A tqdm bar that counts epochs and shows cost and errors.

    Parameters
    ----------
    n_epochs : int, optional
        Length of the bar; by default the number of epochs planned.
    description : str, optional
        Text before the bar; by default the class of the model.
    fields : sequence of str, optional
        What of the record is shown beside the bar; by default the cost, and errors of training and validation.
    file : text stream, optional
        The stream; by default standard error.
    disable : bool or None, default None
        None: draw only on a terminal.
    delay : float, default 0.0
        Seconds that pass before it is drawn: short trainings show nothing.
    """

    def __init__(
        self,
        n_epochs: int | None = None,
        *,
        description: str | None = None,
        fields: Sequence[str] | None = None,
        file: IO[str] | None = None,
        disable: bool | None = None,
        delay: float = 0.0,
    ) -> None:
        self.n_epochs = n_epochs
        self.description = description
        self.fields = None if fields is None else tuple(fields)
        self.file = file
        self.disable = disable
        self.delay = delay
        self._bar: Any = None

    def on_train_begin(self, view: Any) -> None:
        """Draw the empty bar."""
        self.on_train_end(view)
        self._bar = tqdm(
            total=self.n_epochs or view.n_epochs,
            initial=len(view.records) - 1,
            desc=self.description or view.name,
            unit="epoch",
            file=self.file if self.file is not None else sys.stderr,
            disable=self.disable,
            delay=self.delay,
        )

    def on_epoch_end(self, view: Any, record: Record) -> None:
        """Advance by one."""
        if self._bar is None:
            return
        fields = shown_fields(record) if self.fields is None else self.fields
        shown = {
            name.removesuffix("_rmse").removesuffix("_log_loss"): f"{record[name]:.4g}"
            for name in fields
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
        print(line_of(record), file=self.file if self.file is not None else sys.stdout, flush=True)


class PythonLogging(Callback):
    """Hand records on to the logger "fastcf" of Python's ``logging``, at level INFO; every training has one."""

    @property
    def reads_costs(self) -> bool:  # type: ignore[override]  # as the logger is set
        """Whether records are logged."""
        return LOGGER.isEnabledFor(logging.INFO)

    def on_train_begin(self, view: Any) -> None:
        """Log what begins, or goes on."""
        done = len(view.records) - 1
        self._log(view, f"training goes on after epoch {done}" if done else "training begins")

    def on_epoch_end(self, view: Any, record: Record) -> None:
        """Log the record."""
        if LOGGER.isEnabledFor(logging.INFO):
            self._log(view, line_of(record))

    def on_train_end(self, view: Any) -> None:
        """Log the end."""
        self._log(view, f"training ends after epoch {view.records[-1]['epoch']}")

    def _log(self, view: Any, text: str) -> None:
        LOGGER.info("%s: %s", view.name, text)


@contextlib.contextmanager
def search_progress(name: str, settled: Iterable[str], verbose: int) -> Iterator[Callable[[int, str], None]]:
    """Show the trainings of a search that ``fit`` makes before its own, of the hyperparameters ``settled``.

    Yields what is to be called after each candidate, with its number of trainings and a text on it. ``verbose``: 0 is
    silent, 1 a bar that counts the trainings, on a terminal, 2 a line per candidate.
    """
    what = f"{name}, settling {', '.join(settled)}"
    with tqdm(desc=what, unit="training", file=sys.stderr, disable=verbose != 1 or None) as bar:

        def done(n: int, text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(n)
            if verbose > 1:
                print(f"{what}: {text}", flush=True)

        yield done
