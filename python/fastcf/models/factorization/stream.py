"""The ratings of a model that began with ``partial_fit``: kept until there are enough to settle its values for good."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.ids import extended
from fastcf.ratings import Ratings
from fastcf.scores import State

__all__ = ["Stream"]

_GROWTH = 1.25  # of the ratings since the last fit, after which all are fitted again: five times a fit of all, together
_ENOUGH = 1_000_000  # ratings, from which values hardly change


class Stream(NamedTuple):
    """Ratings that have arrived, as given, and how many there were at the last fit of all of them."""

    ratings: Ratings
    n_fitted: int = 0

    @property
    def due(self) -> bool:
        """Whether all are to be fitted again."""
        return self.ratings.nnz >= _GROWTH * self.n_fitted

    @property
    def fitted(self) -> Stream | None:
        """What is kept after a fit of all; None: enough have arrived, and ratings are no longer kept."""
        return None if self.ratings.nnz >= _ENOUGH else Stream(self.ratings, self.ratings.nnz)

    def joined(self, state: State, new: Ratings, caller: str) -> Stream:
        """Return these and new ratings, in the rows of a state and new rows behind; of a pair the last counts."""
        users = extended(state.users, new.users, f"{caller}: users")
        items = extended(state.items, new.items, f"{caller}: items")
        parts = self.ratings, new
        weights = None
        if any(part.weights is not None for part in parts):
            weights = np.concatenate([_weights_of(part) for part in parts])
        joined = Ratings.from_coo(
            np.concatenate([users.ids[users.rows(part.users.ids)][part.row_of_entry()] for part in parts]),
            np.concatenate([items.ids[items.rows(part.items.ids)][part.indices] for part in parts]),
            np.concatenate([part.values for part in parts]),
            weights=weights,
            duplicates="last",
            user_ids=users,
            item_ids=items,
        )
        return self._replace(ratings=joined)


def _weights_of(ratings: Ratings) -> NDArray[np.float32]:
    return np.ones(ratings.nnz, np.float32) if ratings.weights is None else ratings.weights
