"""How many threads a process starts with: those its environment names, else the processors that it may use."""

from __future__ import annotations

import os
import re

import joblib

__all__ = ["MOST_THREADS", "first_num_threads"]

MOST_THREADS = 1024


def first_num_threads() -> int:
    """Return FASTCF_NUM_THREADS, else OMP_NUM_THREADS, else the processors that affinity and control group allow.

    Raises
    ------
    ValueError
        If FASTCF_NUM_THREADS is no such number. What is wrong with OMP_NUM_THREADS, OpenMP says itself.
    """
    own = os.environ.get("FASTCF_NUM_THREADS", "").strip()
    if own:
        if not (own.isdecimal() and 1 <= int(own) <= MOST_THREADS):
            raise ValueError(
                f"FASTCF_NUM_THREADS must be an integer of at least 1 and at most {MOST_THREADS}; got {own!r}: correct "
                "or unset the environment variable"
            )
        return int(own)
    # A list is for nested loops: its first number is for the outermost ones.
    outermost = re.match(r"\s*0*([1-9]\d{0,8})\s*(,|$)", os.environ.get("OMP_NUM_THREADS", ""))
    return min(int(outermost[1]) if outermost else joblib.cpu_count(), MOST_THREADS)
