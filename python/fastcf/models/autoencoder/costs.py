"""Costs of autoencoders as objects with parameters, and the costs of choices at trained parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._parameters import Constraint, Interval, Nothing, OneOf, Settings
from fastcf.models.autoencoder.rows import TrainingRows
from fastcf.ratings import Ratings
from fastcf.scores.queries import pair_rows
from fastcf.training.samples import entries_of_rows, n_measured, whole_rows

__all__ = ["ChoiceRows", "Multinomial", "as_cost", "choices_held_out", "choices_measured"]

_ALL_COLUMNS = 1 << 14  # up to so many items "auto" takes all of them
_SAMPLED = 1 << 12  # beyond, so many are drawn
_MEASURED_SCORES = 1 << 22  # a cost is measured on so many outputs, or on _MEASURED_ROWS rows
_MEASURED_ROWS = 64


@dataclass(repr=False)
class Multinomial(Settings):
    """The multinomial cost of choices, for :class:`fastcf.Autoencoder`: ``−Σ_i x_ui log softmax(s_u)_i``.

    Parameters
    ----------
    n_negatives : int, "auto" or None, default "auto"
        The items in a step's softmax besides those that the batch's users have chosen: so many drawn with replacement,
        in proportion to one more than their number of choices, and corrected so that the sum over them has the
        expectation of the sum over all (Horvitz and Thompson 1952). None: all items. "auto" is None up to 16,384 items,
        else 4,096.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("multinomial",)
    parameter: ClassVar[str] = "cost"
    _constraints: ClassVar[dict[str, tuple[Constraint, ...]]] = {
        "n_negatives": (Interval(1, 1 << 30, integer=True), Nothing(), OneOf(("auto",))),
    }

    n_negatives: int | str | None = "auto"

    def sampled(self, n_items: int) -> int:
        """Return how many items are drawn for a step, as native code takes it: 0 for all items.

        Parameters
        ----------
        n_items : int
            Number of items.

        Returns
        -------
        int
        """
        if isinstance(self.n_negatives, str):
            return 0 if n_items <= _ALL_COLUMNS else _SAMPLED
        return 0 if self.n_negatives is None else int(self.n_negatives)


def as_cost(cost: Multinomial | str) -> Multinomial | None:
    """Return the cost of choices that a parameter describes; None for one of ratings or labels."""
    if isinstance(cost, Multinomial):
        return cost
    return Multinomial() if cost == "multinomial" else None


class ChoiceRows(NamedTuple):
    """What some rows of a network chose: their numbers, -1 for rows without training entries, and compressed rows."""

    rows: NDArray[np.int32]
    indptr: NDArray[np.int64]
    columns: NDArray[np.int32]
    strengths: NDArray[np.float32]

    def total(self) -> float:
        """Return the sum of the strengths."""
        return float(self.strengths.sum(dtype=np.float64))

    def n_chosen(self) -> int:
        """Return the number of rows with choices."""
        return int(np.count_nonzero(np.diff(self.indptr)))

    def cost(self, native: Any, n_columns: int) -> float:
        """Return the sum of the multinomial costs, by a native trainer at its parameters, nothing dropped."""
        return float(native.multinomial_cost(*self, n_columns))


def choices_measured(rows: TrainingRows, seed: int) -> ChoiceRows:
    """Return training rows on which the cost is measured: whole ones, drawn by the seed where they are many."""
    indptr, columns, strengths = rows.csr
    chosen = whole_rows(indptr, n_measured(int(indptr[-1])), seed)
    most = max(_MEASURED_ROWS, _MEASURED_SCORES // max(rows.n_columns, 1))
    if chosen.size > most:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, most, replace=False))
    entries = entries_of_rows(indptr, chosen)
    counts = np.diff(indptr)[chosen]
    return _chosen(np.repeat(np.arange(chosen.size), counts), chosen, columns[entries], strengths[entries])


def choices_held_out(validation: Ratings, ratings: Ratings) -> ChoiceRows | None:
    """Return the choices among validation ratings, of items with training ratings; None if there are none."""
    rows, columns = pair_rows(validation, ratings.users, ratings.items, "fit")
    kept = (columns >= 0) & (validation.values > 0)
    if not kept.any():
        return None
    numbers = np.full(validation.n_users, -1)
    numbers[validation.row_of_entry()] = rows
    return _chosen(validation.row_of_entry()[kept], numbers, columns[kept], validation.values[kept])


def _chosen(place: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any], strengths: NDArray[Any]) -> ChoiceRows:
    """Return compressed rows of entries, given each entry's place among the rows, ascending; only choices count."""
    kept = strengths > 0
    indptr = np.concatenate([[0], np.cumsum(np.bincount(place[kept], minlength=rows.size))])
    return ChoiceRows(
        np.ascontiguousarray(rows, np.int32),
        indptr.astype(np.int64),
        np.ascontiguousarray(columns[kept], np.int32),
        np.ascontiguousarray(strengths[kept], np.float32),
    )
