"""Counters of all workers in one shared table, and their sums as Prometheus reads them."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import threading
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["Counters"]

_WORKERS = 256  # rows of the table
_STATUSES = ("200", "400", "404", "405", "413", "422", "500", "501", "other")
_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds


class Counters:
    """Counts requests, their seconds, and reloads: a row per worker, of which a scrape of any worker gets the sums.

    The table is a file that the workers map, so that they may be forked or started one by one. A worker that has ended
    leaves its row to the next: counts never fall.

    Parameters
    ----------
    endpoints : sequence of str
        What requests are counted by; others are counted as "other".
    path : path-like, optional
        The file, for workers that are started one by one. By default one without a name, which forked workers share.
    """

    def __init__(self, endpoints: Sequence[str], path: str | os.PathLike[str] | None = None) -> None:
        self._endpoints = (*endpoints, "other")
        n = len(self._endpoints)
        row = np.dtype(
            [
                ("pid", np.int64),
                ("version", "S64"),
                ("loaded", np.float64),
                ("reloads", np.int64, 2),  # those that succeeded and those that failed
                ("requests", np.int64, (n, len(_STATUSES))),
                ("seconds", np.float64, n),
                ("buckets", np.int64, (n, len(_BOUNDS) + 1)),
            ]
        )
        self._handle = (
            os.memfd_create("fastcf-counters") if path is None else os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        )
        weakref.finalize(self, os.close, self._handle)
        size = row.itemsize * _WORKERS
        with self._locked():
            if os.fstat(self._handle).st_size < size:
                os.truncate(self._handle, size)
        self._table = np.ndarray(_WORKERS, row, mmap.mmap(self._handle, size))
        self._own: Any = None
        self._one_at_a_time = threading.Lock()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from taking a row meanwhile."""
        fcntl.lockf(self._handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._handle, fcntl.LOCK_UN)

    def join(self, version: str, loaded: float) -> None:
        """Take a row for this process, which serves a model: when a worker starts."""
        with self._locked():
            free = next((row for row in range(_WORKERS) if not _is_alive(int(self._table["pid"][row]))), None)
            if free is None:
                raise RuntimeError(f"Counters.join: there must be at most {_WORKERS} workers; start fewer")
            self._own = self._table[free]
            self._own["pid"] = os.getpid()
        self._serving(version, loaded)

    def leave(self) -> None:
        """Leave the row to another process, with its counts."""
        if self._own is not None:
            self._own["pid"], self._own = 0, None

    def _serving(self, version: str, loaded: float) -> None:
        self._own["version"], self._own["loaded"] = version.encode(), loaded

    def reloaded(self, version: str, loaded: float, ok: bool) -> None:
        """Count an attempt to load another model."""
        if self._own is not None:
            self._serving(version, loaded)
            self._own["reloads"][0 if ok else 1] += 1

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count an answer."""
        if self._own is None:
            return
        which = self._endpoints.index(endpoint if endpoint in self._endpoints else "other")
        code = _STATUSES.index(str(status) if str(status) in _STATUSES else "other")
        bucket = int(np.searchsorted(_BOUNDS, seconds))
        with self._one_at_a_time:
            self._own["requests"][which, code] += 1
            self._own["seconds"][which] += seconds
            self._own["buckets"][which, bucket] += 1

    def text(self) -> str:
        """Return the sums over all workers in Prometheus' text format, version 0.0.4."""
        table = self._table.copy()
        requests, seconds, buckets = (table[name].sum(axis=0) for name in ("requests", "seconds", "buckets"))
        lines = _described("fastcf_requests_total", "counter", "Answers by path and status.")
        for which, endpoint in enumerate(self._endpoints):
            for code, status in enumerate(_STATUSES):
                if requests[which, code]:
                    labels = _labels(path=endpoint, status=status)
                    lines.append(f"fastcf_requests_total{labels} {requests[which, code]}")
        lines += _described("fastcf_request_seconds", "histogram", "Seconds from a request to its answer.")
        for which, endpoint in enumerate(self._endpoints):
            below = np.cumsum(buckets[which])
            if below[-1] == 0:
                continue
            for bound, count in zip((*map(str, _BOUNDS), "+Inf"), below, strict=True):
                lines.append(f"fastcf_request_seconds_bucket{_labels(path=endpoint, le=bound)} {count}")
            lines.append(f"fastcf_request_seconds_sum{_labels(path=endpoint)} {float(seconds[which])!r}")
            lines.append(f"fastcf_request_seconds_count{_labels(path=endpoint)} {below[-1]}")
        lines += _described("fastcf_reloads_total", "counter", "Attempts to load a model whose file has changed.")
        for outcome, count in zip(("loaded", "failed"), table["reloads"].sum(axis=0), strict=True):
            lines.append(f"fastcf_reloads_total{_labels(outcome=outcome)} {count}")
        alive = table[[_is_alive(int(pid)) for pid in table["pid"]]]
        lines += _described("fastcf_model_workers", "gauge", "Workers that serve a version of the model.")
        for version, count in sorted(Counter(alive["version"].tolist()).items()):
            lines.append(f"fastcf_model_workers{_labels(version=version.decode())} {count}")
        if len(alive):
            lines += _described(
                "fastcf_model_loaded_seconds", "gauge", "When the worker that is behind loaded its model."
            )
            lines.append(f"fastcf_model_loaded_seconds {float(alive['loaded'].min())!r}")
        return "\n".join([*lines, ""])


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _described(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _labels(**labels: str) -> str:
    escaped = {
        name: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
