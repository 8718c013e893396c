"""A service in processes of its own, and clients that keep a connection open and ask it one request after the other."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastcf

__all__ = [
    "Client",
    "Request",
    "big_model",
    "clients",
    "load",
    "memory_of",
    "percentiles",
    "processor_seconds",
    "service",
]

_SPAWNED = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Request:
    """A path and, where it is a POST, the fields of its body."""

    path: str
    fields: dict[str, Any] | None = None

    @property
    def wire(self) -> bytes:
        """What goes over the connection."""
        body = b"" if self.fields is None else json.dumps(self.fields).encode()
        method = "GET" if self.fields is None else "POST"
        head = f"{method} {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Client:
    """One connection, which is opened again where the server has closed it between two requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection: socket.socket | None = None

    def ask(self, wire: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body of the answer."""
        if self._connection is None:
            self._connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.sendall(wire)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._received()
        head = received[:end].lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(received) < end + 4 + length:
            received += self._received()
        if b"connection: close" in head:
            self.close()
        return int(head.split()[1]), received[end + 4 :]

    def _received(self) -> bytes:
        assert self._connection is not None
        part = self._connection.recv(1 << 16)
        if not part:
            raise ConnectionError("the server closed the connection under a request")
        return part

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def big_model(path: Path, n_items: int, n_factors: int, *, seed: int = 0) -> list[int]:
    """Save a factorisation of that many items after one epoch; return some of its users."""
    ratings = fastcf.data.make_ratings(5_000, n_items, 3 * n_items, random_state=seed)
    model = fastcf.MatrixFactorization(n_factors, n_epochs=1, reg=0.1, random_state=seed).fit(ratings)
    model.save(path)
    return [int(user) for user in model.users_.ids[:1000]]


@contextlib.contextmanager
def service(model: Path, *arguments: str) -> Iterator[tuple[int, int]]:
    """Run ``fastcf serve``; yield its port and the number of its process."""
    with socket.create_server(("127.0.0.1", 0)) as tried:
        port = tried.getsockname()[1]
    command = [sys.executable, "-m", "fastcf", "serve", str(model), "--port", str(port), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        client = Client(port)
        for _ in range(600):
            if process.poll() is not None:
                raise RuntimeError(f"fastcf serve ended with {process.returncode}")
            with contextlib.suppress(OSError):
                client.ask(Request("/health").wire)
                break
            time.sleep(0.1)
        client.close()
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def clients(n: int, work: Callable[..., None], *arguments: Any) -> list[Any]:
    """Run ``work(number, results, *arguments)`` in ``n`` processes; return what they put into the queue ``results``."""
    results = _SPAWNED.Queue()
    processes = [_SPAWNED.Process(target=work, args=(number, results, *arguments)) for number in range(n)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return found


def memory_of(pid: int) -> dict[str, float]:
    """Return the proportional and the private memory of a process and those it has started, in MiB."""
    total = {"Pss": 0, "Private_Dirty": 0}
    for each in (pid, *_children(pid)):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                name = line.split(":")[0]
                if name in total:
                    total[name] += int(line.split()[1])
    return {name: round(kib / 1024, 1) for name, kib in total.items()}


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process and those it has started: it does not depend on what else runs."""
    ticks = 0
    for each in (pid, *_children(pid)):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        own = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [*own, *(below for child in own for below in _children(child))]
    return []


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile in milliseconds."""
    return {f"p{q}_ms": round(1e3 * float(np.percentile(seconds, q)), 3) for q in (50, 99)}


def load() -> list[float]:
    """Return how busy the machine is."""
    return [round(each, 2) for each in os.getloadavg()]
