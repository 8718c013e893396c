"""Folds of ratings, built once for all candidates of a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from fastcf.data import UserSplit, k_folds
from fastcf.data.cuts import check_folds
from fastcf.model_selection.splitters import PairSplitter
from fastcf.models.data_warnings import warn_of_shared_pairs
from fastcf.ratings import Ratings

__all__ = ["Fold", "folds_of"]

_Model = TypeVar("_Model")


@dataclass(frozen=True)
class Fold:
    """Ratings to learn from and ratings to test with.

    Attributes
    ----------
    train, held_out : Ratings
        The two parts.
    shown : Ratings, optional
        What is known of users who are not among the training ratings: their history.
    """

    train: Ratings
    held_out: Ratings
    shown: Ratings | None = None

    def tested(self, model: _Model) -> _Model:
        """Return the model to test: the fitted one, or the one that has computed the users shown."""
        if self.shown is None:
            return model
        folded: _Model = model.fold_in(self.shown)  # type: ignore[attr-defined]  # of models that compute new users
        return folded

    def of_users(self, share: float, seed: int) -> Fold:
        """Return the fold with a share of its users, at least one; a larger share includes those of a smaller one."""
        if share >= 1:
            return self
        order = np.random.default_rng(seed).permutation(self.train.n_users)
        kept = np.zeros(order.size, bool)
        kept[order[: max(1, round(share * order.size))]] = True
        parts = (self.train, self.held_out)
        return Fold(*(part.take(kept[part.row_of_entry()]) for part in parts))


def folds_of(ratings: Ratings, cv: Any, seed: int, caller: str) -> tuple[Fold, ...]:
    """Return the folds that ``cv`` describes; see :class:`fastcf.model_selection.GridSearch`.

    Raises
    ------
    TypeError, ValueError
        If it describes none.
    """
    if isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
        return tuple(Fold(*parts) for parts in k_folds(ratings, check_folds(cv, f"{caller}: cv"), seed))
    if isinstance(cv, PairSplitter):
        return tuple(Fold(*parts) for parts in cv.split_ratings(ratings))
    if callable(getattr(cv, "split", None)) and not isinstance(cv, str):
        return _cut_by_positions(ratings, cv)
    cut = cv(ratings) if isinstance(cv, Callable) else cv  # type: ignore[arg-type]  # mypy misses the narrowing
    splits = [cut] if _is_split(cut) else list(cut) if isinstance(cut, Iterable) else []
    if not splits or not all(map(_is_split, splits)):
        raise TypeError(
            f"{caller}: cv must be a number of folds, a splitter, a pair (train, test) of Ratings or a UserSplit, "
            f"several of these, or a function of the ratings that returns them; got {cv!r}"
        )
    return tuple(_fold(split, caller) for split in splits)


def _is_split(value: Any) -> bool:
    parts = value if isinstance(value, tuple) else ()
    wanted = 3 if isinstance(value, UserSplit) else 2
    return len(parts) == wanted and all(isinstance(part, Ratings) for part in parts)


def _fold(split: tuple[Ratings, ...], caller: str) -> Fold:
    train, *shown, held_out = split
    for name, part in (("train", train), ("test", held_out)):
        if part.nnz == 0:
            raise ValueError(f"{caller}: cv must leave ratings on both sides; the {name} part is empty")
    for known in (train, *shown):
        warn_of_shared_pairs(held_out, known, f"{caller}: cv")
    return Fold(train, held_out, *shown)


def _cut_by_positions(ratings: Ratings, cv: Any) -> tuple[Fold, ...]:
    """Return the folds of a splitter of scikit-learn, to which a rating is a row."""
    rows = np.stack([ratings.row_of_entry(), ratings.indices], axis=1)
    splits = cv.split(rows, ratings.values)
    return tuple(Fold(ratings.take(train), ratings.take(test)) for train, test in splits)
