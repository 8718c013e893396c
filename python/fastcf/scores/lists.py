"""Lists of the best items of users: under a selection, and under rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import host
from fastcf.scores.candidates import best_of_own, with_table
from fastcf.scores.links import Compute
from fastcf.scores.protocol import Found, Rows, Scores, Selection
from fastcf.scores.rules import ItemRules
from fastcf.scores.seen import SeenItems

__all__ = ["best_lists", "best_under_rules", "compacted"]


def best_lists(
    scores: Scores, users: Rows, selection: Selection, own: SeenItems | None, rules: ItemRules | None, compute: Compute
) -> Found:
    """Return the best items of user rows, and their scores without what rules add to them.

    ``own`` are the candidates of each user as compressed rows, by default those of the selection. ``rules`` are offsets
    and quotas; what they leave out for single users, the selection does.
    """
    if rules is None:
        return _best(scores, users, selection, own, compute)
    selection = replace(selection, offset=rules.offset)
    if rules.quotas is None:
        found, values = _best(scores, users, selection, own, compute)
    else:

        def search(some: NDArray[np.int64], n: int, without: NDArray[np.bool_] | None) -> Found:
            rows = some.astype(np.int32)
            seen = selection.seen if selection.seen[0] is None else SeenItems(*selection.seen).of(rows)
            if without is not None:
                seen = with_table(seen, without)
            part = replace(selection, n=n, seen=seen)
            of_some = None if own is None else SeenItems(*own.of(rows))
            return _best(scores, np.ascontiguousarray(users[some]), part, of_some, compute)

        found, values = rules.quotas.best(search, users.size, selection.n, scores.n_items)
    if selection.boosts:
        owners, places = np.nonzero(found >= 0)
        pairs = np.ascontiguousarray(users[owners]), np.ascontiguousarray(found[owners, places])
        values[owners, places] = scores.pairs(*pairs, compute)
    return found, values


def _best(scores: Scores, users: Rows, selection: Selection, own: SeenItems | None, compute: Compute) -> Found:
    if own is None:
        return scores.best(users, selection, compute)
    return best_of_own(scores, users, own, selection, compute)


def best_under_rules(
    rules: ItemRules,
    own: SeenItems | None,
    indptr: NDArray[np.int64],
    items: Rows,
    scores: NDArray[np.float32],
    n: int,
    n_threads: int,
) -> NDArray[np.int64]:
    """Return the entries of the best ``n`` candidates of each user under rules; -1 where there are fewer.

    Parameters
    ----------
    rules : ItemRules
        Offsets and quotas.
    own : SeenItems, optional
        The items that each user does not get.
    indptr, items, scores : ndarray
        The candidates of users, as compressed rows: item rows, ascending within a user, and their scores.
    n, n_threads : int
        Length of the lists; threads to use.
    """
    if rules.offset is not None:
        scores = scores + rules.offset.values[items]
        scores[scores == -np.inf] = np.nan  # which is in no list
    if own is not None:
        n_items = int(max(items.max(initial=0), own.indices.max(initial=0))) + 1
        keys, left_out = (
            np.repeat(np.arange(ends.size - 1), np.diff(ends)) * n_items + rows
            for ends, rows in ((indptr, items), (own.indptr, own.indices))
        )
        scores = np.where(np.isin(keys, left_out), np.float32(np.nan), scores)
    if rules.quotas is None:
        return host.top_candidates(indptr, scores, n, n_threads)
    longest = int(np.diff(indptr).max(initial=0))
    entries = host.top_candidates(indptr, scores, longest, n_threads)
    ranked = np.where(entries >= 0, items[np.maximum(entries, 0)] if items.size else -1, np.int32(-1))
    places = rules.quotas.places(ranked, n)
    if longest == 0:
        return places
    return np.where(places >= 0, np.take_along_axis(entries, np.maximum(places, 0), axis=1), -1)


def compacted(kept: NDArray[np.bool_], found: Rows, values: NDArray[np.float32]) -> Found:
    """Return lists without what is not kept: what follows moves up, and -1 and -inf end them."""
    order = np.argsort(~kept, axis=1, kind="stable")
    there = np.take_along_axis(kept, order, axis=1)
    return (
        np.where(there, np.take_along_axis(found, order, axis=1), np.int32(-1)),
        np.where(there, np.take_along_axis(values, order, axis=1), np.float32(-np.inf)),
    )
