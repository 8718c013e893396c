"""The best items of any model by its own scores."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._backend import resolve_device
from fastcf._parameters import check_n_threads
from fastcf.models.estimator import Packed
from fastcf.ratings import as_ratings
from fastcf.retrieval._candidates import BaseRetriever, Built, Lists
from fastcf.retrieval._models import archive_of, snapshot
from fastcf.scores import Compute, Selection, State
from fastcf.scores.protocol import Seen
from fastcf.scores.seen import seen_in
from fastcf.scores.stored import seen_arrays, seen_from
from fastcf.serialization import Archive, registered_as

__all__ = ["TopItems"]


@registered_as("retrieval.TopItems")
@dataclass(eq=False, repr=False)
class TopItems(BaseRetriever):
    """The best items of any fitted model: of neighbours, of a linear item model, of a blend.

    Parameters
    ----------
    model : fitted model
        Any model of this package. For models with a vector per user and per item, :class:`NearestVectors` finds the
        same and can search an index.
    k : int, default 100
        Number of items.
    n_threads : int, optional
        Threads to use; by default :func:`fastcf.get_num_threads`. The result does not depend on it.

    Attributes
    ----------
    users_, items_ : IdMap
        Those of the model.

    Notes
    -----
    Scores are the model's, before they become predictions. Unknown users get what the model has for them: the most
    popular items, of models of choices. Candidates are those of the model's state at ``fit``. When the model is fitted
    again, they stay the same until ``fit`` is called again.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    >>> model = fastcf.ItemNeighbours(threshold=4).fit(ratings)
    >>> top = fastcf.retrieval.TopItems(model, k=10).fit()
    >>> bool((top.retrieve([3]).of(0)[0] == model.recommend(3, n=10).items).all())
    True
    """

    _objects = ("model",)

    model: Any
    k: int = 100
    _: KW_ONLY
    n_threads: int | None = None

    def fit(self, X: Any = None, y: ArrayLike | None = None) -> TopItems:
        """Take the model's state.

        Parameters
        ----------
        X, y
            Ratings that users are not to get again, as any estimator takes them; by default those that the model was
            fitted to.

        Returns
        -------
        TopItems
            Itself.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        TypeError, ValueError
            If a parameter is not as described.
        """
        caller = f"{type(self).__name__}.fit"
        self._check(caller)
        model = snapshot(self.model, caller)
        state = model.state
        seen = state.seen
        if X is not None:
            seen = seen_in(as_ratings(X, y, caller=caller, counted=True), state.users, state.items)
        self._built = Built(state.users, state.items, seen, model)
        return self

    def _pack(self, built: Built) -> Packed:
        return Packed(seen_arrays(built.seen), parts={"model": archive_of(built.learnt, "model", type(self).__name__)})

    def _unpack(self, archive: Archive) -> Built:
        model = snapshot(self.model, type(self).__name__)
        users, items = model.state.users, model.state.items
        return Built(users, items, seen_from(archive, len(users), len(items)), model)

    def _lists_of(
        self, built: Built, users: Any, rows: NDArray[np.int32], seen: Seen
    ) -> tuple[Lists, NDArray[np.int32]]:
        state: State = built.learnt.state
        caller = f"{type(self).__name__}.retrieve"
        compute = Compute(resolve_device(state.device, caller).module, check_n_threads(self.n_threads, caller))
        found, scores = state.scores.best(rows, Selection(min(self.k, len(built.items)), seen), compute)
        return Lists.of_table(found, scores), np.arange(rows.size, dtype=np.int32)[:, None]
