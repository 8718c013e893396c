"""The penalty of an autoencoder that follows the data: that with the least loss of held-out ratings or labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from fastcf.models.autoencoder.problem import NetworkProblem
from fastcf.models.autoencoder.trainer import NetworkTrainer
from fastcf.models.held_out import Cap, Losses, Part, entries_of_weight, falls, parts_of, weights_of
from fastcf.ratings import Ratings
from fastcf.training.progress import LOGGER, search_progress

__all__ = ["searched_penalty"]

_LEAST, _MOST = 50, 2_000_000  # ratings, outside of which nothing is searched
_RATIO = 2.0
_STEPS = 8  # at most, either way
_EPOCHS = 15  # of a training of more than this many ratings, where fewer tell
_LARGE = 50_000


class ProblemOf(Protocol):
    """The problem of a training on some ratings; by None its penalty is the one to begin with."""

    def __call__(self, ratings: Ratings, *, reg: float | None = None) -> NetworkProblem: ...


def searched_penalty(ratings: Ratings, problem_of: ProblemOf, caller: str, verbose: int = 0) -> float:
    """Return the penalty with the least loss of held-out ratings or labels, walking downhill from a first one.

    The penalty moves by factors of 2 as long as the loss falls by more than its standard error: where the entries say
    little, the first one stays. Above 50,000 entries trainings have 15 epochs at most. Fewer than 50 entries, and more
    than 2 million, are not searched on.

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
    if not (first > 0 and _LEAST <= entries_of_weight(ratings).size <= _MOST):
        return first
    parts = parts_of(ratings, np.random.default_rng(whole.seed))
    weights, cap = weights_of(parts), Cap()
    n_epochs = min(_EPOCHS, whole.n_epochs) if ratings.nnz > _LARGE else whole.n_epochs
    tried: dict[int, Losses] = {}

    def at(power: int) -> Losses:
        """Return the held-out losses of a penalty, as the power of 2 times the first."""
        if power not in tried:
            reg = first * _RATIO**power
            problems = (replace(problem_of(part.kept, reg=reg), n_epochs=n_epochs) for part in parts)
            found = np.concatenate([_losses(each, part) for each, part in zip(problems, parts, strict=True)])
            tried[power] = (found if whole.targets.labels else cap(found)) * weights
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


def _losses(problem: NetworkProblem, part: Part) -> Losses:
    """Return the losses of held-out entries after a training."""
    trainer = NetworkTrainer(problem)
    for epoch in range(problem.n_epochs):
        trainer.run_epoch(epoch)
    scores = trainer.finish((), problem.n_epochs).scores
    return part.losses(scores, problem.compute, labels=problem.targets.labels)
