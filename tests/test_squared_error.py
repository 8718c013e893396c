from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 31, 32, 33, 1025, 20_000]),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
)
def test_squared_error_equals_reference(backend, seed, n, dtype, weighted):
    rng = np.random.default_rng(seed)
    predicted, target = (rng.standard_normal(n).astype(dtype) for _ in range(2))
    weights = rng.random(n).astype(dtype) if weighted else None
    gradient = np.full(n, np.nan, dtype)
    total = backend.squared_error(predicted, target, gradient, weights, 0.25, 2)
    error = predicted.astype(np.float64) - target
    w = 1.0 if weights is None else weights.astype(np.float64)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(gradient, 0.5 * w * error, rtol=0, atol=20 * eps)
    np.testing.assert_allclose(total, (w * error**2).sum(), rtol=4 * eps)


def test_squared_error_same_bits_for_any_number_of_threads(backend):
    rng = np.random.default_rng(0)
    predicted, target = (rng.standard_normal(400_001).astype(np.float32) for _ in range(2))
    gradient = np.empty_like(predicted)
    assert len({backend.squared_error(predicted, target, gradient, n_threads=n) for n in (1, 2, 4)}) == 1


def test_squared_error_bad_input_raises(backend):
    x = np.ones(3, np.float32)
    with pytest.raises(ValueError, match="squared_error: target and gradient must have 3 entries; got 2 and 3"):
        backend.squared_error(x, x[:2], x.copy())
    with pytest.raises(ValueError, match="squared_error: weights must have 3 entries; got 1"):
        backend.squared_error(x, x, x.copy(), x[:1])
    with pytest.raises(TypeError, match="squared_error: target must have dtype float32; got float64"):
        backend.squared_error(x, x.astype(np.float64), x.copy())
