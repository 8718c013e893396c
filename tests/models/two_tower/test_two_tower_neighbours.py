"""Neighbours of two-tower models are those of the towers' vectors, not of the centred factors."""

from __future__ import annotations

import numpy as np
import pytest

import fastcf
import reference
from fastcf.retrieval import RelatedItems
from fastcf.scores import METRICS


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    ratings = fastcf.data.make_ratings(60, 30, 700, random_state=0)
    features = fastcf.FeatureTable(ratings.items, rng.normal(size=(30, 4)).astype(np.float32))
    model = fastcf.TwoTower((6,), (5,), 4, n_epochs=3, random_state=0).fit(ratings, item_features=features)
    return ratings, model


def test_items_that_a_tower_knows_nothing_of_have_no_neighbours():
    ratings = fastcf.data.make_ratings(60, 30, 700, random_state=0)
    model = fastcf.TwoTower((6,), (5,), 4, n_epochs=3, random_state=0).fit(ratings.take(ratings.indices != 7))
    assert (model.similar_items(7, 3).ids == -1).all()  # neither ratings nor features: the average vector
    assert 7 not in model.similar_items(ratings.items.ids, 30).ids


@pytest.mark.parametrize("metric", METRICS)
def test_two_tower_neighbours_are_those_of_the_vectors(fitted, metric, tmp_path):
    ratings, model = fitted
    vectors = model.item_factors_ + model.item_average_
    exact = reference.nearest(vectors, vectors, metric) * (-1 if metric == "euclidean" else 1)
    np.fill_diagonal(exact, -np.inf)
    model.save(tmp_path / "m")
    for one in (model, fastcf.load(tmp_path / "m")):
        ids, scores = one.similar_items(ratings.items.ids, 5, metric=metric)
        best = np.sort(exact, axis=1)[:, :-6:-1]
        np.testing.assert_allclose(
            np.take_along_axis(exact, ratings.items.rows(ids.ravel()).reshape(ids.shape), axis=1), best, atol=1e-5
        )
        np.testing.assert_allclose(scores, -best if metric == "euclidean" else best, rtol=1e-3, atol=1e-5)
    related = RelatedItems(model, 1, 5, metric=metric).fit(ratings).retrieve(3, exclude_seen=False)
    last = related.of(0)
    item = RelatedItems(model, 1, 5).fit(ratings).recent_[3, 0]
    np.testing.assert_array_equal(
        np.sort(last[0]), np.sort(model.similar_items(ratings.items.ids[item], 5, metric=metric).ids)
    )
