"""Vectors whose nearest neighbours are asked for: what all queries share is computed once."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastcf.scores.links import Compute, Floats
from fastcf.scores.protocol import Found, Rows
from fastcf.scores.seen import read_only

__all__ = ["METRICS", "VectorTable"]

METRICS = ("cosine", "euclidean", "dot")
"""Names of the similarities of vectors, and of their distance."""


_AT_ONCE = 1 << 13  # rows of which float64 copies are made


class VectorTable:
    """The vectors of one side. Immutable; what searches share is made at the first one and kept, for any threads.

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
        unit = np.zeros_like(self.vectors)
        for part, wide, squares in self._wide_parts():
            lengths = np.sqrt(squares)[:, None]
            np.divide(wide, lengths, out=unit[part], where=lengths > 0, casting="same_kind")
        return read_only(unit)

    @functools.cached_property
    def product_bias(self) -> Floats | None:
        """What is added to inner products: -inf for rows without training data; None: there are none."""
        return self._biased(np.zeros(len(self._factors), np.float32)) if self.unknown.size else None

    @functools.cached_property
    def distance_bias(self) -> Floats:
        """What searches by distance add to inner products: ``-|v|² / 2``; -inf for rows without training data."""
        bias = np.empty(len(self._factors), np.float32)
        for part, _, squares in self._wide_parts():
            bias[part] = -squares / 2
        return self._biased(bias)

    def _biased(self, bias: Floats) -> Floats:
        bias[self.unknown] = -np.inf
        return read_only(bias)

    def _wide_parts(self) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.float64]]]:
        """Return the vectors as float64, some rows at a time, and their squared lengths."""
        for begin in range(0, len(self.vectors), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            wide = self.vectors[part].astype(np.float64)
            yield part, wide, np.einsum("ij,ij->i", wide, wide)

    def directed(self, metric: str) -> Floats:
        """Return vectors whose inner products are the similarities "dot" or "cosine"."""
        return self.unit if metric == "cosine" else self.vectors

    def prepare(self, metric: str) -> None:
        """Compute now what searches by a metric share."""
        self.directed(metric)
        _ = self.distance_bias if metric == "euclidean" else self.product_bias

    def nearest(self, rows: Rows, n: int, metric: str, compute: Compute) -> Found:
        """Return the nearest of some rows, which are not their own neighbours, and similarities or distances."""
        vectors = self.directed(metric)
        by_distance = metric == "euclidean"
        found, scores = compute.native.nearest(
            vectors[rows],
            vectors,
            n,
            "euclidean" if by_distance else "dot",
            query_rows=rows,
            item_bias=self.distance_bias if by_distance else self.product_bias,
            n_threads=compute.n_threads,
        )
        if self.unknown.size:
            found[np.isin(rows, self.unknown)] = -1
        if metric == "cosine":
            np.clip(scores, -1, 1, out=scores)  # rounding may step over the bounds
        scores[found < 0] = np.inf if by_distance else -np.inf
        return found, scores
