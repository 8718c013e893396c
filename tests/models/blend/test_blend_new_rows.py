"""New users and items of blends: computed by every member, and weighted as before."""

from __future__ import annotations

import numpy as np
import pytest

import fastcf
from blends import MEMBERS, mf, saved, string_ratings


@pytest.fixture(scope="module")
def ratings():
    return string_ratings()


def newcomers(ratings):
    items = ratings.items.ids
    return fastcf.Ratings.from_coo(
        ["new1"] * 4 + ["new2"] * 3, [*items[[3, 9, 20, 41]], *items[[5, 9]], 424_242], [5.0, 4, 1, 2, 3, 5, 4]
    )


@pytest.mark.parametrize("kind", ["linear", "own", "nested"])
def test_blend_folds_the_rows_of_every_member(ratings, tmp_path, kind):
    blend = fastcf.Blend(MEMBERS[kind](), random_state=0).fit(ratings)
    new = newcomers(ratings)
    folded = blend.fold_in(new)
    pairs = [(user, item) for user in ("new1", "new2") for item in blend.items_.ids.tolist()]
    parts = [
        weight * each.fold_in(new).predict(pairs, clip=False)
        for weight, each in zip(blend.weights_, blend.models_.values(), strict=True)
    ]
    np.testing.assert_allclose(folded.predict(pairs, clip=False), sum(parts) + blend.intercept_, atol=1e-5)
    np.testing.assert_array_equal(blend.predict(pairs, history=new), folded.predict(pairs))
    listed, wanted = blend.recommend(history=new, n=8), folded.recommend(["new1", "new2"], 8)
    np.testing.assert_array_equal(listed.items, wanted.items)
    np.testing.assert_array_equal(listed.scores, wanted.scores)
    assert not set(wanted.items[0]) & set(new.items.ids[new.to_scipy()[0].indices])
    again = saved(folded, tmp_path)
    np.testing.assert_array_equal(again.predict(pairs), folded.predict(pairs))
    np.testing.assert_array_equal(again.models_["mf"].predict(pairs), folded.models_["mf"].predict(pairs))
    by_item = fastcf.Ratings.from_coo(["u001", "u002", "u003"], [900, 900, 901], [5.0, 4, 1])
    films = blend.fold_in(by_item, by="item")
    pairs = [(user, item) for user in ("u001", "u050", "nobody") for item in (900, 901, 0)]
    parts = [
        weight * each.fold_in(by_item, by="item").predict(pairs, clip=False)
        for weight, each in zip(blend.weights_, blend.models_.values(), strict=True)
    ]
    np.testing.assert_allclose(films.predict(pairs, clip=False), sum(parts) + blend.intercept_, atol=1e-5)


def test_blend_folds_by_what_each_member_knows(ratings):
    users, items, values = ratings.to_coo()
    few = items < 300
    less = fastcf.Ratings.from_coo(users[few], items[few], values[few])
    members = [("mf", mf(random_state=0).fit(ratings)), ("few", mf(3, random_state=0).fit(less))]
    with pytest.warns(UserWarning, match="was fitted to"):
        blend = fastcf.Blend(members, fit_members=False).fit(ratings)
    new = newcomers(ratings)
    pairs = [(user, item) for user in ("new1", "new2") for item in blend.items_.ids.tolist()]
    parts = [
        a * each.fold_in(new).predict(pairs, clip=False) for a, (_, each) in zip(blend.weights_, members, strict=True)
    ]
    np.testing.assert_allclose(blend.predict(pairs, history=new, clip=False), sum(parts) + blend.intercept_, atol=1e-5)


def test_blend_names_the_member_that_computes_no_new_rows(ratings):
    blend = fastcf.Blend(MEMBERS["mixed"](), reg=1e6, random_state=0).fit(ratings)
    new = newcomers(ratings)
    with pytest.raises(
        ValueError, match=r"Blend\.recommend: history: Blend computes no new rows .*by its member 'odd'\)"
    ):
        blend.recommend(history=new)
    assert not hasattr(blend, "fold_in")
    weightless = fastcf.Blend(MEMBERS["mixed"](), reg=0, non_negative=True, random_state=0)
    weightless.set_params(odd__scale=-2.0)  # predicts the opposite
    weightless.fit(ratings)
    assert weightless.weights_[1] == 0
    assert weightless.fold_in(new).predict([("new1", 0)]) == weightless.predict([("new1", 0)], history=new)
    assert weightless.state.scores.linear


def test_blend_of_labels_refuses_histories_that_are_none(ratings):
    users, items, values = ratings.to_coo()
    labels = fastcf.Ratings.from_coo(users, items, (values >= 4).astype(float))
    blend = fastcf.Blend([mf(cost="logistic"), fastcf.BiasModel()], random_state=0).fit(labels)
    liked = fastcf.Ratings.from_coo(["new", "new"], [0, 10], [1.0, 0.0])
    np.testing.assert_array_equal(
        blend.predict([("new", 20)], history=liked), blend.fold_in(liked).predict([("new", 20)])
    )
    with pytest.raises(ValueError, match=r"Blend\.predict: history: ratings must be 0 or 1 without a threshold; got 5"):
        blend.predict([("new1", 20)], history=newcomers(ratings))


def test_fitted_members_are_judged_by_their_fit_and_not_by_parameters_set_since(ratings):
    cut = mf(cost="logistic", threshold=4.0, reg=1.0).fit(ratings).set_params(cost="squared", threshold=None)
    with pytest.raises(
        ValueError, match="must predict the ratings, not whether they reach a threshold; got threshold=4"
    ):
        fastcf.Blend([cut], fit_members=False).fit(ratings)
    plain = mf().fit(ratings).set_params(cost="logistic", threshold=4.0)
    with pytest.warns(UserWarning, match="was fitted to"):
        blend = fastcf.Blend([plain], fit_members=False).fit(ratings)
    assert blend.score(ratings) > -1
