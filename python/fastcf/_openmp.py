"""How threads of OpenMP wait for each other, which is decided when native code brings OpenMP in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["briefly_spinning_threads"]

_SPINS = "1000"  # some microseconds


@contextmanager
def briefly_spinning_threads() -> Iterator[None]:
    """Let threads of an OpenMP loaded meanwhile spin only briefly before they sleep, unless the environment says how.

    GNU's waits busily for about a millisecond or more. Where other programs need the processors, too, that keeps from
    working the very thread that is waited for: two threads then trained a network 4 to 12 times as slowly as these do
    (four busy processes on two processors), and where nothing else runs no faster (bench/bench_waiting.py).
    """
    chosen = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys()
    if not chosen:
        os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        yield
    finally:
        if not chosen:
            del os.environ["GOMP_SPINCOUNT"]
