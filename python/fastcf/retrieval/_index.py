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

__all__ = ["LIBRARIES", "VectorIndex"]

_Vectors = NDArray[np.float32]
_Found = tuple[NDArray[np.int32], NDArray[np.float32]]

LIBRARIES = {"usearch": 'pip install "fastcf[ann]"', "hnswlib": "pip install hnswlib"}
"""The libraries, and how to get them."""


_WORTH_THREADS = 16  # queries; usearch starts its threads for each call


class _Usearch:
    def __init__(self, library: Any, vectors: _Vectors, m: int, ef_construction: int, n_threads: int) -> None:
        self._threads = n_threads
        self._index = library.Index(
            ndim=vectors.shape[1], metric="ip", dtype="f32", connectivity=m, expansion_add=ef_construction
        )
        self._index.add(np.arange(len(vectors), dtype=np.uint64), vectors, threads=n_threads, copy=True)

    def search(self, queries: _Vectors, n: int, ef: int) -> _Found:
        self._index.expansion_search = max(ef, n)
        few = len(queries) < _WORTH_THREADS
        found = self._index.search(queries, n, threads=1 if few else self._threads)
        # For one query the arrays are flat; for several they are tables, with a count of valid entries per row.
        keys, distances = np.atleast_2d(found.keys), np.atleast_2d(found.distances)
        sizes = found.counts if len(queries) > 1 else [keys.shape[1]]
        missing = np.arange(keys.shape[1]) >= np.asarray(sizes)[:, None]
        rows = np.where(missing, -1, keys.astype(np.int64)).astype(np.int32)
        return rows, 1 - np.where(missing, np.float32(np.inf), distances)


class _Hnswlib:
    def __init__(self, library: Any, vectors: _Vectors, m: int, ef_construction: int, n_threads: int) -> None:
        self._threads = n_threads or -1
        self._index = library.Index(space="ip", dim=vectors.shape[1])
        self._index.init_index(max_elements=len(vectors), M=m, ef_construction=ef_construction)
        self._index.add_items(vectors, num_threads=self._threads)

    def search(self, queries: _Vectors, n: int, ef: int) -> _Found:
        self._index.set_ef(max(ef, n))
        most = n
        while True:
            try:
                rows, distances = self._index.knn_query(queries, k=most, num_threads=self._threads)
                break
            except RuntimeError:  # raised where a query reaches fewer, in a graph that is not connected
                if most == 1:
                    raise
                most //= 2
        missing = (0, 0), (0, n - most)
        rows = np.pad(rows.astype(np.int32), missing, constant_values=-1)
        return rows, 1 - np.pad(distances, missing, constant_values=np.float32(np.inf))


_ENGINES: dict[str, Any] = {"usearch": _Usearch, "hnswlib": _Hnswlib}


class VectorIndex:
    """An approximate index of vectors by inner product.

    The graphs need distances, which inner products are not: long vectors would be neighbours of all others. So each
    vector gets one more coordinate, which makes all of them as long as the longest; queries have a 0 there. Inner
    products with queries stay the same, and those between vectors are in the order of distances.

    Only ``rows`` of the vectors are indexed, which leaves out items without ratings: many equal vectors would have only
    each other as neighbours.
    """

    def __init__(
        self,
        library: str,
        vectors: _Vectors,
        rows: NDArray[np.int32],
        *,
        m: int,
        ef_construction: int,
        n_threads: int,
        caller: str,
    ) -> None:
        try:
            module = importlib.import_module("usearch.index" if library == "usearch" else library)
        except ImportError as error:
            hint = f"{LIBRARIES[library]} (or index='exact')"
            raise ImportError(f"{caller}: index={library!r} needs the package {library}: {hint}") from error
        self._rows = rows
        vectors = vectors[rows]
        squares = np.einsum("if,if->i", vectors, vectors, dtype=np.float64)
        missing = np.sqrt(squares.max(initial=0) - squares)
        lengthened = np.column_stack([vectors, missing.astype(np.float32)])
        self._engine = _ENGINES[library](module, lengthened, m, ef_construction, n_threads)

    def search(self, queries: _Vectors, n: int, ef: int) -> _Found:
        """Return the rows and inner products of about the ``n`` best vectors for each query; row -1: none."""
        found, products = self._engine.search(np.pad(queries, ((0, 0), (0, 1))), min(n, self._rows.size), ef)
        return np.where(found >= 0, self._rows[found], np.int32(-1)), products
