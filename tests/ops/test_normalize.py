from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import in_every_order
from fastcf.gradient_check import Objective, compare_gradients
from reference_network import normalize, normalize_gradient


def rows_of(rng, n, k, dtype):
    x = rng.standard_normal((n, k)) * 10.0 ** rng.integers(-3, 4, (n, 1))
    x[::5] = 0
    return x.astype(dtype)


@settings(max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 31, 32, 33, 1025]),
    st.sampled_from([0, 1, 7, 32, 33]),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([1.0, 0.5, 3.0]),
    st.sampled_from([1, 2]),
)
def test_normalize_and_its_gradient_equal_reference(backend, seed, n, k, dtype, length, n_threads):
    rng = np.random.default_rng(seed)
    x, slope = rows_of(rng, n, k, dtype), rng.standard_normal((n, k)).astype(dtype)
    got, gradient = backend.normalize(x, length, n_threads), slope.copy()
    backend.normalize_gradient(x, gradient, length, n_threads)
    assert got.dtype == gradient.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(got, normalize(x, length), rtol=4 * eps, atol=0)
    wanted = normalize_gradient(x, slope, length)
    size = length * np.linalg.norm(slope, axis=1, keepdims=True)  # the row's, before what lies along x is taken away
    size = np.divide(size, np.linalg.norm(x, axis=1, keepdims=True), out=0 * size, where=x.any(1, keepdims=True))
    assert (np.abs(gradient - wanted) <= 16 * eps * size).all()


def test_normalize_zero_rows_stay_zero_with_zero_gradient(backend):
    x, slope = np.float32([[0, 0], [3, 4]]), np.float32([[1, 2], [0, 0]])
    np.testing.assert_array_equal(backend.normalize(x, 2.0), np.float32([[0, 0], [1.2, 1.6]]))
    backend.normalize_gradient(x, slope, 2.0)
    np.testing.assert_array_equal(slope, np.zeros((2, 2)))


def test_normalize_of_very_short_and_very_long_rows_is_exact(backend):
    x = np.float32([[3e-30, 4e-30], [3e30, 4e30]])
    np.testing.assert_allclose(backend.normalize(x), [[0.6, 0.8]] * 2, rtol=1e-6)


def test_normalize_gradient_passes_the_check(backend):
    rng = np.random.default_rng(0)
    x, pull = rng.standard_normal((6, 5)), rng.standard_normal((6, 5))

    def evaluate(at):
        y, slope = backend.normalize(at["x"], 1.5), pull.copy()
        backend.normalize_gradient(at["x"], slope, 1.5)
        return float((pull * y).sum()), {"x": slope}

    report = compare_gradients(Objective({"x": x}, evaluate))
    assert report.passed, report


def test_normalize_same_bits_for_any_number_of_threads_and_any_order(backend):
    n = 500 if hasattr(backend, "emulation") else 50_000
    rng = np.random.default_rng(1)
    x, slope = rng.standard_normal((n, 33), np.float32), rng.standard_normal((n, 33), np.float32)

    def run(n_threads=1):
        gradient = slope.copy()
        backend.normalize_gradient(x, gradient, n_threads=n_threads)
        return np.stack([backend.normalize(x, n_threads=n_threads), gradient])

    first = run()
    for other in [run(2), run(4), *in_every_order(backend, run)]:
        np.testing.assert_array_equal(other, first)


def test_normalize_bad_input_raises(backend):
    x = np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"normalize_gradient: the result must be \(3, 2\); got \(2, 2\)"):
        backend.normalize_gradient(x, x[:2].copy())
    with pytest.raises(TypeError, match="normalize_gradient: gradient must have dtype float32; got float64"):
        backend.normalize_gradient(x, x.astype(np.float64))
    with pytest.raises(ValueError, match=r"normalize: x must have 2 dimension\(s\); got 1"):
        backend.normalize(x[0])
