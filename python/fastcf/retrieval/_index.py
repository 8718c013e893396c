"""Approximate search for the largest inner products: one interface over usearch and hnswlib.

Both libraries build a hierarchical navigable small world (HNSW) graph and take the same three numbers: links per node,
effort of building, effort of searching.

References
----------
Y. A. Malkov and D. A. Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs", IEEE TPAMI 42(4), 2020. S. Morozov and A. Babenko, "Non-metric similarity graphs for maximum inner
product search", NeurIPS 2018.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIBRARIES", "VectorIndex", "build_index"]

_Vectors = NDArray[np.float32]
_Found = tuple[NDArray[np.int32], NDArray[np.float32]]

LIBRARIES = {"usearch": 'pip install "fastcf[ann]"', "hnswlib": "pip install hnswlib"}
"""The libraries, and how to get them."""


class VectorIndex(Protocol):
    """An index of vectors."""

    def search(self, queries: _Vectors, n: int, ef: int) -> _Found:
        """Return the rows and inner products of about the ``n`` best vectors for each query; row -1: none."""
        ...


class _Usearch:
    def __init__(self, library: Any, vectors: _Vectors, m: int, ef_construction: int, n_threads: int) -> None:
        self._threads = n_threads
        self._index = library.Index(
            ndim=vectors.shape[1], metric="ip", dtype="f32", connectivity=m, expansion_add=ef_construction
        )
        self._index.add(np.arange(len(vectors), dtype=np.uint64), vectors, threads=n_threads, copy=True)

    def search(self, queries: _Vectors, n: int, ef: int) -> _Found:
        self._index.expansion_search = max(ef, n)
        found = self._index.search(queries, n, threads=self._threads)
        # One query gets flat arrays of what was found, several get tables and how much of each row is.
        keys, distances = np.atleast_2d(found.keys), np.atleast_2d(found.distances)
        sizes = found.counts if len(queries) > 1 else [keys.shape[1]]
        missing = np.arange(keys.shape[1]) >= np.asarray(sizes)[:, None]
        rows = np.where(missing, -1, keys.astype(np.int64)).astype(np.int32)
        return rows, np.where(missing, -np.inf, 1 - distances).astype(np.float32)


class _Hnswlib:
    def __init__(self, library: Any, vectors: _Vectors, m: int, ef_construction: int, n_threads: int) -> None:
        self._threads = n_threads or -1
        self._size = len(vectors)
        self._index = library.Index(space="ip", dim=vectors.shape[1])
        self._index.init_index(max_elements=self._size, M=m, ef_construction=ef_construction)
        self._index.add_items(vectors, num_threads=self._threads)

    def search(self, queries: _Vectors, n: int, ef: int) -> _Found:
        ef = max(ef, n)
        while True:
            self._index.set_ef(ef)
            try:
                rows, distances = self._index.knn_query(queries, k=n, num_threads=self._threads)
            except RuntimeError:  # it found fewer than n for some query, which it takes for an error
                if ef >= self._size:
                    raise
                ef = min(2 * ef, self._size)
                continue
            return rows.astype(np.int32), (1 - distances).astype(np.float32)


def build_index(
    library: str, vectors: _Vectors, *, m: int, ef_construction: int, n_threads: int, caller: str
) -> VectorIndex:
    """Return an index of vectors by one of :data:`LIBRARIES`."""
    try:
        module = importlib.import_module("usearch.index" if library == "usearch" else library)
    except ImportError as error:
        hint = f"{LIBRARIES[library]} (or index='exact')"
        raise ImportError(f"{caller}: index={library!r} needs the package {library}: {hint}") from error
    kind = _Usearch if library == "usearch" else _Hnswlib
    return kind(module, np.ascontiguousarray(vectors, np.float32), m, ef_construction, n_threads)
