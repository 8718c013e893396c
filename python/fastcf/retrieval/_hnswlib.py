"""Search by hnswlib: its index as a graph, and an index made of a graph.

hnswlib's state, for pickles, is a dictionary: sizes; ``data_level0``, a record per node of its list of level 0, vector
and key; ``link_lists``, the lists of the levels above by node and level. Lists are uint32. What is made here of a graph
has the sizes of the installed hnswlib.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf.retrieval._graph import Found, Graph, IndexSettings

__all__ = ["Hnswlib"]

_Vectors = NDArray[np.float32]


class Hnswlib:
    """An index of hnswlib."""

    def __init__(
        self, library: Any, vectors: _Vectors, settings: IndexSettings, n_threads: int, graph: Graph | None
    ) -> None:
        self._threads = n_threads
        self._index = library.Index(space="ip", dim=vectors.shape[1])
        self._index.init_index(max_elements=len(vectors), M=settings.m, ef_construction=settings.ef_construction)
        if graph is None:
            self._index.add_items(vectors, num_threads=self._threads)
        elif len(vectors):
            (state,) = self._index.__getstate__()
            self._index = library.Index.__new__(library.Index)
            self._index.__setstate__((_with_graph(state, vectors, graph),))

    def search(self, queries: _Vectors, n: int, ef: int) -> Found:
        """Return keys and inner products of about the ``n`` best vectors for each query; key -1: none."""
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

    def contents(self) -> tuple[_Vectors, Graph]:
        """Return the vectors in the order of their keys, and the graph that is searched."""
        (state,) = self._index.__getstate__()
        nodes = state["data_level0"].view(_record(state))
        keys = nodes["key"].astype(np.int32)
        by_key = np.empty_like(nodes["vector"])
        by_key[keys] = nodes["vector"]
        upper = state["link_lists"].view("<i4").reshape(-1, 1 + state["M"])
        lists = [np.array(part, np.int32) for part in (nodes["links"], upper)]
        for part in lists:
            part[np.arange(part.shape[1]) > part[:, :1]] = 0  # what lies behind a list is left over from longer ones
        entry = int(state["enterpoint_node"]) if keys.size else 0
        return by_key, Graph(keys, state["element_levels"][: keys.size].astype(np.int32), lists[0], lists[1], entry)


def _record(state: dict[str, Any]) -> np.dtype[Any]:
    """Return the record of a node."""
    m, dimensions = state["M"], state["dim"]
    record = np.dtype([("links", "<i4", (1 + 2 * m,)), ("vector", "<f4", (dimensions,)), ("key", "<u8")])
    places = (0, state["offset_data"], state["label_offset"], state["size_data_per_element"])
    fields: Any = record.fields
    if (*(fields[name][1] for name in ("links", "vector", "key")), record.itemsize) != places:
        raise TypeError(
            "save: this version of hnswlib holds indexes in another format; use index='usearch' or index='exact'"
        )
    return record


def _with_graph(state: dict[str, Any], vectors: _Vectors, graph: Graph) -> dict[str, Any]:
    """Return the state of an empty index with the vectors, in the order of their keys, and the graph."""
    nodes = np.empty(len(vectors), _record(state))
    nodes["links"], nodes["vector"], nodes["key"] = graph.base, vectors[graph.keys], graph.keys
    return {
        **state,
        "cur_element_count": len(vectors),
        "ep_added": True,
        "max_level": int(graph.levels.max()),
        "enterpoint_node": graph.entry,
        "element_levels": graph.levels,
        "data_level0": nodes.view(np.int8),
        "link_lists": np.ascontiguousarray(graph.upper, "<i4").reshape(-1).view(np.int8),
        "label_lookup_external": graph.keys.astype(np.uint64),
        "label_lookup_internal": np.arange(len(vectors), dtype=np.uint32),
    }
