"""Diversity and serendipity by name: those of ``beyond_accuracy``, by who rated what in training."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastcf
from fastcf.metrics import as_scorer, beyond_accuracy, beyond_accuracy_by_user
from fastcf.metrics.lists import as_lists
from fastcf.metrics.raters import Raters


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 6))
def test_raters_equal_beyond_accuracy(seed, k):
    rng = np.random.default_rng(seed)
    pairs = rng.choice(9 * 7, 30, replace=False)  # items 7 and on, and user 9 and on, have no ratings
    items = fastcf.IdMap(range(10))
    train = fastcf.Ratings.from_coo(pairs // 7, pairs % 7, np.ones(30), item_ids=items)
    held = rng.choice(9 * 12, 25, replace=False)
    held_out = fastcf.Ratings.from_coo(held // 12, held % 12, np.ones(25))
    users = rng.permutation(12)[:8]
    rated = np.zeros((12, 10), bool)
    rated[pairs // 7, pairs % 7] = True
    lists = [np.r_[rng.permutation(np.flatnonzero(~rated[user])), np.flatnonzero(rated[user])][:k] for user in users]
    order = np.argsort(-rated.sum(axis=0), kind="stable")
    expected = [np.r_[order[~rated[user, order]], order[rated[user, order]]][:k] for user in users]
    wanted = beyond_accuracy_by_user(
        lists, users, train, k=k, vectors=(items, rated.T.astype(float)), expected=expected, held_out=held_out
    )
    raters, given_lists = Raters.of_ratings(train), as_lists(lists, users, k, "test")
    np.testing.assert_allclose(raters.diversity(given_lists, "test"), wanted.diversity, atol=1e-5)
    found = raters.serendipity(given_lists, held_out, "test")
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted.serendipity))
    unseen = np.array([not rated[user, one].any() for user, one in zip(users, lists, strict=True)])  # as models list
    np.testing.assert_allclose(found[unseen], wanted.serendipity[unseen])


def test_blocks_of_items_make_no_difference(monkeypatch):
    train = fastcf.data.make_ratings(60, 40, 900, random_state=0)
    lists = fastcf.Popular().fit(train).recommend(train.users.ids, 8)
    given_lists = as_lists(lists, None, 8, "test")
    whole = Raters.of_ratings(train).diversity(given_lists, "test")
    monkeypatch.setattr("fastcf.metrics.raters._BLOCK_BYTES", 1_000)
    np.testing.assert_allclose(Raters.of_ratings(train).diversity(given_lists, "test"), whole, rtol=1e-12)


def test_scorers_by_name():
    train, test = fastcf.data.train_test_split(fastcf.data.make_ratings(80, 40, 1500, random_state=0), random_state=0)
    model = fastcf.LinearAutoencoder(threshold=4).fit(train)
    source = fastcf.retrieval.TopItems(model, k=30).fit(train)
    liked = test.take(test.values >= 4)
    users = liked.users.ids[liked.user_counts() > 0]
    who_rated = train.items, (train.to_scipy().toarray() > 0).astype(float).T
    plain = fastcf.Popular().fit(train).recommend(users, 5)
    for recommender, threshold in ((model, None), (source, 4)):
        wanted = beyond_accuracy(recommender, users, train, k=5, vectors=who_rated, expected=plain, held_out=liked)
        assert 0 < wanted.diversity < 1
        for name in ("diversity", "serendipity"):
            scorer = as_scorer(f"{name}@5", "test", threshold=threshold)
            assert (scorer.name, scorer.lists, scorer.greater_is_better) == (f"{name}@5", True, True)
            assert scorer(recommender, test) == pytest.approx(getattr(wanted, name), rel=1e-5)
    with pytest.raises(TypeError, match=r"must have users_, items_ and seen_, .*; got object without"):
        Raters.of_recommender(object(), "test")
