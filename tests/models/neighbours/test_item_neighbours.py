"""Neighbourhoods of items against float64 tables of the equations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from attributes import assert_same_attributes
from fastcf.data import make_ratings, read_log, train_test_split
from fastcf.models.neighbours.similarity import SIMILARITIES
from neighbourhoods import PARAMETERS, similarities, some_choices


@settings(max_examples=40)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(1, 1), (2, 31), (33, 2), (20, 32)]),
    st.sampled_from(SIMILARITIES),
    st.booleans(),
    st.sampled_from([1, 3, 100]),
)
def test_item_neighbours_follow_the_equations(seed, sizes, kind, strengths, n):
    x, ratings = some_choices(seed, *sizes, strengths)
    model = fastcf.ItemNeighbours(n, similarity=kind, strength="value", **PARAMETERS[kind]).fit(ratings)
    table = similarities(x.T, kind, **PARAMETERS[kind])
    ids, scores = model.similar_items(np.arange(sizes[1]), n)
    for item in range(sizes[1]):
        wanted = np.sort(table[item][table[item] > 0])[::-1][:n]
        np.testing.assert_allclose(scores[item, : wanted.size], wanted, rtol=1e-4)
        np.testing.assert_allclose(table[item, ids[item, : wanted.size]], wanted, rtol=1e-4)
        assert (ids[item, wanted.size :] == -1).all()
    kept = np.zeros_like(table)
    for item in range(sizes[1]):  # the model's own, where ties within rounding leave a choice
        own = ids[item][ids[item] >= 0]
        kept[item, own] = table[item, own]
    expected = x @ kept.T
    expected[x.sum(axis=1) == 0] = x.sum(axis=0)  # popular items for those who chose nothing
    np.testing.assert_allclose(model.predict_matrix(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.predict_matrix([-5]), x.sum(axis=0)[None], rtol=1e-6)


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_item_neighbours_fold_in_like_trained_users(kind, tmp_path):
    x, ratings = some_choices(3, 40, 30, True)
    model = fastcf.ItemNeighbours(5, similarity=kind, strength="value", **PARAMETERS[kind]).fit(ratings)
    np.testing.assert_array_equal(model.fold_in(ratings).predict_matrix(), model.predict_matrix())
    users, items = np.nonzero(x)
    history = np.stack([users, items], axis=1), x[users, items]
    lists, folded = model.recommend(ratings.users.ids, 7), model.recommend(history=history, n=7)
    np.testing.assert_array_equal(lists.items, folded.items)
    model.save(tmp_path / "m")
    loaded = fastcf.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict_matrix(), model.predict_matrix())
    np.testing.assert_array_equal(loaded.similar_items(range(30), 5).ids, model.similar_items(range(30), 5).ids)
    assert loaded.get_params() == model.get_params()
    assert_same_attributes(loaded, model)
    assert not hasattr(model, "similar_users")


def test_item_neighbours_same_bits_for_any_number_of_threads():
    ratings = make_ratings(300, 200, 6_000, random_state=0)
    first, *others = (fastcf.ItemNeighbours(n_threads=n, threshold=4).fit(ratings).predict_matrix() for n in (1, 2, 4))
    for other in others:
        np.testing.assert_array_equal(first.view(np.int32), other.view(np.int32))


def test_item_neighbours_leave_low_ratings_out_of_histories_and_of_lists():
    pairs, values = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("c", 1), ("c", 3)], [5, 5, 1, 5, 5, 5, 2]
    model = fastcf.ItemNeighbours(threshold=4).fit(pairs, values)
    assert model.similar_items(3, 2).ids.tolist() == [-1, -1]
    assert model.similar_items(1, 2).ids.tolist() == [2, -1]
    assert model.recommend("c", 3).items.tolist() == [2, -1, -1]


def test_items_without_choices_have_no_neighbours_and_are_nobodys():
    ratings = make_ratings(100, 50, 1_500, random_state=0)
    model = fastcf.ItemNeighbours(50).fit(ratings.take(ratings.indices != 7))
    assert (model.similar_items(7, 5).ids == -1).all()
    assert 7 not in model.similar_items(range(50), 50).ids


@pytest.mark.parametrize(("name", "threshold", "margin"), [("ml-latest-small", 4, 0.05), ("movietweetings-100k", 8, 0)])
def test_item_neighbours_beat_popular_items_on_real_sets(data_dir, name, threshold, margin):
    ratings = read_log(data_dir / name).to_ratings(duplicates="last")
    train, test = train_test_split(ratings, random_state=0)
    scores = [
        model.fit(train).score(test)
        for model in (fastcf.ItemNeighbours(threshold=threshold), fastcf.Popular(threshold=threshold))
    ]
    assert scores[0] > scores[1] + margin


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_neighbours": 0}, "n_neighbours must be an integer of at least 1"),
        ({"similarity": "jaccard"}, "similarity must be 'cosine' or 'tfidf' or 'bm25' or 'rp3beta'; got 'jaccard'"),
        ({"shrinkage": -1.0}, "shrinkage must be a finite number of at least 0; got -1.0"),
        ({"b": 2.0, "similarity": "bm25"}, "b must be"),
        ({"beta": 0.5}, "beta must be 0.2 for similarity='cosine'"),
        ({"shrinkage": 5.0, "similarity": "bm25"}, "shrinkage must be 10.0 for similarity='bm25'"),
        ({"k1": 1.0, "similarity": "rp3beta"}, "k1 must be 1.2 for similarity='rp3beta'"),
        ({"strength": "two"}, "strength must be"),
    ],
)
@pytest.mark.parametrize("name", ["ItemNeighbours", "UserNeighbours"])
def test_neighbours_bad_parameters_raise(name, parameters, message):
    with pytest.raises(ValueError, match=rf"{name}.fit: {message}"):
        getattr(fastcf, name)(**parameters).fit([(1, 2), (2, 2)])
