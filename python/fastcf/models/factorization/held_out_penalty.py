"""The strength of a penalty, estimated from the data: the one with the least log-loss of held-out labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastcf.metrics import log_loss
from fastcf.ratings import Ratings

__all__ = ["held_out_penalty"]

_FOLDS = 10
_ENOUGH = 10_000  # held-out labels: all penalties are judged on the same ones, and differences need fewer than values
_RATIO = 1.25  # between neighbouring penalties; the minimum is broad
_MOST = 12  # penalties tried: as far as a factor of 10 from the first guess

Predict = Callable[[Ratings, float, Ratings], NDArray[np.float32]]


def held_out_penalty(labels: Ratings, predict: Predict, first: float, seed: int) -> float:
    """Return the penalty with the least log-loss on held-out labels, walking downhill from a first guess.

    A tenth of the labels is held out; if that is less than 10,000, other tenths in turn, until 10,000 or all have been.

    Parameters
    ----------
    labels : Ratings
        With values 0 and 1; those of weight 0 are never held out. With fewer than ten, ``first`` is returned.
    predict : callable
        Given the labels kept, a penalty and those held out: trains on the first and predicts the last.
    first : float
        Where to begin, above 0. Penalties are powers of 1.25 times this.
    seed : int
        Of which labels are held out.
    """
    entries = np.arange(labels.nnz) if labels.weights is None else np.flatnonzero(labels.weights)
    if entries.size < _FOLDS:
        return first
    order = np.random.default_rng(seed).permutation(entries)
    size = order.size // _FOLDS
    n_folds = min(_FOLDS, -(-_ENOUGH // size))
    parts = []
    for fold in range(n_folds):
        held_out = np.zeros(labels.nnz, bool)
        held_out[order[fold * size : (fold + 1) * size]] = True
        parts.append((labels.take(~held_out), labels.take(held_out)))

    def loss(step: int) -> float:
        reg = first * _RATIO**step
        return sum(
            log_loss(held_out.values, predict(kept, reg, held_out), sample_weight=held_out.weights)
            for kept, held_out in parts
        )

    best, least, tried = 0, loss(0), 1
    for direction in (1, -1):
        while tried < _MOST and (found := loss(best + direction)) < least:
            best, least, tried = best + direction, found, tried + 1
        if best != 0:  # downhill this way: it is uphill the other way
            break
    return float(first * _RATIO**best)
