"""Ratings so far from all others that squared errors would follow them alone."""

from __future__ import annotations

import warnings

import numpy as np

from fastcf._callers import level_outside
from fastcf.errors import DataWarning
from fastcf.models.data_warnings import reports
from fastcf.ratings import Ratings

__all__ = ["without_outliers"]

_FAR = 100.0  # times as far from the median as any other rating: a slip of the pen, no tail of a distribution
_SHARE = 1e-3  # of the ratings, at most
_SAMPLE = 1_000  # looked at before all
_LEAST = 10  # ratings, below which none is odd


def without_outliers(ratings: Ratings, caller: str) -> Ratings:
    """Return ratings of which the odd ones, 100 times as far from the median as all others, are the farthest others.

    These are at most one in a thousand, or one. Warns with DataWarning where there are some, once for fits inside
    another fit.
    """
    low, high = ratings.rating_range
    if ratings.nnz < _LEAST or low == high:
        return ratings
    some = ratings.values[:: max(1, ratings.nnz // _SAMPLE)].astype(np.float64)
    middle = np.median(some)
    if _FAR * np.quantile(np.abs(some - middle), 0.9) >= max(high - middle, middle - low):
        return ratings
    values = ratings.values.astype(np.float64)
    distances = np.abs(values - np.median(values))
    most = max(1, int(_SHARE * values.size))
    farthest = np.sort(np.partition(distances, values.size - most - 1)[values.size - most - 1 :])
    gaps = np.flatnonzero((farthest[:-1] > 0) & (farthest[1:] > _FAR * farthest[:-1]))
    if gaps.size == 0:
        return ratings
    odd = distances > farthest[gaps[0]]
    others = ratings.values[~odd]
    least, largest = float(others.min()), float(others.max())
    first = float(ratings.values[odd][0])
    if reports():
        warnings.warn(
            f"{caller}: {np.count_nonzero(odd)} of {odd.size:,} ratings, among them {first:.10g}, are more than "
            f"{_FAR:g} times as far from the median as all others, which are from {least:.10g} to {largest:.10g}; they "
            "count as the nearest of these; correct or remove them",
            DataWarning,
            stacklevel=level_outside(),
        )
    return ratings.with_values(np.clip(ratings.values, np.float32(least), np.float32(largest)))
