"""The multinomial cost of rows of scores against float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import in_every_order
from reference import softmax_cost

pytestmark = pytest.mark.every_isa


def chosen_of(rng, rows, cols, dtype, density=0.2):
    """Return compressed rows with strengths, the first row empty and the second dense, and the same as a matrix."""
    mask = rng.random((rows, cols)) < density
    mask[:1], mask[1:2] = False, True
    x = np.where(mask, rng.random((rows, cols)) * 2, 0).astype(dtype)
    if rows > 2:
        x[2] = 0  # stored, and not chosen
    indptr = np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int64)
    return indptr, np.nonzero(mask)[1].astype(np.int32), x[mask], x.astype(np.float64)


def test_softmax_gradient_equals_reference(backend):
    emulated = hasattr(backend, "emulation")

    @settings(max_examples=10 if emulated else 80)
    @given(
        seed=st.integers(0, 2**32 - 1),
        rows=st.sampled_from([0, 1, 2, 5, 33]),
        cols=st.sampled_from([1, 15, 16, 17, 31, 32, 33, 1025] + ([] if emulated else [5000])),
        dtype=st.sampled_from([np.float32, np.float64]),
        size=st.sampled_from([1.0, 80.0]),
        biased=st.booleans(),
        n_threads=st.sampled_from([1, 2]),
    )
    def check(seed, rows, cols, dtype, size, biased, n_threads):
        rng = np.random.default_rng(seed)
        *chosen, x = chosen_of(rng, rows, cols, dtype)
        scores = (size * rng.standard_normal((rows, cols))).astype(dtype)
        bias = rng.standard_normal(cols).astype(dtype) if biased else None
        whole = scores if bias is None else scores + bias  # in the dtype, as the op adds
        wanted, slopes = softmax_cost(whole.astype(np.float64), x)
        total = backend.softmax_gradient(*chosen, scores, bias, 0.25, n_threads)
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(total, wanted, rtol=32 * eps, atol=32 * eps)
        scale = 1 + x.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(scores / scale, 0.25 * slopes / scale, rtol=0, atol=16 * eps)

    check()


def test_softmax_gradient_of_extreme_scores_is_finite(backend):
    scores = np.array([[3e38, -3e38, 0], [-3e38, -3e38, -3e38]], np.float32)
    indptr, columns, strengths = np.array([0, 1, 2]), np.array([0, 2], np.int32), np.ones(2, np.float32)
    assert backend.softmax_gradient(indptr, columns, strengths, scores) == pytest.approx(np.log(3))
    np.testing.assert_allclose(scores, [[0, 0, 0], [1 / 3, 1 / 3, -2 / 3]], atol=1e-6)
    bad = np.array([[np.nan, 0, 1], [0, 0, 0]], np.float32)
    assert np.isnan(backend.softmax_gradient(indptr, columns, strengths, bad))


def test_softmax_gradient_same_bits_for_any_number_of_threads_and_any_order(backend):
    n = 40 if hasattr(backend, "emulation") else 3000

    def once(n_threads=1):
        rng = np.random.default_rng(1)
        *chosen, _ = chosen_of(rng, 30, n, np.float32)
        scores = rng.standard_normal((30, n)).astype(np.float32)
        total = backend.softmax_gradient(*chosen, scores, n_threads=n_threads)
        return total, scores.tobytes()

    assert len({once(), once(2), once(4), *in_every_order(backend, once)}) == 1


def test_softmax_gradient_bad_input_raises(backend):
    scores = np.zeros((2, 3), np.float32)
    indptr, columns, strengths = np.array([0, 1, 2]), np.array([0, 2], np.int32), np.ones(2, np.float32)
    with pytest.raises(ValueError, match="softmax_gradient: scores must have 2 rows; got 1"):
        backend.softmax_gradient(indptr, columns, strengths, scores[:1])
    with pytest.raises(ValueError, match=r"softmax_gradient: bias must have one entry per column \(3\); got 2"):
        backend.softmax_gradient(indptr, columns, strengths, scores, np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="softmax_gradient: strengths must have 2 entries; got 1"):
        backend.softmax_gradient(indptr, columns, strengths[:1], scores)
    with pytest.raises(ValueError, match=r"softmax_gradient: .*must lie in \[0, 3\)"):
        backend.softmax_gradient(indptr, columns + 1, strengths, scores)
    with pytest.raises(TypeError, match="softmax_gradient: strengths must have dtype float32; got float64"):
        backend.softmax_gradient(indptr, columns, strengths.astype(float), scores)
