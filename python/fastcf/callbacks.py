"""Callbacks of training: progress bars, early stopping, logs, and the base class of your own."""

from fastcf.training.callbacks import Callback, CallbackList, EarlyStopping
from fastcf.training.logs import CSVLogger, JSONLogger
from fastcf.training.progress import LogHistory, ProgressBar

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "JSONLogger",
    "LogHistory",
    "ProgressBar",
]
