"""Targets of models of choices: strengths, entries not chosen, and the measure of lists."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from fastcf import Ratings, _cpu
from fastcf.ratings import as_ratings
from fastcf.scores import Choices, Compute, ItemWeightScores, Recommender, SeenItems, State

USERS, ITEMS = [1, 1, 1, 2, 2], [10, 20, 30, 10, 40]


def ratings_of(values, weights=None) -> Ratings:
    return Ratings.from_coo(USERS, ITEMS, values, weights=weights)


@pytest.mark.parametrize(
    ("targets", "wanted"),
    [
        (Choices(), [1, 1, 0, 1, 1]),
        (Choices(threshold=3.0), [1, 0, 0, 1, 0]),
        (Choices(strength="value"), [3, 1, 0, 4, 2]),
        (Choices(strength="log", threshold=2.0), [np.log(4), 0, 0, np.log(5), np.log(3)]),
    ],
)
def test_choices_have_strengths_and_other_entries_are_zero(targets, wanted):
    chosen = targets.of_ratings(ratings_of([3, 1, 0, 4, 2]), "here")
    np.testing.assert_allclose(chosen.values, wanted, rtol=1e-6)
    weighted = targets.of_ratings(ratings_of([3, 1, 0, 4, 2], weights=[2, 1, 1, 0.5, 1]), "here")
    np.testing.assert_allclose(weighted.values, np.array(wanted) * [2, 1, 1, 0.5, 1], rtol=1e-6)
    assert weighted.weights is None


def test_negative_strengths_are_refused():
    with pytest.raises(ValueError, match=r"here: values must not be negative .* got -2 at entry 1; pass the threshold"):
        Choices().of(np.array([1, -2], np.float32), "here")
    with pytest.raises(ValueError, match=r"strength='log' needs choices of positive values; got -2 at entry 1"):
        Choices(strength="log", threshold=-5.0).of(np.array([1, -2], np.float32), "here")


def test_training_needs_a_choice():
    with pytest.raises(ValueError, match="of at least threshold=9; got none among 5 values from 1 to 5"):
        Choices(threshold=9.0).of_training(ratings_of([1, 2, 3, 4, 5]), "here")


def test_pairs_without_values_are_counted():
    counted = as_ratings([[1, 10], [1, 10], [2, 10]], caller="here", counted=True)
    assert counted.values.tolist() == [2, 1]
    with pytest.raises(ValueError, match="y must hold the ratings"):
        as_ratings([[1, 10]], caller="here")


def model_of(train: Ratings, weights) -> Recommender:
    model = Recommender()
    history = scipy.sparse.csr_array((train.values, train.indices, train.indptr), train.shape)
    scores = ItemWeightScores(history, scipy.sparse.csr_array(np.asarray(weights, np.float32)))
    model._state = State(
        train.users,
        train.items,
        SeenItems(train.indptr, train.indices),
        scores,
        (-np.inf, np.inf),
        "cpu",
        Choices(),
    )
    return model


def test_score_is_the_ndcg_of_lists():
    train = Ratings.from_coo([1, 2], [10, 20], [1, 1], item_ids=ratings_of([1, 1, 1, 1, 1]).items)
    weights = np.zeros((4, 4))
    weights[0, 1], weights[0, 2] = 2, 1  # who chose 10 gets 20, 30, 40
    weights[1, 3] = 1  # who chose 20 gets 40, 10, 30
    model = model_of(train, weights)
    held_out = Ratings.from_coo([1, 2, 2], [30, 40, 10], [1, 1, 0])
    # User 1: 30 is second; user 2: 40 is first, and 10 was not chosen.
    assert model.score(held_out) == pytest.approx((1 / np.log2(3) + 1) / 2)
    assert model.score([[1, 30], [2, 40]]) == pytest.approx((1 / np.log2(3) + 1) / 2)


def test_score_on_the_training_choices_leaves_nothing_out():
    train = ratings_of([1, 1, 1, 1, 1])
    model = model_of(train, np.eye(4))
    assert model.score(train) == 1.0


def test_users_without_a_history_have_the_base_scores():
    train = ratings_of([1, 1, 1, 1, 1])
    base = np.array([1, 4, 3, 2], np.float32)
    history = scipy.sparse.csr_array((train.values, train.indices, [0, 3, 3, 5]), (3, 4))
    weights = scipy.sparse.csr_array(np.ones((4, 4), np.float32))
    scores = ItemWeightScores(history, weights, base=base)
    rows = np.array([-1, 1, 0], np.int32)
    compute = Compute(_cpu, 1)
    block = scores.block(rows, compute)
    np.testing.assert_array_equal(block, [base, base, [3, 3, 3, 3]])
    np.testing.assert_array_equal(scores.pairs(rows, np.array([1, -1, 2], np.int32), compute), [4, 0, 3])
