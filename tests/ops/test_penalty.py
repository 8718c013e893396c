from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 31, 32, 33, 1025]),
    st.sampled_from([0, 1, 7, 8, 9, 64]),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
    st.sampled_from([1, 2]),
)
def test_penalty_equals_reference(backend, seed, n, k, dtype, weighted, n_threads):
    rng = np.random.default_rng(seed)
    rows, weights = rng.standard_normal((n, k)).astype(dtype), rng.random(n).astype(dtype) if weighted else None
    squares = np.square(rows, dtype=np.float64).sum(axis=1)
    expected = (squares if weights is None else weights.astype(np.float64) * squares).sum()
    np.testing.assert_allclose(backend.penalty(rows, weights, n_threads), expected, rtol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
def test_penalty_same_bits_for_any_number_of_threads(backend, weighted):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((50_001, 9)).astype(np.float32)
    weights = rng.random(50_001).astype(np.float32) if weighted else None
    assert len({backend.penalty(rows, weights, n_threads) for n_threads in (1, 2, 4)}) == 1


def test_penalty_bad_input_raises(backend):
    rows, weights = np.ones((3, 2), np.float32), np.ones(3, np.float32)
    with pytest.raises(ValueError, match=r"penalty: weights must have one entry per row \(3\); got 2"):
        backend.penalty(rows, weights[:2])
    with pytest.raises(TypeError, match="penalty: weights must have dtype float64; got float32"):
        backend.penalty(rows.astype(np.float64), weights)
    with pytest.raises(TypeError, match="penalty: rows must have dtype float32; got int64"):
        backend.penalty(rows.astype(np.int64), weights)
