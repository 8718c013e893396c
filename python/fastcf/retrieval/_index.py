"""Approximate search for the largest inner products: one interface over usearch and hnswlib.

Both libraries build a hierarchical navigable small world (HNSW) graph and take the same three numbers: links per node,
effort of building, effort of searching.

References
----------
Y. A. Malkov and D. A. Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs", IEEE TPAMI 42(4), 2020. Y. Bachrach et al., "Speeding up the Xbox recommender system using a
Euclidean transformation for inner-product spaces", RecSys 2014 (vectors made equally long by one more coordinate).
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._threads import get_num_threads
from fastcf.retrieval._graph import Found, Graph, IndexSettings
from fastcf.retrieval._hnswlib import Hnswlib
from fastcf.retrieval._usearch import Usearch
from fastcf.serialization import Archive

__all__ = ["LIBRARIES", "VectorIndex"]

_Vectors = NDArray[np.float32]

LIBRARIES = {"usearch": 'pip install "fastcf[ann]"', "hnswlib": "pip install hnswlib"}
"""The libraries, and how to get them."""


_ENGINES: dict[str, Any] = {"usearch": Usearch, "hnswlib": Hnswlib}


class VectorIndex:
    """An approximate index of vectors by inner product.

    The graphs need distances, which inner products are not: long vectors would be neighbours of all others. So each
    vector gets one more coordinate, which makes all of them as long as the longest; queries have a 0 there. Inner
    products with queries stay the same, and those between vectors are in the order of distances.

    Only ``rows`` of the vectors are indexed, which leaves out items without ratings: many equal vectors would have only
    each other as neighbours. With a ``graph`` nothing is built: it is that of the same vectors.
    """

    def __init__(
        self,
        settings: IndexSettings,
        vectors: _Vectors,
        rows: NDArray[np.int32],
        *,
        n_threads: int,
        caller: str,
        graph: Graph | None = None,
    ) -> None:
        vectors = vectors[rows]
        squares = np.einsum("if,if->i", vectors, vectors, dtype=np.float64)
        missing = np.sqrt(squares.max(initial=0) - squares)
        self._start(settings, np.column_stack([vectors, missing.astype(np.float32)]), rows, n_threads, caller, graph)

    def _start(
        self,
        settings: IndexSettings,
        lengthened: _Vectors,
        rows: NDArray[np.int32],
        n_threads: int,
        caller: str,
        graph: Graph | None,
    ) -> None:
        library = settings.library
        try:
            module = importlib.import_module("usearch.index" if library == "usearch" else library)
        except ImportError as error:
            hint = f"{LIBRARIES[library]} (or index='exact')"
            raise ImportError(f"{caller}: index={library!r} needs the package {library}: {hint}") from error
        self.settings = settings
        self._rows = rows
        self._engine = _ENGINES[library](module, lengthened, settings, n_threads or get_num_threads(), graph)

    def __getstate__(self) -> tuple[Any, ...]:  # the libraries' own objects cannot be pickled, or not as they are
        return self.settings, self._rows, *self._engine.contents()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        settings, rows, lengthened, graph = state
        self._start(settings, lengthened, rows, 0, "unpickle", graph)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of a file: the graph, and the rows that it is of; the vectors are the model's."""
        return {"indexed_rows": self._rows, **self._engine.contents()[1].arrays}

    @classmethod
    def stored(cls, archive: Archive, settings: IndexSettings, vectors: _Vectors) -> VectorIndex:
        """Return the index of an archive; raises DataError or ValueError where it does not fit, or ImportError."""
        rows = archive.array("indexed_rows", np.int32, (None,))
        if rows.size and not 0 <= rows.min() <= rows.max() < len(vectors):
            raise ValueError(f"indexed rows must be in [0, {len(vectors)}); got {rows.min()} to {rows.max()}")
        graph = Graph.stored(archive, rows.size, settings.m)
        return cls(settings, vectors, rows, n_threads=0, caller="load", graph=graph)

    def search(self, queries: _Vectors, n: int, ef: int) -> Found:
        """Return the rows and inner products of about the ``n`` best vectors for each query; row -1: none."""
        n, ef = min(n, self._rows.size), min(ef, self._rows.size)  # libraries take memory for all that is asked for
        found, products = self._engine.search(np.pad(queries, ((0, 0), (0, 1))), n, ef)
        return np.where(found >= 0, self._rows[found], np.int32(-1)), products
