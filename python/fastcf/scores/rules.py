"""Rules of lists over the items of one model: what is added to scores, how many of a category, exclusions by user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import host
from fastcf.ids import IdMap
from fastcf.scores.protocol import Found, Offset, Rows
from fastcf.scores.seen import SeenItems, chosen_rows

__all__ = ["ItemRules", "Quotas", "RuleSet"]

Search = Callable[[NDArray[np.int64], int, NDArray[np.bool_] | None], Found]

_CELLS = 1 << 22  # of lists longer than wanted, or of tables of what they are to be without, at a time
_DEEPER = 4  # how many times as long lists are where the last ones were too short


@dataclass(frozen=True, eq=False)
class Quotas:
    """How many items of a category a list may have. Immutable.

    Attributes
    ----------
    categories : SeenItems
        The categories of each item, as compressed rows; items without any are not limited.
    most : ndarray of shape (n_categories,), int64
        The largest number of items of each category.
    """

    categories: SeenItems
    most: NDArray[np.int64]

    def places(self, items: Rows, n: int) -> NDArray[np.int64]:
        """Return where the first ``n`` items of lists are that quotas let pass, (m, n); -1 where there are fewer.

        ``items`` are rows of items, best first, -1 where lists have ended. An item passes unless one of its categories
        has as many better ones that passed as it may have.
        """
        return host.within_quotas(np.ascontiguousarray(items), *self.categories, self.most, n)

    def best(self, search: Search, m: int, n: int, n_items: int) -> Found:
        """Return the best ``n`` items of ``m`` users within quotas; -1 and -inf where there are fewer.

        Lists that are not complete are searched again, longer, and without the rest of those categories that are full.

        Parameters
        ----------
        search : callable
            Returns the best items of some users, by their positions: how many, and without which, (users, n_items).
        m, n, n_items : int
            Numbers of users, of items in a list, and of all items.
        """
        found = np.full((m, n), -1, np.int32)
        scores = np.full((m, n), -np.inf, np.float32)
        depth = cells = min(n_items, 4 * n + 32)
        pending, again = np.arange(m), False
        while pending.size:
            short = []
            for part in np.array_split(pending, max(1, -(-pending.size * cells // _CELLS))):
                items, values = search(part, depth, self._surplus(found[part]) if again else None)
                places = self.places(items, n)
                there = places >= 0
                found[part] = np.where(there, np.take_along_axis(items, np.maximum(places, 0), axis=1), -1)
                scores[part] = np.where(there, np.take_along_axis(values, np.maximum(places, 0), axis=1), -np.inf)
                short.append(part[~there[:, -1] & (items[:, -1] >= 0)])
            if depth == n_items:
                break
            pending, again, cells = np.concatenate(short), True, n_items
            depth = min(n_items, _DEEPER * depth)
        return found, scores

    def _surplus(self, found: Rows) -> NDArray[np.bool_]:
        """Return which items lists cannot have, (m, n_items): not in them, and of a category that is full."""
        owners, columns = np.nonzero(found >= 0)
        rows = found[owners, columns]
        indptr, categories = self.categories
        offsets, entries = chosen_rows(indptr, rows)
        taken = np.zeros((len(found), self.most.size), np.int64)
        np.add.at(taken, (np.repeat(owners, np.diff(offsets)), categories[entries]), 1)
        full = taken >= self.most
        surplus = np.zeros((len(found), indptr.size - 1), bool)
        limited = np.flatnonzero(np.diff(indptr))
        surplus[:, limited] = np.logical_or.reduceat(full[:, categories], indptr[limited], axis=1)
        surplus[owners, rows] = False
        return surplus


@dataclass(frozen=True, eq=False)
class ItemRules:
    """Rules over the items of one model. Immutable.

    Attributes
    ----------
    offset : Offset, optional
        What is added to scores, and which items no list has.
    quotas : Quotas, optional
        How many items of a category a list may have.
    users : IdMap, optional
        Users who do not get some items.
    excluded : SeenItems, optional
        These items, by rows of ``users``.
    """

    offset: Offset | None = None
    quotas: Quotas | None = None
    users: IdMap | None = None
    excluded: SeenItems | None = None

    def excluded_for(self, users: Any, caller: str, n_threads: int = 0) -> SeenItems | None:
        """Return the items that each of some user ids does not get, as compressed rows; None: there are none."""
        if self.users is None or self.excluded is None or np.size(users) == 0:
            return None
        rows = self.users.find(users, f"{caller}: user ids (in rules)", n_threads)
        return SeenItems(*self.excluded.of(rows)) if (rows >= 0).any() else None


class RuleSet(Protocol):
    """What a recommender asks of rules: what they are for its items."""

    def over(self, items: IdMap, caller: str) -> ItemRules:
        """Return the rules by the rows of ``items``; raises TypeError where ids are of another kind."""
        ...
