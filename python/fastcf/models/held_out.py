"""The entries that a search of hyperparameters holds out, their losses, and whether these fall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.ratings import Ratings
from fastcf.scores import Compute
from fastcf.scores.protocol import Scores

__all__ = ["LEAST_GAIN", "Cap", "Losses", "Part", "entries_of_weight", "falls", "parts_of", "weights_of"]

Losses = NDArray[np.float64]

LEAST_GAIN = 5e-4  # share of the loss that a step must save

_FOLDS = 10
_SOME_FOLDS, _FEW = 5, 1_000  # tenths at most, and the entries up to which all ten cost little
_ENOUGH = 5_000  # held-out entries: all candidates are judged on the same ones, and differences need fewer than values
_MOST_HELD_OUT = 200_000
_FAR_OFF = 150.0  # times the median squared error (8 standard deviations), beyond which an error says no more


class Part(NamedTuple):
    """Entries that a candidate is trained on, and those that it is judged by."""

    kept: Ratings
    held_out: Ratings

    def losses(self, scores: Scores, compute: Compute, *, labels: bool) -> Losses:
        """Return squared errors, or the log-losses of labels, of the held-out entries; infinite after a divergence."""
        y = self.held_out.values.astype(np.float64)
        z = scores.pairs(self.held_out.row_of_entry(), self.held_out.indices, compute).astype(np.float64)
        if not np.isfinite(z).all():
            return np.full(z.size, np.inf)
        if labels:
            return np.asarray(np.logaddexp(0, z) - y * z)
        low, high = self.kept.rating_range
        return np.asarray(np.square(np.clip(z, low, high) - y))


class Cap:
    """Limits squared errors to 150 times the median of the first that were finite: an odd rating decides nothing."""

    def __init__(self) -> None:
        self._at = np.inf

    def __call__(self, squares: Losses) -> Losses:
        """Return the squared errors, limited."""
        if self._at == np.inf and np.isfinite(median := float(np.median(squares))) and median > 0:
            self._at = _FAR_OFF * median
        return np.minimum(squares, self._at)


def entries_of_weight(ratings: Ratings) -> NDArray[np.int64]:
    """Return the places of the entries that have a weight: the others cannot be judged by."""
    return np.arange(ratings.nnz) if ratings.weights is None else np.flatnonzero(ratings.weights)


def parts_of(ratings: Ratings, random: np.random.Generator) -> list[Part]:
    """Hold out a tenth; if that is less than 5,000, other tenths in turn, until 5,000 or five tenths have been.

    Of up to 1,000 entries all ten are. Entries of weight 0 are never held out.
    """
    order = random.permutation(entries_of_weight(ratings))
    folds = min(_FOLDS, order.size)
    size = min(order.size // folds, _MOST_HELD_OUT)
    most = folds if order.size <= _FEW else _SOME_FOLDS
    parts = []
    for fold in range(min(most, -(-_ENOUGH // size))):
        held_out = np.zeros(ratings.nnz, bool)
        held_out[order[fold * size : (fold + 1) * size]] = True
        parts.append(Part(ratings.take(~held_out), ratings.take(held_out)))
    return parts


def weights_of(parts: Sequence[Part]) -> Losses:
    """Return the weights of all held-out entries."""
    held_out = [part.held_out for part in parts]
    return np.concatenate(
        [np.ones(each.nnz) if each.weights is None else each.weights.astype(np.float64) for each in held_out]
    )


def falls(new: Losses, old: Losses, least: float = LEAST_GAIN) -> bool:
    """Return whether losses of the same entries fall by more than a share of their mean, and than chance has it."""
    if not np.isfinite(old.mean()):
        return bool(np.isfinite(new.mean()))
    if not new.mean() < old.mean():
        return False
    gains = old - new
    chance = float(gains.std()) / gains.size**0.5
    return bool(gains.mean() > max(least * float(old.mean()), chance))
