"""Features of what users rated."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import fastcf
from fastcf.features import watched


@given(seed=st.integers(0, 100), n_items=st.integers(1, 30))
def test_watched_marks_the_most_rated_items(seed, n_items):
    ratings = fastcf.data.make_ratings(30, 20, 150, random_state=seed)
    table = watched(ratings, n_items)
    there = np.zeros((ratings.n_users, ratings.n_items))
    there[ratings.row_of_entry(), ratings.indices] = 1
    counts = there.sum(axis=0)
    rows = ratings.items.rows(np.array([int(name) for name in table.names]))
    assert len(rows) == min(n_items, (counts > 0).sum())
    others = np.delete(counts, rows)
    assert counts[rows].min() >= others.max(initial=0)
    np.testing.assert_array_equal(table.matrix.toarray(), there[:, rows])
    assert scipy.sparse.issparse(table.matrix)


def test_watched_of_given_items_and_users():
    ratings = fastcf.Ratings.from_coo(["ann", "ann", "bob"], ["up", "heat", "up"], [5.0, 2.0, 4.0])
    table = watched(ratings, items=["heat", "brave", "up"], users=["bob", "eve", "ann"])
    assert table.matrix.toarray().tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert table.ids.ids.tolist() == ["bob", "eve", "ann"]


def test_watched_serves_newcomers_with_a_history():
    ratings = fastcf.data.make_ratings(400, 60, 8_000, choice=2.0, random_state=0)
    train, shown, hidden = fastcf.data.split_users(ratings, random_state=0)
    people = watched(train, 60)
    model = fastcf.MixedRegression().fit(train, user_features=people)
    newcomers = watched(shown, items=np.array([int(name) for name in people.names]))
    later = model.fold_in(user_features=newcomers)
    assert later.predict(hidden).std() > 0
    assert -later.score(hidden) < -fastcf.BiasModel().fit(train).score(hidden)


def test_watched_refuses():
    ratings = fastcf.data.make_ratings(20, 10, 60, random_state=0)
    with pytest.raises(ValueError, match="n_items must be an integer of at least 1; got 0"):
        watched(ratings, 0)
    with pytest.raises(TypeError, match="n_items must be an integer"):
        watched(ratings, 2.5)
    with pytest.raises(ValueError, match="left at its default"):
        watched(ratings, 5, items=[1, 2])
