"""Vectors whose nearest neighbours are asked for: what all queries share is computed once."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from fastcf.scores.links import Compute, Floats
from fastcf.scores.protocol import Found, Rows
from fastcf.scores.seen import read_only

__all__ = ["METRICS", "VectorTable"]

METRICS = ("cosine", "euclidean", "dot")
"""Names of the similarities of vectors, and of their distance."""


class VectorTable:
    """The vectors of one side. Immutable; copies for searches are made at the first one and kept.

    Rows without training data, whose vectors are zeros or the centre, neither have neighbours nor are any.

    Parameters
    ----------
    factors : ndarray of shape (n, k), float32
        The vectors less their centre.
    centre : ndarray of shape (k,), float32, optional
        The centre; None: zeros.
    """

    def __init__(self, factors: Floats, centre: Floats | None = None) -> None:
        self._factors = factors
        self._centre = centre

    @functools.cached_property
    def vectors(self) -> Floats:
        """The vectors as they are, (n, k)."""
        return self._factors if self._centre is None else read_only(self._factors + self._centre)

    @functools.cached_property
    def unknown(self) -> Rows:
        """Rows without training data, ascending."""
        known = self._factors.any(axis=1) & self.vectors.any(axis=1)
        return np.flatnonzero(~known).astype(np.int32)

    @functools.cached_property
    def unit(self) -> Floats:
        """The vectors at length 1; zeros stay."""
        wide = self.vectors.astype(np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
        return read_only(np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0).astype(np.float32))

    def directed(self, metric: str) -> Floats:
        """Return vectors whose inner products are the similarities "dot" or "cosine"."""
        return self.unit if metric == "cosine" else self.vectors

    def prepare(self, metric: str) -> None:
        """Compute now what searches by a metric share."""
        self.directed(metric)
        _ = self.unknown

    def nearest(self, rows: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return the nearest of some rows, which are not their own neighbours, and similarities or distances."""
        vectors = self.directed(metric)
        unknown = self.unknown
        found, scores = compute.native.nearest(
            vectors[rows],
            vectors,
            n,
            "euclidean" if metric == "euclidean" else "dot",
            query_rows=rows,
            excluded=unknown,
            n_threads=compute.n_threads,
        )
        none: NDArray[np.bool_] = np.isin(rows, unknown)
        found[none] = -1
        if metric == "cosine":
            np.clip(scores, -1, 1, out=scores)  # rounding may step over the bounds
        scores[found < 0] = np.inf if metric == "euclidean" else -np.inf
        return found, scores
