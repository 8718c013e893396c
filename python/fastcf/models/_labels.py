"""Labels 0 and 1: ratings cut at a threshold, or the ratings themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_labels"]


def as_labels(
    values: NDArray[np.float32], threshold: float | None, caller: str, *, soft: bool = False
) -> NDArray[np.float32]:
    """Return 1 for ratings of at least ``threshold`` and 0 for others; without one the ratings, checked.

    With ``soft``, which the logistic cost of a regression allows, those may also lie between.
    """
    if threshold is not None:
        return (values >= threshold).astype(np.float32)
    wrong = (values < 0) | (values > 1) if soft else (values != 0) & (values != 1)
    if wrong.any():
        entry = int(wrong.argmax())
        what = "lie in [0, 1] for cost='logistic'" if soft else "be 0 or 1"
        raise ValueError(f"{caller}: ratings must {what} without a threshold; got {values[entry]:g} at entry {entry}")
    return values
