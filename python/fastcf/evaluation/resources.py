"""Seconds and memory of a call."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Used", "measured"]

_STATUS, _RESET = "/proc/self/status", "/proc/self/clear_refs"


@dataclass
class Used:
    """What a block of code took; filled at its end.

    Attributes
    ----------
    seconds : float
        Of the clock.
    memory : float
        Bytes by which the process's resident memory was larger at its peak than before; NaN where the system does not
        tell. What earlier code freed and the allocator keeps counts as there already; little, where it is glibc's.
    """

    seconds: float = math.nan
    memory: float = math.nan


def _resident(field: str) -> float:
    """Return bytes of resident memory, now ("VmRSS") or at the peak ("VmHWM")."""
    try:
        with open(_STATUS, encoding="ascii") as file:
            found = next((line.split()[1] for line in file if line.startswith(field)), None)
    except OSError:
        return math.nan
    return math.nan if found is None else 1024.0 * int(found)


def _reset_peak() -> bool:
    """Begin a new peak; return whether the system does that."""
    try:
        with open(_RESET, "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        return False
    return True


def _give_back() -> None:
    """Return freed memory to the system where the C library can, or what a fit takes again would not be seen."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def measured() -> Iterator[Used]:
    """Measure a block of code."""
    used = Used()
    _give_back()
    resets = _reset_peak()
    before = _resident("VmRSS")
    started = time.perf_counter()
    yield used
    used.seconds = time.perf_counter() - started
    if resets:
        used.memory = max(_resident("VmHWM") - before, 0.0)
