"""Scores by popularity: the same for all users of a group."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastcf._backend import host
from fastcf.models.popular.groups import best_of_rows
from fastcf.scores import Compute, Identity, Link, Scores, Selection
from fastcf.scores.links import Floats
from fastcf.scores.protocol import Contributions, Found, Rows
from fastcf.scores.seen import read_only, read_only_rows

__all__ = ["PopularScores"]


@dataclass(frozen=True, eq=False)
class PopularScores(Scores):
    """How popular items are with the groups of a user: with the one that likes an item best, where there are several.

    Lists hold items of the user's groups only.

    Attributes
    ----------
    table : SciPy CSR array of shape (1 + n_groups, n_items), float32
        How popular items are: with all users, and with the groups. Stored where the item was chosen.
    groups : ndarray of shape (n_users, width), int32
        The rows of the table of each user, -1 behind the last; at least one.
    rest : float
        The score of other items.
    link : Link
        From scores to predictions.
    """

    table: Any
    groups: Rows
    rest: float
    link: Link = field(default_factory=Identity)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", read_only_rows(self.table))
        object.__setattr__(self, "groups", read_only(self.groups))

    @property
    def n_users(self) -> int:  # type: ignore[override]  # read-only here
        """Number of user rows."""
        return len(self.groups)

    @property
    def n_items(self) -> int:  # type: ignore[override]  # the same
        """Number of item rows."""
        return int(self.table.shape[1])

    def groups_of(self, users: Rows) -> Rows:
        """Return the rows of the table of user rows; an unknown user is one of all users."""
        if users.size == 0:
            return np.empty((0, self.groups.shape[1]), np.int32)
        chosen = self.groups[np.where(users >= 0, users, 0)] if self.n_users else np.zeros((users.size, 1), np.int32)
        chosen[users < 0] = -1
        chosen[users < 0, 0] = 0
        return chosen

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        """The places of the stored entries in the dense table, ascending."""
        owner = np.repeat(np.arange(self.table.shape[0], dtype=np.int64), np.diff(self.table.indptr))
        keys: NDArray[np.int64] = owner * self.n_items + self.table.indices
        return keys

    def listed(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the scores of pairs of rows; -inf where the item was not chosen in the user's groups."""
        scores = np.full(users.size, -np.inf, np.float32)
        keys = self._keys
        for chosen in self.groups_of(users).T:
            asked = np.flatnonzero((chosen >= 0) & (items >= 0))
            wanted = chosen[asked].astype(np.int64) * self.n_items + items[asked]
            places = np.searchsorted(keys, wanted)
            there = places < keys.size
            there[there] = keys[places[there]] == wanted[there]
            found = asked[there]
            scores[found] = np.maximum(scores[found], self.table.data[places[there]])
        return scores

    def pairs(self, users: Rows, items: Rows, compute: Compute) -> Floats:
        """Return the scores of pairs of rows."""
        scores = self.listed(users, items, compute)
        scores[np.isneginf(scores)] = self.rest
        return scores

    @property
    def explains(self) -> bool:
        """True: a score is a constant."""
        return True

    def contributions(self, user: int, items: Rows, compute: Compute) -> Contributions:
        """Return the popularity of items in the user's groups."""
        scores = self.pairs(np.full(items.size, user, np.int32), items, compute)
        base = {"popularity": scores.astype(np.float64)}
        return Contributions(base, np.empty(0, np.int32), np.empty((0, items.size)))

    def block(self, users: Rows, compute: Compute) -> Floats:
        """Return the scores of all items for user rows; users of the same groups share the work."""
        kinds, kind_of = np.unique(self.groups_of(users), axis=0, return_inverse=True)
        own = np.full((len(kinds), self.n_items), -np.inf, np.float32)
        for chosen in kinds.T:
            rows = self.table[np.maximum(chosen, 0)]
            owner = np.repeat(np.arange(len(kinds)), np.diff(rows.indptr))
            there = chosen[owner] >= 0
            place = owner[there], rows.indices[there]
            own[place] = np.maximum(own[place], rows.data[there])
        own[np.isneginf(own)] = self.rest
        block: Floats = own[kind_of.reshape(-1)]
        return block

    def lists(
        self, width: int, compute: Compute, allowed: NDArray[np.bool_] | None = None, offset: Floats | None = None
    ) -> Found:
        """Return the ``width`` best of each row of the table, best first; -1 where there are fewer."""
        table = self.table
        if offset is not None:
            table = scipy.sparse.csr_array(
                (table.data + offset[table.indices], table.indices, table.indptr), table.shape
            )
        if allowed is not None:
            kept = allowed[table.indices]
            ends = np.concatenate([[0], np.cumsum(kept)])[table.indptr]
            table = scipy.sparse.csr_array((table.data[kept], table.indices[kept], ends), table.shape)
        return best_of_rows(table, width, compute.n_threads)

    def best(self, users: Rows, selection: Selection, compute: Compute) -> Found:
        """Return the best items of user rows, from lists that users share."""
        allowed = None
        offset = selection.item_bias
        if selection.candidates is not None or selection.excluded is not None or offset is not None:
            allowed = np.full(self.n_items, selection.candidates is None)
            if selection.candidates is not None:
                allowed[selection.candidates] = True
            if selection.excluded is not None:
                allowed[selection.excluded] = False
            if offset is not None:
                allowed &= offset > -np.inf
        seen = selection.seen
        longest = 0 if seen[0] is None else int(np.diff(seen[0]).max(initial=0))
        items, scores = self.lists(selection.n + longest, compute, allowed, offset)
        width, chosen = items.shape[1], self.groups_of(users)
        indptr, rows, values, _ = host.merge_candidates(
            np.arange(len(items) + 1, dtype=np.int64) * width,
            items.reshape(-1),
            scores.reshape(-1),
            np.arange(users.size + 1, dtype=np.int64) * chosen.shape[1],
            np.ascontiguousarray(chosen.reshape(-1)),
            seen[0],
            seen[1],
            limit=selection.n,
            n_threads=compute.n_threads,
        )
        assert values is not None  # there are scores where lists have them
        entries = host.top_candidates(indptr, values, selection.n, compute.n_threads)
        there = entries >= 0
        found = np.full(entries.shape, -1, np.int32)
        best = np.full(entries.shape, -np.inf, np.float32)
        found[there], best[there] = rows[entries[there]], values[entries[there]]
        return found, best
