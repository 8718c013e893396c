"""Slices of users or items by how many ratings they have."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["CUTS", "Slices", "slices_by_count"]

CUTS = (1, 10, 30, 100, 300)
"""The least number of ratings of each slice; the slice before the first has none."""


class Slices(NamedTuple):
    """Slices by number of ratings.

    Attributes
    ----------
    names : tuple of str
        "0", "1–9", …, "300+".
    of : ndarray, int64
        The slice of each count.
    """

    names: tuple[str, ...]
    of: NDArray[np.int64]


def slices_by_count(counts: ArrayLike, cuts: Sequence[int] = CUTS, caller: str = "slices_by_count") -> Slices:
    """Return the slices that counts are in.

    Parameters
    ----------
    counts : array-like of int
        Numbers of ratings.
    cuts : sequence of int, default (1, 10, 30, 100, 300)
        The least count of each slice, ascending; there is one more slice, of lower counts.
    caller : str
        Heads messages.

    Returns
    -------
    Slices

    Raises
    ------
    ValueError
        If cuts are not ascending integers of at least 1.

    Examples
    --------
    >>> slices_by_count([0, 3, 10, 500], (1, 10))
    Slices(names=('0', '1–9', '10+'), of=array([0, 1, 2, 2]))
    """
    edges = list(cuts)
    whole = all(isinstance(cut, (int, np.integer)) and not isinstance(cut, bool) and cut >= 1 for cut in edges)
    if not edges or not whole or any(a >= b for a, b in itertools.pairwise(edges)):
        raise ValueError(f"{caller}: cuts must be ascending integers of at least 1; got {cuts!r}")
    spans = zip([0, *edges[:-1]], [edge - 1 for edge in edges], strict=True)
    names = [str(low) if low == high else f"{low}–{high}" for low, high in spans]
    of = np.searchsorted(np.asarray(edges), np.asarray(counts), side="right").astype(np.int64)
    return Slices((*names, f"{edges[-1]}+"), of)
