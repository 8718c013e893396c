"""The penalty of a factorisation of choices, estimated: the one whose lists hold most of the choices left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastcf.metrics.rankings import row_measures
from fastcf.models.implicit.problem import Problem
from fastcf.ratings import Ratings
from fastcf.scores import SeenItems, Selection, State
from fastcf.training.progress import search_progress

__all__ = ["estimated_reg", "list_gain"]

_SHARE = 0.1  # of the choices that are held out
_FEWEST = 20  # choices held out; with fewer the first guess stands
_MOST_USERS = 10_000  # whose lists are made
_LENGTH = 100  # of lists: longer ones vary less than the ten that are shown
_RATIO = 2.0  # between penalties tried; the best is a fraction of it off
_MOST_STEPS = 6  # as far as a factor of 64 from the first guess

Fit = Callable[[Problem], State]


def estimated_reg(problem: Problem, fit: Fit, verbose: int = 0) -> float:
    """Return the penalty with the largest NDCG@100 of held-out choices, walking uphill from that of the problem.

    A tenth of the choices is held out. Penalties are powers of 2 times the first one; at the end a parabola through the
    best and its neighbours gives the value between them. ``fit`` returns the state of a model fitted to a problem.
    ``verbose``: 1 is a bar that counts the trainings, 2 a line for each.
    """
    choices, first = problem.choices, problem.learnt.reg
    held = np.random.default_rng(problem.seed).random(choices.nnz) < _SHARE
    if held.sum() < _FEWEST or first == 0:
        return first
    kept, left_out = choices.take(~held), choices.take(held)
    users = np.flatnonzero((kept.user_counts() > 0) & (left_out.user_counts() > 0))
    if users.size == 0:
        return first
    if users.size > _MOST_USERS:
        users = users[np.linspace(0, users.size - 1, _MOST_USERS).astype(np.int64)]
    part = replace(problem, choices=kept, stored=kept)

    def gain(step: int) -> float:
        learnt = replace(problem.learnt, reg=first * _RATIO**step)
        found = list_gain(fit(replace(part, learnt=learnt)), kept, left_out, users, problem)
        done(1, f"reg {learnt.reg:.4g}: NDCG@{_LENGTH} {found:.4g}")
        return found

    with search_progress("ImplicitFactorization", ["reg"], verbose) as done:
        gains = {0: gain(0)}
        best = 0
        for direction in (1, -1):
            while abs(best) < _MOST_STEPS and best + direction not in gains:
                gains[best + direction] = gain(best + direction)
                if gains[best + direction] <= gains[best]:
                    break
                best += direction
    low, high = gains.get(best - 1), gains.get(best + 1)
    between = 0.0
    if low is not None and high is not None and low + high < 2 * gains[best]:
        between = 0.5 * (low - high) / (low - 2 * gains[best] + high)
    return float(first * _RATIO ** (best + between))


def list_gain(state: State, kept: Ratings, left_out: Ratings, users: NDArray[np.int64], problem: Problem) -> float:
    """Return the mean NDCG@100 of the lists of users (rows), in which what they chose in ``kept`` is left out."""
    rows = users.astype(np.int32)
    n = min(_LENGTH, kept.n_items)
    seen = SeenItems(kept.indptr, kept.indices).of(rows)
    items, _ = state.scores.best(rows, Selection(n, seen), problem.compute)
    (measures,) = row_measures(rows, items, left_out, [n], "ImplicitFactorization.fit")
    return float(measures["ndcg"].mean())
