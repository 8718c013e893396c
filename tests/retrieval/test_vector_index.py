"""Approximate search, for each of the libraries that is installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import fastcf
from fastcf.retrieval import NearestVectors, Popular, RelatedItems, TwoStageRecommender
from fastcf.retrieval._graph import IndexSettings
from fastcf.retrieval._index import LIBRARIES, VectorIndex


@pytest.fixture(params=LIBRARIES)
def library(request):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return request.param


@pytest.fixture(scope="module")
def fitted():
    ratings = fastcf.data.make_ratings(400, 3_000, 20_000, random_state=1)
    return ratings, fastcf.MatrixFactorization(8, random_state=0).fit(ratings)


@pytest.mark.parametrize("n_queries", [0, 1, 2, 33])
def test_vector_index_finds_the_largest_products(library, n_queries):
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((500, 6)) * rng.exponential(1, (500, 1))).astype(np.float32)  # of all lengths
    queries = rng.standard_normal((n_queries, 6)).astype(np.float32)
    rows = np.arange(500, dtype=np.int32)
    index = VectorIndex(IndexSettings(library, 16, 200), vectors, rows, n_threads=1, caller="test")
    rows, scores = index.search(queries, 10, 300)
    assert rows.shape == scores.shape == (n_queries, 10)
    assert (rows.dtype, scores.dtype) == (np.int32, np.float32)
    products = queries @ vectors.T
    np.testing.assert_allclose(scores, np.take_along_axis(products, rows, axis=1), atol=1e-4)
    best = np.argsort(-products, axis=1)[:, :10]
    shared = sum(len(set(a) & set(b)) for a, b in zip(rows.tolist(), best.tolist(), strict=True))
    assert shared >= 0.95 * 10 * n_queries


def test_nearest_vectors_by_an_index_find_nearly_all(library, fitted):
    ratings, model = fitted
    exact = NearestVectors(model, 20).fit()
    retriever = NearestVectors(model, 20, index=library, ef=200).fit()
    recall = retriever.recall(ratings.users.ids)
    assert 0.9 < recall <= 1.0
    found, best = (r.retrieve(ratings.users.ids) for r in (retriever, exact))
    assert (np.diff(found.indptr) <= 20).all()
    owner = [np.repeat(np.arange(400), np.diff(c.indptr)) * 3_000 + c.indices for c in (found, best)]
    assert np.isin(owner[1], owner[0]).mean() == pytest.approx(recall)
    seen = ratings.row_of_entry() * 3_000 + ratings.indices
    assert not np.isin(owner[0], seen).any()
    both, at, where = np.intersect1d(*owner, return_indices=True)
    assert both.size
    np.testing.assert_allclose(found.scores[at], best.scores[where], atol=1e-4)
    assert retriever.retrieve([10**6]).indptr.tolist() == [0, 0]
    poor = (
        NearestVectors(  # hnswlib's graph falls apart, and that must not be an error
            model, 20, index=library, m=2, ef_construction=2, ef=1
        )
        .fit()
        .recall(ratings.users.ids)
    )
    assert poor < recall


def test_nearest_vectors_keep_an_index_of_the_same_vectors(library, fitted):
    ratings, model = fitted
    retriever = NearestVectors(model, index=library).fit()
    index = retriever.index_
    assert retriever.fit(ratings).index_ is index
    assert retriever.set_params(ef=500).fit(ratings).index_ is index
    assert retriever.set_params(m=8).fit(ratings).index_ is not index
    index = retriever.index_
    retriever.set_params(model=fastcf.MatrixFactorization(4, random_state=0).fit(ratings))
    assert retriever.fit(ratings).index_ is not index


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_related_items_by_an_index_find_nearly_all(library, fitted, metric):
    ratings, model = fitted
    options = {"n_recent": 3, "k": 10, "metric": metric}
    found = RelatedItems(model, index=library, ef=300, **options).fit(ratings).retrieve(ratings.users.ids)
    exact = RelatedItems(model, **options).fit(ratings).retrieve(ratings.users.ids)
    owner = [np.repeat(np.arange(400), np.diff(c.indptr)) * 3_000 + c.indices for c in (found, exact)]
    assert np.isin(owner[1], owner[0]).mean() > 0.9


def test_vector_index_of_few_items_gives_all_of_them(library):
    ratings = fastcf.data.make_ratings(30, 12, 100, random_state=0)
    model = fastcf.MatrixFactorization(3, random_state=0).fit(ratings)
    retriever = NearestVectors(model, 50, index=library).fit()
    assert retriever.recall(ratings.users.ids) == 1.0
    recommender = TwoStageRecommender([retriever, RelatedItems(model, index=library), Popular()], model).fit(ratings)
    best = model.recommend(ratings.users.ids, 5)
    np.testing.assert_array_equal(recommender.recommend(ratings.users.ids, 5).items, best.items)


@pytest.mark.parametrize(("name", "hint"), LIBRARIES.items())
def test_vector_index_missing_library_is_named(fitted, name, hint, monkeypatch):
    ratings, model = fitted
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, f"{name}.index", None)
    for retriever in (NearestVectors(model, index=name), RelatedItems(model, index=name)):
        kind = type(retriever).__name__
        with pytest.raises(ImportError) as caught:
            retriever.fit(ratings)
        assert str(caught.value).startswith(f"{kind}.fit: index={name!r} needs the package {name}: {hint}")
