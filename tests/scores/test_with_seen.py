"""Copies of fitted models with seen items of other ratings."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import fastcf


def test_with_seen_replaces_what_users_have_seen_and_nothing_else(tmp_path):
    ratings = fastcf.data.make_ratings(40, 30, 600, random_state=0)
    train, rest = fastcf.data.train_test_split(ratings, 0.3, random_state=0)
    model = fastcf.BiasModel().fit(train)
    before = model.recommend(ratings.users.ids, 30).items
    seeing = model.with_seen(ratings)
    assert type(seeing) is fastcf.BiasModel
    assert seeing.seen_.indices.size == ratings.nnz
    np.testing.assert_array_equal(seeing.predict(rest), model.predict(rest))
    items = seeing.recommend(ratings.users.ids, 30).items
    for row, found in enumerate(items):
        rated = ratings.items.ids[ratings.indices[ratings.indptr[row] : ratings.indptr[row + 1]]]
        assert not set(found.tolist()) & set(rated.tolist())
    np.testing.assert_array_equal(model.recommend(ratings.users.ids, 30).items, before)
    seeing.save(tmp_path / "model")
    np.testing.assert_array_equal(fastcf.load(tmp_path / "model").recommend(ratings.users.ids, 30).items, items)


def test_with_seen_takes_ratings_of_other_ids():
    model = fastcf.BiasModel().fit([[1, 10], [1, 20], [2, 10], [2, 30]], [4.0, 2.0, 5.0, 3.0])
    seeing = model.with_seen([[2, 30], [3, 10], [1, 40], [1, 30]], [1.0, 1.0, 1.0, 1.0])  # user 3, item 40: unknown
    assert sorted(seeing.recommend(1, 3).items.tolist()) == [-1, 10, 20]
    assert sorted(seeing.recommend(2, 3).items.tolist()) == [-1, 10, 20]
    with pytest.raises(NotFittedError, match=r"BiasModel\.with_seen"):
        fastcf.BiasModel().with_seen([[1, 10]], [1.0])
