"""Callbacks of training: progress bars, early stopping, logs, and the protocol for a caller's own."""

from fastcf.training.callbacks import Callback, CallbackList, CSVLogger, EarlyStopping, LogHistory, ProgressBar

__all__ = ["CSVLogger", "Callback", "CallbackList", "EarlyStopping", "LogHistory", "ProgressBar"]
