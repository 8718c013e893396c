"""Tables of neighbours answer as the model does; vectors that searches share are made once, whatever the threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

import fastcf
from fastcf.scores import METRICS, VectorTable
from fastcf.serving import NeighbourTable

RATINGS = fastcf.data.make_ratings(60, 40, 500, random_state=0)
MODELS = {
    "factors": fastcf.MatrixFactorization(4, n_epochs=3, random_state=0),
    "weights": fastcf.LinearAutoencoder(threshold=4),
    "neighbours": fastcf.ItemNeighbours(8, threshold=4),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param].fit(RATINGS)


@settings(max_examples=20)
@given(st.sampled_from(METRICS), st.sampled_from([1, 7, 60]), st.sampled_from([1, 5, 60]), st.integers(0, 99))
def test_table_answers_as_the_model_does(model, metric, width, n, seed):
    table = NeighbourTable.of(model, width, metric=metric, n_threads=1)
    assert table.rows_.shape == table.similarities_.shape == (40, min(width, 40))  # of the items that there are
    asked = [*np.random.default_rng(seed).permutation(RATINGS.items.ids)[:9].tolist(), 10**6]
    if n > width:
        with pytest.raises(ValueError, match=f"NeighbourTable.similar_items: n must be at most {width}, .*; got {n}"):
            table.similar_items(asked, n)
        return
    got, wanted = table.similar_items(asked, n), model.similar_items(asked, n, metric=metric)
    np.testing.assert_array_equal(got.ids, wanted.ids)
    np.testing.assert_array_equal(got.scores, wanted.scores)
    alone = table.similar_items(asked[3], n)
    np.testing.assert_array_equal(alone.ids, wanted.ids[3])
    assert alone.queries == asked[3]


def test_table_is_of_the_model_it_was_made_of():
    model = fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(RATINGS)
    table, before = NeighbourTable.of(model, 5), model.similar_items(3, 5)
    users, items, values = RATINGS.to_coo()
    mirrored = fastcf.Ratings.from_coo(users, 39 - items, values)
    model.fit(mirrored)
    np.testing.assert_array_equal(table.similar_items(3, 5).ids, before.ids)
    fresh = fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(mirrored)  # the first one has searched before
    np.testing.assert_array_equal(model.similar_items(3, 5).ids, fresh.similar_items(3, 5).ids)
    assert not table.rows_.flags.writeable


def test_table_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"NeighbourTable\.of: model must compare items; BiasModel does not"):
        NeighbourTable.of(fastcf.BiasModel().fit(RATINGS))
    with pytest.raises(NotFittedError, match="must be fitted first"):
        NeighbourTable.of(fastcf.MatrixFactorization())
    fitted = MODELS["factors"].fit(RATINGS)
    with pytest.raises(ValueError, match="metric must be 'cosine', 'euclidean' or 'dot'; got 'l1'"):
        NeighbourTable.of(fitted, metric="l1")
    table = NeighbourTable.of(fitted, 3)
    with pytest.raises(ValueError, match="strict=True needs known item ids; got 70"):
        table.similar_items([1, 70], 2, strict=True)
    assert (table.similar_items(70, 2).ids == -1).all()


def test_shared_vectors_are_the_same_for_all_threads():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((20_000, 8)).astype(np.float32)
    vectors[::7] = 0
    table, found = VectorTable(vectors), []
    start = threading.Barrier(4)

    def ask():
        start.wait()
        found.append((table.unit, table.product_bias, table.distance_bias, table.unknown))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    for unit, products, distances, unknown in found:
        np.testing.assert_allclose(
            unit, np.divide(wide, lengths, where=lengths > 0, out=np.zeros_like(wide)), atol=1e-7
        )
        np.testing.assert_array_equal(unknown, np.arange(0, 20_000, 7))
        assert np.isneginf(products[unknown]).all()
        assert np.count_nonzero(products) == unknown.size
        np.testing.assert_allclose(
            np.delete(distances, unknown), np.delete(-(wide**2).sum(axis=1) / 2, unknown), rtol=1e-6
        )
        assert not unit.flags.writeable
