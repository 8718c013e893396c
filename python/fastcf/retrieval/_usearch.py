"""Search by usearch: its index as a graph, and an index made of a graph.

A file of usearch, as version 2 writes it: rows and bytes per row of the vectors (two uint32), the vectors; a head of 64
bytes; sizes as five uint64 (nodes, m, 2m, highest level, entry); the levels (int16); and the nodes, one after the
other: key (uint64), level (int16), the list of level 0, those of the levels above. Lists are uint32. All are of little
endian. What is made here of a graph has the head that the installed usearch writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.retrieval._graph import Found, Graph, IndexSettings

__all__ = ["Usearch"]

_Vectors = NDArray[np.float32]
_Bytes = NDArray[np.uint8]

_WORTH_THREADS = 16  # queries; usearch starts its threads for each call
_HEAD, _SIZES = 64, 40  # bytes
_KEY, _BEFORE = 8, 10  # bytes of a node's key, and before its first list
_PRESENT, _DIMENSIONS = slice(17, 25), slice(33, 41)  # counts in the head
_NODES_AT_ONCE = 1 << 16


class Usearch:
    """An index of usearch."""

    def __init__(
        self, library: Any, vectors: _Vectors, settings: IndexSettings, n_threads: int, graph: Graph | None
    ) -> None:
        self._threads = n_threads
        self._index = library.Index(
            ndim=vectors.shape[1],
            metric="ip",
            dtype="f32",
            connectivity=settings.m,
            expansion_add=settings.ef_construction,
        )
        if graph is None:
            self._index.add(np.arange(len(vectors), dtype=np.uint64), vectors, threads=n_threads, copy=True)
        elif len(vectors):
            self._index.load(_file_of(_head_of(self._index, settings), vectors, graph, settings.m).tobytes())

    def search(self, queries: _Vectors, n: int, ef: int) -> Found:
        """Return keys and inner products of about the ``n`` best vectors for each query; key -1: none."""
        self._index.expansion_search = max(ef, n)
        few = len(queries) < _WORTH_THREADS
        found = self._index.search(queries, n, threads=1 if few else self._threads)
        # For one query the arrays are flat; for several they are tables, with a count of valid entries per row.
        keys, distances = np.atleast_2d(found.keys), np.atleast_2d(found.distances)
        sizes = found.counts if len(queries) > 1 else [keys.shape[1]]
        missing = np.arange(keys.shape[1]) >= np.asarray(sizes)[:, None]
        rows = np.where(missing, -1, keys.astype(np.int64)).astype(np.int32)
        return rows, 1 - np.where(missing, np.float32(np.inf), distances)

    def contents(self) -> tuple[_Vectors, Graph]:
        """Return the vectors in the order of their keys, and the graph that is searched."""
        file = np.frombuffer(self._index.save(), np.uint8)
        n, width = (int(number) for number in _numbers(file[:8], np.uint32))
        vectors = file[8 : 8 + n * width].view(np.float32).reshape(n, -1)
        graph = _graph_of(file[8 + n * width + _HEAD :])
        by_key = np.empty_like(vectors)
        by_key[graph.keys] = vectors
        return by_key, graph


def _numbers(part: _Bytes, dtype: Any) -> NDArray[Any]:
    return np.frombuffer(part.tobytes(), np.dtype(dtype).newbyteorder("<"))


def _head_of(index: Any, settings: IndexSettings) -> _Bytes:
    """Return the head that the library writes for vectors of an empty index."""
    file = np.frombuffer(index.save(), np.uint8)
    if bytes(file[8 : 8 + 7]) != b"usearch" or file.size != 8 + _HEAD + _SIZES:
        raise ImportError(
            "load: this version of usearch writes indexes in another format; install usearch 2 (pip install "
            '"usearch<3"), or fit the retriever again'
        )
    return file[8 : 8 + _HEAD].copy()


def _places(offsets: NDArray[np.int64], n_bytes: int) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Yield the places of so many bytes behind offsets, some offsets at a time."""
    for begin in range(0, offsets.size, _NODES_AT_ONCE):
        part = slice(begin, begin + _NODES_AT_ONCE)
        yield part, offsets[part, None] + np.arange(n_bytes)


def _offsets(levels: NDArray[np.int32], m: int) -> NDArray[np.int64]:
    """Return where nodes begin, and the end of the last one."""
    sizes = _BEFORE + 4 * (1 + 2 * m) + levels.astype(np.int64) * 4 * (1 + m)
    return np.concatenate([[0], np.cumsum(sizes)])


def _upper_offsets(graph: Graph, m: int) -> NDArray[np.int64]:
    """Return where the lists above level 0 begin."""
    nodes, level = graph.owners
    offsets: NDArray[np.int64] = _offsets(graph.levels, m)[nodes] + _BEFORE + 4 * (1 + 2 * m)
    return offsets + (level - 1) * 4 * (1 + m)


def _graph_of(part: _Bytes) -> Graph:
    """Return the graph of the part of a file that follows the head."""
    n, m, m_base, highest, entry = (int(number) for number in _numbers(part[:_SIZES], np.uint64))
    levels = _numbers(part[_SIZES : _SIZES + 2 * n], np.int16).astype(np.int32)
    nodes = part[_SIZES + 2 * n :]
    ends = _offsets(levels, m)
    if m_base != 2 * m or highest != levels.max(initial=0) or ends[-1] != nodes.size:
        raise TypeError("save: this version of usearch holds indexes in another format; pickle the retriever instead")

    def lists(offsets: NDArray[np.int64], width: int) -> NDArray[np.int32]:
        found = np.empty((offsets.size, width), np.int32)
        for some, places in _places(offsets, 4 * width):
            found[some] = nodes[places].view("<i4")
        found[np.arange(width) > found[:, :1]] = 0  # what lies behind a list is left over from longer ones
        return found

    keys = np.empty(n, np.int32)
    for some, places in _places(ends[:-1], _KEY):
        keys[some] = nodes[places].view("<u8")[:, 0]
    graph = Graph(keys, levels, lists(ends[:-1] + _BEFORE, 1 + 2 * m), np.empty((0, 1 + m), np.int32), entry)
    return replace(graph, upper=lists(_upper_offsets(graph, m), 1 + m))


def _file_of(head: _Bytes, vectors: _Vectors, graph: Graph, m: int) -> _Bytes:
    """Return the file of an index of vectors in the order of their keys."""
    n, dimensions = vectors.shape
    head[_PRESENT] = np.array([n], "<u8").view(np.uint8)
    head[_DIMENSIONS] = np.array([dimensions], "<u8").view(np.uint8)
    ends = _offsets(graph.levels, m)
    nodes = np.zeros(ends[-1], np.uint8)

    def write(offsets: NDArray[np.int64], values: NDArray[Any]) -> None:
        n_bytes = values.itemsize * values.shape[1]
        for some, places in _places(offsets, n_bytes):
            nodes[places] = np.ascontiguousarray(values[some]).view(np.uint8).reshape(-1, n_bytes)

    write(ends[:-1], graph.keys.astype("<u8")[:, None])
    write(ends[:-1] + _KEY, graph.levels.astype("<i2")[:, None])
    write(ends[:-1] + _BEFORE, graph.base.astype("<i4"))
    write(_upper_offsets(graph, m), graph.upper.astype("<i4"))
    sizes = np.array([n, m, 2 * m, graph.levels.max(initial=0), graph.entry], "<u8")
    parts = (
        np.array([n, 4 * dimensions], "<u4"),
        np.ascontiguousarray(vectors[graph.keys], "<f4"),
        head,
        sizes,
        graph.levels.astype("<i2"),
        nodes,
    )
    return np.concatenate([part.reshape(-1).view(np.uint8) for part in parts])
