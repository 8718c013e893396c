"""Scores of factors against dense float64 tables; their links and their posterior."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from dense import COMPUTE, assert_agrees, dense_of_factors, some_factors, some_rows
from fastcf.scores import Identity, Posterior, Selection, Sigmoid, Squash

SIZES = st.sampled_from([(1, 1), (5, 31), (33, 2), (20, 40)])


@settings(max_examples=30)
@given(SIZES, st.sampled_from([0, 1, 7, 33]), st.booleans(), st.integers(0, 10**6))
def test_factor_scores_agree_with_a_dense_table(sizes, k, means, seed):
    rng = np.random.default_rng(seed)
    scores = some_factors(rng, *sizes, k, means=means)
    assert scores.as_factors() is scores
    assert scores.compares_items == scores.compares_users == (k > 0)
    assert_agrees(scores, dense_of_factors(scores), rng)


@settings(max_examples=20)
@given(SIZES, st.booleans(), st.integers(0, 10**6))
def test_sides_of_factor_scores_add_up(sizes, means, seed):
    rng = np.random.default_rng(seed)
    scores = some_factors(rng, *sizes, means=means)
    rows = some_rows(rng, sizes[0], 9)
    side = scores.item_side()
    factors, bias = scores.user_side(rows)
    dense = dense_of_factors(scores)
    known = factors.astype(float) @ side.factors.T + bias[:, None] + side.bias + side.mean
    np.testing.assert_allclose(known, dense[rows, :-1], atol=1e-4)
    np.testing.assert_allclose(bias + side.mean + side.unknown, dense[rows, -1], atol=1e-5)


def test_factor_scores_are_immutable():
    scores = some_factors(np.random.default_rng(0), 4, 3)
    for name in ("user_factors", "item_factors", "user_bias", "item_bias"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(scores, name)[0] = 1
    with pytest.raises(AttributeError):
        scores.global_mean = 1.0
    other = scores.replaced(global_mean=7.0)
    assert other.item_factors.base is not None
    rows = np.zeros(1, np.int32)
    assert other.pairs(rows, rows, COMPUTE) != scores.pairs(rows, rows, COMPUTE)
    for copied in (copy.deepcopy(scores), pickle.loads(pickle.dumps(scores))):
        np.testing.assert_array_equal(copied.block(rows, COMPUTE), scores.block(rows, COMPUTE))


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from(["cosine", "dot", "euclidean"]))
def test_neighbours_of_factor_scores_are_the_nearest_vectors(seed, metric):
    scores = some_factors(np.random.default_rng(seed), 12, 30, 5)
    for vectors, neighbours in (
        (scores.item_factors, scores.item_neighbours),
        (scores.user_factors, scores.user_neighbours),
    ):
        rows = np.array([0, 11, 3], np.int32)
        wide = vectors.astype(np.float64)
        products = wide[rows] @ wide.T
        if metric == "cosine":
            products /= np.linalg.norm(wide[rows], axis=1)[:, None] * np.linalg.norm(wide, axis=1)
        if metric == "euclidean":
            products = -np.linalg.norm(wide[rows][:, None] - wide[None], axis=2)
        products[np.arange(3), rows] = -np.inf
        wanted = np.sort(products, axis=1)[:, ::-1][:, :6]
        found, near = neighbours(rows, 6, metric, COMPUTE)
        assert not (found == rows[:, None]).any()
        np.testing.assert_allclose(-near if metric == "euclidean" else near, wanted, atol=1e-4)
        np.testing.assert_allclose(np.take_along_axis(products, found, axis=1), wanted, atol=1e-4)


def test_deviations_are_those_of_the_draws_and_the_noise():
    rng = np.random.default_rng(0)
    n_users, n_items, draws, k = 6, 5, 4, 3
    p, q = rng.normal(size=(draws, n_users, k)), rng.normal(size=(draws, n_items, k))
    b, c = rng.normal(size=(draws, n_users)), rng.normal(size=(draws, n_items))
    side_by_side = [np.concatenate(list(draw / np.sqrt(draws)), axis=1).astype(np.float32) for draw in (p, q)]
    posterior = Posterior(b.astype(np.float32), c.astype(np.float32), 0.7)
    zero = [np.zeros(n, np.float32) for n in (n_users, n_items)]
    scores = some_factors(rng, n_users, n_items).replaced(
        user_factors=side_by_side[0], item_factors=side_by_side[1], user_bias=zero[0], item_bias=zero[1],
        posterior=posterior,
    )  # fmt: skip
    assert scores.has_deviations
    users, items = np.array([0, 5, 2, -1, -1], np.int32), np.array([4, 0, -1, 2, -1], np.int32)
    wanted = []
    for u, i in zip(users, items, strict=True):
        each = [
            (p[s, u] @ q[s, i] if min(u, i) >= 0 else 0) + (b[s, u] if u >= 0 else 0) + (c[s, i] if i >= 0 else 0)
            for s in range(draws)
        ]
        wanted.append(np.sqrt(np.var(each) + 0.7))
    np.testing.assert_allclose(scores.deviations(users, items), wanted, rtol=1e-5)
    assert not some_factors(rng, 2, 2).has_deviations


@pytest.mark.parametrize("shape", [(0,), (7,), (2, 5)])
@pytest.mark.parametrize(
    ("link", "formula", "linear"),
    [
        (Identity(), lambda z: z, True),
        (Sigmoid(), expit, False),
        (Squash("sigmoid", 4.0, 1.0), lambda z: 1 + 4 * expit(z), False),
        (Squash("identity", 2.0, 3.0), lambda z: 3 + 2 * z, False),
        (Squash("tanh", 2.0, 3.0), lambda z: 3 + 2 * np.tanh(z), False),
    ],
)
def test_links_are_their_formulas(link, formula, linear, shape):
    scores = np.random.default_rng(0).normal(0, 2, shape).astype(np.float32)
    predicted = link.predictions(scores.copy(), COMPUTE)
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, formula(scores.astype(np.float64)), atol=1e-5)
    assert link.linear is linear
    assert some_factors(np.random.default_rng(0), 3, 3, link=link).linear is linear


def test_selection_of_a_slice_of_users():
    seen = np.array([0, 2, 2, 5], np.int64), np.array([1, 3, 0, 2, 4], np.int32)
    part = Selection(3, seen, np.array([1], np.int32)).part(slice(1, 3))
    assert part.seen[0].tolist() == [0, 0, 3]
    assert part.seen[1].tolist() == [0, 2, 4]
    assert (part.n, part.candidates.tolist()) == (3, [1])
    assert Selection(3).part(slice(0, 1)).seen == (None, None)
