"""Callbacks of training: progress bars, early stopping, logs, trackers of other packages, the base of your own."""

from fastcf.training.callbacks import Callback, CallbackList, EarlyStopping
from fastcf.training.logs import CSVLogger, JSONLogger
from fastcf.training.progress import LogHistory, ProgressBar
from fastcf.training.trackers import MLflowLogger, OptunaPruning, TensorBoardLogger, WandbLogger

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "JSONLogger",
    "LogHistory",
    "MLflowLogger",
    "OptunaPruning",
    "ProgressBar",
    "TensorBoardLogger",
    "WandbLogger",
]
