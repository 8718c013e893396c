"""The best items of any model as candidates."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import fastcf
from fastcf.data import make_ratings
from fastcf.retrieval import RelatedItems, TopItems, TwoStageRecommender

RATINGS = make_ratings(60, 50, 900, random_state=0)
MODELS = {
    "items": lambda: fastcf.ItemNeighbours(threshold=4),
    "users": lambda: fastcf.UserNeighbours(threshold=4),
    "popular": lambda: fastcf.Popular(threshold=4),
    "factors": lambda: fastcf.MatrixFactorization(4, n_epochs=3, random_state=0),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_top_items_are_what_the_model_recommends(name, exclude_seen):
    model = MODELS[name]().fit(RATINGS)
    asked = [3, 17, 10**6]
    lists = model.recommend(asked, 8, exclude_seen=exclude_seen)
    top = TopItems(model, 8).fit()
    found = top.retrieve(asked, exclude_seen=exclude_seen)
    for position in range(3):
        wanted = lists.items[position]
        assert found.of(position)[0].tolist() == wanted[wanted >= 0].tolist()
    model.fit(RATINGS.take(RATINGS.values > 3))
    again = top.retrieve(asked, exclude_seen=exclude_seen)
    np.testing.assert_array_equal(again.indices, found.indices)  # of the state at fit


def test_top_items_leave_out_the_ratings_of_fit():
    model = MODELS["items"]().fit(RATINGS)
    free = model.recommend(3, 9, exclude_seen=False).items
    later = fastcf.Ratings.from_coo([3] * 2, free[:2], [5.0] * 2)
    assert TopItems(model, 5).fit(later).retrieve(3).of(0)[0].tolist() == free[2:7].tolist()


def test_top_items_refuse_what_is_no_fitted_model():
    with pytest.raises(TypeError, match=r"TopItems.fit: model must be a model of this package; got str"):
        TopItems("popular").fit()
    with pytest.raises(NotFittedError, match=r"TopItems.fit: model must be fitted first"):
        TopItems(fastcf.Popular()).fit()
    with pytest.raises(ValueError, match=r"TopItems.fit: k must be an integer of at least 1"):
        TopItems(MODELS["popular"]().fit(RATINGS), 0).fit()


def test_neighbours_retrieve_and_rank_in_two_stages():
    model = MODELS["items"]().fit(RATINGS)
    two = TwoStageRecommender([TopItems(model, 20), RelatedItems(model, 5, 6)], ranker=model).fit(RATINGS)
    items, _, found_by = two.recommend([3, 17], 10)
    np.testing.assert_array_equal(items, model.recommend([3, 17], 10).items)
    assert (found_by & 1 == 1).all()
    related = RelatedItems(model, 1, 4).fit(RATINGS)
    last = RATINGS.items.ids[related.recent_[3, 0]]
    wanted = model.similar_items(last, 4).ids
    assert set(related.retrieve(3, exclude_seen=False).of(0)[0]) == set(wanted[wanted >= 0])
    with pytest.raises(TypeError, match="model must have a vector per item; got UserNeighbours"):
        RelatedItems(MODELS["users"]().fit(RATINGS)).fit(RATINGS)
