"""What models learn from and are tested on: splits by name or by the caller's function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.data import k_folds, leave_n_out, split_by_time, split_items, split_users, train_test_split
from fastcf.models.data_warnings import warn_of_shared_pairs
from fastcf.ratings import Ratings

__all__ = ["SPLITS", "Part", "parts_of"]

SPLITS: dict[str, Callable[..., Any]] = {
    "train_test_split": train_test_split,
    "leave_n_out": leave_n_out,
    "split_by_time": split_by_time,
    "split_users": split_users,
    "split_items": split_items,
    "k_folds": k_folds,
}
"""Splits by the names of their functions, which get their defaults."""


class Part(NamedTuple):
    """Ratings to learn from and to test with.

    Attributes
    ----------
    train, held_out : Ratings
        The two sides.
    shown : Ratings or None
        What users who are not in ``train`` show of themselves; None where users are known.
    """

    train: Ratings
    held_out: Ratings
    shown: Ratings | None

    def counts(self, side: str) -> NDArray[np.int64]:
        """Return how many ratings, trained on or shown, each held-out row has; the side is "user" or "item"."""
        wanted = self.held_out.users if side == "user" else self.held_out.items
        found = np.zeros(len(wanted), np.int64)
        for known in (self.train, self.shown):
            if known is not None:
                ids, counts = (
                    (known.users, known.user_counts()) if side == "user" else (known.items, known.item_counts())
                )
                rows = ids.rows(wanted)
                found += np.where(rows >= 0, counts[rows], 0)
        return found


def _takes_seed(split: Callable[..., Any]) -> bool:
    """Return whether a function takes a ``random_state`` that is not set yet."""
    try:
        parameter = inspect.signature(split).parameters.get("random_state")
    except (TypeError, ValueError):  # it does not tell
        return False
    return parameter is not None and parameter.default in (None, inspect.Parameter.empty)


def _part(sides: Any, caller: str) -> Part:
    if not (isinstance(sides, tuple) and len(sides) in (2, 3) and all(isinstance(side, Ratings) for side in sides)):
        raise TypeError(
            f"{caller}: split must return ratings (train, held_out) or (train, shown, held_out), or several of these; "
            f"got {type(sides).__name__}"
        )
    part = Part(sides[0], sides[-1], sides[1] if len(sides) == 3 else None)
    if part.train.nnz == 0 or part.held_out.nnz == 0:
        raise ValueError(
            f"{caller}: split must leave ratings on both sides; got {part.train.nnz} and {part.held_out.nnz}"
        )
    return part


def _function_of(split: Any, caller: str) -> Callable[..., Any]:
    if isinstance(split, str) and split in SPLITS:
        return SPLITS[split]
    if isinstance(split, tuple):
        return partial(_as_it_is, split)
    if callable(split):
        return split  # type: ignore[no-any-return]  # Any stays Any behind callable()
    names = ", ".join(map(repr, SPLITS))
    raise ValueError(
        f"{caller}: split must be {names}, ratings (train, held_out), or a function that returns these; got {split!r}"
    )


def _as_it_is(split: tuple[Ratings, ...], _: Ratings) -> tuple[Ratings, ...]:
    return split


def parts_of(
    ratings: Ratings, split: str | Callable[..., Any] | tuple[Ratings, ...], repeats: int, seed: int, caller: str
) -> Iterator[tuple[int, Part]]:
    """Yield the parts of a split, with the seed of each: that of a repeat is ``seed`` plus its number."""
    own = not (isinstance(split, str) and split in SPLITS)  # a split of this package leaks nothing
    function = _function_of(split, caller)
    seeded = _takes_seed(function)
    if repeats > 1 and not seeded:
        raise ValueError(
            f"{caller}: repeats must be 1 for a split without a free random_state, which does not change; got {repeats}"
        )
    for own_seed in range(seed, seed + repeats):
        sides = function(ratings, random_state=own_seed) if seeded else function(ratings)
        single = isinstance(sides, tuple) and bool(sides) and isinstance(sides[0], Ratings)
        for each in (sides,) if single else sides:
            part = _part(each, caller)
            for known in (part.train, part.shown):
                if own and known is not None:
                    warn_of_shared_pairs(part.held_out, known, caller)
            yield own_seed, part
