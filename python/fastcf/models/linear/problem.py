"""What a linear item model is learnt from: choices, entries that were not chosen, and weights of users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastcf.ratings import Ratings
from fastcf.scores import Compute
from fastcf.scores.histories import Histories

__all__ = ["LinearProblem", "inputs_of"]

Floats = NDArray[np.float32]


def inputs_of(strengths: Floats, low_weight: float) -> Floats:
    """Return the inputs z of entries: their strengths, ``low_weight`` where an entry was not chosen."""
    return np.where(strengths > 0, strengths, np.float32(low_weight))


@dataclass(frozen=True)
class LinearProblem:
    """Inputs and targets of users, and the penalty.

    Attributes
    ----------
    histories : Histories
        z: the inputs of each user, over all stored entries.
    strengths : ndarray of shape (n,), float32
        x: the targets of the same entries, 0 where an entry was not chosen.
    n_items : int
        Number of items.
    reg, dropout : float
        λ and p.
    user_weights : ndarray of shape (n_users,), float64
        w.
    compute : Compute
        The device and the threads.
    caller : str
        For messages.
    """

    histories: Histories
    strengths: Floats
    n_items: int
    reg: float
    dropout: float
    user_weights: NDArray[np.float64]
    compute: Compute
    caller: str

    @classmethod
    def of(
        cls,
        chosen: Ratings,
        compute: Compute,
        caller: str,
        *,
        reg: float,
        dropout: float,
        user_exponent: float,
        low_weight: float,
    ) -> LinearProblem:
        """Return the problem of strengths, 0 of entries that were not chosen; ``user_exponent`` is a."""
        histories = Histories(chosen.indptr, chosen.indices, inputs_of(chosen.values, low_weight))
        counts = np.diff(chosen.indptr).astype(np.float64)
        weights = np.power(counts, -user_exponent, out=np.zeros_like(counts), where=counts > 0)
        return cls(histories, chosen.values, chosen.n_items, reg, dropout, weights, compute, caller)

    @property
    def mixed(self) -> bool:
        """Whether inputs and targets differ."""
        return not np.array_equal(self.histories.values, self.strengths)

    @property
    def penalty(self) -> float:
        """λ s, with s the mean weight of users who have entries."""
        stored = self.user_weights[np.diff(self.histories.indptr) > 0]
        return self.reg * float(stored.mean())

    @property
    def base(self) -> Floats:
        """The scores of users without a history: the mean of x over the users who have one."""
        n_users = int((np.diff(self.histories.indptr) > 0).sum())
        total = np.bincount(self.histories.indices, self.strengths, self.n_items)
        mean: Floats = (total / n_users).astype(np.float32)
        return mean
