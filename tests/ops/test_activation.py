from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference_network as reference

pytestmark = pytest.mark.every_isa

kinds = st.sampled_from(reference.ACTIVATIONS)
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)
rows, cols = st.sampled_from([0, 1, 31, 32, 33]), st.sampled_from([0, 1, 15, 16, 17, 130])


@given(kinds, dtypes, rows, cols, st.booleans(), st.sampled_from([0.01, 1.0, 30.0]), seeds)
def test_activation_equals_reference(backend, kind, dtype, m, n, biased, scale, seed):
    rng = np.random.default_rng(seed)
    z = (scale * rng.standard_normal((m, n))).astype(dtype)
    bias = rng.standard_normal(n).astype(dtype) if biased else None
    total = z + (bias if biased else 0)
    y = z.copy()
    backend.activate(kind, y, bias, 2)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(y, reference.activation(kind, total), rtol=16 * eps, atol=4 * eps * 1e-2)

    gradient = rng.standard_normal((m, n)).astype(dtype)
    expected = gradient * reference.activation_slope(kind, total)
    sums = np.empty(n, dtype)
    backend.activation_gradient(kind, y, gradient, sums, 2)
    np.testing.assert_allclose(gradient, expected, rtol=16 * eps, atol=8 * eps)
    np.testing.assert_allclose(sums, gradient.sum(axis=0, dtype=np.float64), rtol=0, atol=eps * (m + 2) * 8)


@pytest.mark.parametrize("kind", reference.ACTIVATIONS)
def test_activation_slope_is_the_derivative(backend, kind):
    z = np.array([[-3.0, -0.7, -0.01, 0.02, 0.5, 4.0]])
    step = 1e-6
    values = []
    for moved in (z - step, z + step):
        y = moved.copy()
        backend.activate(kind, y)
        values.append(y)
    y, slope = z.copy(), np.ones_like(z)
    backend.activate(kind, y)
    backend.activation_gradient(kind, y, slope)
    np.testing.assert_allclose(slope, (values[1] - values[0]) / (2 * step), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kind", reference.ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activation_far_out_and_nan(backend, kind, dtype):
    y = np.array([[-1e30, -100.0, 100.0, 1e30, np.nan]], dtype)
    with np.errstate(all="ignore"):
        expected = reference.activation(kind, y)
    backend.activate(kind, y)
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-30)


@given(dtypes, rows, cols, st.sampled_from([0.0, 0.2, 0.5, 0.8]), st.booleans(), st.integers(0, 2**64 - 1))
def test_activation_dropout_equals_reference(backend, dtype, m, n, rate, alpha, key):
    rng = np.random.default_rng(0)
    x, gradient = (rng.standard_normal((m, n)).astype(dtype) for _ in range(2))
    value, factor = reference.dropout(x, rate, key, alpha) if rate else (x, np.ones_like(x))
    expected = gradient * factor
    backend.dropout(x, rate, key, alpha, False, 2)
    backend.dropout(gradient, rate, key, alpha, True, 2)
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(x, value, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(gradient, expected, rtol=tolerance)


def test_activation_alpha_dropout_keeps_mean_and_variance(backend):
    n = 300 if backend.__name__.endswith("_emu") else 1500
    x = np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)
    backend.activate("selu", x)
    backend.dropout(x, 0.3, 11, alpha=True)
    assert x.mean() == pytest.approx(0, abs=8 / n)
    assert x.var() == pytest.approx(1, abs=12 / n)


def test_activation_same_bits_for_any_number_of_threads(backend):
    rng = np.random.default_rng(0)
    n = 120 if backend.__name__.endswith("_emu") else 900
    z, gradient = (rng.standard_normal((n, n)).astype(np.float32) for _ in range(2))
    results = []
    for n_threads in (1, 2, 4):
        y, g, sums = z.copy(), gradient.copy(), np.empty(n, np.float32)
        backend.activate("selu", y, None, n_threads)
        backend.dropout(y, 0.5, 3, True, False, n_threads)
        backend.activation_gradient("selu", y, g, sums, n_threads)
        results.append((y, g, sums))
    for got in results[1:]:
        for have, want in zip(got, results[0], strict=True):
            np.testing.assert_array_equal(have, want)


def test_activation_bad_input_raises(backend):
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="activate: there is no activation 'gelu'"):
        backend.activate("gelu", x)
    with pytest.raises(ValueError, match=r"activate: bias must have one entry per column \(3\); got 2"):
        backend.activate("relu", x, x[0, :2].copy())
    with pytest.raises(ValueError, match=r"must have the same shape; got \(2, 3\) and \(1, 3\)"):
        backend.activation_gradient("relu", x, x[:1].copy())
    with pytest.raises(ValueError, match=r"bias_gradient must have one entry per column \(3\); got 2"):
        backend.activation_gradient("relu", x, x.copy(), x[0, :2].copy())
    with pytest.raises(ValueError, match=r"dropout: rate must lie in \[0, 1\); got 1"):
        backend.dropout(x, 1.0, 0)
    with pytest.raises(TypeError, match="activate: x must have dtype float32; got int64"):
        backend.activate("relu", np.ones((2, 3), np.int64))
