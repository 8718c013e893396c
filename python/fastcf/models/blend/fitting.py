"""The fits of a blend's members: to parts of the ratings by which the weights are found, then to all."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from tqdm.auto import tqdm

from fastcf._callers import errors_of
from fastcf.models.blend.checkpoints import AGAIN, FIRST, MemberCheckpoints
from fastcf.models.blend.learnt import Member
from fastcf.models.blend.members import takes
from fastcf.models.data_warnings import inside_another_fit
from fastcf.models.estimator import Estimator
from fastcf.ratings import Ratings

__all__ = ["Fold", "MemberFits", "folds_of", "progress"]

_ENOUGH = 5_000  # held-out ratings, as many as weights need
_MOST_FOLDS = 5


class Fold(NamedTuple):
    """Ratings that members are fitted to, and those by which they are judged."""

    train: Ratings
    held_out: Ratings


def folds_of(ratings: Ratings, fraction: float, seed: int, caller: str, *, one: bool) -> list[Fold]:
    """Return random folds: as many as hold out 5,000 ratings together, five at most, or ``one``.

    A fold holds out the share ``fraction`` of the ratings, two at least.
    """
    size = max(2, round(ratings.nnz * fraction))
    if size >= ratings.nnz:
        raise ValueError(
            f"{caller}: validation_fraction must leave ratings to learn from, 2 at least being held out; got "
            f"{fraction!r}, which is {size} of {ratings.nnz}"
        )
    n_folds = 1 if one else max(1, min(_MOST_FOLDS, -(-_ENOUGH // size), ratings.nnz // size))
    order = np.random.default_rng(seed).permutation(ratings.nnz)
    folds = []
    for n in range(n_folds):
        held_out = np.zeros(ratings.nnz, bool)
        held_out[order[n * size : (n + 1) * size]] = True
        folds.append(Fold(ratings.take(~held_out), ratings.take(held_out)))
    return folds


@dataclass(frozen=True)
class MemberFits:
    """How members are fitted.

    Attributes
    ----------
    members : mapping of str to Estimator
        The members, which stay as they are.
    features : mapping of str to object
        Arguments for the members whose ``fit`` takes them.
    kept : MemberCheckpoints
        Where trainings are kept.
    seeds : mapping of str to int
        Seeds of members that have none.
    n_threads : int, optional
        For members that have none.
    again : bool
        Whether members are fitted again to all ratings; the first fits may be quicker then.
    done : callable
        Called after each fit with a line that says what was done.
    caller : str
        Named in messages.
    """

    members: Mapping[str, Estimator]
    features: Mapping[str, Any]
    kept: MemberCheckpoints
    seeds: Mapping[str, int]
    n_threads: int | None
    again: bool
    done: Callable[[str], None]
    caller: str

    def to_folds(self, folds: list[Fold]) -> list[list[Member]]:
        """Return the members fitted to each fold; what the first fit of a member finds by a search holds for all."""
        fitted: list[list[Member]] = []
        for n, fold in enumerate(folds):
            training = FIRST if n == 0 else f"{FIRST}-{n + 1}"
            models = self.members if n == 0 else {member.name: member.model.settled() for member in fitted[0]}
            if self.again:
                models = {name: model.shortened(len(folds)) for name, model in models.items()}
            fitted.append([self._fitted(name, model, fold.train, training) for name, model in models.items()])
        return fitted

    def to_all(self, first: Member, ratings: Ratings) -> Member:
        """Return a member fitted to all ratings, with what its first fit has found by a search."""
        return self._fitted(first.name, first.model.settled(), ratings, AGAIN)

    def _fitted(self, name: str, model: Estimator, ratings: Ratings, training: str) -> Member:
        """Return a member with its own parameters and the state of a fit by the parameters of ``model``."""
        trained: Estimator = clone(model)
        own = trained.get_params(deep=False)
        lent = {"random_state": self.seeds[name], "n_threads": self.n_threads}
        trained.set_params(**{key: value for key, value in lent.items() if key in own and own[key] is None})
        arguments = {table: value for table, value in self.features.items() if takes(model, table)}
        with errors_of(f"{self.caller}: the member {name!r}"), inside_another_fit():
            trained.fit(ratings, **arguments, **self.kept.arguments(name, training))
        self.done(f"{name}: fitted to {ratings.nnz:,} ratings")
        trained._take_parameters(self.members[name])
        return Member(name, trained, trained.state)


@contextlib.contextmanager
def progress(n_fits: int, verbose: int) -> Iterator[Callable[[str], None]]:
    """Show how many members have been fitted; call the yielded function after each."""
    started = time.perf_counter()
    with tqdm(total=n_fits, desc="Blend", unit="fit", file=sys.stderr, disable=verbose != 1 or None) as bar:

        def done(text: str) -> None:
            nonlocal started
            bar.update(1)
            if verbose > 1:
                print(f"{text} in {time.perf_counter() - started:.2f} s", flush=True)
            started = time.perf_counter()

        yield done
