"""Hyperparameters of a factorisation that follow the data: those with the least loss of held-out entries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastcf.models.factorization.costs import Settled
from fastcf.models.factorization.plan import Plan
from fastcf.models.factorization.walk import Hyperparameters, Walk, falls
from fastcf.ratings import Ratings
from fastcf.training.progress import LOGGER, search_progress

__all__ = ["CENTRED_REG", "searched"]

CENTRED_REG = 2.0  # times the first penalty of rows around zero: where a search begins for rows around centres

_FOLDS = 10
_SOME_FOLDS, _FEW = 5, 1_000  # tenths at most, and the entries up to which all ten cost little
_ENOUGH = 5_000  # held-out entries: all candidates are judged on the same ones, and differences need fewer than values
_MOST_HELD_OUT = 200_000
_LEAST = 3  # entries, below which nothing can be held out
_MOST = 3_000_000  # entries searched on
_LONGEST = 4  # times the epochs that a search begins with, at which a penalty is judged where more are given
# What rows around centres gain by, where trainings take several times as long as around zero: other factors gained
# 0.0005 at most, more sweeps of "als" 0.002.
_OF_CENTRED = {True: {"reg", "n_epochs"}, False: {"reg"}}  # by whether steps are stochastic
_FAR_OFF = 150.0  # times the median squared error (8 standard deviations), beyond which an error says no more


def searched(
    ratings: Ratings, plan: Plan, first: Hyperparameters, free: Collection[str], verbose: int = 0
) -> Hyperparameters:
    """Return the hyperparameters with the least loss of held-out ratings or labels, walking downhill from a guess.

    A tenth is held out; if that is less than 5,000, other tenths in turn, until 5,000 or five tenths have been (all,
    of up to 1,000 entries). Above 3 M entries the search takes those of users drawn at random. A given number of epochs
    is cut to four times that of "auto": by then the penalty decides. Rows around centres take a walk of their own, over
    the penalty and, for "sgd", the epochs, and are taken where it ends lower.

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
    parts = _parts(_some_users(ratings, random), plan, random)
    if not parts:
        return first

    cap = np.inf

    def losses(values: Hyperparameters) -> NDArray[np.float64]:
        nonlocal cap
        found = np.concatenate([part.losses(values) for part in parts])
        if not plan.targets.labels:
            if cap == np.inf and (median := float(np.median(found))) > 0:
                cap = _FAR_OFF * median
            found = np.minimum(found, cap)
        weighted: NDArray[np.float64] = found * weights
        settled = ", ".join(f"{name} {getattr(values, name):.4g}" for name in free)
        done(len(parts), f"{settled}: mean loss {weighted.mean():.4g}")
        return weighted

    weights = np.concatenate([part.weights for part in parts])
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


class _Part:
    """Entries kept and entries held out: the start of the trainings is shared by all candidates."""

    def __init__(self, kept: Ratings, held_out: Ratings, plan: Plan) -> None:
        self._kept, self._held_out, self._plan = kept, held_out, plan
        self._rows = held_out.row_of_entry()
        self._settled: Settled = plan.settle(kept)
        weights = np.ones(held_out.nnz) if held_out.weights is None else held_out.weights.astype(np.float64)
        self.weights = weights

    def losses(self, values: Hyperparameters) -> NDArray[np.float64]:
        """Return the losses of the held-out entries after a training; infinite if it diverges."""
        scores = self._plan.trained_scores(self._kept, self._settled, values)
        given = self._held_out.values
        z = scores.pairs(self._rows, self._held_out.indices, self._plan.compute).astype(np.float64)
        if not np.isfinite(z).all():
            return np.full(z.size, np.inf)
        if self._plan.targets.labels:
            return np.asarray(np.logaddexp(0, z) - given * z)
        low, high = self._kept.rating_range
        return np.asarray(np.square(np.clip(z, low, high) - given))


def _some_users(ratings: Ratings, random: np.random.Generator) -> Ratings:
    """Return the entries of users drawn at random, where there are more than a search needs."""
    if ratings.nnz <= _MOST:
        return ratings
    counts = ratings.user_counts()
    order = random.permutation(ratings.n_users)
    drawn = np.zeros(ratings.n_users, bool)
    drawn[order[: int(np.searchsorted(np.cumsum(counts[order]), _MOST)) + 1]] = True
    return ratings.take(np.repeat(drawn, counts))


def _parts(ratings: Ratings, plan: Plan, random: np.random.Generator) -> list[_Part]:
    """Hold out tenths."""
    entries = np.arange(ratings.nnz) if ratings.weights is None else np.flatnonzero(ratings.weights)
    if entries.size < _LEAST:
        return []
    order = random.permutation(entries)
    folds = min(_FOLDS, order.size)
    size = min(order.size // folds, _MOST_HELD_OUT)
    parts = []
    most = folds if order.size <= _FEW else _SOME_FOLDS
    for fold in range(min(most, -(-_ENOUGH // size))):
        held_out = np.zeros(ratings.nnz, bool)
        held_out[order[fold * size : (fold + 1) * size]] = True
        parts.append(_Part(ratings.take(~held_out), ratings.take(held_out), plan))
    return parts
