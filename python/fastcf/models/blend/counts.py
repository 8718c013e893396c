"""Weights of a blend that depend on how many ratings an item has, and constants that depend on the user's, too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.ids import IdMap
from fastcf.ratings import Ratings
from fastcf.scores import Support
from fastcf.serialization import Archive

__all__ = ["CountScale", "CountWeights", "counts_of", "fitted_scale"]

_Floats = NDArray[np.float64]
_Counts = NDArray[np.int64]

_LEAST = 20  # held-out ratings beyond which a count is taken for the last of them: few say nothing of what is beyond


class CountScale(NamedTuple):
    """From a number of ratings n to support: ``(1/√(1+n) − centre) / unit``, with ``1/√(1+n)`` limited to a range.

    The standard error of a mean of n ratings is the field's measure of how uncertain a row is.
    """

    centre: float
    unit: float
    lowest: float
    highest: float

    def __call__(self, counts: _Counts) -> _Floats:
        """Return the support of rows with some numbers of ratings."""
        return (np.clip(_uncertainty(counts), self.lowest, self.highest) - self.centre) / self.unit


def _uncertainty(counts: _Counts) -> _Floats:
    return np.asarray(1 / np.sqrt(1.0 + counts))


def fitted_scale(counts: _Counts) -> CountScale | None:
    """Return the scale on which the support of rows of held-out ratings has mean 0 and deviation 1.

    Numbers of ratings beyond those of the last 20 held-out ratings on either side count like these. None where there
    are too few held-out ratings; where all have rows of as many ratings, their support is 0.
    """
    uncertainty = np.sort(_uncertainty(counts))
    if uncertainty.size <= 2 * _LEAST:
        return None
    lowest, highest = float(uncertainty[_LEAST - 1]), float(uncertainty[-_LEAST])
    limited = np.clip(uncertainty, lowest, highest)
    return CountScale(float(limited.mean()), float(limited.std()) or 1.0, lowest, highest)


def counts_of(ratings: Ratings, users: IdMap, items: IdMap) -> tuple[_Counts, _Counts]:
    """Return the numbers of ratings of all rows of two maps."""

    def of(ids: IdMap, own: IdMap, counts: _Counts) -> _Counts:
        if ids is own or ids == own:
            return counts
        rows = own.rows(ids)
        return np.where(rows >= 0, counts[np.maximum(rows, 0)], 0)

    return of(users, ratings.users, ratings.user_counts()), of(items, ratings.items, ratings.item_counts())


@dataclass(frozen=True, eq=False)
class CountWeights:
    """What the numbers of ratings add to the weights and the constant of a blend.

    Attributes
    ----------
    slopes : ndarray of shape (M,), float64
        Added to the members' weights, times the support of the item.
    user_slope, item_slope : float
        Added to the constant, times the support of the user and of the item.
    scales : tuple of CountScale
        Of users and of items.
    counts : tuple of ndarray, int64
        Numbers of ratings of the users and items of the blend.
    """

    slopes: _Floats
    user_slope: float
    item_slope: float
    scales: tuple[CountScale, CountScale]
    counts: tuple[_Counts, _Counts]

    def unknown(self) -> tuple[float, float]:
        """Return the support of users and items without ratings."""
        user, item = (float(scale(np.zeros(1, np.int64))[0]) for scale in self.scales)
        return user, item

    def support(self) -> Support:
        """Return the support of all rows, less that of rows without ratings."""
        users, items = (
            scale(counts) - without
            for scale, counts, without in zip(self.scales, self.counts, self.unknown(), strict=True)
        )
        return Support(users, items, self.user_slope, self.item_slope)

    def with_rows(self, by: str, counts: _Counts) -> CountWeights:
        """Return the same for other rows of one side."""
        users, items = self.counts
        return replace(self, counts=(counts, items) if by == "user" else (users, counts))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays of a file, which :meth:`of` reads."""
        return {
            "slopes": np.array([*self.slopes, self.user_slope, self.item_slope]),
            "count_scales": np.array(self.scales),
            "user_counts": self.counts[0],
            "item_counts": self.counts[1],
        }

    @classmethod
    def of(cls, archive: Archive, n_members: int, n_users: int, n_items: int) -> CountWeights | None:
        """Return those of a file; None where weights are constants."""
        if "slopes" not in archive.arrays:
            return None
        slopes = archive.array("slopes", np.float64, (n_members + 2,))
        scales = archive.array("count_scales", np.float64, (2, 4))
        users = archive.array("user_counts", np.int64, (n_users,))
        items = archive.array("item_counts", np.int64, (n_items,))
        if not (scales[:, 1] > 0).all() or min(users.min(initial=0), items.min(initial=0)) < 0:
            raise ValueError("numbers of ratings and units of their support must be positive")
        user_scale, item_scale = (CountScale(*row) for row in scales.tolist())
        own = slopes[:n_members], float(slopes[-2]), float(slopes[-1])
        return cls(*own, (user_scale, item_scale), (users, items))
