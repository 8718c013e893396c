"""Made-up choices: exposure and taste in the announced proportions, the same for any threads, and the best lists."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcf
from fastcf.data import leave_n_out, make_ratings, train_test_split
from fastcf.metrics import ranking

SIZES = st.sampled_from([1, 2, 31, 32, 33, 300])


@settings(max_examples=40, deadline=None)
@given(SIZES, SIZES, st.floats(0, 1), st.sampled_from([1, 7]), st.sampled_from([0.5, 2.0, 10.0]), st.integers(0, 2**32))
def test_choices_are_distinct_and_the_same_for_any_threads(n_users, n_items, share, n_factors, choice, seed):
    n_ratings = round(share * n_users * n_items)
    options = {"n_factors": n_factors, "choice": choice, "random_state": seed, "return_truth": True}
    ratings, truth = make_ratings(n_users, n_items, n_ratings, n_threads=1, **options)
    threaded, again = make_ratings(n_users, n_items, n_ratings, n_threads=3, **options)
    assert np.array_equal(ratings.indices, threaded.indices)
    assert np.array_equal(ratings.values, threaded.values)
    assert all(np.array_equal(one, other) for one, other in zip(truth, again, strict=True))
    rows = ratings.row_of_entry().astype(np.int64) * n_items + ratings.indices
    assert (np.diff(rows) > 0).all()
    assert ratings.nnz == n_ratings
    plain = make_ratings(n_users, n_items, n_ratings, n_factors=n_factors, random_state=seed)
    assert np.array_equal(plain.indptr, ratings.indptr)  # taste says which, not how many


def test_exposure_is_the_power_law():
    _, truth = make_ratings(10, 400, 1000, popularity=1.5, choice=1, random_state=0, return_truth=True)
    weights = (np.arange(400) + 1 + 0.015 * 400) ** -1.5
    np.testing.assert_allclose(np.sort(truth.exposure)[::-1], weights / weights.sum(), rtol=1e-5)
    plain = make_ratings(10, 400, 1000, popularity=1.5, random_state=0, return_truth=True)[1]
    np.testing.assert_array_equal(plain.exposure, truth.exposure)
    assert (plain.choice, truth.choice) == (0, 2)  # by signal = 0.5


@pytest.mark.parametrize("choice", [0.5, 1.5])
def test_first_choices_have_the_probabilities_of_the_truth(choice):
    """One choice each: taste and log exposure of what is chosen are on average those under the model."""
    n_users = 20_000
    ratings, truth = make_ratings(
        n_users, 50, n_users, activity=0, n_factors=3, choice=choice, random_state=1, return_truth=True
    )
    weights = truth.log_weights(np.arange(n_users))
    shares = np.exp(weights - weights.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    taste = truth.user_factors @ truth.item_factors.T / 0.5
    for what in (taste, np.broadcast_to(np.log(truth.exposure), taste.shape), truth.item_factors[:, 0] + 0 * taste):
        mean = (shares * what).sum(axis=1)
        deviation = np.sqrt((shares * what**2).sum(axis=1) - mean**2)
        score = np.sum(what[np.arange(n_users), ratings.indices] - mean) / math.sqrt(np.sum(deviation**2))
        assert abs(score) < 4.5
    observed = ratings.item_counts() / n_users
    np.testing.assert_allclose(observed, shares.mean(axis=0), atol=4.5 * 0.5 / math.sqrt(n_users))


def test_choices_still_follow_popularity():
    """The slope of counts over exposure, on a log scale, is near 1 where few items are exhausted."""
    ratings, truth = make_ratings(20_000, 300, 60_000, activity=0, choice=1.0, random_state=2, return_truth=True)
    counts = ratings.item_counts()
    slope = np.polyfit(np.log(truth.exposure), np.log(counts + 0.5), 1)[0]
    assert slope == pytest.approx(1, abs=0.15)


def test_truth_ranking_is_that_of_a_loop():
    ratings, truth = make_ratings(30, 40, 400, choice=1.0, random_state=3, return_truth=True)
    train, test = train_test_split(ratings, 0.3, random_state=0)
    users = np.flatnonzero(test.user_counts())
    lists = []
    for user in users:
        log_weight = np.log(truth.exposure.astype(float)) + truth.choice * (
            truth.user_factors[user].astype(float) @ truth.item_factors.T.astype(float)
        )
        log_weight[train.indices[train.indptr[user] : train.indptr[user + 1]]] = -np.inf
        lists.append(np.argsort(-log_weight, kind="stable")[:7])
    assert truth.ranking(train, test, k=7) == ranking(lists, users, test)
    assert truth.ranking(train, test, k=7, threshold=4) == ranking(lists, users, test, threshold=4)
    renumbered = fastcf.Ratings.from_coo(*train.to_coo())  # users and items without training ratings are gone
    assert truth.ranking(renumbered, test, k=7) == truth.ranking(train, test, k=7)


def test_truth_beats_popularity_and_taste_alone():
    ratings, truth = make_ratings(choice=1.0, random_state=0, return_truth=True)
    train, test = leave_n_out(ratings, 0.1, random_state=0)
    users = test.users.ids

    def ndcg(scores):
        scores = scores.copy()
        scores[train.row_of_entry(), train.indices] = -np.inf
        return ranking(np.argsort(-scores, axis=1)[:, :10], users, test).ndcg

    best = truth.ranking(train, test).ndcg
    assert best > ndcg(np.tile(train.item_counts().astype(float), (1000, 1))) + 0.1
    assert best > ndcg(truth.user_factors @ truth.item_factors.T) + 0.1
    plain, truth = make_ratings(random_state=0, return_truth=True)
    train, test = leave_n_out(plain, 0.1, random_state=0)
    popular = ndcg(np.tile(train.item_counts().astype(float), (1000, 1)))
    assert truth.ranking(train, test).ndcg == pytest.approx(popular, abs=0.01)  # without taste, nothing else is known


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"choice": -0.1}, ValueError, r"make_ratings: choice must be in \[0, 10\]; got -0.1"),
        ({"choice": math.nan}, ValueError, r"choice must be in \[0, 10\]; got nan"),
        ({"choice": "much"}, TypeError, "choice must be a number; got 'much'"),
        ({"choice": 1, "signal": 0}, ValueError, "choice must be 0 where there is no taste .* signal=0"),
        ({"choice": 1, "n_factors": 0}, ValueError, "choice must be 0 where there is no taste .* n_factors=0"),
    ],
)
def test_make_ratings_refuses_bad_choice(arguments, error, message):
    with pytest.raises(error, match=message):
        make_ratings(**arguments)


def test_truth_ranking_refuses_other_ids():
    ratings, truth = make_ratings(10, 8, 40, choice=1, random_state=0, return_truth=True)
    with pytest.raises(TypeError, match=r"Truth.ranking: train must be Ratings; got list"):
        truth.ranking([], ratings)
    for users, items, side in ((["a"], [1], "users"), ([1], [8], "items"), ([-1], [1], "users")):
        with pytest.raises(ValueError, match=f"Truth.ranking: held_out must have {side} from 0 to"):
            truth.ranking(ratings, fastcf.Ratings.from_coo(users, items, [1.0]))
    with pytest.raises(ValueError, match=r"Truth.ranking: held_out must hold ratings; got none"):
        truth.ranking(ratings, ratings.take([]))
