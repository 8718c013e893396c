"""Logs of training in files: CSV, and JSON lines."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
from collections.abc import Callable
from typing import IO, Any

from fastcf.training.callbacks import Callback, Record

__all__ = ["CSVLogger", "JSONLogger"]


class CSVLogger(Callback):
    """Write one row per epoch to a CSV file, flushed at once.

    A training that goes on from a checkpoint goes on with its log, too: rows of epochs after the checkpoint's, which
    are run again, are removed.

    Parameters
    ----------
    path : path-like
        The file; columns are the entries of the first record.
    append : bool, default False
        Whether to continue an existing file instead of replacing it.

    Raises
    ------
    ValueError
        As training begins, if the file to be continued lacks a column of the records.
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        self.path = path
        self.append = append
        self._file: IO[str] | None = None
        self._head: list[str] = []

    def on_train_begin(self, view: Any) -> None:
        """Open the file, and compare its head with the records."""
        self.on_train_end(view)
        done = view.records[1:]
        self._head = _head_of(self.path) if self.append or done else []
        self._check(view.records[-1])
        if done and self._head:
            _cut_after(self.path, done[-1]["epoch"], self._epoch_of)
        self._file = open(self.path, "a" if self._head else "w", newline="", encoding="utf-8")  # noqa: SIM115 - closed at the end of training
        if done and not self._head:
            for record in done:
                self.on_epoch_end(view, record)

    def _check(self, record: Record) -> None:
        lacking = [name for name in record if name not in self._head]
        if self._head and lacking:
            raise ValueError(
                f"CSVLogger: {os.fspath(self.path)} must have the columns of the records to be continued; got "
                f"{', '.join(self._head)}, without {', '.join(lacking)}; log to another file"
            )

    def _epoch_of(self, line: str) -> int | None:
        fields = dict(zip(self._head, next(csv.reader([line]), []), strict=False))
        return int(fields["epoch"]) if fields.get("epoch", "").isdecimal() else None

    def on_epoch_end(self, view: Any, record: Record) -> None:
        """Write the row, and the head before the first one of a new file."""
        if self._file is None:
            return
        begins = not self._head
        self._head = self._head or list(record)
        writer = csv.DictWriter(self._file, self._head, extrasaction="ignore", lineterminator="\n")
        if begins:
            writer.writeheader()
        writer.writerow(record)
        self._file.flush()

    def on_train_end(self, view: Any) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None


class JSONLogger(Callback):
    """Write one JSON object per epoch and line, flushed at once; numbers that are not finite are null.

    A training that goes on from a checkpoint goes on with its log, as for :class:`CSVLogger`.

    Parameters
    ----------
    path : path-like
        The file.
    append : bool, default False
        Whether to continue an existing file instead of replacing it.
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        self.path = path
        self.append = append
        self._file: IO[str] | None = None

    def on_train_begin(self, view: Any) -> None:
        """Open the file."""
        self.on_train_end(view)
        done = view.records[1:]
        there = os.path.exists(self.path)
        if done and there:
            _cut_after(self.path, done[-1]["epoch"], lambda line: json.loads(line).get("epoch"))
        self._file = open(self.path, "a" if self.append or done else "w", encoding="utf-8")  # noqa: SIM115 - closed at the end of training
        if not there:
            for record in done:
                self.on_epoch_end(view, record)

    def on_epoch_end(self, view: Any, record: Record) -> None:
        """Write the line."""
        if self._file is not None:
            plain = {name: _plain(value) for name, value in record.items()}
            self._file.write(json.dumps(plain, allow_nan=False) + "\n")
            self._file.flush()

    def on_train_end(self, view: Any) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None


def _plain(value: Any) -> Any:
    """Return a value of a record as JSON has it; NumPy's numbers as Python's."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _head_of(path: str | os.PathLike[str]) -> list[str]:
    """Return the first row of a CSV file; nothing where there is none."""
    with contextlib.suppress(FileNotFoundError), open(path, newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])
    return []


def _cut_after(path: str | os.PathLike[str], epoch: int, epoch_of: Callable[[str], int | None]) -> None:
    """Remove rows of later epochs, and one cut short, from the end of a file of lines."""
    with open(path, "rb+") as file:
        lines = file.readlines()
        while lines and (not lines[-1].endswith(b"\n") or (epoch_of(lines[-1].decode()) or 0) > epoch):
            lines.pop()
        file.truncate(sum(map(len, lines)))
