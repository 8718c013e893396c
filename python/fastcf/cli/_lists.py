"""Lists of any model file: of a model, of a recommender in two steps, or of a retriever."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf.scores.results import below

__all__ = ["Lists", "lists_of"]


class Lists(NamedTuple):
    """A list of items per user, best first; the score of padding is -inf.

    ``found_by`` says which retrievers found each item, where there are several.
    """

    items: NDArray[Any]
    scores: NDArray[np.float32]
    found_by: list[list[str]] | None = None


def lists_of(model: Any, users: Any, n: int, *, exclude_seen: bool, min_score: float | None, **options: Any) -> Lists:
    """Return the lists of ``n`` items that a model, recommender or retriever makes for users.

    ``options``: further ones of the method ``recommend``, for what has it.
    """
    if not hasattr(model, "recommend"):
        return _candidates(model, users, n, exclude_seen, min_score)
    found = model.recommend(users, n, exclude_seen=exclude_seen, min_score=min_score, **options)
    bits = getattr(found, "found_by", None)
    if bits is None:
        return Lists(found.items, found.scores)
    return Lists(found.items, found.scores, [[", ".join(model.names_of(each)) for each in row] for row in bits])


def _candidates(retriever: Any, users: Any, n: int, exclude_seen: bool, min_score: float | None) -> Lists:
    candidates = retriever.retrieve(users, exclude_seen=exclude_seen)
    items = np.empty((len(users), n), candidates.items.ids.dtype)
    scores = np.full((len(users), n), -np.inf, np.float32)
    for row in range(len(users)):
        ids, own = (part[:n] for part in candidates.of(row))
        items[row, : len(ids)], scores[row, : len(ids)] = ids, own
    if min_score is not None:
        scores[below(scores, min_score)] = -np.inf
    return Lists(items, scores)
