"""Scores by weights between items against dense float64 tables."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from dense import COMPUTE, assert_agrees, dense_of_weights, some_weights


@settings(max_examples=40)
@given(
    st.sampled_from([(1, 1), (5, 31), (33, 2), (20, 40)]),
    st.sampled_from([0.0, 0.1, 0.9]),
    st.sampled_from([scipy.sparse.csr_array, scipy.sparse.csr_matrix]),
    st.integers(0, 10**6),
)
def test_item_weight_scores_agree_with_a_dense_table(sizes, density, kind, seed):
    rng = np.random.default_rng(seed)
    scores = some_weights(rng, *sizes, density, kind)
    assert not scores.linear
    assert scores.as_factors() is None
    assert_agrees(scores, dense_of_weights(scores), rng)


def test_item_weight_pairs_and_blocks_have_the_same_bits():
    scores = some_weights(np.random.default_rng(0), 20, 30)
    users, items = (each.ravel().astype(np.int32) for each in np.mgrid[0:20, 0:30])
    block = scores.block(np.arange(20, dtype=np.int32), COMPUTE)
    np.testing.assert_array_equal(scores.pairs(users, items, COMPUTE).reshape(20, 30), block)


@settings(max_examples=30)
@given(st.sampled_from([1, 2, 31]), st.sampled_from([0.0, 0.2, 1.0]), st.integers(0, 10**6), st.data())
def test_item_weight_neighbours_are_the_largest_weights(n_items, density, seed, data):
    scores = some_weights(np.random.default_rng(seed), 3, n_items, density)
    n = data.draw(st.integers(1, n_items))
    rows = np.arange(n_items, dtype=np.int32)
    found, weights = scores.item_neighbours(rows, n, "cosine", COMPUTE)
    dense = scores.weights.toarray()
    for item in range(n_items):
        stored = [other for other in scores.weights[[item]].indices.tolist() if other != item]
        wanted = sorted(stored, key=lambda other: (-dense[item, other], other))[:n]
        assert found[item].tolist() == wanted + [-1] * (n - len(wanted))
        np.testing.assert_array_equal(weights[item, : len(wanted)], dense[item, wanted])
        assert np.isneginf(weights[item, len(wanted) :]).all()


def test_item_weight_scores_compare_items_alone():
    scores = some_weights(np.random.default_rng(0), 3, 4)
    assert scores.compares_items
    assert not scores.compares_users
    assert not scores.resident
    with pytest.raises(NotImplementedError):
        scores.user_neighbours(np.zeros(1, np.int32), 1, "dot", COMPUTE)
