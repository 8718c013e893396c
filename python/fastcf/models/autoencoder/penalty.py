"""The penalty of an autoencoder that follows the data: that with the least loss of held-out ratings or labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastcf.models.autoencoder.problem import NetworkProblem
from fastcf.models.autoencoder.trainer import NetworkTrainer
from fastcf.models.factorization.walk import falls
from fastcf.ratings import Ratings
from fastcf.training.progress import LOGGER, search_progress

__all__ = ["searched_penalty"]

Losses = NDArray[np.float64]

_FOLDS = 10
_SOME_FOLDS, _FEW = 5, 1_000  # tenths at most, and the entries up to which all ten cost little
_ENOUGH = 5_000  # held-out entries, as all penalties are judged on the same ones
_LEAST, _MOST = 50, 2_000_000  # ratings, outside of which nothing is searched
_RATIO = 2.0
_STEPS = 8  # at most, either way
_EPOCHS = 15  # of a training of more than this many ratings, where fewer tell
_LARGE = 50_000
_FAR_OFF = 150.0  # times the median loss, beyond which an error says no more


class ProblemOf(Protocol):
    """The problem of a training on some ratings; by None its penalty is the one to begin with."""

    def __call__(self, ratings: Ratings, *, reg: float | None = None) -> NetworkProblem: ...


def searched_penalty(ratings: Ratings, problem_of: ProblemOf, caller: str, verbose: int = 0) -> float:
    """Return the penalty with the least loss of held-out ratings or labels, walking downhill from a first one.

    A tenth is held out; if that is less than 5,000, other tenths in turn, until 5,000 or five tenths have been (all, of
    up to 1,000 entries). The penalty moves by factors of 2 as long as the loss falls by more than its standard error:
    where the entries say little, the first one stays. Above 50,000 entries trainings have 15 epochs at most. Fewer than
    50 entries, and more than 2 million, are not searched on.

    Parameters
    ----------
    ratings : Ratings
        Ratings, or labels; those of weight 0 are never held out.
    problem_of : ProblemOf
        The trainings; the seed of their problems draws what is held out.
    caller : str
        Heads what is shown.
    verbose : {0, 1, 2}, default 0
        Whether a bar counts the trainings, or a line is printed per penalty.
    """
    whole = problem_of(ratings)
    first = whole.reg
    entries = np.arange(ratings.nnz) if ratings.weights is None else np.flatnonzero(ratings.weights)
    if not (first > 0 and _LEAST <= entries.size <= _MOST):
        return first
    parts = _parts(ratings, np.random.default_rng(whole.seed).permutation(entries))
    weights = np.concatenate([_weights(held_out) for _, held_out in parts])
    n_epochs = min(_EPOCHS, whole.n_epochs) if ratings.nnz > _LARGE else whole.n_epochs
    tried: dict[int, Losses] = {}
    cap = np.inf

    def at(power: int) -> Losses:
        """Return the held-out losses of a penalty, as the power of 2 times the first."""
        nonlocal cap
        if power not in tried:
            reg = first * _RATIO**power
            problems = (replace(problem_of(kept, reg=reg), n_epochs=n_epochs) for kept, _ in parts)
            found = np.concatenate([_losses(each, part[1]) for each, part in zip(problems, parts, strict=True)])
            if cap == np.inf and np.isfinite(median := float(np.median(found))) and median > 0:
                cap = _FAR_OFF * median
            tried[power] = np.minimum(found, cap) * weights
            done(len(parts), f"reg {reg:.4g}: mean loss {tried[power].mean():.4g}")
        return tried[power]

    with search_progress(caller.partition(".")[0], ["reg"], verbose) as done:
        best = 0
        for direction in (-1, 1):
            while abs(best) < _STEPS and falls(at(best + direction), at(best)):
                best += direction
            if best != 0:
                break
    reg = float(first * _RATIO**best)
    LOGGER.info(
        "settled on %d held-out of %d entries, %d trainings: reg %.4g", at(0).size, ratings.nnz,
        len(tried) * len(parts), reg,
    )  # fmt: skip
    return reg


def _parts(ratings: Ratings, order: NDArray[np.int64]) -> list[tuple[Ratings, Ratings]]:
    """Return ratings kept and held out, by tenths of an order."""
    size = order.size // _FOLDS
    most = _FOLDS if order.size <= _FEW else _SOME_FOLDS
    parts = []
    for fold in range(min(most, -(-_ENOUGH // size))):
        held_out = np.zeros(ratings.nnz, bool)
        held_out[order[fold * size : (fold + 1) * size]] = True
        parts.append((ratings.take(~held_out), ratings.take(held_out)))
    return parts


def _losses(problem: NetworkProblem, held_out: Ratings) -> Losses:
    """Return the losses of held-out entries after a training; infinite if it diverges."""
    trainer = NetworkTrainer(problem)
    for epoch in range(problem.n_epochs):
        trainer.run_epoch(epoch)
    scores = trainer.finish((), problem.n_epochs).scores
    z = scores.pairs(held_out.row_of_entry(), held_out.indices, problem.compute).astype(np.float64)
    if not np.isfinite(z).all():
        return np.full(z.size, np.inf)
    y = held_out.values.astype(np.float64)
    if problem.targets.labels:
        return np.asarray(np.logaddexp(0, z) - y * z)
    low, high = problem.rating_range
    return np.asarray(np.square(np.clip(z, low, high) - y))


def _weights(held_out: Ratings) -> Losses:
    return np.ones(held_out.nnz) if held_out.weights is None else held_out.weights.astype(np.float64)
