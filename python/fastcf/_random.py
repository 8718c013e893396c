"""Seeds: a 64-bit number from any ``random_state``."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["RandomState", "seed_from"]

RandomState = int | np.integer[Any] | np.random.Generator | np.random.RandomState | None


def seed_from(random_state: RandomState, caller: str) -> int:
    """Return a seed in [0, 2**64) for native code.

    An integer is the seed itself; a generator draws one, and advances; None draws one from the operating system.

    Raises
    ------
    ValueError
        If an integer is outside [0, 2**64).
    TypeError
        If it is none of these.
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**64, dtype=np.uint64))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**64, dtype=np.uint64))
    if isinstance(random_state, bool) or not isinstance(random_state, (int, np.integer)):
        raise TypeError(
            f"{caller}: random_state must be an integer, a numpy.random.Generator, a numpy.random.RandomState or None; "
            f"got {random_state!r}"
        )
    if not 0 <= int(random_state) < 2**64:
        raise ValueError(f"{caller}: random_state must be in [0, 2**64); got {random_state}")
    return int(random_state)
