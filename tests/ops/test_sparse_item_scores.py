"""Scores by sparse weights between items, against dense products in float64."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from helpers import reference
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.every_isa


def rows_of(table):
    csr = scipy.sparse.csr_array(table.astype(np.float32))
    return csr.indptr.astype(np.int64), csr.indices.astype(np.int32), csr.data


def weights_of(table):
    return *rows_of(table), table.shape[1]


def problem(seed, n_users, n_items, m, inner=None):
    """Return histories, users, weights and a base; some users and rows of weights have nothing, one has all."""
    rng = np.random.default_rng(seed)
    inner = n_items if inner is None else inner
    history = (rng.random((n_users, inner)) < 0.2) * rng.uniform(0.2, 2, (n_users, inner))
    history[: n_users // 4] = 0
    weights = (rng.random((inner, n_items)) < 0.2) * rng.standard_normal((inner, n_items))
    weights[::5] = 0
    if n_users and inner:
        history[-1], weights[-1] = rng.uniform(0.5, 1, inner), rng.standard_normal(n_items)
    history, weights = history.astype(np.float32).astype(float), weights.astype(np.float32).astype(float)
    users = rng.integers(-1, n_users, m).astype(np.int32)
    base = rng.standard_normal(n_items).astype(np.float32)
    return rng, history, weights, users, base


def expected_scores(history, weights, users, base):
    scores = np.zeros((users.size, weights.shape[1]))
    for e, user in enumerate(users):
        without = user < 0 or not history[user].any()
        scores[e] = (0 if base is None else base) if without else history[user] @ weights
    return scores


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 33]),
    st.sampled_from([0, 1, 31, 32, 33, 200]),
    st.sampled_from([0, 1, 40]),
    st.sampled_from([None, 0, 20]),
    st.booleans(),
)
def test_sparse_item_scores_of_blocks_and_pairs_equal_products(backend, seed, n_users, n_items, m, inner, based):
    rng, history, weights, users, base = problem(seed, n_users, n_items, m, inner)
    base = base if based else None
    x, w = rows_of(history), weights_of(weights)
    block = backend.sparse_item_scores_block(*x, users, *w, base, 2)
    expected = expected_scores(history, weights, users, base)
    np.testing.assert_allclose(block, expected, rtol=0, atol=1e-5 * (1 + n_items) ** 0.5)
    pair_users = rng.integers(-1, n_users, 60).astype(np.int32)
    items = rng.integers(-1, n_items, 60).astype(np.int32)
    pairs = backend.sparse_item_scores_pairs(*x, pair_users, items, *w, base, 2)
    whole = backend.sparse_item_scores_block(*x, pair_users, *w, base)
    wanted = np.where(items >= 0, whole[np.arange(60), items], 0) if n_items else np.zeros(60)
    np.testing.assert_array_equal(pairs, wanted.astype(np.float32))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 33]),
    st.sampled_from([1, 31, 32, 33, 200]),
    st.sampled_from([0, 1, 10, 300]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_sparse_item_scores_best_are_those_of_the_block(
    backend, seed, n_users, n_items, n, seen_given, candidates_given, excluded_given, biased
):
    rng, history, weights, users, base = problem(seed, n_users, n_items, 20)
    x, w = rows_of(history), weights_of(weights)
    options, seen = {}, None
    if seen_given:
        seen = [np.flatnonzero(rng.random(n_items) < 0.3) for _ in users]
        options["seen_indptr"] = np.concatenate([[0], np.cumsum([len(own) for own in seen])]).astype(np.int64)
        options["seen_indices"] = np.concatenate(seen).astype(np.int32)
    if candidates_given:
        options["candidates"] = rng.permutation(n_items)[: n_items // 2].astype(np.int32)
    if excluded_given:
        options["excluded"] = rng.permutation(n_items)[: n_items // 3].astype(np.int32)
    block = backend.sparse_item_scores_block(*x, users, *w, base)
    if biased:
        options["item_bias"] = rng.choice(np.float32([-np.inf, -0.5, 0, 1]), n_items)
        block = block + options["item_bias"]
    ids, scores = backend.sparse_item_scores_best(*x, users, *w, n, base, **options, n_threads=2)
    mask = reference.allowed(users.size, n_items, seen, options.get("candidates"), options.get("excluded"))
    expected_ids, expected = reference.topk(block, mask, n)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected)


def test_sparse_item_scores_same_bits_for_any_threads_and_other_users(backend):
    n_items = 60 if backend.__name__.endswith("_emu") else 1025
    rng, history, weights, users, base = problem(3, 50, n_items, 80)
    x, w = rows_of(history), weights_of(weights)
    items = rng.integers(0, n_items, users.size).astype(np.int32)
    block = backend.sparse_item_scores_block(*x, users, *w, base, 1)
    best = backend.sparse_item_scores_best(*x, users, *w, 10, base, n_threads=1)
    for n_threads in (2, 4):
        np.testing.assert_array_equal(backend.sparse_item_scores_block(*x, users, *w, base, n_threads), block)
        for found, first in zip(
            backend.sparse_item_scores_best(*x, users, *w, 10, base, n_threads=n_threads), best, strict=True
        ):
            np.testing.assert_array_equal(found, first)
        pairs = backend.sparse_item_scores_pairs(*x, users, items, *w, base, n_threads)
        np.testing.assert_array_equal(pairs, block[np.arange(users.size), items])
    alone = np.concatenate([backend.sparse_item_scores_block(*x, users[e : e + 1], *w, base) for e in range(80)])
    np.testing.assert_array_equal(alone, block)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"indices": np.int32([0, 5])}, ValueError, r"columns of histories must lie in \[0, 3\); got 5 at entry 1"),
        ({"indptr": np.int64([0, 3])}, ValueError, "offsets of histories must not decrease, and must lie in"),
        ({"indptr": np.int64([-1, 2])}, ValueError, "offsets of histories must not decrease, and must lie in"),
        ({"indptr": np.int64([])}, ValueError, "histories_indptr must have at least one entry; got 0"),
        ({"values": np.float32([1])}, ValueError, "histories_values must have as many entries as histories_indices"),
        ({"values": np.float64([1, 2])}, TypeError, "histories_values must have dtype float32; got float64"),
        ({"users": np.int32([1])}, ValueError, r"users must lie in \[-1, 1\); got 1 at entry 0"),
        ({"users": np.int32([-2])}, ValueError, r"users must lie in \[-1, 1\); got -2 at entry 0"),
        ({"weights_indices": np.int32([1, 3])}, ValueError, r"columns of weights must lie in \[0, 3\); got 3"),
        ({"weights_indices": np.int32([1, 1])}, ValueError, "columns of weights must ascend within a row; they do not"),
        ({"weights_indptr": np.int64([0, 3, 2, 2])}, ValueError, "offsets of weights must not decrease"),
        ({"n_items": -1}, ValueError, "n_items must not be negative; got -1"),
        ({"weights_indptr": np.int64([0, 2])}, ValueError, "columns of histories must lie in"),
        ({"base": np.ones(2, np.float32)}, ValueError, r"base must have one entry per item \(3\); got 2"),
    ],
)
def test_sparse_item_scores_bad_input_raises(backend, change, error, message):
    valid = {
        "indptr": np.int64([0, 2]),
        "indices": np.int32([0, 1]),
        "values": np.float32([1, 2]),
        "users": np.int32([0]),
        "weights_indptr": np.int64([0, 2, 2, 2]),
        "weights_indices": np.int32([1, 2]),
        "weights_values": np.float32([1, 2]),
        "n_items": 3,
    }
    with pytest.raises(error, match=f"sparse_item_scores_block: .*{message}"):
        backend.sparse_item_scores_block(**{**valid, **change})
    with pytest.raises(error, match=f"sparse_item_scores_best: .*{message}"):
        backend.sparse_item_scores_best(**{**valid, **change}, n=1)
    with pytest.raises(error, match=f"sparse_item_scores_pairs: .*{message}"):
        backend.sparse_item_scores_pairs(**{**valid, **change}, items=np.zeros(1, np.int32))


def test_sparse_item_scores_of_wrong_pairs_and_lists_raise(backend):
    _, history, weights, users, _ = problem(0, 3, 4, 2)
    x, w = rows_of(history), weights_of(weights)
    with pytest.raises(ValueError, match=r"sparse_item_scores_pairs: items must lie in \[-1, 4\); got 4 at entry 1"):
        backend.sparse_item_scores_pairs(*x, users, np.int32([0, 4]), *w)
    with pytest.raises(ValueError, match=r"items must have one entry per user \(2\); got 1"):
        backend.sparse_item_scores_pairs(*x, users, np.int32([0]), *w)
    with pytest.raises(ValueError, match="n must not be negative; got -1"):
        backend.sparse_item_scores_best(*x, users, *w, -1)
    with pytest.raises(ValueError, match="seen_indptr and seen_indices must be given together"):
        backend.sparse_item_scores_best(*x, users, *w, 1, seen_indptr=np.int64([0, 0, 0]))
