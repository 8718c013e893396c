"""The graph of an approximate index, whatever library searches it: arrays of a file, checked before searches.

A hierarchical navigable small world has nodes; a node lies on the levels from 0 up to its own, and has a list of
neighbours on each. The libraries follow these lists without looking, so none may name what is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.serialization import Archive

__all__ = ["Found", "Graph", "IndexSettings"]

Found = tuple[NDArray[np.int32], NDArray[np.float32]]
_Lists = NDArray[np.int32]


class IndexSettings(NamedTuple):
    """The library of an index, and how it builds: links per node, effort."""

    library: str
    m: int
    ef_construction: int


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes and their lists of neighbours. A list is a count, the neighbours' nodes, and zeros behind them.

    Attributes
    ----------
    keys : ndarray of shape (n,), int32
        The vector of each node: a permutation of 0 to n − 1.
    levels : ndarray of shape (n,), int32
        The highest level of each node.
    base : ndarray of shape (n, 1 + 2m), int32
        The lists of level 0.
    upper : ndarray of shape (levels.sum(), 1 + m), int32
        Those of the levels above, by node and then by level.
    entry : int
        The node where searches begin: one of the highest level.
    """

    keys: NDArray[np.int32]
    levels: NDArray[np.int32]
    base: _Lists
    upper: _Lists
    entry: int

    @property
    def owners(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The node of each list of ``upper``, and its level."""
        nodes = np.repeat(np.arange(self.levels.size), self.levels)
        begins = np.cumsum(self.levels, dtype=np.int64) - self.levels
        return nodes, np.arange(nodes.size) - begins[nodes] + 1

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of a file."""
        return {
            "graph_keys": self.keys,
            "graph_levels": self.levels,
            "graph_base": self.base,
            "graph_upper": self.upper,
            "graph_entry": np.array(self.entry, np.int64),
        }

    @classmethod
    def stored(cls, archive: Archive, n: int, m: int) -> Graph:
        """Return the graph of an archive, of ``n`` vectors and ``m`` links; raises DataError or ValueError."""
        levels = archive.array("graph_levels", np.int32, (n,))
        graph = cls(
            archive.array("graph_keys", np.int32, (n,)),
            levels,
            archive.array("graph_base", np.int32, (n, 1 + 2 * m)),
            archive.array("graph_upper", np.int32, (int(levels.sum(dtype=np.int64)), 1 + m)),
            int(archive.array("graph_entry", np.int64, ())),
        )
        graph.check()
        return graph

    def check(self) -> None:
        """Raise ValueError where a search could leave the graph."""
        n, highest = self.levels.size, int(self.levels.max(initial=0))
        if self.levels.min(initial=0) < 0 or highest > np.iinfo(np.int16).max:
            raise ValueError(f"levels of nodes must be from 0 to {np.iinfo(np.int16).max}; got up to {highest}")
        if not np.array_equal(np.sort(self.keys), np.arange(n)):
            raise ValueError("keys of nodes must be the numbers of the vectors, each once")
        if n and not (0 <= self.entry < n and self.levels[self.entry] == highest):
            raise ValueError(f"the entry must be a node of the highest level, {highest}; got node {self.entry}")
        _check_lists(self.base, np.zeros(n, np.int64), self.levels)
        _check_lists(self.upper, self.owners[1], self.levels)


def _check_lists(lists: _Lists, level: NDArray[np.int64], levels: NDArray[np.int32]) -> None:
    """Raise ValueError where a list has more neighbours than room, or one that does not lie on the list's level."""
    counts, width = lists[:, 0], lists.shape[1] - 1
    if counts.min(initial=0) < 0 or counts.max(initial=0) > width:
        raise ValueError(f"lists must have 0 to {width} neighbours; got {counts.min()} to {counts.max()}")
    for place in range(width):
        there = counts > place
        nodes = lists[there, 1 + place]
        if nodes.size == 0:
            break
        if nodes.min() < 0 or nodes.max() >= levels.size:
            raise ValueError(f"neighbours must be nodes in [0, {levels.size}); got {nodes.min()} to {nodes.max()}")
        if (levels[nodes] < level[there]).any():
            raise ValueError("neighbours must lie on the level of their list")
