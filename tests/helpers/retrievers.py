"""Fitted retrievers and two-stage recommenders of every kind, for tests of what they share."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

import fastcf
from fastcf.retrieval import NearestVectors, Popular, RelatedItems, TopItems, TopPerGroup, TwoStageRecommender

RATINGS = fastcf.data.make_ratings(120, 60, 2_000, random_state=0)
MODEL = fastcf.MatrixFactorization(6, n_epochs=5, random_state=0).fit(RATINGS)
NEIGHBOURS = fastcf.ItemNeighbours(threshold=4).fit(RATINGS)
LABELS = [f"g{item % 3}|h{item % 5}" for item in range(RATINGS.n_items)]
TABLE = fastcf.FeatureTable(RATINGS.items, np.eye(RATINGS.n_items)[:, :4], names=["a", "b", "c", "d"])
COUNTRIES = ([*range(RATINGS.n_users), 10**6], ["DE", None, "FR|JP"] * 40 + ["JP"])  # the last user is new
ASKED = [7, 3, 119, 10**6]

# The latest ratings: the models were fitted to others, and know neither user 500 nor item 900.
LATEST = fastcf.Ratings.from_coo([3, 7, 500, 500], [5, 900, 5, 8], [4.0, 5.0, 3.0, 4.0], timestamps=[1, 2, 3, 4])

RETRIEVERS: dict[str, Callable[[], Any]] = {
    "nearest": lambda: NearestVectors(MODEL, 10),
    "nearest, other ratings": lambda: NearestVectors(MODEL, 10).fit(LATEST),
    "related": lambda: RelatedItems(MODEL, 4, 6),
    "related, latest": lambda: RelatedItems(MODEL, 2, 6, metric="euclidean").fit(LATEST),
    "related by weights": lambda: RelatedItems(NEIGHBOURS, 4, 6),
    "top": lambda: TopItems(NEIGHBOURS, 10),
    "popular": lambda: Popular(10, by="mean", shrinkage=3.0),
    "popular by country": lambda: Popular(10, user_groups=COUNTRIES),
    "per group of labels": lambda: TopPerGroup((RATINGS.items, LABELS), 2, 8),
    "per group of numbers": lambda: TopPerGroup((RATINGS.items.ids, RATINGS.items.ids % 7), 2, 8),
    "per group of a table": lambda: TopPerGroup(TABLE, k=4),
    "per group of a sparse table": lambda: TopPerGroup(
        fastcf.FeatureTable(TABLE.ids, scipy.sparse.csr_array(TABLE.matrix)), k=4
    ),
}
for library in ("usearch", "hnswlib"):
    if importlib.util.find_spec(library) is not None:
        RETRIEVERS |= {
            f"nearest by {library}": lambda index=library: NearestVectors(MODEL, 10, index=index, m=3),
            f"related by {library}": lambda index=library: RelatedItems(MODEL, index=index, ef_construction=20, m=2),
            f"related by {library}, euclidean": lambda index=library: RelatedItems(
                MODEL, index=index, metric="euclidean"
            ),
        }


def fitted(name: str) -> Any:
    """Return a retriever of that name, fitted."""
    retriever = RETRIEVERS[name]()
    return retriever if retriever.__sklearn_is_fitted__() else retriever.fit(RATINGS)


def two_stage(ranker: Any = MODEL) -> Any:
    """Return a two-stage recommender whose retrievers share a model, by default with the ranker, too."""
    sources = [NearestVectors(MODEL, 15), RelatedItems(MODEL, 4, 6), TopItems(NEIGHBOURS, 5), ("popular", Popular(10))]
    return TwoStageRecommender(sources, ranker).fit(RATINGS)


def rows_of(candidates: Any) -> list[Any]:
    """Return the candidates of each of ``ASKED``, best first."""
    return [tuple(part.tolist() for part in candidates.of(row)) for row in range(len(ASKED))]
