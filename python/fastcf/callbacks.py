"""Callbacks of training: progress bars, early stopping, logs, and the base class of your own."""

from fastcf.training.callbacks import Callback, CallbackList, CSVLogger, EarlyStopping, LogHistory, ProgressBar

__all__ = ["CSVLogger", "Callback", "CallbackList", "EarlyStopping", "LogHistory", "ProgressBar"]
