"""Thresholds of values: compared in the precision in which the values are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["reaches"]


def reaches(values: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """Return which values are at least a threshold, which may lie beyond their range.

    The threshold is rounded to the precision of floating-point values: a float32 of 0.7 reaches 0.7.
    """
    if values.dtype.kind != "f":
        return np.asarray(values >= threshold)
    with np.errstate(over="ignore"):
        return np.asarray(values >= values.dtype.type(threshold))
