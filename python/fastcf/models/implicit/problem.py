"""The problem that a solver of choices works on, the start, and what is learnt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import single_threaded_blas
from fastcf.models.implicit.axes import axes_of
from fastcf.models.implicit.fold_in import ChoiceFolding
from fastcf.ratings import Ratings
from fastcf.scores import Compute, FactorScores, Folding, SeenItems, State, Targets
from fastcf.scores.histories import Histories
from fastcf.scores.stored import packed_rows, unpacked_rows
from fastcf.serialization import Archive

__all__ = ["LearntChoices", "Problem", "centred", "draw_start", "state_of"]

Floats = NDArray[np.float32]

_STREAM = 40  # of random numbers: the users' factors, then the items'


@dataclass(frozen=True)
class LearntChoices:
    """The learnt values of a factorisation of choices other than scores.

    Attributes
    ----------
    alpha, unobserved_weight, reg, reg_scaling : float
        The weights and penalties used.
    mean_user : ndarray of shape (k,), float32
        The mean of the users' vectors before they were centred.
    spectrum : ndarray of shape (k,), float32
        The diagonal of the items' Gram matrix, which is diagonal.
    choices : Histories, optional
        The choices of the training and their weights c, from which ``partial_fit`` goes on. None: not known.
    """

    shown: ClassVar[tuple[str, ...]] = ("unobserved_weight", "reg", "mean_user")
    numbers: ClassVar[tuple[str, ...]] = ("alpha", "unobserved_weight", "reg", "reg_scaling")
    arrays: ClassVar[tuple[str, ...]] = ("mean_user", "spectrum")

    alpha: float
    unobserved_weight: float
    reg: float
    reg_scaling: float
    mean_user: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    spectrum: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    choices: Histories | None = None

    def packed(self, n_items: int, with_choices: bool) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and JSON values of a model file."""
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in self.arrays}
        if with_choices and self.choices is not None:
            arrays |= packed_rows("choices", self.choices.to_scipy(n_items))
        return arrays, {name: getattr(self, name) for name in self.numbers}

    @classmethod
    def from_archive(cls, archive: Archive, n_users: int, n_items: int, n_factors: int) -> LearntChoices:
        """Return the values that a model file holds; raises DataError, ValueError or KeyError if they are damaged."""
        known: dict[str, Any] = {name: float(archive.meta[name]) for name in cls.numbers}
        known |= {name: archive.array(name, np.float32, (n_factors,)) for name in cls.arrays}
        choices = None
        if "choices_indptr" in archive.arrays:
            choices = Histories.of_scipy(unpacked_rows(archive, "choices", n_users, n_items))
        return cls(**known, choices=choices)


@dataclass(frozen=True)
class Problem:
    """The problem of a solver; values of "auto" are settled.

    Attributes
    ----------
    stored : Ratings
        All that is stored; values are strengths, 0 of entries that were not chosen.
    choices : Ratings
        The choices; values are the weights c.
    targets : Targets
        What the values meant.
    compute : Compute
        The device.
    device : str
        Name of the device.
    n_factors : int
        k.
    learnt : LearntChoices
        Weights and penalties.
    init_scale : float
        Standard deviation of the first factors, times the root of k.
    seed : int
        Of the first factors.
    n_epochs : int
        Epochs planned.
    folding : Folding
        Computes new rows for the fitted model.
    """

    stored: Ratings
    choices: Ratings
    targets: Targets
    compute: Compute
    device: str
    n_factors: int
    learnt: LearntChoices
    init_scale: float
    seed: int
    n_epochs: int
    folding: Folding = field(default_factory=ChoiceFolding)


def draw_start(problem: Problem) -> tuple[Floats, Floats]:
    """Draw the factors of users and items to start from; rows without choices are 0."""
    choices, k = problem.choices, problem.n_factors
    tables = []
    for stream, counts in enumerate((choices.user_counts(), choices.item_counts()), start=_STREAM):
        native, n_threads = problem.compute
        scale = problem.init_scale / np.sqrt(k)
        factors = native.random(counts.size, k, "normal", float(scale), problem.seed, stream, n_threads)
        factors[counts == 0] = 0
        tables.append(factors)
    return tables[0], tables[1]


def centred(
    user_factors: Floats, item_factors: Floats, choices: Ratings, learnt: LearntChoices, compute: Compute
) -> tuple[FactorScores, LearntChoices]:
    """Return the scores of vectors, and what is learnt, for a model of these choices.

    Vectors are turned into the axes in which the items' Gram matrix is diagonal. The users' mean goes into the items'
    biases, so that an unknown user, or one without choices, is the mean user.
    """
    axes = axes_of(compute.native.factor_gram(item_factors, n_threads=compute.n_threads))
    with single_threaded_blas():  # the same sums on every machine
        users, items = user_factors @ axes.basis, item_factors @ axes.basis
    chose = choices.user_counts() > 0
    mean = users[chose].mean(axis=0, dtype=np.float64).astype(np.float32)
    users -= mean
    users[~chose] = 0
    known = Histories(choices.indptr, choices.indices, choices.values)
    return (
        FactorScores(users, items, np.zeros(len(users), np.float32), items @ mean, 0.0),
        replace(learnt, mean_user=mean, spectrum=axes.spectrum, choices=known),
    )


def state_of(
    problem: Problem, user_factors: Floats, item_factors: Floats, history: tuple[dict[str, Any], ...], n_epochs: int
) -> State:
    """Return the state of a model with these vectors, see :func:`centred`."""
    scores, learnt = centred(user_factors, item_factors, problem.choices, problem.learnt, problem.compute)
    stored = problem.stored
    return State(
        stored.users,
        stored.items,
        SeenItems(stored.indptr, stored.indices),
        scores,
        (-np.inf, np.inf),
        problem.device,
        problem.targets,
        history,
        n_epochs,
        learnt,
        problem.folding,
    )
