"""Items that a query names: for all users alike, or a list for each user."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import host
from fastcf.ids import IdMap
from fastcf.scores.links import Compute
from fastcf.scores.protocol import Found, Rows, Scores, Seen
from fastcf.scores.queries import rows_of
from fastcf.scores.seen import SeenItems

__all__ = ["best_of_own", "named_items", "with_own"]


def named_items(
    items: IdMap, named: Any, n_users: int, name: str, caller: str, **known: Any
) -> tuple[Rows | None, SeenItems | None]:
    """Return the item rows that a query names: ascending ones for all users, or compressed rows for each user.

    Parameters
    ----------
    items : IdMap
        The model's items; unknown ids are left out.
    named : array-like, or sequence of these
        Item ids, or a list of them per user; None: neither.
    n_users : int
        Users of the query.
    name, caller : str
        The argument and whose it is, for messages.
    **known
        ``strict`` and ``n_threads`` of :func:`fastcf.scores.queries.rows_of`.

    Raises
    ------
    TypeError, ValueError
        If there are lists, and not one per user; or ids beside lists.
    """
    if named is None:
        return None, None
    what = f"item (in {name})"
    if not _is_nested(named):
        rows = rows_of(items, named, what, caller, **known)
        return np.unique(rows[rows >= 0]), None
    if not all(map(_is_list, named)):
        raise TypeError(f"{caller}: {name} must be ids, or a list of ids for each user; got both")
    lists = [list(each) for each in named]
    if len(lists) != n_users:
        raise ValueError(
            f"{caller}: {name} must be ids for all users, or a list of ids for each of the {n_users} users; got "
            f"{len(lists)} lists"
        )
    rows = rows_of(items, list(chain.from_iterable(lists)), what, caller, **known)
    owners = np.repeat(np.arange(n_users, dtype=np.int64), [len(each) for each in lists])
    return None, _compressed(owners[rows >= 0], rows[rows >= 0], n_users, len(items))


def _is_nested(named: Any) -> bool:
    if isinstance(named, np.ndarray):
        return named.ndim == 2 or (named.dtype == object and named.size > 0 and _is_list(named[0]))
    return isinstance(named, Sequence) and not isinstance(named, str) and any(map(_is_list, named))


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) or (isinstance(value, np.ndarray) and value.ndim == 1)


def _compressed(owners: NDArray[np.int64], rows: Rows, n_users: int, n_items: int) -> SeenItems:
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
    return _compressed(owners, np.concatenate([indices, own.indices]), indptr.size - 1, n_items)


def best_of_own(
    scores: Scores, users: Rows, own: SeenItems, n: int, seen: Seen, excluded: Rows | None, compute: Compute
) -> Found:
    """Return the best items of user rows among those named for each; other arguments as of a ``Selection``.

    Only the scores of these pairs are computed.
    """
    owners, items = _owners(own.indptr), own.indices
    kept = np.ones(items.size, bool) if excluded is None else ~np.isin(items, excluded)
    if seen[0] is not None and seen[1] is not None:
        n_items = scores.n_items
        kept &= ~np.isin(owners * n_items + items, _owners(seen[0]) * n_items + seen[1])
    owners, items = owners[kept], items[kept]
    values = scores.listed(np.ascontiguousarray(users[owners]), items, compute)
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
