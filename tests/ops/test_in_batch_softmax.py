"""The softmax cost of choices among the items of a batch, against its definition in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import in_every_order
from fastcf.gradient_check import Objective, compare_gradients
from reference_two_tower import in_batch_softmax

pytestmark = pytest.mark.every_isa


def batch(rng, n_users, n_items, density, dtype, size=3.0):
    """Return scores, choices as compressed rows, their weights, and log-weights of items."""
    scores = (size * rng.standard_normal((n_users, n_items))).astype(dtype)
    chosen = rng.random((n_users, n_items)) < density
    chosen[:, ::7] &= rng.random((n_users, 1)) < 0.5  # some rows with hardly any
    if n_users > 3:
        chosen[0], chosen[1] = True, False  # all and nothing
    indptr = np.concatenate([[0], np.cumsum(chosen.sum(1))]).astype(np.int64)
    items = np.nonzero(chosen)[1].astype(np.int32)
    return scores, indptr, items, rng.random(n_items).astype(dtype) * 4, rng.random(items.size).astype(dtype)


@settings(max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 5, 33]),
    st.sampled_from([0, 1, 15, 16, 31, 32, 33, 1025]),
    st.sampled_from([0.02, 0.3]),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
    st.sampled_from([1, 2]),
)
def test_in_batch_softmax_equals_reference(backend, seed, n_users, n_items, density, dtype, weighted, n_threads):
    rng = np.random.default_rng(seed)
    scores, indptr, items, offsets, weights = batch(rng, n_users, n_items, density, dtype)
    weights = weights if weighted else None
    wanted, slopes = in_batch_softmax(scores, indptr, items, offsets, weights)
    cost = backend.in_batch_softmax(scores, indptr, items, offsets, weights, n_threads)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(cost, wanted, rtol=64 * eps, atol=16 * eps)
    np.testing.assert_allclose(scores, slopes, rtol=64 * eps, atol=16 * eps)


def test_in_batch_softmax_of_huge_scores_is_finite(backend):
    scores = np.float32([[3e4, -3e4, 2.9e4], [-3e4, 3e4, 0]])
    indptr, items = np.int64([0, 1, 2]), np.int32([0, 0])
    cost = backend.in_batch_softmax(scores, indptr, items, np.zeros(3, np.float32))
    assert cost == pytest.approx(6e4)
    np.testing.assert_allclose(scores, [[0, 0, 0], [-1, 1, 0]], atol=1e-30)


def test_in_batch_softmax_keeps_what_is_not_a_number(backend):
    scores = np.float32([[np.nan, 0, 1]])
    assert np.isnan(backend.in_batch_softmax(scores, np.int64([0, 1]), np.int32([1]), np.zeros(3, np.float32)))


def test_in_batch_softmax_gradient_passes_the_check(backend):
    rng = np.random.default_rng(0)
    scores, indptr, items, offsets, weights = batch(rng, 6, 9, 0.3, np.float64)

    def evaluate(at):
        slopes = at["scores"].copy()
        return backend.in_batch_softmax(slopes, indptr, items, offsets, weights), {"scores": slopes}

    report = compare_gradients(Objective({"scores": scores}, evaluate))
    assert report.passed, report


def test_in_batch_softmax_same_bits_for_any_number_of_threads_and_any_order(backend):
    n = 40 if hasattr(backend, "emulation") else 600
    scores, indptr, items, offsets, weights = batch(np.random.default_rng(1), n, n, 0.05, np.float32)

    def run(n_threads=1):
        slopes = scores.copy()
        cost = backend.in_batch_softmax(slopes, indptr, items, offsets, weights, n_threads)
        return np.append(slopes.ravel(), cost)

    first = run()
    for other in [run(2), run(4), *in_every_order(backend, run)]:
        np.testing.assert_array_equal(other, first)


def test_in_batch_softmax_bad_input_raises(backend):
    scores, offsets = np.ones((2, 3), np.float32), np.zeros(3, np.float32)
    indptr, items = np.int64([0, 1, 2]), np.int32([0, 2])
    with pytest.raises(ValueError, match="in_batch_softmax: offsets must have 3 entries; got 2"):
        backend.in_batch_softmax(scores, indptr, items, offsets[:2])
    with pytest.raises(ValueError, match="in_batch_softmax: indptr must have 3 entries; got 2"):
        backend.in_batch_softmax(scores, np.int64([0, 2]), items, offsets)
    with pytest.raises(ValueError, match=r"in_batch_softmax: indices must lie in \[0, 3\); got 3"):
        backend.in_batch_softmax(scores, indptr, np.int32([0, 3]), offsets)
    with pytest.raises(ValueError, match="in_batch_softmax: weights must have 2 entries; got 1"):
        backend.in_batch_softmax(scores, indptr, items, offsets, offsets[:1])
    with pytest.raises(TypeError, match="in_batch_softmax: offsets must have dtype float32; got float64"):
        backend.in_batch_softmax(scores, indptr, items, offsets.astype(np.float64))
