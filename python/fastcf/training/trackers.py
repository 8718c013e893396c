"""Callbacks for other packages, which are optional: TensorBoard, MLflow, Weights & Biases, and pruning by Optuna."""

from __future__ import annotations

import importlib
import math
import numbers
import os
from typing import Any

from fastcf.training.callbacks import Callback, Record

__all__ = ["MLflowLogger", "OptunaPruning", "TensorBoardLogger", "WandbLogger"]


class TensorBoardLogger(Callback):
    """Write the records as scalars that TensorBoard shows; the step is the epoch. Needs ``fastcf[tensorboard]``.

    Names are without "@": ``validation_ndcg_at_10``. A training that goes on from a checkpoint replaces what was
    written of later epochs.

    Parameters
    ----------
    folder : path-like
        Folder of the event files; it is made if it is not there.

    Raises
    ------
    ImportError
        As training begins, if tensorboardX is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = folder
        self._writer: Any = None

    def on_train_begin(self, view: Any) -> None:
        """Open a file."""
        self.on_train_end(view)
        module = _imported("tensorboardX", "TensorBoardLogger", "tensorboard")
        done = len(view.records) - 1
        self._writer = module.SummaryWriter(os.fspath(self.folder), purge_step=done + 1 if done else None)

    def on_epoch_end(self, view: Any, record: Record) -> None:
        """Write the numbers of the record."""
        if self._writer is not None:
            for name, value in _numbers(record).items():
                self._writer.add_scalar(name, value, record["epoch"])
            self._writer.flush()

    def on_train_end(self, view: Any) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None


class MLflowLogger(Callback):
    """Log the records as metrics of MLflow's active run; the step is the epoch. Needs ``fastcf[mlflow]``.

    MLflow starts a run where none is active. Names are without "@": ``validation_ndcg_at_10``.

    Raises
    ------
    ImportError
        As training begins, if mlflow is not installed.
    """

    def __init__(self) -> None:
        self._module: Any = None

    def on_train_begin(self, view: Any) -> None:
        """Import mlflow."""
        self._module = _imported("mlflow", "MLflowLogger", "mlflow")

    def on_epoch_end(self, view: Any, record: Record) -> None:
        """Log the numbers of the record."""
        self._module.log_metrics(_numbers(record), step=record["epoch"])


class WandbLogger(Callback):
    """Log the records to a run of Weights & Biases; the step is the epoch. Needs ``fastcf[wandb]``.

    Names are without "@": ``validation_ndcg_at_10``.

    Parameters
    ----------
    run : wandb.Run, optional
        The run; by default the one that ``wandb.init`` began last.

    Raises
    ------
    ImportError
        As training begins, if wandb is not installed.
    ValueError
        As training begins, if there is no run.
    """

    def __init__(self, run: Any = None) -> None:
        self.run = run
        self._open: Any = None

    def on_train_begin(self, view: Any) -> None:
        """Find the run."""
        self._open = self.run
        if self._open is None:
            self._open = _imported("wandb", "WandbLogger", "wandb").run
        if self._open is None:
            raise ValueError("WandbLogger: there must be a run to log to; call wandb.init before fit, or pass run")

    def on_epoch_end(self, view: Any, record: Record) -> None:
        """Log the numbers of the record."""
        self._open.log(_numbers(record), step=record["epoch"])


class OptunaPruning(Callback):
    """Report a value to a trial of Optuna after each epoch, and end the trial where Optuna prunes it.

    ``fit`` then raises ``optuna.TrialPruned``, which ``study.optimize`` expects. Needs ``fastcf[search]``.

    Parameters
    ----------
    trial : optuna.Trial
        The trial that the model is fitted for.
    monitor : str, optional
        The entry of the record to report; by default what validation measures. The study's direction must fit it.

    Raises
    ------
    ImportError
        As training begins, if optuna is not installed.
    ValueError
        As training begins, if there is no validation and no ``monitor``.
    """

    def __init__(self, trial: Any, monitor: str | None = None) -> None:
        self.trial = trial
        self.monitor = monitor
        self._watched = ""
        self._pruned: type[Exception] = RuntimeError

    def on_train_begin(self, view: Any) -> None:
        """Find what to report; report epochs before a checkpoint."""
        self._pruned = _imported("optuna", "OptunaPruning", "search").TrialPruned
        watched = self.monitor or view.monitor
        if watched is None:
            raise ValueError(
                "OptunaPruning: monitor must be given where fit has no validation ratings; got None; pass 'cost', or "
                "validation ratings to fit"
            )
        self._watched = watched
        for record in view.records[1:]:
            self._report(record)

    def _report(self, record: Record) -> bool:
        value = record[self._watched]
        if value is not None:
            self.trial.report(float(value), record["epoch"])
        return value is not None

    def on_epoch_end(self, view: Any, record: Record) -> None:
        """Report, and raise ``optuna.TrialPruned`` where the trial is hopeless."""
        if self._report(record) and self.trial.should_prune():
            raise self._pruned(f"pruned after epoch {record['epoch']}")


def _imported(module: str, caller: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{caller} needs {module}, an optional extra: pip install 'fastcf[{extra}]'") from error


def _numbers(record: Record) -> dict[str, float]:
    """Return the finite numbers of a record, without the epoch, by names that all take."""
    return {
        name.replace("@", "_at_"): float(value)
        for name, value in record.items()
        if name != "epoch" and isinstance(value, numbers.Real) and math.isfinite(value)
    }
