"""Hyperparameters of a factorisation that follow the data: those with the least loss of held-out entries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from fastcf.models.factorization.plan import Plan
from fastcf.models.factorization.walk import Hyperparameters, Walk
from fastcf.models.held_out import Cap, Losses, entries_of_weight, falls, parts_of, weights_of
from fastcf.ratings import Ratings
from fastcf.training.progress import LOGGER, search_progress

__all__ = ["CENTRED_REG", "searched"]

CENTRED_REG = 2.0  # times the first penalty of rows around zero: where a search begins for rows around centres

_LEAST = 3  # entries, below which nothing can be held out
_MOST = 3_000_000  # entries searched on
_LONGEST = 4  # times the epochs that a search begins with, at which a penalty is judged where more are given
# What rows around centres gain by, where trainings take several times as long as around zero: other factors gained
# 0.0005 at most, more sweeps of "als" 0.002.
_OF_CENTRED = {True: {"reg", "n_epochs"}, False: {"reg"}}  # by whether steps are stochastic


def searched(
    ratings: Ratings, plan: Plan, first: Hyperparameters, free: Collection[str], verbose: int = 0
) -> Hyperparameters:
    """Return the hyperparameters with the least loss of held-out ratings or labels, walking downhill from a guess.

    Tenths are held out (:func:`fastcf.models.held_out.parts_of`). Above 3 M entries the search takes those of users
    drawn at random. A given number of epochs is cut to four times that of "auto": by then the penalty decides. Rows
    around centres take a walk of their own, over the penalty and, for "sgd", the epochs, and are taken where it ends
    lower.

    Parameters
    ----------
    ratings : Ratings
        Ratings, or labels 0 and 1; those of weight 0 are never held out.
    plan : Plan
        The training.
    first : Hyperparameters
        Where to begin.
    free : collection of str
        Names of the hyperparameters to search.
    verbose : {0, 1, 2}, default 0
        Whether a bar counts the trainings, or a line is printed per candidate.
    """
    if not free:
        return first
    surrogate = plan.solver.surrogate(plan.targets.cost)
    if surrogate is not None:  # which needs other numbers of epochs
        auto = surrogate.solver.first(plan.targets.cost, ratings)
        auto = auto._replace(n_epochs=surrogate.longer * auto.n_epochs)
        other = replace(plan, solver=surrogate.solver, auto=auto)
        rest = [name for name in free if name != "n_epochs"]
        found = searched(ratings, other, first._replace(n_epochs=auto.n_epochs), rest, verbose)
        reg = found.reg * surrogate.reg if "reg" in free else first.reg
        return found._replace(reg=reg, n_epochs=first.n_epochs)
    if "n_epochs" not in free and first.n_epochs > (longest := _LONGEST * plan.auto.n_epochs):
        shorter = first._replace(n_epochs=longest)
        return searched(ratings, plan, shorter, free, verbose)._replace(n_epochs=first.n_epochs)
    random = np.random.default_rng(plan.seed)
    some = _some_users(ratings, random)
    if entries_of_weight(some).size < _LEAST:
        return first
    parts = parts_of(some, random)
    starts = [plan.settle(part.kept) for part in parts]  # of the trainings, shared by all candidates
    weights, cap, labels = weights_of(parts), Cap(), plan.targets.labels

    def losses(values: Hyperparameters) -> Losses:
        found = np.concatenate(
            [
                part.losses(plan.trained_scores(part.kept, start, values), plan.compute, labels=labels)
                for part, start in zip(parts, starts, strict=True)
            ]
        )
        weighted = (found if labels else cap(found)) * weights
        settled = ", ".join(f"{name} {getattr(values, name):.4g}" for name in free)
        done(len(parts), f"{settled}: mean loss {weighted.mean():.4g}")
        return weighted

    of_centred = set(free) & _OF_CENTRED[plan.solver.stochastic]
    walk = Walk(losses, first, of_centred if first.rated_input else free, plan.solver.growth)
    with search_progress("MatrixFactorization", free, verbose) as done:
        found, n_tried = walk.run(), walk.n_tried
        if "rated_input" in free:
            n_factors = min(first.n_factors, found.n_factors)
            start = Hyperparameters(CENTRED_REG * first.reg, first.n_epochs, n_factors, rated_input=True)
            centred = Walk(losses, start, of_centred, plan.solver.growth)
            around, n_tried = centred.run(), n_tried + centred.n_tried
            found = around if falls(centred.end, walk.end) else found
    LOGGER.info(
        "settled on %d held-out of %d entries, %d trainings: reg %.4g, n_epochs %d, n_factors %d, rated_input %s",
        weights.size, ratings.nnz, n_tried * len(parts), *found,
    )  # fmt: skip
    return found


def _some_users(ratings: Ratings, random: np.random.Generator) -> Ratings:
    """Return the entries of users drawn at random, where there are more than a search needs."""
    if ratings.nnz <= _MOST:
        return ratings
    counts = ratings.user_counts()
    order = random.permutation(ratings.n_users)
    drawn = np.zeros(ratings.n_users, bool)
    drawn[order[: int(np.searchsorted(np.cumsum(counts[order]), _MOST)) + 1]] = True
    return ratings.take(np.repeat(drawn, counts))
