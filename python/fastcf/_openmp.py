"""How threads of OpenMP wait for each other; decided when native code loads OpenMP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["briefly_spinning_threads"]

_SPINS = "1000"  # some microseconds


@contextmanager
def briefly_spinning_threads() -> Iterator[None]:
    """Let threads of an OpenMP loaded meanwhile spin only briefly before they sleep, unless the environment sets it.

    GNU's threads spin for a millisecond or more. Where other programs need the processors, spinning delays the thread
    that is waited for: training a network on two threads took 4 to 12 times as long beside four busy processes on two
    processors, and no less on an idle machine (bench/bench_waiting.py).
    """
    chosen = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys()
    if not chosen:
        os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        yield
    finally:
        if not chosen:
            del os.environ["GOMP_SPINCOUNT"]
