"""Items, or users, that a query names: for all of its rows alike, or a list for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import host
from fastcf.ids import IdMap
from fastcf.scores.links import Compute
from fastcf.scores.protocol import Found, Rows, Scores, Seen, Selection
from fastcf.scores.queries import rows_of
from fastcf.scores.seen import SeenItems

__all__ = ["best_of_own", "compressed", "named_items", "neighbours_among", "with_own", "with_table"]

_CELLS = 1 << 23  # of the table of who may be a neighbour of whom; larger ones are made in parts


def named_items(
    items: IdMap,
    named: Any,
    n_users: int,
    name: str,
    caller: str,
    *,
    what: str = "item",
    of: str = "user",
    **known: Any,
) -> tuple[Rows | None, SeenItems | None]:
    """Return the item rows that a query names: ascending ones for all users, or compressed rows for each user.

    ``named`` are item ids, or a list of them per user; unknown ids are left out. ``what`` ids are ``of``, items or
    users, is for messages: of a query for neighbours both are what it is about. ``known``: ``strict`` and
    ``n_threads`` of :func:`fastcf.scores.queries.rows_of`. Raises TypeError or ValueError for lists that are not one
    per user, and for ids beside lists.
    """
    if named is None:
        return None, None
    where = f"{what} (in {name})"
    if not _is_nested(named):
        rows = rows_of(items, named, where, caller, **known)
        there = np.zeros(len(items), bool)  # a tenth of the time of sorting many
        there[rows[rows >= 0]] = True
        return np.flatnonzero(there).astype(np.int32), None
    if not all(map(_is_list, named)):
        raise TypeError(f"{caller}: {name} must be ids, or a list of ids for each {of}; got both")
    lists = [list(each) for each in named]
    if len(lists) != n_users:
        raise ValueError(
            f"{caller}: {name} must be ids for all {of}s, or a list of ids for each of the {n_users} {of}s; got "
            f"{len(lists)} lists"
        )
    rows = rows_of(items, list(chain.from_iterable(lists)), where, caller, **known)
    owners = np.repeat(np.arange(n_users, dtype=np.int64), [len(each) for each in lists])
    return None, compressed(owners[rows >= 0], rows[rows >= 0], n_users, len(items))


def _is_nested(named: Any) -> bool:
    if isinstance(named, np.ndarray):
        return named.ndim == 2 or (named.dtype == object and named.size > 0 and _is_list(named[0]))
    return isinstance(named, Sequence) and not isinstance(named, str) and any(map(_is_list, named))


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) or (isinstance(value, np.ndarray) and value.ndim == 1)


def compressed(owners: NDArray[np.int64], rows: Rows, n_users: int, n_items: int) -> SeenItems:
    """Return distinct pairs of user and item as compressed rows, items ascending."""
    keys = np.unique(owners * n_items + rows)
    indptr = np.zeros(n_users + 1, np.int64)
    np.cumsum(np.bincount(keys // max(1, n_items), minlength=n_users), out=indptr[1:])
    return SeenItems(indptr, (keys % max(1, n_items)).astype(np.int32))


def _owners(indptr: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.repeat(np.arange(indptr.size - 1, dtype=np.int64), np.diff(indptr))


def with_own(seen: Seen, own: SeenItems | None, n_items: int) -> Seen:
    """Return what each user does not get: the items that they have seen, and those excluded for them."""
    indptr, indices = seen
    if own is None:
        return seen
    if indptr is None or indices is None:
        return own.indptr, own.indices
    owners = np.concatenate([_owners(indptr), _owners(own.indptr)])
    return compressed(owners, np.concatenate([indices, own.indices]), indptr.size - 1, n_items)


def with_table(seen: Seen, table: NDArray[np.bool_]) -> SeenItems:
    """Return what each user does not get: the items that they have seen, and those of a table, which is written to."""
    indptr, indices = seen
    if indptr is not None and indices is not None:
        table[_owners(indptr), indices] = True
    ends = np.concatenate([[0], np.cumsum(np.count_nonzero(table, axis=1))])
    return SeenItems(ends.astype(np.int64), np.nonzero(table)[1].astype(np.int32))


def neighbours_among(
    nearest: Callable[[Rows, int], Found],
    rows: Rows,
    places: NDArray[np.int64],
    n: int,
    n_rows: int,
    chosen: tuple[Rows | None, SeenItems | None],
    excluded: tuple[Rows | None, SeenItems | None],
) -> Found:
    """Return the ``n`` nearest of rows among those that a query allows; -1 where there are fewer.

    As many more neighbours are found as may not be any: all, where few candidates are named. ``nearest`` returns the
    nearest rows, and their scores, of some rows; ``places`` are those of ``rows`` in the query; ``chosen`` and
    ``excluded`` are what :func:`named_items` returned.
    """
    few = any(part is not None for part in chosen)
    if not few and all(part is None for part in excluded):
        return nearest(rows, min(n, n_rows))
    parts = []
    for part in np.array_split(np.arange(rows.size), max(1, -(-rows.size * n_rows // _CELLS))):
        allowed = np.full((part.size, n_rows), not few)
        for (shared, own), value in ((chosen, True), (excluded, False)):
            if shared is not None:
                allowed[:, shared] = value
            if own is not None:
                indptr, named = own.of(places[part].astype(np.int32))
                allowed[_owners(indptr), named] = value
        width = min(n_rows, n + int((n_rows - allowed.sum(axis=1)).max(initial=0)))
        found, scores = nearest(np.ascontiguousarray(rows[part]), width)
        kept = (found >= 0) & np.take_along_axis(allowed, np.maximum(found, 0), axis=1)
        first = np.argsort(~kept, axis=1, kind="stable")[:, : min(n, n_rows)]
        found = np.where(kept, found, np.int32(-1))
        parts.append((np.take_along_axis(found, first, axis=1), np.take_along_axis(scores, first, axis=1)))
    return np.concatenate([found for found, _ in parts]), np.concatenate([scores for _, scores in parts])


def best_of_own(scores: Scores, users: Rows, own: SeenItems, selection: Selection, compute: Compute) -> Found:
    """Return the best items of user rows among those named for each; the selection says what else there is to say.

    Only the scores of these pairs are computed.
    """
    n, seen, excluded = selection.n, selection.seen, selection.excluded
    owners, items = _owners(own.indptr), own.indices
    kept = np.ones(items.size, bool) if excluded is None else ~np.isin(items, excluded)
    if seen[0] is not None and seen[1] is not None:
        n_items = scores.n_items
        kept &= ~np.isin(owners * n_items + items, _owners(seen[0]) * n_items + seen[1])
    owners, items = owners[kept], items[kept]
    values = scores.listed(np.ascontiguousarray(users[owners]), items, compute)
    if selection.offset is not None:
        values = values + selection.offset.values[items]
    there = values > -np.inf
    owners, items, values = owners[there], items[there], values[there]
    indptr = np.zeros(users.size + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=users.size), out=indptr[1:])
    entries = host.top_candidates(indptr, values, n, compute.n_threads)
    filled = entries >= 0
    found = np.full(entries.shape, -1, np.int32)
    best = np.full(entries.shape, -np.inf, np.float32)
    found[filled], best[filled] = items[entries[filled]], values[entries[filled]]
    return found, best
