"""Neighbourhoods of users against float64 tables of the equations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from attributes import assert_same_attributes
from fastcf.data import make_ratings
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
def test_user_neighbours_follow_the_equations(seed, sizes, kind, strengths, n):
    x, ratings = some_choices(seed, *sizes, strengths)
    model = fastcf.UserNeighbours(n, similarity=kind, strength="value", **PARAMETERS[kind]).fit(ratings)
    table = similarities(x, kind, **PARAMETERS[kind])
    ids, scores = model.similar_users(np.arange(sizes[0]), n)
    kept = np.zeros_like(table)
    for user in range(sizes[0]):
        wanted = np.sort(table[user][table[user] > 0])[::-1][:n]
        own = ids[user][ids[user] >= 0]
        np.testing.assert_allclose(scores[user, : wanted.size], wanted, rtol=1e-4)
        np.testing.assert_allclose(table[user, own], wanted, rtol=1e-4)
        kept[user, own] = table[user, own]
    expected = kept @ x
    expected[~kept.any(axis=1)] = x.sum(axis=0)  # popular items for those without neighbours
    np.testing.assert_allclose(model.predict_matrix(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.predict_matrix([-5]), x.sum(axis=0)[None], rtol=1e-6)


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_user_neighbours_fold_in_like_trained_users(kind, tmp_path):
    x, ratings = some_choices(3, 40, 30, True)
    model = fastcf.UserNeighbours(5, similarity=kind, strength="value", **PARAMETERS[kind]).fit(ratings)
    folded = model.fold_in(ratings)  # known users, who are not their own neighbours
    np.testing.assert_array_equal(folded.predict_matrix(), model.predict_matrix())
    assert hasattr(model, "similar_users")
    assert not hasattr(folded, "similar_users")  # whose neighbours are not among its users
    assert not hasattr(model, "similar_items")
    stranger = (
        np.stack([np.zeros(3, int), [1, 4, 9]], axis=1),
        [1.0, 2.0, 1.0],
    )  # new, though numbered like a trained user
    own = np.zeros((1, 30))
    own[0, [1, 4, 9]] = [1, 2, 1]
    near = similarities(np.concatenate([x, own]), kind, **PARAMETERS[kind])[-1, :-1] if kind == "cosine" else None
    if near is not None:
        best = np.argsort(-near, kind="stable")[:5]
        found = model.predict([(0, item) for item in range(30)], history=stranger)
        np.testing.assert_allclose(found, near[best] @ x[best], rtol=1e-4, atol=1e-5)
    for one in (model, folded):
        one.save(tmp_path / "m")
        loaded = fastcf.load(tmp_path / "m")
        np.testing.assert_array_equal(loaded.predict_matrix(), one.predict_matrix())
        np.testing.assert_array_equal(
            loaded.recommend(history=stranger, n=7).items, model.recommend(history=stranger, n=7).items
        )
        assert loaded.get_params() == model.get_params()
        assert_same_attributes(loaded, one)


def test_user_neighbours_same_bits_for_any_number_of_threads():
    ratings = make_ratings(300, 200, 6_000, random_state=0)
    first, *others = (fastcf.UserNeighbours(n_threads=n, threshold=4).fit(ratings).predict_matrix() for n in (1, 2, 4))
    for other in others:
        np.testing.assert_array_equal(first.view(np.int32), other.view(np.int32))


def test_lists_go_on_by_popularity_where_neighbours_end():
    pairs = [
        ("a", 1),
        ("a", 2),
        ("b", 1),
        ("b", 3),
        ("c", 4),
        ("c", 5),
        ("d", 5),
        ("e", 5),
        ("f", 4),
        ("f", 7),
        ("g", 8),
    ]
    for model in (fastcf.UserNeighbours(), fastcf.ItemNeighbours()):
        model.fit(pairs)
        items, scores = model.recommend("a", 6)
        assert items.tolist() == [3, 5, 4, 7, 8, -1]
        assert scores[0] > 1e-3
        assert 0 < scores[4] < scores[1] <= 1e-12
        np.testing.assert_array_equal(model.predict([("a", item) for item in items[:5]]), scores[:5])
        both = model.recommend(["g", "a"], 6, candidates=[2, 5, 7, 3], exclude=[7])
        assert both.items.tolist()[1] == [3, 5, -1, -1, -1, -1]
        assert model.recommend("nobody", 2).items.tolist() == [5, 1]


def test_user_neighbours_beat_popular_items_on_real_ratings(data_dir):
    ratings = fastcf.data.read_log(data_dir / "ml-latest-small").to_ratings(duplicates="last")
    train, test = fastcf.data.train_test_split(ratings, random_state=0)
    scores = [
        model.fit(train).score(test) for model in (fastcf.UserNeighbours(threshold=4), fastcf.Popular(threshold=4))
    ]
    assert scores[0] > scores[1] + 0.03
