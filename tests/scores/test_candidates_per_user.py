"""Candidates and exclusions per user."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf

RATINGS = fastcf.data.make_ratings(60, 40, 1_200, random_state=2)
GROUPS = {"groups": ["a"] * 30 + ["b"] * 30}
MODELS = {
    "bias": lambda: fastcf.BiasModel().fit(RATINGS),
    "factors": lambda: fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(RATINGS),
    "labels": lambda: fastcf.MatrixFactorization(4, n_epochs=3, cost="logistic", threshold=4).fit(RATINGS),
    "linear": lambda: fastcf.LinearAutoencoder(threshold=3).fit(RATINGS),
    "neighbours": lambda: fastcf.ItemNeighbours(threshold=4).fit(RATINGS),
    "users": lambda: fastcf.UserNeighbours(threshold=4).fit(RATINGS),
    "popular": lambda: fastcf.Popular(threshold=4).fit(RATINGS),
    "autoencoder": lambda: fastcf.Autoencoder((5,), n_epochs=2, random_state=0).fit(RATINGS),
    "implicit": lambda: fastcf.ImplicitFactorization(4, reg=0.01, n_epochs=2, random_state=0).fit(RATINGS),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]()


@settings(max_examples=30)
@given(st.data(), st.booleans(), st.integers(1, 12))
def test_candidates_per_user_are_those_of_each_user_alone(model, data, exclude_seen, n):
    users = data.draw(st.lists(st.sampled_from([0, 3, 17, 59, 999]), min_size=1, max_size=5))
    ids = st.lists(st.sampled_from([*range(40), 77, 78]), max_size=30)
    lists = st.lists(ids, min_size=len(users), max_size=len(users))
    candidates = data.draw(st.one_of(st.none(), ids.filter(bool), lists))
    exclude = data.draw(st.one_of(st.none(), ids.filter(bool), lists))
    found = model.recommend(users, n, exclude_seen=exclude_seen, candidates=candidates, exclude=exclude)

    def own(named, row):
        return named[row] if named is not None and isinstance(named[0], list) else named

    for row, user in enumerate(users):
        alone = model.recommend(
            [user], n, exclude_seen=exclude_seen, candidates=own(candidates, row), exclude=own(exclude, row)
        )
        there = np.isfinite(alone.scores[0])
        np.testing.assert_array_equal(np.isfinite(found.scores[row]), there)
        np.testing.assert_allclose(found.scores[row], alone.scores[0], rtol=1e-5, atol=1e-6)
        assert (found.items[row][~there] == -1).all()
        assert len(set(found.items[row][there])) == there.sum()


def test_candidates_of_one_each():
    model = MODELS["factors"]()
    found = model.recommend([1, 2], n=1, candidates=[[1], [2]], exclude_seen=False)
    assert found.items.tolist() == [[1], [2]]
    np.testing.assert_allclose(found.scores[:, 0], model.predict([(1, 1), (2, 2)]), rtol=1e-6)
    seen = RATINGS.items.ids[RATINGS.indices[RATINGS.indptr[1] : RATINGS.indptr[2]]]
    assert model.recommend([1], n=2, candidates=[seen]).items.tolist() == [[-1, -1]]
    assert model.recommend(1, n=2, candidates=[[5, 6]], exclude_seen=False).items.shape == (2,)


@pytest.mark.parametrize(
    "candidates",
    [
        [[3, 5], [7, 9]],
        [(3, 5), (7, 9)],
        [np.array([3, 5]), np.array([9, 7])],
        np.array([[3, 5], [7, 9]]),
        [{3, 5}, {7, 9}],
        [[3, 5, 5, 1234], [9, 7, 7, 9]],
    ],
)
def test_candidates_per_user_come_in_many_forms(candidates):
    found = MODELS["bias"]().recommend([1, 2], n=3, candidates=candidates, exclude_seen=False)
    assert [set(row) for row in found.items.tolist()] == [{3, 5, -1}, {7, 9, -1}]


def test_candidates_that_are_not_one_list_per_user_are_refused():
    model = MODELS["bias"]()
    for name in ("candidates", "exclude"):
        with pytest.raises(ValueError, match=f"{name} must be ids for all users, or a list of ids for each of the 2 "):
            model.recommend([1, 2], **{name: [[1], [2], [3]]})
        with pytest.raises(ValueError, match=rf"strict=True needs known item \(in {name}\) ids; got 77 at entry 1"):
            model.recommend([1, 2], strict=True, **{name: [[1], [77]]})
    with pytest.raises(TypeError, match="candidates must be ids, or a list of ids for each user; got both"):
        model.recommend([1, 2], candidates=[3, [4]])
    assert (model.recommend([1, 2], 2, candidates=[[], []]).items == -1).all()


def test_candidates_per_user_of_histories_and_string_ids():
    ratings = fastcf.Ratings.from_coo(["a", "a", "b"], ["x", "y", "x"], [5.0, 1, 4])
    model = fastcf.BiasModel().fit(ratings)
    new = fastcf.Ratings.from_coo(["n"], ["x"], [5.0])
    assert model.recommend(history=new, n=2, candidates=[["x", "y"]]).items.tolist() == [["y", ""]]
    found = model.recommend(["a", "b"], n=1, candidates=[["x"], ["y"]], exclude=[["x"], ["x"]], exclude_seen=False)
    assert found.items.tolist() == [[""], ["y"]]
