"""The nearest items of every item, computed beforehand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import resolve_device
from fastcf._parameters import check_n_threads, positive_count
from fastcf.errors import DataError
from fastcf.ids import IdMap
from fastcf.scores import METRICS, Compute, Neighbours, Recommender
from fastcf.scores.queries import asked_ids, one, rows_of
from fastcf.scores.results import ids_of
from fastcf.scores.seen import frozen
from fastcf.serialization import Archive, register, save_archive

__all__ = ["NeighbourTable"]

_AT_ONCE = 4096  # items whose neighbours are found by one call


@register
@dataclass(frozen=True, eq=False)
class NeighbourTable:
    """The nearest items of every item of a model, computed once by :meth:`of`: a query is then a look-up. Immutable.

    It is saved, loaded (``fastcf.load``, also mapped) and pickled like a model, and needs none. When the model is
    fitted again, make it again: it keeps the neighbours of the model that it was made of.

    Attributes
    ----------
    items_ : IdMap
        The items behind the rows.
    rows_ : ndarray of shape (n_items, n), int32
        The nearest item rows of each item row, nearest first; -1 where there are fewer.
    similarities_ : ndarray of shape (n_items, n), float32
        Their similarities or distances; 0 where there is no neighbour.
    metric : {"cosine", "euclidean", "dot"}
        What they are, see :meth:`fastcf.Recommender.similar_items`.

    Examples
    --------
    >>> import fastcf
    >>> from fastcf.serving import NeighbourTable
    >>> ratings = fastcf.data.make_ratings(50, 30, 500, random_state=0)
    >>> model = fastcf.MatrixFactorization(4, random_state=0).fit(ratings)
    >>> table = NeighbourTable.of(model, n=20)
    >>> bool((table.similar_items(3, n=5).ids == model.similar_items(3, n=5).ids).all())
    True
    """

    items_: IdMap
    rows_: NDArray[np.int32]
    similarities_: NDArray[np.float32]
    metric: str = "cosine"

    def __post_init__(self) -> None:
        frozen(self)

    def __setstate__(self, state: dict[str, Any]) -> None:  # copies of arrays can be written to
        self.__dict__.update(state)
        self.__post_init__()

    @classmethod
    def of(
        cls, model: Recommender, n: int = 50, *, metric: str = "cosine", n_threads: int | None = None
    ) -> NeighbourTable:
        """Compute the neighbours of all items of a fitted model.

        Parameters
        ----------
        model : fitted model
            One that has ``similar_items``.
        n : int, default 50
            Neighbours per item; at least 1, at most all items. 8 bytes each.
        metric : {"cosine", "euclidean", "dot"}, default "cosine"
            As for ``similar_items``.
        n_threads : int, optional
            Threads to use; by default :func:`fastcf.get_num_threads`. The result does not depend on it.

        Returns
        -------
        NeighbourTable

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If it does not compare items, ``n`` is less than 1, or the metric is unknown.
        """
        caller = "NeighbourTable.of"
        n = positive_count(n, caller)
        if metric not in METRICS:
            raise ValueError(f"{caller}: metric must be 'cosine', 'euclidean' or 'dot'; got {metric!r}")
        state = model.state
        if not state.scores.compares_items:
            raise ValueError(f"{caller}: model must compare items; {type(model).__name__} does not")
        compute = Compute(resolve_device(state.device, caller).module, check_n_threads(n_threads, caller))
        n_items = len(state.items)
        width = min(n, n_items)
        found = np.full((n_items, width), -1, np.int32)
        scores = np.zeros((n_items, width), np.float32)
        for begin in range(0, n_items, _AT_ONCE):
            part = np.arange(begin, min(begin + _AT_ONCE, n_items), dtype=np.int32)
            rows, values = state.scores.item_neighbours(part, width, metric, compute)
            found[part, : rows.shape[1]] = rows
            scores[part, : rows.shape[1]] = np.where(rows >= 0, values, 0)
        return cls(state.items, found, scores, metric)

    @property
    def holds_all(self) -> bool:
        """Whether it holds all neighbours that there are."""
        return bool(self.rows_.shape[1] >= len(self.items_))

    def similar_items(self, items: Any, n: int = 10, *, strict: bool = False) -> Neighbours:
        """Return the ``n`` items nearest to each of ``items``: what the model's ``similar_items`` returns.

        Parameters
        ----------
        items : id or array-like of shape (m,)
            One item id, or several. Unknown ones have no neighbours: all padding.
        n : int, default 10
            How many; at least 1, at most the ``n`` of the table, unless it has the neighbours of all items.
        strict : bool, default False
            Whether unknown ids are an error.

        Returns
        -------
        Neighbours

        Raises
        ------
        ValueError
            If ``n`` is less than 1 or more than the table has, or ``strict`` and an id is unknown.
        """
        caller = "NeighbourTable.similar_items"
        n = positive_count(n, caller)
        width = self.rows_.shape[1]
        if n > width and not self.holds_all:
            raise ValueError(f"{caller}: n must be at most {width}, the neighbours that the table has; got {n}")
        single = np.ndim(items) == 0
        rows = rows_of(self.items_, one(items) if single else items, "item", caller, strict=strict)
        found, scores = np.full((rows.size, n), -1, np.int32), np.zeros((rows.size, n), np.float32)
        if len(self.items_):
            found[:, :width], scores[:, :width] = self.rows_[rows, :n], self.similarities_[rows, :n]
        found[rows < 0] = -1
        worst = np.inf if self.metric == "euclidean" else -np.inf
        scores[found < 0] = worst
        names = ids_of(self.items_, found)
        asked = asked_ids(items, caller)
        return Neighbours(names[0], scores[0], asked) if single else Neighbours(names, scores, asked)

    def save(self, path: str | os.PathLike[str], *, metadata: Mapping[str, Any] | None = None) -> None:
        """Write the table to one file, atomically; :func:`fastcf.load` reads it back.

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced.
        metadata : mapping, optional
            JSON values of the caller's own.

        Raises
        ------
        TypeError
            If a value cannot be stored.
        OSError
            If the file cannot be written; an existing one is left as it was.
        """
        save_archive(path, self.to_archive(), metadata=metadata)

    def to_archive(self) -> Archive:
        """Return the contents of a file of this table."""
        arrays: dict[str, Any] = {"item_ids": self.items_.column.ids}
        arrays |= {"rows": self.rows_, "similarities": self.similarities_}
        return Archive("NeighbourTable", {"metric": self.metric}, arrays)

    @classmethod
    def from_archive(cls, archive: Archive) -> NeighbourTable:
        """Return the table that an archive holds; raises DataError where it does not fit together."""
        try:
            items = archive.ids("item_ids")
        except (TypeError, ValueError) as error:
            raise DataError(f"{archive.path}: ids are damaged: {error}") from error
        rows = archive.array("rows", np.int32, (len(items), None))
        similarities = archive.array("similarities", np.float32, rows.shape)
        metric = archive.params.get("metric")
        if metric not in METRICS:
            raise DataError(f"{archive.path}: metric must be one of {', '.join(METRICS)}; got {metric!r}")
        if rows.size and not -1 <= rows.min() <= rows.max() < len(items):
            raise DataError(f"{archive.path}: rows of neighbours must lie in [-1, {len(items)})")
        return cls(items, rows, similarities, metric)
